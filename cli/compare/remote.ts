// The runs of a plan done elsewhere: put into a queue, waited for, and fetched as if they had been made here.

import { messageOf, SortieError } from "../../base/index.ts";
import { lockIfFree } from "../../exits/index.ts";
import { RunFolder, runId } from "../files/run-folder.ts";
import { version } from "../files/versions.ts";
import { readAgreement } from "../findings/agreement.ts";
import { type Artefacts, artefactNames, markPlace, openArtefacts, unpackRun } from "../queue/artefacts.ts";
import { openQueue } from "../queue/bullmq.ts";
import { queueAddress, type RunQueue, type RunState } from "../queue/queue.ts";
import { withAbsolutePaths } from "../settings/contents.ts";
import type { Print } from "../settings/flags.ts";
import type { Plain } from "../settings/settings.ts";
import { isFinished } from "./lines.ts";
import type { Experiment } from "./plan.ts";

const POLL = 1000;

/** Milliseconds between lines about one run that is at work. */
const PAUSE = 10_000;

/** Where runs go, and what is made of them. */
export interface Remote {
  readonly queue: string;
  readonly artefacts: string;
  readonly print: Print;
}

interface Wait extends Experiment {
  readonly id: string;
}

/** Lets workers do what is not finished here; why some failed, by the run's name. */
export async function doRemotely(
  experiments: readonly Experiment[],
  { queue: url, artefacts: address, print }: Remote,
): Promise<ReadonlyMap<string, string>> {
  const queue = await openQueue("compare", url);
  try {
    const artefacts = await openArtefacts("compare", address);
    const open: Wait[] = [];
    const failed = new Map<string, string>();
    let isReached = false;
    for (const experiment of experiments) {
      if (isHere(experiment)) continue;
      const wait = { ...experiment, id: runId(experiment.config) };
      const fetched = await fetchRun(wait, artefacts);
      // Where nothing was ever reached the address is wrong, or what opens it.
      if (fetched.kind === "away" && !isReached) throw new SortieError(fetched.reason);
      isReached = true;
      if (fetched.kind === "failed") failed.set(wait.name, fetched.reason);
      if (fetched.kind === "failed" || fetched.kind === "here") continue;
      if (open.length === 0) await markPlace(artefacts);
      await queue.add(wait.id, { sortie: version(), config: asked(experiment), artefacts: artefacts.place });
      open.push(wait);
    }
    for (const [name, reason] of failed) print(`${name}  failed: ${reason}`);
    if (open.length > 0)
      print(`\n${open.length} in the queue at ${queueAddress("compare", url).place}; sortie worker does them`);
    return new Map([...failed, ...(await waitFor(open, { queue, artefacts, print }))]);
  } finally {
    await queue.close();
  }
}

const isHere = ({ config }: Experiment): boolean => {
  const folder = RunFolder.of(config);
  return isFinished(folder, config) && readAgreement(folder) !== undefined;
};

/** What a worker needs to know: folders and names are its own. */
function asked({ config }: Experiment): Plain {
  const { out: _, name: __, ...settings } = withAbsolutePaths(config);
  return settings;
}

/** What came of fetching a run: it is here, or was not there, or not for now, or is not to be had. */
type Fetched = { readonly kind: "here" | "absent" } | { readonly kind: "away" | "failed"; readonly reason: string };

async function fetchRun({ id, config }: Wait, artefacts: Artefacts): Promise<Fetched> {
  const { whole } = artefactNames(id);
  let archive: Uint8Array | undefined;
  try {
    archive = await artefacts.get(whole);
  } catch (error) {
    return { kind: "away", reason: messageOf(error) };
  }
  if (!archive) return { kind: "absent" };
  try {
    if (await unpackInto(RunFolder.of(config), archive, config)) return { kind: "here" };
    return { kind: "away", reason: `another process is at ${RunFolder.of(config).dir}` };
  } catch (error) {
    return { kind: "failed", reason: `${whole} in ${artefacts.place}: ${messageOf(error)}` };
  }
}

/** Whether it could: another process may be about the same. */
async function unpackInto(folder: RunFolder, archive: Uint8Array, config: Experiment["config"]): Promise<boolean> {
  const lock = await lockIfFree("compare", folder.dir);
  if (!lock) return false;
  try {
    unpackRun(archive, folder.dir, "evaluation.json");
    folder.claim(config);
    return true;
  } finally {
    await lock.release();
  }
}

/** What waiting for runs needs. */
interface Waiting {
  readonly queue: Pick<RunQueue, "state">;
  readonly artefacts: Artefacts;
  readonly print: Print;
  /** Milliseconds that the result of a run may take to be seen here when its worker is done. */
  readonly patience?: number;
}

/** File systems of several machines tell some of them late. */
const LATE = 120_000;

/**
 * Waits until every run has come to an end, and fetches it; why some failed. A queue, or results, that are away for a
 * while are waited for too.
 */
export async function waitFor(
  open: readonly Wait[],
  { queue, artefacts, print, patience = LATE }: Waiting,
): Promise<ReadonlyMap<string, string>> {
  const failed = new Map<string, string>();
  const tell = teller(print);
  const asked = (id: string) =>
    queue.state(id).catch((error: unknown): Away => ({ kind: "away", what: "the queue", reason: messageOf(error) }));
  const doneAt = new Map<string, number>();
  /** Whether the result of a run that is done may still come. */
  const mayCome = (id: string): boolean => {
    const since = doneAt.get(id) ?? performance.now();
    doneAt.set(id, since);
    return performance.now() - since < patience;
  };
  let left = open;
  while (left.length > 0) {
    for (const wait of left) {
      const state = await asked(wait.id);
      const fetched = state.kind === "done" ? await fetchRun(wait, artefacts) : undefined;
      const isLate =
        state.kind === "done" && fetched?.kind === "absent" && state.artefacts === artefacts.place && mayCome(wait.id);
      const reason =
        fetched?.kind === "away" ? fetched.reason : isLate && "its worker is done, and it is not there yet";
      const told: RunState | Away = reason ? { kind: "away", what: "the result", reason } : state;
      tell(wait.name, told);
      if (told.kind === "waiting" || told.kind === "active" || told.kind === "away") continue;
      left = left.filter((other) => other !== wait);
      if (fetched?.kind === "here") continue;
      failed.set(wait.name, fetched?.kind === "failed" ? fetched.reason : reasonOf(told, wait.id, artefacts.place));
    }
    if (left.length > 0) await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  return failed;
}

/** The queue, or where results are, does not answer. */
type Away = { readonly kind: "away"; readonly what: string; readonly reason: string };

/** Tells how runs go: what is new at once, how far one is now and then. */
function teller(print: Print): (name: string, state: RunState | Away) => void {
  const told = new Map<string, { readonly kind: string; readonly line: string; readonly at: number }>();
  return (name, state) => {
    const [{ kind }, line, at] = [state, lineOf(state), performance.now()];
    const before = told.get(name);
    if (before?.line === line || (before?.kind === kind && at - before.at < PAUSE)) return;
    print(`${name}  ${line}`);
    told.set(name, { kind, line, at });
  };
}

function lineOf(state: RunState | Away): string {
  if (state.kind === "away") return `${state.what} is away: ${state.reason}`;
  if (state.kind === "active") return `at work${state.said && `, ${state.said}`}`;
  return state.kind === "failed" ? `failed: ${state.reason}` : state.kind;
}

function reasonOf(state: RunState, id: string, place: string): string {
  if (state.kind === "failed") return state.reason || "Its worker gave no reason.";
  if (state.kind === "absent")
    return "the queue has lost it; somebody may have emptied it. The same command puts it in again.";
  const wanted = `${artefactNames(id).whole} must be in ${place}, since a worker is done with it`;
  const other = state.kind === "done" && state.artefacts !== place && state.artefacts;
  return other
    ? `${wanted}. It was put into the queue by a comparison with --artefacts ${other}: give the same, or the same command again, and the run is done anew.`
    : `${wanted}. Give the worker the same --artefacts.`;
}
