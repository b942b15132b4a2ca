// A backbone with several exits. All exits at once for training; one segment after the other for inference on fewer
// rows.

import { exactly, type Kinds, what } from "../../base/index.ts";
import {
  ArgumentError,
  checkTensors,
  empty,
  type Flat,
  flatten,
  keep,
  readOptions,
  reshape,
  type Shape,
  slice,
  type Tensor,
} from "../../engine/functions.ts";
import {
  type Backbone,
  countWork,
  EVAL,
  type Mode,
  Module,
  type Pass,
  type Tail,
  withTensors,
} from "../../nn/index.ts";
import { gradientEquilibrium } from "../methods/gradient-equilibrium.ts";
import type { ParameterPlace } from "../methods/method.ts";
import { type ExitRecord, type Head, type RecordPass, readsOf, recordOf } from "./heads/head.ts";
import { stackRecords } from "./output.ts";

/** How a network runs while some of it is trained. */
export interface PassOptions {
  /**
   * Parameters that are trained, by dotted name; default all. Others are constants, and norms, heads and stages that
   * hold only such run in evaluation mode.
   */
  readonly trains?: (name: string) => boolean;
  /** Whether gradients from exits to shared stages are rescaled, see `gradientEquilibrium`; default false. */
  readonly equilibrium?: boolean;
}

const PASS: Kinds<PassOptions> = { trains: "function", equilibrium: "boolean" };

/** An exit and what it costs. */
export interface ExitInfo {
  /** The stage in front of it. */
  readonly stage: string;
  /** MACs of an image that leaves here, heads passed included. */
  readonly macs: number;
  /**
   * Its name (`own`: the backbone's classifier, `custom`: made by a factory), and MACs and parameters of the head
   * alone.
   */
  readonly head: { readonly kind: string; readonly macs: number; readonly parameters: number };
}

/** Refuses what `multiExit` did not make. @throws ArgumentError */
export function checkNetwork(op: string, net: MultiExit): void {
  if (!(net instanceof MultiExit))
    throw new ArgumentError(`${op}: the network must be made by multiExit(); got ${what(net)}.`);
}

interface ExitPlaces {
  /** Stage in front of each exit. */
  readonly stages: readonly number[];
  readonly kinds: readonly string[];
  readonly wraps: readonly string[];
  /** Parameters of each stage. */
  readonly used: readonly (readonly Tensor[])[];
  /** The backbone's classifier. */
  readonly own: Head;
}

/** A network with several exits; make it by `multiExit`. */
export class MultiExit extends Module {
  readonly backbone: Backbone;
  /** One for each early exit, and one for the last if it has a head of its own. */
  readonly heads: readonly Head[];
  /** Stage in front of each exit. */
  readonly #stages: readonly number[];
  readonly #kinds: ExitPlaces["kinds"];
  /** Names of what is put around the heads, in order. */
  readonly wraps: readonly string[];
  readonly #used: ExitPlaces["used"];
  readonly #own: Head;
  #flat: Flat | undefined;

  constructor(backbone: Backbone, heads: readonly Head[], { stages, kinds, wraps, used, own }: ExitPlaces) {
    super();
    this.backbone = backbone;
    this.heads = heads;
    this.#stages = stages;
    this.#kinds = kinds;
    this.wraps = wraps;
    this.#used = used;
    this.#own = own;
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
    return stackRecords(this.records(x, mode)).logits;
  }

  /** What every exit says of images [N, H, W, C]. */
  records(x: Tensor, mode: Mode, options: PassOptions = {}): ExitRecord[] {
    checkTensors("forward", { x });
    if (typeof mode?.training !== "boolean")
      throw new ArgumentError(`forward: mode must be TRAIN or EVAL; got ${what(mode)}.`);
    const { trains, equilibrium = false } = readOptions("records", options, PASS);
    return this.#training(trains, (isTrained) => {
      const said: ExitRecord[] = [];
      let features = x;
      for (let exit = 0; exit < this.exits; exit++) {
        features = this.#segment(exit, features, (stage) => (isTrained(stage) ? mode : EVAL));
        const split = equilibrium ? gradientEquilibrium(features, { exit, exits: this.exits }) : undefined;
        said.push(this.#say(exit, this.view(exit, split?.classifier ?? features), mode, said));
        features = split?.onward ?? features;
      }
      return said;
    });
  }

  /**
   * What every exit needs of images, found without any head's parameters: what its head reads of the features in front
   * of it, see `Head.view`; of an exit without head its logits.
   */
  views(x: Tensor, mode: Mode): Tensor[] {
    let features = x;
    return Array.from({ length: this.exits }, (_, j) => {
      features = this.segment(j, features, mode);
      const seen = this.view(j, features);
      return this.heads[j] ? seen : this.backbone.classify(seen, mode);
    });
  }

  /** What every exit says, from the `views` of some images: the backbone is not computed again. */
  recordsOf(views: readonly Tensor[], mode: Mode, options: Pick<PassOptions, "trains"> = {}): ExitRecord[] {
    const { trains } = readOptions("recordsOf", options, { trains: "function" });
    return this.#training(trains, () => {
      const said: ExitRecord[] = [];
      for (const [j, x] of views.entries()) said.push(this.heads[j] ? this.#say(j, x, mode, said) : { logits: x });
      return said;
    });
  }

  /** Runs `fn` with everything constant but what is trained; it is told which stages hold something that is. */
  #training<T>(trains: PassOptions["trains"], fn: (isTrained: (stage: number) => boolean) => T): T {
    if (!trains) return fn(() => true);
    const named = [...this.namedParameters()];
    const frozen = new Map(named.flatMap(([name, p]) => (trains(name) ? [] : [[name, p.detach()] as const])));
    const trained = new Set(named.flatMap(([name, parameter]) => (trains(name) ? [parameter] : [])));
    const stages = this.#used.map((used) => used.some((parameter) => trained.has(parameter)));
    try {
      return withTensors(this, frozen, () => fn((stage) => stages[stage]!));
    } finally {
      for (const constant of frozen.values()) constant.dispose();
    }
  }

  /** Features in front of exit `j` from those in front of exit `j - 1` (from images for the first). */
  segment(j: number, x: Tensor, mode: Mode): Tensor {
    return this.#segment(j, x, () => mode);
  }

  #segment(j: number, x: Tensor, mode: (stage: number) => Mode): Tensor {
    return this.#stagesOf(j).reduce((features, i) => this.backbone.stage(i, features, mode(i)), x);
  }

  /** What exit `j` sees of the features in front of it, of the shape that its stage says: see `Backbone.view`. */
  seen(j: number, features: Tensor): Tensor {
    return this.backbone.view(this.#stages[j]!, features);
  }

  /** All that exit `j` reads of the features in front of it, see `Head.view`. */
  view(j: number, features: Tensor): Tensor {
    const seen = this.seen(j, features);
    return this.heads[j]?.view(seen) ?? seen;
  }

  /** What exit `j` says, from the features in front of it and from what the exits before said. */
  say(j: number, features: Tensor, mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    return this.#say(j, this.view(j, features), mode, earlier);
  }

  #say(j: number, seen: Tensor, mode: Mode, earlier: readonly ExitRecord[]): ExitRecord {
    const head = this.heads[j];
    const own = (head ?? this.#own).isTrained ? mode : EVAL;
    return head ? recordOf(head.forward(seen, own, earlier)) : { logits: this.backbone.classify(seen, own) };
  }

  /** Logits [N, C] of exit `j` from the features in front of it, for heads that look at no other exit. */
  answer(j: number, features: Tensor, mode: Mode): Tensor {
    return this.say(j, features, mode, []).logits;
  }

  /** The stages between exit `j - 1` and exit `j`. */
  #stagesOf(j: number): number[] {
    const from = j === 0 ? 0 : this.#stages[j - 1]! + 1;
    return Array.from({ length: this.#stages[j]! + 1 - from }, (_, i) => from + i);
  }

  /** `segment` as a pass. */
  segmentPass(j: number, mode: Mode): Pass {
    const passes = this.#stagesOf(j).map((i) => this.backbone.pass(i, mode));
    return (x) => passes.reduce((features, pass) => pass(features), x);
  }

  /** `answer` as a pass, from what the exit has `seen`; of heads that look at no other exit. */
  answerPass(j: number, mode: Mode): Pass {
    return this.heads[j]?.pass(mode) ?? this.backbone.classifyPass(mode);
  }

  /** All that exit `j` says as a pass, from what it has `seen` and from the records of the exits before. */
  recordPass(j: number, mode: Mode): RecordPass {
    const head = this.heads[j];
    if (head) return head.recordPass(mode);
    const pass = this.backbone.classifyPass(mode);
    return (x) => ({ logits: pass(x) });
  }

  /** What exit `j` reads of the records of the exits from `from` on. */
  readsOf(j: number): { readonly fields: readonly string[]; readonly from: number } {
    const head = this.heads[j];
    const { fields, reach } = head ? readsOf(head) : { fields: [], reach: 0 };
    return { fields, from: Math.max(0, j - reach) };
  }

  /** Where a parameter lies: in the stages between the exit before and this one, or in what answers there. */
  placeOf(name: string): ParameterPlace {
    const head = /^heads\.(\d+)\./.exec(name)?.[1];
    if (head !== undefined) return { exit: Number(head), isHead: true };
    const parameter = this.namedParameters().get(name);
    const stage = this.#used.findIndex((used) => used.some((each) => each === parameter));
    if (stage < 0) {
      const isLast = this.backbone.lastLayer?.parameters().some((each) => each === parameter);
      return { exit: this.exits - 1, isHead: true, isHidden: isLast === false };
    }
    return { exit: this.#stages.findIndex((last) => stage <= last), isHead: false };
  }

  /** What `answer` consists of, where it is such a thing. */
  tailOf(j: number): Tail | undefined {
    return (this.heads[j] ?? this.backbone).tail;
  }

  /** The last exit's logits, [N, C], of all exits', [N, K, C]. */
  lastOf(logits: Tensor): Tensor {
    const [n, k, c] = exactly(logits.shape, 3);
    return reshape(slice(logits, { starts: [0, k - 1, 0], ends: [n, k, c] }), [n, c]);
  }

  /** Whether every early exit says how sure it is, beside its logits. Nothing runs on the GPU. */
  get saysConfidence(): boolean {
    const fields: (readonly string[])[] = [];
    this.#walk(this.input, ({ record }) => void fields.push(Object.keys(record)));
    return this.exits > 1 && fields.slice(0, -1).every((names) => names.includes("confidence"));
  }

  /** Every exit's cost, counted from the ops it runs; `input` may be another image size. */
  describe(input: Shape = this.input): ExitInfo[] {
    const found: ExitInfo[] = [];
    let passed = 0;
    this.#walk(input, ({ exit, segment, head }) => {
      passed += segment.macs + head.macs;
      const stage = this.backbone.stages[this.#stages[exit]!]?.name as string;
      const kind = this.#kinds[exit] ?? "own";
      found.push({ stage, macs: passed, head: { kind, macs: head.macs, parameters: head.parameters } });
    });
    return found;
  }

  /** The work of every exit in turn, and the shapes of its record. */
  #walk(
    input: Shape,
    visit: (at: {
      readonly exit: number;
      readonly segment: ReturnType<typeof countWork>;
      readonly head: ReturnType<typeof countWork>;
      readonly record: Readonly<Record<string, Shape>>;
    }) => void,
  ): void {
    let shape = input;
    const said: Readonly<Record<string, Shape>>[] = [];
    for (let exit = 0; exit < this.exits; exit++) {
      const segment = countWork(this, shape, (x) => this.segment(exit, x, EVAL));
      const head = countWork(this, segment.shape, (x) => {
        const earlier = said.map((shapes) => emptyRecord(shapes, x));
        const record = this.say(exit, x, EVAL, earlier);
        said.push(Object.fromEntries(Object.entries(record).map(([field, { shape }]) => [field, shape])));
        return record.logits;
      });
      shape = segment.shape;
      visit({ exit, segment, head, record: said[exit]! });
    }
  }

  /** MACs of an image that leaves at each exit, heads passed included. */
  macs(input: Shape = this.input): number[] {
    return this.describe(input).map(({ macs }) => macs);
  }
}

/** A record whose values do not matter. */
const emptyRecord = (shapes: Readonly<Record<string, Shape>>, { device }: Tensor): ExitRecord =>
  Object.fromEntries(Object.entries(shapes).map(([field, shape]) => [field, empty(shape, { device })])) as ExitRecord;
