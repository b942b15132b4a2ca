// Blurs, by the parameters published for CIFAR-10-C.

import { type Corruption, graded } from "./kind.ts";
import { disk, filtered, gaussian, inBytes, mapped, motion, rounded, zoomed } from "./pixels.ts";

/** [radius, softness of the rim] */
const DEFOCUS = [
  [0.3, 0.4],
  [0.4, 0.5],
  [0.5, 0.6],
  [1, 0.2],
  [1.5, 0.1],
] as const;
/** [deviation, longest shift, rounds] */
const GLASS = [
  [0.05, 1, 1],
  [0.25, 1, 1],
  [0.4, 1, 1],
  [0.25, 1, 2],
  [0.4, 1, 2],
] as const;
/** [radius, deviation] */
const MOTION = [
  [6, 1],
  [6, 1.5],
  [6, 2],
  [8, 2],
  [9, 2.5],
] as const;
/**
 * The largest zoom, in hundredths above 1; all hundredths up to it are averaged. The first two are one more than the
 * published code says, whose ranges of binary fractions end there.
 */
const ZOOM = [6, 11, 15, 20, 25];
const GAUSSIAN = [0.4, 0.6, 0.7, 0.8, 1];

export const BLUR: readonly Corruption[] = [
  {
    name: "defocus_blur",
    about: "a lens out of focus",
    apply: graded(DEFOCUS, (x, [radius, softness]) => filtered(x, disk(radius, softness), "mirror")),
  },
  {
    name: "glass_blur",
    about: "frosted glass: pixels are seen where neighbours are",
    apply: graded(GLASS, (x, [sigma, shift, rounds], stream) => {
      const { height, width, channels, data } = inBytes(gaussian(x, sigma));
      for (let round = 0; round < rounds; round++) {
        for (let i = height - shift; i > shift; i--) {
          for (let j = width - shift; j > shift; j--) {
            // From -shift to shift - 1, as published.
            const [dx, dy] = [stream.integer(2 * shift) - shift, stream.integer(2 * shift) - shift];
            const [here, there] = [(i * width + j) * channels, ((i + dy) * width + j + dx) * channels];
            // Meant to change places, but the published code, and so the published files, only copy one over the other.
            data.copyWithin(here, there, there + channels);
          }
        }
      }
      return gaussian({ height, width, channels, data }, sigma);
    }),
  },
  {
    name: "motion_blur",
    about: "a moved camera",
    apply: graded(MOTION, (x, [radius, sigma], stream) => {
      return rounded(motion(x, { radius, sigma, angle: stream.between(-45, 45) }));
    }),
  },
  {
    name: "zoom_blur",
    about: "a camera that comes nearer",
    apply: graded(ZOOM, (x, most) => {
      const steps = Array.from({ length: most + 1 }, (_, i) => zoomed(x, 1 + i / 100));
      return mapped(x, (value, _, at) => {
        return steps.reduce((sum, step) => sum + step.data[at]!, value) / (steps.length + 1);
      });
    }),
  },
  {
    name: "gaussian_blur",
    about: "Gaussian blur",
    isExtra: true,
    apply: graded(GAUSSIAN, (x, sigma) => gaussian(x, sigma)),
  },
];
