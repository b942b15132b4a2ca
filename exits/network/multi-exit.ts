// A backbone with several exits. All exits at once for training; one segment after the other for inference on fewer rows.

import { type Kinds, what } from "../../base/index.ts";
import {
  ArgumentError,
  checkTensors,
  type Flat,
  flatten,
  keep,
  readOptions,
  reshape,
  type Shape,
  slice,
  stack,
  type Tensor,
} from "../../engine/functions.ts";
import {
  Backbone,
  countWork,
  describeStages,
  EVAL,
  Init,
  type Mode,
  Module,
  type Pass,
  type Tail,
} from "../../nn/index.ts";
import { type Head, type HeadFactory, type HeadKind, makeHead } from "./heads.ts";

/** Options of `multiExit`. */
export interface MultiExitOptions {
  /** Names of the stages that early exits follow, in order; the last exit follows the last stage. */
  readonly after: readonly string[];
  /** One kind for all early exits, or one for each; default `gap-linear` on maps, `class-token` on tokens. */
  readonly head?: HeadKind | HeadFactory | readonly (HeadKind | HeadFactory)[];
  /** Default: the backbone's own classifier. */
  readonly last?: HeadKind | HeadFactory;
  /** Of the heads' weights; default 0. */
  readonly seed?: number;
}

/** An exit and what it costs. */
export interface ExitInfo {
  /** The stage in front of it. */
  readonly stage: string;
  /** MACs of an image that leaves here, heads passed included. */
  readonly macs: number;
  /** Its kind (`own`: the backbone's classifier, `custom`: made by a factory), and MACs and parameters of the head alone. */
  readonly head: { readonly kind: HeadKind | "own" | "custom"; readonly macs: number; readonly parameters: number };
}

/** Throws ArgumentError for what `multiExit` did not make. */
export function checkNetwork(op: string, net: MultiExit): void {
  if (!(net instanceof MultiExit))
    throw new ArgumentError(`${op}: the network must be made by multiExit(); got ${what(net)}.`);
}

/** A network with several exits; make it by `multiExit`. */
export class MultiExit extends Module {
  readonly backbone: Backbone;
  /** One for each early exit, and one for the last if it has a head of its own. */
  readonly heads: readonly Head[];
  /** Stage in front of each exit. */
  readonly #stages: readonly number[];
  readonly #kinds: readonly (HeadKind | "custom")[];
  #flat: Flat | undefined;

  constructor(
    backbone: Backbone,
    heads: readonly Head[],
    { stages, kinds }: { readonly stages: readonly number[]; readonly kinds: readonly (HeadKind | "custom")[] },
  ) {
    super();
    this.backbone = backbone;
    this.heads = heads;
    this.#stages = stages;
    this.#kinds = kinds;
  }

  /** Number of exits, K. */
  get exits(): number {
    return this.#stages.length;
  }

  get classes(): number {
    return this.backbone.classes;
  }

  /** Shape of one image, [H, W, C]. */
  get input(): readonly [number, number, number] {
    return this.backbone.input;
  }

  /** All parameters side by side in one buffer, where they lie from the first call on. The network owns it. */
  flat(): Flat {
    if (!this.#flat) {
      this.#flat = flatten(this.parameters());
      keep(this.#flat.state);
    }
    return this.#flat;
  }

  override dispose(): void {
    super.dispose();
    this.#flat?.dispose();
  }

  /** Logits of all exits, [N, K, C], for images [N, H, W, C]. */
  forward(x: Tensor, mode: Mode): Tensor {
    checkTensors("forward", { x });
    if (typeof mode?.training !== "boolean")
      throw new ArgumentError(`forward: mode must be TRAIN or EVAL; got ${what(mode)}.`);
    const logits: Tensor[] = [];
    let features = x;
    for (let j = 0; j < this.exits; j++) {
      features = this.segment(j, features, mode);
      logits.push(this.answer(j, features, mode));
    }
    return stack(logits, { dim: 1 });
  }

  /** Features in front of exit `j` from those in front of exit `j - 1` (from images for the first). */
  segment(j: number, x: Tensor, mode: Mode): Tensor {
    return this.segmentPass(j, mode)(x);
  }

  /** Logits [N, C] of exit `j` from the features in front of it. */
  answer(j: number, features: Tensor, mode: Mode): Tensor {
    return this.heads[j]?.forward(features, mode) ?? this.backbone.classify(features, mode);
  }

  /** `segment` as a pass. */
  segmentPass(j: number, mode: Mode): Pass {
    const from = j === 0 ? 0 : this.#stages[j - 1]! + 1;
    const count = this.#stages[j]! + 1 - from;
    const passes = Array.from({ length: count }, (_, i) => this.backbone.pass(from + i, mode));
    return (x) => passes.reduce((features, pass) => pass(features), x);
  }

  /** `answer` as a pass. */
  answerPass(j: number, mode: Mode): Pass {
    return this.heads[j]?.pass(mode) ?? this.backbone.classifyPass(mode);
  }

  /** What `answer` consists of, where it is such a thing. */
  tailOf(j: number): Tail | undefined {
    return (this.heads[j] ?? this.backbone).tail;
  }

  /** The last exit's logits, [N, C], of all exits', [N, K, C]. */
  lastOf(logits: Tensor): Tensor {
    const [n, k, c] = logits.shape as readonly [number, number, number];
    return reshape(slice(logits, { starts: [0, k - 1, 0], ends: [n, k, c] }), [n, c]);
  }

  /** Every exit's cost, counted from the ops it runs; `input` may be another image size. */
  describe(input: Shape = this.input): ExitInfo[] {
    const found: ExitInfo[] = [];
    let shape = input;
    let passed = 0;
    for (let j = 0; j < this.exits; j++) {
      const segment = countWork(this, shape, (x) => this.segment(j, x, EVAL));
      const head = countWork(this, segment.shape, (x) => this.answer(j, x, EVAL));
      passed += segment.macs + head.macs;
      shape = segment.shape;
      const stage = this.backbone.stages[this.#stages[j]!]?.name as string;
      const kind = this.#kinds[j] ?? "own";
      found.push({ stage, macs: passed, head: { kind, macs: head.macs, parameters: head.parameters } });
    }
    return found;
  }

  /** MACs of an image that leaves at each exit, heads passed included. */
  macs(input: Shape = this.input): number[] {
    return this.describe(input).map(({ macs }) => macs);
  }
}

function stagesOf({ stages }: Backbone, after: readonly string[]): number[] {
  const names = stages.map(({ name }) => name);
  const last = names.length - 1;
  const found = after.map((name) => names.indexOf(name));
  const isRising = found.every((at, i) => at > (found[i - 1] ?? -1) && at < last);
  if (!isRising) {
    const early = names.slice(0, -1).join(", ");
    throw new ArgumentError(
      `multiExit: after must name some of ${early}, in this order; got [${after.join(", ")}]. The last exit is always there.`,
    );
  }
  return [...found, last];
}

/** Names heads' random streams apart from the backbone's, whatever seeds both are given. */
const HEAD_SEEDS = 2 ** 40;

const MULTI_EXIT: Kinds<MultiExitOptions> = { after: "any!", head: "any", last: "any", seed: "number" };

/** Attaches exits to a backbone; see `MultiExitOptions`. The network owns the backbone. */
export function multiExit(backbone: Backbone, options: MultiExitOptions): MultiExit {
  if (!(backbone instanceof Backbone))
    throw new ArgumentError(`multiExit: the backbone must be one, such as resnet(...); got ${what(backbone)}.`);
  const { after, head, last, seed = 0 } = readOptions("multiExit", options, MULTI_EXIT);
  if (!Array.isArray(after))
    throw new ArgumentError(`multiExit: after must be a list of stages' names; got ${what(after)}.`);
  const at = stagesOf(backbone, after);
  const kinds = Array.isArray(head) ? (head as readonly (HeadKind | HeadFactory)[]) : undefined;
  if (kinds && kinds.length !== after.length) {
    throw new ArgumentError(
      `multiExit: there must be one head for each of ${after.length} early exits; got ${kinds.length}.`,
    );
  }
  const device = backbone.parameters()[0]?.device;
  const init = new Init({ seed: HEAD_SEEDS + seed, device });
  const stages = describeStages(backbone);
  const chosen = after.map((_, j) => (kinds ? kinds[j] : (head as HeadKind | HeadFactory | undefined)));
  const all = last === undefined ? chosen : [...chosen, last];
  const made = all.map((given, j) => {
    const stage = stages[at[j]!]!;
    const kind = given ?? (stage.kind === "map" ? "gap-linear" : "class-token");
    const site = { stage, behind: stages.length - 1 - at[j]!, classes: backbone.classes, init };
    return { head: makeHead(kind, site), kind: typeof kind === "function" ? ("custom" as const) : kind };
  });
  return new MultiExit(
    backbone,
    made.map((each) => each.head),
    { stages: at, kinds: made.map((each) => each.kind) },
  );
}
