// Numbers of the host on their way to the GPU: one check and one encoder for tensor(), write() and what captures are
// fed with.

import { what } from "../base/index.ts";
import { type DType, toHalf } from "./dtype.ts";
import { ArgumentError, DTypeError } from "./errors.ts";

/**
 * Numbers in a row: a list, or any typed array. i32 and u32 hold whole numbers of 64 bits exactly, or refuse them; f32
 * and f16 round, as they do those of a Float64Array.
 */
export type HostData = ArrayLike<number> | BigInt64Array | BigUint64Array;

/** Checks that `data` is one. `at` begins the message: `write: the data`. @throws ArgumentError */
export function checkData(at: string, data: unknown): asserts data is HostData {
  const isView = ArrayBuffer.isView(data) && !(data instanceof DataView);
  const { length } = (data ?? {}) as { length?: unknown };
  if (typeof data !== "object" || typeof length !== "number")
    throw new ArgumentError(`${at} must be a list of numbers or a typed array; got ${what(data)}.`);
  if (isView) return;
  const list = data as ArrayLike<unknown>;
  for (let i = 0; i < length; i++) {
    const value = list[i];
    if (typeof value === "number" || typeof value === "boolean") continue;
    const hint = Array.isArray(value) ? " Flatten it." : "";
    throw new ArgumentError(`${at} must hold numbers alone; got ${what(value)} at ${i}.${hint}`);
  }
}

/** The dtype that a typed array's numbers are kept in, unless another is asked for. */
export function dtypeOf(data: ArrayBufferView): DType {
  const kind = Object.prototype.toString.call(data);
  if (kind.includes("Float")) return "f32";
  return kind === "[object Uint32Array]" || kind === "[object BigUint64Array]" ? "u32" : "i32";
}

/** Bytes to upload for `data` as `dtype`. @throws DTypeError for whole numbers that 32 bits do not hold. */
export function encode(op: string, data: HostData, dtype: DType): ArrayBufferView<ArrayBuffer> {
  switch (dtype) {
    case "f32":
      return data instanceof Float32Array ? (data as Float32Array<ArrayBuffer>) : Float32Array.from(data, Number);
    case "i32":
      return data instanceof Int32Array ? (data as Int32Array<ArrayBuffer>) : whole(op, data, dtype, Int32Array);
    case "u32":
      return data instanceof Uint32Array ? (data as Uint32Array<ArrayBuffer>) : whole(op, data, dtype, Uint32Array);
    case "bool":
      return Uint32Array.from(data as ArrayLike<number>, (value) => (Number(value) === 0 ? 0 : 1));
    case "f16": {
      // Even length, so that the byte count is a multiple of four.
      const half = new Uint16Array(data.length + (data.length & 1));
      for (let i = 0; i < data.length; i++) half[i] = toHalf(Number(data[i]));
      return half;
    }
  }
}

/** Whole numbers of `data` in an integer array; fractions are cut off. */
function whole(
  op: string,
  data: HostData,
  dtype: DType,
  Whole: typeof Int32Array | typeof Uint32Array,
): Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  const into = new Whole(data.length);
  for (let i = 0; i < data.length; i++) {
    const value = Math.trunc(Number(data[i]));
    into[i] = value;
    if (into[i] !== value) throw new DTypeError(`${op}: ${dtype} must hold every number; got ${data[i]}. Use f32.`);
  }
  return into;
}
