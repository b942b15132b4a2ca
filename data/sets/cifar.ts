// CIFAR-10 and CIFAR-100 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009): 50,000 + 10,000
// colour images of 32 x 32, read from the official archive or from its unpacked folder: of the binary version, or where
// only that is there, of the one for Python.

import { firstOf, option } from "../../base/index.ts";
import { createDataset, type Dataset } from "../dataset.ts";
import { DataError, readOptions } from "../errors.ts";
import { lookFor, node, type OfficialFile, type Presence, placeOf, readBytes, type SetSource } from "../files.ts";
import { CIFAR_SIZE, type CifarRecords, decodeCifar, decodeCifarPickle } from "../formats/cifar.ts";
import { readTar } from "../formats/tar.ts";
import { gunzip } from "../formats/unpack.ts";
import { checkFile, readOfficial } from "../obtain.ts";
import { type Splits, splitOfficial } from "../splits.ts";
import { CIFAR100_COARSE, CIFAR100_FINE } from "./cifar100-classes.ts";
import { CIFAR10_CLASSES, DATA, type DataOptions } from "./options.ts";

/** One of the two sets: its archive, and the files inside of it, of which the last one holds the test samples. */
interface CifarSet {
  readonly op: string;
  readonly labelBytes: 1 | 2;
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly source: SetSource;
  readonly members: readonly OfficialFile[];
  /** Of the version for Python; and how it calls lists of labels, in the order of the binary one. */
  readonly python: Pick<CifarSet, "source" | "members"> & { readonly labels: readonly string[] };
}

const archive = (name: string, bytes: number, md5: string): OfficialFile => ({
  name,
  bytes,
  checksum: { algorithm: "md5", hex: md5 },
  urls: [`https://www.cs.toronto.edu/~kriz/${name}`],
});

const sourceOf = (
  folder: string,
  packed: OfficialFile,
  inside: string,
  members: readonly OfficialFile[],
  instead?: SetSource,
): SetSource => ({
  folder,
  files: [packed],
  unpacked: { folder: inside, names: members.map(({ name }) => name) },
  ...(instead && { instead }),
});

const member = (name: string, bytes: number, checksum?: OfficialFile["checksum"]): OfficialFile => ({
  name,
  bytes,
  urls: [],
  ...(checksum && { checksum }),
});

/** No published checksum of the batches 2 to 5 is known, only their size; that of the archive covers them. */
const CIFAR10_MEMBERS = [
  member("data_batch_1.bin", 30730000, { algorithm: "git-blob", hex: "da09f891072747be90e69e4f00ba7cba870dc87e" }),
  ...[2, 3, 4, 5].map((i) => member(`data_batch_${i}.bin`, 30730000)),
  member("test_batch.bin", 30730000, { algorithm: "git-blob", hex: "e3f3b4653f18f27ada1558cabc3352a3ed1b25cc" }),
];

const CIFAR100_MEMBERS = [
  member("train.bin", 153700000, { algorithm: "md5", hex: "6172c7755cfe09b2fe270c85cebc1b15" }),
  member("test.bin", 30740000, { algorithm: "md5", hex: "4499cfba6c016c1be1438163640a0898" }),
];

const ofMd5 = (name: string, bytes: number, hex: string): OfficialFile =>
  member(name, bytes, { algorithm: "md5", hex });

const CIFAR10_PYTHON = [
  ofMd5("data_batch_1", 31035704, "c99cafc152244af753f735de768cd75f"),
  ofMd5("data_batch_2", 31035320, "d4bba439e000b95fd0a9bffe97cbabec"),
  ofMd5("data_batch_3", 31035999, "54ebc095f3ab1f0389bbae665268c751"),
  ofMd5("data_batch_4", 31035696, "634d18415352ddfa80567beed471001a"),
  ofMd5("data_batch_5", 31035623, "482c414d41f54cd18b22e5b47cb7c3cb"),
  ofMd5("test_batch", 31035526, "40351d587109b95175f43aff81a1287e"),
];

const CIFAR100_PYTHON = [
  ofMd5("train", 155249918, "16019d7e3df5f24257cddd939b257f8d"),
  ofMd5("test", 31049918, "f0ef6b0ae62326f3e7ffdfab6717acfc"),
];

const CIFAR10_PYTHON_SOURCE = sourceOf(
  "cifar-10",
  archive("cifar-10-python.tar.gz", 170498071, "c58f30108f718f92721af3b95e74349a"),
  "cifar-10-batches-py",
  CIFAR10_PYTHON,
);

const CIFAR100_PYTHON_SOURCE = sourceOf(
  "cifar-100",
  archive("cifar-100-python.tar.gz", 169001437, "eb9058c3a382ffc7106e4002c42a8d85"),
  "cifar-100-python",
  CIFAR100_PYTHON,
);

/** The official file of CIFAR-10. */
export const CIFAR10_SOURCE: SetSource = sourceOf(
  "cifar-10",
  archive("cifar-10-binary.tar.gz", 170052171, "c32a1d4ab5d03f1284b67883e8d87530"),
  "cifar-10-batches-bin",
  CIFAR10_MEMBERS,
  CIFAR10_PYTHON_SOURCE,
);

/** The official file of CIFAR-100. */
export const CIFAR100_SOURCE: SetSource = sourceOf(
  "cifar-100",
  archive("cifar-100-binary.tar.gz", 168513733, "03b5dce01913d631647c71ecec9e9cb8"),
  "cifar-100-binary",
  CIFAR100_MEMBERS,
  CIFAR100_PYTHON_SOURCE,
);

const CIFAR10: CifarSet = {
  op: "cifar10",
  labelBytes: 1,
  mean: [0.4914, 0.4822, 0.4465],
  std: [0.247, 0.2435, 0.2616],
  source: CIFAR10_SOURCE,
  members: CIFAR10_MEMBERS,
  python: { source: CIFAR10_PYTHON_SOURCE, members: CIFAR10_PYTHON, labels: ["labels"] },
};

const CIFAR100: CifarSet = {
  op: "cifar100",
  labelBytes: 2,
  mean: [0.5071, 0.4865, 0.4409],
  std: [0.2673, 0.2564, 0.2762],
  source: CIFAR100_SOURCE,
  members: CIFAR100_MEMBERS,
  python: { source: CIFAR100_PYTHON_SOURCE, members: CIFAR100_PYTHON, labels: ["coarse_labels", "fine_labels"] },
};

/**
 * CIFAR-10: 32 x 32 x 3, ten classes, normalised by .4914 .4822 .4465 / .2470 .2435 .2616. `dir` holds
 * `cifar-10-binary.tar.gz` or what was unpacked from it, or `cifar-10-python.tar.gz` or its folder.
 * @throws DataError for a missing or damaged file, or parts that ask for more than 50,000 samples.
 */
export async function cifar10(options: DataOptions = {}): Promise<Splits> {
  return loadCifar(CIFAR10, CIFAR10_CLASSES, 0, readOptions("cifar10", options, DATA));
}

/** Which of its two labels a CIFAR-100 sample gets. */
export interface Cifar100Options extends DataOptions {
  /** `fine`: 100 classes (default); `coarse`: 20. */
  readonly labels?: "fine" | "coarse";
}

/** Which labels. */
export const CIFAR100_LABELS = { labels: option.choice(["fine", "coarse"], "100 or 20 classes") } as const;

/** CIFAR-100: as `cifar10`, with 100 or 20 classes, normalised by .5071 .4865 .4409 / .2673 .2564 .2762. */
export async function cifar100(options: Cifar100Options = {}): Promise<Splits> {
  const { labels = "fine" } = readOptions<Cifar100Options>("cifar100", options, { ...DATA, ...CIFAR100_LABELS });
  const isFine = labels === "fine";
  return loadCifar(CIFAR100, isFine ? CIFAR100_FINE : CIFAR100_COARSE, isFine ? 1 : 0, options);
}

async function loadCifar(
  set: CifarSet,
  classes: readonly string[],
  label: number,
  options: DataOptions,
): Promise<Splits> {
  const there = await lookFor(set.source, placeOf(options));
  const isPython = there.source === set.python.source;
  const files = await readMembers(set.op, isPython ? set.python.members : set.members, there, options);
  const records = files.map(({ bytes, path: file }) =>
    isPython
      ? decodeCifarPickle(bytes, { file, labels: set.python.labels })
      : decodeCifar(bytes, { file, labelBytes: set.labelBytes }),
  );
  const toDataset = (parts: readonly CifarRecords[], split: string, firstId: number): Dataset => {
    const count = parts.reduce((sum, part) => sum + part.count, 0);
    const images = new Uint8Array(count * CIFAR_SIZE * CIFAR_SIZE * 3);
    const labels = new Int32Array(count);
    let at = 0;
    for (const part of parts) {
      images.set(part.images, at * CIFAR_SIZE * CIFAR_SIZE * 3);
      labels.set(part.labels[label]!, at);
      at += part.count;
    }
    const ids = Int32Array.from({ length: count }, (_, i) => firstId + i);
    const meta = { name: set.source.folder, split, mean: set.mean, std: set.std };
    return createDataset({ images, labels, ids, classes, meta, shape: [CIFAR_SIZE, CIFAR_SIZE, 3] });
  };
  const training = toDataset(records.slice(0, -1), "train", 0);
  return splitOfficial(set.op, training, toDataset(records.slice(-1), "test", training.size), options);
}

/** A file's content, and its path for messages. */
interface Member {
  readonly bytes: Uint8Array;
  readonly path: string;
}

/** The set's files: from the unpacked folder if it is whole, or else from the archive. */
async function readMembers(
  op: string,
  members: readonly OfficialFile[],
  { source, folder, files, unpacked }: Presence,
  options: DataOptions,
): Promise<Member[]> {
  const { join } = node("node:path");
  if (unpacked && (unpacked.isWhole || !(files || options.download))) {
    return Promise.all(members.map((file) => readMember(op, file, join(unpacked.folder, file.name), options)));
  }
  const archive = firstOf(source.files);
  const { bytes, path } = await readOfficial(op, archive, folder, options);
  const found = new Map<string, Uint8Array>();
  for await (const { name, content } of readTar([await gunzip(bytes, path)], path)) {
    found.set(name.replace(/^.*\//, ""), content);
  }
  return members.map(({ name }) => {
    const content = found.get(name);
    if (content) return { bytes: content, path: `${path}/${name}` };
    const names = [...found.keys()].join(", ");
    throw new DataError(`${op}: ${path} must have the file ${name}; got ${names}.`, { file: path });
  });
}

async function readMember(op: string, file: OfficialFile, path: string, options: DataOptions): Promise<Member> {
  await checkFile(op, file, path, options);
  return { bytes: await readBytes(path), path };
}
