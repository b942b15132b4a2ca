// Which side of a picture is up: the orientation that cameras write into EXIF data (TIFF tag 0x0112, CIPA DC-008), and
// the turn that it asks for.

import type { Raster } from "./resize.ts";

const TAG = 0x0112;

/** The orientation 1 to 8 that a TIFF block of EXIF data says; 1, as it lies, where it says none. */
export function orientationOf(tiff: Uint8Array): number {
  if (tiff.length < 8) return 1;
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
  const order = view.getUint16(0);
  if (order !== 0x4949 && order !== 0x4d4d) return 1;
  const isLittle = order === 0x4949;
  const directory = view.getUint32(4, isLittle);
  if (view.getUint16(2, isLittle) !== 42 || directory + 2 > tiff.length) return 1;
  const entries = view.getUint16(directory, isLittle);
  for (let i = 0; i < entries; i++) {
    const at = directory + 2 + 12 * i;
    if (at + 12 > tiff.length) return 1;
    if (view.getUint16(at, isLittle) !== TAG) continue;
    const value = view.getUint16(at + 8, isLittle);
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

/** The picture as it is to be seen, of one that lies in an orientation 1 to 8. */
export function upright(picture: Raster, orientation: number): Raster {
  if (orientation === 1) return picture;
  const { channels, data } = picture;
  const isTurned = orientation >= 5;
  const [width, height] = isTurned ? [picture.height, picture.width] : [picture.width, picture.height];
  // Where the first pixel comes from, and the way to the next one to the right, and below.
  const [right, down] = [channels, channels * picture.width];
  const [lastX, lastY] = [(picture.width - 1) * right, (picture.height - 1) * down];
  const [start, dx, dy] = (
    [
      [lastX, -right, down],
      [lastX + lastY, -right, -down],
      [lastY, right, -down],
      [0, down, right],
      [lastY, -down, right],
      [lastX + lastY, -down, -right],
      [lastX, down, -right],
    ] as const
  )[orientation - 2]!;
  const turned = new Uint8Array(data.length);
  let to = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0, from = start + y * dy; x < width; x++, from += dx) {
      for (let c = 0; c < channels; c++) turned[to++] = data[from + c]!;
    }
  }
  return { width, height, channels, data: turned };
}
