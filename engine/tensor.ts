// The Tensor: a handle on row-major memory with a shape and a dtype. Knows storage, scopes and its place on the tape;
// operations reach it as functions (and, through methods.ts, as methods).

import { type Kinds, what } from "../base/index.ts";
import { Storage } from "./buffers.ts";
import { type Device, deviceOr } from "./device.ts";
import { checkDType, type DType, decode, elementBytes, storageBytes, type TensorData } from "./dtype.ts";
import { ArgumentError, DisposedError, DTypeError, readOptions, ShapeError } from "./errors.ts";
import type { Source } from "./graph.ts";
import { checkData, dtypeOf, encode, type HostData } from "./host-data.ts";
import { noteRange } from "./ranges.ts";
import { track, untrack } from "./scope.ts";
import { checkShape, describe, numel, type Shape } from "./shape.ts";
import { positional } from "./signature.ts";

/** What a handle refers to, one reference each. */
interface Memory {
  readonly storage: Storage;
  source: Source | undefined;
}

const collected = new FinalizationRegistry<{ device: Device; memory: Memory }>(({ device, memory }) => {
  if (device.isDisposed) return;
  device.noteLeak();
  memory.storage.release();
  memory.source?.release();
});

/** A multi-dimensional array on a device. Immutable but for `assign`, `write` and optimiser steps. */
export class Tensor {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  readonly #memory: Memory;
  #endedBy: "dispose" | "scope" | undefined;

  /** Takes over one reference to `storage` (and one to `source`). Use the creation functions instead. @internal */
  constructor(device: Device, storage: Storage, shape: Shape, dtype: DType, source?: Source) {
    this.device = device;
    this.shape = Object.freeze([...shape]);
    this.dtype = dtype;
    this.#memory = { storage, source };
    track(this);
    device.stream.recorder?.made(this);
    collected.register(this, { device, memory: this.#memory }, this);
  }

  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get size(): number {
    return numel(this.shape);
  }

  /** Bytes of the elements, without padding. */
  get bytes(): number {
    return this.size * elementBytes(this.dtype);
  }

  get isDisposed(): boolean {
    return this.#endedBy !== undefined;
  }

  /**
   * How the handle ended, if it did. A capture goes on without what left its scope, but not without what was disposed.
   * @internal
   */
  get endedBy(): "dispose" | "scope" | undefined {
    return this.#endedBy;
  }

  /** The memory; throws DisposedError after `dispose()`. @internal */
  get storage(): Storage {
    this.check("tensor");
    const { storage } = this.#memory;
    this.device.stream.recorder?.used(this, storage);
    return storage;
  }

  /** Its place on the tape. @internal */
  get source(): Source | undefined {
    return this.#memory.source;
  }

  /** Gives a fresh result its place on the tape; takes over one reference. @internal */
  attach(source: Source): void {
    this.#memory.source = source;
  }

  /** Whether gradients flow to it. */
  get isDifferentiable(): boolean {
    return this.source !== undefined;
  }

  /**
   * Checks that the tensor and its device are there. `op` names the call for the message. @throws DisposedError
   * @internal
   */
  check(op: string): void {
    if (this.#endedBy) {
      throw new DisposedError(
        `${op}: a tensor must be alive; got ${describe(this)}, which was disposed. Keep it out of the scope that freed it.`,
      );
    }
    this.device.check(op);
  }

  /** The same memory without its history. */
  detach(): Tensor {
    return new Tensor(this.device, this.storage.retain(), this.shape, this.dtype);
  }

  /** All elements, row-major. Waits for the GPU. */
  async read(): Promise<TensorData> {
    const [data] = await read([this]);
    return data as TensorData;
  }

  /** The only element of a one-element tensor. Waits for the GPU. */
  async item(): Promise<number> {
    if (this.size !== 1)
      throw new ShapeError(`item: the tensor must have one element; got ${describe(this)}. Use read().`);
    return (await this.read())[0]!;
  }

  /** Overwrites the elements with host data of the same length. */
  write(data: HostData): void {
    this.check("write");
    checkData("write: the data", data);
    if (data.length !== this.size) {
      throw new ShapeError(
        `write: the data must have ${this.size} elements for ${describe(this)}; got ${data.length}.`,
      );
    }
    const { storage } = this.#memory;
    this.device.stream.write(storage, encode("write", data, this.dtype));
    storage.touch();
    noteRange(storage, data, this.dtype);
  }

  /** Frees the memory once nothing else needs it. Using the handle afterwards throws. */
  dispose(): void {
    this.#end("dispose");
  }

  /** The end of the scope that the tensor was made in. @internal */
  leaveScope(): void {
    this.#end("scope");
  }

  #end(by: "dispose" | "scope"): void {
    if (this.#endedBy) return;
    this.#endedBy = by;
    untrack(this);
    collected.unregister(this);
    this.#memory.storage.release();
    this.source?.release(by);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return `Tensor ${describe(this)}`;
  }

  /** One line wherever it is printed; the elements are on the GPU, `read()` gets them. */
  toJSON(): string {
    return this.toString();
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** Host data of several tensors with a single wait, in order. */
export async function read(tensors: readonly Tensor[]): Promise<TensorData[]> {
  checkTensorList("read", "tensors", tensors);
  const first = tensors[0];
  if (!first) return [];
  for (const tensor of tensors) checkDevice("read", tensor, first.device);
  const buffers = await first.device.readBytes(tensors.map(({ storage, bytes }) => ({ storage, bytes })));
  return tensors.map((tensor, i) => decode(buffers[i]!, tensor.size, tensor.dtype));
}

/**
 * Checks that operands are living tensors. A name that ends in `?` may be missing. @throws ArgumentError for an operand
 * that is no tensor, DisposedError for one that is gone
 */
export function checkTensors(op: string, operands: Readonly<Record<string, unknown>>): void {
  for (const [name, operand] of Object.entries(operands))
    if (operand !== undefined || !name.endsWith("?")) checkTensor(op, name.replace("?", ""), operand);
}

/** The same of one operand. @throws ArgumentError, DisposedError */
export function checkTensor(op: string, name: string, operand: unknown): asserts operand is Tensor {
  if (operand instanceof Tensor) return operand.check(op);
  throw new ArgumentError(`${op}: ${name} must be a tensor; got ${what(operand)}. Make one by tensor().`);
}

/**
 * Checks that `list` is a list of living tensors. @throws ArgumentError that says what it is, or which one is no
 * tensor; DisposedError for one that is gone
 */
export function checkTensorList(op: string, name: string, list: unknown): asserts list is readonly Tensor[] {
  if (!Array.isArray(list)) throw new ArgumentError(`${op}: ${name} must be a list of tensors; got ${what(list)}.`);
  for (const [i, x] of list.entries()) checkTensor(op, `${name}[${i}]`, x);
}

/** Checks that `tensor` is on `device`. @throws ArgumentError */
export function checkDevice(op: string, tensor: Tensor, device: Device): void {
  if (tensor.device !== device) throw new ArgumentError(`${op}: all operands must be on one device; got two.`);
}

/** Where and as what a tensor is made. */
export interface TensorOptions {
  readonly dtype?: DType;
  readonly device?: Device;
}

const TENSOR: Kinds<TensorOptions> = { dtype: "string", device: "any" };
const TENSOR_OF: Kinds<TensorOptions & { readonly shape?: Shape }> = { ...TENSOR, shape: "any" };

/** A tensor whose memory is not written yet; for ops. */
export const empty = positional("empty(shape, options)", (shape: Shape, options: TensorOptions = {}): Tensor => {
  const { dtype = "f32", device } = readOptions("tensor", options, TENSOR);
  checkShape("tensor", shape);
  checkDType("tensor", dtype);
  return allocate(shape, dtype, deviceOr("tensor", device));
});

/** `empty` for what is checked already. */
export function allocate(shape: Shape, dtype: DType, device: Device): Tensor {
  const bytes = storageBytes(numel(shape), dtype);
  device.check("tensor");
  if (dtype === "f16" && !device.info.hasF16) {
    throw new DTypeError(
      `tensor: f16 needs the adapter feature shader-f16; got ${describe({ shape, dtype })}. Use f32.`,
    );
  }
  device.pool.check(bytes, describe({ shape, dtype }));
  const storage = new Storage(bytes, device.stream.recorder, numel(shape) * elementBytes(dtype));
  return new Tensor(device, storage, shape, dtype);
}

/** Numbers in rows of rows, to any depth. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[];
/** Any typed array. */
export type NumberArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint8ClampedArray
  | BigInt64Array
  | BigUint64Array;

/**
 * A tensor of host data: nested arrays of numbers (dtype f32, or bool for booleans), or a typed array with a shape. A
 * typed array's dtype is kept where there is one (Float64Array becomes f32, small integers i32; 64-bit integers i32 or
 * u32, where they fit).
 *
 * @example
 * ```ts
 * import { tensor } from "sortie/engine";
 *
 * const x = tensor([[1, 2, 3], [4, 5, 6]]);
 * console.log(x); // Tensor f32[2, 3]
 * console.log(tensor(Int32Array.of(3, 1, 2))); // Tensor i32[3]
 * ```
 */
export const tensor = positional(
  "tensor(data, options)",
  (data: NestedNumbers | NumberArray, options: TensorOptions & { readonly shape?: Shape } = {}): Tensor => {
    const { shape: given, dtype: wanted, device } = readOptions("tensor", options, TENSOR_OF);
    const isTyped = ArrayBuffer.isView(data);
    if (isTyped) checkData("tensor: data", data);
    const shape = given ?? (isTyped ? [data.length] : nestedShape(data));
    const flat = isTyped ? data : flatten(data);
    const dtype = wanted ?? (isTyped ? dtypeOf(data) : kindOf(flat as readonly (number | boolean)[]));
    checkShape("tensor", shape);
    checkDType("tensor", dtype);
    if (numel(shape) !== flat.length) {
      throw new ShapeError(
        `tensor: the data must have ${numel(shape)} elements for the shape [${shape.join(", ")}]; got ${flat.length}.`,
      );
    }
    const result = allocate(shape, dtype, deviceOr("tensor", device));
    result.device.stream.write(result.storage, encode("tensor", flat as HostData, dtype));
    noteRange(result.storage, flat, dtype);
    return result;
  },
);

/** Truth values are bool, and numbers among them make numbers of all. */
const kindOf = (flat: readonly (number | boolean)[]): DType =>
  typeof flat[0] === "boolean" && flat.every((value) => typeof value === "boolean") ? "bool" : "f32";

function flatten(data: NestedNumbers, into: (number | boolean)[] = []): (number | boolean)[] {
  if (typeof data === "number" || typeof data === "boolean") into.push(data);
  else for (const row of data) flatten(row, into);
  return into;
}

function nestedShape(data: NestedNumbers): number[] {
  if (typeof data === "number" || typeof data === "boolean") return [];
  if (!Array.isArray(data)) {
    throw new ArgumentError(`tensor: data must be numbers, nested lists of them, or a typed array; got ${what(data)}.`);
  }
  // Not by map, which passes over holes.
  const shapes = Array.from(data as readonly NestedNumbers[], nestedShape);
  const first = shapes[0] ?? [];
  const odd = shapes.find((shape) => shape.join() !== first.join());
  if (odd) {
    throw new ShapeError(
      `tensor: nested rows must have equal lengths; got rows of shape [${first.join(", ")}] and [${odd.join(", ")}].`,
    );
  }
  return [data.length, ...first];
}

/**
 * `start, start + step, ...` up to, not including, `end`: i32, or f32 where one of them has a fraction, unless a dtype
 * is given.
 */
export const arange = positional(
  "arange(start, end, step, options)",
  (start: number, end?: number, step: number = 1, options: TensorOptions = {}): Tensor => {
    const [from, to] = end === undefined ? [0, start] : [start, end];
    if (![from, to, step].every(Number.isFinite) || step === 0) {
      const got = [from, to, step].map(what).join(", ");
      throw new ArgumentError(`arange: start, end and step must be finite numbers, and step not 0; got ${got}.`);
    }
    const n = Math.max(0, Math.ceil((to - from) / step));
    return tensor(
      Float64Array.from({ length: n }, (_, i) => from + i * step),
      { dtype: [from, to, step].every(Number.isInteger) ? "i32" : "f32", ...readOptions("arange", options, TENSOR) },
    );
  },
);

/** The n x n identity matrix. */
export const eye = positional("eye(n, options)", (n: number, options: TensorOptions = {}): Tensor => {
  checkShape("eye", [n]);
  const data = new Float32Array(n * n);
  for (let i = 0; i < n; i++) data[i * (n + 1)] = 1;
  return tensor(data, { shape: [n, n], ...readOptions("eye", options, TENSOR) });
});

export type { DType, TensorData };
