// Parameters side by side in one buffer, their gradients in another, so that an optimiser step is one dispatch; in
// several where one would be larger than a binding.

import type { Kinds } from "../base/index.ts";
import type { Storage } from "./buffers.ts";
import type { Device } from "./device.ts";
import { CaptureError, DTypeError, GradientError, readOptions } from "./errors.ts";
import { type Leaf, zeroGrad } from "./graph.ts";
import { copyInto } from "./ops/assign.ts";
import { full } from "./ops/fill.ts";
import { isWhole, moveInto, sliceOf } from "./parts.ts";
import { describe } from "./shape.ts";
import { checkDevice, checkTensorList, Tensor } from "./tensor.ts";

/** Elements to which each parameter is aligned: 256 bytes, WebGPU's storage offset alignment. */
export const SEGMENT_ALIGN = 64;

/** Where a parameter lies in the buffers of its part, in elements. */
export interface Segment {
  readonly parameter: Tensor;
  readonly offset: number;
  readonly size: number;
}

/** Parameters that share a buffer. Gaps between segments hold zeros. */
export interface FlatPart {
  /** Their values, f32[n]. Updating it updates the parameters. */
  readonly values: Tensor;
  /** Their gradients, f32[n]. `backward` writes into it; call `settle` before reading it. */
  readonly grads: Tensor;
  readonly segments: readonly Segment[];
}

/** The flat buffers of a list of parameters: one part, or as many as the device's bindings ask for. */
export class Flat {
  readonly parts: readonly FlatPart[];

  /** Use `flatten`. @internal */
  constructor(parts: readonly FlatPart[]) {
    this.parts = parts;
  }

  /** Elements of all parts. */
  get size(): number {
    return this.parts.reduce((sum, { values }) => sum + values.size, 0);
  }

  /** The values of the only part; throws GradientError if there are several. */
  get values(): Tensor {
    return this.#only("values");
  }

  /** The gradients of the only part; throws GradientError if there are several. */
  get grads(): Tensor {
    return this.#only("grads");
  }

  /** Those of all parts. */
  get segments(): readonly Segment[] {
    return this.parts.flatMap(({ segments }) => segments);
  }

  #only(what: "values" | "grads"): Tensor {
    const [part, ...others] = this.parts as [FlatPart, ...FlatPart[]];
    if (others.length === 0) return part[what];
    throw new GradientError(
      `flat: ${what} must lie in one buffer; got ${this.parts.length}, since one holds no more here. Go through parts.`,
    );
  }

  /** The tensors that a captured step has to declare as state. */
  get state(): readonly Tensor[] {
    return this.parts.flatMap(({ values, grads }) => [values, grads]);
  }

  /** Makes `grads` whole: segments whose parameter got no gradient since `zeroGrad` are set to zero. */
  settle(): void {
    for (const { parameter } of this.segments) {
      const leaf = parameter.source as Leaf;
      if (leaf.grad || !leaf.slot) continue;
      const slot = new Tensor(parameter.device, leaf.slot.retain(), parameter.shape, parameter.dtype);
      const zero = full(parameter.shape, 0, { device: parameter.device });
      copyInto(slot, zero);
      zero.dispose();
      slot.dispose();
    }
  }

  /** Drops all gradients, so that the next `backward` overwrites them. */
  zeroGrad(): void {
    for (const { parameter } of this.segments) zeroGrad(parameter);
  }

  /**
   * The same memory, of some parameters alone: a part for each run of neighbours, whose tensors are the caller's to
   * dispose.
   * @throws GradientError where none is chosen.
   */
  select(isChosen: (parameter: Tensor) => boolean): Flat {
    const parts = this.parts.flatMap((part) => runsOf(part.segments, isChosen).map((run) => partOf(part, run)));
    if (parts.length > 0) return new Flat(parts);
    throw new GradientError("flat: some parameter must be selected; got none.");
  }

  dispose(): void {
    for (const tensor of this.state) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Options of `flatten`. */
export interface FlattenOptions {
  /** Bytes of the largest part; default what a binding of the device holds. */
  readonly mostBytes?: number | undefined;
}

const FLATTEN: Kinds<FlattenOptions> = { mostBytes: "number" };

/** Elements that a parameter takes in a flat buffer. */
const room = (parameter: Tensor): number => Math.max(1, Math.ceil(parameter.size / SEGMENT_ALIGN)) * SEGMENT_ALIGN;

/**
 * Moves parameters (f32 leaves of one device) into one flat buffer, or, where a binding ends before (`mostBytes`), into
 * several in their order; their handles, and captures that read or write them, see every update.
 * @throws GradientError for a tensor that is no leaf, is flat already or shares its memory with one that is, DTypeError
 * for another dtype, CaptureError inside a captured step.
 */
export function flatten(parameters: readonly Tensor[], options: FlattenOptions = {}): Flat {
  const { mostBytes } = readOptions("flatten", options, FLATTEN);
  checkTensorList("flatten", "parameters", parameters);
  const [first] = parameters;
  if (!first) throw new GradientError("flatten: there must be a parameter; got an empty list.");
  if (first.device.stream.recorder)
    throw new CaptureError("flatten: parameters must not move while a step is recorded. Make the optimiser before it.");
  const most = (mostBytes ?? first.device.pool.mostBytes) / 4;
  const groups: { size: number; segments: Segment[] }[] = [];
  const storages = new Set<Storage>();
  for (const parameter of parameters) {
    checkDevice("flatten", parameter, first.device);
    const { source } = parameter;
    if (source?.kind !== "leaf")
      throw new GradientError(
        `flatten: parameters must be leaves; got ${describe(parameter)}. Call requiresGrad() on it.`,
      );
    if (source.slot)
      throw new GradientError(`flatten: a parameter can be in one flat buffer; got ${describe(parameter)} twice.`);
    if (!isWhole(parameter.storage) || storages.has(parameter.storage)) {
      throw new GradientError(
        `flatten: a parameter must have memory of its own; got ${describe(parameter)}, which shares that of another. Copy it first.`,
      );
    }
    storages.add(parameter.storage);
    if (parameter.dtype !== "f32") throw new DTypeError(`flatten: parameters must be f32; got ${describe(parameter)}.`);
    const last = groups.at(-1);
    const fits = last !== undefined && last.size + room(parameter) <= most;
    const group = fits ? last : { size: 0, segments: [] };
    if (!fits) groups.push(group);
    group.segments.push({ parameter, offset: group.size, size: parameter.size });
    group.size += room(parameter);
  }
  return new Flat(groups.map(({ size, segments }) => join(first.device, size, segments)));
}

/** Chosen segments that lie side by side, run by run. */
function runsOf(segments: readonly Segment[], isChosen: (parameter: Tensor) => boolean): Segment[][] {
  const runs: Segment[][] = [];
  segments.forEach((segment, i) => {
    if (!isChosen(segment.parameter)) return;
    const before = segments[i - 1];
    if (before && runs.at(-1)?.at(-1) === before) runs.at(-1)?.push(segment);
    else runs.push([segment]);
  });
  return runs;
}

/** A run of segments as a part of its own, in the same memory. */
function partOf({ values, grads }: FlatPart, run: readonly Segment[]): FlatPart {
  const { offset: first } = run[0]!;
  const { offset, parameter } = run.at(-1) as Segment;
  const size = offset + room(parameter) - first;
  const view = ({ device, storage }: Tensor) =>
    new Tensor(device, sliceOf(storage, first * 4, size * 4), [size], "f32");
  const segments = run.map((segment) => ({ ...segment, offset: segment.offset - first }));
  return { values: view(values), grads: view(grads), segments };
}

/** Moves the parameters of one part. */
function join(device: Device, size: number, segments: readonly Segment[]): FlatPart {
  const [values, grads] = [full([size], 0, { device }), full([size], 0, { device })];
  for (const flat of [values, grads]) device.stream.place(flat.storage);
  const slots = segments.map(({ parameter, offset }) => {
    zeroGrad(parameter);
    const { bytes } = parameter.storage;
    const slot = sliceOf(values.storage, offset * 4, bytes);
    device.stream.push({ kind: "copy", from: parameter.storage, to: slot, bytes: parameter.bytes });
    (parameter.source as Leaf).lieIn(sliceOf(grads.storage, offset * 4, bytes));
    return slot;
  });
  // Pending work finds its memory where it was when it was queued.
  device.stream.flush();
  segments.forEach(({ parameter }, i) => {
    const slot = slots[i]!;
    moveInto(parameter.storage, slot);
    slot.release();
  });
  return { values, grads, segments };
}
