// Early exit that saves the work: each segment of the network runs on the samples that are still undecided. An exit decides on
// the GPU; survivors are compacted there, and their number sets the size of every later dispatch, so nothing is read back until
// the answers are. A policy decides here as it does in calibration/, on the same logits.

import type { Kinds } from "../../base/index.ts";
import type { PlainScore, PolicyFile, Scaling } from "../../calibration/index.ts";
import {
  ArgumentError,
  arange,
  type Capture,
  capture,
  compact,
  type Device,
  DisposedError,
  indexSelect,
  keep,
  noGrad,
  read,
  readOptions,
  type Survivors,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "../../engine/functions.ts";
import { EVAL } from "../../nn/index.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { type ExitResults, exitDecide } from "../ops/decide.ts";
import { deviceOf } from "../training/step.ts";
import { type GivenImages, type Images, type Normalisation, takeImages } from "./given-images.ts";
import { type Decisions, type ExitPolicy, readPolicy } from "./policy.ts";

/** Options of `deploy`. */
export interface DeployOptions {
  /** Images that run together; default 64. */
  readonly batch?: number;
  /** For images as bytes: mean and standard deviation of each channel, for pixels in 0..1. */
  readonly normalise?: Normalisation;
  /** The temperatures that were applied before calibration; a decoded policy file brings them along. */
  readonly scaling?: Scaling;
  /** Take a policy of other weights or of another scaling, whose promise does not hold here; default false. */
  readonly anyOrigin?: boolean;
}

/** Options of `classify`. */
export interface ClassifyOptions {
  /**
   * What becomes of images with a NaN or infinite pixel. error (default): an ArgumentError names the first. mark: class and exit are -1,
   * the score is NaN, and the other images are answered.
   */
  readonly notFinite?: "error" | "mark";
}

/** Answers for some images, [N] each. */
export interface Answers {
  readonly classes: Int32Array;
  /** The exit that each image left at, from 0. */
  readonly exits: Int32Array;
  readonly scores: Float32Array;
  /** Multiply-accumulates that each image cost, heads passed included. */
  readonly macs: Float64Array;
}

/** Rows of a stage: features, and the places of the samples they belong to. */
interface Rows {
  readonly features: Tensor;
  readonly ids: Tensor;
}

type StageRun = Capture<{ readonly rows: Tensor }, Record<string, number>, Decided>;
type Compaction = Capture<Record<string, never>, Record<string, number>, Survivors>;

/** What an exit leaves behind: its rows, and which of them stay. */
interface Decided extends Rows {
  readonly stays: Tensor;
}

/** What all stages share. */
interface Plan {
  readonly net: MultiExit;
  readonly device: Device;
  readonly batch: number;
  readonly score: PlainScore;
  /** [1] or [C] for each exit; the last one's are not used. */
  readonly thresholds: readonly Tensor[];
  readonly temperatures: readonly number[];
  readonly results: ExitResults;
}

/** A recording, and the tensors that it fills whenever it runs. */
interface Recorded<C, O> {
  readonly run: C;
  readonly outputs: O;
}

/** Records exit `j` - the segment in front of it and its decision - on the first `count` of the rows that it is given. */
async function recordStage(plan: Plan, j: number, before: Rows, count: Tensor): Promise<Recorded<StageRun, Decided>> {
  const { net, device, batch, score, results } = plan;
  const options = {
    exit: j,
    isLast: j === net.exits - 1,
    score,
    temperature: plan.temperatures[j]!,
    rows: count,
  };
  const state = [results.answers, results.exits, results.scores];
  const inputs = { rows: { shape: [batch], dtype: "i32" as const } };
  let outputs: Decided | undefined;
  const label = `deployed exit ${j + 1}`;
  const run = await capture({ label, device, rows: count, state, inputs }, ({ rows }) =>
    noGrad(() => {
      const ids = indexSelect(before.ids, rows);
      const features = net.segment(j, indexSelect(before.features, rows), EVAL);
      const stays = exitDecide(net.answer(j, features, EVAL), ids, plan.thresholds[j]!, results, options);
      outputs = { features, ids, stays };
      return outputs;
    }),
  );
  return { run, outputs: outputs as Decided };
}

/** Records the search for those of the first `rows` rows that stay. */
async function recordCompaction(
  { device }: Plan,
  stays: Tensor,
  rows: Tensor,
): Promise<Recorded<Compaction, Survivors>> {
  let outputs: Survivors | undefined;
  const run = await capture({ label: "deployed survivors", device }, () => {
    outputs = compact(stays, { rows });
    return outputs;
  });
  return { run: run as unknown as Compaction, outputs: outputs as Survivors };
}

const CLASSIFY: Kinds<ClassifyOptions> = { notFinite: "string" };
/** What `deploy` takes. */
export const DEPLOY: Kinds<DeployOptions> = { batch: "number", normalise: "any", scaling: "any", anyOrigin: "boolean" };

/**
 * Makes a classifier of a trained network and a policy: a certified result, a whole decoded policy file, or thresholds set by hand.
 * The classifier holds the network's tensors and follows them: training that comes later changes its answers, and it may be all that is
 * kept. Once the network is disposed it throws a DisposedError.
 * @throws ArgumentError for what cannot run here; CalibrationError for a policy of other weights, another
 * scaling, other exits or classes.
 */
export async function deploy(
  net: MultiExit,
  policy: ExitPolicy | PolicyFile,
  options: DeployOptions = {},
): Promise<Classifier> {
  checkNetwork("deploy", net);
  const { batch = 64, normalise } = readOptions("deploy", options, DEPLOY);
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(`deploy: batch must be a whole number of at least 1; got ${batch}.`);
  const decisions = await readPolicy(net, policy, options);
  return Classifier.record(net, { batch, normalise, ...decisions });
}

/** What is decided before anything is recorded. */
interface Settled extends Decisions, Pick<Plan, "batch"> {
  readonly normalise: Normalisation | undefined;
}

interface Parts {
  readonly net: MultiExit;
  readonly device: Device;
  readonly batch: number;
  readonly normalise: Normalisation | undefined;
  readonly results: ExitResults;
  /** [batch, H, W, C], where each batch is put. */
  readonly images: Tensor;
  /** 0 .. batch - 1 */
  readonly all: Tensor;
  /** How many of the batch's images count. */
  readonly count: Tensor;
  readonly stages: readonly StageRun[];
  /** One behind each stage but the last. */
  readonly compactions: readonly Compaction[];
  readonly owned: { dispose(): void }[];
}

/** A network with a policy, ready to run; make it by `deploy`. */
export class Classifier {
  /**
   * Whether the policy names the weights that it was calibrated on, and they are this network's. false: thresholds set by hand, a policy
   * made of logits that did not say of which weights they are, or one taken with `anyOrigin`; nothing was compared then, and whether its
   * promise holds here is for the caller to know.
   */
  readonly isOriginChecked: boolean;
  readonly #parts: Parts;
  readonly #macs: readonly number[];
  /** Ends when the calls before have their answers: all share one set of buffers. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(parts: Parts, isOriginChecked: boolean) {
    this.isOriginChecked = isOriginChecked;
    this.#parts = parts;
    this.#macs = parts.net.macs();
  }

  /** Records all stages without running them; use `deploy`. @internal */
  static async record(net: MultiExit, settled: Settled): Promise<Classifier> {
    const { batch, normalise, score, temperatures, levels, isOriginChecked } = settled;
    const device = deviceOf(net);
    const owned: { dispose(): void }[] = [];
    const own = <T extends { dispose(): void }>(made: T): T => {
      owned.push(made);
      return keep(made);
    };
    const results = {
      answers: own(zeros([batch], { dtype: "i32", device })),
      exits: own(zeros([batch], { dtype: "i32", device })),
      scores: own(zeros([batch], { device })),
    };
    const images = own(zeros([batch, ...net.input], { device }));
    const all = own(arange(0, batch, 1, { device }));
    const count = own(tensor(Uint32Array.of(0), { device }));
    const limits = [...levels, [0]].map((values) => own(tensor(Float32Array.from(values), { device })));
    const plan: Plan = { net, device, batch, score, thresholds: limits, temperatures, results };
    try {
      const stages: StageRun[] = [];
      const compactions: Compaction[] = [];
      let [before, live]: [Rows, Tensor] = [{ features: images, ids: all }, count];
      for (let j = 0; j < net.exits; j++) {
        const stage = await recordStage(plan, j, before, live);
        stages.push(own(stage.run));
        if (j === net.exits - 1) break;
        before = stage.outputs;
        const compaction = await recordCompaction(plan, stage.outputs.stays, live);
        compactions.push(own(compaction.run));
        live = compaction.outputs.count;
      }
      const parts = { net, device, batch, normalise, results, images, all, count, stages, compactions, owned };
      return new Classifier(parts, isOriginChecked);
    } catch (error) {
      for (const made of owned.reverse()) made.dispose();
      throw error;
    }
  }

  /**
   * Answers for any number of images, which are copied at once: the caller's own may change. Calls wait for each other.
   * @throws ArgumentError for what are no images of this network, DisposedError after `dispose()` of the classifier or the network.
   */
  async classify(images: Images, options: ClassifyOptions = {}): Promise<Answers> {
    const { notFinite = "error" } = readOptions("classify", options, CLASSIFY);
    if (notFinite !== "error" && notFinite !== "mark")
      throw new ArgumentError(`classify: notFinite must be error or mark; got ${notFinite as string}.`);
    this.#checkAlive();
    const given = takeImages(images, { ...this.#parts, input: this.#parts.net.input });
    try {
      if (notFinite === "error") refuseStrange(given.strange);
      const turn = this.#turn.then(() => this.#answer(given, notFinite));
      this.#turn = turn.catch(() => {});
      return await turn;
    } finally {
      given.dispose();
    }
  }

  async #answer(given: GivenImages, notFinite: "error" | "mark"): Promise<Answers> {
    const { batch, results, images } = this.#parts;
    const n = given.size;
    const found = {
      classes: new Int32Array(n),
      exits: new Int32Array(n),
      scores: new Float32Array(n),
      macs: new Float64Array(n),
    };
    let { strange } = given;
    for (let first = 0; first < n; first += batch) {
      this.#checkAlive();
      const count = Math.min(batch, n - first);
      scope(() => given.fill(images, first, count));
      this.#run(count);
      const wanted = [results.answers, results.exits, results.scores];
      const looked = first === 0 && given.isStrange;
      const [answers, exits, scores, flags] = await read(looked ? [...wanted, looked] : wanted);
      if (flags) strange = [...flags.keys()].filter((i) => i < n && flags[i]! > 0);
      if (notFinite === "error") refuseStrange(strange);
      found.classes.set((answers as Int32Array).subarray(0, count), first);
      found.exits.set((exits as Int32Array).subarray(0, count), first);
      found.scores.set((scores as Float32Array).subarray(0, count), first);
    }
    for (const [i, exit] of found.exits.entries()) found.macs[i] = this.#macs[exit]!;
    for (const i of strange) {
      found.classes[i] = found.exits[i] = -1;
      found.scores[i] = Number.NaN;
    }
    return found;
  }

  dispose(): void {
    for (const made of this.#parts.owned.splice(0).reverse()) made.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkAlive(): void {
    if (this.#parts.owned.length > 0) return;
    throw new DisposedError("classify: the classifier must be alive; it was disposed.");
  }

  /** Encodes all stages on the first `n` images of the batch; nothing is read in between. */
  #run(n: number): void {
    const { all, count, stages, compactions } = this.#parts;
    count.write([n]);
    let rows = all;
    stages.forEach((stage, j) => {
      stage.run({ rows });
      rows = compactions[j]?.run({}).indices ?? rows;
    });
  }
}

function refuseStrange(strange: readonly number[]): void {
  if (strange.length === 0) return;
  const others = strange.length > 1 ? ` and ${strange.length - 1} more` : "";
  throw new ArgumentError(
    `classify: pixels must be finite; got NaN or infinity in image ${strange[0]} (counted from 0)${others}. ` +
      'Pass { notFinite: "mark" } to have such images answered by -1.',
  );
}
