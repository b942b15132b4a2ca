// Malformed safetensors files: each refused by its message.

import { decodeSafetensors } from "../../engine/safetensors.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { entry, fileOf } from "./safetensors-file.ts";

const test = suite("malformed safetensors");

const f32 = (range: unknown, shape: unknown = [1]): string => entry("F32", shape, range);
const MALFORMED: readonly (readonly [what: string, file: Uint8Array, message: string])[] = [
  ["empty", new Uint8Array(0), "a file must begin with 8 bytes of header length; got 0 bytes in all."],
  [
    "a header that ends beyond the file",
    fileOf("{}", [], 3n),
    "the header must lie within the file; got a header of 3 bytes in 10. The file is truncated.",
  ],
  [
    "a header that is too long",
    fileOf("{}", [], 2n ** 63n),
    "the header must have at most 100000000 bytes; got 9223372036854775808. This is no safetensors file, or a damaged one.",
  ],
  ["no header", fileOf(""), "the header must begin with {; got an empty header."],
  ["a list", fileOf("[]"), 'the header must begin with {; got "[".'],
  ["not UTF-8", fileOf(Uint8Array.of(123, 255, 125)), "the header must be UTF-8; got bytes that are not."],
  ["a key twice", fileOf('{"a":1,"\\u0061":1}'), 'keys of the header must be distinct; got "a" twice.'],
  ["a key twice inside", fileOf('{"a":{"x":"{,","x" : 1}}'), 'keys of the header must be distinct; got "x" twice.'],
  ["metadata", fileOf('{"__metadata__":{"a":1}}'), "__metadata__ must map strings to strings; got an object."],
  ["metadata null", fileOf('{"__metadata__":null}'), "__metadata__ must map strings to strings; got null."],
  ["no object", fileOf('{"a":[1]}'), 'tensor "a" must be described by an object; got [1].'],
  [
    "no dtype",
    fileOf(`{"a":${JSON.stringify({ dtype: 5, shape: [1], data_offsets: [0, 1] })}}`, [0]),
    'the dtype of tensor "a" must be a name such as F32; got 5.',
  ],
  [
    "the reader's own word",
    fileOf(`{"a":${entry("raw", [1], [0, 1])}}`, [0]),
    'the dtype of tensor "a" must be a name such as F32; got "raw".',
  ],
  [
    "a dtype from the prototype",
    fileOf(`{"a":${entry("toString", [1], [0, 1])}}`, [0]),
    'the dtype of tensor "a" must be a name such as F32; got "toString".',
  ],
  [
    "a negative extent",
    fileOf(`{"a":${f32([0, 4], [-1])}}`, [0, 0, 0, 0]),
    'the shape of tensor "a" must be a list of non-negative integers; got [-1].',
  ],
  [
    "a nested shape",
    fileOf(`{"a":${f32([0, 4], [[1]])}}`, [0, 0, 0, 0]),
    'the shape of tensor "a" must be a list of non-negative integers; got a list of lists or objects.',
  ],
  [
    "reversed offsets",
    fileOf(`{"a":${f32([4, 0])}}`, [0, 0, 0, 0]),
    'the data_offsets of tensor "a" must be [begin, end] with begin <= end; got [4,0].',
  ],
  [
    "fractional offsets",
    fileOf(`{"a":${f32([0, 4.5])}}`, [0, 0, 0, 0]),
    'the data_offsets of tensor "a" must be [begin, end] with begin <= end; got [0,4.5].',
  ],
  [
    "a shape that does not fit",
    fileOf(`{"a":${f32([0, 4], [2])}}`, [0, 0, 0, 0]),
    'tensor "a" must have 8 bytes, being F32[2]; got 4 bytes.',
  ],
  [
    "a shape that overflows",
    fileOf(`{"a":${f32([0, 0], [2 ** 32, 2 ** 32])}}`),
    'tensor "a" must have 73786976294838210000 bytes, being F32[4294967296, 4294967296]; got 0 bytes.',
  ],
  [
    "an overlap",
    fileOf(`{"a":${f32([0, 4])},"b":${f32([2, 6])}}`, [0, 0, 0, 0, 0, 0]),
    'tensor "b" must begin where the one before it ends (4); got 2. Tensors overlap.',
  ],
  [
    "a hole",
    fileOf(`{"a":${f32([0, 4])},"b":${f32([5, 9])}}`, new Array(9).fill(0)),
    'tensor "b" must begin where the one before it ends (4); got 5. There is a hole.',
  ],
  [
    "a truncated body",
    fileOf(`{"a":${f32([0, 4])}}`, [0, 0, 0]),
    "the file must hold 4 bytes of tensors; got 3. The file is truncated.",
  ],
  [
    "bytes left over",
    fileOf(`{"a":${f32([0, 4])}}`, [0, 0, 0, 0, 9]),
    "the file must end after 4 bytes of tensors; got 5.",
  ],
  [
    "a bool of 2",
    fileOf(`{"a":${entry("BOOL", [2], [0, 2])}}`, [1, 2]),
    'the bools of tensor "a" must be 0 or 1; got 2.',
  ],
];
for (const [what, file, message] of MALFORMED) {
  test(`refuses ${what}`, () => failsWith(() => decodeSafetensors(file), "FormatError", `safetensors: ${message}`));
}

test("refuses bad JSON, deep nesting and a long key with one line", async () => {
  for (const header of ["{", '{"a":', "{a:1}", '{"a":{}} x', '{"a":'.repeat(1e5), `{"a":{"dtype":${"[".repeat(1e5)}`]) {
    const error = await errorOf(() => decodeSafetensors(fileOf(header)));
    assert.is(error.name, "FormatError");
    assert.match(error.message, /^safetensors: the header must be JSON; got [^\n]{1,200}$/);
  }
  const deep = `{"a":{"dtype":"F32","shape":${"[".repeat(1e5)}${"]".repeat(1e5)}}}`;
  assert.is((await errorOf(() => decodeSafetensors(fileOf(deep)))).name, "FormatError");
  const long = await errorOf(() => decodeSafetensors(fileOf(`{${JSON.stringify("k".repeat(1e6))}:0}`)));
  assert.ok(long.message.length < 200, `${long.message.length} characters`);
});
