// The data sets that commands know by name: what they are, their official files, their options, and how to load them.

import { type Given, type OptionSet, option, preset, SortieError } from "../../base/index.ts";
import {
  CIFAR10_SOURCE,
  CIFAR100_SOURCE,
  CINIC10_SOURCE,
  type Cifar100Options,
  cifar10,
  cifar100,
  cinic10,
  FASHION_MNIST_SOURCE,
  fashionMnist,
  glyphs,
  INDIAN_PINES_SOURCE,
  indianPines,
  MNIST_SOURCE,
  mnist,
  npz,
  type SetSource,
  type Splits,
  SVHN_SOURCE,
  svhn,
} from "../../data/index.ts";

const FILES = {
  dir: option.text(undefined, "folder of its files (default: the cache, see sortie data)"),
  download: option.toggle(undefined, "fetch missing files"),
} as const;
const TRAIN = option.whole(undefined, "training images (default: all that the others leave)", { min: 1 });
const PARTS = {
  train: TRAIN,
  validation: option.whole(5000, "images for choices", { min: 1 }),
  calibration: option.whole(5000, "images for thresholds", { min: 1 }),
} as const;
const TEST = option.whole(undefined, "test images, where the set does not fix them", { min: 1 });
const ORDER = option.choice(["shuffled", "file"], "how the official training images are split");
/** Cut from an official training set, beside an official test set. */
const OFFICIAL = { ...FILES, ...PARTS, order: ORDER } as const;
const GLYPHS = {
  train: preset(PARTS.train, 8000),
  validation: preset(PARTS.validation, 2000),
  calibration: preset(PARTS.calibration, 4000),
  test: preset(TEST, 2000),
} as const;
const CINIC10 = { ...FILES, ...PARTS, test: TEST } as const;
const CIFAR100 = { ...OFFICIAL, labels: option.choice(["fine", "coarse"], "100 or 20 classes") } as const;
const INDIAN_PINES = {
  ...FILES,
  split: option.choice(["disjoint-block", "random"], "how the scene is split"),
  patch: option.whole(9, "side of a sample in pixels, odd", { min: 1 }),
  block: option.whole(12, "side of a block in pixels", { min: 1 }),
  // Four tenths of 10,249 pixels make 64 steps an epoch.
  shares: option.list([0.4, 0.1, 0.2, 0.3], "shares of train, validation, calibration and test", {
    must: "a list of four numbers, 0.4,0.1,0.2,0.3",
    min: 0,
    max: 1,
    length: 4,
  }),
} as const;
const NPZ = {
  file: option.text(undefined, "npz file, or folder of npy files"),
  maxUnpacked: option.whole(undefined, "bytes that a compressed array may unpack to (default: 1,000 times the file)", {
    min: 1,
  }),
  ...PARTS,
  order: ORDER,
} as const;

/** What all sets take besides their own options. */
interface Reading extends Pick<Cifar100Options, "seed" | "verify" | "onProgress" | "onChecked"> {}

/** All that the sets of this list can be told. */
export interface SetOptions
  extends Reading,
    Given<typeof GLYPHS & typeof CIFAR100 & typeof INDIAN_PINES & typeof NPZ> {}

/** A data set by name. */
export interface KnownSet {
  /** For people. */
  readonly title: string;
  /** None: it is drawn by code, or one's own. */
  readonly source?: SetSource;
  /** Besides the seed, which all take. */
  readonly options: OptionSet;
  /** Sizes of the parts with which every file and label is looked at; none: the usual ones do that. */
  readonly whole?: SetOptions;
  load(options: SetOptions): Promise<Splits>;
}

const ALL_TRAIN = { validation: 0, calibration: 0 };

/** By the name that `--data` takes. */
export const SETS = {
  glyphs: {
    title: "ten glyphs, 28 x 28 x 1, drawn by code with a known difficulty",
    options: GLYPHS,
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
  npz: {
    title: "your own: x_train, y_train, x_test, y_test in an npz file or as npy files in a folder (--file)",
    options: NPZ,
    whole: ALL_TRAIN,
    load: async ({ file, maxUnpacked: maxBytes, train, validation, calibration, order, seed }) => {
      if (file !== undefined) return npz(file, defined({ maxBytes, train, validation, calibration, order, seed }));
      throw new SortieError("npz: data.file must name an npz file or a folder of npy files; got nothing. Give --file.");
    },
  },
} satisfies Readonly<Record<string, KnownSet>>;

/** Name of a known data set. */
export type SetName = keyof typeof SETS;

/** All names, for messages and choices. */
export const SET_NAMES = Object.keys(SETS) as readonly SetName[];

/** The known set of a name. @throws Error that lists the names. */
export function knownSet(command: string, name: string): KnownSet {
  const found = (SETS as Readonly<Record<string, KnownSet>>)[name];
  if (found) return found;
  throw new SortieError(`${command}: the data set must be one of ${SET_NAMES.join(", ")}; got "${name}".`);
}

function toShares([train = 0, validation = 0, calibration = 0, test = 0]: readonly number[]) {
  return { train, validation, calibration, test };
}

/** Without the keys whose value is undefined: exact optional properties do not take those. */
export function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
