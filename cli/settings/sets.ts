/** The data sets that commands know by name: what they are, their official files, which settings they take, and how to load them. */

import { SortieError } from "../../base/index.ts";
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
  type IndianPinesOptions,
  indianPines,
  MNIST_SOURCE,
  mnist,
  npz,
  type SetSource,
  type Splits,
  SVHN_SOURCE,
  svhn,
} from "../../data/index.ts";

/** All that the sets of this list can be told; `takes` says which set takes what. */
interface SetOptions extends Cifar100Options, Pick<IndianPinesOptions, "split" | "patch" | "block"> {
  /** Test images, where the set does not fix them. */
  readonly test?: number;
  /** Of train, validation, calibration and test. */
  readonly shares?: readonly number[];
  /** Of one's own. */
  readonly file?: string;
}

/** Name of a setting. */
export type SetKey = Exclude<keyof SetOptions, "seed" | "verify" | "onProgress" | "onChecked" | "patience" | "signal">;

/** A data set by name. */
export interface KnownSet {
  /** For people. */
  readonly title: string;
  /** None: it is drawn by code, or one's own. */
  readonly source?: SetSource;
  /** Besides the seed, which all take. */
  readonly takes: readonly SetKey[];
  /** Sizes of the parts with which every file and label is looked at; none: the usual ones do that. */
  readonly whole?: SetOptions;
  load(options: SetOptions): Promise<Splits>;
}

const FILES = ["dir", "download"] as const;
const PARTS = ["train", "validation", "calibration"] as const;
/** Cut from an official training set, beside an official test set. */
const OFFICIAL = [...FILES, ...PARTS, "order"] as const;
const ALL_TRAIN = { validation: 0, calibration: 0 };

/** By the name that `--data` takes. */
export const SETS = {
  glyphs: {
    title: "ten glyphs, 28 x 28 x 1, drawn by code with a known difficulty",
    takes: [...PARTS, "test"],
    load: async ({ train, validation, calibration, test, seed }) =>
      glyphs(defined({ train, validation, calibration, test, seed })),
  },
  "fashion-mnist": {
    title: "clothes, 28 x 28 x 1, 60,000 + 10,000",
    source: FASHION_MNIST_SOURCE,
    takes: OFFICIAL,
    whole: ALL_TRAIN,
    load: fashionMnist,
  },
  mnist: {
    title: "digits, 28 x 28 x 1, 60,000 + 10,000",
    source: MNIST_SOURCE,
    takes: OFFICIAL,
    whole: ALL_TRAIN,
    load: mnist,
  },
  cifar10: {
    title: "photographs, 32 x 32 x 3, 10 classes, 50,000 + 10,000",
    source: CIFAR10_SOURCE,
    takes: OFFICIAL,
    whole: ALL_TRAIN,
    load: cifar10,
  },
  cifar100: {
    title: "photographs, 32 x 32 x 3, 100 classes or 20, 50,000 + 10,000",
    source: CIFAR100_SOURCE,
    takes: [...OFFICIAL, "labels"],
    whole: ALL_TRAIN,
    load: cifar100,
  },
  svhn: {
    title: "house numbers, 32 x 32 x 3, 73,257 + 26,032",
    source: SVHN_SOURCE,
    takes: OFFICIAL,
    whole: ALL_TRAIN,
    load: svhn,
  },
  cinic10: {
    title: "photographs, 32 x 32 x 3, 10 classes, 270,000 in three parts",
    source: CINIC10_SOURCE,
    takes: [...FILES, ...PARTS, "test"],
    whole: { train: 90_000, validation: 90_000, calibration: 0, test: 90_000 },
    load: cinic10,
  },
  "indian-pines": {
    title: "one scene from the air in 200 bands, 16 classes, patches of 9 x 9",
    source: INDIAN_PINES_SOURCE,
    takes: [...FILES, "split", "patch", "block", "shares"],
    load: ({ shares, ...options }) => indianPines({ ...options, ...(shares && { shares: toShares(shares) }) }),
  },
  npz: {
    title: "your own: x_train, y_train, x_test, y_test in an npz file or as npy files in a folder (--file)",
    takes: ["file", ...PARTS, "order"],
    whole: ALL_TRAIN,
    load: async ({ file, train, validation, calibration, order, seed }) => {
      if (file !== undefined) return npz(file, defined({ train, validation, calibration, order, seed }));
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
