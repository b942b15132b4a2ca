// Storages that lie inside others: views of flat buffers, and tensors that move into one.

import { Storage } from "./buffers.ts";

/** A part of a storage as one of its own; `offset` must be a multiple of 256. */
export function sliceOf(whole: Storage, offset: number, bytes: number): Storage {
  const part = new Storage(bytes, whole.owner);
  lieIn(part, whole, offset);
  return part;
}

/**
 * Whether a storage is neither a part nor has parts. Others must not move: their parts, or their neighbours, would stay
 * behind.
 */
export const isWhole = ({ whole, parts }: Storage): boolean => !whole && parts === 0;

/**
 * Makes a whole storage live inside `slot`, for all that refer to it. Memory that it had is let go: what lies there
 * must have been copied by submitted work, and no pending command may use it.
 */
export function moveInto(storage: Storage, slot: Storage): void {
  const { version } = storage;
  storage.owner = slot.owner;
  const leave = lieIn(storage, slot, 0);
  // What lay there before is overwritten.
  slot.skew += 1;
  storage.skew += version - storage.version;
  leave?.();
}

/** Places a storage inside another; returns what lets go of the memory that it had. */
function lieIn(part: Storage, whole: Storage, offset: number): (() => void) | undefined {
  const { buffer, offset: base } = whole.place;
  whole.retain().parts += 1;
  part.whole = whole;
  return part.putAt({ buffer, offset: base + offset }, () => {
    whole.parts -= 1;
    whole.release();
  });
}
