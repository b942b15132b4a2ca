/**
 * Cached logits from a file, whoever wrote it: safetensors (also by PyTorch) or npz (NumPy). Arrays by name:
 * `logits` [samples, exits, classes], `labels` [samples], and optionally `macs` [exits] and `ids` [samples].
 */

import { statSync } from "node:fs";
import { createTable, type Table } from "../calibration/index.ts";
import { npzArrays } from "./npz-file.ts";
import { bytesOf, readBytes, type StoredArray, storedArray } from "./stored-array.ts";

/** Options of `readLogits`. */
export interface LogitsOptions {
  /** The arrays hold probabilities. */
  readonly isProbabilities?: boolean;
}

/** Opens a table. Logits are read a chunk at a time, so that a file may be larger than memory (not np.savez_compressed). */
export function readLogits(path: string, { isProbabilities = false }: LogitsOptions = {}): Table {
  const arrays = path.endsWith(".npz") ? npzArrays(path) : safetensorsArrays(path);
  const logits = need(arrays, "logits", path);
  const labels = need(arrays, "labels", path);
  const { shape } = logits;
  if (shape.length !== 3) {
    throw new Error(
      `${path}: logits must have shape [samples, exits, classes]; got [${shape.join(", ")}]. One exit is [samples, 1, classes].`,
    );
  }
  const [samples, exits, classes] = shape as [number, number, number];
  const width = exits * classes;
  const macs = arrays.get("macs");
  const ids = arrays.get("ids");
  return createTable({
    shape: [samples, exits, classes],
    labels: labels.all(),
    logits: (first, count) => logits.read(first * width, count * width),
    values: isProbabilities ? "probabilities" : "logits",
    ...(macs && "all" in macs && { macs: macs.all() }),
    ...(ids && { ids: "all" in ids ? Array.from(ids.all()) : ids }),
  });
}

/** Arrays by name; text, where a file can hold it. */
type Arrays = ReadonlyMap<string, StoredArray | readonly string[]>;

function need(arrays: Arrays, name: string, path: string): StoredArray {
  const found = arrays.get(name);
  if (!found || !("all" in found)) {
    throw new Error(`${path}: the file must hold numbers "${name}"; got ${[...arrays.keys()].join(", ") || "none"}.`);
  }
  return found;
}

/** Longer headers are an attack or not a header (the limit of the reference implementation). */
const LONGEST_HEADER = 100_000_000;

function safetensorsArrays(path: string): Arrays {
  const size = statSync(path).size;
  const length = size >= 8 ? Number(readBytes(path, 0, 8).getBigUint64(0, true)) : 0;
  if (length < 2 || length > LONGEST_HEADER || 8 + length > size)
    throw new Error(`${path}: is not a safetensors file.`);
  const header = JSON.parse(new TextDecoder().decode(readBytes(path, 8, length))) as Record<string, HeaderEntry>;
  const arrays = new Map<string, StoredArray>();
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets: offsets } = entry;
    const width = bytesOf(dtype);
    if (width === undefined) continue; // an array of another kind that nobody asks for
    const start = 8 + length + offsets[0];
    const isWhole = offsets[1] - offsets[0] === width * shape.reduce((a, b) => a * b, 1);
    if (!isWhole || 8 + length + offsets[1] > size) throw new Error(`${path}: array "${name}" is cut off.`);
    arrays.set(
      name,
      storedArray(dtype, shape, (from, count) => readBytes(path, start + from, count)),
    );
  }
  return arrays;
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}
