// Checkpoints: one safetensors file with everything that a run needs to go on as if it had never stopped. It appears under its
// name only when it is complete, so a process may be killed at any moment.

import {
  FormatError,
  read,
  readSafetensors,
  type SafetensorsFile,
  type SafetensorsSource,
  type StoredTensor,
  sameShape,
  type Tensor,
} from "../../engine/functions.ts";
import { CheckpointError } from "../errors.ts";
import { exists } from "./files.ts";
import { inWordsOfToday, type RunOptions } from "./identity.ts";
import { isIntact, writeSealed } from "./seal.ts";

/** Where a run stands. */
export interface Position {
  /** Steps done. */
  readonly step: number;
  /** The evaluation with the best last exit so far. */
  readonly best?: { readonly step: number; readonly accuracy: number } | undefined;
}

const FORMAT = "sortie-checkpoint";
const VERSION = "2";

/** Counters travel as their bits. */
const storedAs = (dtype: Tensor["dtype"]): "F32" | "I32" => (dtype === "f32" ? "F32" : "I32");

/**
 * Saves tensors by name, where the run stands, and what run it is. Returns false, and leaves what was there, if a value is not
 * finite: nobody wants to go on from such a state.
 */
export async function saveCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  { position, run }: { readonly position: Position; readonly run: RunOptions },
): Promise<boolean> {
  const values = await stored(tensors);
  if (!values) return false;
  const metadata = { format: FORMAT, version: VERSION, run: JSON.stringify(run), position: JSON.stringify(position) };
  await writeSealed(path, values, metadata);
  return true;
}

/** Tensors as a file holds them; undefined if a value is not finite. */
export async function stored(
  tensors: ReadonlyMap<string, Tensor>,
): Promise<readonly (readonly [name: string, tensor: StoredTensor])[] | undefined> {
  const data = await read([...tensors.values()]);
  if (!data.every((values) => values.every(Number.isFinite))) return undefined;
  return [...tensors].map(([name, { shape, dtype }], i) => {
    const values = data[i]!;
    if (storedAs(dtype) === "I32") return [name, { dtype: "I32", shape, data: new Int32Array(values.buffer) }];
    return [name, { dtype: "F32", shape, data: values as Float32Array }];
  });
}

/** How messages call a source. */
const nameOf = (source: SafetensorsSource): string =>
  typeof source === "string" || source instanceof URL ? String(source) : "the file";

/** Reads and checks a checkpoint file. Throws CheckpointError for a file that is none, or was damaged since it was written. */
async function open(source: SafetensorsSource): Promise<SafetensorsFile> {
  const path = nameOf(source);
  let file: SafetensorsFile;
  try {
    file = await readSafetensors(source);
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause;
    throw new CheckpointError(
      `checkpoint: ${path} must be whole; it is not: ${cause.message} Delete it to start afresh.`,
      { cause },
    );
  }
  const { format, version } = file.metadata;
  if (format !== FORMAT || version !== VERSION) {
    throw new CheckpointError(
      `checkpoint: ${path} must be a ${FORMAT} of version ${VERSION}; got ${format ?? "another file"} ${version ?? ""}.`,
    );
  }
  if (await isIntact(file)) return file;
  throw new CheckpointError(
    `checkpoint: ${path} must hold what was written; its checksum is another. It is damaged: delete it to start afresh.`,
  );
}

/** The dotted path at which two values first differ as JSON, and both values there; undefined if they are equal. Lists are whole. */
export function firstDifference(
  a: unknown,
  b: unknown,
  path = "",
): readonly [path: string, a: unknown, b: unknown] | undefined {
  const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject(a) || !isObject(b)) return JSON.stringify(a) === JSON.stringify(b) ? undefined : [path, a, b];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = firstDifference(a[key], b[key], path === "" ? key : `${path}.${key}`);
    if (found) return found;
  }
  return undefined;
}

/**
 * Loads a checkpoint into tensors by name and returns where the run stood; undefined where there is no file. Nothing is written
 * unless the run's options, all names, shapes and dtypes agree, all values are finite and the position lies within the run's `steps`;
 * otherwise throws CheckpointError.
 */
export async function loadCheckpoint(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  run: RunOptions,
  steps = Number.POSITIVE_INFINITY,
): Promise<Position | undefined> {
  if (!(await exists(path))) return undefined;
  const { tensors: stored, metadata } = await open(path);
  const difference = firstDifference(inWordsOfToday(parsed(path, "run", metadata)), JSON.parse(JSON.stringify(run)));
  if (difference) {
    const [key, there, here] = difference;
    // A tensor of another shape says more than the network's costs do.
    if (key.startsWith("network.")) checkAll(path, tensors, stored);
    const values = `${key} ${JSON.stringify(there)} there, ${JSON.stringify(here)} here`;
    throw new CheckpointError(
      `checkpoint: ${path} must be of the same run; ${values}. Use another folder, or the same options.`,
    );
  }
  const position = parsed(path, "position", metadata);
  if (!isPosition(position, steps)) {
    const within = Number.isFinite(steps) ? ` of ${steps}` : "";
    throw new CheckpointError(
      `checkpoint: ${path} must stand at a step${within}; got ${metadata["position"]}. Delete it to start afresh.`,
    );
  }
  writeAll(path, tensors, stored);
  return position;
}

/** A field of the metadata. */
function parsed(path: string, key: string, metadata: Readonly<Record<string, string>>): unknown {
  try {
    return JSON.parse(metadata[key] ?? "null");
  } catch (cause) {
    throw new CheckpointError(`checkpoint: ${path} must say its ${key} as JSON; got ${metadata[key]?.slice(0, 40)}.`, {
      cause,
    });
  }
}

function isPosition(value: unknown, steps: number): value is Position {
  const isStep = (step: unknown) => Number.isSafeInteger(step) && (step as number) >= 0 && (step as number) <= steps;
  const { step, best } = (value ?? {}) as Partial<Position>;
  return isStep(step) && (best === undefined || (isStep(best?.step) && Number.isFinite(best.accuracy)));
}

/** What run a checkpoint says that it is of. @throws CheckpointError for a file that is none, or was damaged since it was written. */
export async function checkpointRun(source: SafetensorsSource): Promise<RunOptions> {
  const { metadata } = await open(source);
  return inWordsOfToday(parsed(nameOf(source), "run", metadata)) as RunOptions;
}

/**
 * Loads the tensors under a prefix, such as a network's `net.`, from any checkpoint of that network: a path (Node), a Blob, or what
 * `fetch` returned. Throws CheckpointError for a file that is none, or of another network; then nothing is written.
 */
export async function loadWeights(
  source: SafetensorsSource,
  tensors: ReadonlyMap<string, Tensor>,
  prefix = "net.",
): Promise<void> {
  const { tensors: stored } = await open(source);
  const chosen = [...stored].flatMap(([name, tensor]) =>
    name.startsWith(prefix) ? [[name.slice(prefix.length), tensor] as const] : [],
  );
  writeAll(nameOf(source), tensors, new Map(chosen));
}

/** Tensors by name, in the network and in a file. */
type Check = (path: string, tensors: ReadonlyMap<string, Tensor>, stored: ReadonlyMap<string, StoredTensor>) => void;

const checkAll: Check = (path, tensors, stored) => {
  const missing = [...tensors.keys()].filter((name) => !stored.has(name));
  const unexpected = [...stored.keys()].filter((name) => !tensors.has(name));
  if (missing.length + unexpected.length > 0) {
    const list = (names: readonly string[]) => `[${names.slice(0, 5).join(", ")}${names.length > 5 ? ", ..." : ""}]`;
    throw new CheckpointError(
      `checkpoint: ${path} must be of the same network; missing: ${list(missing)}, unexpected: ${list(unexpected)}.`,
    );
  }
  for (const [name, { shape, dtype }] of tensors) {
    const there = stored.get(name) as StoredTensor;
    if (!sameShape(shape, there.shape)) {
      throw new CheckpointError(
        `checkpoint: ${path} must be of the same network; ${name} is [${there.shape.join(", ")}] there, [${shape.join(", ")}] here.`,
      );
    }
    if (there.dtype !== storedAs(dtype)) {
      throw new CheckpointError(
        `checkpoint: ${path} must be of the same network; ${name} is ${there.dtype} there, ${storedAs(dtype)} here.`,
      );
    }
    const wrong = there.dtype === "F32" ? there.data.findIndex((value) => !Number.isFinite(value)) : -1;
    if (wrong >= 0) {
      throw new CheckpointError(
        `checkpoint: ${path} must hold finite values; ${name} has ${there.data[wrong]} at ${wrong}.`,
      );
    }
  }
};

/** Puts a file's values into tensors by name. @throws CheckpointError that names what does not fit; then nothing is written. */
export const writeAll: Check = (path, tensors, stored) => {
  checkAll(path, tensors, stored);
  for (const [name, tensor] of tensors) {
    const { data } = stored.get(name) as StoredTensor;
    const { buffer, byteOffset, length } = data as Int32Array;
    tensor.write(tensor.dtype === "u32" ? new Uint32Array(buffer, byteOffset, length) : (data as Float32Array));
  }
};
