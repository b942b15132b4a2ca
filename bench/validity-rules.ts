// The rules under test in bench/validity.ts: those that keep a promise, and those that promise too much.

import {
  type Calibration,
  type Cascade,
  cascade,
  cascadeFromScores,
  column,
  controlRisk,
  correctness,
  type LearnThenTestOptions,
  learnThenTest,
  loosestPlugIn,
  loosestPlusOne,
  type Outcomes,
  safeKdReleasedCode,
  safeKdText,
} from "../calibration/index.ts";

/** One calibration problem. */
export interface Setting {
  readonly population: string;
  readonly alpha: number;
  readonly delta: number;
  readonly n: number;
  /** Validation samples; 0: the method sets calibration samples aside. */
  readonly validation: number;
  /** Early exits in use; default 2. With 1 the second is passed by. */
  readonly earlyExits?: 1 | 2;
}

/** Samples as a rule gets them. */
export type Samples = Outcomes | Cascade;

/** What rules on probabilities need: they run where all exits do. */
function probabilities(samples: Samples): Outcomes {
  if ("maxProb" in samples) return samples;
  throw new Error("validity: this rule needs probabilities; got scores of exit 1 alone.");
}

/** The same samples with the first and the last exit alone. */
export function firstAndLast(all: Outcomes): Cascade {
  const { scores, errors, predictions, labels, samples, exits, classes, costs } = cascade(all);
  const pick = (from: ArrayLike<number>) =>
    Float64Array.from({ length: 2 * samples }, (_, k) => from[exits * (k >> 1) + (k % 2 === 0 ? 0 : exits - 1)]!);
  return cascadeFromScores({
    scores: pick(scores),
    errors: pick(errors),
    predictions: pick(predictions),
    labels,
    classes,
    exits: 2,
    macs: [costs[0]!, costs[exits - 1]!],
  });
}

/** A rule under test: thresholds, or undefined if it refuses. */
export interface Rule {
  readonly name: string;
  readonly claims: "exit" | "early" | "label" | "class" | "acceptedAndWrong" | "disagreement" | "gap";
  readonly kind: "high probability" | "mean";
  /** Whether it is tried in every setting, not in those alone where variants differ. */
  readonly isEverywhere?: true;
  /** A rule that promises more than it keeps; it must fail somewhere. */
  readonly isWrong?: boolean;
  readonly run: (
    calibration: Samples,
    validation: Samples | undefined,
    setting: Setting,
    seed: number,
  ) => ArrayLike<number> | undefined;
}

const thresholdsOf = (result: Calibration) => (result.ok ? result.thresholds : undefined);

const ltt =
  (options: Partial<LearnThenTestOptions>): Rule["run"] =>
  (calibration, validation, { alpha, delta }, seed) =>
    thresholdsOf(learnThenTest(calibration, { alpha, delta, seed, ...(validation && { validation }), ...options }));

const mean =
  (options: Partial<Parameters<typeof controlRisk>[1]>): Rule["run"] =>
  (calibration, validation, { alpha, delta }, seed) => {
    const level = options.method === undefined || options.method === "crc" ? {} : { delta };
    const layout = validation && { validation };
    return thresholdsOf(controlRisk(calibration, { alpha, seed, steps: 25, ...level, ...layout, ...options }));
  };

/** Exit after exit on survivors, with a rule that looks at scores and correctness only. */
const onSurvivors =
  (loosest: typeof loosestPlugIn): Rule["run"] =>
  (calibration, _, { alpha }) => {
    const { scores, errors, exits, samples } = cascade(calibration);
    let alive = Int32Array.from({ length: samples }, (_row, i) => i);
    return Float64Array.from({ length: exits - 1 }, (_exit, j) => {
      const own = alive;
      const threshold = loosest(
        Float64Array.from(own, (i) => scores[i * exits + j]!),
        Uint8Array.from(own, (i) => 1 - errors[i * exits + j]!),
        alpha,
      );
      alive = own.filter((i) => scores[i * exits + j]! < threshold);
      return threshold;
    });
  };

const plugInOnAll: Rule["run"] = (calibration, _, { alpha }) =>
  Float64Array.from({ length: calibration.exits - 1 }, (_exit, j) =>
    loosestPlugIn(
      column(probabilities(calibration).maxProb, calibration.exits, j),
      correctness(calibration.errors, calibration.exits, j),
      alpha,
    ),
  );

/** Risk of each exit in operation. */
export const exitRules: readonly Rule[] = [
  { name: "LTT path (default)", claims: "exit", kind: "high probability", isEverywhere: true, run: ltt({}) },
  {
    name: "LTT union over earlier thresholds",
    claims: "exit",
    kind: "high probability",
    isEverywhere: true,
    run: ltt({ procedure: "union" }),
  },
  {
    name: "LTT split calibration",
    claims: "exit",
    kind: "high probability",
    isEverywhere: true,
    run: ltt({ procedure: "split" }),
  },
  {
    name: "LTT sequential (not strict)",
    claims: "exit",
    kind: "high probability",
    isEverywhere: true,
    run: ltt({ procedure: "sequential" }),
  },
  {
    name: "LTT path, Hoeffding-Bentkus",
    claims: "exit",
    kind: "high probability",
    run: ltt({ test: "hoeffdingBentkus" }),
  },
  { name: "LTT path, WSR betting", claims: "exit", kind: "high probability", run: ltt({ test: "wsr" }) },
  { name: "LTT path, Holm", claims: "exit", kind: "high probability", run: ltt({ correction: "holm" }) },
  { name: "LTT path, Bonferroni", claims: "exit", kind: "high probability", run: ltt({ correction: "bonferroni" }) },
];

/** Must be broken somewhere, or the check is blind. */
export const wrongRules: readonly Rule[] = [
  {
    name: "WRONG: LTT per exit on all samples",
    claims: "exit",
    kind: "high probability",
    isWrong: true,
    run: ltt({ procedure: "allSamples" }),
  },
  {
    name: "WRONG: plug-in on survivors",
    claims: "exit",
    kind: "high probability",
    isWrong: true,
    run: onSurvivors(loosestPlugIn),
  },
  {
    name: "WRONG: plus-one rule on survivors",
    claims: "exit",
    kind: "high probability",
    isWrong: true,
    run: onSurvivors(loosestPlusOne),
  },
  { name: "WRONG: plug-in on all samples", claims: "exit", kind: "high probability", isWrong: true, run: plugInOnAll },
  {
    name: "WRONG: SAFE-KD, text",
    claims: "exit",
    kind: "high probability",
    isWrong: true,
    run: (calibration, _, { alpha }) => safeKdText(probabilities(calibration), { delta: alpha }).thresholds,
  },
  {
    name: "WRONG: SAFE-KD, released code",
    claims: "exit",
    kind: "high probability",
    isWrong: true,
    run: (calibration, _, { alpha }) =>
      safeKdReleasedCode(probabilities(calibration), { delta: alpha }).bar.subarray(0, calibration.exits - 1),
  },
];

/** Other promises. */
export const otherRules: readonly Rule[] = [
  { name: "LTT pooled early risk", claims: "early", kind: "high probability", run: ltt({ control: "early" }) },
  { name: "LTT per label", claims: "label", kind: "high probability", run: ltt({ control: "label" }) },
  {
    name: "LTT per answered class",
    claims: "class",
    kind: "high probability",
    run: ltt({ control: "predictedClass" }),
  },
  {
    name: "UCB, Clopper-Pearson (default)",
    claims: "acceptedAndWrong",
    kind: "high probability",
    run: mean({ method: "ucb" }),
  },
  {
    name: "UCB, WSR betting",
    claims: "acceptedAndWrong",
    kind: "high probability",
    run: mean({ method: "ucb", bound: "wsr" }),
  },
  {
    name: "UCB, Hoeffding-Bentkus",
    claims: "acceptedAndWrong",
    kind: "high probability",
    run: mean({ method: "ucb", bound: "hoeffdingBentkus" }),
  },
  {
    name: "LTT mean loss, WSR betting",
    claims: "acceptedAndWrong",
    kind: "high probability",
    run: mean({ method: "ltt", bound: "wsr" }),
  },
  {
    name: "UCB, Clopper-Pearson (default)",
    claims: "disagreement",
    kind: "high probability",
    run: mean({ method: "ucb", loss: "disagreement" }),
  },
  {
    name: "UCB, Clopper-Pearson (default)",
    claims: "gap",
    kind: "high probability",
    run: mean({ method: "ucb", loss: "gap" }),
  },
  { name: "CRC", claims: "acceptedAndWrong", kind: "mean", run: mean({}) },
  { name: "CRC", claims: "disagreement", kind: "mean", run: mean({ loss: "disagreement" }) },
  { name: "CRC", claims: "gap", kind: "mean", run: mean({ loss: "gap" }) },
];
