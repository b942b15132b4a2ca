/** `sortie evaluate`: all metrics of a test table, and what a policy does on it, as a table and as JSON. */

import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import {
  applyScaling,
  type Cascade,
  cascade,
  decodePolicy,
  type Evaluation,
  evaluate,
  evaluatePolicy,
  explain,
  type Interval,
  type PolicyEvaluation,
  type PolicyFile,
  plainJson,
  type Source,
  type Table,
} from "../calibration/index.ts";
import { exitNames } from "./exit-names.ts";
import { readText, writeWhole } from "./files.ts";
import { onePath, type Print, wholeFlag } from "./flags.ts";
import { level, number, percent } from "./format.ts";
import { readLogits } from "./logits-file.ts";
import { RunFolder } from "./run-folder.ts";
import { promisedRisk } from "./targets.ts";

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
  /** What the exits are called. */
  readonly names: readonly string[];
  readonly metrics: Evaluation;
  /** The test samples as the policy sees them: after its scaling, if it has one. */
  readonly source: Source;
  /** By the policy's score, or the largest probability without one. */
  readonly scored: Cascade;
  readonly file: PolicyFile | undefined;
  /** Undefined without a policy, or if the policy refuses: then everything runs to the end. */
  readonly policy: PolicyEvaluation | undefined;
}

/**
 * Reads the files, or those of the run in the folder `path`, and computes all there is to know. Refuses test samples that were used
 * for calibration, and a policy of another network.
 */
export function findings(
  path: string,
  policyPath: string | undefined,
  { isProbabilities = false, resamples = 0 }: { readonly isProbabilities?: boolean; readonly resamples?: number } = {},
): Findings {
  const folder = RunFolder.at(path);
  const testPath = folder?.logits("test") ?? path;
  const raw = readLogits(testPath, { isProbabilities });
  const own = folder && existsSync(folder.path("policy")) ? folder.path("policy") : undefined;
  const chosen = policyPath ?? own;
  const file = chosen === undefined ? undefined : readPolicy(chosen);
  if (file) checkFits(`${chosen} must fit the ${raw.exits} exits of ${testPath}`, file, raw);
  const { result, scaling, request } = file ?? {};
  const source = scaling ? applyScaling(raw, scaling) : raw;
  const score = result?.ok ? result.score : request?.score;
  return {
    names: exitNames(raw.exits, folder),
    metrics: evaluate(raw, { resamples, ...(scaling && { scaling }) }),
    source,
    scored: cascade(source, score === "given" ? undefined : score),
    file,
    policy: result?.ok ? evaluatePolicy(source, result) : undefined,
  };
}

/** A policy file. @throws Error that names the file. */
function readPolicy(path: string): PolicyFile {
  const text = readText(path);
  try {
    return decodePolicy(text);
  } catch (cause) {
    throw new Error(`${path} must be a policy of sortie calibrate; ${(cause as Error).message}`, { cause });
  }
}

function checkFits(requirement: string, { result, scaling }: PolicyFile, { exits, classes }: Table): void {
  const early = exits - 1;
  const thresholds = result.ok ? result.thresholds.length : early;
  const scalers = scaling?.scalers.length ?? exits;
  if ((thresholds === early || thresholds === early * classes) && scalers === exits) return;
  const held = [
    ...(result.ok ? [`${thresholds} ${thresholds === 1 ? "threshold" : "thresholds"}`] : []),
    ...(scaling ? [`the scaling of ${scalers} exits`] : []),
  ];
  throw new Error(
    `${requirement}, ${early} of them early, and its ${classes} classes; it holds ${held.join(" and ")}.`,
  );
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
  const resamples = wholeFlag("evaluate", "resamples", values.resamples);
  const found = findings(path, values.policy, { isProbabilities: values.probabilities, resamples });
  for (const line of [...metricLines(found.metrics, found.names), ...policyLines(found)]) print(line);
  const json = values.json ?? folder?.path("evaluation");
  const { metrics, file, policy } = found;
  if (json !== undefined) writeWhole(json, plainJson({ metrics, result: file?.result, policy }));
  return 0;
}

const columns = ["accuracy", "nll", "brier", "ece", "smoothEce", "auroc", "fprAt95Tpr", "aurc", "eefp"] as const;

/** One line per exit. */
export function metricLines({ samples, exits, overthinking }: Evaluation, names: readonly string[]): readonly string[] {
  const width = Math.max(11, ...names.map(({ length }) => length + 2));
  const line = (first: string, cells: readonly string[]) =>
    `${first.padStart(width)}${cells.map((cell) => cell.padStart(11)).join("")}`;
  return [
    `${samples} samples`,
    line("exit", columns),
    ...exits.flatMap(({ intervals, ...exit }, j) => [
      line(
        names[j]!,
        columns.map((name) => number(exit[name])),
      ),
      ...(intervals ? (["lower", "upper"] as const) : []).map((end) =>
        line(
          end,
          columns.map((name) => number(intervals![name][end])),
        ),
      ),
    ]),
    `overthinking: ${percent(overthinking.wasteful)} wasteful, ${percent(overthinking.destructive)} destructive`,
  ];
}

/** What is promised, and what the policy does, if there is one. */
export function policyLines({ names, metrics, source, file, policy }: Findings): readonly string[] {
  if (!file) return [];
  const full = percent(metrics.exits.at(-1)!.accuracy);
  if (!policy) {
    return [explain(file.result), `the policy refuses: every sample runs the full network (accuracy ${full})`];
  }
  const { accuracy, cost, exitRisk, earlyRisk } = policy.intervals;
  const lines = Array.from(policy.fractions, (share, j) => {
    const risk = share > 0 ? `, error ${percent(policy.exitRisk[j]!)} ${interval(exitRisk[j]!)}` : "";
    return `  ${names[j]}: ${percent(share)} leave${risk}`;
  });
  return [
    explain(file.result),
    `policy: accuracy ${percent(policy.accuracy)} ${interval(accuracy)} (full network ${full}), ` +
      `cost ${percent(policy.cost)} ${interval(cost)}, early error ${percent(policy.earlyRisk)} ${interval(earlyRisk)}`,
    ...lines,
    ...promisedLine(file, source, policy),
  ];
}

/** The promised risk and the observed one, where the file says which risk it is. */
function promisedLine({ result, request }: PolicyFile, source: Source, { exits }: PolicyEvaluation): readonly string[] {
  if (!request || !("alpha" in result)) return [];
  const { what, observe } = promisedRisk(request, source);
  return [`promised: ${what} at most ${level(result.alpha)}; on these samples ${percent(observe(exits))}`];
}

const interval = ({ lower, upper }: Interval): string => `[${percent(lower)}, ${percent(upper)}]`;
