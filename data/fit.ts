// What becomes of a picture's size: options, of data sets as of classifiers.

import { type Given, option } from "../base/index.ts";

/** How pictures of any size come to the size that a network takes. */
export const FIT = {
  fit: option.choice(
    ["crop", "stretch", "pad"],
    "what becomes of another aspect ratio: the middle is cut out, it is stretched, or all of it is shown on black",
  ),
  filter: option.choice(
    ["bilinear", "bicubic", "lanczos", "box"],
    "filter of resizing; all are antialiased, as Pillow's",
  ),
  keep: option.number(1, "of a cropped picture's shorter side, the share that is shown; 0.875 is 224 of 256", {
    above: 0,
    max: 1,
  }),
} as const;

/** How pictures come to one size; what is left out is as `FIT` presets it. */
export type PictureFit = Given<typeof FIT>;
