// Cuts a data set into train, validation, calibration and test parts that never share a sample.

import { firstTwice, type ImageBytes, type Kinds, type Option, only, option } from "../base/index.ts";
import { type Dataset, subset } from "./dataset.ts";
import { complete, DataError, ensure } from "./errors.ts";
import { Stream, shuffledOrder } from "./random.ts";

/** Four parts of one data set without a common sample. */
export interface Splits<Bytes extends ImageBytes = Uint8Array> {
  /** For the weights. */
  readonly train: Dataset<Bytes>;
  /** For choices: model, temperature, threshold grid. */
  readonly validation: Dataset<Bytes>;
  /** For thresholds with a guarantee, and nothing else. */
  readonly calibration: Dataset<Bytes>;
  /** For the report, and nothing else. */
  readonly test: Dataset<Bytes>;
  /** One sentence for the report: how the parts were made. */
  readonly protocol: string;
}

/** `shuffled`: by the seed; `file`: consecutive, in the order of the file. */
export type Order = "shuffled" | "file";

/** How many of some samples: a number, or a share of them. */
export const amount = <T extends number | undefined>(value: T, about: string): Option<T | number> => ({
  kind: "number",
  about,
  default: value,
  must: "a whole number of at least 0, or a share below 1",
  fits: (given) => typeof given === "number" && given >= 0 && (given < 1 || Number.isSafeInteger(given)),
});

/** Of `n` samples the number that an amount means. */
export const countOf = (given: number, n: number): number => (given < 1 ? Math.round(given * n) : given);

/** How many samples each part gets, and how they are drawn. */
export const SPLIT = {
  train: amount(undefined, "training images (default: all that the others leave)"),
  validation: amount(5000, "images for choices"),
  calibration: amount(5000, "images for thresholds"),
  seed: option.seed(1, "seed of the split"),
  order: option.choice(["shuffled", "file"], "how the official training images are split"),
} as const satisfies Kinds<SplitOptions>;

/** How many samples each part gets: a number, or below 1 a share of the official training set. */
export interface SplitOptions {
  /** Default: what the others leave. */
  readonly train?: number;
  /** Default 5000. */
  readonly validation?: number;
  /** Default 5000. */
  readonly calibration?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Default `shuffled`; `file` puts train first, then validation, then calibration. */
  readonly order?: Order;
}

/**
 * Cuts `n` samples into consecutive runs of an order: by seed, or as they lie.
 * @throws DataError if more samples are asked for than there are.
 */
export function splitIndices<Part extends string>(
  op: string,
  n: number,
  counts: Readonly<Record<Part, number>>,
  { order, seed }: { readonly order: Order; readonly seed: number },
): Record<Part, Int32Array> {
  const given = Object.entries<number>(counts);
  const total = given.reduce((sum, [, count]) => sum + count, 0);
  ensure(total <= n, () => {
    const parts = given.map(([name, count]) => `${name} ${count}`);
    return `${op}: the parts must have at most ${n} samples together; got ${parts.join(" + ")} = ${total}.`;
  });
  const all =
    order === "file" ? Int32Array.from({ length: n }, (_, i) => i) : shuffledOrder(n, new Stream(seed, "split"));
  let start = 0;
  const runs = given.map(([name, count]) => {
    start += count;
    return [name, all.slice(start - count, start)];
  });
  return Object.fromEntries(runs) as Record<Part, Int32Array>;
}

/** Cuts the official training set in three; the official test set stays whole. */
export function splitOfficial(op: string, training: Dataset, test: Dataset, options: SplitOptions = {}): Splits {
  const { seed, order, ...asked } = complete(op, SPLIT, only(SPLIT, options));
  const [validation, calibration] = [asked.validation, asked.calibration].map((given) =>
    countOf(given, training.size),
  ) as [number, number];
  const rest = Math.max(0, training.size - validation - calibration);
  const train = asked.train === undefined ? rest : countOf(asked.train, training.size);
  const parts = splitIndices(op, training.size, { train, validation, calibration }, { order, seed });
  return checkSplits(op, {
    train: subset(training, parts.train, "train"),
    validation: subset(training, parts.validation, "validation"),
    calibration: subset(training, parts.calibration, "calibration"),
    test,
    protocol:
      `${train} train, ${validation} validation and ${calibration} calibration samples of the official training set ` +
      `(${order === "file" ? "in file order" : `shuffled by seed ${seed}`}), ${test.size} official test samples`,
  });
}

/** Returns `splits` if no id is in it twice. @throws DataError that names an id and the two parts. */
export function checkSplits<Bytes extends ImageBytes>(op: string, splits: Splits<Bytes>): Splits<Bytes> {
  const { train, validation, calibration, test } = splits;
  const twice = firstTwice({ train, validation, calibration, test });
  if (twice) {
    const { id, first, second } = twice;
    throw new DataError(`${op}: parts must not share a sample; got id ${id} in ${first} and in ${second}.`);
  }
  return splits;
}
