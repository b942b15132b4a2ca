// Confidence-gated training against its baselines on the real Fashion-MNIST files: trains what is not trained yet, each
// run by the command that a user would type, then writes what is finished to bench/results/fashion-mnist-cgt.md,
// where its section Reading stays as it is.
// `node scripts/run.mjs bench/fashion-mnist.ts --data-dir DIR`; stopped at any point, the same command goes on.
// `--only joint-5` trains those whose names hold the text; `--only none` writes the page alone.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { median, writeWholeSync } from "../base/index.ts";
import { accuracyAtCost, type Cascade, cascade, thresholdCurve } from "../calibration/index.ts";
import { findings, readLogits } from "../cli/index.ts";
import { RUN_FILES } from "../exits/index.ts";
import { readFlags } from "./flags.ts";

/** The paper's printed form: weights are products of gates, and nothing else. */
const PLAIN = [
  ...["--method.leak", "0", "--method.normalise", "false"],
  ...["--method.anneal", "false", "--method.labelSmoothing", "0"],
];

/** What is compared: the objective, its flags, and what it is. */
const METHODS = {
  joint: {
    seeds: [0, 1],
    objective: "joint",
    flags: ["--method.exitWeights", "0.5,0.5,0.5"],
    is: "half the sum of the exits' cross-entropies, as the reference has it",
  },
  "joint-sum": {
    seeds: [0],
    objective: "joint",
    flags: ["--method.exitWeights", "1,1,1"],
    is: "the whole sum: gradients of the size that gated ones without normalisation have",
  },
  "soft-cgt": {
    seeds: [0, 1],
    objective: "soft-cgt",
    flags: [],
    is: "soft gates as the authors' public code has them: tau 0.9, kappa 1, leak, normalised, annealed, label smoothing 0.1",
  },
  "hard-cgt": { seeds: [0, 1], objective: "hard-cgt", flags: [], is: "the same with hard gates, tau 0.5" },
  "schedule-only": {
    seeds: [0],
    objective: "schedule-only",
    flags: [],
    is: "the same with every gate open: the control",
  },
  "soft-cgt-plain": {
    seeds: [0],
    objective: "soft-cgt",
    flags: ["--method.kappa", "10", ...PLAIN],
    is: "soft gates as the paper prints them, tau 0.9, with a kappa of 10: no leak, no normalisation, no annealing, no label smoothing",
  },
} as const;

type Method = keyof typeof METHODS;

/** One training run. */
interface Plan {
  readonly method: Method;
  readonly epochs: number;
  readonly seed: number;
}

/** What PyTorch reaches with the recipe of `joint`, seed 0: test accuracy of the exits, in percent. */
const PYTORCH: Readonly<Record<number, readonly number[]>> = { 5: [82.4, 88.2, 90.3], 10: [84.8, 89.5, 91.6] };

const { values: flags } = readFlags(import.meta.url, {
  options: {
    "data-dir": { type: "string" },
    only: { type: "string", default: "" },
    runs: { type: "string", default: "runs/fashion-mnist" },
    out: { type: "string", default: "bench/results/fashion-mnist-cgt.md" },
  },
});

const METHOD_NAMES = Object.keys(METHODS) as readonly Method[];
const plans: readonly Plan[] = [
  { method: "joint", epochs: 10, seed: 0 },
  ...METHOD_NAMES.flatMap((method) => METHODS[method].seeds.map((seed) => ({ method, epochs: 5, seed }))),
];

const nameOf = ({ method, epochs, seed }: Plan): string => `${method}-${epochs}-seed${seed}`;
const folderOf = (plan: Plan): string => join(flags.runs, nameOf(plan));

/** The command of a run, without the place of the data. */
const argumentsOf = (plan: Plan): readonly string[] => [
  ...["--method", METHODS[plan.method].objective, ...METHODS[plan.method].flags],
  ...["--epochs", String(plan.epochs), "--seed", String(plan.seed)],
  ...["--out", flags.runs, "--name", nameOf(plan)],
];

function trainMissing(dir: string): void {
  for (const plan of plans) {
    if (!nameOf(plan).includes(flags.only) || existsSync(join(folderOf(plan), "report.html"))) continue;
    const data = ["--data", "fashion-mnist", "--data-dir", dir];
    const command = ["--import", "tsx", "cli/bin.ts", "run", ...data, ...argumentsOf(plan)];
    const { status } = spawnSync(process.execPath, command, { stdio: "inherit" });
    if (status !== 0) process.exit(status ?? 1);
  }
}

/** A finished run in figures; shares and accuracies of test images. */
interface Result {
  readonly plan: Plan;
  readonly commit: string;
  readonly adapter: string;
  readonly accuracy: readonly number[];
  readonly certified: {
    readonly accuracy: number;
    readonly shares: readonly number[];
    readonly cost: number;
    readonly earlyRisk: number;
    readonly exitRisk: readonly number[];
  };
  /** Million MACs of a full pass. */
  readonly macs: number;
  readonly imagesPerSecond: number;
  /** What thresholds set by hand do. */
  readonly byHand: readonly { readonly accuracy: number; readonly cost: number }[];
  /** Accuracy at 50, 60 and 70 % of the MACs. */
  readonly atCost: readonly number[];
  /**
   * The least cost within 0.3 points of the last exit: of thresholds chosen on test, and on validation with its
   * accuracy on test.
   */
  readonly onTest: number;
  readonly onValidation: { readonly cost: number; readonly accuracy: number };
}

/** Thresholds that are tried, the same for every exit. */
const KNOBS = Float64Array.from({ length: 1001 }, (_, i) => i / 1000);
const COSTS = [0.5, 0.6, 0.7] as const;
/** Thresholds that papers set by hand. */
const BY_HAND = [0.5, 0.7, 0.9] as const;
/** What may be lost against the last exit. */
const LOSS = 0.003;

const lastAccuracy = ({ errors, exits, samples }: Cascade): number =>
  1 - errors.reduce((sum, error, at) => (at % exits === exits - 1 ? sum + error : sum), 0) / samples;

/** The point of the curve of one threshold for all exits that costs least within `LOSS` of the last exit. */
function cheapest(table: Cascade) {
  const enough = lastAccuracy(table) - LOSS;
  const points = thresholdCurve(table, KNOBS).filter(({ accuracy }) => accuracy >= enough);
  return points.reduce((best, point) => (point.cost < best.cost ? point : best));
}

function read(plan: Plan): Result | undefined {
  const dir = folderOf(plan);
  if (!existsSync(join(dir, "report.html"))) return undefined;
  const { metrics, policy } = findings(dir, undefined);
  if (!policy) throw new Error(`${dir} certified nothing: every image runs the full network.`);
  const { made, exits } = JSON.parse(readFileSync(join(dir, "run.json"), "utf8")) as {
    readonly made: Readonly<Record<"commit" | "adapter", string>>;
    readonly exits: readonly { readonly macs: number }[];
  };
  const [test, validation] = (["test", "validation"] as const).map((split) =>
    cascade(readLogits(join(dir, RUN_FILES.logits(split)))),
  ) as [Cascade, Cascade];
  const curve = thresholdCurve(test, KNOBS).toSorted((a, b) => a.cost - b.cost);
  const [costs, accuracies] = [curve.map(({ cost }) => cost), curve.map(({ accuracy }) => accuracy)];
  const [chosen] = thresholdCurve(test, [cheapest(validation).knob]);
  return {
    plan,
    ...made,
    accuracy: metrics.exits.map(({ accuracy }) => accuracy),
    certified: { ...policy, shares: [...policy.fractions], exitRisk: [...policy.exitRisk] },
    macs: exits.at(-1)!.macs / 1e6,
    imagesPerSecond: medianRate(join(dir, RUN_FILES.metrics)),
    byHand: thresholdCurve(test, BY_HAND),
    atCost: COSTS.map((cost) => accuracyAtCost(costs, accuracies, cost)),
    onTest: cheapest(test).cost,
    onValidation: chosen!,
  };
}

/** Of all rows of a run, so that what else the machine did for a while weighs little. */
function medianRate(path: string): number {
  const rows = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as { readonly kind: string; readonly imagesPerSecond: number });
  return median(rows.filter(({ kind }) => kind === "train").map(({ imagesPerSecond }) => imagesPerSecond));
}

const percent = (x: number): string => (100 * x).toFixed(1);
const list = (values: readonly number[]): string => values.map((x) => (Number.isNaN(x) ? "-" : percent(x))).join(" / ");
const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
const table = (header: readonly string[], rows: readonly (readonly (string | number)[])[]): string =>
  [row(header), row(header.map(() => "---")), ...rows.map(row)].join("\n");

const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/**
 * What was read in the figures, which no program writes: it stands on the page, and stays there until somebody writes
 * other words. The text from its heading to the next one.
 */
function readingOf(path: string): string {
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const [start, end] = [text.indexOf("## Reading\n"), text.indexOf("## Commands\n")];
  return start < 0 ? "" : text.slice(start, end);
}

const label = ({ plan: { method, epochs, seed } }: Result) => [method, epochs, seed];
const atCosts = `at ${COSTS.map((cost) => 100 * cost).join(" / ")} % of the MACs, %`;

const everyRun = (results: readonly Result[]): string =>
  table(
    [
      ...["method", "epochs", "seed", "exits 1 / 2 / 3, %", "certified: accuracy, %", "leave at 1 / 2 / 3, %"],
      ...["error of those, %", "average MACs, M", "of a full pass, %", "images/s in training"],
    ],
    results.map((result) => [
      ...label(result),
      list(result.accuracy),
      percent(result.certified.accuracy),
      list(result.certified.shares),
      list(result.certified.exitRisk),
      (result.certified.cost * result.macs).toFixed(2),
      percent(result.certified.cost),
      result.imagesPerSecond.toFixed(0),
    ]),
  );

const oneThreshold = (results: readonly Result[]): string =>
  table(
    [
      ...["method", "epochs", "seed", atCosts, "least MACs, chosen on test, %", "chosen on validation, %"],
      ...["its accuracy, %", "last exit, %", ...BY_HAND.map((threshold) => `at ${threshold}`)],
    ],
    results.map((result) => [
      ...label(result),
      list(result.atCost),
      percent(result.onTest),
      percent(result.onValidation.cost),
      percent(result.onValidation.accuracy),
      percent(result.accuracy.at(-1)!),
      ...result.byHand.map(({ accuracy, cost }) => `${percent(accuracy)} for ${percent(cost)}`),
    ]),
  );

/** The runs of five epochs of a method. */
interface Seeds {
  readonly method: Method;
  readonly of: readonly Result[];
}

const means = (five: readonly Seeds[]): string =>
  table(
    ["method", "seeds", "exits 1 / 2 / 3, %", "certified: accuracy, %", "average MACs, %", atCosts],
    five.map(({ method, of }) => [
      method,
      of.length,
      list([0, 1, 2].map((j) => mean(of.map(({ accuracy }) => accuracy[j]!)))),
      percent(mean(of.map(({ certified }) => certified.accuracy))),
      percent(mean(of.map(({ certified }) => certified.cost))),
      list(COSTS.map((_, k) => mean(of.map(({ atCost }) => atCost[k]!)))),
    ]),
  );

function page(results: readonly Result[], reading: string): string {
  const five = METHOD_NAMES.map(
    (method): Seeds => ({
      method,
      of: results.filter(({ plan }) => plan.method === method && plan.epochs === 5),
    }),
  ).filter(({ of }) => of.length > 0);
  const reference = results
    .filter(({ plan }) => plan.method === "joint" && plan.seed === 0)
    .map(({ plan, accuracy }) => [plan.epochs, list(accuracy), PYTORCH[plan.epochs]!.join(" / ")]);
  return `# Confidence-gated training on Fashion-MNIST

Written by \`node scripts/run.mjs bench/fashion-mnist.ts --data-dir DIR\`, where DIR holds the four official files. ResNet-8 (${results[0]!.macs.toFixed(2)} M MACs) with
GAP-linear exits after its three stages; the first 50,000 training images train, 5,000 validate, 5,000 calibrate; 10,000 official test images.
SGD 0.1 with Nesterov 0.9 and weight decay 5e-4, cosine times min(1, (t + 1) / 200), batch 128, mirrored with probability 1/2: one recipe for all.

${five.map(({ method }) => `- \`${method}\`: ${METHODS[method].is}.`).join("\n")}

Adapter: ${[...new Set(results.map(({ adapter }) => adapter))].join("; ")}. Commit of the runs: ${[...new Set(results.map(({ commit }) => commit))].join(", ")}.

## Against PyTorch: the same net and recipe, seed 0, joint

${table(["epochs", "exits 1 / 2 / 3, %", "PyTorch, %"], reference)}

## Every run

Certified: thresholds by Learn-then-Test, so that with probability 0.9 at most 5 % of the images that leave at an early exit are wrong, at each of them.

${everyRun(results)}

## One threshold on the top probability for all exits

As the papers compare. Accuracy at a share of the MACs; and the least share of the MACs that loses at most 0.3 points on the last exit, with the threshold
chosen on the test images themselves (as the reference figure, 59 % for PyTorch's joint at 10 epochs), and chosen on validation images. Last, accuracy and
share of the MACs at thresholds set by hand.

${oneThreshold(results)}

## Means over seeds, 5 epochs

${means(five)}

${reading}## Commands

Each with \`npm start -- --data fashion-mnist --data-dir DIR\` in front:

${results.map(({ plan }) => `    ${argumentsOf(plan).join(" ")}`).join("\n")}
`;
}

if (flags.only !== "none") {
  if (flags["data-dir"] === undefined) {
    throw new Error("bench/fashion-mnist: --data-dir must name the folder of the four official files; got none.");
  }
  trainMissing(flags["data-dir"]);
}
const results = plans.map(read).filter((result) => result !== undefined);
if (results.length === 0) throw new Error(`bench/fashion-mnist: no finished run lies in ${flags.runs}.`);
writeWholeSync(flags.out, page(results, readingOf(flags.out)));
console.log(`wrote ${flags.out}: ${results.length} of ${plans.length} runs`);
