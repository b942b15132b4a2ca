// A data set of one's own: images and labels from an npz file.

import { createDataset, type ImageShape } from "../dataset.ts";
import { DataError, ensure } from "../errors.ts";
import { readBytes } from "../files.ts";
import { toInt32 } from "../formats/bytes.ts";
import { decodeNpz, type NpyArray } from "../formats/npy.ts";
import { type SplitOptions, type Splits, splitOfficial } from "../splits.ts";

/** What an npz file holds under which name. */
export interface NpzOptions extends SplitOptions {
  /** Default `x_train`: bytes [n, height, width] or [n, height, width, channels]. */
  readonly images?: string;
  /** Default `y_train`: integers [n]. */
  readonly labels?: string;
  /** Default `x_test`. */
  readonly testImages?: string;
  /** Default `y_test`. */
  readonly testLabels?: string;
  /** Default: the numbers from 0 to the largest label. */
  readonly classes?: readonly string[];
  /** Per channel, of values divided by 255. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/**
 * Images and labels from the npz file at `path`, cut as `splitOfficial` does.
 * @throws DataError naming the file and the array that is missing or does not fit.
 */
export async function npz(path: string, options: NpzOptions): Promise<Splits> {
  const { images = "x_train", labels = "y_train", testImages = "x_test", testLabels = "y_test", mean, std } = options;
  const arrays = decodeNpz(await readBytes(path), path);
  const get = (name: string): NpyArray => {
    const array = arrays.get(name);
    if (array) return array;
    throw new DataError(`npz: ${path} must have the array "${name}"; got ${[...arrays.keys()].join(", ")}.`, {
      file: path,
    });
  };
  const trainLabels = toInt32(get(labels).data, `npz: ${path}/${labels}`);
  const heldLabels = toInt32(get(testLabels).data, `npz: ${path}/${testLabels}`);
  const largest = Math.max(
    trainLabels.reduce((a, b) => Math.max(a, b), 0),
    heldLabels.reduce((a, b) => Math.max(a, b), 0),
  );
  const classes = options.classes ?? Array.from({ length: largest + 1 }, (_, label) => String(label));
  const toDataset = (name: string, split: string, values: Int32Array, firstId: number) => {
    const { shape, data } = get(name);
    ensure(
      data instanceof Uint8Array && (shape.length === 3 || shape.length === 4) && shape[0] === values.length,
      () =>
        `npz: ${path}/${name} must be bytes [${values.length}, height, width, channels]; got ${kindOf(data)} [${shape.join(", ")}].`,
      { file: path },
    );
    const image: ImageShape = [shape[1]!, shape[2]!, shape[3] ?? 1];
    const ids = Int32Array.from(values, (_, i) => firstId + i);
    const meta = { name: path.replace(/^.*[/\\]|\.npz$/g, ""), split, mean, std };
    return createDataset({ images: data, labels: values, ids, shape: image, classes, meta });
  };
  const training = toDataset(images, "train", trainLabels, 0);
  const test = toDataset(testImages, "test", heldLabels, training.size);
  return splitOfficial("npz", training, test, options);
}

const kindOf = (data: NpyArray["data"]): string => data.constructor.name.replace("Array", "").toLowerCase();
