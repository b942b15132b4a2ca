// What the host knows of integers that it wrote: their ends, so that an index out of range is refused before the GPU
// reads it.

import type { Storage } from "./buffers.ts";
import type { DType } from "./dtype.ts";
import { ArgumentError } from "./errors.ts";
import { type Described, describe } from "./shape.ts";

/** Least and largest of the integers that the host last wrote into a storage, and the storage's version since. */
const ranges = new WeakMap<Storage, { readonly low: number; readonly high: number; readonly version: number }>();

/** Takes note of what the host wrote into a storage. @internal */
export function noteRange(storage: Storage, data: ArrayLike<number | boolean | bigint>, dtype: DType): void {
  if ((dtype !== "i32" && dtype !== "u32") || data.length === 0) return;
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < data.length; i++) {
    const value = Number(data[i]);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  ranges.set(storage, { low, high, version: storage.version });
}

/**
 * Refuses an index or label outside 0..count - 1 that is not `except`, where host data tells (by its ends); what the
 * GPU made is not read for it.
 * @throws ArgumentError
 */
export function checkRange(
  op: string,
  name: string,
  index: Described & { readonly storage: Storage },
  count: number,
  except?: number,
): void {
  const { storage } = index;
  const range = ranges.get(storage);
  if (!range || range.version !== storage.version) return;
  const got = [range.low, range.high].find((end) => !(end >= 0 && end < count) && end !== except);
  if (got === undefined) return;
  throw new ArgumentError(`${op}: ${name} must be in 0..${count - 1}; got ${got} in ${describe(index)}.`);
}
