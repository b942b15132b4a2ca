// Times of the whole network and of cascades, which take turns. Every answer that is timed is held against the policy
// on the network's own logits; where one differs, nothing is told.

import { firstOf, lastOf, median, SortieError, transposed, zip } from "../../base/index.ts";
import {
  achieved,
  type MeasuredCosts,
  predictionsAt,
  type Saving,
  type StageTimes,
  savingOf,
} from "../../calibration/index.ts";
import { createDevice } from "../../engine/index.ts";
import {
  type Answers,
  type Classifier,
  deploy,
  type ImageSet,
  type MultiExit,
  measureCosts,
  type Plan,
} from "../../exits/index.ts";
import { compareAnswers } from "../findings/agreement.ts";
import type { Candidate, Subject } from "./subject.ts";

/** A cascade at one size of batches. */
export interface CascadeTime {
  readonly batch: number;
  readonly policy: string;
  /** [K] shares that left at each exit. */
  readonly fractions: readonly number[];
  /** Mean cost in MACs, as a share of the whole network's. */
  readonly macs: number;
  readonly accuracy: number;
  /** The exits that decide, from 0: those that the policy has closed are not run. */
  readonly open: readonly number[];
  /** Milliseconds of a batch: the median of the rounds, and that times the median of the rounds' ratios. */
  readonly whole: number;
  readonly cascade: number;
  /** `quartileSpread` of the whole network's rounds. */
  readonly spread: number;
  /** Only where stages were timed at this size. */
  readonly saving: Saving | undefined;
  /** How the classifier ran. */
  readonly plan: string;
}

/** Milliseconds of single images, one call after the other. */
export interface Latency {
  readonly policy: string;
  readonly p50: number;
  readonly p99: number;
}

/** What a first answer takes on a device that has compiled nothing, and on one that has. */
export interface ColdStart {
  readonly policy: string;
  /** Milliseconds from `deploy` to the first answer. */
  readonly cold: number;
  readonly warm: number;
  /** The difference: what compiling takes. */
  readonly compile: number;
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return lastOf(sorted.slice(0, Math.floor(q * sorted.length) + 1));
}

/** How far the quartiles of times are apart, as a share of their median: how calm the machine was. */
export const quartileSpread = (times: readonly number[]): number =>
  (quantile(times, 0.75) - quantile(times, 0.25)) / median(times);

/** Passes that a classifier is given to find its way, at most. */
const FINDING = 60;

/** A deployed candidate, and how it is asked. */
export class Contender {
  readonly candidate: Candidate;
  readonly #classifier: Classifier;
  readonly #set: ImageSet;
  readonly #batch: number;

  private constructor(candidate: Candidate, classifier: Classifier, set: ImageSet, batch: number) {
    this.candidate = candidate;
    this.#classifier = classifier;
    this.#set = set;
    this.#batch = batch;
  }

  /** Deploys a candidate, and runs it until it has settled how. */
  static async make(net: MultiExit, candidate: Candidate, set: ImageSet, batch: number): Promise<Contender> {
    const { scaling, ...policy } = candidate.policy;
    const classifier = await deploy(net, policy, { batch, normalise: set.meta, ...(scaling && { scaling }) });
    const made = new Contender(candidate, classifier, set, batch);
    try {
      for (let i = 0; i < FINDING; i++) {
        await made.pass();
        if (made.plans.every(({ isSettled }) => isSettled)) break;
      }
      return made;
    } catch (error) {
      classifier.dispose();
      throw error;
    }
  }

  get plans(): readonly Plan[] {
    return this.#classifier.plan;
  }

  /** The exits that decide, the network's last among them. */
  get open(): readonly number[] {
    const early = firstOf(this.plans).route.flatMap((step, j) => (step === "closed" ? [] : [j]));
    return [...early, this.candidate.expected.scored.exits - 1];
  }

  /** Milliseconds of a batch. */
  async time(): Promise<number> {
    const { ms, images } = await this.pass();
    return (ms * this.#batch) / images;
  }

  /**
   * All images once, in whole batches where there are enough of them, else as often as fill one: how many were
   * classified, and the milliseconds that it took.
   */
  async pass(): Promise<{ readonly ms: number; readonly images: number }> {
    const { size } = this.#set;
    const count = size >= this.#batch ? size - (size % this.#batch) : size;
    const times = Math.max(1, Math.ceil(this.#batch / count));
    const images = repeated(pixelsOf(this.#set, 0, count), times);
    const start = performance.now();
    const answers = await this.#classifier.classify(images);
    const ms = performance.now() - start;
    this.#check(answers, (i) => i % count);
    return { ms, images: times * count };
  }

  /** Milliseconds of one image alone. */
  async one(i: number): Promise<number> {
    const at = i % this.#set.size;
    const image = pixelsOf(this.#set, at, 1);
    const start = performance.now();
    const answers = await this.#classifier.classify(image);
    const taken = performance.now() - start;
    this.#check(answers, () => at);
    return taken;
  }

  dispose(): void {
    this.#classifier.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #check(answers: Answers, sample: (i: number) => number): void {
    const { expected, name } = this.candidate;
    // A pass may be more than the images, which are then asked several times, or less: those that were not asked agree
    // with themselves.
    for (let first = 0; first < answers.exits.length; first += expected.exits.length) {
      const got = { classes: predictionsAt(expected.scored, expected.exits), exits: expected.exits.slice() };
      const last = Math.min(answers.exits.length, first + expected.exits.length);
      for (let i = first; i < last; i++) {
        got.classes[sample(i)] = answers.classes[i]!;
        got.exits[sample(i)] = answers.exits[i]!;
      }
      const agreement = compareAnswers(expected, got);
      if (agreement.differing === 0) continue;
      throw new SortieError(
        `bench: every answer must be the policy's on the network's own logits; in batches of ${this.#batch} ` +
          `${agreement.differing} differ (${name}): ${agreement.first}. Nothing is told.`,
      );
    }
  }
}

function pixelsOf({ images, size }: ImageSet, first: number, count: number): Uint8Array {
  const pixels = images.length / size;
  return images.subarray(first * pixels, (first + count) * pixels);
}

function repeated(images: Uint8Array, times: number): Uint8Array {
  if (times === 1) return images;
  const all = new Uint8Array(images.length * times);
  for (let i = 0; i < times; i++) all.set(images, i * images.length);
  return all;
}

/** What a round of times is about. */
export interface Site {
  readonly net: MultiExit;
  readonly set: ImageSet;
  readonly whole: Candidate;
  readonly rounds: number;
}

/** Times cascades against the whole network at one size of batches, in turns. */
export async function timeCascades(
  { net, set, whole, rounds }: Site,
  batch: number,
  candidates: readonly Candidate[],
  costs: MeasuredCosts | undefined,
): Promise<readonly CascadeTime[]> {
  const all: Contender[] = [];
  try {
    for (const one of [whole, ...candidates]) all.push(await Contender.make(net, one, set, batch));
    const wholeTimes: number[] = [];
    const ratios: number[][] = [];
    for (let round = 0; round < rounds; round++) {
      const [full = Number.NaN, ...others] = await inTurn(all);
      wholeTimes.push(full);
      ratios.push(others.map((time) => time / full));
    }
    // A machine that drifts does so for both of a ratio.
    const wholeTime = median(wholeTimes);
    const taken = transposed(ratios).map((one) => wholeTime * median(one));
    const spread = quartileSpread(wholeTimes);
    const known = costs?.times.find((one) => one.batch === batch);
    const stages = known && stagesOf({ net, rounds }, known);
    const rows: CascadeTime[] = [];
    for (const [contender, cascade] of zip(all.slice(1), taken)) {
      const { open, plans, candidate } = contender;
      const { scored, exits } = candidate.expected;
      const { fractions, cost, accuracy } = achieved(scored, exits);
      const at = (values: ArrayLike<number>) => open.map((j) => values[j]!);
      const seen = { fractions: at(fractions), macs: at(scored.costs), whole: wholeTime, cascade };
      const parts = { batch, policy: candidate.name, fractions: [...fractions], macs: cost, accuracy, open };
      const saving = stages && savingOf(await stages(open), seen);
      rows.push({ ...parts, whole: wholeTime, cascade, spread, saving, plan: plans[0]?.reason ?? "" });
    }
    return rows;
  } finally {
    for (const contender of all) contender.dispose();
  }
}

/** Times of stages where these exits alone decide, each pattern measured once; `known` are those where all do. */
function stagesOf(
  { net, rounds }: Pick<Site, "net" | "rounds">,
  known: StageTimes,
): (open: readonly number[]) => Promise<StageTimes> {
  const found = new Map<string, Promise<StageTimes>>();
  return (open) => {
    if (open.length === net.exits) return Promise.resolve(known);
    const key = open.join();
    const { batch } = known;
    const times = found.get(key) ?? measureCosts(net, { batch, rounds, open }).then((one) => firstOf(one.times));
    found.set(key, times);
    return times;
  };
}

/** Milliseconds of a batch with each contender, one after the other. */
async function inTurn(all: readonly Contender[]): Promise<number[]> {
  const times: number[] = [];
  for (const contender of all) times.push(await contender.time());
  return times;
}

/** Milliseconds of single images in a classifier of batch 1. */
export async function latencies(
  { net, set, whole }: Site,
  candidates: readonly Candidate[],
  calls: number,
): Promise<readonly Latency[]> {
  const found: Latency[] = [];
  for (const candidate of [whole, ...candidates]) {
    using contender = await Contender.make(net, candidate, set, 1);
    const times: number[] = [];
    for (let i = 0; i < calls; i++) times.push(await contender.one(i));
    found.push({ policy: candidate.name, p50: quantile(times, 0.5), p99: quantile(times, 0.99) });
  }
  return found;
}

/** The first answer on a new device, and the first of another classifier on the same. */
export async function coldStart(subject: Subject, candidate: Candidate): Promise<ColdStart> {
  const device = await createDevice();
  try {
    const net = await subject.make(device);
    const { scaling, ...policy } = candidate.policy;
    const image = pixelsOf(subject.images, 0, 1);
    const first = async (): Promise<number> => {
      const start = performance.now();
      const options = { batch: 1, normalise: subject.images.meta, ...(scaling && { scaling }) };
      using classifier = await deploy(net, policy, options);
      await classifier.classify(image);
      return performance.now() - start;
    };
    const [cold, warm] = [await first(), await first()];
    return { policy: candidate.name, cold, warm, compile: Math.max(0, cold - warm) };
  } finally {
    device.dispose();
  }
}

/** Joules of a batch, idle subtracted; undefined where nobody counts. */
export async function joules(
  meter: (() => number) | string,
  { net, set, whole, rounds }: Site,
  batch: number,
  candidates: readonly Candidate[],
): Promise<Readonly<Record<string, number>> | undefined> {
  if (typeof meter === "string") return undefined;
  const idleFor = async (ms: number): Promise<number> => {
    const before = meter();
    await new Promise((resolve) => setTimeout(resolve, ms));
    return (meter() - before) / ms;
  };
  const perMillisecond = await idleFor(1000);
  const found: Record<string, number> = {};
  for (const candidate of [whole, ...candidates]) {
    using contender = await Contender.make(net, candidate, set, batch);
    const before = meter();
    const start = performance.now();
    let batches = 0;
    for (let i = 0; i < rounds || performance.now() - start < 1000; i++) {
      batches += (await contender.pass()).images / batch;
    }
    found[candidate.name] = (meter() - before - perMillisecond * (performance.now() - start)) / batches;
  }
  return found;
}
