// What a function would run, without running it: the ops it calls, with shapes and attributes. For counting work.

import type { Storage } from "./buffers.ts";
import type { Device } from "./device.ts";
import { CaptureError } from "./errors.ts";
import { LeafSwaps } from "./leaf-swaps.ts";
import { deviceOr } from "./registry.ts";
import { Scope } from "./scope.ts";
import type { Described } from "./shape.ts";
import { storagesOf, type Work } from "./stream.ts";

/** One call of an op. */
export interface TracedOp {
  readonly name: string;
  readonly inputs: readonly (Described | undefined)[];
  readonly outputs: readonly Described[];
  readonly attrs: unknown;
}

/** Calls `fn` without executing anything on the GPU; all tensors it makes are freed. Values must not be read inside. */
export function trace(device: Device, fn: () => unknown): TracedOp[] {
  const { stream } = deviceOr("trace", device);
  if (stream.recorder) throw new CaptureError("trace: it must not run inside a capture or another trace.");
  stream.flush();
  const ops: TracedOp[] = [];
  const held: Storage[] = [];
  const leaves = new LeafSwaps();
  const frame = new Scope();
  try {
    device.onOp = (op) => ops.push(op);
    stream.recorder = {
      record: (work: Work) => {
        held.push(...storagesOf(work));
      },
      place: (storage: Storage) => {
        const buffer = device.pool.take(storage.bytes);
        storage.putAt({ buffer, offset: 0 }, () => device.pool.give(buffer));
      },
      made: () => {},
      used: () => {},
      swaps: (leaf) => leaves.note(leaf),
    };
    fn();
  } finally {
    stream.recorder = undefined;
    device.onOp = undefined;
    frame.dispose();
    leaves.undo();
    for (const storage of held) storage.release();
  }
  return ops;
}
