// Pictures of one's own: a folder for each class, with JPEG and PNG files of any size, undivided or in folders train,
// val and test.

import { type ImageBytes, type Kinds, only, option } from "../../base/index.ts";
import { createDataset, type Dataset, type ImageShape, scaleOf, subset } from "../dataset.ts";
import { complete, ensure, readOptions } from "../errors.ts";
import { node } from "../files.ts";
import { FIT, type PictureFit } from "../fit.ts";
import { type DecodeProgress, decodedPictures } from "../pictures/cache.ts";
import { type GivenPart, type Listing, listPictures } from "../pictures/listing.ts";
import { type Drawn, drawParts } from "../pictures/parts.ts";
import { amount, checkSplits, countOf, SPLIT, type Splits } from "../splits.ts";

/** How pictures become images of one size, and how they are divided. */
export const PICTURES = {
  size: option.list([64], "height and width that pictures are brought to, one number for both", {
    must: "one or two whole numbers from 1 on",
    min: 1,
    whole: true,
  }),
  channels: option.whole(3, "3 in colour, 1 in grey", { min: 1, max: 3 }),
  ...FIT,
  train: amount(undefined, "training images (default: all that the others leave)"),
  validation: amount(0.1, "images for choices"),
  calibration: amount(0.2, "images for thresholds"),
  test: amount(0.2, "test images"),
} as const;

/** Options of `pictureFolder`. */
export interface PictureFolderOptions extends PictureFit {
  /** Height and width, or one number for both; default [64]. */
  readonly size?: readonly number[];
  /** 3 (default): in colour; 1: in grey. */
  readonly channels?: number;
  /** How many, or below 1 what share, of all pictures, or of those in a folder train. Default: the rest. */
  readonly train?: number;
  /** Default 0.1. A folder `val` takes its place; without a folder `calibration` half of that is for thresholds. */
  readonly validation?: number;
  /** Default 0.2. */
  readonly calibration?: number;
  /** Default 0.2, unless there is a folder `test`. */
  readonly test?: number;
  /** Of the division; default 1. */
  readonly seed?: number;
  /** Per channel, of values divided by 255; default: of the training part. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  /** Folder where decoded pictures are kept; default `pictures` in the cache folder. */
  readonly cache?: string;
  /** Decode every picture again, whatever is kept there; default false. */
  readonly redecode?: boolean;
  /** Called after each picture that is decoded. */
  readonly onDecoded?: (progress: DecodeProgress) => void;
  readonly signal?: AbortSignal;
}

const KINDS: Kinds<PictureFolderOptions> = {
  ...PICTURES,
  seed: SPLIT.seed,
  mean: "any",
  std: "any",
  cache: "string",
  redecode: "boolean",
  onDecoded: "function",
  signal: "any",
};

const PARTS = ["train", "validation", "calibration", "test"] as const;

/**
 * Pictures from a folder that has a folder of JPEG and PNG files for each class, all brought to one size; in Node.
 * Cameras' orientation is applied, transparency dropped, 16 bits are cut to 8. Decoded pictures are kept in the cache
 * folder and read from there, so that a set need not fit into memory. Where the folder is not divided into train, val
 * and test, parts are drawn by seed, every class alike in each, and copies of a picture stay in one part.
 * @throws DataError naming a damaged file, one in CMYK, a class without pictures, or a part that is too large.
 */
export async function pictureFolder(dir: string, options: PictureFolderOptions = {}): Promise<Splits<ImageBytes>> {
  const given = readOptions("pictureFolder", options, KINDS);
  const { size, channels, fit, filter, keep, ...amounts } = complete("pictureFolder", PICTURES, only(PICTURES, given));
  ensure(
    size.length >= 1 && size.length <= 2 && channels !== 2,
    () =>
      `pictureFolder: size must be one or two numbers, and channels 1 or 3; got [${size.join(", ")}] and ${channels}.`,
  );
  const [height = 0, width = height] = size;
  const shape: ImageShape = [height, width, channels];
  const listing = await listPictures(dir);
  const { cache, redecode, onDecoded, signal, seed = 1 } = given;
  const place = { cache, redecode, onDecoded, signal };
  const { images, digests } = await decodedPictures(dir, listing, { shape, fit: { fit, filter, keep }, ...place });
  const labels = Int32Array.from(listing.files, ({ label }) => label);
  const { basename, resolve } = node("node:path");
  const each = <T>(value: T): T[] => new Array<T>(channels).fill(value);
  const meta = { name: basename(resolve(dir)), split: "all", mean: each(0), std: each(1) };
  const all = createDataset<ImageBytes>({ images, labels, shape, classes: listing.classes, meta });
  const rows = divide(dir, listing, digests, amounts, seed);
  const parts = Object.fromEntries(PARTS.map((part) => [part, subset(all, rows[part], part)])) as Parts;
  checkTraining(dir, parts.train);
  const protocol = `${sizes(parts)} of ${all.size} pictures in ${dir} (${howDivided(listing, seed)})${notes(listing, digests, rows)}`;
  return checkSplits("pictureFolder", { ...scaled(parts, given), protocol });
}

type Parts = Record<(typeof PARTS)[number], Dataset<ImageBytes>>;
type Rows = Record<(typeof PARTS)[number], Int32Array>;

/** The rows of each part: those that the folder says, and drawn ones where it says nothing. */
function divide(
  dir: string,
  { files }: Listing,
  digests: readonly string[],
  amounts: Readonly<Record<Drawn, number>> & { readonly train: number | undefined },
  seed: number,
): Rows {
  const labels = files.map(({ label }) => label);
  const of = (...parts: readonly GivenPart[]) => [...files.keys()].filter((row) => parts.includes(files[row]!.part));
  const pool = of("all", "train");
  const [held, calibration, test] = [of("validation"), of("calibration"), of("test")];
  // Validation pictures that are given are shared out, rather than training pictures taken away.
  const isShared = held.length > 0 && calibration.length === 0;
  const counts = {
    ...(test.length === 0 && { test: countOf(amounts.test, pool.length) }),
    ...(calibration.length === 0 && !isShared && { calibration: countOf(amounts.calibration, pool.length) }),
    ...(held.length === 0 && { validation: countOf(amounts.validation, pool.length) }),
  };
  const asked = Object.values(counts).reduce((sum, count) => sum + count, 0);
  ensure(
    asked < pool.length,
    () =>
      `pictureFolder: the held-out parts must leave pictures of ${dir} to train on; got ${asked} of ${pool.length}.`,
    { file: dir },
  );
  const drawn = drawParts({ rows: pool, labels, digests }, counts, seed);
  const shared = isShared
    ? drawParts({ rows: held, labels, digests }, { calibration: Math.floor(held.length / 2) }, seed)
    : undefined;
  const most = amounts.train === undefined ? drawn.train.length : countOf(amounts.train, pool.length);
  // Shares are of all pictures, and rounded; where copies stay together, fewer may be left than were to be.
  ensure(
    most <= pool.length - asked || (amounts.train ?? 0) < 1,
    () =>
      `pictureFolder: train must leave what the other parts of ${dir} take; got ${most} of ${pool.length - asked} left.`,
    { file: dir },
  );
  return {
    train: drawn.train.subarray(0, most),
    validation: shared?.train ?? (held.length > 0 ? Int32Array.from(held) : drawn.validation),
    calibration: shared?.calibration ?? (calibration.length > 0 ? Int32Array.from(calibration) : drawn.calibration),
    test: test.length > 0 ? Int32Array.from(test) : drawn.test,
  };
}

function checkTraining(dir: string, { labels, classes }: Dataset<ImageBytes>): void {
  const missing = classes.find((_, label) => !labels.includes(label));
  ensure(
    missing === undefined,
    () => `pictureFolder: ${dir} must have training pictures of every class; got none of ${missing}.`,
    { file: dir },
  );
}

const sizes = (parts: Parts): string => {
  const [last, ...others] = PARTS.map((part) => `${parts[part].size} ${part}`).reverse();
  return `${others.reverse().join(", ")} and ${last}`;
};

function howDivided({ files }: Listing, seed: number): string {
  const given = new Set(files.map(({ part }) => part));
  if (given.has("all")) return `drawn by seed ${seed}, every class alike in each part`;
  return `divided as the folder is; what it lacks is drawn by seed ${seed}`;
}

/** What should be known of a set: pictures in two parts, in two classes, and those that cannot be read. */
function notes({ files, others, classes }: Listing, digests: readonly string[], rows: Rows): string {
  const partOf = new Map(PARTS.flatMap((part) => Array.from(rows[part], (row) => [row, part] as const)));
  const firsts = new Map<string, number>();
  const across: string[] = [];
  const apart: string[] = [];
  let copies = 0;
  for (const [row, part] of [...partOf].sort(([a], [b]) => a - b)) {
    const first = firsts.get(digests[row]!);
    if (first === undefined) {
      firsts.set(digests[row]!, row);
      continue;
    }
    copies++;
    const pair = `${files[first]!.path} and ${files[row]!.path}`;
    if (partOf.get(first) !== part) across.push(`${pair} (${partOf.get(first)}, ${part})`);
    if (files[first]!.label !== files[row]!.label)
      apart.push(`${pair} (${classes[files[first]!.label]}, ${classes[files[row]!.label]})`);
  }
  const such = (found: readonly string[]) => `${found[0]}${found.length > 1 ? ` and ${found.length - 1} more` : ""}`;
  const sentences = [
    copies > 0 && `copies of others: ${copies}`,
    across.length > 0 &&
      `the same picture is in two parts, so what is found on one may not hold for new pictures: ${such(across)}`,
    apart.length > 0 && `the same picture is in two classes: ${such(apart)}`,
    others.length > 0 && `pictures that are neither JPEG nor PNG are left out: ${such(others)}`,
  ].filter((sentence) => sentence !== false);
  return sentences.map((sentence) => `; ${sentence}`).join("");
}

/** All parts on the scale of the training part. */
function scaled(parts: Parts, options: PictureFolderOptions): Parts {
  const scale = scaleOf(parts.train, options);
  const entries = PARTS.map((part) => [part, { ...parts[part], meta: { ...parts[part].meta, ...scale } }]);
  return Object.fromEntries(entries) as Parts;
}
