// What training needs of a data set - any object of this form will do - and its batches, in an order drawn per epoch.

import { firstTwice, type ImageBytes, isStored, take, what } from "../../base/index.ts";
import { ArgumentError, randomPermutation } from "../../engine/functions.ts";

/** Labelled images of one size, as bytes. `sortie/data` makes such sets. */
export interface ImageSet<Bytes extends ImageBytes = ImageBytes> {
  readonly size: number;
  /** [H, W, C] */
  readonly shape: readonly [number, number, number];
  /** [size, H, W, C], in memory or read where they lie. */
  readonly images: Bytes;
  /** [size], 0 .. classes - 1 */
  readonly labels: Int32Array;
  /** [size], unique over all splits */
  readonly ids: Int32Array;
  readonly classes: readonly string[];
  readonly meta: {
    readonly name: string;
    readonly split: string;
    /** Of each channel, for pixels in 0..1. */
    readonly mean: readonly number[];
    readonly std: readonly number[];
  };
}

/** Parts of a data set without a common sample. */
export interface ImageSplits<Bytes extends ImageBytes = ImageBytes> {
  readonly train: ImageSet<Bytes>;
  /** Watched during training, and for choices afterwards. */
  readonly validation: ImageSet<Bytes>;
  /** For thresholds. */
  readonly calibration: ImageSet<Bytes>;
  readonly test: ImageSet<Bytes>;
}

/** Name of a part. */
export type Split = keyof ImageSplits;

/** Images of one step. */
export interface ImageBatch {
  /** [B, H, W, C] */
  readonly images: Uint8Array;
  /** [B] */
  readonly labels: Int32Array;
  /**
   * With mixup or cutmix: image i is `share[i]` of one labelled `labels[i]`, and the rest of one labelled
   * `mixed.labels[i]`.
   */
  readonly mixed?: { readonly labels: Int32Array; readonly share: Float32Array };
  /** Images that are meant, if not all. */
  readonly count?: number;
  /** Their numbers in the set, where they are its images as they stand: what is computed of them once may be kept. */
  readonly rows?: Int32Array;
}

/** Batches by position: a pure function of it, so that a resumed run sees what an undisturbed one sees. */
export interface BatchSource {
  readonly batchesPerEpoch: number;
  /** Whether its batches are `mixed`; default false. */
  readonly isMixed?: boolean;
  /** Whether its batches have `rows`; default false. */
  readonly hasRows?: boolean;
  /** All that decides what its batches hold, as JSON: a run is not resumed under other ones. */
  readonly options?: Readonly<Record<string, unknown>>;
  at(position: { readonly epoch: number; readonly batch: number }): ImageBatch;
}

/** Random streams that belong to the order of the data; those of weights and of masks have other numbers. */
const ORDER_STREAM = 0x5eed;

/** Batches of `batch` images in a new order each epoch; a last batch that is not full is dropped. */
export function shuffledBatches(
  set: ImageSet,
  { batch, seed }: { readonly batch: number; readonly seed: number },
): BatchSource {
  const batchesPerEpoch = Math.floor(set.size / batch);
  if (batchesPerEpoch < 1) {
    throw new ArgumentError(
      `train: ${set.meta.name}/${set.meta.split} must fill a batch of ${batch}; got ${set.size} images.`,
    );
  }
  let kept: { readonly epoch: number; readonly order: Int32Array } | undefined;
  return {
    batchesPerEpoch,
    hasRows: true,
    at: ({ epoch, batch: index }) => {
      if (kept?.epoch !== epoch) {
        kept = { epoch, order: randomPermutation(set.size, { seed, stream: ORDER_STREAM, step: epoch }) };
      }
      return pick(set, kept.order.subarray(index * batch, (index + 1) * batch));
    },
  };
}

function pick({ images, labels, size }: ImageSet, rows: Int32Array): ImageBatch {
  const pixels = images.length / size;
  const picked = new Uint8Array(rows.length * pixels);
  rows.forEach((row, i) => {
    picked.set(images.subarray(row * pixels, (row + 1) * pixels), i * pixels);
  });
  return { images: picked, labels: Int32Array.from(take(labels, rows)), rows };
}

/**
 * Checks that the set is whole, the images are what the network takes, and its classes those of the set.
 * @throws ArgumentError
 */
export function checkImages(
  op: string,
  set: ImageSet,
  net: { readonly input: readonly number[]; readonly classes: number },
): void {
  const { name, split } = set.meta;
  if (set.shape.join() !== net.input.join()) {
    throw new ArgumentError(
      `${op}: images must be [${net.input.join(", ")}], as the network takes them; got [${set.shape.join(", ")}] in ${name}/${split}.`,
    );
  }
  if (set.classes.length !== net.classes) {
    throw new ArgumentError(
      `${op}: the network must have one output per class; got ${net.classes} for ${set.classes.length} classes of ${name}/${split}.`,
    );
  }
  if (set.size === 0) throw new ArgumentError(`${op}: there must be images; got none in ${name}/${split}.`);
  checkArrays(op, set);
  const values = set.shape.reduce((n, extent) => n * extent, set.size);
  for (const [part, length, wanted] of [
    ["bytes of images", set.images.length, values],
    ["labels", set.labels.length, set.size],
    ["ids", set.ids.length, set.size],
  ] as const) {
    if (length !== wanted) {
      throw new ArgumentError(
        `${op}: ${name}/${split} must have ${wanted} ${part} for ${set.size} images; got ${length}.`,
      );
    }
  }
  const wrong = set.labels.findIndex((label) => !(label >= 0 && label < net.classes));
  if (wrong < 0) return;
  throw new ArgumentError(
    `${op}: labels must be in 0..${net.classes - 1}; got ${set.labels[wrong]} for sample ${set.ids[wrong]} of ${name}/${split}.`,
  );
}

/** Checks that a set's arrays are of their types: as bytes, pixels in 0..1 would all be black. @throws ArgumentError */
function checkArrays(op: string, { images, labels, ids, meta: { name, split } }: ImageSet): void {
  const isBytes = images instanceof Uint8Array || (images as unknown) instanceof Uint8ClampedArray || isStored(images);
  const hint = (images as unknown) instanceof Float32Array ? " Use Uint8Array.from(pixels, (x) => 255 * x)." : "";
  if (!isBytes)
    throw new ArgumentError(`${op}: images of ${name}/${split} must be a Uint8Array; got ${what(images)}.${hint}`);
  for (const [part, values] of Object.entries({ labels, ids })) {
    if (!(values instanceof Int32Array))
      throw new ArgumentError(`${op}: ${part} of ${name}/${split} must be an Int32Array; got ${what(values)}.`);
  }
}

/**
 * Checks that no sample is there twice, told by its id: what is promised of new images holds for new ones.
 * @throws ArgumentError
 */
export function checkApart(op: string, { train, validation, calibration, test }: ImageSplits): void {
  const twice = firstTwice({ train, validation, calibration, test });
  if (!twice) return;
  const { id, first, second } = twice;
  throw new ArgumentError(
    `${op}: train, validation, calibration and test must not share a sample; got id ${id} in ${first} and ${second}. Ids are unique over all parts.`,
  );
}

/**
 * Checks that all parts are normalised as the training images are: a network answers to what it was trained on.
 * @throws ArgumentError
 */
export function checkNormalised(op: string, { train, validation, calibration, test }: ImageSplits): void {
  const list = (values: readonly number[]) => `[${values.join(", ")}]`;
  for (const { meta } of [validation, calibration, test]) {
    for (const field of ["mean", "std"] as const) {
      if (list(meta[field]) === list(train.meta[field])) continue;
      throw new ArgumentError(
        `${op}: all parts must have the ${field} of the training images, ${list(train.meta[field])}; got ${list(meta[field])} in ${meta.name}/${meta.split}. Give every part that of train.`,
      );
    }
  }
}

/** A number that changes with what a set holds - pixels, labels, ids - or its order: FNV-1a. */
export function checksum({ images, labels, ids, size }: ImageSet): number {
  let hash = 0x811c9dc5;
  const add = (values: ArrayLike<number>): void => {
    for (let i = 0; i < values.length; i++) hash = Math.imul(hash ^ values[i]!, 0x01000193);
  };
  add(ids);
  add(labels);
  const pixels = images.length / size;
  const step = Math.max(1, Math.floor(BLOCK / pixels));
  for (let first = 0; first < size; first += step)
    add(images.subarray(first * pixels, Math.min(size, first + step) * pixels));
  return hash >>> 0;
}

/** Bytes of images that are looked at together. */
const BLOCK = 2 ** 24;
