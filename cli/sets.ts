/** The data sets that commands know by name: what they are, their official files, and how to load them. */

import {
  CIFAR10_FILES,
  CIFAR100_FILES,
  CINIC10_FILES,
  cifar10,
  cifar100,
  cinic10,
  type DataOptions,
  FASHION_MNIST_FILES,
  fashionMnist,
  glyphs,
  INDIAN_PINES_FILES,
  indianPines,
  MNIST_FILES,
  mnist,
  type OfficialFile,
  type Splits,
  SVHN_FILES,
  svhn,
} from "../data/index.ts";

/** Where a set's files are, what may be done to get them, and the sizes of the parts. */
export interface SetOptions extends DataOptions {
  /** Glyphs and CINIC-10 only: the others have a test set of a given size. */
  readonly test?: number;
}

/** A data set by name. */
export interface KnownSet {
  /** For people. */
  readonly title: string;
  /** None: it is drawn by code. */
  readonly files: readonly OfficialFile[];
  load(options: SetOptions): Promise<Splits>;
}

/** By the name that `--data` takes. */
export const SETS = {
  glyphs: {
    title: "ten glyphs, 28 x 28 x 1, drawn by code with a known difficulty",
    files: [],
    load: async ({ train, validation, calibration, test, seed }: SetOptions) =>
      glyphs(defined({ train, validation, calibration, test, seed })),
  },
  "fashion-mnist": {
    title: "clothes, 28 x 28 x 1, 60,000 + 10,000",
    files: FASHION_MNIST_FILES,
    load: fashionMnist,
  },
  mnist: { title: "digits, 28 x 28 x 1, 60,000 + 10,000", files: MNIST_FILES, load: mnist },
  cifar10: { title: "photographs, 32 x 32 x 3, 10 classes, 50,000 + 10,000", files: CIFAR10_FILES, load: cifar10 },
  cifar100: { title: "photographs, 32 x 32 x 3, 100 classes, 50,000 + 10,000", files: CIFAR100_FILES, load: cifar100 },
  svhn: { title: "house numbers, 32 x 32 x 3, 73,257 + 26,032", files: SVHN_FILES, load: svhn },
  cinic10: {
    title: "photographs, 32 x 32 x 3, 10 classes, 270,000 in three parts",
    files: CINIC10_FILES,
    load: cinic10,
  },
  "indian-pines": {
    title: "one scene from the air in 200 bands, 16 classes, patches of 9 x 9",
    files: INDIAN_PINES_FILES,
    load: (options: SetOptions) => indianPines(options),
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
  throw new Error(`${command}: the data set must be one of ${SET_NAMES.join(", ")}; got "${name}".`);
}

/** Without the keys whose value is undefined: exact optional properties do not take those. */
export function defined<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
