// `sortie calibrate`: thresholds with a guarantee from cached logits, written as a policy file.

import { rmSync } from "node:fs";
import { basename, resolve } from "node:path";
import {
  firstOf,
  type Option,
  type OptionValues,
  option,
  type Readers,
  SortieError,
  unread,
} from "../../base/index.ts";
import {
  applyScaling,
  BUDGET_GOAL,
  type BudgetGoal,
  encodePolicy,
  explain,
  fit,
  meetBudget,
  type PolicyFile,
  type PolicyRequest,
  type PromisedGroup,
  RULE_OPTIONS,
  SAME_SAMPLES,
  SCALING_METHOD,
  SCORE,
  type Scaling,
  type ScalingOptions,
  type Score,
  type Source,
  scalingNotes,
  scoreName,
  type Table,
} from "../../calibration/index.ts";
import { OWN_SCORES, type PolicyPlan } from "../../exits/index.ts";
import { exitNames } from "../exit-names.ts";
import { COST_FLAGS, costed } from "../files/costs-file.ts";
import { LOGITS_FLAGS, logitsOptions, readLogits } from "../files/logits-file.ts";
import { checkOutput, isSameFile } from "../files/outputs.ts";
import { RunFolder } from "../files/run-folder.ts";
import { writeWhole } from "../files/whole.ts";
import { percent, threshold } from "../format.ts";
import { byPublished, isPlain } from "../published.ts";
import { calibrateBy } from "../report/targets.ts";
import { type CommandSpec, flagOf, ONE_SOURCE, path, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";
import { makePlan } from "../settings/model.ts";

const { learnThenTest: LTT, controlRisk: RISK, levels: LEVELS } = RULE_OPTIONS;

/** An option of one method, which help names first. Its default is the rule's own: none is passed on. */
function of<T>(method: string, { about, default: value, ...rest }: Option<T>) {
  const preset = value === undefined ? "" : ` (default ${String(value)})`;
  const option = { ...rest, about: `${method}: ${about}${preset}`, default: undefined };
  return option as Option<Exclude<T, undefined> | undefined>;
}

const LTT_FLAGS = {
  control: of("ltt", LTT.control),
  procedure: of(
    "ltt",
    option.choice(["path", "union", "split", "sequential"], LTT.procedure.about, { default: undefined }),
  ),
  test: of("ltt", LTT.test),
  correction: of("ltt", LTT.correction),
} as const;
const RISK_FLAGS = { loss: of("crc, ucb", RISK.loss), bound: of("ucb", RISK.bound) } as const;
const GOAL_FLAGS = {
  accuracy: of("budget", BUDGET_GOAL.accuracy),
  cost: of("budget", BUDGET_GOAL.cost),
  milliseconds: of("budget", BUDGET_GOAL.milliseconds),
  budget: of("budget", BUDGET_GOAL.budget),
} as const;

const METHOD = option.choice(["ltt", "crc", "ucb", "budget"], "what is promised");

export const calibrateSpec = {
  name: "calibrate",
  usage: "LOGITS | RUN [flags]",
  paths: ONE_SOURCE,
  about: `Finds thresholds under which leaving early keeps its promise, from calibration logits (safetensors or npz
with arrays logits [samples, exits, classes], labels, and optionally macs, ids and scores), and writes
them as a policy file. For the folder of a run, its logits and the settings in its config.json take the
place of the defaults.

Methods:
  ltt     error rate of early leavers, with probability 1 - delta
  crc     mean loss over all samples, on average; ucb: the same with probability 1 - delta
  budget  no guarantee; the best thresholds on LOGITS for one of --accuracy, --cost, or --milliseconds with --budget
  With --as-published the method that a run was trained by says which; one threshold for all exits, or margins of
  precision for each class, are found on the validation logits.`,
  flags: {
    alpha: LEVELS.alpha,
    delta: LEVELS.delta,
    validation: path("labelled logits on which thresholds to try are laid out (default: a third of LOGITS)"),
    method: METHOD,
    asPublished: option.toggle(
      false,
      "for a run: decide as its method's paper does (sortie methods NAME), on the score it names, with or without a guarantee",
    ),
    ...LTT_FLAGS,
    ...RISK_FLAGS,
    ...GOAL_FLAGS,
    score: SCORE,
    scale: SCALING_METHOD,
    ...LOGITS_FLAGS,
    ...COST_FLAGS,
    sameSamples: SAME_SAMPLES,
    seed: LEVELS.seed,
    out: { ...path("the policy file (for a run: in its folder)"), default: "policy.json" },
  },
  more: `Exit code 0: certified. 2: nothing could be certified (the file says so too). 1: bad input.

  sortie calibrate calibration.safetensors --alpha 0.05 --delta 0.1
  sortie calibrate calibration.npz --validation validation.npz --method crc --loss disagreement --alpha 0.02
  sortie calibrate validation.npz --method budget --milliseconds 2.1,4.0,7.5 --budget 4
  sortie calibrate runs/glyphs-calexnet-1 --as-published
`,
} satisfies CommandSpec;

type Flags = OptionValues<typeof calibrateSpec.flags>;

/** What the flags are for the folder of a run, unless given. */
function runDefaults(folder: RunFolder, published: PolicyPlan | undefined): Partial<Flags> {
  const { alpha, delta, control, scale } = folder.config().calibration;
  return {
    ...{ alpha, delta, control },
    // Papers look at what the network says.
    ...(scale !== "none" && !published && { scale }),
    ...(published && { score: published.score, ...(published.rule === "budget" && { method: published.rule }) }),
    validation: folder.logits("validation"),
    out: folder.path("policy"),
  };
}

const keysOf = <S extends object>(set: S) => Object.keys(set) as unknown as readonly Extract<keyof S, keyof Flags>[];

const allOf = (set: object, methods: readonly Flags["method"][]) =>
  Object.fromEntries(Object.keys(set).map((flag) => [flag, methods]));

/** Methods that read a flag which not all of them do. */
const READERS: Readers = {
  alpha: ["ltt", "crc", "ucb"],
  delta: ["ltt", "ucb"],
  seed: ["ltt", "crc", "ucb"],
  ...allOf(LTT_FLAGS, ["ltt"]),
  ...allOf(RISK_FLAGS, ["ucb"]),
  loss: ["crc", "ucb"],
  ...allOf(GOAL_FLAGS, ["budget"]),
};

/** The rule of a run's method, where it is asked for. @throws SortieError for logits that are of no run. */
function publishedOf(source: string, folder: RunFolder | undefined, given: Partial<Flags>): PolicyPlan | undefined {
  if (given.asPublished !== true) return undefined;
  if (!folder)
    throw new SortieError(
      `calibrate: --as-published must be of the folder of a run, whose method says what it decides by; got ${source}.`,
    );
  const stray = (["method", "score"] as const).find((flag) => given[flag] !== undefined);
  if (stray !== undefined)
    throw new SortieError(
      `calibrate: --as-published says method and score; got --${stray} too. Leave one of them out.`,
    );
  return makePlan(folder.config()).policy;
}

/** A flag that the method does not read would be passed over in silence: refuse it. */
function checkMethodFlags(given: Partial<Flags>, { method, scale }: Flags, published: PolicyPlan | undefined): void {
  if (published && isPlain(published)) {
    const stray = Object.keys(READERS).find((flag) => given[flag as keyof Flags] !== undefined);
    if (stray === undefined) return;
    throw new SortieError(
      `calibrate: --${flagOf(stray)} must be left out: the published rule of this run's method does not read it.`,
    );
  }
  const stray = unread(given, ["method", method], READERS, (name) => `--${flagOf(name)}`);
  if (stray !== undefined) throw new SortieError(`calibrate: ${stray}`);
  if (method !== "budget" || given.validation === undefined || scale !== undefined) return;
  throw new SortieError(
    "calibrate: --validation goes with --method budget for --scale only; got no --scale. " +
      "A budget is searched on LOGITS.",
  );
}

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export function runCalibrate(args: readonly string[], print: Print = console.log): number {
  const asked = readCommand(calibrateSpec, args, print);
  if (!asked) return 0;
  const { given, positionals } = asked;
  const source = firstOf(positionals);
  const folder = RunFolder.at(source);
  if (folder?.recordOrNone() && !folder.hasEarlyExit) {
    const got = "its network has one exit, where all images leave";
    throw new SortieError(`calibrate: ${folder.dir} must have an early exit to find thresholds for; ${got}.`);
  }
  const published = publishedOf(source, folder, given);
  const chosen = { ...(folder && runDefaults(folder, published)), ...given };
  const values: Flags = { ...asked.values, ...chosen };
  const { method, alpha, delta, sameSamples } = values;
  checkMethodFlags(given, values, published);
  const paths = { calibration: folder?.logits("calibration") ?? source, validation: values.validation };
  if (!sameSamples) checkOtherFile(paths);
  checkOutput("calibrate", "--out", values.out, [source, ...Object.values(paths), ...(folder?.sources() ?? [])]);
  const options = logitsOptions(values);
  const read = (file: string) => costed("calibrate", readLogits(file, options), values, folder);
  const tables = {
    calibration: read(paths.calibration),
    validation: paths.validation === undefined ? undefined : read(paths.validation),
  };
  const { scaling, calibration, validation } = scaled(tables, values.scale);
  const names = exitNames(calibration.exits, folder);
  if (scaling) for (const note of scalingNotes(scaling, names)) print(`warning: ${note}`);
  const byPaper = published && isPlain(published) && byPublished(validation as Source, published, sameSamples);
  const request = byPaper ? undefined : requestOf(method, chosen, { ...values, isOwn: isOwnTable(folder, given) });
  const result =
    byPaper ||
    (request
      ? calibrateBy(request, { alpha, delta }, { calibration, validation }, sameSamples)
      : meetBudget(calibration, budgetGoal(values), { sameSamples, ...pickChosen(chosen, ["score"]) }));
  // What was found of the run under the policy before is not told of this one.
  if (folder && resolve(values.out) === resolve(folder.path("policy")))
    rmSync(folder.path("evaluation"), { force: true });
  writeWhole(values.out, encodePolicy({ result, ...(scaling && { scaling }), ...(request && { request }) }));
  for (const line of summary(result, names)) print(line);
  const note = originNote(calibration, paths.calibration);
  if (result.ok && note !== undefined) print(note);
  const tablesOnly = result.ok ? tablesOnlyNote(result.score, scaling) : undefined;
  if (tablesOnly !== undefined) print(tablesOnly);
  print(`wrote ${values.out}`);
  return result.ok ? 0 : 2;
}

/** What nobody can check of a policy made on these logits, if anything. */
function originNote({ origin }: Pick<Table, "origin">, path: string): string | undefined {
  if (origin?.weights !== undefined) return undefined;
  return `note: ${path} does not say which weights its logits are of, so the policy is not refused on another network's; see that it is not used there.`;
}

/** What of a policy no device runs, if anything: it decides on tables alone, and cannot be exported. */
function tablesOnlyNote(score: Score | "given", scaling: Scaling | undefined): string | undefined {
  const method = scaling?.scalers.find((scaler) => scaler.method !== "temperature")?.method;
  const isOwn = (OWN_SCORES as readonly unknown[]).includes(score);
  if (isOwn && method === undefined) return undefined;
  const what = [
    ...(isOwn ? [] : [`the score ${scoreName(score)} (those that run: ${OWN_SCORES.join(", ")})`]),
    ...(method === undefined ? [] : [`scaling by ${method} (that which runs: temperature)`]),
  ];
  return `note: no device runs ${what.join(", nor ")}: evaluate and report take this policy, while deploy, export and bench refuse it.`;
}

/** One file for both sets, under whatever name. */
function checkOtherFile({
  calibration,
  validation,
}: {
  readonly calibration: string;
  readonly validation?: string | undefined;
}) {
  if (validation === undefined || !isSameFile(calibration, validation)) return;
  throw new SortieError(
    `calibrate: --validation must be another file than the calibration logits; got ${validation} for both. ` +
      "No guarantee holds on samples that thresholds were laid out on; --same-samples does it all the same.",
  );
}

/** Whether thresholds are laid out on the run's own validation logits. */
const isOwnTable = (folder: RunFolder | undefined, { validation }: Partial<Flags>): boolean =>
  folder !== undefined && (validation === undefined || isSameFile(validation, folder.logits("validation")));

/** What is asked for besides the levels; undefined for a budget, which promises nothing. */
function requestOf(
  method: Flags["method"],
  chosen: Partial<Flags>,
  { seed, costs, validation, isOwn }: Flags & { readonly isOwn: boolean },
): PolicyRequest | undefined {
  if (method === "budget") return undefined;
  const shared = {
    ...{ seed, ...pickChosen(chosen, ["score"]) },
    ...(costs === "milliseconds" && { costs }),
    ...(validation !== undefined && !isOwn && { validation: basename(validation) }),
  };
  return method === "ltt"
    ? { rule: "learnThenTest", ...shared, ...pickChosen(chosen, keysOf(LTT_FLAGS)) }
    : { rule: "controlRisk", method, ...shared, ...pickChosen(chosen, keysOf(RISK_FLAGS)) };
}

type Chosen<Flag extends keyof Flags> = { readonly [F in Flag]?: Exclude<Flags[F], undefined> };

/** The given ones among some flags. */
function pickChosen<Flag extends keyof Flags>(chosen: Partial<Flags>, flags: readonly Flag[]): Chosen<Flag> {
  const given = flags.filter((flag) => chosen[flag] !== undefined).map((flag) => [flag, chosen[flag]]);
  return Object.fromEntries(given) as Chosen<Flag>;
}

/** What `--method budget` is to reach, from exactly one of its goals. */
function budgetGoal({ accuracy, cost, milliseconds, budget }: Flags): BudgetGoal {
  const goals = { accuracy, cost, milliseconds, budget };
  const given = keysOf(GOAL_FLAGS)
    .filter((flag) => goals[flag] !== undefined)
    .join(", ");
  if (accuracy !== undefined && given === "accuracy") return { accuracy };
  if (cost !== undefined && given === "cost") return { cost };
  if (milliseconds !== undefined && budget !== undefined && given === "milliseconds, budget")
    return { milliseconds, budget };
  throw new SortieError(
    `calibrate: --method budget needs one goal: --accuracy, --cost, or --milliseconds with --budget; got ${given || "none"}.`,
  );
}

/** Scaling is fitted on validation samples only: fitted on calibration samples it would spend their independence. */
function scaled(
  tables: { readonly calibration: Table; readonly validation: Table | undefined },
  method: ScalingOptions["method"] | undefined,
): { readonly scaling?: Scaling; readonly calibration: Source; readonly validation: Source | undefined } {
  if (!method) return tables;
  if (!tables.validation) {
    throw new SortieError(
      "calibrate: --scale needs --validation; got none. Scaling must not be fitted on calibration samples.",
    );
  }
  const scaling = fit(tables.validation, { method });
  return {
    scaling,
    calibration: applyScaling(tables.calibration, scaling),
    validation: applyScaling(tables.validation, scaling),
  };
}

function summary(result: PolicyFile["result"], names: readonly string[]): readonly string[] {
  if (!result.ok) return [explain(result)];
  const found = [explain(result), ...thresholdLines(result, names)];
  if (!("alpha" in result)) {
    const cost = result.isTime ? `${result.cost.toFixed(3)} ms on average` : `${percent(result.cost)} of the full cost`;
    return [...found, `on these samples accuracy ${percent(result.accuracy)} at ${cost}`];
  }
  return [
    ...found,
    `on the calibration samples ${percent(result.coverage)} leave early, at ${percent(result.cost)} of the full cost`,
    ...result.tests.map((group) => `  ${groupName(group, names)}: ${group.errors} wrong of ${group.accepted}`),
  ];
}

/** One line, or one for each exit whose thresholds differ by class. */
function thresholdLines(
  { thresholds, score }: Extract<PolicyFile["result"], { readonly ok: true }>,
  names: readonly string[],
): readonly string[] {
  const early = names.slice(0, -1);
  const perExit = thresholds.length / early.length;
  const of = (j: number) => Array.from(thresholds.subarray(j * perExit, (j + 1) * perExit), threshold).join(" ");
  const title = `thresholds (${scoreName(score)})`;
  if (perExit === 1) return [`${title}: ${early.map((name, j) => `${name} ${of(j)}`).join(", ")}`];
  return early.map((name, j) => `${title} of ${name} by class: ${of(j)}`);
}

/** A group with the name of its exit as it is called here. */
const groupName = ({ name, exit }: PromisedGroup, names: readonly string[]): string =>
  exit === undefined ? name : name.replace(`exit ${exit + 1}`, names[exit] ?? name);
