// Times of the whole network and of cascades, which take turns. Every answer that is timed is held against the policy
// on the network's own logits; where one differs, nothing is told.

import { lastOf, median, SortieError, transposed, zip } from "../../base/index.ts";
import {
  achieved,
  type MeasuredCosts,
  predictionsAt,
  type Saving,
  savingOf,
  timesOf,
} from "../../calibration/index.ts";
import { createDevice } from "../../engine/index.ts";
import { type Answers, type Classifier, deploy, type ImageSet, type MultiExit, type Plan } from "../../exits/index.ts";
import { compareAnswers } from "../commands/agreement.ts";
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
  /** Milliseconds of a batch: the median of the rounds, and that times the median of the rounds' ratios. */
  readonly whole: number;
  readonly cascade: number;
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
        await made.seconds();
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

  /** Milliseconds of a batch: all images once, in whole batches where there are enough of them. */
  async seconds(): Promise<number> {
    const { size } = this.#set;
    const count = size >= this.#batch ? size - (size % this.#batch) : size;
    const times = Math.max(1, Math.ceil(this.#batch / count));
    const images = repeated(pixelsOf(this.#set, 0, count), times);
    const start = performance.now();
    const answers = await this.#classifier.classify(images);
    const taken = performance.now() - start;
    this.#check(answers, (i) => i % count);
    return (taken * this.#batch) / (times * count);
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
    return zip(all.slice(1), taken).map(
      ([
        {
          candidate: { name, expected },
          plans,
        },
        time,
      ]) => {
        const { fractions, cost, accuracy } = achieved(expected.scored, expected.exits);
        const seen = { fractions, macs: expected.scored.costs, whole: wholeTime, cascade: time };
        const known = costs?.times.some((one) => one.batch === batch) ? timesOf(costs, batch) : undefined;
        const parts = { batch, policy: name, fractions: [...fractions], macs: cost, accuracy };
        const saving = known && savingOf(known, seen);
        return { ...parts, whole: wholeTime, cascade: seen.cascade, saving, plan: plans[0]?.reason ?? "" };
      },
    );
  } finally {
    for (const contender of all) contender.dispose();
  }
}

/** Milliseconds of a batch with each contender, one after the other. */
async function inTurn(all: readonly Contender[]): Promise<number[]> {
  const times: number[] = [];
  for (const contender of all) times.push(await contender.seconds());
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
    const contender = await Contender.make(net, candidate, set, 1);
    try {
      const times: number[] = [];
      for (let i = 0; i < calls; i++) times.push(await contender.one(i));
      found.push({ policy: candidate.name, p50: quantile(times, 0.5), p99: quantile(times, 0.99) });
    } finally {
      contender.dispose();
    }
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
    const contender = await Contender.make(net, candidate, set, batch);
    const before = meter();
    const start = performance.now();
    let batches = 0;
    for (let i = 0; i < rounds || performance.now() - start < 1000; i++) {
      await contender.seconds();
      batches += Math.max(1, Math.floor(set.size / batch));
    }
    found[candidate.name] = (meter() - before - perMillisecond * (performance.now() - start)) / batches;
    contender.dispose();
  }
  return found;
}
