// MNIST (LeCun, Cortes, Burges 1998) and Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): four gzipped IDX files each,
// 60,000 + 10,000 grey images of 28 x 28.

import { exactly } from "../../base/index.ts";
import { createDataset, type Dataset } from "../dataset.ts";
import { ensure, readOptions } from "../errors.ts";
import { folderOf, type OfficialFile, type SetSource } from "../files.ts";
import { decodeIdx } from "../formats/idx.ts";
import { gunzip, isGzip } from "../formats/unpack.ts";
import { readOfficial } from "../obtain.ts";
import { type Splits, splitOfficial } from "../splits.ts";
import { DATA, type DataOptions, DIGITS } from "./options.ts";

const NAMES = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] as const;

/** What tells one IDX data set from another. */
interface IdxSet {
  readonly op: string;
  readonly classes: readonly string[];
  readonly mean: number;
  readonly std: number;
  readonly source: SetSource;
}

const idxSource = (
  folder: string,
  addresses: readonly string[],
  entries: readonly (readonly [bytes: number, sha256: string])[],
): SetSource => ({
  folder,
  files: entries.map(([bytes, hex], i) => {
    const name = `${NAMES[i]}-ubyte.gz`;
    return { name, bytes, checksum: { algorithm: "sha256", hex }, urls: addresses.map((address) => address + name) };
  }),
});

const FASHION_MNIST: IdxSet = {
  op: "fashionMnist",
  classes: ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"],
  mean: 0.286,
  std: 0.353,
  source: idxSource(
    "fashion-mnist",
    [
      "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
      "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ],
    [
      [26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"],
      [29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"],
      [4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"],
      [5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"],
    ],
  ),
};

const MNIST: IdxSet = {
  op: "mnist",
  classes: DIGITS,
  mean: 0.1307,
  std: 0.3081,
  source: idxSource(
    "mnist",
    ["https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/"],
    [
      [9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"],
      [28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"],
      [1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"],
      [4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"],
    ],
  ),
};

/** The official files of Fashion-MNIST. */
export const FASHION_MNIST_SOURCE: SetSource = FASHION_MNIST.source;

/** The official files of MNIST. */
export const MNIST_SOURCE: SetSource = MNIST.source;

/**
 * Fashion-MNIST: 28 x 28 x 1, ten classes, normalised by .2860 / .3530. Ids are places in the training file, those of
 * test samples follow from 60,000. `order: "file"` trains on the first images of the file.
 * @throws DataError for a missing or damaged file, or parts that ask for more than 60,000 samples.
 */
export const fashionMnist = (options: DataOptions = {}): Promise<Splits> => loadIdxSet(FASHION_MNIST, options);

/** MNIST: 28 x 28 x 1, ten digits, normalised by .1307 / .3081. Otherwise as `fashionMnist`. */
export const mnist = (options: DataOptions = {}): Promise<Splits> => loadIdxSet(MNIST, options);

async function loadIdxSet(set: IdxSet, options: DataOptions): Promise<Splits> {
  readOptions(set.op, options, DATA);
  const training = await loadPart(set, "train", 0, options);
  const test = await loadPart(set, "test", training.size, options);
  return splitOfficial(set.op, training, test, options);
}

async function loadPart(set: IdxSet, split: "train" | "test", firstId: number, options: DataOptions): Promise<Dataset> {
  const { files } = set.source;
  const [imageFile, labelFile] = exactly(split === "train" ? files.slice(0, 2) : files.slice(2), 2);
  const images = await loadIdx(set, imageFile, 3, options);
  const labels = await loadIdx(set, labelFile, 1, options);
  const [count, height, width] = exactly(images.shape, 3);
  ensure(
    labels.shape[0] === count,
    () => `${set.op}: ${labelFile.name} must have ${count} labels, one for each image; got ${labels.shape[0]}.`,
    { file: labelFile.name },
  );
  return createDataset({
    images: images.data,
    labels: Int32Array.from(labels.data),
    ids: Int32Array.from({ length: count }, (_, i) => firstId + i),
    shape: [height, width, 1],
    classes: set.classes,
    meta: { name: set.source.folder, split, mean: [set.mean], std: [set.std] },
  });
}

async function loadIdx(set: IdxSet, file: OfficialFile, rank: number, options: DataOptions) {
  const { bytes, path } = await readOfficial(set.op, file, folderOf(set.source, options), options);
  return decodeIdx(isGzip(bytes) ? await gunzip(bytes, path) : bytes, { file: path, rank });
}
