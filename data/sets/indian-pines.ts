// Indian Pines (AVIRIS, 1992): one scene of 145 x 145 pixels and 200 bands, 10,249 of them labelled with 16 classes. A
// sample is the patch around a labelled pixel. Where parts are drawn at random, their patches overlap and the test part
// is not unseen; `disjoint-block` cuts the scene into blocks, and no patch shows anything of another part's blocks. Its
// samples come in few blocks, so they are neither independent nor exchangeable.

import { type Kinds, only, option, permuted } from "../../base/index.ts";
import { createDataset, type Dataset } from "../dataset.ts";
import { complete, DataError, ensure, readOptions } from "../errors.ts";
import { FILES, type FileOptions, folderOf, type OfficialFile, type SetSource } from "../files.ts";
import { toInt32 } from "../formats/bytes.ts";
import { decodeMat5, type MatArray, matArray } from "../formats/mat5.ts";
import { readOfficial } from "../obtain.ts";
import { checkSplits, SPLIT, type Splits } from "../splits.ts";
import { assignBlocks, assignRandom, PART_NAMES, type Shares } from "./scene-split.ts";

const addresses = (path: string): readonly string[] =>
  ["https", "http"].map((scheme) => `${scheme}://www.ehu.eus/ccwintco/uploads/${path}`);

const CUBE: OfficialFile = {
  name: "Indian_pines_corrected.mat",
  checksum: { algorithm: "git-blob", hex: "75b6d6e7df046fce91eda23e7559e274c92da711" },
  urls: addresses("6/67/Indian_pines_corrected.mat"),
};
const TRUTH: OfficialFile = {
  name: "Indian_pines_gt.mat",
  bytes: 1125,
  checksum: { algorithm: "sha256", hex: "65c4687a8ab04f6da4789799bc3bc4f6e88bccac3ed6a2e6ae367e5e6b9e429c" },
  urls: addresses("c/c4/Indian_pines_gt.mat"),
};

/** The official files of Indian Pines. */
export const INDIAN_PINES_SOURCE: SetSource = { folder: "indian-pines", files: [CUBE, TRUTH] };

/** The 16 classes. */
export const INDIAN_PINES_CLASSES: readonly string[] = [
  "Alfalfa",
  "Corn-notill",
  "Corn-mintill",
  "Corn",
  "Grass-pasture",
  "Grass-trees",
  "Grass-pasture-mowed",
  "Hay-windrowed",
  "Oats",
  "Soybean-notill",
  "Soybean-mintill",
  "Soybean-clean",
  "Wheat",
  "Woods",
  "Buildings-Grass-Trees-Drives",
  "Stone-Steel-Towers",
];

/** How the scene is cut into samples and parts. */
export interface IndianPinesOptions extends FileOptions {
  /** `disjoint-block` (default) or `random`, as most papers do. */
  readonly split?: "random" | "disjoint-block";
  /** Side of a patch in pixels, odd; default 9. */
  readonly patch?: number;
  /** Side of a block in pixels; default 12. */
  readonly block?: number;
  /**
   * The share of each part, of what they leave nothing is read; default .4 train, .1 validation, .2 calibration, .3
   * test.
   */
  readonly shares?: Shares;
  /** Default 1. */
  readonly seed?: number;
}

/** Those of them that a command has too. */
export const SCENE = {
  split: option.choice(["disjoint-block", "random"], "how the scene is split"),
  patch: option.whole(9, "side of a sample in pixels, odd", { min: 1 }),
  block: option.whole(12, "side of a block in pixels", { min: 1 }),
} as const;

const INDIAN_PINES: Kinds<IndianPinesOptions> = { ...FILES, ...SCENE, shares: "any", seed: SPLIT.seed };

const DEFAULT_SHARES: Shares = { train: 0.4, validation: 0.1, calibration: 0.2, test: 0.3 };

/**
 * Indian Pines: patch x patch x 200 bytes, 16 classes. Each band is brought to 0..255 by its range over the training
 * pixels, and normalised by their mean and deviation. Columns `row` and `column` say where a sample lies; its id is row
 * * 145 + column. Under `disjoint-block` the parts hold overlapping patches of few blocks, neither independent draws
 * nor exchangeable, so certified risks are not proven there. Under `random` they speak of this scene's pixels alone.
 * @throws DataError for a missing or damaged file, files that do not fit each other, or an option out of its range.
 */
export async function indianPines(options: IndianPinesOptions = {}): Promise<Splits> {
  const { shares = DEFAULT_SHARES, seed = 1 } = readOptions("indianPines", options, INDIAN_PINES);
  const { split, patch, block } = complete("indianPines", SCENE, only(SCENE, options));
  ensure(patch % 2 === 1, () => `indianPines: patch must be odd; got ${patch}.`);
  const total = PART_NAMES.reduce((sum, name) => sum + shares[name], 0);
  // Shares like .4 + .1 + .2 + .3 do not add up to 1 exactly.
  ensure(total <= 1 + 1e-9, () => `indianPines: the shares must add up to at most 1; got ${total}.`);
  ensure(shares.train > 0, () => `indianPines: the share of train must be positive; got ${shares.train}.`);
  const scene = await readScene(options);
  const isBlocked = split === "disjoint-block";
  const parts = isBlocked
    ? assignBlocks(scene.truth, scene.height, scene.width, block, shares, seed)
    : assignRandom(scene.truth, shares, seed);
  const codes = encodeBands(scene, parts);
  const cut = (part: number): Dataset => cutPatches(scene, codes, parts, part, patch, isBlocked);
  const how = isBlocked
    ? `disjoint-block: blocks of ${block} x ${block} pixels by seed ${seed}; what a patch would show of other parts is blanked; samples of a block are alike, so what calibration promises of independent or exchangeable ones is not proven here`
    : `random: pixels by seed ${seed}; patches of different parts overlap, so the test figures flatter`;
  const [train, validation, calibration, test] = [cut(0), cut(1), cut(2), cut(3)];
  const counts = `${train.size} train, ${validation.size} validation, ${calibration.size} calibration, ${test.size} test`;
  return checkSplits("indianPines", {
    train,
    validation,
    calibration,
    test,
    protocol: `${how} (patch ${patch} x ${patch}; ${counts} samples)`,
  });
}

interface Scene {
  readonly height: number;
  readonly width: number;
  readonly bands: number;
  /** Per pixel, 0 for none; row-major. */
  readonly truth: Int32Array;
  readonly cube: MatArray;
}

async function readScene(options: FileOptions): Promise<Scene> {
  const folder = folderOf(INDIAN_PINES_SOURCE, options);
  const read = async (file: OfficialFile, name: string): Promise<MatArray> => {
    const { bytes, path } = await readOfficial("indianPines", file, folder, options);
    return matArray(await decodeMat5(bytes, path), name, path);
  };
  const cube = await read(CUBE, "indian_pines_corrected");
  const labels = await read(TRUTH, "indian_pines_gt");
  const [height = 0, width = 0, bands = 0] = cube.shape;
  ensure(
    cube.shape.length === 3 && labels.shape[0] === height && labels.shape[1] === width,
    () => `indianPines: ${TRUTH.name} must be [${height}, ${width}] as the cube; got [${labels.shape.join(", ")}].`,
    { file: TRUTH.name },
  );
  const columnMajor = toInt32(labels.data, `indianPines: ${TRUTH.name}`);
  const truth = permuted(columnMajor, [width, height], [1, 0], new Int32Array(columnMajor.length));
  if (!truth.some((label) => label > 0)) throw new DataError(`indianPines: ${TRUTH.name} must label pixels; got none.`);
  return { height, width, bands, truth, cube };
}

/** The cube as bytes [height, width, bands], and what the training pixels say about each band. */
interface Codes {
  readonly bytes: Uint8Array;
  readonly mean: number[];
  readonly std: number[];
}

/** Nothing but training pixels decides the scale, so that no test value leaks into it. */
function encodeBands({ height, width, bands, cube }: Scene, parts: Int8Array): Codes {
  const pixels = height * width;
  const bytes = new Uint8Array(pixels * bands);
  const mean: number[] = [];
  const std: number[] = [];
  for (let band = 0; band < bands; band++) {
    const valueAt = (p: number): number =>
      Number(cube.data[Math.floor(p / width) + height * ((p % width) + width * band)]);
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let p = 0; p < pixels; p++) {
      if (parts[p] !== 0) continue;
      low = Math.min(low, valueAt(p));
      high = Math.max(high, valueAt(p));
    }
    const scale = high > low ? 255 / (high - low) : 0;
    let count = 0;
    let sum = 0;
    let squares = 0;
    for (let p = 0; p < pixels; p++) {
      const code = Math.min(255, Math.max(0, Math.round((valueAt(p) - low) * scale)));
      bytes[p * bands + band] = code;
      if (parts[p] !== 0) continue;
      count++;
      sum += code;
      squares += code * code;
    }
    mean.push(sum / count / 255);
    // A band without variation would divide by zero; one step of a byte is the least that can be told.
    std.push(Math.max(1, Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2))) / 255);
  }
  return { bytes, mean, std };
}

/**
 * The patches around the pixels of one part. Pixels beyond the scene, and those of other parts if blanked, are the
 * mean.
 */
function cutPatches(
  { height, width, bands, truth }: Scene,
  { bytes, mean, std }: Codes,
  parts: Int8Array,
  part: number,
  patch: number,
  isBlanked: boolean,
): Dataset {
  const ids = Int32Array.from(truth.keys()).filter((p) => truth[p]! > 0 && parts[p] === part);
  const radius = (patch - 1) / 2;
  const blank = Uint8Array.from(mean, (x) => Math.round(255 * x));
  const images = new Uint8Array(ids.length * patch * patch * bands);
  let to = 0;
  for (const id of ids) {
    const row = Math.floor(id / width);
    const column = id % width;
    for (let y = row - radius; y <= row + radius; y++) {
      for (let x = column - radius; x <= column + radius; x++, to += bands) {
        const p = y * width + x;
        const isInside = y >= 0 && y < height && x >= 0 && x < width;
        const isShown = isInside && !(isBlanked && parts[p] !== part);
        images.set(isShown ? bytes.subarray(p * bands, (p + 1) * bands) : blank, to);
      }
    }
  }
  return createDataset({
    images,
    labels: ids.map((p) => truth[p]! - 1),
    ids,
    shape: [patch, patch, bands],
    classes: INDIAN_PINES_CLASSES,
    columns: {
      row: Float32Array.from(ids, (p) => Math.floor(p / width)),
      column: Float32Array.from(ids, (p) => p % width),
    },
    meta: { name: "indian-pines", split: PART_NAMES[part]!, mean, std },
  });
}
