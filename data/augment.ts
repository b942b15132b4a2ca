// Augmentation of byte images on the CPU: crop with padding, flip, RandAugment, random erasing, in that order. What
// happens to a sample is drawn from (seed, epoch, id) alone, so it does not depend on the batch that the sample is in,
// nor on a resumed run.

import { type Kinds, option } from "../base/index.ts";
import { RAND_AUGMENT, type RandAugmentOptions, randAugment } from "./augment-ops.ts";
import type { ImageShape } from "./dataset.ts";
import { ensure, ensureCount, ensureWithin, readOptions } from "./errors.ts";
import { exp, log } from "./numeric.ts";
import { Stream } from "./random.ts";

/** What is done to training images; what is left out is not done. */
export interface AugmentOptions {
  /** Pads by so many black pixels on all sides and cuts the old size out at random. */
  readonly crop?: number;
  /** Mirrors left and right with this probability. */
  readonly flip?: number;
  readonly randAugment?: RandAugmentOptions;
  readonly erase?: EraseOptions;
  /**
   * Blends each image with another one of its batch by a share drawn from Beta(alpha, alpha), 0 < alpha <= 1 (mixup,
   * Zhang et al. 2018). The batch then says both labels and the share.
   */
  readonly mixup?: number;
}

/** Random erasing (Zhong et al. 2020): a rectangle is filled with the mean colour, which is 0 after normalisation. */
export interface EraseOptions {
  readonly probability: number;
  /** The rectangle's share of the image, from .. to; default [0.02, 0.33]. */
  readonly area?: readonly [number, number];
  /** Its height over its width, from .. to; default [0.3, 3.3]. */
  readonly aspect?: readonly [number, number];
}

const ERASE: Kinds<EraseOptions> = { probability: "number!", area: "any", aspect: "any" };
const AUGMENT: Kinds<AugmentOptions> = {
  crop: option.whole(undefined, "black pixels around the image, before its size is cut out", { min: 0 }),
  flip: option.number(undefined, "probability of a mirrored image", { min: 0, max: 1 }),
  randAugment: "any",
  erase: "any",
  mixup: option.number(undefined, "alpha of the share of another image", { above: 0, max: 1 }),
};

/** Writes the augmented image `source` to `target`, both [height, width, channels]; all chance comes from `stream`. */
export type Augmenter = (source: Uint8Array, target: Uint8Array, stream: Stream) => void;

/**
 * The recipe of the CGT code for CIFAR-100: crop 4, flip, RandAugment (2, 9), erasing of 2 to 20 % with probability
 * 1/4.
 */
export const CGT_AUGMENTATION: AugmentOptions = {
  crop: 4,
  flip: 0.5,
  randAugment: { count: 2, magnitude: 9 },
  erase: { probability: 0.25, area: [0.02, 0.2] },
};

/**
 * Makes the augmenter of these options for images of `shape` whose mean colour is `mean` (of values divided by 255).
 * @throws DataError naming the option that is out of its range.
 */
export function createAugmenter(options: AugmentOptions, shape: ImageShape, mean: readonly number[]): Augmenter {
  checkOptions(options, shape);
  const { randAugment: rand, erase } = options;
  const fill = mean.map((x) => Math.round(255 * x));
  return (source, target, stream) => {
    cropFlip(source, target, shape, drawCropFlip(options, stream));
    if (rand) randAugment(target, shape, rand, stream);
    if (erase && stream.chance(erase.probability)) eraseRectangle(target, shape, erase, fill, stream);
  };
}

function checkOptions(options: AugmentOptions, shape: ImageShape): void {
  const { randAugment: rand, erase } = readOptions("augment", options, AUGMENT);
  if (rand !== undefined) readOptions("augment: randAugment", rand, RAND_AUGMENT);
  if (erase !== undefined) readOptions("augment: erase", erase, ERASE);
  if (rand) {
    ensureCount("augment", "randAugment.count", rand.count);
    ensureWithin("augment", "randAugment.magnitude", rand.magnitude, 0, 30);
    ensure(
      shape[2] === 1 || shape[2] === 3,
      () => `augment: randAugment must have images of 1 or 3 channels; got ${shape[2]}.`,
    );
  }
  if (erase) {
    ensureWithin("augment", "erase.probability", erase.probability, 0, 1);
    const [smallest, largest] = erase.area ?? DEFAULT_AREA;
    ensureWithin("augment", "erase.area[0]", smallest, 0, largest);
    ensureWithin("augment", "erase.area[1]", largest, smallest, 1);
    const [flattest, tallest] = erase.aspect ?? DEFAULT_ASPECT;
    ensure(
      flattest > 0 && flattest <= tallest,
      () => `augment: erase.aspect must be positive and rise; got ${flattest}, ${tallest}.`,
    );
  }
}

/** Where the crop begins, in pixels from the unpadded corner, and whether the image is mirrored. */
export interface CropFlip {
  readonly dy: number;
  readonly dx: number;
  readonly isFlipped: boolean;
}

/** Draws crop and flip; the first numbers of a sample's stream, so that a GPU op can be given the same ones. */
export function drawCropFlip(options: AugmentOptions, stream: Stream): CropFlip {
  const { crop = 0, flip = 0 } = readOptions("drawCropFlip", options, AUGMENT);
  const dy = crop > 0 ? stream.integer(2 * crop + 1) - crop : 0;
  const dx = crop > 0 ? stream.integer(2 * crop + 1) - crop : 0;
  return { dy, dx, isFlipped: flip > 0 && stream.chance(flip) };
}

/** The stream of everything that happens to sample `id` in `epoch`. */
export const augmentStream = (seed: number, epoch: number, id: number): Stream =>
  new Stream(seed, "augment", epoch, id);

function cropFlip(source: Uint8Array, target: Uint8Array, shape: ImageShape, { dy, dx, isFlipped }: CropFlip): void {
  const [height, width, channels] = shape;
  target.fill(0);
  const [left, right] = [Math.max(0, -dx), Math.min(width, width - dx)];
  for (let y = Math.max(0, -dy); y < Math.min(height, height - dy); y++) {
    const from = ((y + dy) * width + dx) * channels;
    if (!isFlipped) {
      const row = source.subarray(from + left * channels, from + right * channels);
      target.set(row, (y * width + left) * channels);
      continue;
    }
    for (let x = left; x < right; x++) {
      const to = (y * width + width - 1 - x) * channels;
      for (let c = 0; c < channels; c++) target[to + c] = source[from + x * channels + c]!;
    }
  }
}

const DEFAULT_AREA = [0.02, 0.33] as const;
const DEFAULT_ASPECT = [0.3, 3.3] as const;
/** A rectangle that does not fit is drawn again, so many times at most (as torchvision does). */
const ERASE_TRIES = 10;

function eraseRectangle(
  image: Uint8Array,
  [height, width, channels]: ImageShape,
  { area = DEFAULT_AREA, aspect = DEFAULT_ASPECT }: EraseOptions,
  fill: readonly number[],
  stream: Stream,
): void {
  for (let i = 0; i < ERASE_TRIES; i++) {
    const pixels = height * width * stream.between(area[0], area[1]);
    const ratio = exp(stream.between(log(aspect[0]), log(aspect[1])));
    const h = Math.round(Math.sqrt(pixels * ratio));
    const w = Math.round(Math.sqrt(pixels / ratio));
    if (h >= height || w >= width) continue;
    const top = stream.integer(height - h + 1);
    const left = stream.integer(width - w + 1);
    for (let y = top; y < top + h; y++) {
      for (let x = left; x < left + w; x++) {
        for (let c = 0; c < channels; c++) image[(y * width + x) * channels + c] = fill[c]!;
      }
    }
    return;
  }
}

/** Beta(alpha, alpha) for 0 < alpha <= 1 (Jöhnk 1964). */
export function drawBeta(alpha: number, stream: Stream): number {
  for (;;) {
    const u = exp(log((stream.word() + 1) / 2 ** 32) / alpha);
    const v = exp(log((stream.word() + 1) / 2 ** 32) / alpha);
    if (u + v <= 1 && u + v > 0) return u / (u + v);
  }
}
