// `sortie compare`: trains every method with every seed, what is not finished yet, and holds them against each other;
// or reads runs that are finished.

import { existsSync } from "node:fs";
import { defined, firstOf, messageOf, type OptionValues, option, SortieError } from "../../base/index.ts";
import { firstDifference } from "../../exits/index.ts";
import { policyFault } from "../compare/asked-policy.ts";
import { figuresOf, type RunFigures } from "../compare/figures.ts";
import { type Known, readKnown, untold } from "../compare/known.ts";
import { labelled, type Named } from "../compare/labels.ts";
import { expectedTime, isFinished, isOpen, liveTable, planLines, progressOf } from "../compare/lines.ts";
import { checkKnown, writeComparison } from "../compare/outcome.ts";
import {
  completePlan,
  type Experiment,
  experimentsOf,
  type GivenPlan,
  PLAN_FLAGS,
  PLAN_KEYS,
  type Plan,
  planOfFile,
  type RunKey,
} from "../compare/plan.ts";
import { doRemotely } from "../compare/remote.ts";
import type { Failure } from "../compare/sheets.ts";
import { readTiming, timeRun } from "../compare/timing.ts";
import { decisive, RunFolder, runId } from "../files/run-folder.ts";
import { stampOf } from "../files/stamp.ts";
import { placesIn } from "../files/teachers.ts";
import { checkAgreement, readAgreement } from "../findings/agreement.ts";
import { CORRUPTION_FLAGS, type CorruptionRequest, corruptionRequest } from "../findings/corruptions.ts";
import { type Findings, findings } from "../findings/findings.ts";
import { chartLibraries } from "../report/plots.ts";
import { readCorruptions } from "../report/sections/corruptions.ts";
import { type Asked, type CommandSpec, flagOf, path, readCommand } from "../settings/command.ts";
import { type Config, layered, RUN_SETTINGS, settingsOfFile } from "../settings/config.ts";
import type { Print } from "../settings/flags.ts";
import { inFlags, type Plain } from "../settings/settings.ts";
import { runCalibrate } from "./calibrate.ts";
import { corruptRun, runEvaluate } from "./evaluate.ts";
import { type SharedPlaces, trainInto } from "./train.ts";

export const compareSpec = {
  name: "compare",
  usage: "--methods A,B,... [flags] | RUN RUN ...",
  paths: { most: Infinity, must: "folders of runs" },
  about: `Trains every method on every data set and backbone with every seed, each in a run folder of its own, calibrates and
evaluates it as the commands of these names do, and writes one page, one JSON and one text about all of them. Runs that
are finished are not made again, and one that was stopped goes on: the same command again continues. Thresholds are
chosen on validation images or certified on calibration images, never on test images. A larger network that runs learn
from is trained once for all of a seed, and so is a plain backbone that their methods begin with; workers of a queue, who
share no folder, train their own. Given folders of runs, it compares these, and trains nothing.`,
  flags: {
    ...PLAN_FLAGS,
    config: path("all of these as JSON, as below"),
    list: option.toggle(false, "print the plan, a numbered line a run, and stop"),
    known: path("comparison.json of runs that were made elsewhere or before: they are taken over, and not made again"),
    finishedOnly: option.toggle(false, "compare what is finished or known, and make nothing"),
    index: option.whole(undefined, "make only this run of the plan and write no page: for arrays of jobs", { min: 1 }),
    noTiming: option.toggle(false, "do not measure milliseconds"),
    ...CORRUPTION_FLAGS,
    queue: option.text(
      undefined,
      "let workers do the runs (sortie worker URL), on whatever machines: postgres://HOST:5432/DATABASE, or redis://HOST:6379 for Valkey and Redis. What is finished anywhere is done once, and fetched; stopped, the same command waits on",
    ),
    artefacts: path("with --queue: folder, or s3://BUCKET/PREFIX, that workers and this command both reach"),
  },
  settings: RUN_SETTINGS,
  more: `Every other flag of sortie train, but --name, --seed and --fresh, is a setting of all runs. In a file the keys are ${PLAN_KEYS.join(", ")}; a method,
backbone or data set may be an object there, with options and a label of its own:

  { "methods": ["joint", { "label": "steep", "name": "soft-cgt", "kappa": 10 }],
    "settings": { "train": { "epochs": 5 } } }

Where not everything shall meet everything, "runs" lists what does, in its order, by labels:

  "runs": [{ "methods": ["joint"], "seeds": [0, 1] }, { "methods": ["steep"], "seeds": [0] }]

A file that "extends" another, by its path from there, takes over what it does not say itself.

Exit code 0: done. 1: bad input, or a run that failed; the others are compared. 130, 143, 129: interrupted.

  sortie compare --methods joint,soft-cgt,hard-cgt --seeds 0,1 --epochs 4
  sortie compare runs/glyphs-joint-1 runs/glyphs-soft-cgt-1
  sortie compare --methods joint,soft-cgt --queue postgres://db.example/sortie --artefacts s3://bucket/runs
`,
} satisfies CommandSpec;

type Values = OptionValues<typeof compareSpec.flags>;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runCompare(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(compareSpec, args, print);
  if (!asked) return 0;
  const { values, given, positionals } = asked;
  const context = { isTimed: !values.noTiming, corruptions: corruptionRequest("compare", values), print };
  if (positionals.length > 0) {
    const stray = Object.keys(given).find((flag) => !OF_FOLDERS.includes(flag));
    if (stray !== undefined)
      throw new SortieError(
        `compare: --${flagOf(stray)} goes with a plan, and folders of runs are compared as they are; got both.`,
      );
    const { out, against } = given;
    return compareFolders(positionals, { settings: asked.settings, out, against, ...context });
  }
  const { plan, notes } = planOf(asked);
  for (const note of notes) print(note);
  const experiments = experimentsOf(PLACE, plan);
  const { against, out } = plan;
  return comparePlan(experiments, { against, out, values, ...context });
}

const PLACE = inFlags("compare", {});

/** Flags that go with folders of runs. */
const OF_FOLDERS: readonly string[] = ["out", "against", "noTiming", ...Object.keys(CORRUPTION_FLAGS)];

/** Lists of a plan, by which flag they come, and the setting that is a list of one. */
const LISTS = [
  ["methods", "methods", "method", "name"],
  ["backbones", "backbones", "model", "backbone"],
  ["data", "sets", "data", "name"],
] as const;

const leafOf = (settings: Plain, group: string, key: string): unknown => (settings[group] as Plain | undefined)?.[key];

/** The plan that flags ask for, over that of a file. */
function planOf({ values, given, settings: flags }: Asked<typeof compareSpec.flags>) {
  const { config: file } = values;
  const { settings: common, ...ofFile } = file === undefined ? {} : planOfFile(file);
  const under = file === undefined ? undefined : { path: file, settings: settingsOfFile(file, common ?? {}) };
  const { config: settings, notes } = layered("compare", flags, under);
  for (const key of ["name", "seed", "out"])
    if (key in settings)
      throw new SortieError(`compare: --${key} is the plan's to set; got one. Use --seeds, labels, or the plan's out.`);
  for (const [lists, flag, group, key] of LISTS) {
    if (given[flag] !== undefined && leafOf(flags, group, key) !== undefined)
      throw new SortieError(`compare: --${flag} names what --${group}.${key} names; got both. Leave out one of them.`);
    if (ofFile[lists] !== undefined && leafOf((common ?? {}) as Plain, group, key) !== undefined)
      throw new SortieError(
        `compare: ${file} must name ${lists} once; got ${lists} and settings.${group}.${key}. Leave out one of them.`,
      );
  }
  const one = (group: string, key: string) => leafOf(settings, group, key);
  const asked: GivenPlan = {
    ...ofFile,
    // One that is given as to the other commands is a list of one.
    ...defined({
      methods: given.methods ?? one("method", "name"),
      backbones: given.backbones ?? one("model", "backbone"),
      data: given.sets ?? one("data", "name"),
      ...defined({ seeds: given.seeds, against: given.against, out: given.out }),
    }),
  };
  return { plan: completePlan(PLACE, asked, settings), notes };
}

/** Which corruptions of the test images are looked at. */
type Corrupting = Omit<CorruptionRequest, "seed">;

/** What both ways of comparing need. */
interface Context {
  readonly isTimed: boolean;
  readonly corruptions: Corrupting | undefined;
  readonly print: Print;
}

interface PlanContext extends Context, Pick<Plan, "against" | "out"> {
  readonly values: Values;
}

async function comparePlan(planned: readonly Experiment[], context: PlanContext): Promise<number> {
  const { values, print } = context;
  const known: Known = values.known === undefined ? new Map() : readKnown(values.known);
  for (const line of planLines(planned, known)) print(line);
  if (values.list) return 0;
  const { index, queue, artefacts, finishedOnly } = values;
  if ((queue === undefined) !== (artefacts === undefined) || (queue !== undefined && index !== undefined))
    throw new SortieError("compare: --queue and --artefacts must be given together, and without --index.");
  if (finishedOnly && (queue !== undefined || index !== undefined))
    throw new SortieError("compare: --finished-only makes nothing; it must be given without --queue and --index.");
  if (index !== undefined) return oneOf(planned, index, { ...context, known });

  checkKnown(values.known, context.out);
  // What the last step needs must not be missed after a day of training.
  await chartLibraries();
  const toDo = planned.filter((experiment) => isOpen(experiment, known));
  const isRemote = queue !== undefined && artefacts !== undefined;
  const failed = isRemote ? await doRemotely(toDo, { queue, artefacts, print }) : new Map<string, string>();
  const experiments = finishedOnly ? planned.filter((experiment) => !toDo.includes(experiment)) : planned;
  return makeAll(experiments, { ...context, known, failed, open: planned.length - experiments.length });
}

interface MakeContext extends PlanContext {
  readonly known: Known;
  /** Why some could not be made, by name. */
  readonly failed: ReadonlyMap<string, string>;
  /** How many others there are that are not made. */
  readonly open: number;
}

async function makeAll(experiments: readonly Experiment[], context: MakeContext): Promise<number> {
  const { print, known, failed } = context;
  const places = placesIn(context.out);
  const { finishedOnly } = context.values;
  const reading: Context = finishedOnly ? { isTimed: false, corruptions: undefined, print } : context;
  const runs: RunFigures[] = [];
  const takenOver: RunFigures[] = [];
  const failures: Failure[] = [];
  const table = liveTable(experiments);
  const count = experiments.length;
  const toDo = experiments.filter((experiment) => isOpen(experiment, known));
  for (const [i, experiment] of experiments.entries()) {
    const { name, config, ...key } = experiment;
    const isToDo = toDo.includes(experiment);
    const progress = progressOf(experiment, known);
    try {
      const reason = failed.get(name);
      if (reason !== undefined) throw new SortieError(reason);
      const before = progress === "known" ? known.get(runId(config)) : undefined;
      const title = `run ${i + 1} of ${count}: ${name}`;
      const code = before || finishedOnly ? 0 : await finish(experiment, { ...context, ...places }, title);
      if (code >= 128) return code;
      const run = before ? { ...before, ...key } : await readRun(RunFolder.of(config), key, reading, config);
      if (before) takenOver.push(run);
      if (runs.push(run) === 1) print(`\n${table.head}`);
      print(table.of(run));
      const rest = toDo.slice(toDo.indexOf(experiment) + 1);
      if (isToDo && rest.length > 0) print(expectedTime(experiments, rest));
    } catch (error) {
      const reason = messageOf(error);
      failures.push({ name, reason });
      print(`${name} FAILED: ${reason}`);
    }
    // Whoever looks in the meantime sees what there is.
    const open = count - i - 1 + context.open;
    if (isToDo && open > 0 && runs.length > 0) await writeComparison({ runs, failures, ...context, open });
  }
  if (runs.length === 0) throw new SortieError(`compare: none of the ${count + context.open} runs came to its end.`);
  for (const line of untold(finishedOnly ? runs : takenOver, context)) print(line);
  print(`wrote ${(await writeComparison({ runs, failures, ...context })).join(", ")}`);
  return failures.length > 0 ? 1 : 0;
}

async function oneOf(
  experiments: readonly Experiment[],
  index: number,
  context: PlanContext & Pick<MakeContext, "known">,
): Promise<number> {
  const experiment = experiments[index - 1];
  if (!experiment)
    throw new SortieError(`compare: --index must be one of 1..${experiments.length}; got ${index}. See --list.`);
  if (progressOf(experiment, context.known) === "known") return 0;
  const code = await finish(experiment, { ...context, ...placesIn(context.out) }, experiment.name);
  if (code === 0) checkAgreement(RunFolder.of(experiment.config));
  return code;
}

/** Trains, calibrates and evaluates what is not done yet; the exit code of what stopped. */
async function finish(
  { config }: Experiment,
  { print, teachers, phases }: Context & SharedPlaces,
  title: string,
): Promise<number> {
  const folder = RunFolder.of(config);
  if (!isFinished(folder, config)) {
    print(`\n${title}`);
    const code = await trainInto(config, { isFresh: false, print, teachers, phases });
    if (code !== 0) return code;
  }
  // Its settings are those of this plan, whatever calibration was asked for before.
  if (firstDifference(folder.config().calibration, config.calibration)) folder.claim(config);
  const fault = policyFault(folder, config);
  if (fault !== undefined) {
    if (existsSync(folder.path("policy"))) print(`${folder.dir} was ${fault} than is planned; it is calibrated again`);
    runCalibrate([folder.dir], quiet);
  }
  if (fault !== undefined || readAgreement(folder) === undefined) await runEvaluate([folder.dir], quiet);
  return 0;
}

const quiet: Print = () => {};

interface FoldersContext extends Context {
  readonly settings: Plain;
  readonly out: string | undefined;
  readonly against: string | undefined;
}

async function compareFolders(
  dirs: readonly string[],
  { settings, out = ".", against, ...context }: FoldersContext,
): Promise<number> {
  const { print } = context;
  const [strange] = Object.keys(settings);
  if (strange !== undefined)
    throw new SortieError(`compare: ${strange} is a setting of training; folders of runs are compared as they are.`);
  const named: Named[] = [];
  for (const dir of dirs) {
    const folder = RunFolder.at(dir);
    if (!folder) throw new SortieError(`compare: ${dir} must be the folder of a run; there is no such folder.`);
    // Told of the last folder, too, before anything is timed.
    folder.logits("test");
    checkAgreement(folder);
    named.push({ folder, ...labelled(folder, named), settings: decisive(folder.config()) });
  }
  const methods = [...new Set(named.map(({ method }) => method))];
  if (against !== undefined && !methods.includes(against))
    throw new SortieError(`compare: --against must be one of ${methods.join(", ")}; got ${against}.`);
  await chartLibraries();
  const runs: RunFigures[] = [];
  for (const { folder, settings: _, ...key } of named) runs.push(await readRun(folder, key, context));
  const table = liveTable(runs);
  for (const line of [table.head, ...runs.map(table.of)]) print(line);
  print(
    `wrote ${(await writeComparison({ runs, failures: [], against: against ?? firstOf(methods), out })).join(", ")}`,
  );
  return 0;
}

/** The figures of a run, whose policy must be what its settings, or those given, ask for. */
async function readRun(
  folder: RunFolder,
  key: RunKey,
  { isTimed, corruptions, print }: Context,
  asked?: Config,
): Promise<RunFigures> {
  checkAgreement(folder);
  const found = findings(folder.dir, undefined, { anyOrigin: true });
  // A policy of other weights is none that could be timed, or that corrupted images could break.
  const isOwn = !found.isForeign;
  if (!isOwn && (isTimed || corruptions))
    print(`${folder.dir}: neither timed nor corrupted; its policy is of other weights. Calibrate it again.`);
  if (isOwn && isTimed) {
    const timing = readTiming(folder, stampOf(found.raw, found.file)) ?? (await timeRun(folder, found));
    if (typeof timing === "string") print(`${folder.dir}: not timed; ${timing}`);
  }
  if (isOwn && corruptions && !areThere(folder, found, corruptions)) {
    print(`${folder.dir}: test images are corrupted`);
    await corruptRun(folder, found, corruptions, quiet).catch((error: unknown) => {
      // A run of which it cannot be looked at is compared all the same.
      if (!(error instanceof SortieError)) throw error;
      print(`${folder.dir}: not corrupted; ${error.message}`);
    });
  }
  return figuresOf(folder, key, asked);
}

/** Whether these corruptions of these weights were looked at before, under this policy. */
function areThere(folder: RunFolder, { raw, file }: Findings, asked: Corrupting): boolean {
  const found = readCorruptions(folder, { raw, file });
  const images = asked.dir === undefined ? "made" : "official";
  const samples = Math.min(asked.samples ?? raw.samples, raw.samples);
  if (found?.samples !== samples || found.of !== raw.samples || found.images !== images) return false;
  return asked.names.every((name) => found.rows.some((row) => row.name === name));
}
