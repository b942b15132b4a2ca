// The runs of a plan done elsewhere: put into a queue, waited for, and fetched as if they had been made here.

import { existsSync } from "node:fs";
import { lockFolder } from "../../exits/index.ts";
import { RunFolder, runId } from "../files/run-folder.ts";
import { version } from "../files/versions.ts";
import { type Artefacts, artefactNames, openArtefacts, unpackRun } from "../queue/artefacts.ts";
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
    for (const experiment of experiments) {
      const id = runId(experiment.config);
      if (isHere(experiment) || (await fetchRun({ ...experiment, id }, artefacts))) continue;
      await queue.add(id, { sortie: version(), config: asked(experiment), artefacts: artefacts.place });
      open.push({ ...experiment, id });
    }
    if (open.length > 0)
      print(`\n${open.length} in the queue at ${queueAddress("compare", url).place}; sortie worker does them`);
    return await waitFor(open, { queue, artefacts, print });
  } finally {
    await queue.close();
  }
}

const isHere = ({ config }: Experiment): boolean => {
  const folder = RunFolder.of(config);
  return isFinished(folder, config) && existsSync(folder.path("evaluation"));
};

/** What a worker needs to know: folders and names are its own. */
function asked({ config }: Experiment): Plain {
  const { out: _, name: __, ...settings } = withAbsolutePaths(config);
  return settings;
}

/** Whether the run was there to be fetched. */
async function fetchRun({ id, config }: Wait, artefacts: Artefacts): Promise<boolean> {
  const archive = await artefacts.get(artefactNames(id).whole);
  if (!archive) return false;
  const folder = RunFolder.of(config);
  const lock = await lockFolder("compare", folder.dir);
  try {
    unpackRun(archive, folder.dir, "evaluation.json");
    folder.claim(config, { isFresh: false });
  } finally {
    await lock.release();
  }
  return true;
}

/** What waiting for runs needs. */
interface Waiting {
  readonly queue: Pick<RunQueue, "state">;
  readonly artefacts: Artefacts;
  readonly print: Print;
}

/**
 * Waits until every run has come to an end, and fetches it; why some failed. A queue that is away for a while is waited
 * for too.
 */
export async function waitFor(
  open: readonly Wait[],
  { queue, artefacts, print }: Waiting,
): Promise<ReadonlyMap<string, string>> {
  const failed = new Map<string, string>();
  const tell = teller(print);
  const asked = (id: string) =>
    queue.state(id).catch((error: Error): Away => ({ kind: "away", reason: error.message }));
  let left = open;
  while (left.length > 0) {
    for (const wait of left) {
      const state = await asked(wait.id);
      tell(wait.name, state);
      if (state.kind === "waiting" || state.kind === "active" || state.kind === "away") continue;
      left = left.filter((other) => other !== wait);
      if (state.kind === "done" && (await fetchRun(wait, artefacts))) continue;
      failed.set(wait.name, reasonOf(state, wait.id, artefacts.place));
    }
    if (left.length > 0) await new Promise((resolve) => setTimeout(resolve, POLL));
  }
  return failed;
}

/** The queue does not answer. */
type Away = { readonly kind: "away"; readonly reason: string };

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
  if (state.kind === "away") return `the queue is away: ${state.reason}`;
  if (state.kind === "active") return `at work${state.said && `, ${state.said}`}`;
  return state.kind === "failed" ? `failed: ${state.reason}` : state.kind;
}

function reasonOf(state: RunState, id: string, place: string): string {
  if (state.kind === "failed") return state.reason;
  if (state.kind === "absent")
    return "the queue has lost it; somebody may have emptied it. The same command puts it in again.";
  return `${artefactNames(id).whole} must be in ${place}, since a worker is done with it. Give the worker the same --artefacts.`;
}
