// What the guide to the guarantees shows, computed: a population whose truth is known, calibrated again and again.

import {
  type Cascade,
  cascade,
  clopperPearson,
  createPopulation,
  createRandom,
  learnThenTest,
} from "../../calibration/index.ts";

/** One calibration by two ways: the true worst error rate of those that leave at an exit. Undefined: nobody leaves. */
export interface Repeat {
  readonly naive: number | undefined;
  readonly certified: number | undefined;
}

/** All figures of the guide. */
export interface Guarantees {
  readonly alpha: number;
  readonly delta: number;
  readonly calibrationImages: number;
  /** Of the first exit: image share and error rate by confidence, in parts of equal width. */
  readonly byConfidence: readonly { readonly from: number; readonly to: number; readonly error: number }[];
  readonly repeats: readonly Repeat[];
  /** The bound on an error rate when 2 % are observed, by the number of images that left. */
  readonly bounds: readonly { readonly images: number; readonly bound: number }[];
  /** Images that must leave until 2 % observed certify `alpha`. */
  readonly neededImages: number;
}

const [ALPHA, DELTA] = [0.05, 0.1];
const CALIBRATION = 2000;
const OBSERVED = 0.02;
const REPEATS = 100;

/** The widest thresholds whose observed error is at most alpha, exit by exit: what one does without a theory. */
function observedThresholds({ scores, errors, samples, exits }: Cascade, alpha: number): number[] {
  let here = Array.from({ length: samples }, (_, i) => i);
  return Array.from({ length: exits - 1 }, (_, exit) => {
    const at = (sample: number): number => sample * exits + exit;
    const sorted = [...here].sort((a, b) => scores[at(b)]! - scores[at(a)]!);
    let [wrong, threshold] = [0, Number.POSITIVE_INFINITY];
    for (const [before, sample] of sorted.entries()) {
      wrong += errors[at(sample)]!;
      if (wrong <= alpha * (before + 1)) threshold = scores[at(sample)]!;
    }
    here = here.filter((sample) => scores[at(sample)]! < threshold);
    return threshold;
  });
}

/** The larger of the exits' risks; undefined if nobody leaves at any. */
function worst(risks: readonly number[]): number | undefined {
  const real = risks.filter((risk) => !Number.isNaN(risk));
  return real.length === 0 ? undefined : Math.max(...real);
}

function byConfidence({ scores, errors, samples, exits }: Cascade): Guarantees["byConfidence"] {
  const edges = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];
  return edges.map((from) => {
    const to = from + 0.1;
    let [count, wrong] = [0, 0];
    for (let i = 0; i < samples; i++) {
      const score = scores[i * exits]!;
      if (score < from || (score >= to && to < 0.999)) continue;
      count += 1;
      wrong += errors[i * exits]!;
    }
    return { from, to, error: count === 0 ? 0 : wrong / count };
  });
}

const boundAt = (images: number): number =>
  clopperPearson(Math.floor(OBSERVED * images), images, { alpha: DELTA, side: "upper" }).upper;

/** Computes them; the same on every machine. @param count calibrations to repeat */
export function computeGuarantees(count = REPEATS): Guarantees {
  const population = createPopulation({ size: 100_000 });
  const random = createRandom(1);
  const repeats = Array.from({ length: count }, (): Repeat => {
    const calibration = cascade(population.draw(CALIBRATION, random));
    const validation = population.draw(CALIBRATION, random);
    const naive = worst(population.truth(observedThresholds(calibration, ALPHA)).exitRisk);
    const result = learnThenTest(calibration, { alpha: ALPHA, delta: DELTA, validation });
    return { naive, certified: result.ok ? worst(population.truth(result.thresholds).exitRisk) : undefined };
  });
  const sizes = Array.from({ length: 40 }, (_, i) => 50 * (i + 1));
  return {
    ...{ alpha: ALPHA, delta: DELTA, calibrationImages: CALIBRATION },
    byConfidence: byConfidence(cascade(population.draw(50_000, random))),
    repeats,
    bounds: sizes.map((images) => ({ images, bound: boundAt(images) })),
    neededImages: sizes.find((images) => boundAt(images) <= ALPHA) ?? Number.POSITIVE_INFINITY,
  };
}
