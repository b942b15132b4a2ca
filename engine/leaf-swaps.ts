// What a traced step does to the gradients at leaves: nothing while it is traced, since it does not run, and all of it
// at each run.

import type { Storage } from "./buffers.ts";
import type { Leaf } from "./graph.ts";
import { isWhole, moveInto } from "./parts.ts";
import { keep } from "./scope.ts";
import { Tensor } from "./tensor.ts";

/**
 * The gradient that a run leaves at a leaf; without storage it clears the leaf. One reference to the storage is held.
 */
export interface LeftGradient {
  readonly leaf: Leaf;
  readonly storage: Storage | undefined;
}

/** Sets the gradients aside that a trace replaces. */
export class LeafSwaps {
  readonly #before = new Map<Leaf, Tensor | undefined>();

  /** The gradients that leaves had before the trace. */
  get before(): ReadonlyMap<Leaf, Tensor | undefined> {
    return this.#before;
  }

  /** To be called before a leaf loses its gradient or gets another. */
  note(leaf: Leaf): void {
    if (this.#before.has(leaf)) return;
    this.#before.set(leaf, leaf.swap(undefined));
  }

  /** Gives every leaf the gradient that it had. */
  undo(): void {
    for (const [leaf, before] of this.#before) {
      leaf.swap(before)?.dispose();
      if (leaf.isGone) leaf.clear();
    }
    this.#before.clear();
  }

  /**
   * The end of the trace: what runs will leave at each leaf. A leaf that had no gradient gets the new one, which has no
   * value until the first run: `unset` is to be made zero. So a step that is captured next sees the gradients that it
   * will work on.
   * @param outputs Handles that the step returns; they are the caller's, and not what the leaf has.
   */
  finish(outputs: readonly Tensor[]): { left: LeftGradient[]; unset: Storage[] } {
    const left: LeftGradient[] = [];
    const unset: Storage[] = [];
    for (const [leaf, before] of this.#before) {
      const grad = leaf.swap(before);
      const storage = grad?.storage.retain();
      if (!leaf.isGone) left.push({ leaf, storage });
      if (storage && !before) {
        unset.push(storage);
        leaf.swap(handleOn(storage, leaf));
      }
      if (grad && !outputs.includes(grad)) grad.dispose();
      if (leaf.isGone) leaf.clear();
    }
    this.#before.clear();
    return { left, unset };
  }
}

const handleOn = (storage: Storage, { device, shape, dtype }: Leaf): Tensor =>
  keep(new Tensor(device, storage.retain(), shape, dtype));

/** Whether the gradient at a leaf lies in `storage`, or in the same place of a flat buffer. */
export function liesIn({ grad }: Leaf, storage: Storage): boolean {
  if (!grad || grad.isDisposed) return false;
  const found = grad.storage;
  if (found === storage || !found.placed || !storage.placed) return found === storage;
  return found.place.buffer === storage.place.buffer && found.place.offset === storage.place.offset;
}

/**
 * What a run does at a leaf. The gradient becomes the leaf's own: it is moved to the leaf's place in a flat buffer, if
 * there is one by now.
 */
export function leaveGradient({ leaf, storage }: LeftGradient): void {
  if (leaf.isGone) return;
  if (storage && leaf.slot && isWhole(storage)) moveInto(storage, leaf.slot);
  if (storage && liesIn(leaf, storage)) return;
  leaf.leave(storage && handleOn(storage, leaf));
}
