// Fixed paths of threshold rows, from strict to loose, for fixed-sequence testing. A path is designed on labelled
// validation samples, which the tests never see: any design keeps the guarantee, a good one loses little power.

import { binomialPValue } from "../numeric/bounds.ts";
import { fallingOrder } from "../numeric/ranks.ts";
import type { Cascade } from "../table/scores.ts";
import type { RiskLevels } from "./result.ts";

/** Which samples share one promise on a path: those of each exit, all that leave early, or those of each label. */
export type PathControl = "exit" | "early" | "label";

/** What the design may know: validation samples, the levels, and how many calibration samples will be tested. */
export interface PathInput extends RiskLevels {
  readonly validation: Cascade;
  readonly control: PathControl;
  readonly n: number;
  readonly steps: number;
}

/** Accepted samples and errors of every promised group under one row. */
export interface GroupCounts {
  readonly accepted: Float64Array;
  readonly errors: Float64Array;
  /** `[K-1]` samples that leave at each early exit. */
  readonly left: Float64Array;
}

/** Groups a control has. */
export function groupCount(control: PathControl, { exits, classes }: Cascade): number {
  return control === "exit" ? exits - 1 : control === "label" ? classes : 1;
}

/** Counts of early leavers per group under thresholds `[K-1]`. `visit` sees each of them. */
export function countGroups(
  cascade: Cascade,
  thresholds: Float64Array,
  control: PathControl,
  visit?: (group: number, error: number) => void,
): GroupCounts {
  const { samples, exits, scores, errors, labels } = cascade;
  const accepted = new Float64Array(groupCount(control, cascade));
  const wrong = new Float64Array(accepted.length);
  const left = new Float64Array(exits - 1);
  for (let i = 0; i < samples; i++) {
    const at = i * exits;
    let j = 0;
    while (j < exits - 1 && scores[at + j]! < thresholds[j]!) j++;
    if (j === exits - 1) continue;
    const group = control === "exit" ? j : control === "label" ? labels[i]! : 0;
    accepted[group] = accepted[group]! + 1;
    wrong[group] = wrong[group]! + errors[at + j]!;
    left[j] = left[j]! + 1;
    visit?.(group, errors[at + j]!);
  }
  return { accepted, errors: wrong, left };
}

/**
 * How surely a test at delta will pass, from validation counts: the distance between the errors to be expected and the most that
 * pass, in standard deviations (of their arcsine, which has the same deviation at every rate, also where hardly any error is
 * expected) that know how few validation samples speak. The normal distribution function of it is about the chance to pass.
 */
class Forecast {
  readonly #alpha: number;
  readonly #delta: number;
  /** Calibration samples per validation sample. */
  readonly #scale: number;
  /** The fewest accepted samples among which k errors pass, by k. */
  readonly #fewest: number[] = [];

  constructor({ alpha, delta, n, validation }: Pick<PathInput, "alpha" | "delta" | "n" | "validation">) {
    this.#alpha = alpha;
    this.#delta = delta;
    this.#scale = n / validation.samples;
  }

  surety(errors: number, accepted: number): number {
    const n = accepted * this.#scale;
    const passing = this.#passing(n);
    if (passing <= 0) return Number.NEGATIVE_INFINITY;
    const angle = (rate: number) => 2 * Math.asin(Math.sqrt(Math.min(1, rate)));
    const distance = angle(passing / n) - angle((errors + 0.5) / (accepted + 1));
    return distance * Math.sqrt(n / (1 + this.#scale));
  }

  /** The most errors that pass among about n, as a line through its steps: how many are accepted is not known exactly. */
  #passing(n: number): number {
    const fewest = this.#fewest;
    while (fewest.length < 2 || fewest.at(-1)! <= n) {
      const errors = fewest.length;
      let at = (fewest.at(-1) ?? 0) + 1;
      while (binomialPValue(errors, at, this.#alpha) > this.#delta) at++;
      fewest.push(at);
    }
    let [low, high] = [0, fewest.length]; // first k that needs more than n
    while (low < high) {
      const mid = (low + high) >> 1;
      if (fewest[mid]! > n) high = mid;
      else low = mid + 1;
    }
    if (low === 0) return 0;
    const from = fewest[low - 1]!;
    return low - 1 + (n - from) / (fewest[low]! - from);
  }
}

/** Sureties along a path: where passing is beyond doubt, and where it is beyond hope. */
const [SURE, HOPELESS] = [3, -2] as const;

/** An exit is opened only where it will rather pass (two times of three), unless none will. */
const LIKELY = 0.5;

/** A row as it is designed: how many samples, by falling score, reach each early exit's threshold; 0 = closed. */
type Ranks = Int32Array;

/**
 * Rows `[K-1]` of thresholds. Control "exit": row g gives every exit the loosest threshold whose predicted surety is at
 * least s_g, falling from 3 (or the most there is) to -2, so that all exits reach their limit together; exits that cannot pass
 * stay closed. Otherwise: every exit accepts up to a common validation risk that rises to 1.5 alpha, and rows before the first
 * that is predicted to pass are left out. Between two rows thresholds go in small steps: the last row that passes counts.
 */
export function designPath(input: PathInput): readonly Float64Array[] {
  const { validation, control, steps, alpha } = input;
  const { exits, scores, samples } = validation;
  const forecast = new Forecast(input);
  const design: Design = {
    validation,
    orders: Array.from({ length: exits - 1 }, (_, j) => fallingOrder(scores, exits, j)),
    looks: steps,
  };
  const thresholds = (row: Ranks) =>
    Float64Array.from(row, (rank, j) =>
      rank === 0 ? Number.POSITIVE_INFINITY : scores[design.orders[j]![rank - 1]! * exits + j]!,
    );
  const most = Math.min(SURE, largestSurety(design, forecast));
  if (most === Number.NEGATIVE_INFINITY) return [];
  const goals = Array.from({ length: steps }, (_, g): RowGoal => {
    const progress = g / Math.max(1, steps - 1);
    if (control !== "exit") return { risk: 1.5 * alpha * progress };
    return { surety: most + (Math.min(most, HOPELESS) - most) * progress, least: Math.min(LIKELY, most), forecast };
  });
  const rows = distinct(goals.map((goal) => designRow(design, goal)));
  const first = control === "exit" ? 0 : firstPromising(rows.map(thresholds), input, forecast);
  return distinct(inSmallSteps(design, rows.slice(first), samples / (2 * steps))).map(thresholds);
}

/** Where rows are designed. */
interface Design {
  readonly validation: Cascade;
  /** Samples by falling score, per early exit. */
  readonly orders: readonly Int32Array[];
  /** Thresholds that are looked at per exit, about: single samples should not decide. */
  readonly looks: number;
}

/** Either a predicted surety to keep, by exits that somewhere reach the least, or a validation risk not to exceed. */
type RowGoal =
  | { readonly surety: number; readonly least: number; readonly forecast: Forecast }
  | { readonly risk: number };

/** Visits thresholds of one exit from strict to loose, with the counts of those that reach them and have not left before. */
function lookAlong(
  { validation, orders, looks }: Design,
  exit: number,
  gone: Uint8Array,
  look: (rank: number, accepted: number, wrong: number) => void,
): void {
  const { samples, exits, scores, errors } = validation;
  const stride = gone.reduce((alive, isGone) => alive - isGone, samples) / looks;
  const order = orders[exit]!;
  let [accepted, wrong, seen] = [0, 0, 0];
  for (let rank = 0; rank < samples; rank++) {
    const i = order[rank]!;
    if (gone[i] === 0) {
      accepted++;
      wrong += errors[i * exits + exit]!;
    }
    const next = order[rank + 1];
    const isInTie = next !== undefined && scores[next * exits + exit] === scores[i * exits + exit];
    if (isInTie || accepted === 0 || (accepted - seen < stride && next !== undefined)) continue;
    seen = accepted;
    look(rank + 1, accepted, wrong);
  }
}

function largestSurety(design: Design, forecast: Forecast): number {
  const nobody = new Uint8Array(design.validation.samples);
  let most = Number.NEGATIVE_INFINITY;
  design.orders.forEach((_, j) => {
    lookAlong(design, j, nobody, (_rank, accepted, wrong) => {
      most = Math.max(most, forecast.surety(wrong, accepted));
    });
  });
  return most;
}

function designRow(design: Design, goal: RowGoal): Ranks {
  const gone = new Uint8Array(design.validation.samples);
  return Int32Array.from(design.orders, (order, j) => {
    let best = Number.NEGATIVE_INFINITY;
    let found = 0;
    lookAlong(design, j, gone, (rank, accepted, wrong) => {
      if ("risk" in goal) {
        if (wrong <= goal.risk * accepted) found = rank;
        return;
      }
      const surety = goal.forecast.surety(wrong, accepted);
      best = Math.max(best, surety);
      if (surety >= goal.surety) found = rank;
    });
    if ("least" in goal && best < goal.least) return 0;
    for (let rank = 0; rank < found; rank++) gone[order[rank]!] = 1;
    return found;
  });
}

/**
 * Rows between neighbours, so that no threshold moves by more than about `stride` samples at once. Inside a tie an exit keeps to
 * the stricter side, as one exit may loosen while another tightens; exits open and close in one step.
 */
function inSmallSteps({ validation, orders }: Design, rows: readonly Ranks[], stride: number): readonly Ranks[] {
  const { samples, exits, scores } = validation;
  const tieEnds = orders.map((order, j) => {
    const ends = new Int32Array(samples + 1);
    for (let rank = 1; rank <= samples; rank++) {
      const next = order[rank];
      const isEnd = next === undefined || scores[next * exits + j] !== scores[order[rank - 1]! * exits + j];
      ends[rank] = isEnd ? rank : ends[rank - 1]!;
    }
    return ends;
  });
  return rows.flatMap((row, g) => {
    const before = rows[g - 1];
    if (!before) return [row];
    const moved = row.map((rank, j) => (rank > 0 && before[j]! > 0 ? rank - before[j]! : 0));
    const parts = Math.max(1, Math.ceil(Math.max(...moved.map(Math.abs)) / stride));
    return Array.from({ length: parts }, (_, k) => {
      if (k === parts - 1) return row;
      return before.map((rank, j) => tieEnds[j]![rank + Math.round((moved[j]! * (k + 1)) / parts)]!);
    });
  });
}

/** Rows that open something and differ from the one before. */
function distinct(rows: readonly Ranks[]): readonly Ranks[] {
  return rows.filter((row, g) => row.some((rank) => rank > 0) && !row.every((rank, j) => rank === rows[g - 1]?.[j]));
}

/** The first row whose every group is predicted to pass with room; failing that, the best. */
function firstPromising(rows: readonly Float64Array[], input: PathInput, forecast: Forecast): number {
  let best = 0;
  let bestSurety = Number.NEGATIVE_INFINITY;
  for (let g = 0; g < rows.length; g++) {
    const { accepted, errors } = countGroups(input.validation, rows[g]!, input.control);
    const sureties = Array.from(accepted, (n, group) => forecast.surety(errors[group]!, n));
    const surety = Math.min(...sureties);
    if (surety >= 2) return g;
    if (surety > bestSurety) {
      best = g;
      bestSurety = surety;
    }
  }
  return best;
}
