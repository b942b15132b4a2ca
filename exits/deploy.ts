// Early exit that saves the work: each segment of the network runs on the samples that are still undecided. An exit decides on
// the GPU; survivors are compacted there, and their number sets the size of every later dispatch, so nothing is read back until
// the answers are. A policy decides here as it does in calibration/, on the same logits.

import type { Scaling } from "../calibration/index.ts";
import {
  ArgumentError,
  arange,
  type Capture,
  capture,
  compact,
  copyInto,
  type Device,
  describe,
  type ExitResults,
  type ExitScore,
  exitDecide,
  indexSelect,
  keep,
  noGrad,
  normaliseImages,
  numel,
  packedWords,
  pad,
  read,
  type Survivors,
  sameShape,
  scope,
  slice,
  type Tensor,
  tensor,
  zeros,
} from "../engine/functions.ts";
import { EVAL } from "../nn/index.ts";
import { packBytes } from "./images.ts";
import type { MultiExit } from "./multi-exit.ts";
import { deviceOf } from "./step.ts";
import { levelFrom, thresholdsPerExit } from "./thresholds.ts";

/** What decides who leaves: a certified result of calibration, or thresholds set by hand. */
export interface ExitPolicy {
  /** One for all early exits, one each [K-1], or one each and predicted class [K-1, C]. +Infinity closes an exit. */
  readonly thresholds: ArrayLike<number>;
  /** Default maxProb. Scores that look at more than one exit, and gates, cannot run here. */
  readonly score?: unknown;
}

/** Options of `deploy`. */
export interface DeployOptions {
  /** Images that run together; default 64. */
  readonly batch?: number;
  /** For images as bytes: mean and standard deviation of each channel, for pixels in 0..1. */
  readonly normalise?: { readonly mean: readonly number[]; readonly std: readonly number[] };
  /** The temperatures that were applied before calibration. */
  readonly scaling?: Scaling;
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

const SCORES: readonly ExitScore[] = ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"];

function scoreOf({ score = "maxProb" }: ExitPolicy): ExitScore {
  const found = SCORES.find((known) => known === score);
  if (found) return found;
  const got = typeof score === "string" ? score : "a learned gate";
  throw new ArgumentError(
    `deploy: the score must be one of ${SCORES.join(", ")}; got ${got}. Other scores are for calibration tables only.`,
  );
}

function temperaturesOf(net: MultiExit, scaling: Scaling | undefined): number[] {
  if (!scaling) return new Array<number>(net.exits).fill(1);
  return scaling.scalers.map((scaler) => {
    if (scaler.method === "temperature" && "parameters" in scaler) return scaler.parameters[0] as number;
    throw new ArgumentError(`deploy: scaling must be by temperature; got ${scaler.method}.`);
  });
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
  readonly score: ExitScore;
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
    temperature: plan.temperatures[j] as number,
    rows: count,
  };
  const state = [results.answers, results.exits, results.scores];
  const inputs = { rows: { shape: [batch], dtype: "i32" as const } };
  let outputs: Decided | undefined;
  const run = await capture({ device, rows: count, state, inputs }, ({ rows }) =>
    noGrad(() => {
      const ids = indexSelect(before.ids, rows);
      const features = net.segment(j, indexSelect(before.features, rows), EVAL);
      const stays = exitDecide(net.answer(j, features, EVAL), ids, plan.thresholds[j] as Tensor, results, options);
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
  const run = await capture({ device }, () => {
    outputs = compact(stays, { rows });
    return outputs;
  });
  return { run: run as unknown as Compaction, outputs: outputs as Survivors };
}

/** Makes a classifier of a trained network and a policy; see `ExitPolicy` and `DeployOptions`. The network must stay alive. */
export async function deploy(net: MultiExit, policy: ExitPolicy, options: DeployOptions = {}): Promise<Classifier> {
  const { batch = 64, scaling, normalise } = options;
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(`deploy: batch must be a whole number of at least 1; got ${batch}.`);
  const [score, temperatures] = [scoreOf(policy), temperaturesOf(net, scaling)];
  const thresholds = thresholdsPerExit(policy.thresholds, net).map((values, j) => {
    const temperature = temperatures[j] as number;
    return values.map((value) => levelFrom(value, { score, classes: net.classes, temperature }));
  });
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
  const limits = [...thresholds, [0]].map((values) => own(tensor(Float32Array.from(values), { device })));
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
    return new Classifier({ net, device, batch, normalise, results, images, all, count, stages, compactions, owned });
  } catch (error) {
    for (const made of owned.reverse()) made.dispose();
    throw error;
  }
}

interface Parts {
  readonly net: MultiExit;
  readonly device: Device;
  readonly batch: number;
  readonly normalise: DeployOptions["normalise"];
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

/** Images to classify: [N, H, W, C], normalised as f32, or as bytes where `deploy` was told how to normalise. */
export type Images = Tensor | Float32Array | Uint8Array;

/** A network with a policy, ready to run. */
export class Classifier {
  readonly #parts: Parts;
  readonly #macs: readonly number[];

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#macs = parts.net.macs();
  }

  /** Answers for any number of images. */
  async classify(images: Images): Promise<Answers> {
    const { batch, results } = this.#parts;
    const n = this.#count(images);
    const found = {
      classes: new Int32Array(n),
      exits: new Int32Array(n),
      scores: new Float32Array(n),
      macs: new Float64Array(n),
    };
    for (let first = 0; first < n; first += batch) {
      const count = Math.min(batch, n - first);
      scope(() => this.#fill(images, first, count));
      this.#run(count);
      const [answers, exits, scores] = await read([results.answers, results.exits, results.scores]);
      found.classes.set((answers as Int32Array).subarray(0, count), first);
      found.exits.set((exits as Int32Array).subarray(0, count), first);
      found.scores.set((scores as Float32Array).subarray(0, count), first);
    }
    for (const [i, exit] of found.exits.entries()) found.macs[i] = this.#macs[exit] as number;
    return found;
  }

  dispose(): void {
    for (const made of this.#parts.owned.splice(0).reverse()) made.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Number of images. Throws ArgumentError for what are none. */
  #count(images: Images): number {
    const { net, normalise } = this.#parts;
    const want = `[N, ${net.input.join(", ")}]`;
    if (images instanceof Float32Array || images instanceof Uint8Array) {
      if (images instanceof Uint8Array && !normalise) {
        throw new ArgumentError(
          "classify: for bytes deploy must know how to normalise; it was not told. Pass { normalise: { mean, std } } there.",
        );
      }
      const pixels = numel(net.input);
      if (images.length % pixels === 0) return images.length / pixels;
      throw new ArgumentError(
        `classify: images must be ${want}; got ${images.length} values, no multiple of ${pixels}.`,
      );
    }
    if (images.rank === 4 && images.dtype === "f32" && sameShape(images.shape.slice(1), net.input))
      return images.shape[0] as number;
    throw new ArgumentError(`classify: images must be f32${want}; got ${describe(images)}.`);
  }

  /** Puts `count` images into the batch; what lies behind them is not looked at. */
  #fill(given: Images, first: number, count: number): void {
    const { batch, normalise, images, device, net } = this.#parts;
    const pixels = numel(net.input);
    if (given instanceof Float32Array) {
      const padded = new Float32Array(images.size);
      padded.set(given.subarray(first * pixels, (first + count) * pixels));
      images.write(padded);
    } else if (given instanceof Uint8Array) {
      const packed = packBytes(given.subarray(first * pixels, (first + count) * pixels), packedWords(images.shape));
      const { mean, std } = normalise as NonNullable<DeployOptions["normalise"]>;
      copyInto(images, normaliseImages(tensor(packed, { device }), { mean, std, shape: images.shape }));
    } else {
      const part = slice(given.detach(), { starts: [first, 0, 0, 0], ends: [first + count, ...net.input] });
      copyInto(
        images,
        pad(part, [
          [0, batch - count],
          [0, 0],
          [0, 0],
          [0, 0],
        ]),
      );
    }
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
