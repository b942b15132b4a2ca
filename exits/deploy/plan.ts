// Which route a classifier takes, chosen by measuring: each is tried on the batches that are classified anyway, so that
// shares that leave, batch size and adapter are those of the work. Answers are the same on all routes.

import { firstOf } from "../../base/index.ts";
import { DeviceError } from "../../engine/functions.ts";
import type { Lanes } from "./lanes.ts";
import type { Settlements } from "./remembered.ts";
import type { Behind, Way } from "./route.ts";

/** A way through the exits, and what a batch took on it. */
export interface TriedRoute {
  /**
   * What happens behind each early exit, by name as in `DeployOptions.route`; closed: nobody can leave there, it is not
   * computed.
   */
  readonly route: readonly (Behind | "closed")[];
  /** Milliseconds of a batch, as images leave; NaN before the first was timed. */
  readonly ms: number;
  /** How often it was timed. */
  readonly timed: number;
}

/** How batches of one size are run, and why. */
export interface Plan {
  /** Batches of so many images, and of fewer down to half of it. */
  readonly upTo: number;
  /** Whether others follow at once, of the same call or stream: only then can rows wait for those of other batches. */
  readonly isFlow: boolean;
  readonly route: TriedRoute["route"];
  /** Whether the route was chosen: given, the only one, remembered, or the fastest of those tried. */
  readonly isSettled: boolean;
  readonly tried: readonly TriedRoute[];
  /** The same in a sentence. */
  readonly reason: string;
}

/** How often a route is timed, behind a first batch that is not. */
const TIMED = 3;
/**
 * Routes that are apart by no more than this share are timed on, so often at most for each kind of batch that is
 * common: noise is as large.
 */
const CLOSE = 0.15;
const MOST = 9;
/** Images of batches that are timed in a row, where others follow, and batches at least. */
const IN_A_ROW = 48;
const FEWEST = 2;
/** A route is given up once it takes so many times as long as another, timed so often: the host is slow at first. */
const HOPELESS = 1.5;
const FAIR = 2;
/** Another route than the first must be faster by this share, so that noise changes nothing. */
const WORTH = 0.03;
/** The share of batches from which on every route must have been timed on some that reach an exit and no further. */
const COMMON = 0.1;

/** Images that must have been timed before it is known how many reach an exit. */
const KNOWN = 32;

/** Milliseconds of an image, and the last exit that one of its batch reached, where the time depends on that. */
interface Timed {
  readonly images: number;
  readonly ms: number;
  readonly deepest: number | undefined;
}

/** What is known of a candidate. */
interface Tried {
  readonly way: Way;
  readonly times: Timed[];
  runs: number;
}

interface Trial {
  readonly upTo: number;
  readonly isFlow: boolean;
  /** The candidates that can be taken. */
  open: readonly Tried[];
  chosen: Tried | undefined;
  /** Whether it was chosen in another process. */
  readonly isRemembered: boolean;
}

/** What a planner is given besides its candidates. */
export interface PlannerParts {
  readonly record: (way: Way) => Promise<Lanes>;
  /** Adds the exits that are closed. */
  readonly names: (way: Way) => TriedRoute["route"];
  /** What was settled before, and who wants to be told what is settled now. */
  readonly memory?: { readonly known: Settlements; settle(size: string, route: string): void } | undefined;
}

/** What a batch is to be run on. */
export interface Turn {
  readonly route: Lanes;
  /**
   * To be told what so many batches, or as many as come, took that had the GPU for themselves: images, milliseconds,
   * and the last exit that one of them reached.
   */
  readonly note: ((images: number, ms: number, deepest?: number) => void) | undefined;
  readonly batches: number;
}

const waits = (way: Way): boolean => way.includes("wait");

/** Remembers what was tried, and records routes when they are wanted. */
export class Planner {
  readonly #batch: number;
  #candidates: readonly Way[];
  readonly #how: PlannerParts;
  readonly #routes = new Map<Way, Lanes>();
  /** By size, and whether others follow. */
  readonly #trials = new Map<string, Trial>();
  #isOver = false;

  /** The first candidate is taken until another is known to be faster. */
  constructor(batch: number, candidates: readonly Way[], how: PlannerParts) {
    this.#batch = batch;
    this.#candidates = candidates;
    this.#how = how;
    for (const key of how.memory?.known.keys() ?? []) {
      const trial = this.#newTrial(Number.parseInt(key, 10), key.endsWith(FLOW));
      if (trial.isRemembered) this.#trials.set(key, trial);
    }
  }

  /** Records the route that will be taken first. */
  async prepare(): Promise<void> {
    const [first = this.#newTrial(this.#batch, false)] = this.#trials.values();
    const { way } = first.chosen ?? firstOf(first.open);
    try {
      await this.#route(way);
    } catch (error) {
      // What was remembered of a device with more room.
      if (!(error instanceof DeviceError) || this.#candidates.length === 1 || !this.#giveUp(way)) throw error;
      await this.prepare();
    }
  }

  /** The route for the next batch, of n images; `isFlow`: others follow at once. */
  async next(n: number, isFlow = false): Promise<Turn> {
    const trial = this.#trial(this.#sizeOf(n), isFlow);
    const tried = trial.chosen ?? nextOf(trial);
    let route: Lanes;
    try {
      route = await this.#route(tried.way);
    } catch (error) {
      // What this device has no room for is no way here; the others are.
      if (!(error instanceof DeviceError) || !this.#giveUp(tried.way)) throw error;
      return this.next(n, isFlow);
    }
    if (trial.chosen !== undefined) return { route, note: undefined, batches: 1 };
    // The first batch on each lane is not timed.
    const lanes = route.most ?? 1;
    const note = (images: number, ms: number, deepest?: number): void => {
      const isAlike = trial.isFlow || tried.way === "whole";
      if (tried.runs >= lanes) tried.times.push({ images, ms: ms / images, deepest: isAlike ? undefined : deepest });
      tried.runs += 1;
      trial.chosen ??= chosenOf(trial);
      if (trial.chosen === undefined) return;
      this.#how.memory?.settle(keyOf(trial), this.#how.names(trial.chosen.way).join());
      this.#forget();
    };
    const batches = trial.isFlow && tried.runs >= lanes ? Math.max(FEWEST, Math.ceil(IN_A_ROW / n)) : 1;
    return { route, note, batches };
  }

  /** What is known by now, the largest batches first, those that are followed by others in front. */
  get plans(): readonly Plan[] {
    const met = [...this.#trials.values()].sort((a, b) => b.upTo - a.upTo || Number(b.isFlow) - Number(a.isFlow));
    const trials = met.length > 0 ? met : [this.#newTrial(this.#batch, false)];
    return trials.map(({ upTo, isFlow, open, chosen, isRemembered }) => {
      const named = ({ way }: Tried): TriedRoute["route"] => this.#how.names(way);
      const tried = open.map((one) => ({ route: named(one), ms: upTo * timeOf(open, one), timed: one.times.length }));
      const plan = { upTo, isFlow, route: named(chosen ?? firstOf(open)), isSettled: chosen !== undefined, tried };
      return { ...plan, reason: reasonOf(plan, isRemembered) };
    });
  }

  dispose(): void {
    this.#isOver = true;
    for (const route of this.#routes.values()) route.dispose();
    this.#routes.clear();
  }

  /** Sizes up to a factor of two share a choice. */
  #sizeOf(n: number): number {
    return Math.min(this.#batch, 2 ** Math.ceil(Math.log2(n)));
  }

  async #route(way: Way): Promise<Lanes> {
    const route = this.#routes.get(way) ?? (await this.#how.record(way));
    if (this.#isOver) route.dispose();
    else this.#routes.set(way, route);
    return route;
  }

  /** Takes a way from the candidates; false where a trial would be left with none. */
  #giveUp(way: Way): boolean {
    const trials = [...this.#trials.values()].map((trial) => ({
      ...{ trial, open: trial.open.filter((one) => one.way !== way) },
    }));
    if (trials.some(({ open }) => open.length === 0)) return false;
    this.#candidates = this.#candidates.filter((one) => one !== way);
    for (const { trial, open } of trials) {
      trial.open = open;
      if (trial.chosen?.way === way) trial.chosen = undefined;
      trial.chosen ??= open.length === 1 ? open[0] : chosenOf(trial);
    }
    return true;
  }

  #trial(upTo: number, isFlow: boolean): Trial {
    const key = keyOf({ upTo, isFlow });
    const trial = this.#trials.get(key) ?? this.#newTrial(upTo, isFlow);
    this.#trials.set(key, trial);
    return trial;
  }

  #newTrial(upTo: number, isFlow: boolean): Trial {
    const all = this.#candidates.map((way): Tried => ({ way, times: [], runs: 0 }));
    const apart = all.filter(({ way }) => !waits(way));
    const open = isFlow || apart.length === 0 ? all : apart;
    const before = this.#how.memory?.known.get(keyOf({ upTo, isFlow }));
    const found = open.find(({ way }) => this.#how.names(way).join() === before);
    return { upTo, isFlow, open, isRemembered: found !== undefined, chosen: open.length === 1 ? open[0] : found };
  }

  /** Lets go of the memory of routes that nobody takes any more. */
  #forget(): void {
    const all = [...this.#trials.values()];
    if (all.some(({ chosen }) => chosen === undefined)) return;
    const wanted = new Set(all.map(({ chosen }) => chosen?.way));
    for (const [way, route] of this.#routes) {
      if (wanted.has(way)) continue;
      route.dispose();
      this.#routes.delete(way);
    }
  }
}

/** Marks, behind a size, batches that others follow. */
const FLOW = "+";

const keyOf = ({ upTo, isFlow }: Pick<Trial, "upTo" | "isFlow">): string => `${upTo}${isFlow ? FLOW : ""}`;

/** The middle, of two the less: a route that is sometimes quick is not what batches take. */
const typical = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[(values.length - 1) >> 1] ?? Number.NaN;

/** Shares of the batches by the last exit that was reached, of all that were timed on whatever route. */
function sharesOf(open: readonly Tried[]): ReadonlyMap<number, number> {
  const reached = open.flatMap(({ times }) => times.flatMap(({ deepest }) => deepest ?? []));
  const shareOf = (exit: number): number => reached.filter((one) => one === exit).length / reached.length;
  return new Map([...new Set(reached)].map((exit) => [exit, shareOf(exit)]));
}

/** The share of the batches that reach one of these and no further. */
const partOf = (shares: ReadonlyMap<number, number>, exits: readonly number[]): number =>
  exits.reduce((sum, exit) => sum + (shares.get(exit) ?? 0), 0);

/** The times of a route on batches that reach an exit and no further; on all, where it takes none of these apart. */
const timesAt = ({ times }: Tried, exit: number): readonly number[] =>
  times.flatMap(({ ms, deepest }) => (deepest === undefined || deepest === exit ? [ms] : []));

/** Milliseconds of an image on a route, on batches as they come; `among` some of the exits that they reach. */
function timeOf(open: readonly Tried[], one: Tried, among?: readonly number[]): number {
  const shares = sharesOf(open);
  const all = one.times.map(({ ms }) => ms);
  if (all.length === 0 || shares.size === 0) return typical(all);
  const exits = among ?? [...shares.keys()];
  const part = partOf(shares, exits);
  // Of what a route has not met it is expected that it takes as long as the slowest that it has.
  const slowest = Math.max(...exits.map((exit) => typical(timesAt(one, exit))).filter((ms) => !Number.isNaN(ms)));
  return exits.reduce((sum, exit) => {
    const ms = typical(timesAt(one, exit));
    return sum + (partOf(shares, [exit]) / part) * (Number.isNaN(ms) ? slowest : ms);
  }, 0);
}

/** Whether enough images were met to say how many reach an exit. */
function isMixKnown(open: readonly Tried[]): boolean {
  const met = open.flatMap(({ times }) => times.filter(({ deepest }) => deepest !== undefined));
  return met.length === 0 || met.reduce((sum, { images }) => sum + images, 0) >= KNOWN;
}

/**
 * Whether it is worth while to go on with a candidate: no other is so much faster on the batches that both have met.
 */
function isHopeful(open: readonly Tried[], one: Tried): boolean {
  if (!isMixKnown(open)) return true;
  const shares = sharesOf(open);
  return !open.some((other) => {
    if (one.times.length < FAIR || other.times.length < FAIR) return false;
    const both = [...shares.keys()].filter((exit) => [one, other].every((met) => timesAt(met, exit).length > 0));
    const isTold = shares.size === 0 || partOf(shares, both) > 1 - COMMON;
    return isTold && timeOf(open, one, both) > HOPELESS * timeOf(open, other, both);
  });
}

/** The exits that many batches reach without going further. */
const commonExits = (open: readonly Tried[]): readonly number[] =>
  [...sharesOf(open)].filter(([, share]) => share >= COMMON).map(([exit]) => exit);

/** Whether a candidate was timed often enough on every kind of batch that is common. */
function isTimed(open: readonly Tried[], one: Tried): boolean {
  const isMet = commonExits(open).every((exit) => timesAt(one, exit).length >= TIMED);
  return isMet && one.times.length >= TIMED && isMixKnown(open);
}

/** The candidates that may be the best and were not timed enough. */
function undecided({ open }: Trial): readonly Tried[] {
  const hopeful = open.filter((one) => isHopeful(open, one));
  const few = hopeful.filter((one) => !isTimed(open, one));
  if (few.length > 0) return few;
  const times = hopeful.map((one) => timeOf(open, one));
  const best = Math.min(...times);
  const close = hopeful.filter((_, i) => times[i]! <= best * (1 + CLOSE));
  const most = MOST * Math.max(1, commonExits(open).length);
  return close.length === 1 ? [] : close.filter((one) => one.times.length < most);
}

/** The one of them that was tried least. */
const nextOf = (trial: Trial): Tried => undecided(trial).reduce((a, b) => (b.runs < a.runs ? b : a));

/** The best candidate, once all that may be have been timed. */
function chosenOf(trial: Trial): Tried | undefined {
  if (undecided(trial).length > 0) return undefined;
  const { open } = trial;
  const first = firstOf(open);
  const hopeful = open.filter((one) => isHopeful(open, one));
  const time = (one: Tried): number => timeOf(open, one);
  const best = hopeful.reduce((a, b) => (time(b) < time(a) ? b : a));
  return hopeful.includes(first) && time(first) <= time(best) * (1 + WORTH) ? first : best;
}

function reasonOf({ upTo, isFlow, route, isSettled, tried }: Omit<Plan, "reason">, isRemembered: boolean): string {
  const name = (steps: TriedRoute["route"]): string => (steps.length === 0 ? "straight on" : steps.join(", "));
  const sizes = `${upTo === 1 ? "an image alone" : `batches of up to ${upTo}`}${isFlow ? ", others following" : ""}`;
  if (tried.length === 1) return `${sizes}: ${name(route)}`;
  if (isRemembered) return `${sizes}: ${name(route)}, which was the fastest before`;
  const timed = tried.filter((one) => one.timed > 0).map((one) => `${name(one.route)} ${one.ms.toFixed(2)} ms`);
  if (!isSettled) return `${sizes}: not settled yet${timed.length > 0 ? `; ${timed.join(" · ")}` : ""}`;
  return `${sizes}: ${name(route)}, the fastest of ${timed.join(" · ")}`;
}

/** What candidates depend on. */
interface CandidateOptions {
  readonly asksFirst: boolean;
  readonly canKeep?: boolean;
  /** Whether rows may wait for those of other batches. */
  readonly canWait?: boolean;
  readonly orWhole?: boolean;
}

/**
 * What is tried for so many open early exits: all of them compacted, asked or kept; or one compacted, and the others
 * kept; or all compacted, and at one they wait; and the whole network, where that is allowed.
 */
export function candidateRoutes(early: number, { orWhole = false, ...options }: CandidateOptions): readonly Way[] {
  const ways = waysThrough(early, options);
  return orWhole && early > 0 ? [...ways, "whole"] : ways;
}

function waysThrough(early: number, { asksFirst, canKeep = true, canWait }: CandidateOptions): readonly Way[] {
  if (early === 0) return [[]];
  const all = (behind: Behind): Behind[] => new Array<Behind>(early).fill(behind);
  const uniform = asksFirst ? [all("ask"), all("compact")] : [all("compact"), all("ask")];
  const places = early > MOST_ALONE ? [] : Array.from({ length: early }, (_, i) => i);
  const alone = early === 1 ? [] : places.map((i) => all("keep").with(i, "compact"));
  const waiting = canWait ? places.map((i) => all("compact").with(i, "wait")) : [];
  return [...uniform, ...(canKeep ? [all("keep"), ...alone] : []), ...waiting];
}

/** Beyond so many exits, no single one is tried alone. */
const MOST_ALONE = 4;
