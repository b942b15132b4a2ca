// Work for the GPU as data: dispatches and copies on storages, who may take them instead of the queue, and how their
// uniforms and bindings are laid out.

import type { Grid, RowAxis } from "../kernels/index.ts";
import type { Place, Storage } from "./buffers.ts";
import type { Program } from "./pipelines.ts";
import type { Described } from "./shape.ts";

/** One dispatch: what runs, on which memory, how large. */
export interface Command {
  readonly kind: "dispatch";
  readonly op: string;
  readonly program: Program;
  /** In the order of the program's bindings. */
  readonly storages: readonly Storage[];
  /** In the order of the program's uniforms. */
  readonly uniforms: readonly number[];
  readonly grid: Grid;
  /** How the grid depends on the leading extent; undefined if the kernel mixes rows, or nobody records. */
  readonly rows: RowAxis | undefined;
}

/** A copy of bytes from one storage to another; ends the open compute pass, so ops avoid it. */
export interface Copy {
  readonly kind: "copy";
  readonly from: Storage;
  readonly to: Storage;
  readonly bytes: number;
}

export type Work = Command | Copy;

/** Memory at its place: a storage, or what is known of one that had its turn. */
export interface Placed {
  readonly bytes: number;
  readonly place: Place;
}

/** One call of an op. */
export interface TracedOp {
  readonly name: string;
  readonly inputs: readonly (Described | undefined)[];
  readonly outputs: readonly Described[];
  readonly attrs: unknown;
}

/** Takes work instead of the queue while a capture is being recorded. */
export interface Recorder {
  record(work: Work): void;
  /** Memory for a storage of the recording that is written from the host, once. */
  place(storage: Storage): void;
  /** Told of every handle (a Tensor) that is made. */
  made(handle: object): void;
  /** Told of every handle whose memory is asked for. */
  used(handle: object, storage: Storage): void;
  /** Told before a leaf (graph.ts) loses its gradient or gets another. */
  swaps(leaf: object): void;
  /** From here on the first `count` (a Tensor) rows of `tensors` count. */
  live?(count: object, tensors: Readonly<Record<string, object>>): void;
  /** Told of every op. */
  ran?(op: TracedOp): void;
}

/** Encodes one dispatch; `encode` of the stream and of captures. */
export interface Encoded {
  readonly program: Program;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly uniformOffset: number;
  readonly grid: Grid;
  /** Indirect arguments instead of `grid`. */
  readonly indirect: Place | undefined;
  readonly bytes: number;
}

/** Told of every dispatch while `device.profile` runs; gives the pass descriptor that times it. */
export interface PassTimer {
  pass(encoded: Encoded): NonNullable<Parameters<GPUCommandEncoder["beginComputePass"]>[0]>;
  finish(encoder: GPUCommandEncoder): void;
}

export function storagesOf(work: Work): readonly Storage[] {
  return work.kind === "copy" ? [work.from, work.to] : work.storages;
}

export function copyStorage(
  encoder: GPUCommandEncoder,
  { from, to, bytes }: { readonly from: Placed; readonly to: Placed; readonly bytes: number },
): void {
  encoder.copyBufferToBuffer(from.place.buffer, from.place.offset, to.place.buffer, to.place.offset, bytes);
}

/**
 * The memory that a program is bound to, with what is read from a buffer that it also writes replaced by `copyOf` it.
 */
export function separate<M extends Placed>(
  { bindings }: Program,
  memory: readonly M[],
  copyOf: (from: M) => M,
): readonly M[] {
  const written = memory.filter((_, i) => bindings[i]?.access !== "read").map(({ place }) => place.buffer);
  return memory.map((bound, i) =>
    bindings[i]?.access === "read" && written.includes(bound.place.buffer) ? copyOf(bound) : bound,
  );
}

/** Bytes of a program's uniform struct. */
export const uniformBytes = (program: Program): number => Math.ceil((program.uniformNames.length * 4) / 16) * 16;

/** Writes a call's uniforms into `view` at `offset`. */
export function writeUniforms(view: DataView, offset: number, program: Program, values: readonly number[]): void {
  program.uniformNames.forEach((name, i) => {
    const value = values[i]!;
    const type = program.kernel.uniforms[name];
    if (type === "f32") view.setFloat32(offset + 4 * i, value, true);
    else if (type === "i32") view.setInt32(offset + 4 * i, value, true);
    else view.setUint32(offset + 4 * i, value, true);
  });
}
