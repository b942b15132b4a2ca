// Readers of file formats, on files that this test writes byte by byte and on real ones where they are at hand.

import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { encode } from "fast-png";
import { zipSync } from "fflate";
import { toInt32 } from "../../data/formats/bytes.ts";
import { decodeCifar } from "../../data/formats/cifar.ts";
import { decodeIdx, encodeIdx } from "../../data/formats/idx.ts";
import { decodeMat5, matArray } from "../../data/formats/mat5.ts";
import { decodeNpy, encodeNpy, encodeNpz, type NpyArray, openNpz } from "../../data/formats/npy.ts";
import { decodePng, encodePng } from "../../data/formats/png.ts";
import { readTar } from "../../data/formats/tar.ts";
import { gunzip } from "../../data/formats/unpack.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { idxFile, matFile, pattern, realFolder, skipWithout, tarFile } from "./official.ts";

const test = suite("data formats");
const cifarFiles = suite("data formats: real CIFAR-10", skipWithout("cifar10-partial"));
const sceneFiles = suite("data formats: real Indian Pines", skipWithout("indian-pines-gt-only"));

test("idx: shape and values, and back", () => {
  const file = idxFile([2, 3, 4], pattern(24));
  const { shape, data } = decodeIdx(file, { file: "a.idx", rank: 3 });
  assert.equal(shape, [2, 3, 4]);
  assert.equal([...data], [...pattern(24)]);
  assert.ok(Buffer.from(encodeIdx({ shape, data })).equals(file));
});

test("idx: what is wrong is said", async () => {
  const file = idxFile([2, 3], pattern(6));
  await failsWith(
    () => decodeIdx(file, { file: "a.idx", rank: 1 }),
    "DataError",
    "decodeIdx: a.idx: the magic number must be 0x00000801 (bytes, rank 1); got 0x00000802.",
  );
  await failsWith(
    () => decodeIdx(file.subarray(0, 15), { file: "a.idx", rank: 2 }),
    "DataError",
    "decodeIdx: a.idx: the shape [2, 3] must be followed by 6 bytes; got 3.",
  );
  await failsWith(
    () => decodeIdx(file.subarray(0, 3), { file: "a.idx", rank: 2 }),
    "DataError",
    "decodeIdx: a.idx: the file must have at least 12 bytes; got 3.",
  );
});

test("gzip: round trip; a cut or a flipped byte is noticed", async () => {
  const content = pattern(100_000);
  const packed = gzipSync(content);
  assert.ok(Buffer.from(await gunzip(packed, "x.gz")).equals(Buffer.from(content)));
  const damaged = Buffer.from(packed);
  damaged[damaged.length - 6]! ^= 1;
  for (const bad of [packed.subarray(0, packed.length - 20), damaged]) {
    const { name, message } = await errorOf(() => gunzip(bad, "x.gz"));
    assert.is(name, "DataError");
    assert.match(message, /^gunzip: x\.gz must be intact gzip data; got ".+"\.$/);
  }
});

test("cifar: planes become pixels; CIFAR-100 has two labels", () => {
  const record = (labels: number[], start: number) => Buffer.concat([Buffer.from(labels), pattern(3072, start)]);
  const ten = decodeCifar(Buffer.concat([record([3], 0), record([9], 7)]), { file: "b.bin", labelBytes: 1 });
  assert.is(ten.count, 2);
  assert.equal([...ten.labels[0]!], [3, 9]);
  const planes = pattern(3072, 7);
  for (const p of [0, 1, 32, 1023]) {
    const pixel = [...ten.images.subarray(3072 + 3 * p, 3072 + 3 * p + 3)];
    assert.equal(pixel, [planes[p], planes[p + 1024], planes[p + 2048]]);
  }
  const hundred = decodeCifar(record([4, 77], 1), { file: "t.bin", labelBytes: 2 });
  assert.equal(
    hundred.labels.map((labels) => labels[0]),
    [4, 77],
  );
});

test("cifar: a file that is no whole number of records is refused", () =>
  failsWith(
    () => decodeCifar(new Uint8Array(3072), { file: "b.bin", labelBytes: 1 }),
    "DataError",
    "decodeCifar: b.bin: the file must have a multiple of 3073 bytes; got 3072.",
  ));

cifarFiles("the real part has the published labels and means", async () => {
  const folder = realFolder("cifar10-partial");
  const bytes = await readFile(`${folder}/data_batch_1.first4000.bin`);
  const { count, images, labels } = decodeCifar(bytes, { file: "data_batch_1.bin", labelBytes: 1 });
  assert.is(count, 4000);
  const counts = new Array<number>(10).fill(0);
  for (const label of labels[0]!) counts[label]!++;
  assert.equal(counts, [396, 366, 420, 384, 422, 393, 414, 385, 407, 413]);
  const mean = [0, 1, 2].map(
    (c) => images.reduce((sum, x, i) => (i % 3 === c ? sum + x : sum), 0) / (4000 * 1024 * 255),
  );
  assert.equal(
    mean.map((x) => x.toFixed(4)),
    ["0.4916", "0.4818", "0.4447"],
  );
});

test("mat5: both byte orders, plain and compressed, short and long names", async () => {
  const matrices = [
    { name: "X", shape: [2, 3, 2], data: pattern(12) },
    { name: "longer_name", shape: [3, 1], data: Uint16Array.of(1, 515, 65535) },
    { name: "y", shape: [2, 1], data: Float64Array.of(1.5, -2e9) },
  ];
  for (const isLittle of [true, false]) {
    for (const isCompressed of [true, false]) {
      const arrays = await decodeMat5(matFile(matrices, { isLittle, isCompressed }), "m.mat");
      assert.equal([...arrays.keys()], ["X", "longer_name", "y"]);
      for (const { name, shape, data } of matrices) {
        assert.equal(matArray(arrays, name, "m.mat").shape, shape);
        assert.equal([...matArray(arrays, name, "m.mat").data], [...data]);
      }
    }
  }
});

test("mat5: what is wrong is said", async () => {
  const file = matFile([{ name: "X", shape: [2, 3], data: pattern(6) }]);
  const arrays = await decodeMat5(file, "m.mat");
  await failsWith(
    () => matArray(arrays, "Y", "m.mat"),
    "DataError",
    'decodeMat5: m.mat must have the matrix "Y"; got X.',
  );
  await failsWith(
    () => decodeMat5(file.subarray(0, 150), "m.mat"),
    "DataError",
    "decodeMat5: m.mat: 56 bytes must follow at 136; got 14.",
  );
  await failsWith(
    () => decodeMat5(pattern(50), "m.mat"),
    "DataError",
    "decodeMat5: m.mat must begin with the header of a level 5 MAT file; got 50 bytes.",
  );
  const later = Buffer.from(file);
  later.writeUInt16LE(0x0200, 124);
  await failsWith(
    () => decodeMat5(later, "m.mat"),
    "DataError",
    "decodeMat5: m.mat: the version must be 0x100; got 0x200. Save it with -v7.",
  );
});

sceneFiles("the real ground truth of Indian Pines", async () => {
  const folder = realFolder("indian-pines-gt-only");
  const arrays = await decodeMat5(await readFile(`${folder}/Indian_pines_gt.mat`), "gt");
  const { shape, data } = matArray(arrays, "indian_pines_gt", "gt");
  assert.equal(shape, [145, 145]);
  const counts = new Array<number>(17).fill(0);
  for (const label of toInt32(data, "labels")) counts[label]!++;
  assert.equal(counts, [10776, 46, 1428, 830, 237, 483, 730, 28, 478, 20, 972, 2455, 593, 205, 1265, 386, 93]);
});

test("png: colour, grey and 16 bits become the channels asked for", () => {
  const colour = pattern(2 * 3 * 3);
  const file = encodePng({ width: 3, height: 2, channels: 3, data: colour });
  const back = decodePng(file, { file: "a.png", channels: 3 });
  assert.equal([back.width, back.height, [...back.data]], [3, 2, [...colour]]);
  const grey = encodePng({ width: 2, height: 1, channels: 1, data: Uint8Array.of(7, 200) });
  assert.equal([...decodePng(grey, { file: "g.png", channels: 3 }).data], [7, 7, 7, 200, 200, 200]);
  const red = encodePng({ width: 1, height: 1, channels: 3, data: Uint8Array.of(100, 0, 0) });
  assert.equal([...decodePng(red, { file: "r.png", channels: 1 }).data], [30]);
  const deep = encode({ width: 1, height: 1, channels: 1, depth: 16, data: Uint16Array.of(0x1234) });
  assert.equal([...decodePng(deep, { file: "d.png", channels: 1 }).data], [0x12]);
  const see = encode({ width: 1, height: 1, channels: 4, depth: 8, data: Uint8Array.of(1, 2, 3, 4) });
  assert.equal([...decodePng(see, { file: "s.png", channels: 3 }).data], [1, 2, 3]);
});

test("png: palettes, of 2 bits and with transparency", () => {
  // Written by Python's zlib and struct: a palette of 10 20 30, 200 100 50, 1 2 3; the indices 1 0 2 and, with tRNS, 0
  // 2.
  const palette =
    "iVBORw0KGgoAAAANSUhEUgAAAAMAAAABAgMAAABmjvwnAAAADFBMVEUKFB7IZDIBAgP///8zQ2u2AAAACklEQVR4nGPwAAAASgBJoenHlwAAAABJRU5ErkJggg==";
  const transparent =
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAMAAADD/I+4AAAADFBMVEUKFB7IZDIBAgP///8zQ2u2AAAAAXRSTlOArV5bRgAAAAtJREFUeJxjYGACAAAFAAMf5ob2AAAAAElFTkSuQmCC";
  const colours = (base64: string) => [
    ...decodePng(Buffer.from(base64, "base64"), { file: "p.png", channels: 3 }).data,
  ];
  assert.equal(colours(palette), [200, 100, 50, 10, 20, 30, 1, 2, 3]);
  assert.equal(colours(transparent), [10, 20, 30, 1, 2, 3]);
});

test("png: a damaged file is named", async () => {
  const file = encodePng({ width: 8, height: 8, channels: 1, data: pattern(64) });
  file[45]! ^= 0xff;
  for (const bad of [file, file.subarray(0, 30), pattern(100)]) {
    const { name, message } = await errorOf(() => decodePng(bad, { file: "cat/1.png", channels: 1 }));
    assert.is(name, "DataError");
    assert.match(message, /^decodePng: cat\/1\.png must be an intact PNG file; got ".+"\.$/);
  }
});

test("npy: every type there and back", () => {
  const arrays: NpyArray[] = [
    { shape: [2, 3], data: pattern(6) },
    { shape: [3], data: Int16Array.of(-1, 2, 300) },
    { shape: [2], data: Int32Array.of(-7, 2 ** 30) },
    { shape: [1, 2], data: BigInt64Array.of(-5n, 2n ** 40n) },
    { shape: [2], data: Float32Array.of(0.5, -1e9) },
    { shape: [], data: Float64Array.of(Math.PI) },
  ];
  for (const array of arrays) assert.equal(decodeNpy(encodeNpy(array), "a.npy"), array);
  const npz = openNpz(encodeNpz(new Map(arrays.map((array, i) => [`a${i}`, array]))), "a.npz");
  arrays.forEach((array, i) => {
    assert.equal(npz.get(`a${i}`), array);
  });
});

test("npy: a header as NumPy writes it, big-endian", () => {
  const header = "{'descr': '>u2', 'fortran_order': False, 'shape': (2,), }".padEnd(117);
  const file = Buffer.concat([
    Buffer.from("\x93NUMPY\x01\x00", "latin1"),
    Buffer.from([118, 0]),
    Buffer.from(`${header}\n`),
    Buffer.from([1, 2, 0, 3]),
  ]);
  assert.equal([...decodeNpy(file, "b.npy").data], [258, 3]);
});

test("npy: what is wrong is said", async () => {
  const file = Buffer.from(encodeNpy({ shape: [2, 2], data: pattern(4) }));
  const edited = (from: string, to: string) => Buffer.from(file.toString("latin1").replace(from, to), "latin1");
  const fails = (bytes: Uint8Array, message: string) =>
    failsWith(() => decodeNpy(bytes, "a.npy"), "DataError", `decodeNpy: a.npy: ${message}`);
  await fails(file.subarray(0, file.length - 1), "[2, 2] of |u1 must have 4 bytes; got 3.");
  await fails(edited("|u1", "<f2"), 'the type must be an integer, f4, f8 or b1; got "<f2".');
  await fails(
    edited("False", "True "),
    "the array must be in C order; got Fortran order. Save np.ascontiguousarray of it.",
  );
  await fails(
    edited("'|u1'", "[1,2]"),
    "the header must name descr and shape; got \"{'descr': [1,2], 'fortran_order': False, 'shape': (2, 2,), }\".",
  );
  await fails(pattern(64), 'the file must begin with the npy magic; got "??>]|?".');
  await failsWith(
    () => openNpz(pattern(64), "a.npz"),
    "DataError",
    "openNpz: a.npz: must be an intact npz archive; got a file without a zip directory.",
  );
});

test("npz: arrays are decoded when asked for, so that a text array is in nobody's way", async () => {
  const numbers = encodeNpy({ shape: [2], data: Uint8Array.of(4, 5) });
  const text = Buffer.from(Buffer.from(numbers).toString("latin1").replace("|u1", "<U1"), "latin1");
  const archive = openNpz(zipSync({ "names.npy": text, "x.npy": numbers }), "a.npz");
  assert.equal(archive.names, ["names", "x"]);
  assert.equal([...archive.get("x").data], [4, 5]);
  await failsWith(
    () => archive.get("names"),
    "DataError",
    'decodeNpy: a.npz/names.npy: the type must be an integer, f4, f8 or b1; got "<U1".',
  );
  await failsWith(() => archive.get("y"), "DataError", 'openNpz: a.npz must have the array "y"; got names, x.');
});

test("tar: entries come out whole whatever the chunks; long names", async () => {
  const long = `${"folder/".repeat(20)}file.bin`;
  const archive = tarFile([
    ["a/", new Uint8Array(0)],
    ["a/one.bin", pattern(700)],
    [long, pattern(512, 5)],
    ["empty", new Uint8Array(0)],
  ]);
  for (const size of [1, 100, 512, 5000]) {
    const chunks = Array.from({ length: Math.ceil(archive.length / size) }, (_, i) =>
      archive.subarray(i * size, (i + 1) * size),
    );
    const found: [string, number][] = [];
    for await (const { name, content } of readTar(chunks, "a.tar")) found.push([name, content.length]);
    assert.equal(found, [
      ["a/one.bin", 700],
      [long, 512],
      ["empty", 0],
    ]);
  }
});

test("tar: damage is noticed", async () => {
  const archive = tarFile([["one.bin", pattern(700)]]);
  const readAll = async (bytes: Uint8Array) => {
    for await (const _ of readTar([bytes], "a.tar"));
  };
  await failsWith(
    () => readAll(archive.subarray(0, 800)),
    "DataError",
    "readTar: a.tar: the entry one.bin must have 700 bytes; got the end of the archive.",
  );
  archive[3]! ^= 1;
  assert.match(
    (await errorOf(() => readAll(archive))).message,
    /^readTar: a\.tar: a header must have the checksum \d+; got \d+\.$/,
  );
});
