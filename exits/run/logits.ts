// Cached logits: what calibration works on. One safetensors file a split: `logits` [samples, exits, classes], `labels`,
// `ids` [samples], `macs` [exits], where heads say how sure they are `scores` [samples, exits - 1], and in the metadata
// what they were made from.

import { exactly } from "../../base/index.ts";
import { createTable, type Table } from "../../calibration/index.ts";
import { FormatError, readSafetensors, type SafetensorsFile, type StoredTensor } from "../../engine/functions.ts";
import { CheckpointError } from "../errors.ts";
import { checksum, type ImageSet } from "../training/images.ts";
import { isIntact, writeSealed } from "./seal.ts";

/** All exits' logits of a set of images. */
export interface CachedLogits {
  /** [samples, exits, classes] */
  readonly shape: readonly [number, number, number];
  readonly logits: Float32Array;
  /** f32 [samples, exits - 1]: how sure each early exit is, before the sigmoid; where heads say it. */
  readonly confidence?: Float32Array;
  readonly labels: Int32Array;
  readonly ids: Int32Array;
  /** `[exits]`: MACs of an image that leaves there, heads passed included. */
  readonly macs: readonly number[];
  /** Digest of the weights that made them, if known. */
  readonly weights?: string;
}

const FORMAT = "sortie-logits";
/** 3: with `scores`. Files without are of version 2. */
const [PLAIN, SCORED] = ["2", "3"] as const;

/** The table that calibration works on. */
export function toTable({ shape, logits, confidence, labels, ids, macs, weights }: CachedLogits): Table {
  const more = { ...(confidence && { confidence }), ...(weights !== undefined && { weights }) };
  return createTable({ shape, logits, labels, ids: [...ids], macs, ...more });
}

/** Writes a file of cached logits; `about` says what they were made from. */
export async function writeLogits(
  path: string,
  cached: CachedLogits,
  about: Readonly<Record<string, string>> = {},
): Promise<void> {
  const [samples, exits] = cached.shape;
  const { confidence } = cached;
  const tensors: [string, StoredTensor][] = [
    ["logits", { dtype: "F32", shape: cached.shape, data: cached.logits }],
    ["labels", { dtype: "I32", shape: [samples], data: cached.labels }],
    ["ids", { dtype: "I32", shape: [samples], data: cached.ids }],
    ["macs", { dtype: "F64", shape: [exits], data: Float64Array.from(cached.macs) }],
  ];
  if (confidence) tensors.push(["scores", { dtype: "F32", shape: [samples, exits - 1], data: confidence }]);
  const weights = cached.weights === undefined ? {} : { weights: cached.weights };
  await writeSealed(path, tensors, { ...about, ...weights, format: FORMAT, version: confidence ? SCORED : PLAIN });
}

/**
 * Reads a file that `writeLogits` wrote. @throws CheckpointError for another one, and for one that was damaged since.
 */
export async function readLogits(
  path: string,
): Promise<CachedLogits & { readonly about: Readonly<Record<string, string>> }> {
  const fail = (must: string, got: string): never => {
    throw new CheckpointError(`readLogits: ${path} must ${must}; got ${got}.`);
  };
  const file = await readSafetensors(path).catch((cause: unknown) => {
    if (!(cause instanceof FormatError)) throw cause;
    throw new CheckpointError(`readLogits: ${path} must be whole; it is not: ${cause.message}`, { cause });
  });
  const { metadata } = file;
  const { format, version, weights } = metadata;
  if (format !== FORMAT || (version !== PLAIN && version !== SCORED))
    fail(`be ${FORMAT} of version ${PLAIN} or ${SCORED}`, `${format ?? "another file"} ${version ?? ""}`.trim());
  if (!(await isIntact(file))) fail("hold what was written", "another checksum: the file is damaged");
  const [logits, labels, ids, macs] = [
    tensorOf(file, path, "logits", "F32"),
    tensorOf(file, path, "labels", "I32"),
    tensorOf(file, path, "ids", "I32"),
    tensorOf(file, path, "macs", "F64"),
  ];
  const scores = version === SCORED ? tensorOf(file, path, "scores", "F32") : undefined;
  const [samples, exits, classes] = exactly(logits.shape, 3);
  if (logits.shape.length !== 3) fail("hold logits [samples, exits, classes]", `[${logits.shape.join(", ")}]`);
  for (const [name, { data }, count] of [
    ["labels", labels, samples],
    ["ids", ids, samples],
    ["macs", macs, exits],
    ...(scores ? [["scores", scores, samples * (exits - 1)] as const] : []),
  ] as const)
    if (data.length !== count) fail(`hold ${count} ${name}`, `${data.length}`);
  const wrong = logits.data.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0)
    fail("hold finite logits", `${logits.data[wrong]} for sample ${Math.floor(wrong / (exits * classes))}`);
  const unsure = scores?.data.find((value) => !Number.isFinite(value));
  if (unsure !== undefined) fail("hold finite scores", String(unsure));
  const outside = labels.data.find((label) => !(label >= 0 && label < classes));
  if (outside !== undefined) fail(`hold labels in 0..${classes - 1}`, `${outside}`);
  return {
    shape: [samples, exits, classes],
    logits: logits.data,
    ...(scores && { confidence: scores.data }),
    labels: labels.data,
    ids: ids.data,
    macs: [...macs.data],
    ...(weights !== undefined && { weights }),
    about: metadata,
  };
}

function tensorOf<D extends StoredTensor["dtype"]>(
  file: SafetensorsFile,
  path: string,
  name: string,
  dtype: D,
): Extract<StoredTensor, { dtype: D }> {
  const found = file.tensors.get(name);
  if (found?.dtype === dtype) return found as Extract<StoredTensor, { dtype: D }>;
  throw new CheckpointError(`readLogits: ${path} must hold ${name} as ${dtype}; got ${found?.dtype ?? "none"}.`);
}

/** What cached logits were made from; they are made again when any of it changes. */
export const aboutLogits = (set: ImageSet, weights: string): Record<string, string> => ({
  data: set.meta.name,
  split: set.meta.split,
  samples: String(set.size),
  content: String(checksum(set)),
  normalisation: JSON.stringify({ mean: set.meta.mean, std: set.meta.std }),
  weights,
});
