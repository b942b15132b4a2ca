// Augmentation of byte images on the CPU: crop, flip, colour jitter, RandAugment, random erasing, in that order. What
// happens to a sample is drawn from (seed, epoch, id) alone, so it does not depend on the batch that the sample is in,
// nor on a resumed run.

import { type Given, type Kinds, option, take, zip } from "../base/index.ts";
import {
  applyOperation,
  MOST_BLEND,
  RAND_AUGMENT,
  type RandAugmentOptions,
  randAugment,
  turnHues,
} from "./augment-ops.ts";
import type { ImageShape } from "./dataset.ts";
import { ensure, ensureCount, ensureWithin, readOptions } from "./errors.ts";
import { exp, log } from "./numeric.ts";
import { resize } from "./pictures/resize.ts";
import { Stream, shuffledOrder } from "./random.ts";

/** What is done to training images; what is left out is not done. */
export interface AugmentOptions {
  /** Pads by so many black pixels on all sides and cuts the old size out at random. */
  readonly crop?: number;
  /** Mirrors left and right with this probability. */
  readonly flip?: number;
  /**
   * Cuts out at least this share of the image, at 3:4 to 4:3, and brings it to the old size: torchvision's
   * RandomResizedCrop(scale=(zoom, 1)), with a share of 0.08 in Szegedy et al. 2015. Not together with `crop`.
   */
  readonly zoom?: number;
  /**
   * How much brightness, contrast and saturation change, each by a factor from 1 - x to 1 + x, and, if there is a
   * fourth number, how far hues turn either way, as a share of their circle, at most 0.5; in random order, as
   * torchvision's ColorJitter does it.
   */
  readonly jitter?: readonly number[];
  readonly randAugment?: RandAugmentOptions;
  readonly erase?: EraseOptions;
  /**
   * Blends each image with another one of its batch by a share drawn from Beta(alpha, alpha), 0 < alpha <= 1 (mixup,
   * Zhang et al. 2018). The batch then says both labels and the share.
   */
  readonly mixup?: number;
  /**
   * Replaces a rectangle of each image by that of another one of its batch, of a share drawn from Beta(alpha, alpha), 0
   * < alpha <= 1; what would lie beyond the border is cut off (CutMix, Yun et al. 2019). Together with `mixup`, each
   * batch is blended in one of both ways.
   */
  readonly cutmix?: number;
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

/** What commands take of them: a flag each. */
export const AUGMENTATION = {
  crop: option.whole(undefined, "augmentation: black pixels around the image, before its size is cut out", { min: 0 }),
  zoom: option.number(undefined, "augmentation: the least share of the image that a random resized crop shows", {
    ...{ above: 0, max: 1 },
    basis: "torchvision: 0.08",
  }),
  jitter: option.list(undefined, "augmentation: how much brightness, contrast, saturation and, if asked, hue change", {
    must: "three or four numbers within 0 and 1, the fourth up to 0.5: 0.4,0.4,0.4,0.1",
    ...{ min: 0, max: 1, length: [3, 4] },
    basis: "torchvision",
  }),
  randAugment: option.list(undefined, "augmentation: operations of RandAugment, and their strength from 0 to 30", {
    must: "two whole numbers, 2,9, the second up to 30",
    ...{ min: 0, max: 30, length: 2, whole: true },
    basis: "torchvision: 2,9",
  }),
  erase: option.number(undefined, "augmentation: probability that a rectangle is erased", { min: 0, max: 1 }),
  mixup: option.number(undefined, "augmentation: alpha of blends of two images", { above: 0, max: 1 }),
  cutmix: option.number(undefined, "augmentation: alpha of rectangles of another image", { above: 0, max: 1 }),
} as const;

/** Flags as options. */
export function augmentationOf({ randAugment: rand, erase, ...given }: Given<typeof AUGMENTATION>): AugmentOptions {
  const [count = 0, magnitude = 0] = rand ?? [];
  return {
    ...given,
    ...(rand && { randAugment: { count, magnitude } }),
    ...(erase !== undefined && { erase: { probability: erase } }),
  };
}

const AUGMENT: Kinds<AugmentOptions> = {
  crop: AUGMENTATION.crop,
  zoom: AUGMENTATION.zoom,
  jitter: AUGMENTATION.jitter,
  cutmix: AUGMENTATION.cutmix,
  mixup: AUGMENTATION.mixup,
  flip: option.number(undefined, "probability of a mirrored image", { min: 0, max: 1 }),
  randAugment: "any",
  erase: "any",
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
  const { randAugment: rand, erase, zoom, jitter } = options;
  const fill = mean.map((x) => Math.round(255 * x));
  return (source, target, stream) => {
    const moved = drawCropFlip(options, stream);
    cropFlip(zoom === undefined ? source : zoomed(source, shape, zoom, stream), target, shape, moved);
    if (jitter) jitterColours(target, shape, jitter, stream);
    if (rand) randAugment(target, shape, rand, stream);
    if (erase && stream.chance(erase.probability)) eraseRectangle(target, shape, erase, fill, stream);
  };
}

function checkOptions(options: AugmentOptions, shape: ImageShape): void {
  const { randAugment: rand, erase, zoom, crop, jitter } = readOptions("augment", options, AUGMENT);
  ensure(
    zoom === undefined || !crop,
    () => `augment: zoom and crop must not both be given, as each cuts out; got ${zoom} and ${crop}.`,
  );
  const [height, width, channels] = shape;
  ensure(
    (crop ?? 0) <= Math.min(height, width),
    () => `augment: crop must be at most the side of images of ${height} x ${width}; got ${crop}.`,
  );
  ensure(
    jitter === undefined || channels === 1 || channels === 3,
    () => `augment: jitter must have images of 1 or 3 channels; got ${channels}.`,
  );
  ensureWithin("augment", "the fourth of jitter, for hue,", jitter?.[3] ?? 0, 0, 0.5);
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

/** The stream of everything that happens to sample `id` in `epoch`, where it came `turn` times before. */
export const augmentStream = (seed: number, epoch: number, id: number, turn = 0): Stream =>
  new Stream(seed, turn === 0 ? "augment" : `augment ${turn}`, epoch, id);

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

/** Height over width of a random resized crop, and how often one that does not fit is drawn again: torchvision's. */
const CROP_ASPECT = [3 / 4, 4 / 3] as const;
const CROP_TRIES = 10;

/** A part of an image at its size; all of it where no part was found that fits. */
function zoomed(source: Uint8Array, [height, width, channels]: ImageShape, least: number, stream: Stream): Uint8Array {
  for (let i = 0; i < CROP_TRIES; i++) {
    const pixels = height * width * stream.between(least, 1);
    const ratio = exp(stream.between(log(CROP_ASPECT[0]), log(CROP_ASPECT[1])));
    const [h, w] = [Math.round(Math.sqrt(pixels * ratio)), Math.round(Math.sqrt(pixels / ratio))];
    if (h < 1 || w < 1 || h > height || w > width) continue;
    const [top, left] = [stream.integer(height - h + 1), stream.integer(width - w + 1)];
    const data = new Uint8Array(h * w * channels);
    for (let y = 0; y < h; y++) {
      const from = ((top + y) * width + left) * channels;
      data.set(source.subarray(from, from + w * channels), y * w * channels);
    }
    return resize({ height: h, width: w, channels, data }, height, width).data;
  }
  return source;
}

const JITTERS = ["brightness", "contrast", "color", "hue"] as const;

function jitterColours(image: Uint8Array, shape: ImageShape, most: readonly number[], stream: Stream): void {
  const asked = zip(JITTERS.slice(0, most.length), most);
  for (const [name, limit] of take(asked, shuffledOrder(asked.length, stream))) {
    const change = stream.between(-limit, limit);
    if (name === "hue") turnHues(image, shape, change);
    else applyOperation(name, image, shape, Math.abs(change) / MOST_BLEND, Math.sign(change));
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
