// The classifier that apps run: images in, answers out, one batch after the other on the route that was found best.
// Calls take turns, but for the time that answers are waited for: then the next one's batches are under way already.

import { zip } from "../../base/index.ts";
import type { PictureFit } from "../../data/fit.ts";
import {
  ArgumentError,
  arange,
  type Device,
  DisposedError,
  keep,
  type Tensor,
  tensor,
  zeros,
} from "../../engine/functions.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { bindsAll } from "../ops/answer.ts";
import { digest } from "../run/digest.ts";
import { deviceOf } from "../training/evaluator.ts";
import { adapterName } from "./adapter-name.ts";
import { type Answers, type ClassifyOptions, readNotFinite, readStream, type StreamOptions } from "./answers.ts";
import { Call } from "./call.ts";
import { takeImages } from "./given-images.ts";
import { bytesOfPictures } from "./given-pictures.ts";
import type { Images, Normalisation, PixelImages } from "./images.ts";
import { AHEAD, type Begun, inOrder } from "./in-order.ts";
import { type LaneSites, Lanes } from "./lanes.ts";
import { candidateRoutes, type Plan, Planner, type TriedRoute } from "./plan.ts";
import type { Decisions } from "./policy.ts";
import { type Precision, PreparedNet } from "./prepared.ts";
import { RememberedRoutes } from "./remembered.ts";
import type { Behind, Site, Way } from "./route.ts";
import { Runner } from "./runner.ts";
import { isClosed, isOpenToAll } from "./thresholds.ts";

/** What is decided before anything is recorded. */
interface Settled extends Wanted, Pick<Decisions, "isOriginChecked"> {
  readonly normalise: Normalisation | undefined;
  readonly fit: PictureFit;
  readonly route: "measured" | readonly (Behind | "closed")[];
  readonly orWhole: boolean;
  readonly remember: boolean;
}

/** What a site is made for. */
interface Wanted extends Omit<Decisions, "isOriginChecked"> {
  readonly batch: number;
  readonly precision: Precision;
  /** Whether it has copies of the weights; see `PreparedNet`. */
  readonly isApart: boolean;
  /** Whether the whole network may be a route; default false. */
  readonly orWhole?: boolean;
}

interface Parts {
  readonly site: Site;
  readonly input: readonly number[];
  readonly normalise: Normalisation | undefined;
  readonly fit: PictureFit;
  readonly planner: Planner;
  readonly owned: { dispose(): void }[];
  readonly life: { isOver: boolean };
}

/** A network with a policy, ready to run; make it by `deploy`. */
export class Classifier {
  readonly #parts: Parts;
  readonly #macs: readonly number[];
  readonly #runner: Runner;
  readonly #isOriginChecked: boolean;

  private constructor(parts: Parts, macs: readonly number[], isOriginChecked: boolean) {
    this.#isOriginChecked = isOriginChecked;
    this.#parts = parts;
    this.#macs = macs;
    this.#runner = new Runner(parts.site.batch, parts.planner);
  }

  /** Records all stages without running them; use `deploy`. @internal */
  static async record(net: MultiExit, settled: Settled): Promise<Classifier> {
    const owned: { dispose(): void }[] = [];
    try {
      const site = await makeSite(net, settled, owned);
      const life = { isOver: false };
      let twin: Site | undefined;
      const beside = async (): Promise<Site> => {
        twin ??= await makeSite(net, settled, owned, site.net);
        if (!life.isOver) return twin;
        for (const made of owned.splice(0).reverse()) made.dispose();
        throw gone();
      };
      const planner = await planFor({ site, beside, last: net.exits - 1 }, net, settled);
      owned.push(planner);
      await planner.prepare();
      const parts = { site, input: net.input, normalise: settled.normalise, fit: settled.fit, planner, owned, life };
      return new Classifier(parts, net.macs(), settled.isOriginChecked);
    } catch (error) {
      for (const made of owned.reverse()) made.dispose();
      throw error;
    }
  }

  /**
   * Whether the policy names the weights that it was calibrated on, and they are this network's. false: thresholds set
   * by hand, a policy made of logits that did not say of which weights they are, one taken with `anyOrigin`, or a
   * network that was trained on since; whether its promise holds here is then for the caller to know.
   */
  get isOriginChecked(): boolean {
    return this.#isOriginChecked && !this.#parts.site.net.hasChanged;
  }

  /**
   * How batches are run, and why: for each size that was met, the largest first, the route that is taken and what
   * others took. Routes are tried on the first batches of a size. To have the same another time, give `plan[0].route`
   * to `deploy`.
   */
  get plan(): readonly Plan[] {
    return this.#parts.planner.plans;
  }

  /**
   * Answers for any number of images or pictures, which are copied at once: the caller's own may change. Calls wait for
   * each other.
   * @throws ArgumentError for what are no images of this network, DisposedError after `dispose()` of the classifier or
   * the network.
   */
  async classify(images: Images, options: ClassifyOptions = {}): Promise<Answers> {
    return this.#begin(images, readNotFinite(options)).answers;
  }

  /** Begins a call; `patience` of a stream's. */
  #begin(images: Images, notFinite: "error" | "mark", patience?: number): Begun<Answers> {
    this.#checkAlive();
    const pictures = bytesOfPictures(images, this.#parts);
    if (!pictures) return this.#start(images as PixelImages, notFinite, patience);
    const begun = pictures.then((pixels) => this.#start(pixels, notFinite, patience));
    const submitted = begun.then((call) => call.submitted).catch(() => {});
    return { submitted, answers: begun.then((call) => call.answers) };
  }

  #start(images: PixelImages, notFinite: "error" | "mark", patience: number | undefined): Begun<Answers> {
    this.#checkAlive();
    const { site, input, normalise } = this.#parts;
    const given = takeImages(images, { device: site.device, batch: site.batch, input, normalise });
    try {
      const call = new Call(given, notFinite, patience);
      const submitted = this.#runner.submit(call);
      const answers = submitted.then(() => call.answers(this.#macs)).finally(() => given.dispose());
      return { submitted, answers };
    } catch (error) {
      given.dispose();
      throw error;
    }
  }

  /**
   * Answers for one lot of images after the other, in their order. The next lots are under way while answers are waited
   * for, so that the GPU is kept busy: `for await (const answers of classifier.stream(lots)) ...`. Images of several
   * lots may wait for each other behind an exit, for `patience` at most. @throws Error as `classify` does, at the lot
   * in question
   */
  async *stream(
    source: Iterable<Images> | AsyncIterable<Images>,
    options: StreamOptions = {},
  ): AsyncGenerator<Answers, void, undefined> {
    const { patience, ...asked } = readStream(options);
    yield* inOrder(source, {
      begin: (images) => this.#begin(images, readNotFinite(asked), patience),
      // Besides those whose images wait.
      ahead: () => AHEAD + this.#runner.waiting,
      hurry: () => this.#runner.release(),
    });
  }

  dispose(): void {
    this.#parts.life.isOver = true;
    this.#runner.end(gone());
    for (const made of this.#parts.owned.splice(0).reverse()) made.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #checkAlive(): void {
    if (this.#parts.life.isOver) throw gone();
  }
}

const gone = (): DisposedError => new DisposedError("classify: the classifier must be alive; it was disposed.");

/**
 * All that routes share; what is made for it is added to `owned`. @param prepared Of another site of the same network
 * and policy, whose weights it shares. @internal
 */
export async function makeSite(
  net: MultiExit,
  settled: Wanted,
  owned: { dispose(): void }[],
  prepared?: PreparedNet,
): Promise<Site> {
  const { batch, precision, score, temperatures, levels, slack, isApart, orWhole = false } = settled;
  const device: Device = deviceOf(net);
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
  const reached = levels.findIndex((each) => each.every(isOpenToAll));
  const exits = Array.from({ length: reached < 0 ? net.exits : reached + 1 }, (_, j) => j);
  const open = exits.filter((j) => !levels[j]?.every(isClosed));
  const byClass = (j: number): boolean => (levels[j]?.length ?? 1) > 1;
  // The whole network ends at its last exit, whoever lets all leave before.
  const isOpen = (j: number): boolean => open.includes(j) || (orWhole && j === net.exits - 1);
  const wanted = { isOpen, byClass, isTold: score === "confidence", isApart };
  const ready = prepared ?? own(await PreparedNet.make(net, device, precision, wanted));
  const canKeep = bindsAll(device) || open.every((j) => "tail" in ready.answers[j]! && !byClass(j));
  const common = { device, batch, precision, score, levels: [...levels, [0]], thresholds, temperatures, slack };
  return { net: ready, ...common, canKeep, open, results, images, all, count };
}

/** The routes of a site: the one that was given, or those that are tried. */
async function planFor(sites: LaneSites, net: MultiExit, settled: Settled): Promise<Planner> {
  const { route, orWhole, remember } = settled;
  const { site } = sites;
  const early = site.open.slice(0, -1);
  const names = (way: Way): TriedRoute["route"] => {
    const at = new Map(way === "whole" ? [] : zip(early, way));
    return Array.from({ length: net.exits - 1 }, (_, j) => at.get(j) ?? "closed");
  };
  const { batch, device, canKeep } = site;
  // Without an open early exit every route is named all closed: then none of them means the whole network.
  const isWhole = orWhole && early.length > 0 && route !== "measured" && route.every((step) => step === "closed");
  const candidates: readonly Way[] =
    route === "measured"
      ? candidateRoutes(early.length, {
          asksFirst: batch === 1 && device.info.isSoftware,
          canKeep,
          canWait: batch > 1,
          orWhole,
        })
      : [isWhole ? "whole" : early.map((exit) => openStep(route[exit]!, exit))];
  const record = (way: Way): Promise<Lanes> => Lanes.record(way, sites);
  const memory =
    remember && candidates.length > 1 ? await RememberedRoutes.open(await identity(net, settled)) : undefined;
  return new Planner(batch, candidates, { record, names, memory });
}

/** All that the times of routes depend on. */
async function identity(net: MultiExit, settled: Settled): Promise<object> {
  const { batch, precision, score, temperatures, levels, orWhole } = settled;
  const weights = await digest(net.state().values());
  const adapter = adapterName(deviceOf(net).info);
  return { adapter, weights, input: net.input, batch, precision, score, temperatures, levels, orWhole };
}

function openStep(step: Behind | "closed", exit: number): Behind {
  if (step !== "closed") return step;
  throw new ArgumentError(
    `deploy: route must say what happens behind exit ${exit + 1}, where images can leave; got closed.`,
  );
}
