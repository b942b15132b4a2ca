// What a corruption is.

import type { Stream } from "../random.ts";
import type { Pixels } from "./pixels.ts";

/** How strong a corruption is, from 1 to 5. */
export type Severity = 1 | 2 | 3 | 4 | 5;

/** A corruption of Hendrycks and Dietterich (ICLR 2019). */
export interface Corruption {
  /** As the official files are called. */
  readonly name: string;
  /** One line. */
  readonly about: string;
  /** Of the four that were kept for development, and are not counted in means. */
  readonly isExtra?: boolean;
  /** What of it is not as published: drawn by code where photographs were used, or simplified. */
  readonly synthetic?: string;
  /** A picture of values in 0..1 at a level from 0 to 4; the result is cut to 0..1. */
  readonly apply: (x: Pixels, level: number, stream: Stream) => Pixels;
}

/** A corruption by what it takes at each of the five levels. */
export const graded =
  <const P>(levels: readonly P[], apply: (x: Pixels, at: P, stream: Stream) => Pixels): Corruption["apply"] =>
  (x, level, stream) =>
    apply(x, levels[level]!, stream);
