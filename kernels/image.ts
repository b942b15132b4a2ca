// Bytes of images to normalised numbers: packed NHWC u8, four to a word, to f32 [B, H, W, C].
//   y[b, r, x, c] = (p / 255 - mean_c) / std_c
//   p the byte at (b, r, x', c),  x' = W - 1 - x where flips[b] is set, else x
// A thread owns four neighbouring outputs; with flips it gathers their bytes one by one. The division by 255 and by std
// is one multiplication and one addition with factors the host made in f64: y = p scale_c + shift_c.

import { ceilDiv, defineKernel, entry, GROUP, LINEAR_GROUP, linearGrid, reads, writes } from "./kernel.ts";

/** Structure: whether images may be mirrored. */
export type ImageSpec = { readonly flips: boolean };

/** `affine` holds a scale and a shift for each channel: [C, 2]. */
export const normaliseImagesKernel = defineKernel({
  name: "normaliseImages",
  uniforms: { n: "u32", width: "u32", channels: "u32", pixels: "u32" },
  bindings: ({ flips }: ImageSpec) => ({
    bytes: reads("array<u32>"),
    affine: reads("array<vec2f>"),
    flips: flips ? reads("array<u32>") : undefined,
    y: writes("array<f32>"),
  }),
  source: ({ flips }) => `
fn source(i: u32) -> u32 {
  ${
    flips
      ? `if (flips[i / u.pixels] == 0u) { return i; }
  let line = u.width * u.channels;
  let start = i / line * line;
  let within = i - start;
  let x = within / u.channels;
  return start + (u.width - 1u - x) * u.channels + (within - x * u.channels);`
      : "return i;"
  }
}
${entry()} {
  let first = (${LINEAR_GROUP} * ${GROUP}u + li) * 4u;
  for (var k = 0u; k < 4u; k++) {
    let i = first + k;
    if (i >= u.n) { return; }
    let at = source(i);
    let byte = extractBits(bytes[at >> 2u], (at & 3u) * 8u, 8u);
    let a = affine[i % u.channels];
    y[i] = fma(f32(byte), a.x, a.y);
  }
}`,
  grid: ({ n }) => linearGrid(ceilDiv(n, GROUP * 4)),
});
