// safetensors: bytes against the format's own words, round trips, every malformed file by its message, fuzz, files,
// responses.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import {
  decodeSafetensors,
  encodeSafetensors,
  type StoredArrays,
  type StoredDType,
  type StoredTensor,
} from "../../engine/safetensors.ts";
import { type ReadProgress, readSafetensors, writeSafetensors } from "../../engine/safetensors-io.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";
import { entry, fileOf } from "./safetensors-file.ts";

const EXAMPLES: readonly StoredTensor[] = [
  { dtype: "F32", shape: [2, 2], data: Float32Array.of(1, -0, Number.NaN, Number.NEGATIVE_INFINITY) },
  { dtype: "F64", shape: [1], data: Float64Array.of(Math.PI) },
  { dtype: "F16", shape: [3], data: Float32Array.of(1.5, -65504, 2 ** -24) },
  { dtype: "BF16", shape: [3], data: Float32Array.of(1.5, -3.3895313892515355e38, 2 ** -133) },
  { dtype: "I64", shape: [2], data: BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n) },
  { dtype: "U64", shape: [2], data: BigUint64Array.of(0n, 2n ** 64n - 1n) },
  { dtype: "I32", shape: [], data: Int32Array.of(-(2 ** 31)) },
  { dtype: "U32", shape: [1, 1], data: Uint32Array.of(2 ** 32 - 1) },
  { dtype: "I16", shape: [2], data: Int16Array.of(-32768, 7) },
  { dtype: "U16", shape: [2], data: Uint16Array.of(65535, 7) },
  { dtype: "I8", shape: [3], data: Int8Array.of(-128, 127, 0) },
  { dtype: "raw", stored: "F8_E4M3", shape: [3], data: Uint8Array.of(0x38, 0xb8, 0x7f) },
  { dtype: "U8", shape: [0, 4], data: new Uint8Array(0) },
  { dtype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) },
];
const named = EXAMPLES.map((tensor) => [`a.${tensor.dtype}`, tensor] as const);

const test = suite("safetensors");

test("reads every dtype from bytes written by hand", () => {
  const body = [0, 0, 128, 63, 0, 60, 128, 63, 255, 255, 255, 255, 7, 1];
  const header = `{"__metadata__":{"format":"pt"},"f":${entry("F32", [1], [0, 4])},"h":${entry("F16", [], [4, 6])},
    "b":${entry("BF16", [1], [6, 8])},"i":${entry("I32", [1, 1], [8, 12])},"u":${entry("U8", [1], [12, 13])},
    "t":${entry("BOOL", [1], [13, 14])}}  `;
  const { tensors, metadata } = decodeSafetensors(fileOf(header, body));
  assert.equal(metadata, { format: "pt" });
  assert.equal([...tensors.keys()], ["f", "h", "b", "i", "u", "t"]);
  assert.equal(
    [...tensors.values()].map(({ data }) => Number(data[0])),
    [1, 1, 1, -1, 7, 1],
  );
  const wide = decodeSafetensors(
    fileOf(`{"d":${entry("F64", [1], [0, 8])},"l":${entry("I64", [1], [8, 16])}}`, [
      ...[0, 0, 0, 0, 0, 0, 4, 64],
      ...[254, 255, 255, 255, 255, 255, 255, 255],
    ]),
  );
  assert.is(wide.tensors.get("d")?.data[0], 2.5);
  assert.is(wide.tensors.get("l")?.data[0], -2n);
});

test("writes what it reads: all dtypes, shapes with zeros, metadata, order", () => {
  const bytes = encodeSafetensors(named, { note: 'quoted "text"\n', __proto__x: "1" });
  const { tensors, metadata } = decodeSafetensors(bytes);
  assert.equal(metadata, { note: 'quoted "text"\n', __proto__x: "1" });
  assert.equal(
    [...tensors].map(([name, { dtype, shape, data }]) => [name, dtype, shape, [...data]]),
    named.map(([name, { dtype, shape, data }]) => [name, dtype, shape, [...data]]),
  );
  assert.is((new DataView(bytes.buffer).getUint32(0, true) + 8) % 8, 0);
});

test("round trips any tensors", () => {
  const values: { [D in StoredDType]: fc.Arbitrary<StoredArrays[D]> } = {
    F64: fc.float64Array(),
    F32: fc.float32Array(),
    F16: fc.float32Array().map((data) => data.map(toHalfAndBack)),
    BF16: fc.float32Array().map((data) => data.map((value) => bitsToFloat(floatToBits(value) & 0xffff0000))),
    I64: fc.bigInt64Array(),
    U64: fc.bigUint64Array(),
    I32: fc.int32Array(),
    U32: fc.uint32Array(),
    I16: fc.int16Array(),
    U16: fc.uint16Array(),
    I8: fc.int8Array(),
    U8: fc.uint8Array(),
    BOOL: fc.uint8Array({ max: 1 }),
  };
  const tensor = fc
    .constantFrom(...(Object.keys(values) as StoredDType[]))
    .chain((dtype) =>
      values[dtype].map((data) => ({ dtype, shape: [data.length, 1], data }) as unknown as StoredTensor),
    );
  const name = fc.string({ unit: "grapheme" }).filter((text) => text !== "__metadata__");
  const file = fc.uniqueArray(fc.tuple(name, tensor), { selector: ([key]) => key, maxLength: 6 });
  const strings = fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true });
  fc.assert(
    fc.property(file, strings, fc.nat(7), (entries, metadata, shift) => {
      const bytes = encodeSafetensors(entries, metadata);
      // Anywhere in memory: most alignments force a copy.
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      const back = decodeSafetensors(moved.subarray(shift));
      assert.equal(back.metadata, metadata);
      assert.is(back.tensors.size, entries.length);
      for (const [key, { dtype, shape, data }] of entries) {
        const got = back.tensors.get(key)!;
        assert.equal([got.dtype, got.shape], [dtype, shape]);
        assert.ok(sameValues(got.data, data), `${key}: ${dtype} ${got.data} instead of ${data}`);
      }
    }),
  );
});

test("a dtype that is not known hides nothing: it is listed, with its bytes, and written as it was", () => {
  const body = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 128, 63, 0x38];
  const header = `{"c":${entry("C64", [1], [0, 8])},"w":${entry("F32", [1], [8, 12])},"q":${entry("F4", [2], [12, 13])}}`;
  const { tensors } = decodeSafetensors(fileOf(header, body));
  assert.equal([...tensors.keys()], ["c", "w", "q"]);
  assert.equal([...tensors.get("w")!.data], [1]);
  assert.equal(
    { ...tensors.get("c")! },
    { dtype: "raw", stored: "C64", shape: [1], data: Uint8Array.from(body.slice(0, 8)) },
  );
  const again = decodeSafetensors(encodeSafetensors(tensors)).tensors;
  assert.equal({ ...again.get("q")! }, { dtype: "raw", stored: "F4", shape: [2], data: Uint8Array.of(0x38) });
  assert.equal([...again.get("w")!.data], [1]);
});

test("rounds to bfloat16 and to half as IEEE 754 does: nearest, ties to even", () => {
  const round = (dtype: "BF16" | "F16", values: number[]): number[] => {
    const data = Float32Array.from(values);
    const file = encodeSafetensors([["x", { dtype, shape: [values.length], data }]]);
    return [...(decodeSafetensors(file).tensors.get("x")!.data as Float32Array)];
  };
  const ulp = 2 ** -7;
  assert.equal(round("BF16", [1 + ulp / 2, 1 + (3 * ulp) / 2, 1 + ulp * 0.51, -1 - ulp * 0.49, 3.4e38]), [
    ...[1, 1 + 2 * ulp, 1 + ulp, -1],
    Number.POSITIVE_INFINITY,
  ]);
  const half = 2 ** -10;
  assert.equal(round("F16", [1 + half / 2, 1 + (3 * half) / 2, 65520, 2 ** -25, 2 ** -25 * 1.5]), [
    ...[1, 1 + 2 * half],
    Number.POSITIVE_INFINITY,
    ...[0, 2 ** -24],
  ]);
  assert.equal(round("BF16", [Number.NaN]).concat(round("F16", [Number.NaN])), [Number.NaN, Number.NaN]);
});

test("is a view of the bytes where alignment allows, and widens halves once", () => {
  const bytes = encodeSafetensors(named);
  const { tensors } = decodeSafetensors(bytes);
  assert.is(tensors.get("a.F32")?.data.buffer, bytes.buffer);
  assert.is(tensors.get("a.I64")?.data.buffer, bytes.buffer);
  const half = tensors.get("a.F16")!;
  assert.is(half.data, half.data);
});

test("a damaged file gives a FormatError or tensors that fit their shapes, never anything else", () => {
  const valid = encodeSafetensors(named, { a: "b" });
  const headerEnd = 8 + new DataView(valid.buffer).getUint32(0, true);
  const change = fc.record({
    at: fc.nat(headerEnd - 1),
    to: fc.oneof(fc.nat(255), fc.constantFrom(...'[]{}":,019-e'.split("").map((c) => c.charCodeAt(0)))),
  });
  let refused = 0;
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.option(fc.nat(valid.length)), (changes, cut) => {
      const damaged = valid.slice(0, cut ?? valid.length);
      for (const { at, to } of changes) if (at < damaged.length) damaged[at] = to;
      try {
        for (const { dtype, shape, data } of decodeSafetensors(damaged).tensors.values()) {
          // Nobody knows how many bytes a dtype takes that is not known.
          if (dtype === "raw") continue;
          assert.is(
            data.length,
            shape.reduce((n, extent) => n * extent, 1),
          );
        }
      } catch (error) {
        assert.is((error as Error).name, "FormatError", String((error as Error).stack));
        refused += 1;
      }
    }),
    { numRuns: 2000 },
  );
  assert.ok(refused > 1000, `only ${refused} of 2000 damaged files were refused`);
});

test("every truncation of a file is refused", async () => {
  const valid = encodeSafetensors(named);
  for (let bytes = 0; bytes < valid.length; bytes++) {
    assert.is((await errorOf(() => decodeSafetensors(valid.slice(0, bytes)))).name, "FormatError");
  }
});

test("refuses to write what could not be read", async () => {
  const tensor: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) };
  const writing =
    (...tensors: [string, StoredTensor][]) =>
    () =>
      encodeSafetensors(tensors);
  await failsWith(
    writing(["x", { ...tensor, shape: [3] } as StoredTensor]),
    "FormatError",
    'safetensors: tensor "x" must have 3 values, being F32[3]; got 2.',
  );
  await failsWith(
    writing(["x", tensor], ["x", tensor]),
    "FormatError",
    'safetensors: tensor names must be distinct; got "x" twice.',
  );
  await failsWith(
    writing(["__metadata__", tensor]),
    "FormatError",
    "safetensors: a tensor must not be named __metadata__; got one that is. The format reserves the name.",
  );
});

const io = suite("safetensors from files and responses");
const folder = mkdtempSync(join(tmpdir(), "safetensors-"));
io.after(() => rmSync(folder, { recursive: true }));

io("writes a file whole or not at all", async () => {
  const path = join(folder, "a.safetensors");
  await writeSafetensors(path, named, { step: "1" });
  assert.equal(readdirSync(folder), ["a.safetensors"]);
  assert.equal(new Uint8Array(readFileSync(path)), encodeSafetensors(named, { step: "1" }));
  const error = await errorOf(() => writeSafetensors(join(folder, "absent", "b.safetensors"), named));
  assert.match(error.message, /ENOENT/);
  // A rename onto a folder fails: nothing temporary stays behind.
  await errorOf(() => writeSafetensors(folder, named));
  assert.equal(readdirSync(folder), ["a.safetensors"]);
});

io("reads a path, a URL, bytes and a Blob, with progress", async () => {
  const bytes = encodeSafetensors(named);
  const path = join(folder, "c.safetensors");
  await writeSafetensors(pathToFileURL(path), named);
  for (const source of [path, pathToFileURL(path), new Blob([bytes])]) {
    const seen: ReadProgress[] = [];
    const file = await readSafetensors(source, { onProgress: (progress) => seen.push(progress) });
    assert.is(file.tensors.size, named.length);
    assert.equal(seen.at(-1), { loaded: bytes.length, total: bytes.length });
  }
  assert.is((await readSafetensors(bytes)).tensors.size, named.length);
  assert.is((await readSafetensors(bytes.buffer)).tensors.size, named.length);
});

io("reads a response in chunks, with and without a known length", async () => {
  const bytes = encodeSafetensors(named);
  const respond = (headers: Record<string, string>): Response => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent >= bytes.length) controller.close();
        else controller.enqueue(bytes.subarray(sent, Math.min(bytes.length, sent + 100)));
        sent += 100;
      },
    });
    return new Response(body, { headers });
  };
  const cases: [Record<string, string>, number | undefined][] = [
    [{ "content-length": String(bytes.length) }, bytes.length],
    [{}, undefined],
    [{ "content-length": "7", "content-encoding": "gzip" }, undefined],
  ];
  for (const [headers, total] of cases) {
    const seen: ReadProgress[] = [];
    const file = await readSafetensors(Promise.resolve(respond(headers)), { onProgress: (p) => seen.push(p) });
    assert.is(file.tensors.size, named.length);
    assert.is(seen.length, Math.ceil(bytes.length / 100));
    assert.equal(seen.at(-1), { loaded: bytes.length, total });
  }
});

io("says what went wrong with a response", async () => {
  await failsWith(
    () => readSafetensors(new Response("gone", { status: 404, statusText: "Not Found" })),
    "ArgumentError",
    "readSafetensors: the response must be ok; got 404 Not Found for .",
  );
  await failsWith(
    () => readSafetensors(new Response(null)),
    "FormatError",
    "safetensors: a file must begin with 8 bytes of header length; got 0 bytes in all.",
  );
});

function floatToBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}

function bitsToFloat(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0]!;
}

/** A float that binary16 holds exactly: 11 significant bits, in range. */
function toHalfAndBack(value: number): number {
  if (!Number.isFinite(value) || Math.abs(value) >= 65504 || Math.abs(value) < 2 ** -14) return Math.sign(value) || 0;
  return bitsToFloat(floatToBits(value) & 0xffffe000);
}

function sameValues(a: ArrayLike<number | bigint>, b: ArrayLike<number | bigint>): boolean {
  return a.length === b.length && Array.from({ length: a.length }, (_, i) => Object.is(a[i], b[i])).every(Boolean);
}

test("refuses to write data that is not of its dtype, by name", () => {
  const F = Float32Array.of(1, 2, 3);
  const of = (tensor: object) => [["w", { dtype: "F32", shape: [3], data: F, ...tensor }]];
  for (const [tensors, message] of [
    [of({ data: [1, 2, 3] }), 'the data of tensor "w", being F32, must be a Float32Array; got [1,2,3].'],
    [
      of({ data: Int32Array.of(1, 2, 3) }),
      'the data of tensor "w", being F32, must be a Float32Array; got a Int32Array.',
    ],
    [
      of({ data: Float64Array.of(1, 2, 3) }),
      'the data of tensor "w", being F32, must be a Float32Array; got a Float64Array.',
    ],
    [of({ dtype: "I64" }), 'the data of tensor "w", being I64, must be a BigInt64Array; got a Float32Array.'],
    [
      of({ dtype: "F16", data: new Uint16Array(3) }),
      'the data of tensor "w", being F16, must be a Float32Array; got a Uint16Array.',
    ],
    [
      of({ dtype: "BOOL", data: [true, false, true] }),
      'the data of tensor "w", being BOOL, must be a Uint8Array; got [true,false,true].',
    ],
    [of({ data: undefined }), 'the data of tensor "w", being F32, must be a Float32Array; got undefined.'],
    [
      of({ dtype: "f32" }),
      'the dtype of tensor "w" must be one of F64, I64, U64, F32, I32, U32, F16, BF16, I16, U16, I8, U8, BOOL, raw; got "f32". Use F32.',
    ],
    [
      of({ dtype: "raw", stored: "F32", data: new Uint8Array(3) }),
      'the stored dtype of tensor "w", as it is raw, must be the name of one that is not read here; got "F32".',
    ],
    [
      of({ dtype: "raw", data: new Uint8Array(3) }),
      'the stored dtype of tensor "w", as it is raw, must be the name of one that is not read here; got undefined.',
    ],
    [[["w", null]], 'tensor "w" must be { dtype, shape, data }; got null.'],
    [[["w"]], 'tensor "w" must be { dtype, shape, data }; got undefined.'],
    [{ w: 1 }, "tensors must be a Map, or a list of [name, tensor]; got an object with w."],
    [[5], "tensors must be a Map, or a list of [name, tensor]; got 5 in it."],
    [null, "tensors must be a Map, or a list of [name, tensor]; got null."],
  ] as const) {
    assert.is(
      messageOf(() => encodeSafetensors(tensors as never)),
      `FormatError: safetensors: ${message}`,
    );
  }
});

test("what a network does to a response is told in a sentence", async () => {
  const file = encodeSafetensors([["a", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }]]);
  const broken = () => {
    let sent = false;
    return new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) controller.error(new TypeError("terminated"));
        else controller.enqueue(file.subarray(0, 9));
        sent = true;
      },
    });
  };
  const used = new Response(file);
  await used.arrayBuffer();
  const refused = new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED") });
  for (const [source, message] of [
    [Promise.reject(refused), 'the response must arrive; got "fetch failed: connect ECONNREFUSED". Try again.'],
    [new Response(broken()), 'all bytes must arrive; got "terminated" after 9 bytes. Try again.'],
    [
      Promise.resolve(used),
      "the response must be unread; got one that was read, of . Pass its bytes, or clone() it before.",
    ],
    [
      "https://a.example/w.safetensors",
      "an address must be fetched; got https://a.example/w.safetensors. Pass fetch(address).",
    ],
    [new URL("http://a.example/w"), "an address must be fetched; got http://a.example/w. Pass fetch(address)."],
  ] as const) {
    assert.is(await rejectionOf(readSafetensors(source)), `ArgumentError: readSafetensors: ${message}`);
  }
});
