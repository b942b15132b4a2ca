// What calibration answered, computed again from the formulas, slowly and sample by sample: figures that nobody
// compares are no benchmark.

import { type Calibration, createRandom, type Evaluation, randomOrder } from "../calibration/index.ts";

/** Rows of logits `[R, K, C]` with labels; sample i of the table is row i mod R. */
export interface Rows {
  readonly samples: number;
  readonly exits: number;
  readonly classes: number;
  readonly logits: Float32Array;
  readonly labels: Int32Array;
}

/** One row at one exit. */
interface Answer {
  readonly confidence: number;
  readonly isWrong: boolean;
  readonly nll: number;
  readonly brier: number;
}

/** Relative differences up to this are rounding. */
const CLOSE = 1e-9;

/** @throws Error that names the first figure that is not what its formula gives. */
export function checkCalibration(rows: Rows, metrics: Evaluation, policy: Calibration): void {
  const answers = Array.from({ length: rows.exits }, (_, exit) =>
    Array.from(rows.labels, (_label, row) => answerOf(rows, row, exit)),
  );
  const counts = Array.from(rows.labels, (_, row) => Math.ceil((rows.samples - row) / rows.labels.length));
  answers.forEach((all, exit) => {
    const found = metrics.exits[exit];
    if (!found) throw new Error(`exit ${exit} has no metrics`);
    const mean = (of: (answer: Answer) => number) =>
      all.reduce((sum, answer, row) => sum + (counts[row] ?? 0) * of(answer), 0) / rows.samples;
    const name = (metric: string) => `${metric} of exit ${exit}`;
    expect(
      name("accuracy"),
      found.accuracy,
      mean(({ isWrong }) => Number(!isWrong)),
    );
    expect(
      name("nll"),
      found.nll,
      mean(({ nll }) => nll),
    );
    expect(
      name("brier"),
      found.brier,
      mean(({ brier }) => brier),
    );
    expect(name("auroc"), found.auroc, aurocOf(all, counts));
  });
  checkPolicy(rows, answers, policy);
}

function answerOf({ logits, labels, exits, classes }: Rows, row: number, exit: number): Answer {
  const z = Array.from(logits.subarray((row * exits + exit) * classes, (row * exits + exit + 1) * classes));
  const most = Math.max(...z);
  const total = z.reduce((sum, x) => sum + Math.exp(x - most), 0);
  const p = z.map((x) => Math.exp(x - most) / total);
  const label = labels[row] ?? -1;
  return {
    confidence: Math.max(...p),
    isWrong: z.indexOf(most) !== label,
    nll: Math.log(total) + most - (z[label] ?? Number.NaN),
    brier: p.reduce((sum, x, c) => sum + (x - Number(c === label)) ** 2, 0),
  };
}

/** The chance that a right answer is more confident than a wrong one, over all pairs. */
function aurocOf(all: readonly Answer[], counts: readonly number[]): number {
  const of = (isWrong: boolean) =>
    all.flatMap((answer, row) => (answer.isWrong === isWrong ? [[answer.confidence, counts[row] ?? 0] as const] : []));
  const wrong = of(true);
  let [pairs, before] = [0, 0];
  for (const [x, n] of of(false)) {
    for (const [y, m] of wrong) {
      pairs += n * m;
      before += n * m * (x > y ? 1 : x === y ? 0.5 : 0);
    }
  }
  return before / pairs;
}

/** The counts and p-values of learn then test, over the samples that the default split leaves for tests. */
function checkPolicy(
  { samples, exits, labels }: Rows,
  answers: readonly (readonly Answer[])[],
  policy: Calibration,
): void {
  if (!policy.ok) throw new Error(`nothing was certified: ${policy.reason}`);
  const { alpha, delta = 0 } = policy;
  const tested = randomOrder(samples, createRandom(0)).subarray(Math.floor(samples / 3));
  const left = new Float64Array(exits);
  const wrong = new Float64Array(exits);
  for (const i of tested) {
    const row = i % labels.length;
    const early = answers.slice(0, -1).findIndex((of, j) => (of[row]?.confidence ?? 0) >= (policy.thresholds[j] ?? 0));
    const exit = early < 0 ? exits - 1 : early;
    left[exit] = (left[exit] ?? 0) + 1;
    if (answers[exit]?.[row]?.isWrong) wrong[exit] = (wrong[exit] ?? 0) + 1;
  }
  expect("tested samples", policy.n, tested.length);
  expect("coverage", policy.coverage, 1 - (left[exits - 1] ?? 0) / tested.length);
  expect("groups", policy.tests.length, left.subarray(0, -1).filter((n) => n > 0).length);
  for (const { name, exit = -1, accepted, errors, pValue } of policy.tests) {
    expect(`leavers at ${name}`, accepted, left[exit] ?? 0);
    expect(`errors at ${name}`, errors, wrong[exit] ?? 0);
    expect(`p-value of ${name}`, pValue, binomialTail(errors, accepted, alpha));
    if (pValue > delta) throw new Error(`${name} was certified with p-value ${pValue}; delta is ${delta}`);
  }
}

/** P(Bin(n, p) <= k), term by term. */
function binomialTail(k: number, n: number, p: number): number {
  let log = n * Math.log1p(-p);
  let sum = Math.exp(log);
  for (let i = 1; i <= k; i++) {
    log += Math.log((n - i + 1) / i) + Math.log(p / (1 - p));
    sum += Math.exp(log);
  }
  return sum;
}

function expect(what: string, found: number, wanted: number): void {
  if (Object.is(found, wanted) || Math.abs(found - wanted) <= CLOSE * Math.max(1e-12, Math.abs(wanted))) return;
  throw new Error(`${what} must be ${wanted}; calibration says ${found}`);
}
