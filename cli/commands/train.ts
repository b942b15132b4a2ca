// `sortie train`: trains a multi-exit network into a run folder, and caches the logits that calibration works on.

import { existsSync } from "node:fs";
import { resolve, sep } from "node:path";
import { defined, messageOf, only, SortieError } from "../../base/index.ts";
import { clopperPearson } from "../../calibration/index.ts";
import type { ImageBytes, Splits } from "../../data/index.ts";
import { createDevice, type Device } from "../../engine/index.ts";
import {
  adapterName,
  CADENCE,
  defaultReport,
  type FolderLock,
  lineReport,
  lockFolder,
  lockIfFree,
  type MultiExit,
  type Report,
  train,
} from "../../exits/index.ts";
import { newFolders } from "../files/outputs.ts";
import { LOGIT_SPLITS, RunFolder, type RunRecord } from "../files/run-folder.ts";
import { ownTeacher, sharedTeacher } from "../files/teachers.ts";
import { versions } from "../files/versions.ts";
import { toJson, withDisk } from "../files/whole.ts";
import { level } from "../format.ts";
import { interruption } from "../interruption.ts";
import { type CommandSpec, NO_PATH, readCommand } from "../settings/command.ts";
import { type Config, configHelp, configOf, RUN_FLAGS, RUN_SETTINGS } from "../settings/config.ts";
import type { Print } from "../settings/flags.ts";
import { loadData, makeNetwork, makePlan, makeRecipe } from "../settings/model.ts";

export const trainSpec = {
  name: "train",
  usage: "[flags]",
  paths: NO_PATH,
  about: `Trains a network with several exits and writes its run folder: settings, checkpoints, metrics, cached logits. A run that
was stopped, in whatever way, goes on where its last checkpoint is when the same command is given again.

Settings come from what is preset for the data set, then a JSON file, then flags. In the file they are nested by the
dots: { "train": { "epochs": 10 } }.`,
  flags: RUN_FLAGS,
  settings: { ...RUN_SETTINGS, help: configHelp },
  more: `Exit code 0: trained. 1: bad input, or training could not go on. 130, 143, 129: interrupted by SIGINT,
SIGTERM, SIGHUP; 141: nobody reads what it prints. The same command resumes.

  sortie train
  sortie train --data fashion-mnist --data-dir data/fashion-mnist --epochs 10
  sortie train --config my.json --method hard-cgt --seed 2
  sortie train --data cifar100 --model.backbone imagenet-resnet --model.head attention --train.augment cgt
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runTrain(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(trainSpec, args, print);
  if (!asked) return 0;
  const { config, notes } = configOf("train", asked.settings, asked.values.config);
  for (const note of notes) print(note);
  return trainInto(config, { isFresh: asked.values.fresh, print });
}

/** What a command hands on when it trains. */
export interface TrainingContext {
  readonly isFresh: boolean;
  readonly print: Print;
}

/** Where runs find what others have trained for them. */
export interface SharedPlaces {
  /** Folder of teachers that several runs learn from; none: each run has its own, in its own folder. */
  readonly teachers?: string | undefined;
  /** Folder of first phases that several runs have; none: each run trains its own. */
  readonly phases?: string | undefined;
}

/** Trains into the folder of the settings; the exit code. */
export async function trainInto(
  config: Config,
  { isFresh, print, teachers, phases }: TrainingContext & SharedPlaces,
): Promise<number> {
  // Bad settings are found before anything is written.
  const own = ownTeacher(config);
  const folder = RunFolder.of(config);
  if (!isFresh) folder.check(config);
  else checkStart(config, folder.dir);
  // A folder that is there is taken before the data are read; a new one is made only for data that can be read.
  const made = newFolders(folder.dir);
  let lock = existsSync(folder.dir) ? await lockFolder("train", folder.dir) : undefined;
  const interrupt = interruption();
  let device: Device | undefined;
  try {
    if (lock) restore(folder, config, isFresh);
    // What was timed on this adapter before need not be timed again.
    device = await createDevice({ tuning: config.train.tune === "once" ? "cached" : "off" });
    const data = await loadData(config, print);
    interrupt.signal.throwIfAborted();
    lock ??= await lockFolder("train", folder.dir);
    const context = { isFresh, print, data, device, signal: interrupt.signal, phases };
    const taught = own && (await trainTeacher(own, teachers, context));
    await trainRun(config, folder, { ...context, lock, teacher: taught });
    print(`wrote ${folder.dir}: weights, metrics.jsonl, logits of ${LOGIT_SPLITS.join(", ")}`);
    return 0;
  } catch (error) {
    const { reason } = interrupt.signal;
    const isInterrupted = reason !== undefined && (error === reason || (error as Error).cause === reason);
    if (!isInterrupted) throw withDisk(error, folder.dir);
    print(messageOf(error));
    return interrupt.code;
  } finally {
    interrupt.stop();
    device?.dispose();
    await lock?.release();
    made.removeEmpty();
  }
}

interface RunContext extends TrainingContext, Pick<SharedPlaces, "phases"> {
  readonly data: Splits<ImageBytes>;
  readonly device: Device;
  readonly signal: AbortSignal;
  readonly lock: FolderLock;
  readonly teacher?: MultiExit | undefined;
}

/**
 * The network that another learns from, trained into a folder of its own, or as it was trained there before. Where
 * others find it, unless this run has begun one of its own, or another process is at that one just now.
 */
async function trainTeacher(
  own: Config,
  teachers: string | undefined,
  context: Omit<RunContext, "lock">,
): Promise<MultiExit> {
  const wanted = teachers === undefined ? undefined : sharedTeacher(own, teachers);
  const shared = wanted && (await takeTeacher(wanted, context, lockIfFree));
  if (wanted && !shared) context.print("teacher: another process is at the shared one; this run trains its own");
  const { config, folder, lock, made } = shared ?? (await takeTeacher(own, context, lockFolder));
  try {
    context.print(`teacher: ${config.method.name} into ${folder.dir}`);
    return await trainRun(config, folder, { ...context, lock });
  } finally {
    await lock.release();
    made.removeEmpty();
  }
}

/** Refuses to start from the run that is replaced. @throws SortieError */
function checkStart({ train: { from, weights } }: Config, dir: string): void {
  const start = from ?? weights;
  if (start === undefined || !`${resolve(start)}${sep}`.startsWith(`${resolve(dir)}${sep}`)) return;
  const option = from === undefined ? "--weights" : "--from";
  throw new SortieError(
    `train: ${option} must be of another run than the one that --fresh replaces; got ${start}. Give the new one a --name of its own.`,
  );
}

/** Puts back what a process had set aside that was killed before it began, unless this one begins anew. */
function restore(folder: RunFolder, config: Config, isFresh: boolean): void {
  if (isFresh) return;
  folder.putBack();
  folder.check(config);
}

/** The folder of a teacher, for this process; undefined where the lock is not to be had. */
async function takeTeacher<L extends FolderLock | undefined>(
  config: Config,
  { isFresh }: Pick<RunContext, "isFresh">,
  lockIt: (op: string, dir: string) => Promise<L>,
) {
  const folder = RunFolder.of(config);
  if (!isFresh) folder.check(config);
  const made = newFolders(folder.dir);
  const lock = await lockIt("train", folder.dir);
  try {
    if (lock) restore(folder, config, isFresh);
  } catch (error) {
    await lock?.release();
    throw error;
  }
  return lock && { config, folder, made, lock };
}

/** Trains a network into its folder, whose lock is held, and caches its logits. */
async function trainRun(config: Config, folder: RunFolder, context: RunContext): Promise<MultiExit> {
  const { data, device, print, signal, lock, teacher, isFresh, phases } = context;
  const laps = stopwatch();
  const net = makeNetwork(config, data, device);
  const grows = !isFresh && folder.grows(config);
  laps.end("data");
  const before = isFresh ? undefined : folder.recordOrNone();
  let record = (grows ? undefined : before) ?? recordOf(net, data, device);
  let isAnew = record.finished === undefined;
  /** Those of earlier processes included. */
  const seconds = () => addedUp(before?.seconds, laps.seconds);
  let isBegun = false;
  for (const line of introduction(folder, record)) print(line);
  for (const line of tooFew(config, data.calibration.size)) print(line);
  for (const line of foreignClassifiers(config, net, data)) print(line);
  for (const line of frozenAsDrawn(config)) print(line);
  const report = reportTo(print);
  const asked = { ...makeRecipe(config), method: makePlan(config) };
  // What lies there must not be gone on with.
  if (isFresh) folder.setAside();
  const run = await train(net, data, {
    ...asked,
    seed: config.seed,
    dir: folder.dir,
    lock,
    made: record.made,
    ...only(CADENCE, config.train),
    ...defined({ teacher, phases }),
    report(event) {
      // Everything has been checked by now: what is refused leaves no run behind.
      if (event.kind === "start") {
        folder.claim(config);
        // A process may have been killed when it had begun to train a finished run further.
        if (event.step < event.steps && !isAnew) [record, isAnew] = [recordOf(net, data, device), true];
        if (event.taken) record = { ...record, taken: event.taken };
        if (isAnew) folder.write("record", toJson(record));
        isBegun = true;
      }
      report(event);
    },
    signal,
  }).catch((error: unknown) => {
    laps.end("training");
    if (isFresh && !isBegun) folder.putBack();
    if (isFresh && isBegun) print("note: what has begun goes on without --fresh; with it, it begins anew");
    if (isAnew && isBegun) folder.write("record", toJson({ ...record, seconds: seconds() }));
    throw error;
  });
  laps.end("training");
  // Of a finished run that was trained further there may be some of what it was.
  if (isAnew) folder.forgetFindings();
  for (const split of LOGIT_SPLITS) {
    signal.throwIfAborted();
    await run.logits(split);
  }
  laps.end("logits");
  run.dispose();
  if (isAnew) folder.write("record", toJson({ ...record, finished: new Date().toISOString(), seconds: seconds() }));
  return net;
}

type Seconds = Readonly<Record<string, number>>;

/** What was spent on each part, in whole hundredths. */
const addedUp = (before: Seconds = {}, now: Seconds): Seconds =>
  Object.fromEntries(
    [...new Set([...Object.keys(before), ...Object.keys(now)])].map((part) => [
      part,
      Math.round(100 * ((before[part] ?? 0) + (now[part] ?? 0))) / 100,
    ]),
  );

function recordOf(net: MultiExit, { protocol, ...parts }: Splits<ImageBytes>, device: Device): RunRecord {
  const { train: images, validation, calibration, test } = parts;
  return {
    made: { ...versions(), adapter: adapterName(device.info) },
    protocol,
    classes: images.classes,
    samples: { train: images.size, validation: validation.size, calibration: calibration.size, test: test.size },
    parameters: net.parameters().reduce((sum, { size }) => sum + size, 0),
    exits: net.describe().map(({ stage, macs }) => ({ stage, macs })),
    started: new Date().toISOString(),
  };
}

function introduction({ dir }: RunFolder, { made, protocol, exits, parameters }: RunRecord): readonly string[] {
  const millions = (macs: number) => (macs / 1e6).toFixed(2);
  return [
    `run: ${dir} on ${made["adapter"]}`,
    `data: ${protocol}`,
    `network: ${parameters} parameters; exits after ${exits.map(({ stage }) => stage).join(", ")}, ` +
      `${exits.map(({ macs }) => millions(macs)).join(" / ")} million MACs`,
  ];
}

/** What is frozen and comes from nowhere. */
function frozenAsDrawn({ train: { from, weights, freeze = [] } }: Config): readonly string[] {
  if (from !== undefined || weights !== undefined || freeze.length === 0) return [];
  const what = freeze.map((beginning) => JSON.stringify(beginning)).join(", ");
  return [`note: --freeze keeps ${what} as it is drawn: no --from or --weights says where it comes from.`];
}

/** Classifiers that come from a run of other classes, and are not trained: they answer with those. */
function foreignClassifiers({ train: { from, freeze = [] } }: Config, net: MultiExit, data: Splits<ImageBytes>) {
  const { classes } = data.train;
  // A script's run has no record.
  const before = from === undefined ? undefined : new RunFolder(from).recordOrNone()?.classes;
  if (!before || before.join() === classes.join()) return [];
  const frozen = [...net.namedParameters()].flatMap(([name, { shape }]) =>
    shape.at(-1) === classes.length && freeze.some((beginning) => name.startsWith(beginning)) ? [name] : [],
  );
  if (before.length !== classes.length || frozen.length === 0) return [];
  return [
    `note: ${frozen.join(", ")} of ${from} tell ${before.slice(0, 3).join(", ")}, ... apart, not ${classes.slice(0, 3).join(", ")}, ..., and --freeze keeps them so.`,
  ];
}

/** What calibration cannot certify on so few images, whatever comes out of training. */
function tooFew({ calibration: { alpha, delta } }: Config, size: number): readonly string[] {
  const least = clopperPearson(0, size, { alpha: delta, side: "upper" }).upper;
  if (least <= alpha) return [];
  return [
    `note: ${size} calibration images are too few for a risk of ${level(alpha)}: even if all of them left early and were answered rightly, no ` +
      `less than ${level(Math.ceil(1000 * least) / 1000)} could be certified at delta ${delta}. More pictures help, a larger --data.calibration, or a larger --alpha.`,
  ];
}

/** Progress as a bar where lines go to a terminal, else as lines. */
function reportTo(print: Print): Report {
  return print === console.log ? defaultReport() : lineReport({ write: (text) => print(text.trimEnd()) });
}

function stopwatch(): { readonly seconds: Record<string, number>; end(lap: string): void } {
  const seconds: Record<string, number> = {};
  let last = performance.now();
  return {
    seconds,
    end(lap) {
      const now = performance.now();
      seconds[lap] = Math.round((now - last) / 10) / 100;
      last = now;
    },
  };
}
