// `sortie evaluate`: all metrics of a test table, and what a policy does on it, as a table and as JSON.

import { resolve } from "node:path";
import { firstOf, preset, SortieError, zip } from "../../base/index.ts";
import {
  EVALUATION,
  type Evaluation,
  explain,
  type Interval,
  type PolicyEvaluation,
  plainJson,
} from "../../calibration/index.ts";
import { COST_FLAGS, costed } from "../files/costs-file.ts";
import { LOGITS_FLAGS, logitsOptions } from "../files/logits-file.ts";
import { isModelFile } from "../files/model-kind.ts";
import { checkOutput } from "../files/outputs.ts";
import { RunFolder } from "../files/run-folder.ts";
import { writeWhole } from "../files/whole.ts";
import { type Agreement, agreementLine, deployedAgreement, withNetwork } from "../findings/agreement.ts";
import {
  CORRUPTION_FLAGS,
  type CorruptionRequest,
  corruptionFindings,
  corruptionLines,
  corruptionRequest,
  joinedFindings,
} from "../findings/corruptions.ts";
import { type Findings, findings, fullAccuracy, promiseOf } from "../findings/findings.ts";
import { modelFindings } from "../findings/model-findings.ts";
import { level, number, percent } from "../format.ts";
import { readCorruptions } from "../report/sections/corruptions.ts";
import { promisedRisk } from "../report/targets.ts";
import { type Asked, type CommandSpec, flagOf, ONE_SOURCE, path, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";

/** Flags of commands that show a policy. */
export const POLICY_FLAGS = {
  policy: path("a policy of sortie calibrate, whose scaling is applied first (for a run or a model: its own)"),
  anyOrigin: EVALUATION.anyOrigin,
} as const;

export const evaluateSpec = {
  name: "evaluate",
  usage: "LOGITS | RUN | MODEL [flags]",
  paths: { ...ONE_SOURCE, must: `${ONE_SOURCE.must}, or one model file` },
  about: `Metrics of every exit on test logits (safetensors or npz), and what a policy achieves on them. For the folder of a
run: its test logits, its policy if there is one, and evaluation.json, unless --json names another file or --policy another policy; and, where its images are at hand, whether its
last weights, deployed with the policy, answer every one of them as the logits say. With --corruptions, also what
corrupted images do to all of this, into corruptions.json, which the report shows. For a model file (sortie export): the
same of the test images of the data set that it was trained on, by its network's own logits, its policy and its classifier.`,
  flags: {
    ...POLICY_FLAGS,
    resamples: preset(EVALUATION.resamples, 0),
    ...LOGITS_FLAGS,
    ...COST_FLAGS,
    sameSamples: EVALUATION.sameSamples,
    ...CORRUPTION_FLAGS,
    dataDir: path("model: where the data set lies; drawn glyphs need none"),
    json: path("a file for everything as JSON (of a run: in place of its evaluation.json)"),
  },
  more: `Exit code 0: done. 1: bad input, or the deployed classifier disagrees with the logits.

  sortie evaluate test.safetensors --policy policy.json
  sortie evaluate model.sortie.safetensors --data-dir data/fashion-mnist
`,
} satisfies CommandSpec;

/**
 * Runs the command; returns the exit code, of a run's folder when its images have been classified. @throws SortieError
 * for bad input.
 */
export function runEvaluate(args: readonly string[], print: Print = console.log): number | Promise<number> {
  const asked = readCommand(evaluateSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const source = firstOf(positionals);
  if (isModelFile(source)) return evaluateModel(source, asked, print);
  if (values.dataDir !== undefined)
    throw new SortieError(`evaluate: --data-dir goes with a model file; got ${source}.`);
  const folder = RunFolder.at(source);
  const isOwn = values.policy === undefined || (folder && resolve(values.policy) === resolve(folder.path("policy")));
  const json = values.json ?? (isOwn ? folder?.path("evaluation") : undefined);
  checkOutput("evaluate", "--json", json, [
    source,
    values.policy,
    folder?.path("policy"),
    ...(folder?.sources() ?? []),
  ]);
  const request = corruptionRequest("evaluate", values);
  if (request && !folder) throw new SortieError(`evaluate: --corruptions needs the folder of a run; got ${source}.`);
  if (request && !isOwn)
    throw new SortieError(
      `evaluate: --corruptions goes with the run's own policy, as its corruptions.json does; got --policy ${values.policy}.`,
    );
  const { resamples, anyOrigin, sameSamples } = values;
  const found = findings(source, values.policy, {
    ...logitsOptions(values),
    ...{ resamples, anyOrigin, sameSamples, cost: values },
  });
  for (const line of linesOf(found)) print(line);
  const write = (deployed?: Agreement | string) => {
    if (json !== undefined) writeWhole(json, jsonOf(found, deployed));
  };
  write();
  if (!folder) return 0;
  return deployedAgreement(folder, found, { anyOrigin }).then((agreement) => {
    print(agreementLine(agreement));
    write(agreement);
    const code = typeof agreement !== "string" && agreement.differing > 0 ? 1 : 0;
    if (!request) return code;
    return corruptRun(folder, found, request, print).then(() => code);
  });
}

const linesOf = (found: Findings): readonly string[] => [
  ...metricLines(found.metrics, found.names),
  ...unknownOrigin(found),
  ...policyLines(found),
];

const jsonOf = ({ metrics, file, policy }: Findings, deployed: Agreement | string | undefined): string =>
  plainJson({ metrics, result: file?.result, policy, deployed });

/** Flags that a model file has no use for. */
const ELSEWHERE = [...Object.keys(LOGITS_FLAGS), ...Object.keys(CORRUPTION_FLAGS)];

/** The same of a model file. @throws SortieError for bad input, and where its images are not at hand. */
async function evaluateModel(
  source: string,
  { values, given }: Asked<typeof evaluateSpec.flags>,
  print: Print,
): Promise<number> {
  const stray = ELSEWHERE.find((key) => key in given);
  if (stray !== undefined)
    throw new SortieError(`evaluate: --${flagOf(stray)} does not go with a model file; got ${source}.`);
  checkOutput("evaluate", "--json", values.json, [source, values.policy, values.times]);
  const { found, deployed } = await modelFindings(source, values, (table) =>
    costed("evaluate", table, values, undefined),
  );
  for (const line of [...linesOf(found), agreementLine(deployed, "the network's logits")]) print(line);
  if (values.json !== undefined) writeWhole(values.json, jsonOf(found, deployed));
  return deployed.differing > 0 ? 1 : 0;
}

/**
 * Corrupts the test images of a run, and tells and writes what comes of it. @throws SortieError where there are none.
 */
export async function corruptRun(
  folder: RunFolder,
  found: Pick<Findings, "file" | "isForeign" | "raw" | "source" | "names">,
  asked: Omit<CorruptionRequest, "seed">,
  print: Print,
): Promise<void> {
  const { seed } = folder.config();
  const told = await withNetwork(folder, found.source, (net, images) =>
    corruptionFindings(net, images, found, { ...asked, seed }, print),
  );
  if (typeof told === "string")
    throw new SortieError(`evaluate: --corruptions must have the run's network and test images at hand; ${told}`);
  for (const line of corruptionLines(told)) print(line);
  writeWhole(folder.path("corruptions"), plainJson(joinedFindings(readCorruptions(folder, found), told)));
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
    ...zip(names, exits).flatMap(([name, { intervals, ...exit }]) => [
      line(
        name,
        columns.map((column) => number(exit[column])),
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

/** What is promised, and what the policy does, if there is one. */
function policyLines(found: Findings): readonly string[] {
  const { names, metrics, file, policy } = found;
  if (!file) return [];
  const full = percent(fullAccuracy(metrics));
  if (!policy) {
    return [explain(file.result), `the policy refuses: every sample runs the full network (accuracy ${full})`];
  }
  const { accuracy, cost, exitRisk, earlyRisk } = policy.intervals;
  const exits = zip(names, policy.fractions, policy.exitRisk, exitRisk);
  const lines = exits.map(([name, share, error, range]) => {
    const risk = share > 0 ? `, error ${percent(error)} ${interval(range)}` : "";
    return `  ${name}: ${percent(share)} leave${risk}`;
  });
  return [
    promiseOf(found),
    `policy: accuracy ${percent(policy.accuracy)} ${interval(accuracy)} (full network ${full}), ` +
      `cost ${percent(policy.cost)} ${interval(cost)}, early error ${percent(policy.earlyRisk)} ${interval(earlyRisk)}`,
    ...lines,
    ...promisedLine(found, policy),
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

/** The promised risk and the observed one, where the file says which risk it is, and anything is promised here. */
function promisedLine({ file, isForeign, source }: Findings, { exits }: PolicyEvaluation): readonly string[] {
  if (!file?.request || !("alpha" in file.result) || file.result.guarantee.kind === "none" || isForeign) return [];
  const { request, result } = file;
  const { what, observe } = promisedRisk(request, source);
  return [`promised: ${what} at most ${level(result.alpha)}; on these samples ${percent(observe(exits))}`];
}

const interval = ({ lower, upper }: Interval): string => `[${percent(lower)}, ${percent(upper)}]`;
