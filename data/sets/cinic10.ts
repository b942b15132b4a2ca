// CINIC-10 (Darlow et al. 2018): PNG folders train, valid and test of 90,000 colour images of 32 x 32 each, from
// CIFAR-10 and ImageNet, in the classes of CIFAR-10. The official validation set gives the validation and the
// calibration part.

import { diskFull, isDiskFull, type Kinds, leftovers, partOf, readChunks, take } from "../../base/index.ts";
import { createDataset, type Dataset } from "../dataset.ts";
import { DataError, ensure, readOptions } from "../errors.ts";
import {
  FILES,
  type FileOptions,
  lookFor,
  node,
  type OfficialFile,
  placeOf,
  readBytes,
  type SetSource,
} from "../files.ts";
import { decodePng } from "../formats/png.ts";
import { readTar } from "../formats/tar.ts";
import { gunzipStream } from "../formats/unpack.ts";
import { obtain } from "../obtain.ts";
import { amount, checkSplits, countOf, SPLIT, type Splits, splitIndices } from "../splits.ts";
import { CIFAR10_CLASSES, type DataOptions } from "./options.ts";

const SIZE = 32;
const PARTS = ["train", "valid", "test"] as const;
type Part = (typeof PARTS)[number];
/** Images of each class in each part. */
const PER_CLASS = 9000;

const ARCHIVE: OfficialFile = {
  name: "CINIC-10.tar.gz",
  bytes: 687544992,
  checksum: { algorithm: "md5", hex: "6ee4d0c996905fe93221de577967a372" },
  urls: ["https://datashare.ed.ac.uk/bitstream/handle/10283/3192/CINIC-10.tar.gz"],
};

/** The official file of CINIC-10. */
export const CINIC10_SOURCE: SetSource = { folder: "cinic-10", files: [ARCHIVE], unpacked: { names: PARTS } };

/** The sizes of the parts; fewer images take less time, since only those are decoded. */
export interface Cinic10Options extends Omit<DataOptions, "order"> {
  /** Of the official test set; default all. */
  readonly test?: number;
}

/** How many images the parts get. */
export const CINIC10_PARTS = {
  train: SPLIT.train,
  validation: SPLIT.validation,
  calibration: SPLIT.calibration,
  test: amount(undefined, "test images, where the set does not fix them"),
} as const;

const CINIC10_OPTIONS: Kinds<Cinic10Options> = { ...FILES, ...CINIC10_PARTS, seed: SPLIT.seed };

/**
 * CINIC-10: 32 x 32 x 3, ten classes, normalised by .4789 .4723 .4305 / .2421 .2383 .2587. `dir` holds the folders
 * train, valid and test, or `CINIC-10.tar.gz`, which is then unpacked beside itself.
 * @throws DataError for a missing folder or one that lacks images, a damaged image (by its path), or parts that ask for
 * more samples than there are.
 */
export async function cinic10(options: Cinic10Options = {}): Promise<Splits> {
  const { seed = 1, ...given } = readOptions("cinic10", options, CINIC10_OPTIONS);
  const asked = { validation: given.validation ?? 5000, calibration: given.calibration ?? 5000 };
  const root = await unpackedFolder(options);
  const lists = {
    train: await listPart(root, "train", given),
    valid: await listPart(root, "valid", given),
    test: await listPart(root, "test", given),
  };
  const firstIds = { train: 0, valid: lists.train.length, test: lists.train.length + lists.valid.length };
  const pick = <Name extends string>(part: Part, counts: Record<Name, number>) =>
    splitIndices(`cinic10: ${part}`, lists[part].length, counts, { order: "shuffled", seed });
  const load = async (part: Part, split: string, indices: Int32Array) => {
    const images = await loadImages(lists[part], indices, split, firstIds[part]);
    // PNG files have checksums of their own, which show damage, but none that is published.
    if (indices.length > 0) options.onChecked?.({ file: node("node:path").join(root, part), by: "content" });
    return images;
  };
  const of = (part: Part, given: number | undefined) => countOf(given ?? lists[part].length, lists[part].length);
  const [train, test] = [of("train", options.train), of("test", options.test)];
  const [validation, calibration] = [of("valid", asked.validation), of("valid", asked.calibration)];
  const held = pick("valid", { validation, calibration });
  return checkSplits("cinic10", {
    train: await load("train", "train", pick("train", { train }).train),
    validation: await load("valid", "validation", held.validation),
    calibration: await load("valid", "calibration", held.calibration),
    test: await load("test", "test", pick("test", { test }).test),
    protocol:
      `${train} of the official training samples, ${validation} validation and ${calibration} calibration samples of the ` +
      `official validation set, ${test} of the official test samples (by seed ${seed})`,
  });
}

interface Listed {
  readonly path: string;
  readonly label: number;
}

/** The images of one part, sorted by class and name. */
async function listPart(root: string, part: Part, { verify = true }: FileOptions): Promise<Listed[]> {
  const path = node("node:path");
  const listed: Listed[] = [];
  for (const [label, name] of CIFAR10_CLASSES.entries()) {
    const folder = path.join(root, part, name);
    const entries = await node("node:fs/promises")
      .readdir(folder)
      .catch((cause: unknown) => {
        throw new DataError(`cinic10: ${folder} must be a folder of PNG files; got no folder.`, {
          file: folder,
          cause,
        });
      });
    const images = entries.filter((entry) => entry.endsWith(".png")).sort();
    // What a copy that broke off leaves has all its folders.
    ensure(
      !verify || images.length === PER_CLASS,
      () =>
        `cinic10: ${folder} must hold ${PER_CLASS} PNG files; got ${images.length}. Copy the rest of them, or delete the folders ${PARTS.join(", ")} and load again from ${ARCHIVE.name}, or with download: true (--download).`,
      { file: folder },
    );
    for (const image of images) listed.push({ path: path.join(folder, image), label });
  }
  return listed;
}

async function loadImages(
  list: readonly Listed[],
  indices: Int32Array,
  split: string,
  firstId: number,
): Promise<Dataset> {
  const pixels = SIZE * SIZE * 3;
  const images = new Uint8Array(indices.length * pixels);
  const chosen = take(list, indices);
  for (const [i, { path }] of chosen.entries()) {
    const { width, height, data } = decodePng(await readBytes(path), { file: path, channels: 3 });
    ensure(
      width === SIZE && height === SIZE,
      () => `cinic10: ${path} must be [${SIZE}, ${SIZE}]; got [${height}, ${width}].`,
      { file: path },
    );
    images.set(data, i * pixels);
  }
  return createDataset({
    images,
    labels: Int32Array.from(chosen, ({ label }) => label),
    ids: indices.map((index) => firstId + index),
    shape: [SIZE, SIZE, 3],
    classes: CIFAR10_CLASSES,
    meta: {
      name: "cinic-10",
      split,
      mean: [0.47889522, 0.47227842, 0.43047404],
      std: [0.24205776, 0.23828046, 0.25874835],
    },
  });
}

/** The folder that has train, valid and test; made from the archive if they are missing. */
async function unpackedFolder(options: FileOptions): Promise<string> {
  const fs = node("node:fs/promises");
  const path = node("node:path");
  const { folder: root, unpacked } = await lookFor(CINIC10_SOURCE, placeOf(options));
  if (unpacked?.isWhole) return root;
  const archive = await obtain("cinic10", ARCHIVE, root, options);
  // Unpacked aside and moved when whole, so that a kill leaves no folder that looks complete.
  const place = path.join(root, "unpacked");
  for (const left of await leftovers(place)) await fs.rm(left, { recursive: true, force: true });
  const aside = partOf(place);
  await fs.mkdir(aside);
  try {
    for await (const { name, content } of readTar(gunzipStream(readChunks(archive), archive), archive)) {
      const target = path.join(aside, name);
      ensure(target.startsWith(aside + path.sep), () => `cinic10: ${archive}: names must stay inside; got ${name}.`);
      await fs.mkdir(path.dirname(target), { recursive: true });
      await fs.writeFile(target, content);
    }
    for (const part of PARTS) {
      await fs.rm(path.join(root, part), { recursive: true, force: true });
      await fs.rename(path.join(aside, part), path.join(root, part));
    }
  } catch (cause) {
    if (!isDiskFull(cause)) throw cause;
    const sentence = diskFull(root, `what ${ARCHIVE.name} holds`, "Nothing half-unpacked is left");
    throw new DataError(`cinic10: ${sentence} and load again.`, { file: root, cause });
  } finally {
    await fs.rm(aside, { recursive: true, force: true });
  }
  return root;
}
