// The data sets from their files: small ones written here in the official formats, and the real ones where they are at
// hand.

import { copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import {
  CIFAR100_SOURCE,
  channelStatistics,
  cifar10,
  cifar100,
  cinic10,
  countClasses,
  DATA_SETS,
  encodeNpy,
  encodeNpz,
  encodePng,
  type FileCheck,
  fashionMnist,
  imageAt,
  lookFor,
  mnist,
  npz,
  type OfficialFile,
  svhn,
} from "../../data/index.ts";
import { checkFile } from "../../data/obtain.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { idxFile, inTemporaryFolder, matFile, pattern, realFolder, skipWithout, tarFile } from "./official.ts";

const test = suite("data sets");
const clothes = suite("data sets: real Fashion-MNIST", skipWithout("fashion-mnist"));
const digits = suite("data sets: real MNIST", skipWithout("mnist"));

const labels = (n: number, classes = 10): Uint8Array => Uint8Array.from({ length: n }, (_, i) => (i * 3) % classes);

async function writeIdx(folder: string, change: { labels?: number } = {}): Promise<void> {
  for (const [name, n] of [
    ["train", 30],
    ["t10k", 8],
  ] as const) {
    await writeFile(join(folder, `${name}-images-idx3-ubyte.gz`), gzipSync(idxFile([n, 28, 28], pattern(n * 784, n))));
    const count = change.labels ?? n;
    await writeFile(join(folder, `${name}-labels-idx1-ubyte.gz`), gzipSync(idxFile([count], labels(count))));
  }
}

test("idx sets: images, labels, ids and parts", () =>
  inTemporaryFolder(async (dir) => {
    await writeIdx(dir);
    const splits = await fashionMnist({ dir, verify: false, validation: 5, calibration: 4, order: "file" });
    const { train, validation, calibration, test: held } = splits;
    assert.equal([train.size, validation.size, calibration.size, held.size], [21, 5, 4, 8]);
    assert.equal(train.shape, [28, 28, 1]);
    assert.equal([...imageAt(validation, 2)], [...pattern(784, 30 + 23 * 784 * 31)]);
    assert.equal(
      [...validation.labels],
      [21, 22, 23, 24, 25].map((i) => (i * 3) % 10),
    );
    assert.equal([...held.ids], [30, 31, 32, 33, 34, 35, 36, 37]);
    assert.is(train.classes[9], "Ankle boot");
    assert.equal((await mnist({ dir, verify: false, validation: 1, calibration: 1 })).train.meta.mean, [0.1307]);
  }));

test("idx sets: a count that does not fit is named", () =>
  inTemporaryFolder(async (dir) => {
    await writeIdx(dir, { labels: 29 });
    await failsWith(
      () => fashionMnist({ dir, verify: false, validation: 1, calibration: 1 }),
      "DataError",
      "fashionMnist: train-labels-idx1-ubyte.gz must have 30 labels, one for each image; got 29.",
    );
  }));

const cifarBatch = (n: number, labelBytes: number, start: number): Buffer =>
  Buffer.concat(
    Array.from({ length: n }, (_, i) =>
      Buffer.concat([pattern(labelBytes, start + i).map((x) => x % 10), pattern(3072, i)]),
    ),
  );

test("cifar: the archive and the unpacked folder give the same", () =>
  inTemporaryFolder(async (dir) => {
    const names = [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`).concat("test_batch.bin");
    const files = names.map((name, i) => [`cifar-10-batches-bin/${name}`, cifarBatch(4, 1, i)] as const);
    const archived = join(dir, "archived");
    const unpacked = join(dir, "unpacked");
    await mkdir(archived);
    await mkdir(join(unpacked, "cifar-10-batches-bin"), { recursive: true });
    await writeFile(join(archived, "cifar-10-binary.tar.gz"), gzipSync(tarFile([...files].reverse())));
    for (const [name, content] of files) await writeFile(join(unpacked, name), content);
    const options = { verify: false, validation: 3, calibration: 2 };
    const a = await cifar10({ dir: archived, ...options });
    assert.equal(await cifar10({ dir: unpacked, ...options }), a);
    assert.equal(await cifar10({ dir: join(unpacked, "cifar-10-batches-bin"), ...options }), a);
    assert.equal([a.train.size, a.validation.size, a.calibration.size, a.test.size], [15, 3, 2, 4]);
    assert.equal(a.test.shape, [32, 32, 3]);
    const { message } = await errorOf(() => cifar10({ dir: unpacked, validation: 3, calibration: 2 }));
    const fault = "must have 30730000 bytes; got 12292. Delete it, and load again with download: true (--download).";
    assert.match(message, /^cifar10: .*data_batch_\d\.bin /);
    assert.ok(message.endsWith(fault), message);
  }));

test("cifar: of a folder that lacks a file, the file is named; with the archive beside it, that is read", () =>
  inTemporaryFolder(async (dir) => {
    const train = Buffer.concat([Buffer.from([4, 99]), pattern(3072)]);
    await writeFile(join(dir, "train.bin"), train);
    assert.is((await lookFor(CIFAR100_SOURCE, { dir })).unpacked?.isWhole, false);
    const options = { dir, validation: 0, calibration: 0 };
    const { message } = await errorOf(() => cifar100({ ...options, verify: false }));
    assert.is(message, `readBytes: ${join(dir, "test.bin")} must be a readable file; got ENOENT.`);
    const files = [`train.bin`, `test.bin`].map((name) => [`cifar-100-binary/${name}`, train] as const);
    await writeFile(join(dir, "cifar-100-binary.tar.gz"), gzipSync(tarFile(files)));
    assert.is((await cifar100({ ...options, verify: false })).test.size, 1);
  }));

test("what was checked of a file is told: its checksum, its size, or that it could be read", () =>
  inTemporaryFolder(async (dir) => {
    const checks: FileCheck[] = [];
    const onChecked = (check: FileCheck) => void checks.push(check);
    const file = (name: string, known: Partial<OfficialFile>) => ({ name, urls: [], ...known });
    await writeFile(join(dir, "a"), "hello\n");
    const checksum = { algorithm: "md5", hex: "b1946ac92492d2347c6235b4d2611184" } as const;
    for (const known of [{ bytes: 6, checksum }, { bytes: 6 }, {}]) {
      await checkFile("toy", file("a", known), join(dir, "a"), { onChecked });
    }
    assert.equal(
      checks.map(({ by }) => by),
      ["checksum", "size", "content"],
    );
    await checkFile("toy", file("a", { bytes: 1 }), join(dir, "a"), { onChecked, verify: false });
    assert.is(checks.length, 3);
    const gone = `toy: ${join(dir, "b")} must exist; got no file. Put it there, or load again with download: true (--download).`;
    await failsWith(() => checkFile("toy", file("b", {}), join(dir, "b"), { onChecked }), "DataError", gone);
  }));

test("cifar100: fine and coarse labels", () =>
  inTemporaryFolder(async (dir) => {
    await writeFile(join(dir, "train.bin"), Buffer.concat([Buffer.from([4, 99]), pattern(3072)]));
    await writeFile(join(dir, "test.bin"), Buffer.concat([Buffer.from([19, 0]), pattern(3072)]));
    const options = { dir, verify: false, validation: 0, calibration: 0 };
    const fine = await cifar100(options);
    const coarse = await cifar100({ ...options, labels: "coarse" });
    assert.equal([fine.train.classes.length, coarse.train.classes.length], [100, 20]);
    assert.equal([fine.train.classes[99], fine.test.classes[0]], ["worm", "apple"]);
    assert.equal([fine.train.labels[0], coarse.train.labels[0]], [99, 4]);
    assert.equal([fine.test.labels[0], coarse.test.labels[0]], [0, 19]);
  }));

test("an archive without a file is named", () =>
  inTemporaryFolder(async (dir) => {
    await writeFile(
      join(dir, "cifar-100-binary.tar.gz"),
      gzipSync(tarFile([["cifar-100-binary/train.bin", pattern(3074)]])),
    );
    await failsWith(
      () => cifar100({ dir, verify: false }),
      "DataError",
      `cifar100: ${join(dir, "cifar-100-binary.tar.gz")} must have the file test.bin; got train.bin.`,
    );
  }));

test("svhn: column-major images and the label 10", () =>
  inTemporaryFolder(async (dir) => {
    for (const [name, n] of [
      ["train", 6],
      ["test", 2],
    ] as const) {
      const y = Uint8Array.from({ length: n }, (_, i) => 10 - i);
      const X = pattern(32 * 32 * 3 * n);
      const file = matFile(
        [
          { name: "X", shape: [32, 32, 3, n], data: X },
          { name: "y", shape: [n, 1], data: y },
        ],
        { isCompressed: true },
      );
      await writeFile(join(dir, `${name}_32x32.mat`), file);
    }
    const { train, test: held } = await svhn({ dir, verify: false, validation: 1, calibration: 1, order: "file" });
    assert.equal([...train.labels], [0, 9, 8, 7]);
    const X = pattern(32 * 32 * 3 * 6);
    for (const [n, y, x, c] of [
      [0, 0, 1, 0],
      [3, 5, 7, 2],
    ] as const) {
      assert.is(imageAt(train, n)[(y * 32 + x) * 3 + c], X[y + 32 * (x + 32 * (c + 3 * n))]);
    }
    assert.equal([...held.ids], [6, 7]);
  }));

test("svhn: a file whose images are none is named, with what was expected", () =>
  inTemporaryFolder(async (dir) => {
    const X = { name: "X", shape: [4, 4, 2], data: pattern(32) };
    const y = { name: "y", shape: [6, 1], data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    for (const name of ["train", "test"]) await writeFile(join(dir, `${name}_32x32.mat`), matFile([X, y]));
    await failsWith(
      () => svhn({ dir, verify: false, validation: 1, calibration: 1 }),
      "DataError",
      `svhn: ${join(dir, "train_32x32.mat")}: X must be bytes [32, 32, 3, 6], as there are labels; got [4, 4, 2].`,
    );
  }));

/** A tiny CINIC-10: `n` images per class and part, each of one colour that tells part, class and number. */
function cinicFiles(n: number): [name: string, content: Uint8Array][] {
  const classes = "airplane automobile bird cat deer dog frog horse ship truck".split(" ");
  return ["train", "valid", "test"].flatMap((part, p) =>
    classes.flatMap((name, label) =>
      Array.from({ length: n }, (_, i): [string, Uint8Array] => {
        const data = new Uint8Array(32 * 32 * 3).map((_, k) => [p, label, i][k % 3]!);
        return [`${part}/${name}/image-${i}.png`, encodePng({ width: 32, height: 32, channels: 3, data })];
      }),
    ),
  );
}

test("cinic10: from the archive, which is unpacked once, and then from its folders", () =>
  inTemporaryFolder(async (dir) => {
    await writeFile(join(dir, "CINIC-10.tar.gz"), gzipSync(tarFile(cinicFiles(3))));
    const options = { dir, verify: false, train: 20, validation: 9, calibration: 11, test: 12 };
    const splits = await cinic10(options);
    assert.equal((await readdir(dir)).sort(), ["CINIC-10.tar.gz", "test", "train", "valid"]);
    for (const [name, part] of [
      ["train", 0],
      ["validation", 1],
      ["calibration", 1],
      ["test", 2],
    ] as const) {
      const data = splits[name];
      assert.is(data.size, options[name]);
      for (let i = 0; i < data.size; i++) {
        const [p, label, number] = imageAt(data, i);
        assert.equal([p, label], [part, data.labels[i]]);
        assert.is(data.ids[i], part * 30 + label! * 3 + number!);
      }
    }
    const read: string[] = [];
    assert.equal(await cinic10({ ...options, onChecked: ({ file, by }) => void read.push(`${by} ${file}`) }), splits);
    assert.equal(
      [...new Set(read)],
      ["train", "valid", "test"].map((part) => `content ${join(dir, part)}`),
    );
    await failsWith(
      () => cinic10({ ...options, validation: 90_000, calibration: 0 }),
      "DataError",
      "cinic10: valid: the parts must have at most 30 samples together; got validation 90000 + calibration 0 = 90000.",
    );
  }));

test("cinic10: a disk that is full while unpacking is named, and nothing half-unpacked stays", () =>
  inTemporaryFolder(async (dir) => {
    await writeFile(join(dir, "CINIC-10.tar.gz"), gzipSync(tarFile(cinicFiles(1))));
    const fs = process.getBuiltinModule("node:fs/promises");
    const { writeFile: write } = fs;
    fs.writeFile = () => Promise.reject(Object.assign(new Error("no space left on device"), { code: "ENOSPC" }));
    try {
      await failsWith(
        () => cinic10({ dir, verify: false }),
        "DataError",
        `cinic10: ${dir} must have room for what CINIC-10.tar.gz holds; got a full disk. Nothing half-unpacked is left; free space and load again.`,
      );
    } finally {
      fs.writeFile = write;
    }
    assert.equal(await readdir(dir), ["CINIC-10.tar.gz"]);
  }));

test("cinic10: a missing folder, a copy that broke off, an image of another size, and a name that leads out are refused", () =>
  inTemporaryFolder(async (dir) => {
    await mkdir(join(dir, "packed"));
    const evil = tarFile([...cinicFiles(1), ["../evil.png", pattern(3)]]);
    await writeFile(join(dir, "packed", "CINIC-10.tar.gz"), gzipSync(evil));
    assert.match(
      (await errorOf(() => cinic10({ dir: join(dir, "packed"), verify: false }))).message,
      /names must stay inside; got \.\.\/evil\.png\.$/,
    );
    assert.equal(await readdir(join(dir, "packed")), ["CINIC-10.tar.gz"]);
    for (const part of ["train", "valid", "test"]) await mkdir(join(dir, part));
    const folder = join(dir, "train", "airplane");
    const missing = `cinic10: ${folder} must be a folder of PNG files; got no folder.`;
    await failsWith(() => cinic10({ dir }), "DataError", missing);
    for (const [name, content] of cinicFiles(1)) {
      await mkdir(join(dir, name, ".."), { recursive: true });
      await writeFile(join(dir, name), content);
    }
    const path = join(folder, "image-0.png");
    await writeFile(path, encodePng({ width: 8, height: 4, channels: 3, data: new Uint8Array(96) }));
    await failsWith(
      () => cinic10({ dir, train: 5, validation: 1, calibration: 1 }),
      "DataError",
      `cinic10: ${folder} must hold 9000 PNG files; got 1. Copy the rest of them, or delete the folders train, valid, test and load again from CINIC-10.tar.gz, or with download: true (--download).`,
    );
    await failsWith(
      () => cinic10({ dir, validation: 1, calibration: 1, verify: false }),
      "DataError",
      `cinic10: ${path} must be [32, 32]; got [4, 8].`,
    );
  }));

test("npz: images and labels of one's own", () =>
  inTemporaryFolder(async (dir) => {
    const path = join(dir, "toy.npz");
    const arrays = {
      x_train: { shape: [6, 2, 3], data: pattern(36) },
      y_train: { shape: [6], data: BigInt64Array.of(0n, 1n, 2n, 0n, 1n, 2n) },
      x_test: { shape: [2, 2, 3, 1], data: pattern(12) },
      y_test: { shape: [2], data: Uint8Array.of(2, 0) },
    };
    await writeFile(path, encodeNpz(new Map(Object.entries(arrays))));
    const options = { validation: 1, calibration: 2, mean: [0.5], std: [0.2] };
    const { train, test: held } = await npz(path, { ...options, order: "file" });
    assert.equal([train.size, train.shape, train.classes.length], [3, [2, 3, 1], 3]);
    assert.equal([...held.labels], [2, 0]);
    assert.equal(held.meta, { name: "toy", split: "test", mean: [0.5], std: [0.2] });
    const own = await npz(path, { validation: 1, calibration: 2 });
    const { mean, std } = channelStatistics(own.train);
    for (const part of [own.train, own.validation, own.calibration, own.test]) {
      assert.equal([part.meta.mean, part.meta.std], [mean, std]);
    }
    const pairs = join(dir, "pairs");
    await mkdir(pairs);
    for (const [name, array] of Object.entries(arrays)) await writeFile(join(pairs, `${name}.npy`), encodeNpy(array));
    const separate = await npz(pairs, { ...options, order: "file" });
    assert.is(separate.test.meta.name, "pairs");
    assert.equal(separate.train.images, train.images);
    await failsWith(
      () => npz(pairs, { images: "images" }),
      "DataError",
      `npz: ${pairs} must have the array "images"; got x_test, x_train, y_test, y_train.`,
    );
    await failsWith(
      () => npz(path, { ...options, images: "images" }),
      "DataError",
      `npz: ${path} must have the array "images"; got x_train, y_train, x_test, y_test.`,
    );
    await failsWith(
      () => npz(path, { ...options, labels: "y_test" }),
      "DataError",
      `npz: ${path}/x_train must be bytes [2, height, width, channels]; got uint8 [6, 2, 3].`,
    );
    await failsWith(
      () => npz(path, { ...options, classes: ["a", "b"] }),
      "DataError",
      `npz: ${path}/y_train: labels must be numbers of classes, 0 to 1; got 2 for image 2.`,
    );
  }));

clothes("the first 50,000, 5,000 and 5,000 of the real files, with the published statistics", async () => {
  const dir = realFolder("fashion-mnist");
  const { train, validation, calibration, test: held } = await fashionMnist({ dir, order: "file" });
  assert.equal([train.size, validation.size, calibration.size, held.size], [50_000, 5_000, 5_000, 10_000]);
  assert.equal(
    [train.ids[49_999], validation.ids[0], calibration.ids[0], held.ids[0]],
    [49_999, 50_000, 55_000, 60_000],
  );
  assert.equal([...held.labels.subarray(0, 5)], [9, 2, 1, 1, 6]);
  assert.equal([...countClasses(held)], new Array(10).fill(1000));
  const { mean, std } = channelStatistics(held);
  assert.equal([mean[0]!.toFixed(4), std[0]!.toFixed(4)], ["0.2868", "0.3524"]);
});

digits("the published counts and statistics", async () => {
  const dir = realFolder("mnist");
  const { train, test: held } = await mnist({ dir, validation: 0, calibration: 0, order: "file" });
  assert.equal([...countClasses(train)], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
  const { mean, std } = channelStatistics(train);
  assert.equal([mean[0]!.toFixed(4), std[0]!.toFixed(4)], ["0.1307", "0.3081"]);
  assert.equal([...held.labels.subarray(0, 5)], [7, 2, 1, 0, 4]);
});

clothes("a file under another's name is noticed by its checksum", () =>
  inTemporaryFolder(async (folder) => {
    const dir = realFolder("fashion-mnist");
    for (const name of await readdir(dir)) {
      const source = name.startsWith("t10k-labels") ? "t10k-labels-idx1-ubyte.gz" : name;
      await copyFile(join(dir, source), join(folder, name));
    }
    const path = join(folder, "t10k-labels-idx1-ubyte.gz");
    await copyFile(join(dir, "train-labels-idx1-ubyte.gz"), path);
    await failsWith(
      () => fashionMnist({ dir: folder }),
      "DataError",
      `fashionMnist: ${path} must have 5148 bytes; got 29515. Delete it, and load again with download: true (--download).`,
    );
  }),
);

test("what records of data sets preset is what their options allow, and load takes every option", async () => {
  for (const [name, { options }] of Object.entries(DATA_SETS)) {
    for (const [key, { default: value, fits }] of Object.entries(options))
      assert.ok(value === undefined || fits(value), `${name}.${key}: ${String(value)}`);
  }
  const small = { train: 3, validation: 2, calibration: 1, test: 4, seed: 2 };
  const splits = await DATA_SETS.glyphs.load(small);
  assert.equal(
    [splits.train, splits.validation, splits.calibration, splits.test].map(({ size }) => size),
    [3, 2, 1, 4],
  );
  await failsWith(
    async () => DATA_SETS.glyphs.load({ ...small, train: -1 }),
    "DataError",
    "glyphs: train must be a whole number of at least 0; got -1.",
  );
});
