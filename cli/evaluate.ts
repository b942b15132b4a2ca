/** `sortie evaluate`: all metrics of a test table, and what a policy does on it, as a table and as JSON. */

import { existsSync, readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  applyScaling,
  type BootstrapResult,
  cascade,
  decodePolicy,
  type Evaluation,
  evaluate,
  evaluatePolicy,
  type PolicyEvaluation,
  type PolicyFile,
  type Source,
  type Table,
} from "../calibration/index.ts";
import { writeWhole } from "./files.ts";
import { numberFlag, onePath, type Print } from "./flags.ts";
import { readLogits } from "./logits-file.ts";
import { RunFolder } from "./run-folder.ts";

export const evaluateHelp = `sortie evaluate LOGITS | RUN [flags]

Metrics of every exit on test logits (safetensors or npz), and what a policy achieves on them. For the folder of a run: its test
logits, its policy if there is one, and evaluation.json.

  --policy FILE        a policy of sortie calibrate; its scaling is applied first
  --resamples N        resamples for 95 % bootstrap intervals of every metric (default 0: none)
  --probabilities      the arrays hold probabilities
  --json FILE          write everything as JSON too

  sortie evaluate test.safetensors --policy policy.json
`;

/** Everything `evaluate` and `report` show. */
export interface Findings {
  /** With scaled logits, if the policy has such a scaling. */
  readonly test: Table;
  readonly metrics: Evaluation;
  readonly file: PolicyFile | undefined;
  /** Undefined without a policy, or if the policy refuses. */
  readonly policy: PolicyEvaluation | undefined;
}

/**
 * Reads the files, or those of the run in the folder `path`, and computes all there is to know. Refuses test samples that were used
 * for calibration.
 */
export function findings(
  path: string,
  policyPath: string | undefined,
  { isProbabilities = false, resamples = 0 }: { readonly isProbabilities?: boolean; readonly resamples?: number } = {},
): Findings {
  const folder = RunFolder.at(path);
  const raw = readLogits(folder?.logits("test") ?? path, { isProbabilities });
  const own = folder && existsSync(folder.path("policy")) ? folder.path("policy") : undefined;
  const chosen = policyPath ?? own;
  const file = chosen === undefined ? undefined : decodePolicy(readFileSync(chosen, "utf8"));
  const scaling = file?.scaling;
  const source: Source = scaling ? applyScaling(raw, scaling) : raw;
  const result = file?.result;
  return {
    test: "read" in source ? source : raw,
    file,
    metrics: evaluate(raw, { resamples, ...(scaling && { scaling }) }),
    policy: result?.ok ? evaluatePolicy(source, result) : undefined,
  };
}

/** Runs the command; returns the exit code. Throws for bad input. */
export function runEvaluate(args: readonly string[], print: Print = console.log): number {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      policy: { type: "string" },
      probabilities: { type: "boolean", default: false },
      resamples: { type: "string", default: "0" },
      json: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    print(evaluateHelp);
    return 0;
  }
  const path = onePath("evaluate", positionals);
  const folder = RunFolder.at(path);
  const resamples = numberFlag("evaluate", "resamples", values.resamples);
  const found = findings(path, values.policy, { isProbabilities: values.probabilities, resamples });
  for (const line of [...metricLines(found.metrics), ...policyLines(found)]) print(line);
  const json = values.json ?? folder?.path("evaluation");
  if (json !== undefined) writeWhole(json, toJson(found));
  return 0;
}

const columns = ["accuracy", "nll", "brier", "ece", "smoothEce", "auroc", "fprAt95Tpr", "aurc", "eefp"] as const;

/** One line per exit. */
export function metricLines({ samples, exits, overthinking }: Evaluation): readonly string[] {
  const cell = (text: string) => text.padStart(11);
  return [
    `${samples} samples`,
    ["exit", ...columns].map(cell).join(""),
    ...exits.flatMap(({ intervals, ...exit }, j) => [
      [String(j), ...columns.map((name) => number(exit[name]))].map(cell).join(""),
      ...(intervals ? (["lower", "upper"] as const) : []).map((end) =>
        [end, ...columns.map((name) => number(intervals![name][end]))].map(cell).join(""),
      ),
    ]),
    `overthinking: ${percent(overthinking.wasteful)} wasteful, ${percent(overthinking.destructive)} destructive`,
  ];
}

/** What the policy does, if there is one. */
export function policyLines({ test, file, policy }: Findings): readonly string[] {
  if (!file) return [];
  if (!policy || !file.result.ok) return ["the policy refuses: every sample runs the full network"];
  const { accuracy, cost, exitRisk, earlyRisk } = policy.intervals;
  const interval = ({ lower, upper }: Pick<BootstrapResult, "lower" | "upper">) =>
    `[${percent(lower)}, ${percent(upper)}]`;
  const full = cascade(test).errors.reduce((sum, e, at) => (at % test.exits === test.exits - 1 ? sum + e : sum), 0);
  const lines = Array.from(
    policy.fractions,
    (share, j) =>
      `  exit ${j}: ${percent(share)} leave${share > 0 ? `, error ${percent(policy.exitRisk[j]!)} ${interval(exitRisk[j]!)}` : ""}`,
  );
  return [
    `policy: accuracy ${percent(policy.accuracy)} ${interval(accuracy)} (full network ${percent(1 - full / test.samples)}), ` +
      `cost ${percent(policy.cost)} ${interval(cost)}, early error ${percent(policy.earlyRisk)} ${interval(earlyRisk)}`,
    ...lines,
  ];
}

function toJson({ metrics, file, policy }: Findings): string {
  const plain = (_: string, value: unknown) => {
    if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array);
    return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
  };
  return JSON.stringify({ metrics, result: file?.result, policy }, plain, 2);
}

const number = (x: number) => (Number.isNaN(x) ? "-" : x.toFixed(4));

/** `-` where undefined. */
export function percent(x: number): string {
  return Number.isNaN(x) ? "-" : `${(100 * x).toFixed(1)} %`;
}
