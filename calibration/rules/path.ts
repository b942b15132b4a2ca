// Fixed paths of threshold rows, from strict to loose, for fixed-sequence testing. A path is designed on labelled
// validation samples, which the tests never see: any design keeps the guarantee, a good one loses little power. Proof:
// a false certificate needs the first false row of the path to be rejected, at level delta (Angelopoulos et al. 2021,
// section 2.2); that row has an exit above alpha, whose errors, given how many it accepts, are binomial, and all exits
// must pass (Berger 1982).

import { zip } from "../../base/index.ts";
import { checkKind } from "../errors.ts";
import { addTo, column, firstWhere } from "../numeric/arrays.ts";
import { binomialPValue } from "../numeric/bounds.ts";
import { fallingOrder } from "../numeric/ranks.ts";
import { normalCdf } from "../numeric/special.ts";
import { Tally } from "../numeric/tally.ts";
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
  checkKind("countGroups", "cascade", cascade);
  const { samples, exits, scores, errors, labels } = cascade;
  const counted = new Tally(groupCount(control, cascade));
  const left = new Float64Array(exits - 1);
  for (let i = 0; i < samples; i++) {
    const at = i * exits;
    let j = 0;
    while (j < exits - 1 && scores[at + j]! < thresholds[j]!) j++;
    if (j === exits - 1) continue;
    const group = control === "exit" ? j : control === "label" ? labels[i]! : 0;
    const error = errors[at + j]!;
    counted.add(group, error);
    addTo(left, j, 1);
    visit?.(group, error);
  }
  return { accepted: counted.counts, errors: counted.sums, left };
}

/** Cost that is saved by samples that leave at each early exit, `[K-1]`, in runs of the full network. */
export function savedCost(left: Float64Array, costs: Float64Array): number {
  return left.reduce((sum, count, j) => sum + count * (1 - costs[j]!), 0);
}

/**
 * How surely a test at delta will pass, from validation counts: the logarithm of the odds. The errors that pass are
 * whole numbers and how many samples will be accepted is not known, so the chance is a mean over likely numbers. Rates
 * are compared by their arcsine, which has about the same deviation at every rate, also where hardly any error is
 * expected; the deviation knows how few validation samples speak.
 */
class Forecast {
  readonly #alpha: number;
  readonly #delta: number;
  /** Samples of calibration and of validation. */
  readonly #n: number;
  readonly #samples: number;
  /** The fewest accepted samples among which k errors pass, by k. */
  readonly #fewest: number[] = [];

  constructor({ alpha, delta, n, validation }: Pick<PathInput, "alpha" | "delta" | "n" | "validation">) {
    this.#alpha = alpha;
    this.#delta = delta;
    this.#n = n;
    this.#samples = validation.samples;
  }

  surety(errors: number, accepted: number): number {
    const share = accepted / this.#samples;
    const mean = share * this.#n;
    const deviation = Math.sqrt(mean * (1 - share) * (1 + this.#n / this.#samples));
    const seen = angle((errors + 0.5) / (accepted + 1));
    let chance = 0;
    for (const z of LIKELY_NUMBERS) {
      const n = Math.min(this.#n, Math.round(mean + z * deviation));
      const passing = this.#passing(n);
      if (passing < 0) continue;
      const distance = angle((passing + 0.875) / (n + 0.75)) - seen;
      chance += normalCdf(distance / Math.sqrt(1 / n + 1 / accepted)) / LIKELY_NUMBERS.length;
    }
    return Math.log(chance / Math.max(0, 1 - chance));
  }

  /** The most errors that pass among n; -1 if none does. */
  #passing(n: number): number {
    const fewest = this.#fewest;
    for (let last = fewest.at(-1) ?? 0; last <= n; fewest.push(last)) last = this.#fewestWith(fewest.length, last);
    return firstWhere(0, fewest.length, (errors) => fewest[errors]! > n) - 1;
  }

  /** The fewest samples, more than `last`, that pass with so many errors; one more than there are if these do not. */
  #fewestWith(errors: number, last: number): number {
    const isEnough = (n: number) => binomialPValue(errors, n, this.#alpha) <= this.#delta;
    let [low, step] = [last, 1];
    while (low + step <= this.#n && !isEnough(low + step)) [low, step] = [low + step, 2 * step];
    return firstWhere(low + 1, Math.min(low + step, this.#n + 1), isEnough);
  }
}

/** Numbers of accepted samples, in deviations from the mean: middles of sevenths of the normal distribution, about. */
const LIKELY_NUMBERS = [-1.5, -0.8, -0.35, 0, 0.35, 0.8, 1.5] as const;

/** Twice the arcsine of the root of a rate. */
const angle = (rate: number) => 2 * Math.asin(Math.sqrt(Math.min(1, rate)));

/**
 * Sureties along a path: where passing is beyond doubt (it fails once in 700), and where it is beyond hope (it passes
 * once in 45).
 */
const [SURE, HOPELESS] = [6.6, -3.8] as const;

/** An exit is opened only where it will rather pass (three times of four), unless none will. */
const LIKELY = 1.1;

/** Where a path that is laid out by risk begins (it passes 44 times of 45). */
const PROMISING = -HOPELESS;

/** A row as it is designed: how many samples, by falling score, reach each early exit's threshold; 0 = closed. */
type Ranks = Int32Array;

/**
 * Rows `[K-1]` of thresholds. Control "exit": row g gives every exit the loosest threshold whose predicted surety is at
 * least s_g, falling from sure (or the most there is) to hopeless, so that all exits reach their limit together; exits
 * that cannot pass stay closed, and rows that hinder more than they save are left out. Otherwise: every exit accepts up
 * to a common validation risk that rises to 1.5 alpha, and rows before the first that is predicted to pass are left
 * out. Between two rows thresholds go in small steps: the last row that passes counts.
 */
export function designPath(input: PathInput): readonly Float64Array[] {
  const { validation, control, steps, alpha } = input;
  const { samples } = validation;
  const forecast = new Forecast(input);
  const exits = Array.from({ length: validation.exits - 1 }, (_, j) => ranked(validation, j));
  const design: Design = { samples, exits, looks: steps };
  const thresholds = (row: Ranks) =>
    Float64Array.from(exits, ({ scores }, j) => scores[row[j]! - 1] ?? Number.POSITIVE_INFINITY);
  const most = Math.min(SURE, largestSurety(design, forecast));
  if (most === Number.NEGATIVE_INFINITY) return [];
  const goals = Array.from({ length: steps }, (_, g): RowGoal => {
    const progress = g / Math.max(1, steps - 1);
    if (control !== "exit") return { risk: 1.5 * alpha * progress };
    return { surety: most + (Math.min(most, HOPELESS) - most) * progress, least: Math.min(LIKELY, most), forecast };
  });
  const rows = distinct(goals.map((goal) => designRow(design, goal)));
  const kept =
    control === "exit"
      ? worthwhile(rows.map((row) => prospect(row, thresholds(row), validation, forecast))).map(({ row }) => row)
      : rows.slice(firstPromising(rows.map(thresholds), input, forecast));
  return distinct(inSmallSteps(design, kept, samples / (2 * steps))).map(thresholds);
}

/** Where rows are designed. */
interface Design {
  /** Validation samples. */
  readonly samples: number;
  /** The early exits. */
  readonly exits: readonly RankedExit[];
  /** Thresholds that are looked at per exit, about: single samples should not decide. */
  readonly looks: number;
}

/** One exit's samples by falling score. */
interface RankedExit {
  /** The samples' numbers. */
  readonly order: Int32Array;
  readonly scores: Float64Array;
  readonly errors: Float64Array;
}

function ranked({ scores, errors, exits }: Cascade, exit: number): RankedExit {
  const order = fallingOrder(scores, exits, exit);
  return { order, scores: column(scores, exits, exit, order), errors: column(errors, exits, exit, order) };
}

/** Either a predicted surety to keep, by exits that somewhere reach the least, or a validation risk not to exceed. */
type RowGoal =
  | { readonly surety: number; readonly least: number; readonly forecast: Forecast }
  | { readonly risk: number };

/** A threshold of one exit: its rank, and how many that have not left before reach it, and the errors among them. */
interface Look {
  readonly rank: number;
  readonly accepted: number;
  readonly wrong: number;
}

/** Thresholds of one exit from strict to loose. */
function lookAlong({ order, scores, errors }: RankedExit, looks: number, gone: Uint8Array): Look[] {
  const stride = gone.reduce((alive, isGone) => alive - isGone, order.length) / looks;
  const seen: Look[] = [];
  let [accepted, wrong] = [0, 0];
  let before = 0;
  for (let rank = 1; rank <= order.length; rank++) {
    if (gone[order[rank - 1]!] === 0) {
      accepted++;
      wrong += errors[rank - 1]!;
    }
    const isInTie = scores[rank] === scores[rank - 1];
    const news = accepted - before;
    if (isInTie || news === 0 || (news < stride && rank < order.length)) continue;
    seen.push({ rank, accepted, wrong });
    before = accepted;
  }
  return seen;
}

/** A corner of the greatest convex minorant. */
interface Corner {
  readonly look: Look;
  readonly before?: Corner;
}

const slope = (from: Look, to: Look) => (to.wrong - from.wrong) / (to.accepted - from.accepted);

/** Errors to be expected if the error rate rises as scores fall: the greatest convex minorant of those seen. */
function smoothed(looks: readonly Look[]): Look[] {
  let corner: Corner = { look: { rank: 0, accepted: 0, wrong: 0 } };
  for (const look of looks) {
    while (corner.before && slope(corner.before.look, corner.look) >= slope(corner.look, look)) corner = corner.before;
    corner = { look, before: corner };
  }
  const fromLast = looks.toReversed().map((look) => {
    while (corner.before && corner.before.look.accepted >= look.accepted) corner = corner.before;
    const from = corner.before?.look ?? corner.look;
    return { ...look, wrong: from.wrong + slope(from, corner.look) * (look.accepted - from.accepted) };
  });
  return fromLast.reverse();
}

function largestSurety(design: Design, forecast: Forecast): number {
  const nobody = new Uint8Array(design.samples);
  let most = Number.NEGATIVE_INFINITY;
  for (const exit of design.exits) {
    for (const { accepted, wrong } of smoothed(lookAlong(exit, design.looks, nobody))) {
      most = Math.max(most, forecast.surety(wrong, accepted));
    }
  }
  return most;
}

function designRow(design: Design, goal: RowGoal): Ranks {
  const gone = new Uint8Array(design.samples);
  return Int32Array.from(design.exits, (exit) => {
    const looks = lookAlong(exit, design.looks, gone);
    const found = "risk" in goal ? loosestBelow(looks, goal.risk) : loosestSure(smoothed(looks), goal);
    for (const i of exit.order.subarray(0, found)) gone[i] = 1;
    return found;
  });
}

function loosestBelow(looks: readonly Look[], risk: number): number {
  return looks.findLast(({ accepted, wrong }) => wrong <= risk * accepted)?.rank ?? 0;
}

function loosestSure(
  looks: readonly Look[],
  { surety, least, forecast }: Extract<RowGoal, { surety: number }>,
): number {
  let best = Number.NEGATIVE_INFINITY;
  let found = 0;
  for (const { rank, accepted, wrong } of looks) {
    const here = forecast.surety(wrong, accepted);
    best = Math.max(best, here);
    if (here >= surety) found = rank;
  }
  return best < least ? 0 : found;
}

/**
 * Rows between neighbours, so that no threshold moves by more than about `stride` samples at once. Inside a tie an exit
 * keeps to the stricter side, as one exit may loosen while another tightens; exits open and close in one step.
 */
function inSmallSteps({ exits, samples }: Design, rows: readonly Ranks[], stride: number): readonly Ranks[] {
  const tieEnds = exits.map(({ scores }) => {
    let end = 0;
    return Int32Array.from({ length: samples + 1 }, (_, rank) => {
      if (scores[rank] !== scores[rank - 1]) end = rank;
      return end;
    });
  });
  return rows.flatMap((row, g) => {
    const before = rows[g - 1];
    if (!before) return [row];
    const moved = before.map((rank, j) => (rank > 0 && row[j]! > 0 ? row[j]! - rank : 0));
    const parts = Math.max(1, Math.ceil(Math.max(...moved.map(Math.abs)) / stride));
    return Array.from({ length: parts }, (_, k) => {
      if (k === parts - 1) return row;
      return Int32Array.from(tieEnds, (ends, j) => ends[before[j]! + Math.round((moved[j]! * (k + 1)) / parts)]!);
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
  for (const [g, row] of rows.entries()) {
    const { accepted, errors } = countGroups(input.validation, row, input.control);
    const sureties = zip(accepted, errors).map(([n, wrong]) => forecast.surety(wrong, n));
    const surety = Math.min(...sureties);
    if (surety >= PROMISING) return g;
    if (surety > bestSurety) {
      best = g;
      bestSurety = surety;
    }
  }
  return best;
}

/** What a row is predicted to save, and each exit's chance to pass, `[K-1]`; 1 where it is closed. */
interface Prospect {
  readonly row: Ranks;
  readonly saving: number;
  readonly chances: readonly number[];
}

function prospect(row: Ranks, thresholds: Float64Array, validation: Cascade, forecast: Forecast): Prospect {
  const { accepted, errors } = countGroups(validation, thresholds, "exit");
  const chances = zip(accepted, errors).map(([n, wrong]) =>
    n === 0 ? 1 : 1 / (1 + Math.exp(-forecast.surety(wrong, n))),
  );
  return { row, saving: savedCost(accepted, validation.costs), chances };
}

/**
 * The rows without those that are likelier to end the sequence than worth it: stretches behind the first row are left
 * out as long as that raises the saving to be expected.
 */
function worthwhile(prospects: readonly Prospect[]): readonly Prospect[] {
  let kept = prospects;
  for (;;) {
    let best = kept;
    let most = expectedSaving(kept);
    for (let from = 1; from < kept.length; from++) {
      for (let to = from + 1; to <= kept.length; to++) {
        const rest = [...kept.slice(0, from), ...kept.slice(to)];
        const saving = expectedSaving(rest);
        if (saving > most * (1 + 1e-9)) [best, most] = [rest, saving];
      }
    }
    if (best === kept) return kept;
    kept = best;
  }
}

/**
 * Along the path an exit's tests share their luck (it passes as often as its hardest test so far); different exits do
 * not.
 */
function expectedSaving(rows: readonly Prospect[]): number {
  const hardest: number[] = [];
  let [sum, before] = [0, 0];
  for (const { saving, chances } of rows) {
    let chance = 1;
    for (const [j, own] of chances.entries()) {
      const least = Math.min(hardest[j] ?? 1, own);
      hardest[j] = least;
      chance *= least;
    }
    if (saving <= before) continue;
    sum += (saving - before) * chance;
    before = saving;
  }
  return sum;
}
