// `sortie worker`: takes runs from a queue, one after the other, and starts the commands that do each in processes of
// their own, so that the queue hears from it whatever they are busy with.

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { extname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  codeOf,
  defined,
  FULL_DISK,
  firstOf,
  leftovers,
  messageOf,
  type OptionValues,
  option,
  partOf,
  SortieError,
} from "../../base/index.ts";
import { lookFor } from "../../data/index.ts";
import { createDevice } from "../../engine/index.ts";
import { RunFolder } from "../files/run-folder.ts";
import { version } from "../files/versions.ts";
import { toJson, writeWhole } from "../files/whole.ts";
import { readAgreement } from "../findings/agreement.ts";
import { interruption } from "../interruption.ts";
import {
  type Artefacts,
  artefactNames,
  checkPlace,
  checkpointsOf,
  openArtefacts,
  packRun,
  unpackRun,
} from "../queue/artefacts.ts";
import { openQueue } from "../queue/bullmq.ts";
import { type RunQueue, readJob, type TakenRun } from "../queue/queue.ts";
import { startBound, withoutNoise } from "../quiet.ts";
import { type CommandSpec, path, readCommand } from "../settings/command.ts";
import { type Config, completeConfig } from "../settings/config.ts";
import { missingFile, withContents } from "../settings/contents.ts";
import type { Print } from "../settings/flags.ts";
import { knownSet } from "../settings/sets.ts";
import { inFile } from "../settings/settings.ts";

export const workerSpec = {
  name: "worker",
  usage: "QUEUE [flags]",
  paths: { least: 1, most: 1, must: "the address of one queue" },
  about: `Takes the runs that sortie compare --queue QUEUE puts into a queue, trains, calibrates and evaluates each in a process of its own, and leaves
the results where the comparison finds them. QUEUE is postgres://HOST:5432/DATABASE, or redis://HOST:6379 for Valkey and Redis (rediss:// with
TLS). Checkpoints go there as they are made: a run whose worker was killed, or fell silent, goes on from them at another. It uses one adapter;
start one worker for each.`,
  flags: {
    artefacts: path("folder or s3://BUCKET/PREFIX of results, where its path is another here than the comparison says"),
    dataDir: path("folder of the data sets' files on this machine"),
    lock: option.number(30, "seconds of silence after which another worker gets the run", { min: 1 }),
  },
  more: `It runs until it is stopped. SIGTERM, SIGINT and SIGHUP: it lets the run write a checkpoint, hands it back, and ends with 143, 130, 129. Exit code 1:
bad input, no adapter, or a run that this machine cannot do, which was handed back: of another version of sortie, without its data set or the
weights that it starts from here, without room on the disk, or with results where this machine cannot put them.

  sortie worker postgres://worker@db.example:5432/sortie
  sortie worker redis://queue.example:6379 --artefacts /mnt/runs`,
} as const satisfies CommandSpec;

/** What all runs of a worker share. */
interface Bench extends OptionValues<typeof workerSpec.flags> {
  readonly stop: AbortSignal;
  /** Folder of what is at work. */
  readonly dir: string;
  readonly print: Print;
}

/** This machine cannot do a run, and another may. */
class Unfit extends SortieError {}

/** A full disk is told by whoever met it, in another process mostly. */
const isUnfit = (error: unknown): boolean => error instanceof Unfit || messageOf(error).includes(FULL_DISK);

/** What `work` returns; where it fails, another machine may do better. @throws SortieError, an Unfit */
async function orUnfit<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw new Unfit(messageOf(cause), { cause });
  }
}

/** @throws SortieError, an Unfit, where no device can be made. */
const checkAdapter = (): Promise<void> => orUnfit(async () => (await createDevice()).dispose());

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runWorker(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(workerSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const queue = await openQueue("worker", firstOf(positionals));
  try {
    // Without an adapter every run of the queue would fail here within seconds.
    await checkAdapter();
    return await serve(queue, values, print);
  } finally {
    await queue.close();
  }
}

/** Takes run after run until it is stopped, or met one that this machine cannot do; the exit code. */
async function serve(queue: RunQueue, values: OptionValues<typeof workerSpec.flags>, print: Print): Promise<number> {
  const dir = await makeFolder();
  const interrupt = interruption();
  const ended = new AbortController();
  const stop = AbortSignal.any([interrupt.signal, ended.signal]);
  const bench: Bench = { ...values, stop, dir, print };
  let unfit = false;
  const handle = async (run: TakenRun) => {
    try {
      return await doRun(run, bench);
    } catch (error) {
      print(`${run.id}: ${messageOf(error)}`);
      if (!isUnfit(error)) throw error;
      unfit = true;
      ended.abort();
      return "put aside";
    }
  };
  try {
    print("waiting for runs");
    await queue.work(handle, { stop, lock: values.lock, print });
  } finally {
    interrupt.stop();
    rmSync(dir, { recursive: true, force: true });
  }
  return unfit ? 1 : interrupt.code;
}

/**
 * A folder for what is at work; what workers of this machine and user left when they were killed goes. @throws
 * SortieError
 */
async function makeFolder(): Promise<string> {
  // Not every user has a name: containers run under bare numbers.
  const path = join(tmpdir(), `sortie-worker-${process.getuid?.() ?? "user"}`);
  for (const left of await leftovers(path)) rmSync(left, { recursive: true, force: true });
  const dir = partOf(path);
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (cause) {
    const got = codeOf(cause);
    throw new SortieError(`worker: ${tmpdir()} must be a folder that can be written to; got ${got}. Set TMPDIR.`, {
      cause,
    });
  }
  return dir;
}

async function doRun(run: TakenRun, { stop, dir, print, ...flags }: Bench): Promise<"done" | "handed back"> {
  const { id } = run;
  const job = readJob(run.job, id);
  if (job.sortie !== version())
    throw new Unfit(`worker: runs must be of sortie ${version()}, which this is; got one of ${job.sortie}.`);
  const config = await configHere(id, job.config, dir, flags.dataDir);
  const artefacts = await orUnfit(() => openArtefacts("worker", flags.artefacts ?? job.artefacts, true));
  await orUnfit(() => checkPlace("worker", artefacts));
  const folder = RunFolder.of(config);
  const names = artefactNames(id);
  if (await orUnfit(() => artefacts.get(names.whole))) return "done";
  const begun = await orUnfit(() => artefacts.get(names.begun));
  try {
    if (begun) unpackBegun(begun, folder.dir, `${names.begun} in ${artefacts.place}`);
    print(`${id}: ${config.method.name} on ${config.data.name}, seed ${config.seed}${begun ? ", goes on" : ""}`);
    const outcome = await makeRun(run, config, { stop, dir, print, artefacts, folder });
    print(`${id}: ${run.lost.aborted ? "silent for too long; another worker goes on" : outcome}`);
    return outcome;
  } finally {
    rmSync(folder.dir, { recursive: true, force: true });
  }
}

/** Takes the steps of a run that are not done yet, and leaves what came of it. */
async function makeRun(
  run: TakenRun,
  config: Config,
  { stop, dir, print, artefacts, folder }: Pick<Bench, "stop" | "dir"> & Kept,
): Promise<"done" | "handed back"> {
  const { id } = run;
  const isStopped = () => stop.aborted || run.lost.aborted;
  const settings = join(dir, `${id}.json`);
  writeWhole(settings, toJson(config));
  const keeper = keepCheckpoints(run, { folder, artefacts, print });
  try {
    for (const [args, isMade] of stepsOf(folder, settings)) {
      if (isStopped() || isMade()) continue;
      const { complaint, signal } = await start(args, AbortSignal.any([stop, run.lost]), keeper.tell);
      if (isMade() || isStopped()) continue;
      await checkAdapter();
      // The system kills the largest where memory is short; another machine may have more.
      if (signal === "SIGKILL") throw new Unfit(`${complaint} Is there enough memory?`);
      throw new SortieError(complaint);
    }
  } finally {
    await keeper.end();
  }
  const isLeft = !isStopped() && (await leaveWhole(id, folder.dir, { artefacts, print, isStopped }));
  if (!isLeft) await keeper.keep();
  return isLeft ? "done" : "handed back";
}

/** Milliseconds between attempts to leave a run, and how many there are. */
const AGAIN = 5000;
const ATTEMPTS = 120;

/**
 * Leaves a finished run where the comparison finds it, after an outage too; whether it could before it was stopped.
 * What had begun of it is of no use then, and harms nobody. @throws SortieError, an Unfit, where it cannot for ten
 * minutes
 */
export async function leaveWhole(
  id: string,
  dir: string,
  { artefacts, print, isStopped, again = AGAIN }: Leaving,
): Promise<boolean> {
  const names = artefactNames(id);
  const whole = packRun(dir);
  for (let attempt = 1; ; attempt++) {
    try {
      await artefacts.put(names.whole, whole);
      break;
    } catch (cause) {
      if (isStopped()) return false;
      if (attempt === ATTEMPTS) throw new Unfit(messageOf(cause), { cause });
      if (attempt === 1) print(`${id}: ${messageOf(cause)} It is tried again.`);
      await new Promise((resolve) => setTimeout(resolve, again));
    }
  }
  await artefacts.remove(names.begun).catch((error: unknown) => print(`${id}: ${messageOf(error)}`));
  return true;
}

interface Leaving extends Omit<Kept, "folder"> {
  readonly isStopped: () => boolean;
  readonly again?: number;
}

/** @throws SortieError that names the archive, where it is damaged */
function unpackBegun(content: Uint8Array, dir: string, from: string): void {
  try {
    unpackRun(content, dir, "run.json");
  } catch (cause) {
    throw new SortieError(`${from}: ${messageOf(cause)}`, { cause });
  }
}

/** What makes a run, as it would be typed, and whether it is done. */
const stepsOf = (folder: RunFolder, settings: string) =>
  [
    [["train", "--config", settings], () => folder.isFinished],
    [["calibrate", folder.dir], () => !folder.hasEarlyExit || existsSync(folder.path("policy"))],
    [["evaluate", folder.dir], () => readAgreement(folder) !== undefined],
  ] as const;

/**
 * The settings of a run as this machine does it. @throws SortieError, an Unfit, where files of it are not here, or are
 * others.
 */
export async function configHere(id: string, given: object, out: string, dataDir: string | undefined): Promise<Config> {
  const place = inFile(`job ${id}`);
  const asked = completeConfig(place, { ...given, out, name: id });
  const { source, options } = knownSet("worker", asked.data.name);
  const isElsewhere = dataDir !== undefined && "dir" in options;
  const config = isElsewhere ? { ...asked, data: { ...asked.data, dir: dataDir } } : asked;
  const { name, dir, download } = config.data;
  const back = "The run was handed back:";
  const hint = `${back} give --data-dir, or start a worker where the files are.`;
  const missing = missingFile(config);
  if (missing) {
    const how = "dir" in options && missing.key.endsWith(".dir") ? hint : `${back} start a worker where it is.`;
    throw new Unfit(`worker: what ${place.name(missing.key)} names must be here; there is no ${missing.path}. ${how}`);
  }
  if (source && download !== true) {
    const { folder, files, isWhole } = await lookFor(source, defined({ dir }));
    const count = source.files.length;
    if (!isWhole)
      throw new Unfit(`worker: the ${count} files of ${name} must be in ${folder}; got ${files} of them. ${hint}`);
  }
  return orUnfit(async () => withContents(place, config));
}

interface Kept {
  readonly folder: RunFolder;
  readonly artefacts: Artefacts;
  readonly print: Print;
}

/** Puts every new checkpoint where another worker finds it, and the last line where the comparison does. */
export function keepCheckpoints({ id, lost, say }: Omit<TakenRun, "job">, { folder: { dir }, artefacts, print }: Kept) {
  const host = hostname();
  const found = () => (existsSync(dir) ? checkpointsOf(dir) : "");
  let [kept, line, told, fault] = [found(), "", "", ""];
  const keep = async () => {
    const now = found();
    // Whoever has the run now may be further.
    if (now !== kept && !lost.aborted) await artefacts.put(artefactNames(id).begun, packRun(dir));
    kept = now;
  };
  const once = async () => {
    await keep();
    if (line !== told) await say(`${host}: ${line}`);
    told = line;
  };
  // What is away for a while, the queue or the artefacts, is tried again.
  const complain = ({ message }: Error) => {
    if (message !== fault) print(`${id}: ${message}`);
    fault = message;
  };
  let last = Promise.resolve();
  const timer = setInterval(() => {
    last = last.then(once).catch(complain);
  }, 1000);
  return {
    /** The last one; where it cannot be put, whoever goes on does so from the one before. */
    keep: () => keep().catch(complain),
    tell(text: string) {
      line = text;
    },
    end(): Promise<void> {
      clearInterval(timer);
      return last;
    },
  };
}

/** How a command ended: what it complained of, and the signal, if it ended by one. */
interface Ended {
  readonly complaint: string;
  readonly signal: string | null;
}

/** Starts `sortie` with these arguments and waits for its end. */
async function start(args: readonly string[], stop: AbortSignal, tell: (line: string) => void): Promise<Ended> {
  const here = fileURLToPath(import.meta.url);
  const bin = fileURLToPath(new URL(`../bin${extname(here)}`, import.meta.url));
  const child = startBound([...process.execArgv, bin, ...args], { stdio: ["ignore", "pipe"] });
  const end = () => void child.kill("SIGTERM");
  stop.addEventListener("abort", end, { once: true });
  if (child.stdout) createInterface({ input: child.stdout }).on("line", (line) => line.trim() && tell(line.trim()));
  let complaint = "";
  const errors = withoutNoise((text) => {
    complaint = (complaint + text).slice(-2000);
  });
  child.stderr?.setEncoding("utf8").on("data", errors.take).on("end", errors.end);
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (...how) => resolve(how));
  });
  stop.removeEventListener("abort", end);
  const how = signal ?? `exit code ${code}`;
  return { complaint: complaint.trim() || `worker: sortie ${args[0]} must come to its end; got ${how}.`, signal };
}
