// A training step that leaves out what an exit has handled: the stages behind it, forwards and backwards, see the other
// samples alone. Their number is read after each exit, so nothing is recorded; sizes are those of the step.

import { firstOf } from "../../base/index.ts";
import { backward, concat, indexSelect, noGrad, scope, type Tensor, tensor } from "../../engine/functions.ts";
import { EVAL, TRAIN } from "../../nn/index.ts";
import type { Skipping } from "../methods/method.ts";
import type { ExitRecord } from "../network/heads/head.ts";
import { stackRecords } from "../network/output.ts";
import { exitTally } from "../ops/tally.ts";
import type { ImageBatch } from "./images.ts";
import type { EpochNumbers } from "./phases.ts";
import { feedsOf, flipsOf, imagesOf, type StepParts } from "./step.ts";

/** What an exit says of the samples that reach it. */
interface Reached {
  /** Places of these samples in the batch, ascending. */
  readonly places: Int32Array;
  readonly logits: Tensor;
}

/** A step by `track.skips`. */
export class SkippingStep {
  readonly #parts: StepParts;
  readonly #skips: Skipping;

  constructor(parts: StepParts, skips: Skipping) {
    this.#parts = parts;
    this.#skips = skips;
  }

  /** Runs one step. @throws ArgumentError for a batch that is not as the source said. */
  async run(given: ImageBatch, numbers: EpochNumbers, lr: number): Promise<void> {
    const { generator, generators = [] } = this.#parts;
    const feeds = feedsOf(this.#parts, given, numbers);
    // As a recorded step would, so that a checkpoint knows all that the next step draws.
    for (const each of new Set([generator, ...generators])) each.advance();
    const reached: Reached[] = [];
    try {
      await this.#forwards(feeds.bytes as Uint32Array, given.labels, reached);
      scope(() => this.#learn(reached, given.labels, numbers, lr));
    } finally {
      for (const { logits } of reached) logits.dispose();
    }
  }

  /** There is nothing to free. */
  dispose(): void {}

  async #forwards(bytes: Uint32Array, labels: Int32Array, reached: Reached[]): Promise<void> {
    const { net } = this.#parts;
    let places = Int32Array.from(labels, (_, i) => i);
    let features: Tensor | undefined;
    try {
      for (let exit = 0; exit < net.exits && places.length > 0; exit++) {
        const made = scope(() => this.#exit(exit, features ?? bytes, labels, places));
        features?.dispose();
        features = made.features;
        reached.push({ places, logits: made.logits });
        if (!made.stays) break;
        const stays = await made.stays.read();
        made.stays.dispose();
        const rows = Int32Array.from(places.keys()).filter((k) => stays[k]! > 0);
        places = rows.map((k) => places[k]!);
        if (places.length === 0) break;
        const before = features;
        features = scope(() => indexSelect(before, tensor(rows, { device: before.device })));
        before.dispose();
      }
    } finally {
      features?.dispose();
    }
  }

  /** The stages up to an exit and what it says, of the samples at `places`; which of them are not handled. */
  #exit(
    exit: number,
    given: Tensor | Uint32Array,
    labels: Int32Array,
    places: Int32Array,
  ): { readonly features: Tensor; readonly logits: Tensor; readonly stays: Tensor | undefined } {
    const { net } = this.#parts;
    // One sample tells a norm over the batch nothing.
    const isFrozen = this.#skips.norms === "frozen" || places.length === 1;
    const mode = exit > 0 && isFrozen ? EVAL : TRAIN;
    const x = given instanceof Uint32Array ? this.#images(given) : given;
    const features = net.segment(exit, x, mode);
    const { logits } = net.say(exit, features, mode, []);
    if (exit === net.exits - 1) return { features, logits, stays: undefined };
    const own = tensor(
      places.map((i) => labels[i]!),
      { device: x.device },
    );
    return { features, logits, stays: noGrad(() => this.#skips.stays(logits.detach(), own)) };
  }

  #images(bytes: Uint32Array): Tensor {
    const { device } = this.#parts.totals.tensor;
    return imagesOf(this.#parts, tensor(bytes, { device }), flipsOf(this.#parts));
  }

  #learn(reached: readonly Reached[], given: Int32Array, { exitWeights, ramp }: EpochNumbers, lr: number): void {
    const { net, track, optimizer, numbers, totals } = this.#parts;
    const { device } = totals.tensor;
    const labels = tensor(given, { device });
    const exits: ExitRecord[] = [];
    for (let exit = 0; exit < net.exits; exit++) {
      const before = exits.at(-1)?.logits;
      exits.push({ logits: before ? spread(before.detach(), reached[exit]) : reached[exit]!.logits });
    }
    const out = stackRecords(exits);
    const one = (value: number): Tensor => tensor(Float32Array.of(value), { shape: [], device });
    const loss = track.loss({
      ...{ logits: out.logits, out, exits, labels, mixed: undefined, teacher: undefined, attacked: undefined },
      exitWeights: tensor(Float32Array.from(exitWeights), { device }),
      ramp: ramp === undefined ? undefined : one(ramp),
      numbers: Object.fromEntries(numbers),
    });
    optimizer.zeroGrad();
    backward(loss);
    optimizer.step({ lr: one(lr) });
    exitTally(out.logits, labels, totals.tensor, { loss });
  }
}

/**
 * Logits of the whole batch, [N, C]: of samples that did not reach the exit those of the exit `before`, which handled
 * them.
 */
function spread(before: Tensor, reached: Reached | undefined): Tensor {
  if (!reached) return before;
  const { places, logits } = reached;
  const from = Int32Array.from({ length: firstOf(before.shape) }, (_, i) => places.length + i);
  for (const [k, place] of places.entries()) from[place] = k;
  return indexSelect(concat([logits, before], { dim: 0 }), tensor(from, { device: before.device }));
}
