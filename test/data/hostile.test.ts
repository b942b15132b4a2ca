// Files whose headers promise more than they hold, or that hold more than they seem to: refused by the library's own
// errors with the file's name, before anything is allocated for a number that only a header says.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { encode } from "fast-png";
import { zipSync } from "fflate";
import { decodeMat5 } from "../../data/formats/mat5.ts";
import { decodeNpy, encodeNpy, encodeNpz, npyHeader, openNpz } from "../../data/formats/npy.ts";
import { decodePng } from "../../data/formats/png.ts";
import { readTar } from "../../data/formats/tar.ts";
import { gunzip, gunzipStream, unpackLimit } from "../../data/formats/unpack.ts";
import { memorySource, zipEntries } from "../../data/formats/zip.ts";
import { cifar10 } from "../../data/sets/cifar.ts";
import { npz } from "../../data/sets/npz.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { inTemporaryFolder, matFile, pattern, tarFile } from "./official.ts";

const test = suite("data: files that lie");

const joined = async (chunks: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
};

test("gzip: several members are one file, whatever the chunks", async () => {
  const parts = [pattern(7000), new Uint8Array(0), pattern(3, 9), new Uint8Array(70_000)];
  const file = Buffer.concat(parts.map((part) => gzipSync(part)));
  const content = Buffer.concat(parts);
  assert.ok(content.equals(await gunzip(file, "m.gz")));
  for (const size of [33, 1000]) {
    const chunks = Array.from({ length: Math.ceil(file.length / size) }, (_, i) =>
      file.subarray(i * size, (i + 1) * size),
    );
    assert.ok(content.equals(await joined(gunzipStream(chunks, "m.gz"))), `chunks of ${size}`);
  }
  const many = Buffer.concat(Array.from({ length: 2000 }, (_, i) => gzipSync(Uint8Array.of(i))));
  assert.is((await gunzip(many, "many.gz")).length, 2000);
});

test("gzip: a member that is cut, damaged or followed by something else is refused", async () => {
  const [first, second] = [gzipSync(pattern(5000)), gzipSync(pattern(3000, 5))];
  const flipped = Buffer.concat([first, second]);
  flipped[first.length - 6]! ^= 1;
  const cases = [flipped, Buffer.concat([first, second.subarray(0, 40)]), Buffer.concat([first, Buffer.from("junk")])];
  cases.push(Buffer.concat([first, second.subarray(0, 10)]), first.subarray(0, first.length - 3), first.subarray(0, 4));
  for (const [i, bad] of cases.entries()) {
    const { name, message } = await errorOf(() => gunzip(bad, "dir/x.gz"));
    assert.is(name, "DataError");
    assert.match(message, /^gunzip: dir\/x\.gz must be intact gzip data; got ".+"\.$/, `case ${i}`);
  }
});

test("a bound that is no number would bound nothing: it is refused wherever one is taken, and Infinity is none", async () => {
  const packed = gzipSync(new Uint8Array(9));
  const archive = zipSync({ "a.npy": new Uint8Array(9) });
  for (const maxBytes of [Number.NaN, 0, -1, "9" as unknown as number]) {
    const got = typeof maxBytes === "string" ? '"9"' : maxBytes;
    const calls: Readonly<Record<string, () => unknown>> = {
      gunzip: () => gunzip(packed, "b.gz", { maxBytes }),
      decodePng: () => decodePng(new Uint8Array(9), { file: "b.png", channels: 1, maxBytes }),
      openNpz: () => openNpz(archive, "b.npz", { maxBytes }),
      zipEntries: () => zipEntries(memorySource(archive), { where: "b", file: "b.npz", maxBytes }),
      decodeMat5: () => decodeMat5(new Uint8Array(200), "b.mat", { maxBytes }),
      npz: () => npz("b.npz", { maxBytes }),
    };
    for (const [op, call] of Object.entries(calls))
      await failsWith(call, "DataError", `${op}: maxBytes must be a positive number or Infinity; got ${got}.`);
  }
  assert.is((await gunzip(packed, "b.gz", { maxBytes: Number.POSITIVE_INFINITY })).length, 9);
  for (const patience of [{ connect: Number.NaN }, { idle: 0 }, { silent: 3 } as object, 5 as unknown as object])
    assert.match(
      (await errorOf(() => cifar10({ dir: "none", download: true, patience }))).message,
      /^cifar10: patience must be connect and idle in milliseconds, each a positive number or Infinity; got /,
    );
});

test("what is unpacked is bounded, and the bound can be moved", async () => {
  // 1,000 times the packed bytes, but at least what nobody minds, and never more than 4 GiB.
  assert.equal(
    [1, 100_000, 1e7].map((packed) => unpackLimit(packed)),
    [2 ** 26, 1e8, 2 ** 32],
  );
  const zeros = new Uint8Array(3_000_000);
  const [less, enough] = [{ maxBytes: 2_000_000 }, { maxBytes: 3_100_000 }];
  const hint =
    "So few packed bytes rarely hold so much. If the file is to be trusted, raise maxBytes (--max-unpacked), or unpack it first.";
  const bomb = gzipSync(zeros);
  await failsWith(
    () => gunzip(bomb, "b.gz", less),
    "DataError",
    `gunzip: b.gz must unpack to at most 2000000 bytes; got more. ${hint}`,
  );
  assert.is((await gunzip(bomb, "b.gz", enough)).length, zeros.length);
  const mat = matFile([{ name: "X", shape: [3000, 1000], data: zeros }], { isCompressed: true });
  await failsWith(
    () => decodeMat5(mat, "b.mat", less),
    "DataError",
    `decodeMat5: b.mat must unpack to at most 2000000 bytes; got more. ${hint}`,
  );
  assert.is((await decodeMat5(mat, "b.mat", enough)).get("X")!.data.length, zeros.length);
  const archive = encodeNpz(new Map([["x", { shape: [zeros.length], data: zeros }]]));
  await failsWith(
    () => openNpz(archive, "b.npz", less).get("x"),
    "DataError",
    "openNpz: b.npz/x.npy: the entry must unpack to at most 2000000 bytes; got 3000128. " +
      "If it is to be trusted, raise maxBytes (--max-unpacked), or store it unpacked (np.savez).",
  );
  assert.is(openNpz(archive, "b.npz", enough).get("x").data.length, zeros.length);
  const image = encode({ width: 1000, height: 3000, channels: 1, depth: 8, data: zeros });
  await failsWith(
    () => decodePng(image, { file: "b.png", channels: 1, ...less }),
    "DataError",
    "decodePng: b.png must unpack to at most 2000000 bytes; got an image of [3000, 1000]. If it is to be trusted, raise maxBytes.",
  );
  assert.is(decodePng(image, { file: "b.png", channels: 1, ...enough }).data.length, zeros.length);
});

test("mat5: flags, extents and names that are none", async () => {
  const file = matFile([{ name: "X", shape: [2, 3], data: pattern(6) }]);
  const edited = (at: number, word: number) => {
    const bytes = Buffer.from(file);
    bytes.writeUInt32LE(word, at);
    return bytes;
  };
  const fails = (bytes: Uint8Array, message: string) =>
    failsWith(() => decodeMat5(bytes, "m.mat"), "DataError", `decodeMat5: m.mat: ${message}`);
  // The matrix is at 136: flags 136..152, extents 152..168.
  await fails(edited(136 + 4, 0), "a matrix must begin with 8 bytes of flags; got 0 of type 6.");
  await fails(edited(136, (2 << 16) | 6), "a matrix must begin with 8 bytes of flags; got 2 of type 6.");
  await fails(edited(152 + 4, 6), "X: extents must be 32-bit integers; got 6 bytes of type 5.");
  await fails(edited(152 + 8, 0xfffffffe), "X: extents must not be negative; got [-2, 3].");
  const long = matFile([{ name: "n".repeat(300_000), shape: [1], data: pattern(1) }]);
  await fails(long, "a name must have at most 4096 bytes; got 300000.");
});

test("tar: sizes that are negative, no numbers, or beyond the archive; large ones as GNU tar and pax write them", async () => {
  const archive = tarFile([["one.bin", pattern(700)]]);
  const withSize = (field: Uint8Array) => {
    const bytes = Buffer.from(archive);
    bytes.set(field, 124);
    bytes.write("        ", 148);
    const sum = bytes.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    bytes.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return bytes;
  };
  const readAll = async (bytes: Uint8Array, options = {}) => {
    const sizes: number[] = [];
    for await (const { content } of readTar([bytes], "d/a.tar", options)) sizes.push(content.length);
    return sizes;
  };
  const fails = async (field: Uint8Array, got: string) =>
    failsWith(
      () => readAll(withSize(field)),
      "DataError",
      `readTar: d/a.tar: the entry one.bin must have a size of 0 to ${2 ** 32} bytes; got ${got}.`,
    );
  await fails(Buffer.from("-0000000001\0"), '"-0000000001"');
  await fails(Buffer.from("zz\0zzzzzzzzz"), '"zz"');
  await fails(Buffer.alloc(12, 0xff), "-1");
  await fails(Buffer.from("77777777777\0"), `${8 ** 11 - 1}`);
  await failsWith(
    () => readAll(withSize(Buffer.from("37777777777\0"))),
    "DataError",
    `readTar: d/a.tar: the entry one.bin must have ${2 ** 32 - 1} bytes; got the end of the archive.`,
  );
  const binary = Buffer.alloc(12);
  binary[0] = 0x80;
  binary.writeUInt32BE(700, 8);
  assert.equal(await readAll(withSize(binary)), [700]);
  assert.match(
    (await errorOf(() => readAll(archive, { maxBytes: 699 }))).message,
    /a size of 0 to 699 bytes; got 700\.$/,
  );
  const pax = tarFile([["pax", Buffer.from("12 size=700\n")]]).subarray(0, 1024);
  pax.write("x", 156);
  pax.write("        ", 148);
  pax.write(
    `${pax
      .subarray(0, 512)
      .reduce((total, byte) => total + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
  );
  assert.equal(await readAll(Buffer.concat([pax, withSize(Buffer.from("00000000000\0"))])), [700]);
});

test("tar: whoever gives the bytes is let go when the archive ends, or its reader stops", async () => {
  const archive = tarFile([["one.bin", pattern(700)]]);
  for (const stopsEarly of [true, false]) {
    let isClosed = false;
    const chunks = (async function* () {
      try {
        for (;;) yield archive;
      } finally {
        isClosed = true;
      }
    })();
    for await (const _ of readTar(chunks, "a.tar")) if (stopsEarly) break;
    assert.ok(isClosed, `stops early: ${stopsEarly}`);
  }
});

/** An npy file as NumPy writes it. */
function npyFile(descr: string, shape: string, data: Uint8Array = new Uint8Array(0)): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117);
  return Buffer.concat([Buffer.from("\x93NUMPY\x01\x00\x76\x00", "latin1"), Buffer.from(`${text}\n`), data]);
}

test("npy: shapes as Python 2 and np.int64 write them", () => {
  for (const shape of ["(15L, 3L, 10L)", "(np.int64(15), np.int64(3), np.int64(10))", "(15, 3, 10)", "(15,3,10,)"]) {
    assert.equal(npyHeader(npyFile("<f4", shape), "a.npy").shape, [15, 3, 10], shape);
  }
  assert.equal(npyHeader(npyFile("<f4", "(7L,)"), "a.npy").shape, [7]);
  assert.equal(npyHeader(npyFile("<f4", "()"), "a.npy").shape, []);
});

test("npy: shapes that are none, texts without characters, versions and headers that are none", async () => {
  const fails = (bytes: Uint8Array, message: string) =>
    failsWith(() => decodeNpy(bytes, "a.npy"), "DataError", `decodeNpy: a.npy: ${message}`);
  const shape = "the shape must be a list of non-negative integers; got ";
  for (const tuple of ["(-2, -3)", "(1.5,)", "(2, x)", "(1e3,)", "(np.float64(3),(4))", "(99999999999999999999,)"]) {
    await fails(npyFile("|u1", tuple, pattern(6)), `${shape}${tuple}.`);
  }
  await fails(npyFile("<U0", "(300000000,)"), 'a value must take a byte at least; got "<U0".');
  const version = npyFile("|u1", "(6,)", pattern(6));
  version[6] = 9;
  await fails(version, "the version must be 1, 2 or 3; got 9.");
  // A header of 16 million bytes, which spread over the arguments of a call would end the stack.
  const long = Buffer.alloc(16_000_020, 0x20);
  long.set(Buffer.from("\x93NUMPY\x02\x00", "latin1"));
  long.writeUInt32LE(16_000_000, 8);
  await fails(long, "the header must end within 65545 bytes; got 16000012.");
  await fails(npyFile("|u1", "(6,)").subarray(0, 50), "the header must have 128 bytes; got 50.");
});

test("npz: a directory that lies about sizes and places", async () => {
  const archive = Buffer.from(zipSync({ "x.npy": encodeNpy({ shape: [5000], data: new Uint8Array(5000) }) }));
  const central = archive.length - 22 - 46 - 5;
  const edited = (change: (bytes: Buffer) => void) => {
    const bytes = Buffer.from(archive);
    change(bytes);
    return bytes;
  };
  const fails = (bytes: Uint8Array, message: string) =>
    failsWith(() => openNpz(bytes, "d/a.npz").get("x"), "DataError", `openNpz: d/a.npz${message}`);
  await fails(
    edited((bytes) => bytes.writeUInt32LE(0xfffffff0, central + 24)),
    `/x.npy: the entry must unpack to at most ${2 ** 26} bytes; got 4294967280. If it is to be trusted, raise maxBytes (--max-unpacked), or store it unpacked (np.savez).`,
  );
  await fails(
    edited((bytes) => bytes.writeUInt32LE(4000, central + 24)),
    "/x.npy: the packed data must be intact; got another checksum or length than the directory says.",
  );
  await fails(
    edited((bytes) => bytes.writeUInt32LE(1, central + 16)),
    "/x.npy: the packed data must be intact; got another checksum or length than the directory says.",
  );
  await fails(
    edited((bytes) => bytes.writeUInt32LE(0xfffffff0, central + 20)),
    `/x.npy: the entry must have 4294967280 bytes; got ${archive.length - 35}.`,
  );
  await fails(
    edited((bytes) => bytes.writeUInt16LE(12, central + 10)),
    "/x.npy: the entry must be stored or deflated; got method 12.",
  );
  await fails(
    edited((bytes) => bytes.writeUInt16LE(1, central + 8)),
    "/x.npy: the entry must not be encrypted; got one that is.",
  );
  await fails(
    edited((bytes) => bytes.writeUInt32LE(0x7fffffff, archive.length - 6)),
    `: must be an intact npz archive; got a directory that leads 51 bytes from 2147483647, of ${archive.length}.`,
  );
  const stored = Buffer.from(zipSync({ "x.npy": encodeNpy({ shape: [3], data: pattern(3) }) }, { level: 0 }));
  stored[stored.length - 22 - 46 - 5 - 1]! ^= 1;
  await fails(stored, "/x.npy: the entry must be intact; got another checksum than the directory says.");
  // What deflate itself refuses.
  const broken = edited((bytes) => void bytes.fill(0xff, 36, 44));
  assert.match(
    (await errorOf(() => openNpz(broken, "d/a.npz").get("x"))).message,
    /^openNpz: d\/a\.npz\/x\.npy: the packed data must be intact; got ".+"\.$/,
  );
});

test("npz: labels that number no class, and images with channels first, are told with the way out", () =>
  inTemporaryFolder(async (folder) => {
    const save = async (name: string, shape: readonly number[], label: number) => {
      const path = join(folder, name);
      const size = shape.reduce((a, b) => a * b, 1);
      const arrays = {
        x_train: { shape, data: pattern(size) },
        y_train: { shape: [2], data: Int32Array.of(0, label) },
        x_test: { shape, data: pattern(size) },
        y_test: { shape: [2], data: Int32Array.of(0, 1) },
      };
      await writeFile(path, encodeNpz(new Map(Object.entries(arrays))));
      return path;
    };
    const parts = { validation: 0, calibration: 0 };
    for (const label of [2147483646, -1]) {
      const path = await save("label.npz", [2, 4, 4], label);
      await failsWith(
        () => npz(path, parts),
        "DataError",
        `npz: ${path}/y_train: labels must be numbers of classes, 0 to 65535; got ${label} for image 1.`,
      );
    }
    const path = await save("first.npz", [2, 3, 8, 9], 1);
    await failsWith(
      () => npz(path, parts),
      "DataError",
      `npz: ${path}/x_train must be [n, height, width, channels]; got [2, 3, 8, 9], which looks like channels first. ` +
        "Save x.transpose(0, 2, 3, 1) in NumPy, x.permute(0, 2, 3, 1) in PyTorch; if it lies so, pass layout: nchw (--data.layout nchw), else nhwc.",
    );
    assert.equal((await npz(path, { ...parts, layout: "nhwc" })).train.shape, [3, 8, 9]);
    const first = (await npz(path, { ...parts, layout: "nchw", order: "file" })).train;
    assert.equal(first.shape, [8, 9, 3]);
    // Pixel 5 of image 1 in its three planes of 72 bytes.
    const want = [0, 1, 2].map((c) => pattern(432)[216 + 72 * c + 5]);
    assert.equal([...first.images.subarray(216 + 15, 216 + 18)], want);
    assert.equal((await npz(await save("last.npz", [2, 8, 9, 3], 1), parts)).train.shape, [8, 9, 3]);
  }));
