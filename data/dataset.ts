// Images in memory: bytes in NHWC order, labels, ids that stay with a sample through every split, and what is known of
// each sample.

import { type ImageBytes, zip } from "../base/index.ts";
import { DataError, ensure } from "./errors.ts";
import { StoredImages } from "./pictures/store.ts";

/** Height, width, channels of one image. */
export type ImageShape = readonly [height: number, width: number, channels: number];

/** What holds for a whole data set. */
export interface DatasetMeta {
  /** E.g. `fashion-mnist`. */
  readonly name: string;
  /** E.g. `train`. */
  readonly split: string;
  /** Per channel, of pixel values divided by 255; `(x / 255 - mean) / std` is what a network is fed. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** A labelled set of images of one shape, which lie in memory, or wherever `Bytes` reads them. */
export interface Dataset<Bytes extends ImageBytes = Uint8Array> {
  readonly size: number;
  readonly shape: ImageShape;
  /** [size, height, width, channels] */
  readonly images: Bytes;
  /** Indices into `classes`, [size]. */
  readonly labels: Int32Array;
  /** Unique over all splits of a data set, [size]. */
  readonly ids: Int32Array;
  readonly classes: readonly string[];
  /** Further numbers per sample by name, each [size], e.g. `difficulty`. */
  readonly columns: Readonly<Record<string, Float32Array>>;
  readonly meta: DatasetMeta;
}

/** What `createDataset` is given: ids count from 0 and there are no columns unless said. */
export type DatasetParts<Bytes extends ImageBytes = Uint8Array> = Omit<Dataset<Bytes>, "size" | "ids" | "columns"> &
  Partial<Pick<Dataset, "ids" | "columns">>;

/** Checks that the parts fit each other, and makes a data set of them. @throws DataError that names the part. */
export function createDataset<Bytes extends ImageBytes>(parts: DatasetParts<Bytes>): Dataset<Bytes> {
  const { images, labels, shape, classes, meta } = parts;
  const op = `createDataset: ${meta.name}/${meta.split}`;
  const size = labels.length;
  const pixels = shape[0] * shape[1] * shape[2];
  ensure(
    shape.every((extent) => Number.isInteger(extent) && extent > 0),
    () => `${op}: height, width and channels must be positive integers; got ${printShape(shape)}.`,
  );
  ensure(
    images.length === size * pixels,
    () => `${op}: images must hold ${printShape([size, ...shape])} bytes; got ${images.length} (${size} labels).`,
  );
  for (let i = 0; i < size; i++) {
    const label = labels[i]!;
    if (label < 0 || label >= classes.length) {
      throw new DataError(`${op}: labels must be within 0 and ${classes.length - 1}; got ${label} at sample ${i}.`);
    }
  }
  for (const [name, values] of [["mean", meta.mean] as const, ["std", meta.std] as const]) {
    ensure(
      values.length === shape[2] && values.every(Number.isFinite) && (name === "mean" || values.every((x) => x > 0)),
      () =>
        `${op}: ${name} must have ${shape[2]} ${name === "std" ? "positive " : ""}numbers; got [${values.join(", ")}].`,
    );
  }
  const ids = parts.ids ?? Int32Array.from({ length: size }, (_, i) => i);
  const columns = parts.columns ?? {};
  for (const [name, column] of [["ids", ids] as const, ...Object.entries(columns)]) {
    ensure(column.length === size, () => `${op}: ${name} must have ${size} entries; got ${column.length}.`);
  }
  return { size, shape, images, labels, ids, classes, columns, meta };
}

/** The samples at `indices`, in that order. Images in memory are copied, unless the indices are consecutive. */
export function subset<Bytes extends ImageBytes>(
  data: Dataset<Bytes>,
  indices: Int32Array,
  split: string = data.meta.split,
): Dataset<Bytes> {
  const { shape, classes } = data;
  const pixels = shape[0] * shape[1] * shape[2];
  for (const index of indices) {
    if (index < 0 || index >= data.size) {
      throw new DataError(`subset: indices must be within 0 and ${data.size - 1}; got ${index}.`);
    }
  }
  const pick = <T extends Int32Array | Float32Array>(values: T): T => {
    const picked = new (values.constructor as new (n: number) => T)(indices.length);
    for (let i = 0; i < indices.length; i++) picked[i] = values[indices[i]!]!;
    return picked;
  };
  return {
    size: indices.length,
    shape,
    images: pickImages(data.images, indices, pixels) as Bytes,
    labels: pick(data.labels),
    ids: pick(data.ids),
    classes,
    columns: Object.fromEntries(Object.entries(data.columns).map(([name, column]) => [name, pick(column)])),
    meta: { ...data.meta, split },
  };
}

function pickImages(images: ImageBytes, indices: Int32Array, pixels: number): ImageBytes {
  if (images instanceof StoredImages) return images.pick(indices);
  const first = indices[0] ?? 0;
  if (indices.every((index, i) => index === first + i)) {
    return images.subarray(first * pixels, (first + indices.length) * pixels);
  }
  const picked = new Uint8Array(indices.length * pixels);
  indices.forEach((index, i) => {
    picked.set(images.subarray(index * pixels, (index + 1) * pixels), i * pixels);
  });
  return picked;
}

/** The first `n` samples (all, if there are fewer). */
export function head<Bytes extends ImageBytes>(data: Dataset<Bytes>, n: number): Dataset<Bytes> {
  return subset(
    data,
    Int32Array.from({ length: Math.min(n, data.size) }, (_, i) => i),
  );
}

/** The bytes of one image, [height, width, channels]; of images in memory a view, not a copy. */
export function imageAt(data: Dataset<ImageBytes>, index: number): Uint8Array {
  const pixels = data.shape[0] * data.shape[1] * data.shape[2];
  ensure(index >= 0 && index < data.size, () => `imageAt: index must be within 0 and ${data.size - 1}; got ${index}.`);
  return data.images.subarray(index * pixels, (index + 1) * pixels);
}

/** All images, some at a time. */
function* blocksOf({ images, size, shape }: Dataset<ImageBytes>): Generator<Uint8Array> {
  const pixels = shape[0] * shape[1] * shape[2];
  const step = Math.max(1, Math.floor(2 ** 24 / pixels));
  for (let first = 0; first < size; first += step)
    yield images.subarray(first * pixels, Math.min(size, first + step) * pixels);
}

/** How many samples each class has. */
export function countClasses(data: Pick<Dataset, "classes" | "labels">): Int32Array {
  const counts = new Int32Array(data.classes.length);
  for (const label of data.labels) counts[label]!++;
  return counts;
}

/** Mean and standard deviation of each channel, of pixel values divided by 255. */
export function channelStatistics(data: Dataset<ImageBytes>): { readonly mean: number[]; readonly std: number[] } {
  const channels = data.shape[2];
  const sums = new Float64Array(channels);
  const squares = new Float64Array(channels);
  for (const images of blocksOf(data)) {
    for (let i = 0, c = 0; i < images.length; i++, c = c + 1 === channels ? 0 : c + 1) {
      const x = images[i]!;
      sums[c]! += x;
      squares[c]! += x * x;
    }
  }
  const n = data.images.length / channels;
  const mean = Array.from(sums, (sum) => sum / n);
  const std = zip(squares, mean).map(([square, own]) => Math.sqrt(Math.max(0, square / n - own ** 2)) / 255);
  return { mean: mean.map((x) => x / 255), std };
}

/** `(x / 255 - mean) / std` on the CPU, as the GPU does it: for checks and for small inputs. */
export function normalize(images: Uint8Array, { mean, std }: Pick<DatasetMeta, "mean" | "std">): Float32Array {
  const channels = mean.length;
  return Float32Array.from(images, (x, i) => (x / 255 - mean[i % channels]!) / std[i % channels]!);
}

/** `[2, 3]` */
export const printShape = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/**
 * Mean and deviation of each channel: those that are given, else of the training part alone, so that no test value
 * leaks into the scale. A channel without variation would divide by zero; one step of a byte is the least that can be
 * told.
 */
export function scaleOf(
  train: Parameters<typeof channelStatistics>[0],
  { mean, std }: { readonly mean?: readonly number[] | undefined; readonly std?: readonly number[] | undefined },
): { readonly mean: readonly number[]; readonly std: readonly number[] } {
  if (mean && std) return { mean, std };
  const found = channelStatistics(train);
  return { mean: mean ?? found.mean, std: std ?? found.std.map((x) => Math.max(x, 1 / 255)) };
}
