// Cascades whose true risk is known exactly: a table of many samples IS the population, calibration sets are drawn
// from it with replacement, and every risk of every threshold pair is read off cumulative counts. For checking any
// calibration rule, also one's own, by repetition.

import { type Kinds, SEED, take, zip } from "../base/index.ts";
import { check, readOptions } from "./errors.ts";
import { addTo, column, dot, firstWhere, sum } from "./numeric/arrays.ts";
import { createRandom, type Random } from "./numeric/random.ts";
import { firstAtLeast } from "./numeric/ranks.ts";
import { normalCdf } from "./numeric/special.ts";
import type { Outcomes } from "./table/outcomes.ts";

/** The latent model of a three-exit cascade: difficulty h, logit margins `strength_j - spread h + noise eps_j`. */
export interface PopulationOptions {
  readonly seed?: number;
  readonly size?: number;
  readonly classes?: number;
  /** Mean margin of the three exits; larger = more accurate. */
  readonly strength?: readonly [number, number, number];
  readonly spread?: number;
  readonly noise?: number;
  /** Correlation of the exits' errors beyond what confidence explains. */
  readonly errorCorrelation?: number;
  /**
   * If set, the early exits err with this probability whatever their confidence: the hardest case for a false promise.
   */
  readonly flatError?: number;
  readonly costs?: readonly [number, number, number];
  /** Distinct confidences of an exit, at most 256 (default); few for scores such as patience or binned scaling. */
  readonly levels?: number;
}

/** True risks under thresholds. */
export interface Truth {
  /** Error rate among those that leave at each early exit; NaN where nobody does. */
  readonly exitRisk: readonly [number, number];
  /** Error rate among all early leavers. */
  readonly earlyRisk: number;
  /** Largest error rate over labels, among each label's early leavers. */
  readonly labelRisk: number;
  /** Largest error rate over early exits and answered classes. */
  readonly classRisk: number;
  /** Probability of leaving early and being wrong. */
  readonly acceptedAndWrong: number;
  /** Probability of answering differently from the last exit. */
  readonly disagreement: number;
  /** Probability of being wrong where the last exit is right. */
  readonly gap: number;
  /** Share that leaves early. */
  readonly coverage: number;
  readonly cost: number;
  readonly accuracy: number;
}

/** A population with three exits. */
export interface Population {
  /** n independent draws. */
  draw(n: number, random: Random): Outcomes;
  /** Thresholds `[2]`, or `[2, C]` by predicted class. */
  truth(thresholds: ArrayLike<number>): Truth;
  readonly classes: number;
}

const EXITS = 3;

const POPULATION: Kinds<PopulationOptions> = {
  seed: SEED,
  size: "number",
  classes: "number",
  strength: "any",
  spread: "number",
  noise: "number",
  errorCorrelation: "number",
  flatError: "number",
  costs: "any",
  levels: "number",
};

/**
 * One sample is two levels and a cell of facts; counts are kept per (label, answer 1, answer 2, answer 3).
 *
 * @example
 * ```ts
 * import { createPopulation, createRandom } from "sortie/calibration";
 *
 * const population = createPopulation({ size: 5000 });
 * const table = population.draw(100, createRandom(1));
 * console.log(table.samples, table.exits); // 100 3
 * console.log(population.truth([Infinity, Infinity]).coverage); // 0
 * ```
 */
export function createPopulation(options: PopulationOptions = {}): Population {
  const read = readOptions("createPopulation", options, POPULATION);
  const { size = 1_000_000, classes = 3, levels = 256 } = read;
  const costs = Float64Array.from(read.costs ?? [0.3, 0.6, 1]);
  const isCount = Number.isInteger(levels) && levels > 0 && levels <= 256;
  check(isCount, "createPopulation", "levels must lie in 1..256", levels);
  const samples = generate(options, size, classes, levels);
  const counts = accumulate(samples, classes);
  return {
    classes,
    draw: (n, random) => drawSamples(samples, n, random, { classes, costs }),
    truth: (thresholds) => truthOf(counts, samples, thresholds, { size, classes, costs }),
  };
}

/** The table behind a population. */
interface Samples {
  readonly labels: Uint8Array;
  /** `[size, 3]`. */
  readonly predictions: Uint8Array;
  readonly levels: Uint8Array;
  /** -log of the probability the exit gives the label, `[size, 3]`. */
  readonly nll: Float32Array;
  /** Confidence of each level, ascending, `[3, L]`. */
  readonly values: Float64Array;
  /** L. */
  readonly count: number;
}

function generate(options: PopulationOptions, size: number, classes: number, count: number): Samples {
  const { seed = 1, strength = [1.15, 1.9, 2.9], spread = 1.6, noise = 0.8, errorCorrelation = 0.5 } = options;
  const random = createRandom(seed);
  const confidence = new Float64Array(size * EXITS);
  const labels = new Uint8Array(size);
  const predictions = new Uint8Array(size * EXITS);
  for (let i = 0; i < size; i++) {
    const difficulty = random.normal();
    const common = random.normal();
    const label = random.below(classes);
    const confusion = (label + 1 + random.below(classes - 1)) % classes;
    labels[i] = label;
    for (const [j, mean] of strength.entries()) {
      const margin = mean - spread * difficulty + noise * random.normal();
      const p = 1 / classes + (1 - 1 / classes) / (1 + Math.exp(-margin));
      const right = j < EXITS - 1 && options.flatError !== undefined ? 1 - options.flatError : p;
      const draw = Math.sqrt(errorCorrelation) * common + Math.sqrt(1 - errorCorrelation) * random.normal();
      const isRight = normalCdf(draw) < right;
      // half of the errors are the same at all exits
      const other = random.uniform() < 0.5 ? confusion : (label + 1 + random.below(classes - 1)) % classes;
      confidence[i * EXITS + j] = p;
      predictions[i * EXITS + j] = isRight ? label : other;
    }
  }
  return discretise({ confidence, labels, predictions }, count, random);
}

/** Cuts confidences into levels of equal mass, so that truth can be tabulated; ties are real ones. */
function discretise(
  { confidence, labels, predictions }: { confidence: Float64Array; labels: Uint8Array; predictions: Uint8Array },
  count: number,
  random: Random,
): Samples {
  const size = labels.length;
  const levels = new Uint8Array(size * EXITS);
  const values = new Float64Array(EXITS * count);
  for (let j = 0; j < EXITS; j++) {
    const own = column(confidence, EXITS, j);
    const ascending = own.toSorted();
    const atShare = (k: number) => ascending[Math.floor((k * size) / count)]!;
    const edges = Float64Array.from({ length: count }, (_, k) => atShare(k));
    for (let k = 0; k < count; k++) values[j * count + k] = atShare(k + 0.5);
    own.forEach((x, i) => {
      levels[i * EXITS + j] = Math.max(0, firstWhere(0, count, (k) => edges[k]! > x) - 1);
    });
  }
  const nll = Float32Array.from(levels, (level, at) => {
    const p = values[(at % EXITS) * count + level]!;
    const isRight = predictions[at] === labels[Math.floor(at / EXITS)];
    return -Math.log(isRight ? p : (1 - p) * random.uniform());
  });
  return { labels, predictions, levels, nll, values, count };
}

/** Cumulative counts `[cell, L + 1, L + 1]`: samples of a cell with level 1 < a and level 2 < b. */
function accumulate({ labels, predictions, levels, count }: Samples, classes: number): Float64Array {
  const side = count + 1;
  const counts = new Float64Array(classes ** 4 * side * side);
  labels.forEach((label, i) => {
    const at = i * EXITS;
    let cell = label;
    for (let j = 0; j < EXITS; j++) cell = cell * classes + predictions[at + j]!;
    addTo(counts, (cell * side + levels[at]! + 1) * side + levels[at + 1]! + 1, 1);
  });
  for (let row = 0; row < classes ** 4 * side; row++) {
    if (row % side === 0) continue;
    let sum = 0;
    for (let b = 1; b < side; b++) {
      sum += counts[row * side + b]!;
      counts[row * side + b] = sum + counts[(row - 1) * side + b]!;
    }
  }
  return counts;
}

function drawSamples(
  { labels, predictions, levels, nll, values, count }: Samples,
  n: number,
  random: Random,
  { classes, costs }: { readonly classes: number; readonly costs: Float64Array },
): Outcomes {
  const rows = Int32Array.from({ length: n }, () => random.below(labels.length));
  const drawn = {
    labels: Int32Array.from(take(labels, rows)),
    predictions: new Int32Array(n * EXITS),
    errors: new Uint8Array(n * EXITS),
    maxProb: new Float64Array(n * EXITS),
    nll: new Float64Array(n * EXITS),
  };
  rows.forEach((row, i) => {
    for (let j = 0; j < EXITS; j++) {
      const from = row * EXITS + j;
      const to = i * EXITS + j;
      drawn.predictions[to] = predictions[from]!;
      drawn.errors[to] = predictions[from] === labels[row] ? 0 : 1;
      drawn.maxProb[to] = values[j * count + levels[from]!]!;
      drawn.nll[to] = nll[from]!;
    }
  });
  // only the confidence and the label's probability exist here; the other scores are not simulated
  const absent = new Float64Array(0);
  return {
    ...drawn,
    samples: n,
    exits: EXITS,
    classes,
    costs,
    ids: undefined,
    margin: absent,
    entropy: absent,
    logSumExp: absent,
    maxLogit: absent,
    brier: absent,
  };
}

function truthOf(
  counts: Float64Array,
  { values, count: levels }: Samples,
  thresholds: ArrayLike<number>,
  { size, classes, costs }: { readonly size: number; readonly classes: number; readonly costs: Float64Array },
): Truth {
  const isByClass = thresholds.length === 2 * classes;
  const isKnown = isByClass || thresholds.length === 2;
  check(isKnown, "truth", `thresholds must hold 2 or ${2 * classes} values`, thresholds.length);
  const side = levels + 1;
  const cut = (j: number, c: number) =>
    firstAtLeast(values.subarray(j * levels, (j + 1) * levels), thresholds[isByClass ? j * classes + c : j]!);
  const left = [new Float64Array(classes), new Float64Array(classes)] as const;
  const wrong = [new Float64Array(classes), new Float64Array(classes)] as const;
  const ofLabel = { left: new Float64Array(classes), wrong: new Float64Array(classes) };
  let disagreement = 0;
  let gap = 0;
  let right = 0;
  for (let cell = 0; cell < classes ** 4; cell++) {
    const [y, first, second, last] = factsOf(cell, classes);
    const base = cell * side * side;
    const a = cut(0, first);
    const b = cut(1, second);
    const all = counts[base + levels * side + levels]!;
    const refusedOnce = counts[base + a * side + levels]!;
    const refusedTwice = counts[base + a * side + b]!;
    const leavers = [
      { j: 0, count: all - refusedOnce, answer: first },
      { j: 1, count: refusedOnce - refusedTwice, answer: second },
    ] as const;
    for (const { j, count, answer } of leavers) {
      const error = answer === y ? 0 : count;
      addTo(left[j], answer, count);
      addTo(wrong[j], answer, error);
      addTo(ofLabel.left, y, count);
      addTo(ofLabel.wrong, y, error);
      if (answer !== last) disagreement += count;
      if (last === y) gap += error;
      right += count - error;
    }
    if (last === y) right += refusedTwice;
  }
  const rates = (w: Float64Array, l: Float64Array) => zip(w, l).map(([v, n]) => v / n);
  const largest = (xs: readonly number[]) => Math.max(0, ...xs.filter((x) => !Number.isNaN(x)));
  const [left0, left1] = [sum(left[0]), sum(left[1])];
  const allWrong = sum(wrong[0]) + sum(wrong[1]);
  return {
    exitRisk: [sum(wrong[0]) / left0, sum(wrong[1]) / left1],
    earlyRisk: allWrong / (left0 + left1),
    labelRisk: largest(rates(ofLabel.wrong, ofLabel.left)),
    classRisk: largest([...rates(wrong[0], left[0]), ...rates(wrong[1], left[1])]),
    acceptedAndWrong: allWrong / size,
    disagreement: disagreement / size,
    gap: gap / size,
    coverage: (left0 + left1) / size,
    cost: dot(Float64Array.of(left0, left1, size - left0 - left1), costs) / size,
    accuracy: right / size,
  };
}

/** Cells are counted by label, then by the answers of the exits. */
function factsOf(cell: number, classes: number): readonly [label: number, first: number, second: number, last: number] {
  const rest = Math.floor(cell / classes);
  const before = Math.floor(rest / classes);
  return [Math.floor(before / classes), before % classes, rest % classes, cell % classes];
}
