// The data sets by name: what they are, their official files, their options, and how to load them. Commands take names,
// flags, help and checks from here.

import { defined, type ImageBytes, type OptionSet, option } from "../../base/index.ts";
import { DataError } from "../errors.ts";
import { type FileOptions, PLACE, type SetSource } from "../files.ts";
import { MAX_UNPACKED } from "../formats/unpack.ts";
import { GLYPH_PARTS, glyphs } from "../glyphs.ts";
import { amount, SPLIT, type SplitOptions, type Splits } from "../splits.ts";
import { CIFAR10_SOURCE, CIFAR100_LABELS, CIFAR100_SOURCE, cifar10, cifar100 } from "./cifar.ts";
import { CINIC10_PARTS, CINIC10_SOURCE, cinic10 } from "./cinic10.ts";
import { INDIAN_PINES_SOURCE, indianPines, SCENE } from "./indian-pines.ts";
import { FASHION_MNIST_SOURCE, fashionMnist, MNIST_SOURCE, mnist } from "./mnist.ts";
import { LAYOUT, npz } from "./npz.ts";
import { PICTURES, type PictureFolderOptions, pictureFolder } from "./picture-folder.ts";
import { SVHN_SOURCE, svhn } from "./svhn.ts";

const { seed: _, ...PARTS } = SPLIT;
/** Cut from an official training set, beside an official test set. */
const OFFICIAL = { ...PLACE, ...PARTS } as const;
const CIFAR100 = { ...OFFICIAL, ...CIFAR100_LABELS } as const;
const CINIC10 = { ...PLACE, ...CINIC10_PARTS } as const;
const INDIAN_PINES = {
  ...PLACE,
  ...SCENE,
  // Four tenths of 10,249 pixels make 64 steps an epoch.
  shares: option.list([0.4, 0.1, 0.2, 0.3], "shares of train, validation, calibration and test", {
    must: "a list of four numbers, 0.4,0.1,0.2,0.3",
    min: 0,
    max: 1,
    length: 4,
  }),
} as const;
const FOLDER = {
  dir: option.text(undefined, "folder of folders of pictures, one for each class"),
  ...PICTURES,
} as const;
const NPZ = {
  file: option.text(undefined, "npz file, or folder of npy files"),
  maxUnpacked: MAX_UNPACKED,
  ...LAYOUT,
  ...PARTS,
  validation: amount(undefined, "images for choices (default: a tenth, at most 5,000)"),
  calibration: amount(undefined, "images for thresholds (default: a fifth, at most 5,000)"),
} as const;

/** All that the sets of this list can be told, each what its `options` say. */
export interface DataSetOptions
  extends SplitOptions,
    Pick<FileOptions, "dir" | "download" | "verify" | "onProgress" | "onChecked">,
    Omit<PictureFolderOptions, "cache" | "redecode" | "mean" | "std"> {
  /** Of glyphs, CINIC-10 and folders. */
  readonly test?: number;
  /** Of CIFAR-100. */
  readonly labels?: "fine" | "coarse";
  /** Of Indian Pines, as the three that follow. */
  readonly split?: "disjoint-block" | "random";
  readonly patch?: number;
  readonly block?: number;
  /** Of train, validation, calibration and test. */
  readonly shares?: readonly number[];
  /** Of npz: where the arrays are, and to how many bytes they may unpack. */
  readonly file?: string;
  readonly maxUnpacked?: number;
  readonly layout?: "nhwc" | "nchw";
}

/** A data set by name. */
export interface DataSet {
  /** For people. */
  readonly title: string;
  /** None: it is drawn by code, or one's own. */
  readonly source?: SetSource;
  /** Besides the seed, which all take. */
  readonly options: OptionSet;
  /** Sizes of the parts with which every file and label is looked at; none: the usual ones do that. */
  readonly whole?: DataSetOptions;
  load(options: DataSetOptions): Promise<Splits<ImageBytes>>;
}

const ALL_TRAIN = { validation: 0, calibration: 0 };

/** The name of a data set, as commands take it. */
export type DataSetName =
  | "glyphs"
  | "fashion-mnist"
  | "mnist"
  | "cifar10"
  | "cifar100"
  | "svhn"
  | "cinic10"
  | "indian-pines"
  | "folder"
  | "npz";

/** Every data set of this folder. */
export const DATA_SETS: Readonly<Record<DataSetName, DataSet>> = {
  glyphs: {
    title: "ten glyphs, 28 x 28 x 1, drawn by code with a known difficulty",
    options: GLYPH_PARTS,
    load: async ({ train, validation, calibration, test, seed }) =>
      glyphs(defined({ train, validation, calibration, test, seed })),
  },
  "fashion-mnist": {
    title: "clothes, 28 x 28 x 1, 60,000 + 10,000",
    source: FASHION_MNIST_SOURCE,
    options: OFFICIAL,
    whole: ALL_TRAIN,
    load: fashionMnist,
  },
  mnist: {
    title: "digits, 28 x 28 x 1, 60,000 + 10,000",
    source: MNIST_SOURCE,
    options: OFFICIAL,
    whole: ALL_TRAIN,
    load: mnist,
  },
  cifar10: {
    title: "photographs, 32 x 32 x 3, 10 classes, 50,000 + 10,000",
    source: CIFAR10_SOURCE,
    options: OFFICIAL,
    whole: ALL_TRAIN,
    load: cifar10,
  },
  cifar100: {
    title: "photographs, 32 x 32 x 3, 100 classes or 20, 50,000 + 10,000",
    source: CIFAR100_SOURCE,
    options: CIFAR100,
    whole: ALL_TRAIN,
    load: cifar100,
  },
  svhn: {
    title: "house numbers, 32 x 32 x 3, 73,257 + 26,032",
    source: SVHN_SOURCE,
    options: OFFICIAL,
    whole: ALL_TRAIN,
    load: svhn,
  },
  cinic10: {
    title: "photographs, 32 x 32 x 3, 10 classes, 270,000 in three parts",
    source: CINIC10_SOURCE,
    options: CINIC10,
    whole: { train: 90_000, validation: 90_000, calibration: 0, test: 90_000 },
    load: cinic10,
  },
  "indian-pines": {
    title: "one scene from the air in 200 bands, 16 classes, patches of 9 x 9",
    source: INDIAN_PINES_SOURCE,
    options: INDIAN_PINES,
    load: ({ shares, ...options }) => indianPines({ ...options, ...(shares && { shares: toShares(shares) }) }),
  },
  folder: {
    title: "your own: a folder of JPEG or PNG pictures for each class, all in the folder --dir",
    options: FOLDER,
    load: async ({ dir, download: _, verify: __, onProgress: ___, onChecked, ...options }) => {
      if (dir === undefined)
        throw new DataError("folder: data.dir must name a folder of pictures; got nothing. Give --dir.");
      // Who is told that the pictures could be read wants to know it of their files, not of what was kept of them.
      const splits = await pictureFolder(dir, { ...options, redecode: onChecked !== undefined });
      onChecked?.({ file: dir, by: "content" });
      return splits;
    },
  },
  npz: {
    title: "your own: x_train, y_train, x_test, y_test in an npz file or as npy files in a folder (--file)",
    options: NPZ,
    whole: ALL_TRAIN,
    load: async ({ file, maxUnpacked: maxBytes, layout, train, validation, calibration, order, seed }) => {
      if (file !== undefined)
        return npz(file, defined({ maxBytes, layout, train, validation, calibration, order, seed }));
      throw new DataError("npz: data.file must name an npz file or a folder of npy files; got nothing. Give --file.");
    },
  },
};

function toShares([train = 0, validation = 0, calibration = 0, test = 0]: readonly number[]) {
  return { train, validation, calibration, test };
}
