// Cached logits from a file, whoever wrote it: safetensors (also by PyTorch) or npz (NumPy). Arrays by name:
// `logits` [samples, exits, classes], `labels` [samples], and optionally `macs` [exits], `ids` [samples] and `scores`
// [samples, exits - 1], how sure early exits are.

import { createHash } from "node:crypto";
import * as v from "valibot";
import { exactly, type OptionValues, option, SortieError } from "../../base/index.ts";
import { ANY_VALUES, CalibrationError, createTable, type Table } from "../../calibration/index.ts";
import { MAX_UNPACKED } from "../../data/index.ts";
import { SEAL, type SealedTensor, sealedText } from "../../exits/index.ts";
import { npzArrays, type StoredArrays } from "./npz-file.ts";
import { bytesOf, readBytes, type StoredArray, storedArray } from "./stored-array.ts";
import { sizeOf } from "./whole.ts";

/** Flags of commands that read logits. */
export const LOGITS_FLAGS = {
  probabilities: option.toggle(false, "the arrays hold probabilities"),
  anyValues: ANY_VALUES,
  maxUnpacked: MAX_UNPACKED,
} as const;

/** What those flags say to `readLogits`. */
export const logitsOptions = (values: OptionValues<typeof LOGITS_FLAGS>): LogitsOptions => ({
  isProbabilities: values.probabilities,
  anyValues: values.anyValues,
  ...(values.maxUnpacked !== undefined && { maxBytes: values.maxUnpacked }),
});

/** Options of `readLogits`. */
export interface LogitsOptions {
  /** The arrays hold probabilities. */
  readonly isProbabilities?: boolean;
  /** Logits may look like probabilities. */
  readonly anyValues?: boolean;
  /** Bytes that a compressed array may unpack to; see `UnpackOptions`. */
  readonly maxBytes?: number;
}

/**
 * Opens a table. Logits are read a chunk at a time, so that a file may be larger than memory (not np.savez_compressed).
 */
export function readLogits(path: string, options: LogitsOptions = {}): Table {
  const { isProbabilities = false, anyValues = false, maxBytes } = options;
  const isNpz = path.endsWith(".npz");
  const { arrays, weights = undefined } = isNpz ? { arrays: npzArrays(path, maxBytes) } : safetensorsArrays(path);
  const logits = need(arrays, "logits", path);
  const labels = need(arrays, "labels", path);
  const { shape } = logits;
  if (shape.length !== 3) {
    throw new SortieError(
      `${path}: logits must have shape [samples, exits, classes]; got [${shape.join(", ")}]. One exit is [samples, 1, classes].`,
    );
  }
  const [samples, exits, classes] = exactly(shape, 3);
  const width = exits * classes;
  const macs = arrays.get("macs");
  const ids = arrays.get("ids");
  const scores = arrays.get("scores") && need(arrays, "scores", path);
  if (scores && scores.shape.join() !== [samples, exits - 1].join()) {
    throw new SortieError(
      `${path}: scores must have shape [${samples}, ${exits - 1}], one for each early exit; got [${scores.shape.join(", ")}].`,
    );
  }
  const table = named(path, () =>
    createTable({
      shape: [samples, exits, classes],
      labels: labels.all(),
      logits: (first, count) => logits.read(first * width, count * width),
      values: isProbabilities ? "probabilities" : "logits",
      anyValues,
      ...(macs && "all" in macs && { macs: macs.all() }),
      ...(ids && { ids: "all" in ids ? ids.names() : ids }),
      ...(weights !== undefined && { weights }),
      ...(scores && { confidence: scores.all() }),
    }),
  );
  return { ...table, read: (first, count) => named(path, () => table.read(first, count)) };
}

/** Whoever checks values does not know where they are from. */
function named<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (cause) {
    if (!(cause instanceof CalibrationError)) throw cause;
    throw new CalibrationError(`${path}: ${cause.message}`, { cause });
  }
}

function need(arrays: StoredArrays, name: string, path: string): StoredArray {
  const found = arrays.get(name);
  if (!found || !("all" in found)) {
    throw new SortieError(
      `${path}: the file must hold numbers "${name}"; got ${[...arrays.keys()].join(", ") || "none"}.`,
    );
  }
  return found;
}

/** Longer headers are an attack or not a header (the limit of the reference implementation). */
const LONGEST_HEADER = 100_000_000;

const COUNT = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/**
 * What a header says of an array; arrays of a dtype that is no number here are passed over, as nobody asks for them.
 */
const ENTRY = v.object({ dtype: v.string(), shape: v.array(COUNT), data_offsets: v.tuple([COUNT, COUNT]) });

/** Logits that training kept carry a seal; whoever else writes files need not. */
const SEALED = v.objectWithRest({ format: v.literal("sortie-logits") }, v.string());

const METADATA = v.object({ weights: v.pipe(v.string(), v.minLength(1)) });

/** The arrays of a file, and the digest of the weights that made them, where its metadata has one. */
function safetensorsArrays(path: string): { readonly arrays: StoredArrays; readonly weights?: string } {
  const size = sizeOf(path);
  const length = size >= 8 ? Number(new DataView(readBytes(path, 0, 8).buffer).getBigUint64(0, true)) : 0;
  if (length < 2 || length > LONGEST_HEADER || 8 + length > size) {
    throw new SortieError(
      `${path} must be a safetensors file; got ${size} bytes that begin with no length of a header.`,
    );
  }
  const arrays = new Map<string, StoredArray>();
  const { __metadata__: metadata, ...entries } = readHeader(path, length);
  const sealed: Record<string, SealedTensor> = {};
  const isSealed = v.is(SEALED, metadata);
  for (const [name, entry] of Object.entries(entries)) {
    const { success, output } = v.safeParse(ENTRY, entry);
    if (!success) {
      const got = preview(entry);
      throw new SortieError(`${path}: array "${name}" must have dtype, shape and data_offsets; got ${got}.`);
    }
    const { dtype, shape, data_offsets: offsets } = output;
    const width = bytesOf(dtype);
    if (width === undefined) continue;
    const bytes = shape.reduce((a, b) => a * b, width);
    const [from, to] = offsets.map((offset) => 8 + length + offset) as [number, number];
    if (to - from !== bytes || to > size) {
      const got = to > size ? `${Math.max(0, size - from)} before the file ends` : to - from;
      throw new SortieError(
        `${path}: array "${name}" of ${dtype} [${shape.join(", ")}] must have ${bytes} bytes; got ${got}.`,
      );
    }
    if (isSealed) sealed[name] = { dtype, shape, sha256: hashOf(path, from, bytes) };
    arrays.set(
      name,
      storedArray(dtype, shape, (first, count) => readBytes(path, from + first, count)),
    );
  }
  if (isSealed && createHash("sha256").update(sealedText(metadata, sealed)).digest("hex") !== metadata[SEAL]) {
    throw new SortieError(
      `${path} must hold what was written; its checksum is another. It is damaged: delete it, and run the same sortie train again.`,
    );
  }
  const { success, output } = v.safeParse(METADATA, metadata);
  return { arrays, ...(success && { weights: output.weights }) };
}

/** SHA-256 of a part of a file, which need not fit into memory. */
function hashOf(path: string, from: number, count: number): string {
  const hash = createHash("sha256");
  for (let at = 0; at < count; at += 1 << 24) hash.update(readBytes(path, from + at, Math.min(1 << 24, count - at)));
  return hash.digest("hex");
}

/**
 * A value of the header as it may stand in a message. Lists and objects in it may be nested deeper than JSON.stringify
 * goes.
 */
function preview(entry: unknown): string {
  const isDeep = (value: unknown) => typeof value === "object" && value !== null;
  const flat = (value: unknown) => (isDeep(value) && Object.values(value as object).some(isDeep) ? "..." : value);
  if (!isDeep(entry)) return JSON.stringify(entry).slice(0, 80);
  const fields = Object.entries(entry as object).slice(0, 8);
  return JSON.stringify(
    Array.isArray(entry)
      ? entry.slice(0, 8).map(flat)
      : Object.fromEntries(fields.map(([key, value]) => [key, flat(value)])),
  ).slice(0, 80);
}

function readHeader(path: string, length: number): Record<string, unknown> {
  const text = new TextDecoder().decode(readBytes(path, 8, length));
  const refuse = (got: string) => new SortieError(`${path}: the header must be a JSON object; got ${got}.`);
  try {
    const header: unknown = JSON.parse(text);
    if (!Array.isArray(header) && v.is(v.record(v.string(), v.unknown()), header)) return header;
  } catch {
    throw refuse("a text that is none");
  }
  throw refuse(text.trim().slice(0, 40));
}
