// SVHN, cropped digits (Netzer et al. 2011): MAT level 5 files of colour images of 32 x 32; 73,257 training, 26,032
// test and 531,131 extra samples. The file's label 10 is the digit 0.

import { permuted } from "../../base/index.ts";
import { createDataset, type Dataset } from "../dataset.ts";
import { ensure, readOptions } from "../errors.ts";
import { folderOf, type OfficialFile, type SetSource } from "../files.ts";
import { toInt32 } from "../formats/bytes.ts";
import { decodeMat5, matArray } from "../formats/mat5.ts";
import { readOfficial } from "../obtain.ts";
import { type Splits, splitOfficial } from "../splits.ts";
import { DATA, type DataOptions, DIGITS } from "./options.ts";

const file = (name: string, bytes: number, md5: string): OfficialFile => ({
  name,
  bytes,
  checksum: { algorithm: "md5", hex: md5 },
  urls: [`http://ufldl.stanford.edu/housenumbers/${name}`],
});

const TRAIN = file("train_32x32.mat", 182040794, "e26dedcc434d2e4c54c9b2d4a06d8373");
const TEST = file("test_32x32.mat", 64275384, "eb5a983be6a315427106f1b164d9cef3");

/** The official files of SVHN that are used. */
export const SVHN_SOURCE: SetSource = { folder: "svhn", files: [TRAIN, TEST] };

/**
 * SVHN: 32 x 32 x 3, ten digits, normalised by .4377 .4438 .4728 / .1980 .2010 .1970. The extra samples are left out.
 * @throws DataError for a missing or damaged file, or parts that ask for more samples than there are.
 */
export async function svhn(options: DataOptions = {}): Promise<Splits> {
  readOptions("svhn", options, DATA);
  const training = await load(TRAIN, "train", 0, options);
  return splitOfficial("svhn", training, await load(TEST, "test", training.size, options), options);
}

async function load(file: OfficialFile, split: string, firstId: number, options: DataOptions): Promise<Dataset> {
  const { bytes, path } = await readOfficial("svhn", file, folderOf(SVHN_SOURCE, options), options);
  const arrays = await decodeMat5(bytes, path);
  const images = matArray(arrays, "X", path);
  const labels = toInt32(matArray(arrays, "y", path).data, `svhn: ${path}: labels`);
  const [height = 0, width = 0, channels, count = 0] = images.shape;
  ensure(
    images.shape.length === 4 && channels === 3 && count === labels.length && images.data instanceof Uint8Array,
    () =>
      `svhn: ${path}: X must be bytes [32, 32, 3, ${labels.length}], as there are labels; got [${images.shape.join(", ")}].`,
    { file: path },
  );
  return createDataset({
    // Column-major: the last axis is the outermost.
    images: permuted(images.data, [count, 3, width, height], [0, 3, 2, 1], new Uint8Array(images.data.length)),
    labels: labels.map((label) => (label === 10 ? 0 : label)),
    ids: Int32Array.from({ length: count }, (_, i) => firstId + i),
    shape: [height, width, 3],
    classes: DIGITS,
    meta: { name: "svhn", split, mean: [0.4377, 0.4438, 0.4728], std: [0.198, 0.201, 0.197] },
  });
}
