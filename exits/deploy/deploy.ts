// Early exit that saves the work: each segment of the network, its weights prepared for inference, runs on the samples that are still
// undecided. An exit decides on the GPU; survivors are moved together there, and their number sets the size of every later dispatch, so
// that nothing is read back until the answers are. A policy decides here as it does in calibration/.

import type { Kinds } from "../../base/index.ts";
import type { PolicyFile, Scaling } from "../../calibration/index.ts";
import {
  ArgumentError,
  arange,
  DisposedError,
  keep,
  readOptions,
  scope,
  type Tensor,
  tensor,
  zeros,
} from "../../engine/functions.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { deviceOf } from "../training/step.ts";
import { type GivenImages, type Images, type Normalisation, takeImages } from "./given-images.ts";
import { type Decisions, type ExitPolicy, readPolicy } from "./policy.ts";
import { type Precision, PreparedNet } from "./prepared.ts";
import { type Behind, Route, type Site } from "./route.ts";
import { isClosed, SLACK } from "./thresholds.ts";

/** Options of `deploy`. */
export interface DeployOptions {
  /** Images that run together; default 64. */
  readonly batch?: number;
  /** For images as bytes: mean and standard deviation of each channel, for pixels in 0..1. */
  readonly normalise?: Normalisation;
  /** The temperatures that were applied before calibration; a decoded policy file brings them along. */
  readonly scaling?: Scaling;
  /**
   * What weights and activations are stored in; sums are f32 in any case. Default f32. f16, where the adapter has it, halves the memory;
   * logits are then off by some thousandths, and thresholds are raised by as much, so that nobody leaves early for it.
   */
  readonly precision?: Precision;
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

const CLASSIFY: Kinds<ClassifyOptions> = { notFinite: "string" };
/** What `deploy` takes. */
export const DEPLOY: Kinds<DeployOptions> = {
  batch: "number",
  normalise: "any",
  scaling: "any",
  anyOrigin: "boolean",
  precision: "string",
};

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
  const { batch = 64, normalise, precision = "f32" } = readOptions("deploy", options, DEPLOY);
  if (!Number.isInteger(batch) || batch < 1)
    throw new ArgumentError(`deploy: batch must be a whole number of at least 1; got ${batch}.`);
  checkPrecision(precision, deviceOf(net).info);
  const decisions = await readPolicy(net, policy, { ...options, slack: SLACK[precision] });
  return Classifier.record(net, { batch, normalise, precision, ...decisions });
}

function checkPrecision(precision: Precision, { hasF16 }: { readonly hasF16: boolean }): void {
  if (precision !== "f32" && precision !== "f16")
    throw new ArgumentError(`deploy: precision must be f32 or f16; got ${String(precision)}.`);
  if (precision === "f16" && !hasF16)
    throw new ArgumentError("deploy: precision f16 must be one that the adapter has (shader-f16); this one has not.");
}

/** What is decided before anything is recorded. */
interface Settled extends Decisions {
  readonly batch: number;
  readonly precision: Precision;
  readonly normalise: Normalisation | undefined;
}

interface Parts {
  readonly site: Site;
  readonly input: readonly number[];
  readonly normalise: Normalisation | undefined;
  readonly route: Route;
  readonly owned: { dispose(): void }[];
}

/** Batches that may be under way at once: one runs while the host packs the next. */
const UNDER_WAY = 2;

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

  private constructor(parts: Parts, macs: readonly number[], isOriginChecked: boolean) {
    this.isOriginChecked = isOriginChecked;
    this.#parts = parts;
    this.#macs = macs;
  }

  /** Records all stages without running them; use `deploy`. @internal */
  static async record(net: MultiExit, settled: Settled): Promise<Classifier> {
    const { batch, normalise, precision, score, temperatures, levels, isOriginChecked } = settled;
    const device = deviceOf(net);
    const owned: { dispose(): void }[] = [];
    const own = <T extends { dispose(): void }>(made: T): T => {
      owned.push(made);
      return made;
    };
    const held = (made: Tensor): Tensor => own(keep(made));
    const results = {
      answers: held(zeros([batch], { dtype: "i32", device })),
      exits: held(zeros([batch], { dtype: "i32", device })),
      scores: held(zeros([batch], { device })),
    };
    const images = held(zeros([batch, ...net.input], { device }));
    const all = held(arange(0, batch, 1, { device }));
    const count = held(tensor(Uint32Array.of(0), { device }));
    const thresholds = [...levels, [0]].map((values) => held(tensor(Float32Array.from(values), { device })));
    const open = Array.from({ length: net.exits }, (_, j) => j).filter((j) => !levels[j]?.every(isClosed));
    try {
      const ready = own(await PreparedNet.make(net, device, precision));
      const common = { device, batch, precision, score, thresholds, temperatures };
      const site: Site = { net: ready, ...common, open, results, images, all, count };
      const behind = open.slice(1).map((): Behind => "compact");
      const route = own(await Route.record(site, behind));
      return new Classifier({ site, input: net.input, normalise, route, owned }, net.macs(), isOriginChecked);
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
    const { site, input, normalise } = this.#parts;
    const given = takeImages(images, { device: site.device, batch: site.batch, input, normalise });
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
    const { site, route } = this.#parts;
    const { batch, results, images } = site;
    const n = given.size;
    const found = {
      classes: new Int32Array(n),
      exits: new Int32Array(n),
      scores: new Float32Array(n),
      macs: new Float64Array(n),
    };
    let { strange } = given;
    const wanted = [results.answers, results.exits, results.scores];
    const answer = async (first: number): Promise<void> => {
      const count = Math.min(batch, n - first);
      scope(() => given.fill(images, first, count));
      const looked = first === 0 && given.isStrange;
      const [answers, exits, scores, flags] = await route.run(count, looked ? [...wanted, looked] : wanted);
      if (flags) strange = [...Array.from(flags).keys()].filter((i) => i < n && flags[i]! > 0);
      if (notFinite === "error") refuseStrange(strange);
      found.classes.set((answers as Int32Array).subarray(0, count), first);
      found.exits.set((exits as Int32Array).subarray(0, count), first);
      found.scores.set((scores as Float32Array).subarray(0, count), first);
    };
    await inTurn(Math.ceil(n / batch), route.asks ? 1 : UNDER_WAY, (i) => {
      this.#checkAlive();
      return answer(i * batch);
    });
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
}

/** Starts `step` for 0 .. count - 1 in order, at most `most` of them under way at once. Throws the first error, when none is. */
async function inTurn(count: number, most: number, step: (i: number) => Promise<void>): Promise<void> {
  const waiting: Promise<void>[] = [];
  try {
    for (let i = 0; i < count; i++) {
      if (waiting.length >= most) await waiting.shift();
      const started = step(i);
      started.catch(() => {});
      waiting.push(started);
    }
    while (waiting.length > 0) await waiting.shift();
  } finally {
    await Promise.allSettled(waiting);
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
