// A network made ready for inference: passes on weights that are folded once, and once more whenever the network's own have changed. The
// network itself is only read.

import {
  type Capture,
  capture,
  cast,
  type Device,
  DisposedError,
  keep,
  noGrad,
  type Tensor,
} from "../../engine/functions.ts";
import type { Pass } from "../../nn/index.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { type AnswerTail, answerTail, bindsAll, fitsAnswer } from "../ops/answer.ts";

/** How an exit answers: by a tail, decided in the same dispatch, or by a pass to logits. */
export type Answering = { readonly tail: AnswerTail } | { readonly pass: Pass };

/** What activations and weights are stored in. */
export type Precision = "f32" | "f16";

interface Passes {
  /** From the features of one exit to those of the next. */
  readonly segments: readonly Pass[];
  readonly answers: readonly Answering[];
  /** What an exit sees of the features in front of it, which `answers` take. */
  seen(exit: number, features: Tensor): Tensor;
}

type Fold = Capture<Record<string, never>, Record<string, never>, unknown>;

/** Passes of a network for inference. */
export class PreparedNet implements Passes {
  readonly segments: readonly Pass[];
  readonly answers: readonly Answering[];
  readonly seen: Passes["seen"];
  readonly #fold: Fold;
  /** The network's own, by name. */
  readonly #state: readonly (readonly [string, Tensor])[];
  #version = -1;

  private constructor(net: MultiExit, fold: Fold, { segments, answers, seen }: Passes) {
    this.#fold = fold;
    this.segments = segments;
    this.answers = answers;
    this.seen = seen;
    this.#state = [...net.state()];
  }

  /** Records how the weights are prepared; `refresh` does it. `byClass` tells the exits that have thresholds by class. */
  static async make(
    net: MultiExit,
    device: Device,
    precision: Precision,
    byClass: (j: number) => boolean,
  ): Promise<PreparedNet> {
    const isRoomy = bindsAll(device);
    let passes: Passes | undefined;
    const fold = await capture({ label: "prepared weights", device, inputs: {}, scalars: {} }, () =>
      noGrad(() => {
        const made: Tensor[] = [];
        const prepare = (weight: Tensor): Tensor => {
          const stored = precision === "f16" ? cast(weight, "f16") : weight;
          made.push(stored);
          return stored;
        };
        const mode = { training: false, prepare };
        const exits = Array.from({ length: net.exits }, (_, j) => j);
        const answering = (j: number): Answering => {
          const tail = net.tailOf(j);
          if (!tail || !fitsAnswer(tail) || (byClass(j) && !isRoomy)) return { pass: net.answerPass(j, mode) };
          const found = answerTail(tail);
          made.push(found.parameters);
          return { tail: found };
        };
        passes = {
          segments: exits.map((j) => net.segmentPass(j, mode)),
          answers: exits.map(answering),
          seen: (j, features) => net.seen(j, features),
        };
        return made;
      }),
    );
    return new PreparedNet(net, keep(fold), passes as Passes);
  }

  /** Prepares the weights if they have changed. Throws DisposedError once the network is disposed. */
  refresh(): void {
    const gone = this.#state.find(([, tensor]) => tensor.endedBy === "dispose");
    if (gone) throw new DisposedError(`classify: the network must be alive; its ${gone[0]} was disposed.`);
    const version = this.#state.reduce((sum, [, { storage }]) => sum + storage.version, 0);
    if (version === this.#version) return;
    this.#fold.run({});
    this.#version = version;
  }

  dispose(): void {
    this.#fold.dispose();
  }
}
