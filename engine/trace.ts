// What a function would run, without running it: the ops it calls, with shapes and attributes. For counting work.

import type { Storage } from "./buffers.ts";
import { type Device, deviceOr } from "./device.ts";
import { CaptureError } from "./errors.ts";
import type { Leaf } from "./graph.ts";
import { LeafSwaps } from "./leaf-swaps.ts";
import { Scope } from "./scope.ts";
import { recording } from "./stream.ts";
import { type Recorder, storagesOf, type TracedOp } from "./work.ts";

/** Calls `fn` without executing anything on the GPU; all tensors it makes are freed. Values must not be read inside. */
export function trace(device: Device, fn: () => unknown): TracedOp[] {
  const { stream } = deviceOr("trace", device);
  if (stream.recorder) throw new CaptureError("trace: it must not run inside a capture or another trace.");
  const ops: TracedOp[] = [];
  const held: Storage[] = [];
  const leaves = new LeafSwaps();
  const frame = new Scope();
  const recorder: Recorder = {
    record: (work) => {
      held.push(...storagesOf(work));
    },
    place: (storage) => {
      const buffer = device.pool.take(storage.bytes);
      storage.putAt({ buffer, offset: 0 }, () => device.pool.give(buffer));
    },
    made: () => {},
    used: () => {},
    swaps: (leaf: Leaf) => leaves.note(leaf),
    ran: (op) => ops.push(op),
  };
  try {
    recording(stream, recorder, fn);
  } finally {
    frame.dispose();
    leaves.undo();
    for (const storage of held) storage.release();
  }
  return ops;
}
