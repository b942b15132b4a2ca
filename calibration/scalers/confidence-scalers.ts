// Scalers that change one confidence in [0, 1] into a better one: histogram, isotonic and beta. They leave predictions
// alone. Histogram and isotonic make ties, so a threshold on their output is coarser.

import { check, checkFlags, checkOneOf, checkPositiveCount, checkRead, checkScored, readOptions } from "../errors.ts";
import { sum } from "../numeric/arrays.ts";
import { type Minimum, minimise } from "../numeric/optimise.ts";
import { argsort, firstAtLeast, quantileOfSorted, sorted } from "../numeric/ranks.ts";
import { Tally } from "../numeric/tally.ts";

/** How confidences are changed. */
export type ConfidenceMethod = "histogram" | "isotonic" | "beta";

/** A fitted map from confidence to probability of being right. */
export interface ConfidenceScaler {
  readonly method: ConfidenceMethod;
  /** Histogram: upper bin edges. Isotonic: scores at which the map changes, ascending. Beta: empty. */
  readonly knots: Float64Array;
  /** Histogram, isotonic: the value up to / at each knot. Beta: `[a, b, c]` of `sigmoid(a ln s - b ln(1-s) + c)`. */
  readonly values: Float64Array;
  /** False: beta did not reach its minimum, or there is nothing to fit (see `note`). */
  readonly converged: boolean;
  /** Why confidences are left as they are. */
  readonly note?: string;
}

/**
 * The map that changes nothing, for an exit whose answers are all right (or all wrong): every fit would make one value
 * of all its scores. Undefined where there is something to fit.
 */
export function leaveConfidences(correct: ArrayLike<number>): ConfidenceScaler | undefined {
  checkFlags("fit", "correct", correct);
  const samples = correct.length;
  const hits = sum(Float64Array.from(correct));
  if (hits > 0 && hits < samples) return undefined;
  const note = `all ${hits > 0 ? "right" : "wrong"} on ${samples} samples, which do not tell how sure it may be: it is left as it is`;
  // sigmoid(ln s - ln(1 - s)) = s
  return { method: "beta", knots: new Float64Array(0), values: Float64Array.of(1, 1, 0), converged: false, note };
}

/** Fits on confidences and correctness of one exit. */
export function fitConfidenceScaler(
  scores: ArrayLike<number>,
  correct: ArrayLike<number>,
  method: ConfidenceMethod,
  options: { readonly nBins?: number } = {},
): ConfidenceScaler {
  const { nBins = 15 } = readOptions("fitConfidenceScaler", options, { nBins: "number" });
  checkOneOf("fitConfidenceScaler", "method", method, ["histogram", "isotonic", "beta"]);
  checkRead("fitConfidenceScaler", options, ["method", method], { nBins: ["histogram"] });
  checkPositiveCount("fitConfidenceScaler", "nBins", nBins);
  checkScored("fit", scores, correct);
  const bad = Array.prototype.findIndex.call(scores, Number.isNaN);
  check(bad < 0, "fit", "scores must be numbers", `NaN at ${bad}`);
  if (method === "histogram") return fitHistogram(scores, correct, nBins);
  return method === "isotonic" ? fitIsotonic(scores, correct) : fitBeta(scores, correct);
}

/** The accuracy of each equal-mass bin (Zadrozny and Elkan 2001); an empty bin keeps its mid-point. */
function fitHistogram(scores: ArrayLike<number>, correct: ArrayLike<number>, nBins: number): ConfidenceScaler {
  const ascending = sorted(scores);
  const edges = Float64Array.from({ length: nBins }, (_, k) =>
    k === nBins - 1 ? 1 : quantileOfSorted(ascending, (k + 1) / nBins),
  );
  const hits = new Tally(nBins);
  for (let i = 0; i < scores.length; i++) hits.add(Math.min(nBins - 1, firstAtLeast(edges, scores[i]!)), correct[i]!);
  const values = hits.means.map((mean, k) => (hits.counts[k] === 0 ? (edges[k]! + (edges[k - 1] ?? 0)) / 2 : mean));
  return { method: "histogram", knots: edges, values, converged: true };
}

/** Pool adjacent violators: the non-decreasing map with the least squared error (Zadrozny and Elkan 2002). */
function fitIsotonic(scores: ArrayLike<number>, correct: ArrayLike<number>): ConfidenceScaler {
  const order = argsort(scores);
  const pools: Pool[] = [];
  for (let k = 0; k < order.length; ) {
    const start = scores[order[k]!]!;
    let [count, hits] = [0, 0];
    for (; k < order.length && scores[order[k]!] === start; k++) {
      count++;
      hits += correct[order[k]!]!;
    }
    let pool: Pool = { start, mean: hits / count, weight: count };
    for (let last = pools.at(-1); last && last.mean >= pool.mean; last = pools.at(-1)) {
      const weight = last.weight + pool.weight;
      pool = { start: last.start, mean: (last.mean * last.weight + pool.mean * pool.weight) / weight, weight };
      pools.pop();
    }
    pools.push(pool);
  }
  const knots = Float64Array.from(pools, ({ start }) => start);
  return { method: "isotonic", knots, values: Float64Array.from(pools, ({ mean }) => mean), converged: true };
}

/** Scores from `start` to the next pool's, and the accuracy of the samples that have them. */
interface Pool {
  readonly start: number;
  readonly mean: number;
  readonly weight: number;
}

/**
 * Beta calibration (Kull et al. 2017): logistic regression on `ln s` and `-ln(1-s)`. A negative coefficient would make
 * the map fall somewhere; as published, it is then set to 0 and the rest fitted again.
 */
function fitBeta(scores: ArrayLike<number>, correct: ArrayLike<number>): ConfidenceScaler {
  const isFree = [true, true];
  let found = betaRegression(scores, correct, isFree);
  const falling = () => found.x.findIndex((v, at) => at < 2 && v < 0);
  for (let k = falling(); k >= 0; k = falling()) {
    isFree[k] = false;
    found = betaRegression(scores, correct, isFree);
  }
  return { method: "beta", knots: new Float64Array(0), values: found.x, converged: found.converged };
}

/** `[a, b, c]`, with a and b held at 0 where they are not free. */
function betaRegression(scores: ArrayLike<number>, correct: ArrayLike<number>, isFree: readonly boolean[]): Minimum {
  const n = scores.length;
  const objective = (x: Float64Array, g: Float64Array) => {
    let [loss, da, db, dc] = [0, 0, 0, 0];
    for (let i = 0; i < n; i++) {
      const y = correct[i]!;
      const [u, v] = logOdds(scores[i]!);
      const logit = betaLogit(x, u, v);
      loss += (Math.max(logit, 0) - y * logit + Math.log1p(Math.exp(-Math.abs(logit)))) / n;
      const residual = (1 / (1 + Math.exp(-logit)) - y) / n;
      da += residual * u;
      db += residual * v;
      dc += residual;
    }
    g.set([isFree[0] ? da : 0, isFree[1] ? db : 0, dc]);
    return loss;
  };
  return minimise(objective, Float64Array.of(Number(isFree[0]), Number(isFree[1]), 0), { maxIterations: 500 });
}

const betaLogit = ([a = 0, b = 0, c = 0]: Float64Array, u: number, v: number): number => a * u + b * v + c;

/** The scaled confidence. */
export function scaleConfidence({ method, knots, values }: ConfidenceScaler, score: number): number {
  if (method === "beta") {
    const [u, v] = logOdds(score);
    return 1 / (1 + Math.exp(-betaLogit(values, u, v)));
  }
  if (method === "histogram") return values[Math.min(values.length - 1, firstAtLeast(knots, score))]!;
  // isotonic: a step begins at its knot; below the first, the first value
  const above = firstAtLeast(knots, score);
  const isAtKnot = above < knots.length && knots[above] === score;
  return values[Math.max(0, isAtKnot ? above : above - 1)]!;
}

function logOdds(score: number): readonly [number, number] {
  const s = Math.min(1 - 1e-12, Math.max(1e-12, score));
  return [Math.log(s), -Math.log1p(-s)];
}
