// Files of cached logits as PyTorch and NumPy write them: what is read of them, and what is refused.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
import type { Table } from "../../calibration/index.ts";
import { readLogits } from "../../cli/files/logits-file.ts";
import { encodeNpz } from "../../data/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { saveTable } from "./synthetic-run.ts";

const test = suite("files of logits");

const folder = mkdtempSync(join(tmpdir(), "sortie-cli-"));
const file = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));

/** A table with ids that count from `firstId`. */
function save(name: string, table: Table, firstId: number): string {
  saveTable(
    file(name),
    table,
    Int32Array.from({ length: table.samples }, (_, i) => firstId + i),
  );
  return file(name);
}

test("a file is the table that was saved, and npz is the same", () => {
  const table = randomTable(30, 2, 3);
  const path = save("small.safetensors", table, 0);
  const read = readLogits(path);
  assert.equal(Float32Array.from(read.read(3, 4)), Float32Array.from(table.read(3, 4)));
  assert.equal(read.labels, table.labels);
  assert.equal([...read.costs], [2 / 3, 1]);
  assert.equal(read.ids?.slice(0, 2), [0, 1]);
  const arrays = new Map([
    ["logits", { shape: [30, 2, 3], data: Float64Array.from(table.read(0, 30)) }],
    ["labels", { shape: [30], data: table.labels }],
  ]);
  writeFileSync(file("small.npz"), encodeNpz(arrays));
  assert.equal(readLogits(file("small.npz")).read(0, 30), Float64Array.from(table.read(0, 30)));
});

test("a file of logits that is missing or damaged is named, with what it must be", async () => {
  const refuses = (name: string, message: string) =>
    failsWith(() => readLogits(file(name)), "SortieError", file(name) + message);
  const isDamaged = (got: string) =>
    failsWith(
      () => readLogits(file("bad.npz")),
      "DataError",
      `${file("bad.npz")}: must be an intact npz archive; got ${got}.`,
    );
  /** A file with this header and 4 bytes of data. */
  const header = (text: string) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    writeFileSync(file("h.safetensors"), Buffer.concat([length, Buffer.from(text), Buffer.alloc(4)]));
  };
  await refuses("none.safetensors", " must be a readable file; got ENOENT.");
  await refuses("none.npz", " must be a readable file; got ENOENT.");
  await failsWith(() => readLogits(folder), "SortieError", `${folder} must be a readable file; got a folder.`);
  header("{ damaged");
  await refuses("h.safetensors", ": the header must be a JSON object; got a text that is none.");
  header("[1, 2]");
  await refuses("h.safetensors", ": the header must be a JSON object; got [1, 2].");
  header('{"logits": {"dtype": "F32"}}');
  const parts = "must have dtype, shape and data_offsets";
  await refuses("h.safetensors", `: array "logits" ${parts}; got {"dtype":"F32"}.`);
  header('{"logits": null}');
  await refuses("h.safetensors", `: array "logits" ${parts}; got null.`);
  header('{"logits": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}');
  await refuses("h.safetensors", `: array "logits" ${parts}; got {"dtype":"F32","shape":[-1],"data_offsets":[0,4]}.`);
  header('{"logits": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}');
  await refuses("h.safetensors", ': the file must hold numbers "labels"; got logits.');
  const archive = zipSync({ "logits.npy": new Uint8Array(50) });
  const view = new DataView(archive.buffer);
  const [bytes, begin] = [view.getUint32(archive.length - 10, true), view.getUint32(archive.length - 6, true)];
  view.setUint16(begin + 28, 0xffff, true);
  writeFileSync(file("bad.npz"), archive);
  await isDamaged("a damaged zip directory");
  view.setUint32(archive.length - 6, 0xffffff, true);
  writeFileSync(file("bad.npz"), archive);
  await isDamaged(`a directory that leads ${bytes} bytes from ${0xffffff}, of ${archive.length}`);
  const packed = zipSync({ "logits.npy": new Uint8Array(5000) }, { level: 6 });
  packed.fill(0xff, 40, 50);
  writeFileSync(file("bad.npz"), packed);
  const { message } = await errorOf(() => readLogits(file("bad.npz")));
  assert.ok(message.startsWith(`${file("bad.npz")}/logits.npy: the packed data must be intact; got "`), message);
});

/** An npy file as NumPy writes it. */
function npy(descr: string, shape: string, data: Uint8Array): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117, " ");
  return Buffer.concat([Buffer.from("\x93NUMPY\x01\x00\x76\x00", "latin1"), Buffer.from(`${header}\n`), data]);
}

test("np.savez without compression is read in place: half precision, small integers, text ids", async () => {
  const bytes = (values: ArrayBufferView) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const ids = Uint32Array.from([..."a1", ..."b"].map((c) => c.codePointAt(0)!).concat(0));
  const archive = (logits: Uint8Array) => ({
    "logits.npy": logits,
    "labels.npy": npy("|u1", "(2,)", Uint8Array.of(0, 1)),
    "ids.npy": npy("<U2", "(2,)", bytes(ids)),
    // Nobody asks for it.
    "extra.npy": npy("<c8", "(1,)", new Uint8Array(8)),
  });
  const halves = npy("<f2", "(2, 1, 2)", bytes(Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x0001)));
  for (const level of [0, 6] as const) {
    writeFileSync(file("half.npz"), zipSync(archive(halves), { level }));
    const table = readLogits(file("half.npz"));
    assert.equal([...table.read(0, 2)], [1, -2, 0.333251953125, 2 ** -24]);
    assert.equal(
      [[...table.labels], table.ids],
      [
        [0, 1],
        ["a1", "b"],
      ],
    );
  }
  const refuses = (logits: Uint8Array, message: string, kind = "SortieError") => {
    writeFileSync(file("bad.npz"), zipSync(archive(logits), { level: 0 }));
    return failsWith(() => readLogits(file("bad.npz")), kind, `${file("bad.npz")}/logits.npy: ${message}`);
  };
  await refuses(
    npy(">f4", "(1, 1, 1)", new Uint8Array(4)),
    'the type must be a little-endian number or text; got ">f4".',
  );
  await refuses(npy("<f4", "(2, 1, 2)", new Uint8Array(4)), "[2, 1, 2] of <f4 must have 16 bytes; got 4.");
  await refuses(new Uint8Array(4), 'the file must begin with the npy magic; got "????".', "DataError");
  writeFileSync(file("bad.npz"), "no archive");
  await failsWith(
    () => readLogits(file("bad.npz")),
    "DataError",
    `${file("bad.npz")}: must be an intact npz archive; got a file without a zip directory.`,
  );
});

test("a small npz whose header promises much ends no process", async () => {
  const labels = npy("|u1", "(2,)", Uint8Array.of(0, 1));
  const logits = npy("<f4", "(2, 1, 2)", new Uint8Array(16));
  const refuses = async (arrays: Record<string, Uint8Array>, message: string, kind = "DataError") => {
    writeFileSync(file("lies.npz"), zipSync({ "labels.npy": labels, "logits.npy": logits, ...arrays }));
    await failsWith(() => readLogits(file("lies.npz")), kind, `${file("lies.npz")}/${message}`);
  };
  const shape = "the shape must be a list of non-negative integers; got";
  await refuses(
    { "ids.npy": npy("<U0", "(300000000,)", new Uint8Array(0)) },
    'ids.npy: a value must take a byte at least; got "<U0".',
  );
  await refuses({ "logits.npy": npy("<f4", "(-2, 1, -2)", new Uint8Array(16)) }, `logits.npy: ${shape} (-2, 1, -2).`);
  await refuses({ "labels.npy": npy("|u1", "(0.5, 4)", new Uint8Array(2)) }, `labels.npy: ${shape} (0.5, 4).`);
  const text = new Uint8Array(Uint32Array.of(0x110000, 65).buffer);
  await refuses(
    { "ids.npy": npy("<U1", "(2,)", text) },
    "ids.npy: texts must be of Unicode characters; got the number 1114112.",
    "SortieError",
  );
  writeFileSync(file("deep.safetensors"), deepHeader());
  const { message } = await errorOf(() => readLogits(file("deep.safetensors")));
  assert.is(
    message,
    `${file("deep.safetensors")}: array "x" must have dtype, shape and data_offsets; got {"dtype":"..."}.`,
  );
});

/** A header nested deeper than the stack of JSON.stringify. */
function deepHeader(): Buffer {
  const header = Buffer.from(`{"x": {"dtype": ${"[".repeat(200_000)}${"]".repeat(200_000)}}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header]);
}

test("every dtype is read without a call per value: halves and doubles as float32", () => {
  const count = 2 ** 16;
  const arrays: readonly (readonly [descr: string, data: ArrayBufferView, expected: ArrayLike<number>])[] = [
    ["<f4", Float32Array.from({ length: count }, (_, i) => i / 7), [0, 1 / 7]],
    ["<f8", Float64Array.from({ length: count }, (_, i) => i / 7), [0, 1 / 7]],
    ["<f2", Uint16Array.from({ length: count }, (_, i) => 0x3c00 + (i % 1000)), [1, 1 + 2 ** -10]],
  ];
  const calls = { getFloat32: 0, getFloat64: 0, getUint16: 0 };
  const names = Object.keys(calls) as (keyof typeof calls)[];
  const own = names.map((name) => [name, DataView.prototype[name]] as const);
  for (const [name, fn] of own) {
    DataView.prototype[name] = function (this: DataView, ...args: [number, boolean?]) {
      calls[name]++;
      return fn.apply(this, args);
    };
  }
  try {
    for (const [descr, data, expected] of arrays) {
      const labels = npy("|u1", "(2,)", Uint8Array.of(0, 1));
      const logits = npy(descr, `(2, 1, ${count / 2})`, new Uint8Array(data.buffer));
      writeFileSync(file("t.npz"), zipSync({ "labels.npy": labels, "logits.npy": logits }, { level: 0 }));
      const rows = readLogits(file("t.npz")).read(0, 2);
      for (const [i, value] of Array.from(expected).entries()) assert.ok(Math.abs(rows[i]! - value) < 1e-7, descr);
    }
  } finally {
    for (const [name, fn] of own) Object.assign(DataView.prototype, { [name]: fn });
  }
  // Headers are read by some calls; values, 196,608 of them, by none.
  assert.ok(
    Object.values(calls).every((n) => n < 1000),
    JSON.stringify(calls),
  );
});
