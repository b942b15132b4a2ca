// H2 (SAFE-KD): thresholds that are calibrated for each exit keep the selective risk in operation. Its released code,
// its text, and certified thresholds, on exits alone and on the samples that really reach them.

import { firstOf } from "../../base/index.ts";
import { learnThenTest, safeKdReleasedCode, safeKdText } from "../../calibration/index.ts";
import {
  type Answer,
  asScript,
  type Hypothesis,
  percent,
  promiseVerdict,
  type Sheet,
  type Verdict,
  verdictOf,
} from "./hypothesis.ts";
import {
  certified,
  type Kept,
  keptOf,
  type Operation,
  overDraws,
  poolOf,
  rangeOf,
  type ThresholdRule,
} from "./measures.ts";

const NETWORK = "safe-kd";

const alone: ThresholdRule = (calibration, { validation }, { alpha, delta }) => {
  const options = { alpha, delta, validation, procedure: "allSamples", sameSamples: true } as const;
  const result = learnThenTest(calibration, options);
  return result.ok ? result.thresholds : Number.POSITIVE_INFINITY;
};

/** By name: the paper's two, and those of this library. */
const RULES: Readonly<Record<string, ThresholdRule>> = {
  "its released code": (_, pool, { alpha }, rows) =>
    safeKdReleasedCode(pool.outcomesOf(rows), { delta: alpha, sameSamples: true }).bar.slice(0, -1),
  "its text": (_, pool, { alpha }, rows) =>
    safeKdText(pool.outcomesOf(rows), { delta: alpha, sameSamples: true }).thresholds,
  "certified, each exit alone": alone,
  "certified, as the cascade runs": certified,
};

/** What a rule did at a target, draw by draw. */
interface Found extends Kept {
  readonly alpha: number;
  readonly rule: string;
  readonly operations: readonly Operation[];
}

/** The claim and its test. */
export const h2: Hypothesis = {
  name: "h2",
  title: "SAFE-KD: thresholds calibrated for each exit keep the risk in operation",
  needs: [NETWORK],
  study(study) {
    const pool = poolOf(study.of(NETWORK)[0]!.logits);
    const levels = [study.alpha, 2 * study.alpha];
    const found = levels.flatMap((alpha) =>
      Object.entries(RULES).map(([rule, make]): Found => {
        const operations = overDraws(pool, { ...study, alpha }, make);
        return { alpha, rule, ...keptOf(operations, alpha), operations };
      }),
    );
    const promised = (rule: keyof typeof RULES, claim: string): Verdict => {
      const levels = found.filter((one) => one.rule === rule);
      const worst = levels.reduce((a, b) => (a.broken > b.broken ? a : b));
      const kept = `${claim} keep every exit's risk in operation with probability ${1 - study.delta}`;
      return { ...promiseVerdict(kept, levels, study, `some exit was above ${percent(worst.alpha)} %`), seeds: 1 };
    };
    const verdicts = [
      expectedVerdict(
        "Thresholds calibrated exit by exit, as the paper's text has them,",
        found.filter(({ rule }) => rule === "its text"),
      ),
      promised("certified, each exit alone", "Thresholds certified for each exit alone"),
      promised("certified, as the cascade runs", "Thresholds certified on the samples that really reach an exit"),
    ];
    const figure = { about: "Risk of the last early exit in operation, draw by draw", spec: lastRisks(found) };
    return { verdicts, sheets: [riskSheet(found)], figure, numbers: found };
  },
};

/**
 * The text promises the risk in the mean: the worst exit's, over the draws in which anybody leaves there, against the
 * target. It cannot be said to hold of an exit that never opens.
 */
export function expectedVerdict(claim: string, found: readonly Pick<Found, "alpha" | "operations">[]): Verdict {
  const exits = found.flatMap(({ alpha, operations }) =>
    firstOf(operations).exitRisks.map((_, j) => {
      const risks = operations.map(({ exitRisks }) => exitRisks[j]! - alpha).filter((risk) => !Number.isNaN(risk));
      const { mean, lower, upper } = rangeOf(risks);
      // Of the mean over the draws in which anybody leaves there; one of them tells nothing of the others.
      const error = risks.length === 1 ? Number.POSITIVE_INFINITY : (upper - lower) / 2 / Math.sqrt(risks.length);
      return { alpha, exit: j + 1, risk: alpha + mean, mean, lower: mean - error, upper: mean + error, seeds: 1 };
    }),
  );
  const worst = exits.reduce((a, b) => (b.mean > a.mean || Number.isNaN(a.mean) ? b : a));
  const isOpen = exits.every(({ mean }) => !Number.isNaN(mean));
  const verdict = verdictOf(`${claim} keep every exit's expected risk in operation`, worst, "below", "risk");
  const held = verdict.held === "held" && !isOpen ? "undecided" : verdict.held;
  const because = `exit ${worst.exit}: ${percent(worst.risk)} % wrong in operation, on average over the draws, at a target of ${percent(worst.alpha)} %`;
  return { ...verdict, held, because: isOpen ? because : `${because}; some exit never opened` };
}

function riskSheet(found: readonly Found[]): Sheet {
  const exitMeans = (operations: readonly Operation[], key: "exitRisks" | "aloneRisks") =>
    operations[0]![key].map((_, j) => percent(rangeOf(operations.map((one) => one[key][j]!)).mean)).join(" / ");
  return {
    title: "Risk of the early exits",
    text: "In percent, means over draws. Alone: of all images that an exit is as sure of. In operation: of those that really leave there. Broken: draws in which some exit's risk in operation is above the target.",
    head: ["target", "rule", "alone", "in operation", "broken", "leave early", "accuracy", "cost"],
    rows: found.map(({ alpha, rule, broken, operations }) => [
      percent(alpha),
      rule,
      exitMeans(operations, "aloneRisks"),
      exitMeans(operations, "exitRisks"),
      percent(broken),
      ...(["early", "accuracy", "cost"] as const).map((key) =>
        percent(rangeOf(operations.map((one) => one[key])).mean),
      ),
    ]),
  };
}

const lastRisks = (found: readonly Found[]): Answer["figure"]["spec"] => ({
  width: 700,
  height: 300,
  data: {
    values: found.flatMap(({ alpha, rule, operations }) =>
      operations.map(({ exitRisks }) => ({ rule, target: `target ${percent(alpha)} %`, risk: exitRisks.at(-1) })),
    ),
  },
  mark: { type: "tick", thickness: 1.5 },
  encoding: {
    x: { field: "risk", type: "quantitative", axis: { title: "share of wrong answers", format: ".4~%" } },
    y: { field: "rule", type: "nominal", title: null, sort: null, axis: { labelLimit: 0 } },
    color: { field: "target", type: "nominal", sort: null, legend: { title: null, orient: "bottom" } },
  },
});

await asScript(import.meta.url, h2);
