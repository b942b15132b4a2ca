// From colours to the channels that are wanted.

/** Rec. 601 in fixed point, to the byte as Pillow's `convert("L")`. */
export const luma = (red: number, green: number, blue: number): number =>
  (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;

/** RGBA to the channels that are wanted; transparency is dropped. */
export function fromRgba(rgba: Uint8ClampedArray, channels: 1 | 3): Uint8Array {
  const pixels = rgba.length / 4;
  const data = new Uint8Array(pixels * channels);
  for (let i = 0, to = 0; i < rgba.length; i += 4) {
    const [r, g, b] = [rgba[i]!, rgba[i + 1]!, rgba[i + 2]!];
    if (channels === 1) data[to++] = luma(r, g, b);
    else {
      data[to++] = r;
      data[to++] = g;
      data[to++] = b;
    }
  }
  return data;
}
