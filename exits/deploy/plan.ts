// Which route a classifier takes, chosen by measuring: each is tried on the batches that are classified anyway, so that
// shares that leave, batch size and adapter are those of the work. Answers are the same on all routes.

import type { Settlements } from "./remembered.ts";
import type { Behind, Route } from "./route.ts";

/** What happens behind each open exit; whole: nobody leaves, and no early exit is computed. */
export type Way = readonly Behind[] | "whole";

/** A way through the exits, and what a batch took on it. */
export interface TriedRoute {
  /**
   * What happens behind each early exit, by name as in `DeployOptions.route`; closed: nobody can leave there, it is not
   * computed.
   */
  readonly route: readonly (Behind | "closed")[];
  /** Milliseconds of a batch, the fastest of those that were timed; NaN before the first. */
  readonly ms: number;
  /** Batches that were timed. */
  readonly timed: number;
}

/** How batches of one size are run, and why. */
export interface Plan {
  /** Batches of so many images, and of fewer down to half of it. */
  readonly upTo: number;
  readonly route: TriedRoute["route"];
  /** Whether the route was chosen: given, the only one, remembered, or the fastest of those tried. */
  readonly isSettled: boolean;
  readonly tried: readonly TriedRoute[];
  /** The same in a sentence. */
  readonly reason: string;
}

/** Batches that are timed on a route, behind a first one that is not. */
const TIMED = 3;
/** A route is given up once it takes so many times as long as the fastest. */
const HOPELESS = 1.5;
/** Another route than the first must be faster by this share, so that noise changes nothing. */
const WORTH = 0.03;

interface Trial {
  /** Of each candidate. */
  readonly times: readonly number[][];
  readonly runs: number[];
  chosen: number | undefined;
  /** Whether it was chosen in another process. */
  readonly isRemembered: boolean;
}

/** What a planner is given besides its candidates. */
export interface PlannerParts {
  readonly record: (way: Way) => Promise<Route>;
  /** Adds the exits that are closed. */
  readonly names: (way: Way) => TriedRoute["route"];
  /** What was settled before, and who wants to be told what is settled now. */
  readonly memory?: { readonly known: Settlements; settle(size: number, route: string): void } | undefined;
}

/** What a batch is to be run on. */
export interface Turn {
  readonly route: Route;
  /** To be told the milliseconds of this batch; the batch must then have the GPU for itself. */
  readonly note: ((ms: number) => void) | undefined;
}

/** Remembers what was tried, and records routes when they are wanted. */
export class Planner {
  readonly #batch: number;
  readonly #candidates: readonly Way[];
  readonly #how: PlannerParts;
  readonly #routes = new Map<number, Route>();
  readonly #trials = new Map<number, Trial>();

  /** The first candidate is taken until another is known to be faster. */
  constructor(batch: number, candidates: readonly Way[], how: PlannerParts) {
    this.#batch = batch;
    this.#candidates = candidates;
    this.#how = how;
    this.#trial(batch);
  }

  /** The route for the next batch, of n images. */
  async next(n: number): Promise<Turn> {
    const size = this.#sizeOf(n);
    const trial = this.#trial(size);
    const i = trial.chosen ?? nextOf(trial);
    const route = this.#routes.get(i) ?? (await this.#how.record(this.#candidates[i]!));
    this.#routes.set(i, route);
    if (trial.chosen !== undefined) return { route, note: undefined };
    const note = (ms: number): void => {
      if (trial.runs[i]! > 0) trial.times[i]!.push(ms / n);
      trial.runs[i]! += 1;
      trial.chosen ??= chosenOf(trial);
      if (trial.chosen === undefined) return;
      this.#how.memory?.settle(size, this.#how.names(this.#candidates[trial.chosen]!).join());
      this.#forget();
    };
    return { route, note };
  }

  /** What is known by now, the largest batches first. */
  get plans(): readonly Plan[] {
    const sizes = [...this.#trials.keys()].sort((a, b) => b - a);
    return sizes.map((upTo) => {
      const { times, chosen, isRemembered } = this.#trials.get(upTo) as Trial;
      const tried = this.#candidates.map((way, i) => {
        return { route: this.#how.names(way), ms: upTo * fastest(times[i]!), timed: times[i]!.length };
      });
      const plan = { upTo, route: tried[chosen ?? 0]!.route, isSettled: chosen !== undefined, tried };
      return { ...plan, reason: reasonOf(plan, isRemembered) };
    });
  }

  dispose(): void {
    for (const route of this.#routes.values()) route.dispose();
    this.#routes.clear();
  }

  /** Sizes up to a factor of two share a choice. */
  #sizeOf(n: number): number {
    return Math.min(this.#batch, 2 ** Math.ceil(Math.log2(n)));
  }

  #trial(size: number): Trial {
    const known = this.#trials.get(size);
    if (known) return known;
    const before = this.#how.memory?.known.get(size);
    const found = this.#candidates.findIndex((way) => this.#how.names(way).join() === before);
    const trial: Trial = {
      isRemembered: found >= 0,
      times: this.#candidates.map(() => []),
      runs: this.#candidates.map(() => 0),
      chosen: this.#candidates.length === 1 ? 0 : found >= 0 ? found : undefined,
    };
    this.#trials.set(size, trial);
    return trial;
  }

  /** Lets go of the memory of routes that nobody takes any more. */
  #forget(): void {
    const all = [...this.#trials.values()];
    if (all.some(({ chosen }) => chosen === undefined)) return;
    const wanted = new Set(all.map(({ chosen }) => chosen));
    for (const [i, route] of this.#routes) {
      if (wanted.has(i)) continue;
      route.dispose();
      this.#routes.delete(i);
    }
  }
}

const fastest = (times: readonly number[]): number => (times.length === 0 ? Number.NaN : Math.min(...times));

/** Whether it is worth while to go on with candidate i. */
function isHopeful({ times }: Trial, i: number): boolean {
  const best = Math.min(...times.flat());
  return !(fastest(times[i]!) > HOPELESS * best);
}

/** The candidate that was tried least, of those that may be the best. */
function nextOf(trial: Trial): number {
  const open = trial.runs.flatMap((runs, i) => (runs <= TIMED && isHopeful(trial, i) ? [i] : []));
  return open.reduce((a, b) => (trial.runs[b]! < trial.runs[a]! ? b : a));
}

/** The best candidate, once all that may be have been timed. */
function chosenOf(trial: Trial): number | undefined {
  if (trial.runs.some((runs, i) => runs <= TIMED && isHopeful(trial, i))) return undefined;
  const times = trial.times.map(fastest);
  const best = times.indexOf(Math.min(...times));
  return times[0]! <= times[best]! * (1 + WORTH) ? 0 : best;
}

function reasonOf({ upTo, route, isSettled, tried }: Omit<Plan, "reason">, isRemembered: boolean): string {
  const name = (steps: TriedRoute["route"]): string => (steps.length === 0 ? "straight on" : steps.join(", "));
  const sizes = upTo === 1 ? "an image alone" : `batches of up to ${upTo}`;
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
  readonly orWhole?: boolean;
}

/**
 * What is tried for so many open early exits: all of them compacted, asked or kept; or one compacted, and the others
 * kept; and the whole network, where that is allowed.
 */
export function candidateRoutes(early: number, { orWhole = false, ...options }: CandidateOptions): readonly Way[] {
  const ways = waysThrough(early, options);
  return orWhole && early > 0 ? [...ways, "whole"] : ways;
}

function waysThrough(early: number, { asksFirst, canKeep = true }: CandidateOptions): readonly Way[] {
  if (early === 0) return [[]];
  const all = (behind: Behind): Behind[] => new Array<Behind>(early).fill(behind);
  const uniform = asksFirst ? [all("ask"), all("compact")] : [all("compact"), all("ask")];
  if (!canKeep) return uniform;
  const places = early === 1 || early > MOST_ALONE ? [] : Array.from({ length: early }, (_, i) => i);
  return [...uniform, all("keep"), ...places.map((i) => all("keep").with(i, "compact"))];
}

/** Beyond so many exits, no single one is tried alone. */
const MOST_ALONE = 4;
