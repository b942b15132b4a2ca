// A data set of one's own: images and labels from an npz file, or from the npy files of a folder.

import { type Kinds, only, option, permuted, take } from "../../base/index.ts";
import { createDataset, type ImageShape, scaleOf } from "../dataset.ts";
import { complete, ensure, readOptions } from "../errors.ts";
import { node, readBytes } from "../files.ts";
import { toInt32 } from "../formats/bytes.ts";
import { decodeNpy, type NpyArray, openNpz } from "../formats/npy.ts";
import { UNPACK, type UnpackOptions } from "../formats/unpack.ts";
import { SPLIT, type SplitOptions, type Splits, splitOfficial } from "../splits.ts";

/** Where [n, channels, height, width] have the axes of [n, height, width, channels]. */
const LAST = [0, 2, 3, 1] as const;

/** What is held under which name. */
export interface NpzOptions extends SplitOptions, UnpackOptions {
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
  /** Per channel, of values divided by 255; default: of the training part. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /**
   * Where the channels stand: nhwc, last, as here; nchw, first, as PyTorch keeps images. Default: last, but an array
   * that looks like channels first is refused.
   */
  readonly layout?: "nhwc" | "nchw";
}

const ARRAYS = {
  images: option.text("x_train", "array of the training images"),
  labels: option.text("y_train", "array of their labels"),
  testImages: option.text("x_test", "array of the test images"),
  testLabels: option.text("y_test", "array of their labels"),
} as const;

/** Where the channels stand. */
export const LAYOUT = {
  layout: option.choice(
    ["nhwc", "nchw"],
    "nchw: channels first, as PyTorch keeps images; nhwc: last, however it looks",
    {
      default: undefined,
    },
  ),
} as const;

const NPZ: Kinds<NpzOptions> = {
  ...SPLIT,
  ...UNPACK,
  ...ARRAYS,
  ...LAYOUT,
  classes: "any",
  mean: "any",
  std: "any",
};

/** Nobody names so many classes, and a label beyond is none. */
const MOST_CLASSES = 65_536;
/** Grey, colour, colour with alpha: what the second axis of an array has if channels come first. */
const CHANNELS = [1, 3, 4];

/**
 * Images and labels from the npz file at `path`, or from `x_train.npy`, `y_train.npy` and so on in the folder there,
 * cut as `splitOfficial` does.
 * @throws DataError naming the file and the array that is missing or does not fit.
 */
export async function npz(path: string, options: NpzOptions = {}): Promise<Splits> {
  readOptions("npz", options, NPZ);
  const { images, labels, testImages, testLabels } = complete("npz", ARRAYS, only(ARRAYS, options));
  const get = await openArrays(path, options);
  const labelsOf = async (name: string) =>
    checkLabels((await get(name)).data, `${path}/${name}`, path, options.classes);
  const [trainLabels, heldLabels] = [await labelsOf(labels), await labelsOf(testLabels)];
  const largest = [trainLabels, heldLabels].flatMap((values) => values.reduce((a, b) => Math.max(a, b), 0));
  const classes = options.classes ?? Array.from({ length: Math.max(...largest) + 1 }, (_, label) => String(label));
  const toDataset = async (name: string, split: string, values: Int32Array, firstId: number) => {
    const { shape: lying, data } = await get(name);
    const isFirst = options.layout === "nchw" && lying.length === 4;
    const shape = isFirst ? take(lying, LAST) : lying;
    ensure(
      data instanceof Uint8Array && (shape.length === 3 || shape.length === 4) && shape[0] === values.length,
      () =>
        `npz: ${path}/${name} must be bytes [${values.length}, ${options.layout === "nchw" ? "channels, height, width" : "height, width, channels"}]; got ${kindOf(data)} [${lying.join(", ")}].`,
      { file: path },
    );
    checkLayout(shape, `${path}/${name}`, path, options);
    const [, height = 1, width = 1, channels = 1] = shape;
    const image: ImageShape = [height, width, channels];
    const ids = Int32Array.from(values, (_, i) => firstId + i);
    const each = <T>(value: T): T[] => new Array<T>(image[2]).fill(value);
    const { mean = each(0), std = each(1) } = options;
    const meta = { name: path.replace(/[/\\]+$/, "").replace(/^.*[/\\]|\.npz$/g, ""), split, mean, std };
    return createDataset({
      images: isFirst ? permuted(data, lying, LAST, new Uint8Array(data.length)) : data,
      labels: values,
      ids,
      shape: image,
      classes,
      meta,
    });
  };
  const training = await toDataset(images, "train", trainLabels, 0);
  const test = await toDataset(testImages, "test", heldLabels, training.size);
  // Of a small set a tenth, and a fifth, are held out.
  const most = (divisor: number) => Math.min(5000, Math.floor(training.size / divisor));
  const { validation = most(10), calibration = most(5) } = options;
  return withStatistics(splitOfficial("npz", training, test, { ...options, validation, calibration }), options);
}

/** Labels that number classes; a class is made for every number up to the largest. */
function checkLabels(data: NpyArray["data"], array: string, file: string, classes?: readonly string[]): Int32Array {
  const labels = toInt32(data, `npz: ${array}`);
  const count = classes?.length ?? MOST_CLASSES;
  const wrong = labels.findIndex((label) => label < 0 || label >= count);
  ensure(
    wrong < 0,
    () =>
      `npz: ${array}: labels must be numbers of classes, 0 to ${count - 1}; got ${labels[wrong]} for image ${wrong}.`,
    { file },
  );
  return labels;
}

/** Refuses what is most likely [n, channels, height, width], as PyTorch keeps images. */
function checkLayout(shape: readonly number[], array: string, file: string, { layout }: NpzOptions): void {
  const [, height = 0, width = 0, channels = 0] = shape;
  const isFirst = CHANNELS.includes(height) && !CHANNELS.includes(channels) && width > 4 && channels > 4;
  const got = `[${shape.join(", ")}], which looks like channels first`;
  const hint =
    "Save x.transpose(0, 2, 3, 1) in NumPy, x.permute(0, 2, 3, 1) in PyTorch; if it lies so, pass layout: nchw (--data.layout nchw), else nhwc.";
  ensure(
    layout !== undefined || !isFirst,
    () => `npz: ${array} must be [n, height, width, channels]; got ${got}. ${hint}`,
    { file },
  );
}

/** Finds an array by its name. */
async function openArrays(path: string, options: UnpackOptions): Promise<(name: string) => Promise<NpyArray>> {
  const files = await node("node:fs/promises")
    .readdir(path)
    .catch(() => undefined);
  const ofFolder = async (name: string) => {
    const file = node("node:path").join(path, `${name}.npy`);
    return decodeNpy(await readBytes(file), file);
  };
  const { names, get } = files
    ? { names: files.filter((file) => file.endsWith(".npy")).map((file) => file.slice(0, -4)), get: ofFolder }
    : openNpz(await readBytes(path), path, { maxBytes: options.maxBytes });
  return async (name) => {
    const list = names.join(", ") || "none";
    ensure(names.includes(name), () => `npz: ${path} must have the array "${name}"; got ${list}.`, { file: path });
    return get(name);
  };
}

/** All parts on the scale of the training part. */
function withStatistics(splits: Splits, options: NpzOptions): Splits {
  const { train, validation, calibration, test } = splits;
  const scale = scaleOf(train, options);
  const scaled = (part: typeof train) => ({ ...part, meta: { ...part.meta, ...scale } });
  return {
    ...splits,
    train: scaled(train),
    validation: scaled(validation),
    calibration: scaled(calibration),
    test: scaled(test),
  };
}

const kindOf = (data: NpyArray["data"]): string => data.constructor.name.replace("Array", "").toLowerCase();
