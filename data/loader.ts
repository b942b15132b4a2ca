// Batches in an order drawn per epoch. A batch is a pure function of the seed and its position (epoch, batch): a run
// that was killed continues from a stored position with the batches that it would have seen. Nothing is made ahead
// here: training queues steps on the GPU and makes the next batch while they run, so neither waits for the other as
// long as a batch takes less than a step.

import { type ImageBytes, type Kinds, option, take, what } from "../base/index.ts";
import { type AugmentOptions, augmentStream, createAugmenter, drawBeta } from "./augment.ts";
import { CLASS_WEIGHTS, type ClassWeights, type Order, weightedOrder } from "./class-weights.ts";
import type { Dataset, ImageShape } from "./dataset.ts";
import { ensure, ensureCount, readOptions } from "./errors.ts";
import { Stream, shuffledOrder } from "./random.ts";
import { SPLIT } from "./splits.ts";

/** Where in training a batch stands; both count from 0. */
export interface Position {
  readonly epoch: number;
  readonly batch: number;
}

/** Options of `createLoader`. */
export interface LoaderOptions {
  /** Samples per batch. */
  readonly batch: number;
  /** Default 1. */
  readonly seed?: number;
  /** A new order in each epoch; default true. False keeps the order of the data set. */
  readonly shuffle?: boolean;
  /**
   * What becomes of a last batch that is not full: `keep` (default) it short, `drop` it, or `pad` it with the epoch's
   * first samples, so that all batches have one shape; `count` says how many are meant.
   */
  readonly last?: "keep" | "drop" | "pad";
  readonly augment?: AugmentOptions;
  /** How often images of each class are drawn; default: each image once. Not without `shuffle`. */
  readonly classWeights?: ClassWeights;
}

const LOADER: Kinds<LoaderOptions> = {
  batch: "number!",
  seed: SPLIT.seed,
  shuffle: option.toggle(true, "a new order in each epoch"),
  last: option.choice(["keep", "drop", "pad"], "what becomes of a last batch that is not full"),
  augment: "any",
  classWeights: CLASS_WEIGHTS,
};

/** Some samples of one epoch. */
export interface Batch {
  readonly position: Position;
  /** Rows that are meant; any after them are padding. */
  readonly count: number;
  /** [B, height, width, channels] */
  readonly images: Uint8Array;
  /** [B] */
  readonly labels: Int32Array;
  /** [B] */
  readonly ids: Int32Array;
  /** Numbers of the samples in the set, [B], where their images are as they stand there. */
  readonly rows?: Int32Array;
  /**
   * With mixup or cutmix: image i is `share[i]` of its own sample, with mixup at least half, and the rest of one
   * labelled `mixed.labels[i]`.
   */
  readonly mixed?: { readonly labels: Int32Array; readonly share: Float32Array };
}

/** See `createLoader`. */
export interface Loader {
  readonly data: Dataset<ImageBytes>;
  readonly batchesPerEpoch: number;
  /** Whether batches are `mixed`. */
  readonly isMixed: boolean;
  /** Whether batches have `rows`. */
  readonly hasRows: boolean;
  /** All that decides what a batch holds, besides the data. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The batch at a position. */
  at(position: Position): Batch;
  /** The position after this one. */
  next(position: Position): Position;
}

/**
 * Makes a loader of `data`. Normalisation is left to the GPU: see `data.meta.mean` and `.std`.
 * @throws DataError for an option out of its range, or data that do not fill one batch where the last one is dropped.
 */
export function createLoader(data: Dataset<ImageBytes>, options: LoaderOptions): Loader {
  const {
    batch: batchSize,
    seed = 1,
    shuffle = true,
    last = "keep",
    augment,
    classWeights,
  } = readOptions("createLoader", options, LOADER);
  ensure(
    typeof data?.images?.subarray === "function",
    () => `createLoader: data must be a part of a data set, such as splits.train; got ${what(data)}.`,
  );
  ensureCount("createLoader", "batch", batchSize, 1);
  const batchesPerEpoch = last === "drop" ? Math.floor(data.size / batchSize) : Math.ceil(data.size / batchSize);
  ensure(
    batchesPerEpoch > 0,
    () =>
      `createLoader: ${data.meta.name}/${data.meta.split} must fill a batch of ${batchSize}; got ${data.size} samples.`,
  );
  ensure(
    shuffle || classWeights === undefined,
    () => "createLoader: with classWeights the order must be drawn; got shuffle: false.",
  );
  const orderOf = epochOrder(data, options);
  const fill = batchFiller(data, options);
  const at = (position: Position): Batch => {
    ensureCount("loader", "epoch", position.epoch);
    ensureCount("loader", "batch", position.batch);
    ensure(
      position.batch < batchesPerEpoch,
      () => `loader: batch must be below ${batchesPerEpoch}; got ${position.batch}.`,
    );
    const order = orderOf(position.epoch);
    const start = position.batch * batchSize;
    const count = Math.min(batchSize, data.size - start);
    const length = last === "pad" ? batchSize : count;
    const places = Int32Array.from({ length }, (_, i) => (i < count ? start + i : (i - count) % data.size));
    return fill(position, order, places, count);
  };
  const next = ({ epoch, batch }: Position): Position =>
    batch + 1 < batchesPerEpoch ? { epoch, batch: batch + 1 } : { epoch: epoch + 1, batch: 0 };
  return {
    data,
    batchesPerEpoch,
    isMixed: augment?.mixup !== undefined || augment?.cutmix !== undefined,
    hasRows: augment === undefined,
    options: { batch: batchSize, seed, shuffle, last, augment: augment ?? {}, ...(classWeights && { classWeights }) },
    at,
    next,
  };
}

/** The order of each epoch; the last one asked for is kept. */
function epochOrder(
  data: Dataset<ImageBytes>,
  { seed = 1, shuffle = true, classWeights }: LoaderOptions,
): (epoch: number) => Order {
  const orderOf = (epoch: number): Order => {
    if (!shuffle) return { rows: Int32Array.from({ length: data.size }, (_, i) => i) };
    const stream = new Stream(seed, "shuffle", epoch);
    return classWeights
      ? weightedOrder("createLoader", data, classWeights, stream)
      : { rows: shuffledOrder(data.size, stream) };
  };
  let kept = { epoch: 0, order: orderOf(0) };
  return (epoch) => {
    if (shuffle && kept.epoch !== epoch) kept = { epoch, order: orderOf(epoch) };
    return kept.order;
  };
}

function batchFiller(
  data: Dataset<ImageBytes>,
  { seed = 1, augment }: LoaderOptions,
): (position: Position, order: Order, places: Int32Array, count: number) => Batch {
  const pixels = data.shape[0] * data.shape[1] * data.shape[2];
  const augmenter = augment && createAugmenter(augment, data.shape, data.meta.mean);
  return (position, order, places, count) => {
    const rows = Int32Array.from(take(order.rows, places));
    const images = new Uint8Array(rows.length * pixels);
    const labels = new Int32Array(rows.length);
    const ids = new Int32Array(rows.length);
    rows.forEach((row, i) => {
      const id = data.ids[row]!;
      labels[i] = data.labels[row]!;
      ids[i] = id;
      const source = data.images.subarray(row * pixels, (row + 1) * pixels);
      const target = images.subarray(i * pixels, (i + 1) * pixels);
      if (augmenter) augmenter(source, target, augmentStream(seed, position.epoch, id, order.turns?.[places[i]!]));
      else target.set(source);
    });
    const batch = { position, count, images, labels, ids, ...(!augment && { rows }) };
    return blended(batch, augment, seed, data.shape);
  };
}

/** The batch, or blends of its images in one of the ways that are asked for. */
function blended(batch: Batch, { mixup, cutmix }: AugmentOptions = {}, seed: number, shape: ImageShape): Batch {
  const pixels = shape[0] * shape[1] * shape[2];
  if (cutmix === undefined) return mixup === undefined ? batch : mix(batch, mixup, seed, pixels);
  const stream = new Stream(seed, "cutmix", batch.position.epoch, batch.position.batch);
  const isMixup = mixup !== undefined && stream.chance(0.5);
  return isMixup ? mix(batch, mixup, seed, pixels) : cutAndMix(batch, cutmix, stream, shape);
}

/** Puts a rectangle of another row's image into each image; who gives is drawn per batch, the rectangle per image. */
function cutAndMix(batch: Batch, alpha: number, stream: Stream, [height, width, channels]: ImageShape): Batch {
  const { images, labels } = batch;
  const partners = shuffledOrder(labels.length, stream);
  const mixed = images.slice();
  const pixels = height * width * channels;
  const share = Float32Array.from(partners, (partner, i) => {
    const side = Math.sqrt(1 - drawBeta(alpha, stream));
    const [y, x] = [stream.integer(height), stream.integer(width)];
    const [halfY, halfX] = [Math.floor((height * side) / 2), Math.floor((width * side) / 2)];
    const [top, bottom] = [Math.max(0, y - halfY), Math.min(height, y + halfY)];
    const [left, right] = [Math.max(0, x - halfX), Math.min(width, x + halfX)];
    for (let row = top; row < bottom; row++) {
      const [from, to] = [(row * width + left) * channels, (row * width + right) * channels];
      mixed.set(images.subarray(partner * pixels + from, partner * pixels + to), i * pixels + from);
    }
    return 1 - ((bottom - top) * (right - left)) / (height * width);
  });
  const others = Int32Array.from(take(labels, partners));
  return { ...batch, images: mixed, mixed: { labels: others, share } };
}

/** Blends each image of a batch with that of another row; who with whom is drawn per batch, the share per image. */
function mix(batch: Batch, alpha: number, seed: number, pixels: number): Batch {
  const { images, labels, position } = batch;
  const stream = new Stream(seed, "mixup", position.epoch, position.batch);
  const partners = shuffledOrder(labels.length, stream);
  // Either image of a pair may count as the own one: let it be the one that is seen more.
  const share = Float32Array.from(labels, () => {
    const drawn = drawBeta(alpha, stream);
    return Math.max(drawn, 1 - drawn);
  });
  const mixed = new Uint8Array(images.length);
  partners.forEach((partner, i) => {
    for (let p = 0; p < pixels; p++) {
      const other = images[partner * pixels + p]!;
      mixed[i * pixels + p] = Math.round(other + (images[i * pixels + p]! - other) * share[i]!);
    }
  });
  return {
    ...batch,
    images: mixed,
    mixed: { labels: Int32Array.from(take(labels, partners)), share },
  };
}
