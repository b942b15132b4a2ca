// The safetensors format, bytes in and bytes out: 8 bytes header length, a JSON header, then the tensors without gaps.
// Knows typed arrays only: no Tensor, no device, no files (those are safetensors-io.ts).
// Checks follow the reference implementation (huggingface/safetensors, `Metadata::validate`), and are as strict.

import { isRecord, messageOf, nearest, what } from "../base/index.ts";
import { floatBits, fromHalf, toHalf } from "./dtype.ts";
import { FormatError } from "./errors.ts";
import { formatShape, numel, type Shape } from "./shape.ts";

/** Typed array that holds the values of each stored dtype; the half formats are widened to f32, bools are 0 or 1. */
export interface StoredArrays {
  F64: Float64Array;
  F32: Float32Array;
  F16: Float32Array;
  BF16: Float32Array;
  I64: BigInt64Array;
  U64: BigUint64Array;
  I32: Int32Array;
  U32: Uint32Array;
  I16: Int16Array;
  U16: Uint16Array;
  I8: Int8Array;
  U8: Uint8Array;
  BOOL: Uint8Array;
}

export type StoredDType = keyof StoredArrays;

/** A tensor of a dtype that is not read here: its bytes as they lie in the file. */
export interface RawTensor {
  readonly dtype: "raw";
  /** What the file calls its dtype, `F8_E4M3` say. */
  readonly stored: string;
  readonly shape: Shape;
  readonly data: Uint8Array;
}

/** One tensor of a file. */
export type StoredTensor =
  | { [D in StoredDType]: { readonly dtype: D; readonly shape: Shape; readonly data: StoredArrays[D] } }[StoredDType]
  | RawTensor;

/** What a safetensors file holds, in the order of its header. */
export interface SafetensorsFile {
  readonly tensors: Map<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Arrays of the values as they lie in the file; halves by their bits. */
const ARRAYS = {
  F64: Float64Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F32: Float32Array,
  I32: Int32Array,
  U32: Uint32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
  raw: Uint8Array,
};

const bytesPer = (dtype: StoredTensor["dtype"]): number => ARRAYS[dtype].BYTES_PER_ELEMENT;

/** The dtype of the reader, for what a file calls its own. */
const readAs = (stored: string): StoredTensor["dtype"] =>
  stored !== "raw" && Object.hasOwn(ARRAYS, stored) ? (stored as StoredDType) : "raw";

/** The reference implementation's limit: a longer header is an attack or not a header. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Reads a safetensors file from its bytes. Values are views on `bytes` where alignment allows, F16 and BF16 are widened
 * when `data` is first asked for. A dtype that is not known here comes as its bytes. @throws FormatError for every file
 * that breaks the format.
 */
export function decodeSafetensors(bytes: ArrayBuffer | ArrayBufferView): SafetensorsFile {
  const file = ArrayBuffer.isView(bytes)
    ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    : new Uint8Array(bytes);
  const header = readHeader(file);
  const body = file.subarray(8 + header.byteLength);
  const { __metadata__: metadata, ...rest } = parseHeader(header);
  const entries = Object.entries(rest).map(([name, entry]) => checkEntry(name, entry));
  checkCoverage(entries, body.byteLength);
  const tensors = entries.map((entry) => [entry.name, decodeTensor(entry, body)] as const);
  return { tensors: new Map(tensors), metadata: checkMetadata(metadata) };
}

/**
 * Bytes of a safetensors file with these tensors, in this order in the header. In the body wider elements come first,
 * so that every tensor is aligned and can be read without a copy. @throws FormatError for data that does not fit its
 * shape.
 */
export function encodeSafetensors(
  tensors: Iterable<readonly [name: string, tensor: StoredTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  if (typeof (tensors as Partial<typeof tensors> | null)?.[Symbol.iterator] !== "function")
    fail("tensors must be a Map, or a list of [name, tensor]", what(tensors));
  const entries = [...tensors].map((entry) => {
    if (!Array.isArray(entry) || typeof entry[0] !== "string")
      fail("tensors must be a Map, or a list of [name, tensor]", `${what(entry)} in it`);
    const [name, tensor] = entry as readonly [string, StoredTensor];
    return { name, tensor, bytes: encodedBytes(name, tensor) };
  });
  const places = new Map<
    string,
    { readonly tensor: StoredTensor; readonly span: readonly [begin: number, end: number] }
  >();
  let end = 0;
  for (const { name, tensor, bytes } of [...entries].sort((a, b) => width(b.tensor) - width(a.tensor))) {
    if (name === "__metadata__")
      fail("a tensor must not be named __metadata__", "one that is", "The format reserves the name.");
    if (places.has(name)) fail("tensor names must be distinct", `${JSON.stringify(name)} twice`);
    places.set(name, { tensor, span: [end, end + bytes] });
    end += bytes;
  }
  const head = [
    ...(Object.keys(checkMetadata(metadata)).length > 0 ? [["__metadata__", metadata] as const] : []),
    ...entries.map(({ name, tensor }) => {
      const dtype = tensor.dtype === "raw" ? tensor.stored : tensor.dtype;
      return [name, { dtype, shape: tensor.shape, data_offsets: places.get(name)?.span }] as const;
    }),
  ];
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(head)));
  const headerBytes = Math.ceil(json.byteLength / 8) * 8;
  const file = new Uint8Array(8 + headerBytes + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(headerBytes), true);
  file.fill(0x20, 8 + json.byteLength, 8 + headerBytes);
  file.set(json, 8);
  for (const { tensor, span } of places.values()) file.set(toBytes(tensor), 8 + headerBytes + span[0]);
  return file;
}

const width = (tensor: StoredTensor): number => bytesPer(tensor.dtype);

function fail(requirement: string, got: string, hint = ""): never {
  throw new FormatError(`safetensors: ${requirement}; got ${got}.${hint && ` ${hint}`}`);
}

function readHeader(file: Uint8Array): Uint8Array {
  if (file.byteLength < 8) fail("a file must begin with 8 bytes of header length", `${file.byteLength} bytes in all`);
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  const hint = "This is no safetensors file, or a damaged one.";
  if (length > MAX_HEADER_BYTES) fail(`the header must have at most ${MAX_HEADER_BYTES} bytes`, `${length}`, hint);
  const end = 8 + Number(length);
  if (end > file.byteLength) {
    fail(
      "the header must lie within the file",
      `a header of ${length} bytes in ${file.byteLength}`,
      "The file is truncated.",
    );
  }
  return file.subarray(8, end);
}

function parseHeader(header: Uint8Array): Record<string, unknown> {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    return fail("the header must be UTF-8", "bytes that are not");
  }
  if (!text.startsWith("{"))
    fail("the header must begin with {", text === "" ? "an empty header" : JSON.stringify(text[0]));
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return fail("the header must be JSON", messageOf(cause));
  }
  const repeated = repeatedKey(text);
  if (repeated !== undefined) fail("keys of the header must be distinct", `${JSON.stringify(repeated)} twice`);
  return value as Record<string, unknown>;
}

/** A key that some object of this valid JSON text has twice; `JSON.parse` silently keeps the last. */
function repeatedKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (let i = 0; i < json.length; i++) {
    if (json[i] === "{") open.push(new Set());
    else if (json[i] === "}") open.pop();
    else if (json[i] === '"') {
      const start = i;
      for (i++; json[i] !== '"'; i++) if (json[i] === "\\") i++;
      let after = i + 1;
      while (" \t\n\r".includes(json[after]!)) after++;
      if (json[after] !== ":") continue;
      const key = JSON.parse(json.slice(start, i + 1)) as string;
      const keys = open[open.length - 1]!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function checkMetadata(metadata: unknown): Record<string, string> {
  if (metadata === undefined) return {};
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    fail("__metadata__ must map strings to strings", preview(metadata));
  }
  return metadata as Record<string, string>;
}

interface Entry {
  readonly name: string;
  /** What the file calls it. */
  readonly stored: string;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

const isDType = (value: unknown): value is string => typeof value === "string" && /^[A-Z][A-Z0-9_]{1,15}$/.test(value);
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isCounts = (value: unknown): value is number[] => Array.isArray(value) && value.every(isCount);

/** A value of the header as it may stand in a message: short, whatever the file holds. */
function preview(value: unknown): string {
  // Deep nesting would overflow the stack of JSON.stringify.
  if (isRecord(value)) return "an object";
  if (Array.isArray(value) && value.some((item) => typeof item === "object")) return "a list of lists or objects";
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}

function checkEntry(name: string, entry: unknown): Entry {
  const of = `tensor ${preview(name)}`;
  if (!isRecord(entry)) fail(`${of} must be described by an object`, preview(entry));
  const { dtype, shape, data_offsets: range } = entry;
  if (!isDType(dtype)) {
    fail(`the dtype of ${of} must be a name such as F32`, preview(dtype));
  }
  if (!isCounts(shape)) fail(`the shape of ${of} must be a list of non-negative integers`, preview(shape));
  if (!isCounts(range) || range.length !== 2 || range[0]! > range[1]!) {
    fail(`the data_offsets of ${of} must be [begin, end] with begin <= end`, preview(range));
  }
  const [begin, end] = range as [number, number];
  const bytes = numel(shape) * bytesPer(readAs(dtype));
  if (end - begin !== bytes && readAs(dtype) !== "raw") {
    fail(`${of} must have ${bytes} bytes, being ${dtype}${formatShape(shape)}`, `${end - begin} bytes`);
  }
  return { name, stored: dtype, shape, begin, end };
}

/** Tensors tile the body: no hole, no overlap, nothing left over, nothing beyond the end. */
function checkCoverage(entries: readonly Entry[], bodyBytes: number): void {
  let reached = 0;
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    const of = `tensor ${preview(name)}`;
    if (begin < reached)
      fail(`${of} must begin where the one before it ends (${reached})`, `${begin}`, "Tensors overlap.");
    if (begin > reached)
      fail(`${of} must begin where the one before it ends (${reached})`, `${begin}`, "There is a hole.");
    reached = end;
  }
  if (reached > bodyBytes)
    fail(`the file must hold ${reached} bytes of tensors`, `${bodyBytes}`, "The file is truncated.");
  if (reached < bodyBytes) fail(`the file must end after ${reached} bytes of tensors`, `${bodyBytes}`);
}

function decodeTensor({ name, stored, shape, begin, end }: Entry, body: Uint8Array): StoredTensor {
  const dtype = readAs(stored);
  const bytes = body.subarray(begin, end);
  if (dtype === "BOOL" && bytes.some((value) => value > 1)) {
    fail(`the bools of tensor ${preview(name)} must be 0 or 1`, `${bytes.find((value) => value > 1)}`);
  }
  let decoded: StoredTensor["data"] | undefined;
  return {
    dtype,
    ...(dtype === "raw" && { stored }),
    shape,
    get data() {
      decoded ??= fromBytes(dtype, bytes);
      return decoded;
    },
  } as StoredTensor;
}

// Typed arrays have the byte order of the host; every platform with WebGPU is little-endian, as the format is.
function fromBytes(dtype: StoredTensor["dtype"], source: Uint8Array): StoredTensor["data"] {
  const size = bytesPer(dtype);
  const bytes = source.byteOffset % size === 0 ? source : source.slice();
  const values = new ARRAYS[dtype](bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / size);
  if (dtype !== "F16" && dtype !== "BF16") return values;
  const bits = values as Uint16Array;
  const wide = new Float32Array(bits.length);
  const words = new Uint32Array(wide.buffer);
  for (let i = 0; i < wide.length; i++) {
    if (dtype === "F16") wide[i] = fromHalf(bits[i]!);
    else words[i] = bits[i]! << 16;
  }
  return wide;
}

/** The array that holds the values of a dtype in memory; halves are widened. */
const heldIn = (dtype: StoredTensor["dtype"]) => (dtype === "F16" || dtype === "BF16" ? Float32Array : ARRAYS[dtype]);

/**
 * Bytes that a tensor will have in a file. @throws FormatError if the tensor is not well formed, or could not be read
 * again.
 */
function encodedBytes(name: string, tensor: StoredTensor): number {
  const of = `tensor ${preview(name)}`;
  if (!isRecord(tensor)) fail(`${of} must be { dtype, shape, data }`, what(tensor));
  const { dtype, shape, data, stored } = tensor as StoredTensor & { readonly stored?: unknown };
  if (!Object.hasOwn(ARRAYS, dtype as string)) {
    const meant = nearest(String(dtype), Object.keys(ARRAYS));
    fail(`the dtype of ${of} must be one of ${Object.keys(ARRAYS).join(", ")}`, what(dtype), meant && `Use ${meant}.`);
  }
  if (dtype === "raw" && (!isDType(stored) || Object.hasOwn(ARRAYS, stored)))
    fail(`the stored dtype of ${of}, as it is raw, must be the name of one that is not read here`, what(stored));
  if (!isCounts(shape)) fail(`the shape of ${of} must be a list of non-negative integers`, preview(shape));
  const Held = heldIn(dtype);
  if (!(data instanceof Held)) fail(`the data of ${of}, being ${dtype}, must be a ${Held.name}`, what(data));
  if (dtype !== "raw" && data.length !== numel(shape)) {
    fail(`${of} must have ${numel(shape)} values, being ${dtype}${formatShape(shape)}`, `${data.length}`);
  }
  return data.length * bytesPer(dtype);
}

function toBytes({ dtype, data }: StoredTensor): Uint8Array {
  if (dtype === "BOOL") return data.map((value) => (value ? 1 : 0));
  if (dtype === "F16") return new Uint8Array(Uint16Array.from(data, toHalf).buffer);
  if (dtype === "BF16") return new Uint8Array(Uint16Array.from(data, toBrainFloat).buffer);
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** The upper 16 bits of the f32 nearest among those with zero lower bits, ties to even. */
function toBrainFloat(value: number): number {
  const bits = floatBits(value);
  if (Number.isNaN(value)) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
