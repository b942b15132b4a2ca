// A network made ready for inference: passes on weights that are folded once, and once more whenever the network's own
// have changed. The network itself is only read.

import { zip } from "../../base/index.ts";
import {
  type Capture,
  capture,
  cast,
  copyInto,
  type Device,
  DisposedError,
  keep,
  noGrad,
  type Tensor,
  zeros,
} from "../../engine/functions.ts";
import { type Pass, withTensors } from "../../nn/index.ts";
import type { RecordPass } from "../network/heads/head.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { type AnswerTail, answerTail, bindsAll, fitsAnswer, loadLanes } from "../ops/answer.ts";

/**
 * How an exit answers: by a tail, decided in the same dispatch, by a pass to logits, or by a whole record, where it
 * says more or looks at other exits, or others look at it.
 */
export type Answering = { readonly tail: AnswerTail } | { readonly pass: Pass } | { readonly say: RecordPass };

/** What activations and weights are stored in. */
export type Precision = "f32" | "f16";

interface Passes {
  /** From the features of one exit to those of the next. */
  readonly segments: readonly Pass[];
  readonly answers: readonly Answering[];
  /** What an exit sees of the features in front of it, which `answers` take. */
  seen(exit: number, features: Tensor): Tensor;
  /** What later exits read of the records up to this exit's: exits and fields. */
  carried(exit: number): readonly (readonly [exit: number, field: string])[];
}

/** What is asked of the exits. */
export interface Wanted {
  /** Whether somebody may leave there. */
  isOpen(exit: number): boolean;
  /** Whether there are thresholds by class. */
  byClass(exit: number): boolean;
  /** Whether exits decide by what their heads say of themselves. */
  readonly isTold: boolean;
  /**
   * Whether passes are on copies of the weights: where the host may pause in the middle of a batch, and somebody may
   * write to the network meanwhile, all of a batch is answered with the weights as they were at its beginning.
   */
  readonly isApart: boolean;
}

/**
 * Which exits' records are wanted, and which of their fields later exits read: closed exits are passed over unless one
 * reads them.
 */
function recordsOf(
  net: MultiExit,
  { isOpen, isTold }: Wanted,
): { says(exit: number): boolean } & Pick<Passes, "carried"> {
  const last = net.exits - 1;
  const reads = Array.from({ length: net.exits }, (_, at) => ({ at, ...net.readsOf(at) }));
  const readers: typeof reads = [];
  const isRead = (exit: number): boolean => readers.some(({ at, from }) => at > exit && from <= exit);
  for (const read of reads.toReversed())
    if (read.fields.length > 0 && (isOpen(read.at) || isRead(read.at))) readers.push(read);
  return {
    says: (j) => readers.some(({ at }) => at === j) || isRead(j) || (isTold && j < last && isOpen(j)),
    carried: (exit) =>
      Array.from({ length: exit + 1 }, (_, e) => {
        const later = readers.filter(({ at, from }) => at > exit && from <= e);
        return [...new Set(later.flatMap(({ fields }) => fields))].map((field) => [e, field] as const);
      }).flat(),
  };
}

/** Copies of a network's tensors, by name. */
type Copies = ReadonlyMap<string, Tensor>;

type Fold = Capture<Record<string, never>, Record<string, never>, unknown>;

/** Passes of a network for inference. */
export class PreparedNet implements Passes {
  readonly segments: readonly Pass[];
  readonly answers: readonly Answering[];
  readonly seen: Passes["seen"];
  readonly carried: Passes["carried"];
  readonly #fold: Fold;
  readonly #copies: Copies;
  /** The network's own, by name. */
  readonly #state: readonly (readonly [string, Tensor])[];
  /** Their memory, which captures hold also where a scope took the tensors. */
  readonly #memory: readonly { readonly version: number }[];
  /** What the weights were when this was made, and when they were prepared last. */
  readonly #first: number;
  #version = -1;

  private constructor(net: MultiExit, fold: Fold, copies: Copies, { segments, answers, seen, carried }: Passes) {
    this.#fold = fold;
    this.#copies = copies;
    this.segments = segments;
    this.answers = answers;
    this.seen = seen;
    this.carried = carried;
    this.#state = [...net.state()];
    this.#memory = this.#state.map(([, { storage }]) => storage);
    this.#first = this.#versionNow;
  }

  /** Records how the weights are prepared; `refresh` does it. */
  static async make(net: MultiExit, device: Device, precision: Precision, wanted: Wanted): Promise<PreparedNet> {
    const isRoomy = bindsAll(device);
    await loadLanes(device);
    const { says, carried } = recordsOf(net, wanted);
    let passes: Passes | undefined;
    const own = wanted.isApart ? [...net.state()] : [];
    const copies: Copies = new Map(
      own.map(([name, { shape, dtype }]) => [name, keep(zeros(shape, { dtype, device }))] as const),
    );
    const apart =
      <A extends readonly unknown[], R>(pass: (...given: A) => R) =>
      (...given: A): R =>
        withTensors(net, copies, () => pass(...given));
    const prepared = apart((): readonly Tensor[] => {
      const made: Tensor[] = [];
      const prepare = (weight: Tensor): Tensor => {
        const stored = precision === "f16" ? cast(weight, "f16") : weight;
        made.push(stored);
        return stored;
      };
      const mode = { training: false, prepare };
      const exits = Array.from({ length: net.exits }, (_, j) => j);
      const answering = (j: number): Answering => {
        if (says(j)) return { say: apart(net.recordPass(j, mode)) };
        const tail = net.tailOf(j);
        if (!tail || !fitsAnswer(tail) || (wanted.byClass(j) && !isRoomy))
          return { pass: apart(net.answerPass(j, mode)) };
        const found = answerTail(tail);
        made.push(found.parameters);
        return { tail: found };
      };
      passes = {
        segments: exits.map((j) => apart(net.segmentPass(j, mode))),
        answers: exits.map(answering),
        seen: apart((j, features) => net.seen(j, features)),
        carried,
      };
      return made;
    });
    try {
      const state = [...copies.values()];
      const fold = await capture({ label: "prepared weights", device, inputs: {}, scalars: {}, state }, () =>
        noGrad(() => {
          for (const [copy, [, tensor]] of zip(state, own)) copyInto(copy, tensor);
          return prepared();
        }),
      );
      return new PreparedNet(net, keep(fold), copies, passes as Passes);
    } catch (error) {
      for (const copy of copies.values()) copy.dispose();
      throw error;
    }
  }

  /** Prepares the weights if they have changed. @throws DisposedError once the network is disposed. */
  refresh(): void {
    const gone = this.#state.find(([, tensor]) => tensor.endedBy === "dispose");
    if (gone) throw new DisposedError(`classify: the network must be alive; its ${gone[0]} was disposed.`);
    if (!this.isStale) return;
    this.#fold.run({});
    this.#version = this.#versionNow;
  }

  /** Whether the weights have changed since they were prepared. */
  get isStale(): boolean {
    return this.#versionNow !== this.#version;
  }

  /** Whether the network has been written to since this was made. */
  get hasChanged(): boolean {
    return this.#versionNow !== this.#first;
  }

  get #versionNow(): number {
    return this.#memory.reduce((sum, { version }) => sum + version, 0);
  }

  dispose(): void {
    this.#fold.dispose();
    for (const copy of this.#copies.values()) copy.dispose();
  }
}
