// `sortie evaluate`: all metrics of a test table, and what a policy does on it, as a table and as JSON.

import { existsSync } from "node:fs";
import { option, SortieError } from "../../base/index.ts";
import {
  applyScaling,
  type Cascade,
  cascade,
  checkOrigin,
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
} from "../../calibration/index.ts";
import { exitNames } from "../exit-names.ts";
import { COST_FLAGS, type CostChoice, costed } from "../files/costs-file.ts";
import { LOGITS_FLAGS, type LogitsOptions, logitsOptions, readLogits } from "../files/logits-file.ts";
import { checkOutput } from "../files/outputs.ts";
import { RunFolder } from "../files/run-folder.ts";
import { readText, writeWhole } from "../files/whole.ts";
import { level, number, percent } from "../format.ts";
import { promisedRisk } from "../report/targets.ts";
import { type CommandSpec, ONE_SOURCE, path, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";
import { type Agreement, agreementLine, deployedAgreement, withNetwork } from "./agreement.ts";
import {
  CORRUPTION_FLAGS,
  type CorruptionRequest,
  corruptionFindings,
  corruptionLines,
  corruptionNames,
} from "./corruptions.ts";

/** Flags of commands that show a policy. */
export const POLICY_FLAGS = {
  policy: path("a policy of sortie calibrate, whose scaling is applied first (for a run: its own)"),
  anyOrigin: option.toggle(
    false,
    "take a policy of other weights, or of another scaling; its promise does not hold then",
  ),
} as const;

export const evaluateSpec = {
  name: "evaluate",
  usage: "LOGITS | RUN [flags]",
  paths: ONE_SOURCE,
  about: `Metrics of every exit on test logits (safetensors or npz), and what a policy achieves on them. For the folder of a
run: its test logits, its policy if there is one, and evaluation.json; and, where its images are at hand, whether its
last weights, deployed with the policy, answer every one of them as the logits say. With --corruptions, also what
corrupted images do to all of this, into corruptions.json, which the report shows.`,
  flags: {
    ...POLICY_FLAGS,
    resamples: option.whole(0, "resamples for 95 % bootstrap intervals of every metric; 0: none", { min: 0 }),
    ...LOGITS_FLAGS,
    ...COST_FLAGS,
    sameSamples: option.toggle(
      false,
      "evaluate even on samples that shaped the policy; what is seen there proves nothing",
    ),
    ...CORRUPTION_FLAGS,
    json: path("write everything as JSON too"),
  },
  more: `Exit code 0: done. 1: bad input, or the deployed classifier disagrees with the logits.

  sortie evaluate test.safetensors --policy policy.json
`,
} satisfies CommandSpec;

/** Everything `evaluate` and `report` show. */
export interface Findings {
  /** What the exits are called. */
  readonly names: readonly string[];
  readonly metrics: Evaluation;
  /** The test logits as they came. */
  readonly raw: Table;
  /** The test samples as the policy sees them: after its scaling, if it has one. */
  readonly source: Source;
  /** By the policy's score, or the largest probability without one. */
  readonly scored: Cascade;
  readonly file: PolicyFile | undefined;
  /** Undefined without a policy, or if the policy refuses: then everything runs to the end. */
  readonly policy: PolicyEvaluation | undefined;
}

/** Options of `findings`. */
export interface FindingsOptions extends LogitsOptions {
  readonly resamples?: number;
  /** Take a policy of another network or scaling. */
  readonly anyOrigin?: boolean;
  /** Evaluate even on samples that shaped the policy. */
  readonly sameSamples?: boolean;
  /** What costs are counted in; default MACs. */
  readonly cost?: CostChoice;
}

const HINTS = {
  weights: "Calibrate on logits of these weights, or say --any-origin.",
  scaling: "Calibrate again, or say --any-origin.",
};

/**
 * Reads the files, or those of the run in the folder `path`, and computes all there is to know. Refuses test samples
 * that were used for calibration, and a policy of another network.
 */
export function findings(
  path: string,
  policyPath: string | undefined,
  { resamples = 0, anyOrigin = false, sameSamples = false, cost, ...logits }: FindingsOptions = {},
): Findings {
  const folder = RunFolder.at(path);
  const testPath = folder?.logits("test") ?? path;
  const counted = cost ?? { costs: "macs", times: undefined, batch: undefined };
  const raw = costed("evaluate", readLogits(testPath, logits), counted, folder);
  const own = folder && existsSync(folder.path("policy")) ? folder.path("policy") : undefined;
  const chosen = policyPath ?? own;
  const file = chosen === undefined ? undefined : readPolicy(chosen);
  if (file) checkFits(`${chosen} must fit the ${raw.exits} exits of ${testPath}`, file, raw);
  const { result, scaling, request } = file ?? {};
  const source = scaling ? applyScaling(raw, scaling) : raw;
  const score = result?.ok ? result.score : request?.score;
  if (chosen !== undefined && result?.ok && !anyOrigin) checkOrigin(chosen, result.origin, source, HINTS);
  return {
    names: exitNames(raw.exits, folder),
    metrics: evaluate(raw, { resamples, ...(scaling && { scaling }) }),
    raw,
    source,
    scored: cascade(source, score === "given" ? undefined : score),
    file,
    policy: result?.ok ? evaluatePolicy(source, result, { anyOrigin: true, sameSamples }) : undefined,
  };
}

/** A policy file. @throws Error that names the file. */
export function readPolicy(path: string): PolicyFile {
  const text = readText(path);
  try {
    return decodePolicy(text);
  } catch (cause) {
    throw new SortieError(`${path} must be a policy of sortie calibrate; ${(cause as Error).message}`, { cause });
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
  throw new SortieError(
    `${requirement}, ${early} of them early, and its ${classes} classes; it holds ${held.join(" and ")}.`,
  );
}

/**
 * Runs the command; returns the exit code, of a run's folder when its images have been classified. @throws SortieError
 * for bad input.
 */
export function runEvaluate(args: readonly string[], print: Print = console.log): number | Promise<number> {
  const asked = readCommand(evaluateSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const source = positionals[0]!;
  const folder = RunFolder.at(source);
  const json = values.json ?? folder?.path("evaluation");
  checkOutput("evaluate", "--json", json, [
    source,
    values.policy,
    folder?.path("policy"),
    ...(folder?.sources() ?? []),
  ]);
  const { resamples, anyOrigin, sameSamples } = values;
  const found = findings(source, values.policy, {
    ...logitsOptions(values),
    ...{ resamples, anyOrigin, sameSamples, cost: values },
  });
  for (const line of [...metricLines(found.metrics, found.names), ...unknownOrigin(found), ...policyLines(found)])
    print(line);
  const write = (deployed?: Agreement | string) => {
    const { metrics, file, policy } = found;
    if (json !== undefined) writeWhole(json, plainJson({ metrics, result: file?.result, policy, deployed }));
  };
  write();
  const { corruptions, corruptionNames: names, corruptionDir: dir, corruptionSamples: samples } = values;
  if (!corruptions && [names, dir, samples].some((given) => given !== undefined))
    throw new SortieError("evaluate: --corruptions must be there for flags about corruptions; got none.");
  if (!folder) {
    if (corruptions) throw new SortieError(`evaluate: --corruptions needs the folder of a run; got ${source}.`);
    return 0;
  }
  const request = corruptions ? { names: corruptionNames({ names }), dir, samples } : undefined;
  return deployedAgreement(folder, found, { anyOrigin }).then((agreement) => {
    print(agreementLine(agreement));
    write(agreement);
    const code = typeof agreement !== "string" && agreement.differing > 0 ? 1 : 0;
    if (!request) return code;
    return corrupted(folder, found, request, print).then(() => code);
  });
}

/**
 * Corrupts the test images of a run, and tells and writes what comes of it. @throws SortieError where there are none.
 */
async function corrupted(
  folder: RunFolder,
  found: Findings,
  asked: Omit<CorruptionRequest, "seed">,
  print: Print,
): Promise<void> {
  const { seed } = folder.config();
  const told = await withNetwork(folder, found.source, (net, images) =>
    corruptionFindings(net, images, found, { ...asked, seed }, print),
  );
  if (typeof told === "string") throw new SortieError(`evaluate: images must be at hand to be corrupted; ${told}`);
  for (const line of corruptionLines(told)) print(line);
  writeWhole(folder.path("corruptions"), plainJson(told));
}

const columns = ["accuracy", "nll", "brier", "ece", "smoothEce", "auroc", "fprAt95Tpr", "aurc", "eefp"] as const;

/** One line per exit. */
function metricLines({ samples, exits, overthinking }: Evaluation, names: readonly string[]): readonly string[] {
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
      ...(["lower", "upper"] as const).flatMap((end) =>
        intervals
          ? line(
              end,
              columns.map((name) => number(intervals[name][end])),
            )
          : [],
      ),
    ]),
    `overthinking: ${percent(overthinking.wasteful)} wasteful, ${percent(overthinking.destructive)} destructive`,
  ];
}

/** That of the last exit, which the full network answers at. */
export const fullAccuracy = ({ exits }: Evaluation): number => exits[exits.length - 1]!.accuracy;

/** What is promised, and what the policy does, if there is one. */
function policyLines({ names, metrics, source, file, policy }: Findings): readonly string[] {
  if (!file) return [];
  const full = percent(fullAccuracy(metrics));
  if (!policy) {
    return [explain(file.result), `the policy refuses: every sample runs the full network (accuracy ${full})`];
  }
  const { accuracy, cost, exitRisk, earlyRisk } = policy.intervals;
  const lines = exitRisk.map((range, j) => {
    const share = policy.fractions[j]!;
    const risk = share > 0 ? `, error ${percent(policy.exitRisk[j]!)} ${interval(range)}` : "";
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

/** What nobody can check where a policy, or the logits, do not say of which weights they are. */
export function unknownOrigin({ file, source }: Pick<Findings, "file" | "source">): readonly string[] {
  if (!file?.result.ok) return [];
  const silent = [
    ...(file.result.origin?.weights === undefined ? ["the policy"] : []),
    ...(source.origin?.weights === undefined ? ["the logits"] : []),
  ];
  if (silent.length === 0) return [];
  return [
    `note: ${silent.join(" and ")} ${silent[0] === "the policy" && silent.length === 1 ? "does" : "do"} not say of which weights; whether they belong together is not checked.`,
  ];
}

/** The promised risk and the observed one, where the file says which risk it is. */
function promisedLine({ result, request }: PolicyFile, source: Source, { exits }: PolicyEvaluation): readonly string[] {
  if (!request || !("alpha" in result)) return [];
  const { what, observe } = promisedRisk(request, source);
  return [`promised: ${what} at most ${level(result.alpha)}; on these samples ${percent(observe(exits))}`];
}

const interval = ({ lower, upper }: Interval): string => `[${percent(lower)}, ${percent(upper)}]`;
