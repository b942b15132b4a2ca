// Validity by simulation of prediction sets (coverage known from a million-sample table) and of the monitors in use.

import { median } from "../base/index.ts";
import {
  calibrateNestedSets,
  calibrateSets,
  createCascadeMonitor,
  createExchangeabilityMonitor,
  createRandom,
  createRiskMonitor,
  createTable,
  nestedSets,
  type Random,
  type SetOptions,
  selectSamples,
  setScores,
  testExchangeability,
} from "../calibration/index.ts";

/** A table row and whether the promise was kept. */
export interface OtherRow {
  readonly line: string;
  readonly isKept: boolean;
}

const CLASSES = 4;

/** One line of the table; kept if the observation is at most three standard errors above the promise. */
export function row(
  rule: string,
  setting: string,
  promised: number,
  observed: number,
  error: number,
  power: string,
): OtherRow {
  const isKept = observed <= promised + 3 * error;
  const line = `| ${rule} | ${setting} | ${promised} | ${observed.toFixed(4)} | ${power} | ${isKept ? "kept" : "**BROKEN**"} |`;
  return { line, isKept };
}

/** Logits and labels whose softmax is too confident by a factor of 1.5, as networks are. */
function drawLogits(n: number, random: Random): { logits: Float64Array; labels: Int32Array } {
  const logits = new Float64Array(n * CLASSES);
  const labels = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    let total = 0;
    for (let c = 0; c < CLASSES; c++) {
      logits[i * CLASSES + c] = 1.5 * random.normal();
      total += Math.exp(logits[i * CLASSES + c]!);
    }
    let left = random.uniform() * total;
    while (labels[i]! < CLASSES - 1 && left >= Math.exp(logits[i * CLASSES + labels[i]!]!)) {
      left -= Math.exp(logits[i * CLASSES + labels[i]!]!);
      labels[i] = labels[i]! + 1;
    }
    for (let c = 0; c < CLASSES; c++) logits[i * CLASSES + c] = 1.5 * logits[i * CLASSES + c]!;
  }
  return { logits, labels };
}

/** Marginal coverage of conformal sets, and the anytime promise of nested sets under a true model. */
export function setRows(repeats: number): readonly OtherRow[] {
  const random = createRandom(23);
  const size = 1_000_000;
  const population = drawLogits(size, random);
  const u = Float64Array.from({ length: size }, () => random.uniform());
  const methods: readonly (SetOptions & { readonly n: number })[] = [
    { method: "thr", alpha: 0.1, n: 100 },
    { method: "aps", alpha: 0.1, n: 100 },
    { method: "raps", alpha: 0.05, n: 300, lambda: 0.02, kReg: 1 },
  ];
  const rows = methods.map(({ n, ...options }) => {
    // the population's own label scores: calibrating at level 1/(size+1) returns the largest, and every rank is a score
    const labelScores = scoresOfLabels(population, u, options);
    let missed = 0;
    let square = 0;
    for (let r = 0; r < repeats; r++) {
      const drawn = Int32Array.from({ length: n }, () => random.below(size));
      const input = {
        logits: Float64Array.from(
          { length: n * CLASSES },
          (_, k) => population.logits[drawn[Math.floor(k / CLASSES)]! * CLASSES + (k % CLASSES)]!,
        ),
        labels: drawn.map((i) => population.labels[i]!),
        classes: CLASSES,
        ...(options.method !== "thr" && { u: Float64Array.from(drawn, (i) => u[i]!) }),
      };
      const { quantile } = calibrateSets(input, options);
      const miss = 1 - countAtMost(labelScores, quantile) / size;
      missed += miss;
      square += miss * miss;
    }
    const mean = missed / repeats;
    const error = Math.sqrt((square / repeats - mean ** 2) / repeats);
    return row(`conformal sets, ${options.method}`, `n ${n}, label missed (mean)`, options.alpha, mean, error, "");
  });
  return [...rows, nestedConformalRow(repeats), nestedRow(repeats)];
}

/** Nested conformal sets over three exits, each a less noisy view of the same logits. */
function nestedConformalRow(repeats: number): OtherRow {
  const random = createRandom(37);
  const [size, exits, n, alpha] = [1_000_000, 3, 100, 0.1];
  const { logits: last, labels } = drawLogits(size, random);
  const logits = new Float32Array(size * exits * CLASSES);
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < exits * CLASSES; k++) {
      const noise = exits - 1 - Math.floor(k / CLASSES);
      logits[i * exits * CLASSES + k] = last[i * CLASSES + (k % CLASSES)]! + noise * random.normal();
    }
  }
  const options = { method: "thr", alpha } as const;
  const population = createTable({ logits, labels, shape: [size, exits, CLASSES] });
  const own = setScores({ logits, classes: CLASSES }, options);
  // the label's strangeness over all exits, of the whole population
  const strangest = Float64Array.from(labels, (label, i) => {
    const at = (j: number) => own[(i * exits + j) * CLASSES + label]!;
    return Math.max(at(0), at(1), at(2));
  }).sort();
  let missed = 0;
  let square = 0;
  for (let r = 0; r < repeats; r++) {
    const rows = Int32Array.from({ length: n }, () => random.below(size));
    const { quantile } = calibrateNestedSets(selectSamples(population, rows), options);
    const miss = 1 - countAtMost(strangest, quantile) / size;
    missed += miss;
    square += miss * miss;
  }
  const mean = missed / repeats;
  const error = Math.sqrt((square / repeats - mean ** 2) / repeats);
  return row("nested conformal sets, thr", `n ${n}, label excluded at any of 3 exits (mean)`, alpha, mean, error, "");
}

/** Label scores of the population, sorted; computed one sample at a time through the public rule. */
function scoresOfLabels(
  { logits, labels }: { logits: Float64Array; labels: Int32Array },
  u: Float64Array,
  options: SetOptions,
): Float64Array {
  return Float64Array.from(labels, (label, i) => {
    const one = {
      logits: logits.subarray(i * CLASSES, (i + 1) * CLASSES),
      labels: [label],
      classes: CLASSES,
      ...(options.method !== "thr" && { u: u.subarray(i, i + 1) }),
    };
    // with one sample and alpha 1/2 the rank is 1: the quantile is that sample's own score
    return calibrateSets(one, { ...options, alpha: 0.5 }).quantile;
  }).sort();
}

function countAtMost(ascending: Float64Array, x: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (ascending[mid]! <= x) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** A label observed through Gaussian features exit by exit: the predictive ratio of the true class is a martingale. */
function nestedRow(repeats: number): OtherRow {
  const random = createRandom(29);
  const exits = 5;
  const alpha = 0.1;
  const samples = 10 * repeats;
  const ratios = new Float64Array(samples * exits * CLASSES);
  const labels = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    labels[i] = random.below(CLASSES);
    for (let j = 0; j < exits; j++) {
      const x = Float64Array.from({ length: CLASSES }, (_, c) => (c === labels[i] ? 1 : 0) + random.normal());
      // density of x under the mixture of all classes, over its density under class c
      const density = x.map((v) => Math.exp(v - 0.5));
      const mixture = density.reduce((a, b) => a + b, 0) / CLASSES;
      for (let c = 0; c < CLASSES; c++) ratios[(i * exits + j) * CLASSES + c] = mixture / density[c]!;
    }
  }
  const { sets, size } = nestedSets(ratios, { exits, classes: CLASSES, alpha });
  let missed = 0;
  let last = 0;
  for (let i = 0; i < samples; i++) {
    missed += 1 - sets[(i * exits + exits - 1) * CLASSES + labels[i]!]!;
    last += size[i * exits + exits - 1]!;
  }
  const error = Math.sqrt((alpha * (1 - alpha)) / samples);
  const power = `${(last / samples).toFixed(2)} of ${CLASSES} classes left at exit ${exits}`;
  return row("nested sets, true ratios", "label excluded at any exit", alpha, missed / samples, error, power);
}

/** What the monitors promise here. */
const MONITORED = { alpha: 0.05, delta: 0.1 } as const;

/** At which label a risk monitor raised its alarm, of 1000; -1: at none. So the other three, each on its own stream. */
function riskAlarm(random: Random, risk: number): number {
  const monitor = createRiskMonitor(MONITORED);
  for (let t = 0; t < 1000 && !monitor.state.isAlarm; t++) monitor.observe(random.uniform() < risk);
  return monitor.state.alarmAt;
}

function scoreAlarm(random: Random, shift: number, seed: number): number {
  const calibration = Float64Array.from({ length: 500 }, () => random.normal());
  const monitor = createExchangeabilityMonitor(calibration, { delta: MONITORED.delta, seed });
  for (let t = 0; t < 500 && !monitor.state.isAlarm; t++) monitor.observe(random.normal() - shift);
  return monitor.state.alarmAt;
}

function cascadeAlarm(random: Random, risk: number): number {
  const monitor = createCascadeMonitor({ ...MONITORED, exits: 4 });
  for (let t = 0; t < 1500 && !monitor.state.isAlarm; t++) monitor.observe(t % 4, random.uniform() < risk);
  return monitor.state.isAlarm ? 0 : -1;
}

function batchAlarm(random: Random, shift: number, seed: number): number {
  const draw = (n: number, by: number) =>
    Float64Array.from({ length: n }, () => Math.round(4 * (random.normal() - by)));
  const { pValue } = testExchangeability(draw(300, 0), draw(100, shift), { permutations: 99, seed });
  return pValue <= MONITORED.delta ? 0 : -1;
}

/** How many of the runs end in an alarm, and after how much in the median. */
function summary(repeats: number, run: (k: number) => number): { readonly rate: number; readonly noticed: string } {
  const alarms = Array.from({ length: repeats }, (_, k) => run(k));
  const raised = alarms.filter((t) => t >= 0);
  const rate = raised.length / repeats;
  const after = raised.length > 0 ? median(raised) : Number.NaN;
  return { rate, noticed: `${(100 * rate).toFixed(1)} % noticed, median after ${after}` };
}

/** False alarms over a long run while the promise holds, and how soon a break is noticed. */
export function monitorRows(repeats: number): readonly OtherRow[] {
  const random = createRandom(31);
  const { alpha, delta } = MONITORED;
  const error = Math.sqrt((delta * (1 - delta)) / repeats);
  const doubled = summary(repeats, () => riskAlarm(random, 2 * alpha)).noticed;
  const shifted = summary(repeats, (k) => scoreAlarm(random, 0.5, k)).noticed;
  const quietRisk = summary(repeats, () => riskAlarm(random, alpha)).rate;
  const quietScores = summary(repeats, (k) => scoreAlarm(random, 0, k)).rate;
  const quietExits = summary(repeats, () => cascadeAlarm(random, alpha)).rate;
  const looseExits = summary(repeats, () => cascadeAlarm(random, 3 * alpha)).rate;
  const quietBatch = summary(repeats, (k) => batchAlarm(random, 0, k)).rate;
  const shiftedBatch = summary(repeats, (k) => batchAlarm(random, 0.5, k)).rate;
  const often = (rate: number) => `${(100 * rate).toFixed(1)} % noticed`;
  const [labels, exits] = [
    "risk = alpha = 0.05, 1000 labels; then 2 alpha",
    "risk = alpha = 0.05 at all of 3 exits, 1125 labels; then 3 alpha",
  ];
  const [batch, stream] = [
    "300 and 100 scores with ties, no shift; then half a sigma",
    "no shift, 500 samples; then half a sigma",
  ];
  return [
    row("risk monitor", labels, delta, quietRisk, error, doubled),
    row("cascade monitor", exits, delta, quietExits, error, often(looseExits)),
    row("exchangeability test", batch, delta, quietBatch, error, often(shiftedBatch)),
    row("exchangeability monitor", stream, delta, quietScores, error, shifted),
  ];
}
