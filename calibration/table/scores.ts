// From outcomes to one confidence per sample and exit. Higher always means more confident: uncertainties are negated.
// Probabilities near 1 keep their order (certainty.ts), so that thresholds can tell apart what a rounded probability
// could not.

import { firstOf, type Kinds, take, zip } from "../../base/index.ts";
import { check, checkFlags, checkKind, checkLengths, checkNotEmpty, fail, readOptions } from "../errors.ts";
import { addTo, column, copyRows, rowsBelow } from "../numeric/arrays.ts";
import { orderedProbability, orderedSigmoid } from "../numeric/certainty.ts";
import { betweenValues, sorted } from "../numeric/ranks.ts";
import { argmax, softmaxInto } from "../numeric/softmax.ts";
import { type Gate, gateScores } from "../scalers/learned-gate.ts";
import { fittedBy } from "./fitted.ts";
import { type Outcomes, outcomes } from "./outcomes.ts";
import { forEachChunk, readIds, relativeCosts, type Table, type Values } from "./table.ts";

/** Scores that need one exit's own softmax. */
export type PlainScore = "maxProb" | "margin" | "entropy" | "normalisedEntropy" | "energy" | "maxLogit";
/** Scores that combine an exit with the exits before it; the ensembles change the prediction too. */
export type RunningScore = "patience" | "productOfExperts" | "geometricEnsemble" | "arithmeticEnsemble";
/** What heads say of themselves, the sigmoid of it: of tables that hold it. */
export type ToldScore = "confidence";
/** Scores that look at one exit alone: what a deployed network decides by. */
export type OwnScore = PlainScore | ToldScore;
/** By name, or a fitted gate. */
export type Score = PlainScore | RunningScore | ToldScore | Gate;

/** All a threshold rule looks at: one confidence, one prediction and one error flag per sample and exit, `[N, K]`. */
export interface Cascade {
  readonly samples: number;
  readonly exits: number;
  readonly classes: number;
  /** Higher = more confident. */
  readonly score: Score | "given";
  /** Finite. */
  readonly scores: Float64Array;
  /** -1 where unknown. */
  readonly predictions: Int32Array;
  readonly errors: Uint8Array;
  /** `[N]`; -1 where unknown. */
  readonly labels: Int32Array;
  /** `[K]`, the last is 1. */
  readonly costs: Float64Array;
  readonly costUnit?: Table["costUnit"];
  readonly ids: Table["ids"];
  readonly origin?: Table["origin"];
  readonly fittedOn?: Table["fittedOn"];
}

/** Anything a score can be read from. */
export type Source = Table | Outcomes | Cascade;

/**
 * The confidences of a table under a score (default: the largest probability). A cascade is returned as it is, and
 * refused if another score was asked for by name.
 */
export function cascade(source: Source, wanted?: Score): Cascade {
  checkKind("cascade", "source", source);
  if ("scores" in source) {
    const isOther = typeof wanted === "string" && source.score !== "given" && source.score !== wanted;
    if (isOther) fail("cascade", `the scores must be ${wanted}`, scoreName(source.score));
    return source;
  }
  const score = wanted ?? "maxProb";
  if (typeof score === "string" && isEnsemble(score)) {
    if (!("read" in source)) fail("cascade", `score ${score} needs a table of logits`, "outcomes");
    return ensembleCascade(source, score);
  }
  const all = "read" in source ? outcomes(source) : source;
  const scores = typeof score === "string" ? plainScores(all, score) : gateScores(all, score);
  return pick(all, score, scores, all.predictions, all.errors);
}

/** What `cascadeFromScores` takes: scores and errors `[N, K]`, and what is known besides. */
export interface ScoresInput {
  readonly scores: ArrayLike<number>;
  readonly errors: ArrayLike<number>;
  readonly exits: number;
  readonly macs?: ArrayLike<number>;
  readonly predictions?: ArrayLike<number>;
  readonly labels?: ArrayLike<number>;
  readonly classes?: number;
  readonly ids?: ArrayLike<string | number | bigint>;
}

const SCORES: Kinds<ScoresInput> = {
  scores: "any!",
  errors: "any!",
  exits: "number!",
  macs: "any",
  predictions: "any",
  labels: "any",
  classes: "number",
  ids: "any",
};

/**
 * A cascade from scores computed elsewhere. Predictions and labels are optional: rules that need them refuse a cascade
 * without. @throws CalibrationError for lengths that disagree, scores that are not finite, errors other than 0 and 1.
 */
export function cascadeFromScores(input: ScoresInput): Cascade {
  const { exits } = readOptions("cascadeFromScores", input, SCORES);
  checkNotEmpty("cascade", "scores", input.scores.length);
  checkLengths("cascade", "scores", input.scores.length, "errors", input.errors.length);
  const samples = input.scores.length / exits;
  check(Number.isInteger(samples), "cascade", `scores must hold ${exits} values a sample`, input.scores.length);
  const scores = Float64Array.from(input.scores);
  // an infinite score would pass the infinite threshold of a closed exit
  const bad = scores.findIndex((s) => !Number.isFinite(s));
  const place = `${scores[bad]} at sample ${Math.floor(bad / exits)}, exit ${bad % exits} (counted from 0)`;
  check(bad < 0, "cascade", "scores must be finite", place);
  checkFlags("cascade", "errors", input.errors);
  const { predictions, labels, ids } = input;
  if (predictions) checkLengths("cascade", "predictions", predictions.length, "scores", scores.length);
  if (labels) checkLengths("cascade", "labels", labels.length, "samples", samples);
  const classes = classesOf(input);
  return {
    samples,
    exits,
    classes,
    score: "given",
    scores,
    predictions: Int32Array.from(predictions ?? new Int32Array(scores.length).fill(-1)),
    errors: Uint8Array.from(input.errors),
    labels: Int32Array.from(labels ?? new Int32Array(samples).fill(-1)),
    costs: relativeCosts(input.macs, exits),
    ids: readIds("cascade", ids, samples),
  };
}

/**
 * As many classes as are said, or as answers and labels tell. @throws CalibrationError for one that is none of them;
 * -1, for unknown, may stand for all of them alone
 */
function classesOf({ predictions, labels, classes: said }: ScoresInput): number {
  const given = { predictions, labels };
  const largest = (values: ArrayLike<number> = []) => Array.from(values).reduce((a, b) => Math.max(a, b), -1);
  const classes = said ?? Math.max(2, largest(predictions) + 1, largest(labels) + 1);
  for (const [name, values] of Object.entries(given)) {
    if (!values || largest(values) === -1) continue;
    const wrong = Array.from(values).findIndex((c) => !Number.isInteger(c) || c < 0 || c >= classes);
    const must = `${name} must lie in 0..${classes - 1}, or all be -1 where they are unknown`;
    check(wrong < 0, "cascade", must, `${values[wrong]} at place ${wrong} (counted from 0)`);
  }
  return classes;
}

/** Refuses a cascade from given scores that lacks what a rule is about. */
export function checkKnown(op: string, what: "predictions" | "labels", cascade: Cascade): void {
  check(cascade[what][0] !== -1, op, `the cascade must know its ${what}`, "scores and errors only");
}

/** The cascade restricted to some samples, in the given order. */
export function selectFromCascade(all: Cascade, rows: ArrayLike<number>): Cascade {
  checkKind("selectFromCascade", "cascade", all);
  checkKind("selectFromCascade", "list", rows, "rows");
  const { exits, ids } = all;
  const picked = Int32Array.from(rows);
  const samples = picked.length;
  const scores = new Float64Array(samples * exits);
  const predictions = new Int32Array(samples * exits);
  const errors = new Uint8Array(samples * exits);
  copyRows(all.scores, picked, exits, scores);
  copyRows(all.predictions, picked, exits, predictions);
  copyRows(all.errors, picked, exits, errors);
  const labels = Int32Array.from(take(all.labels, picked));
  return { ...all, samples, scores, predictions, errors, labels, ids: ids && take(ids, picked) };
}

/** Those of some samples that an exit refuses, by one threshold or by one per predicted class. @internal */
export function survivors(
  { exits, scores, predictions }: Cascade,
  exit: number,
  rows: Int32Array,
  thresholds: Float64Array,
): Int32Array {
  if (thresholds.length === 1) return rowsBelow(rows, scores, exits, exit, firstOf(thresholds));
  return rows.filter((i) => {
    const at = i * exits + exit;
    return scores[at]! < thresholds[predictions[at]!]!;
  });
}

/** All scores of early exits, ascending. @internal */
export function earlyScores(cascade: Cascade): Float64Array {
  checkKind("earlyScores", "cascade", cascade);
  const { scores, exits } = cascade;
  return scores.filter((_, at) => at % exits !== exits - 1).sort();
}

/**
 * Moves thresholds `[K-1]` midway between scores: the same samples pass, and none of them barely; see `betweenValues`.
 */
export function betweenScores(cascade: Cascade): (thresholds: Float64Array) => Float64Array {
  checkKind("betweenScores", "cascade", cascade);
  const { scores, exits } = cascade;
  const early = Array.from({ length: exits - 1 }, (_, j) => sorted(column(scores, exits, j)));
  return (thresholds) => Float64Array.from(zip(early, thresholds), ([ascending, own]) => betweenValues(ascending, own));
}

/** What a score is called. */
export function scoreName(score: Score | "given"): string {
  return typeof score === "string" ? score : score.kind;
}

/** The probabilities a score looks at: those of an ensemble, or every exit's own. */
export function exitProbabilities(score: Score = "maxProb"): Ensemble {
  return typeof score === "string" && isEnsemble(score) ? ensembles[score] : separateExits;
}

function isEnsemble(score: PlainScore | RunningScore | ToldScore): score is keyof typeof ensembles {
  return score === "productOfExperts" || score === "geometricEnsemble" || score === "arithmeticEnsemble";
}

function plainScores(all: Outcomes, score: PlainScore | ToldScore | "patience"): Float64Array {
  const logClasses = Math.log(Math.max(2, all.classes));
  switch (score) {
    case "maxProb":
      return all.maxProb;
    case "margin":
      return all.margin;
    case "entropy":
      return all.entropy.map((h) => -h);
    case "normalisedEntropy":
      return all.entropy.map((h) => -h / logClasses);
    case "energy":
      return all.logSumExp;
    case "maxLogit":
      return all.maxLogit;
    case "patience":
      return patience(all.predictions, all.exits);
    case "confidence":
      return told(all);
    default:
      return fail("cascade", "score must be a known score", String(score satisfies never));
  }
}

/** Sigmoids of what early exits say, ordered near 1 (certainty.ts), and 1 of the last exit, which always answers. */
function told({ confidence, samples, exits }: Outcomes): Float64Array {
  if (!confidence)
    return fail(
      "cascade",
      "score confidence needs a table with the confidences of its heads",
      "logits only",
      "Heads say them after training by ptee, jei-dnn, selective-net, eenet, beem or eefp.",
    );
  return Float64Array.from({ length: samples * exits }, (_, at) => {
    const exit = at % exits;
    return exit === exits - 1 ? 1 : orderedSigmoid(confidence[((at - exit) / exits) * (exits - 1) + exit]!);
  });
}

/** How many times in a row the prediction has stayed the same: 0 at the first exit and after each change (PBEE). */
export function patience(predictions: Int32Array, exits: number): Float64Array {
  checkKind("patience", "list", predictions, "predictions");
  let count = 0;
  return Float64Array.from(predictions, (prediction, i) => {
    const isSame = i % exits !== 0 && prediction === predictions[i - 1];
    count = isSame ? count + 1 : 0;
    return count;
  });
}

/**
 * Turns the `[K, C]` logits of one sample into the `[K, C]` probabilities of an ensemble of each exit with all before
 * it.
 */
export type Ensemble = (z: Values, at: number, exits: number, classes: number, out: Float64Array) => void;

/** No ensemble: the softmax of every exit. */
const separateExits: Ensemble = (z, at, exits, classes, out) => {
  for (let j = 0; j < exits; j++) softmaxInto(z, at + j * classes, classes, out, j * classes);
};

/** Mean of the probabilities of exits 1 .. j. */
const arithmetic: Ensemble = (z, at, exits, classes, out) => {
  separateExits(z, at, exits, classes, out);
  for (let j = 1; j < exits; j++) {
    for (let c = 0; c < classes; c++) {
      out[j * classes + c] = (j * out[(j - 1) * classes + c]! + out[j * classes + c]!) / (j + 1);
    }
  }
};

/** Normalised geometric mean of the probabilities of exits 1 .. j: softmax of the mean logits. */
const geometric: Ensemble = (z, at, exits, classes, out) => {
  const sum = new Float64Array(classes);
  const mean = new Float64Array(classes);
  for (let j = 0; j < exits; j++) {
    for (let c = 0; c < classes; c++) {
      addTo(sum, c, z[at + j * classes + c]!);
      mean[c] = sum[c]! / (j + 1);
    }
    softmaxInto(mean, 0, classes, out, j * classes);
  }
};

/**
 * Product of experts (Jazbec et al., NeurIPS 2023): q_j(c) proportional to prod over k <= j of max(z_k(c), 0)^(k/K);
 * the exit's own softmax where every product is 0.
 */
const productOfExperts: Ensemble = (z, at, exits, classes, out) => {
  const logs = new Float64Array(classes);
  for (let j = 0; j < exits; j++) {
    for (let c = 0; c < classes; c++)
      addTo(logs, c, ((j + 1) / exits) * Math.log(Math.max(z[at + j * classes + c]!, 0)));
    const isEmpty = logs.every((x) => x === Number.NEGATIVE_INFINITY);
    softmaxInto(isEmpty ? z : logs, isEmpty ? at + j * classes : 0, classes, out, j * classes);
  }
};

const ensembles = { arithmeticEnsemble: arithmetic, geometricEnsemble: geometric, productOfExperts };

function ensembleCascade(table: Table, score: keyof typeof ensembles): Cascade {
  const { samples, exits, classes, labels } = table;
  const scores = new Float64Array(samples * exits);
  const predictions = new Int32Array(samples * exits);
  const errors = new Uint8Array(samples * exits);
  const probabilities = new Float64Array(exits * classes);
  forEachChunk(table, (rows, first, count) => {
    for (let i = 0; i < count; i++) {
      ensembles[score](rows, i * exits * classes, exits, classes, probabilities);
      for (let j = 0; j < exits; j++) {
        const at = (first + i) * exits + j;
        const prediction = argmax(probabilities, j * classes, classes);
        let rest = 0;
        for (let c = 0; c < classes; c++) if (c !== prediction) rest += probabilities[j * classes + c]!;
        scores[at] = orderedProbability(probabilities[j * classes + prediction]!, Math.log(rest));
        predictions[at] = prediction;
        errors[at] = prediction === labels[first + i] ? 0 : 1;
      }
    }
  });
  return pick(table, score, scores, predictions, errors);
}

function pick(
  from: Table | Outcomes,
  score: Score,
  scores: Float64Array,
  predictions: Int32Array,
  errors: Uint8Array,
): Cascade {
  const { samples, exits, classes, labels, costs, costUnit, ids, origin } = from;
  const fittedOn = fittedBy(score, from.fittedOn);
  return {
    samples,
    exits,
    classes,
    score,
    scores,
    predictions,
    errors,
    labels,
    costs,
    costUnit,
    ids,
    origin,
    fittedOn,
  };
}
