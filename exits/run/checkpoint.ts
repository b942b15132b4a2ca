// Checkpoints: one safetensors file with everything that a run needs to go on as if it had never stopped. It appears
// under its name only when it is complete, so a process may be killed at any moment.

import { isCount, isRecord, what } from "../../base/index.ts";
import {
  ArgumentError,
  FormatError,
  read,
  readSafetensors,
  type SafetensorsFile,
  type SafetensorsSource,
  type StoredTensor,
  sameShape,
  type Tensor,
  type TuningTable,
} from "../../engine/functions.ts";
import { Module } from "../../nn/index.ts";
import { CheckpointError } from "../errors.ts";
import { exists } from "./files.ts";
import { comparable, grown, type RunOptions } from "./identity.ts";
import { encodeSealed, isIntact, writeSealed } from "./seal.ts";

/** Where checkpoints lie that lie in no folder, such as IndexedDB in a page: whole files by name. */
export interface CheckpointStore {
  /** What was written under that name last, or undefined where nothing was. */
  read(name: string): Promise<Blob | undefined>;
  /** Puts a file there over what has that name, whole or not at all. */
  write(name: string, file: Blob): Promise<void>;
}

/** A checkpoint's place: a path (Node), or a name in a store. */
export type CheckpointPlace = string | { readonly store: CheckpointStore; readonly name: string };

/** Where a run stands. */
export interface Position {
  /** Steps done. */
  readonly step: number;
  /** The phase whose optimisers are held, from 0: behind the last step of one, the next has begun. */
  readonly phase: number;
  /** The best evaluation of this phase so far. */
  readonly best?: { readonly step: number; readonly accuracy: number } | undefined;
}

const FORMAT = "sortie-checkpoint";
/** A file of a network's tensors alone. */
const WEIGHTS = { format: "sortie-weights", version: "1" } as const;
/** 2, before runs had phases, still gives its weights. */
const VERSION = "3";
const WITH_WEIGHTS: readonly unknown[] = ["2", VERSION];

type Metadata = SafetensorsFile["metadata"];
const holdsWeights = ({ format, version }: Metadata): boolean =>
  format === FORMAT ? WITH_WEIGHTS.includes(version) : format === WEIGHTS.format && version === WEIGHTS.version;
const isCheckpoint = ({ format, version }: Metadata): boolean => format === FORMAT && version === VERSION;

/** Counters travel as their bits. */
const storedAs = (dtype: Tensor["dtype"]): "F32" | "I32" => (dtype === "f32" ? "F32" : "I32");

/**
 * Saves tensors by name, where the run stands, and what run it is. Returns false, and leaves what was there, if a value
 * is not finite: nobody wants to go on from such a state.
 */
export async function saveCheckpoint(
  place: CheckpointPlace,
  tensors: ReadonlyMap<string, Tensor>,
  { position, run }: { readonly position: Position; readonly run: RunOptions },
): Promise<boolean> {
  const values = await stored(tensors);
  if (!values) return false;
  const metadata = { format: FORMAT, version: VERSION, run: JSON.stringify(run), position: JSON.stringify(position) };
  if (typeof place === "string") await writeSealed(place, values, metadata);
  else await place.store.write(place.name, new Blob([await encodeSealed(values, metadata)]));
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

/**
 * Reads and checks a checkpoint file. @throws CheckpointError if the file is not a checkpoint, or was damaged since it
 * was written.
 */
async function open(
  source: SafetensorsSource,
  takes: (metadata: Metadata) => boolean,
  path = nameOf(source),
): Promise<SafetensorsFile> {
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
  if (!takes(file.metadata)) {
    const hint = holdsWeights(file.metadata) ? " Its weights can be loaded; start over to train." : "";
    throw new CheckpointError(
      `checkpoint: ${path} must be a ${FORMAT} of version ${VERSION}; got ${format ?? "another file"} ${version ?? ""}.${hint}`,
    );
  }
  if (await isIntact(file)) return file;
  throw new CheckpointError(
    `checkpoint: ${path} must hold what was written; its checksum is another. It is damaged: delete it to start afresh.`,
  );
}

/**
 * The dotted path at which two values first differ as JSON, and both values there; undefined if they are equal. Lists
 * are whole.
 */
export function firstDifference(
  a: unknown,
  b: unknown,
  path = "",
): readonly [path: string, a: unknown, b: unknown] | undefined {
  if (!isRecord(a) || !isRecord(b)) return JSON.stringify(a) === JSON.stringify(b) ? undefined : [path, a, b];
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    const found = firstDifference(a[key], b[key], path === "" ? key : `${path}.${key}`);
    if (found) return found;
  }
  return undefined;
}

/** A checkpoint's file, whole: of which run, is not looked at yet. */
export interface CheckpointFile extends SafetensorsFile {
  readonly path: string;
}

/**
 * Reads the checkpoint at a place; undefined where there is no file. @throws CheckpointError for a file that is no
 * whole checkpoint.
 */
export async function openCheckpoint(place: CheckpointPlace): Promise<CheckpointFile | undefined> {
  const isPath = typeof place === "string";
  const path = isPath ? place : place.name;
  const source = isPath ? ((await exists(place)) ? place : undefined) : await place.store.read(place.name);
  return source === undefined ? undefined : { ...(await open(source, isCheckpoint, path)), path };
}

/**
 * The digest of the weights that the run of a checkpoint started from, unless they were drawn. @throws CheckpointError
 */
export function startDigest({ path, metadata }: CheckpointFile): string | undefined {
  return ((parsed(path, "run", metadata) ?? {}) as { readonly start?: string }).start;
}

/** The kernels' variants that the run of a checkpoint is trained with. @throws CheckpointError */
export function variantsOf({ path, metadata }: CheckpointFile): TuningTable {
  const { tuning } = (parsed(path, "run", metadata) ?? {}) as { readonly tuning?: TuningTable };
  return tuning ?? {};
}

/** A checkpoint that was read, and is of this run. */
export interface Found {
  readonly position: Position;
  readonly path: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** What a run is long. */
export interface Extent {
  readonly steps: number;
  readonly phases: number;
}

/**
 * Where the run of a checkpoint stands. @throws CheckpointError unless the run's options agree - and, where its network
 * does not, names the tensor of `net` that differs - and the position lies within the run.
 */
export function readCheckpoint(
  { path, tensors, metadata }: CheckpointFile,
  run: RunOptions,
  extent: Extent,
  net: ReadonlyMap<string, Tensor>,
): Found {
  const here = JSON.parse(JSON.stringify(run)) as RunOptions;
  const there = grown(parsed(path, "run", metadata) as RunOptions, here);
  const difference = firstDifference(...comparable(there, here));
  if (difference) {
    const [key, there, here] = difference;
    // A tensor of another shape says more than the network's costs do.
    if (key.startsWith("network.")) {
      const own = new Map([...net].map(([name, tensor]) => [`net.${name}`, tensor] as const));
      checkAll(path, own, new Map([...tensors].filter(([name]) => name.startsWith("net."))));
    }
    const values = `${key} ${JSON.stringify(there)} there, ${JSON.stringify(here)} here`;
    throw new CheckpointError(
      `checkpoint: ${path} must be of the same run; ${values}. Use another folder, or the same options.`,
    );
  }
  const position = parsed(path, "position", metadata);
  if (isPosition(position, extent)) return { position, path, tensors };
  throw new CheckpointError(
    `checkpoint: ${path} must stand at a step of ${extent.steps}; got ${metadata["position"]}. Delete it to start afresh.`,
  );
}

/**
 * Writes a checkpoint's values into tensors by name. @throws CheckpointError, with nothing written, unless all names,
 * shapes and dtypes agree and all values are finite
 */
export const restore = ({ path, tensors: stored }: Found, tensors: ReadonlyMap<string, Tensor>): void =>
  writeAll(path, tensors, stored);

/** Those whose names begin with a prefix, without it. */
export const under = <T>(named: ReadonlyMap<string, T>, prefix: string): Map<string, T> =>
  new Map(
    [...named].flatMap(([name, it]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), it] as const] : [])),
  );

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

function isPosition(value: unknown, { steps, phases }: Extent): value is Position {
  const isStep = (step: unknown) => isCount(step) && step <= steps;
  const { step, phase, best } = (value ?? {}) as Partial<Position>;
  const isPhase = isCount(phase) && phase < phases;
  return isStep(step) && isPhase && (best === undefined || (isStep(best?.step) && Number.isFinite(best.accuracy)));
}

/**
 * What run a checkpoint says that it is of. @throws CheckpointError if the file is not a checkpoint, or was damaged
 * since it was written.
 */
export async function checkpointRun(source: SafetensorsSource): Promise<RunOptions> {
  const { metadata } = await open(source, (said) => said["format"] === FORMAT && holdsWeights(said));
  return parsed(nameOf(source), "run", metadata) as RunOptions;
}

/**
 * A network's tensors as a safetensors file, which `loadWeights` takes: to offer as a download, keep in IndexedDB, or
 * write to disk by its bytes. @throws CheckpointError if a value is not finite
 *
 * @example
 * ```ts
 * import { loadWeights, saveWeights } from "sortie/exits";
 * import { Init, Linear } from "sortie/nn";
 *
 * const layer = new Linear(3, 2, new Init({ seed: 1 }));
 * const blob = await saveWeights(layer); // for a download, or for IndexedDB
 * const other = new Linear(3, 2, new Init({ seed: 2 }));
 * await loadWeights(blob, other.state());
 * console.log((await other.weight.read())[0] === (await layer.weight.read())[0]); // true
 * ```
 */
export async function saveWeights(net: Module): Promise<Blob> {
  if (!(net instanceof Module)) throw new ArgumentError(`saveWeights: net must be a module; got ${what(net)}.`);
  const values = await stored(new Map([...net.state()].map(([name, tensor]) => [`net.${name}`, tensor])));
  if (!values) throw new CheckpointError("saveWeights: all values must be finite; some are not.");
  return new Blob([await encodeSealed(values, WEIGHTS)], { type: "application/octet-stream" });
}

/**
 * Loads the tensors under a prefix, such as a network's `net.`, from any checkpoint of that network, or from what
 * `saveWeights` made: a path (Node), a Blob, or what `fetch` returned. @throws CheckpointError if the file is not a
 * checkpoint, or is of another network; then nothing is written.
 */
export async function loadWeights(
  source: SafetensorsSource,
  tensors: ReadonlyMap<string, Tensor>,
  prefix = "net.",
): Promise<void> {
  const { tensors: stored } = await open(source, holdsWeights);
  writeAll(nameOf(source), tensors, under(stored, prefix));
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

/**
 * Puts a file's values into tensors by name. @throws CheckpointError that names what does not fit; then nothing is
 * written.
 */
export const writeAll: Check = (path, tensors, stored) => {
  checkAll(path, tensors, stored);
  for (const [name, tensor] of tensors) {
    const { data } = stored.get(name) as StoredTensor;
    const { buffer, byteOffset, length } = data as Int32Array;
    tensor.write(tensor.dtype === "u32" ? new Uint32Array(buffer, byteOffset, length) : (data as Float32Array));
  }
};
