// A queue of runs on BullMQ, in PostgreSQL or in Valkey or Redis.

import type { Job, Queue, QueueBaseOptions, Worker } from "bullmq";
import { codeOf, SortieError } from "../../base/index.ts";
import type { Print } from "../settings/flags.ts";
import {
  type QueueAddress,
  queueAddress,
  type RunHandler,
  type RunQueue,
  type RunState,
  readJob,
  type WorkOptions,
} from "./queue.ts";

const NAME = "sortie";

/** Milliseconds until a server that says nothing is taken for absent. */
const PATIENCE = 8000;

/**
 * How often a run may lose its worker before it is given up: machines that may be taken away are, and each goes on
 * where another was.
 */
const LOSSES = 20;

/** For how many locks a run stands back that a worker could not do, so that others come first. */
const ASIDE = 2;

type Library = typeof import("bullmq");

/** BullMQ and the driver that it needs. @throws SortieError that says what to install. */
async function library(command: string, driver: "pg" | "ioredis"): Promise<Library> {
  try {
    const [bullmq] = await Promise.all([import("bullmq"), import(driver)]);
    return bullmq;
  } catch (cause) {
    if (codeOf(cause) !== "ERR_MODULE_NOT_FOUND") throw cause;
    const needs = `bullmq and ${driver}, which are not installed. Run npm install bullmq@6 ${driver}.`;
    throw new SortieError(`${command}: a queue needs ${needs}`, { cause });
  }
}

/** What a driver's error says. Some hold several, one for each address that a name has, and no text of their own. */
function faultOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return (message || code || String(error)).replace(/\.+$/, "");
}

async function within<T>(work: Promise<T>, otherwise: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(otherwise()), PATIENCE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** How BullMQ reaches the server. One that was never reached is given up at once; one that was is waited for. */
function connectionTo(
  { kind, url }: QueueAddress,
  { isKnown, migrates }: { readonly isKnown: () => boolean; readonly migrates: boolean },
): QueueBaseOptions["connection"] {
  if (kind === "postgres") {
    const connection = { connectionString: url, connectionTimeoutMillis: PATIENCE, migrate: migrates };
    return connection as unknown as QueueBaseOptions["connection"];
  }
  const retryStrategy = (times: number) => (isKnown() ? Math.min(500 * times, 10_000) : null);
  return { url, connectTimeout: PATIENCE, retryStrategy } as QueueBaseOptions["connection"];
}

/** Opens a queue. @throws SortieError that names host and port, and never a password, where it does not answer. */
export async function openQueue(command: string, text: string): Promise<RunQueue> {
  const address = queueAddress(command, text);
  const bullmq = await library(command, address.kind === "postgres" ? "pg" : "ioredis");
  let isKnown = false;
  const backend = address.kind === "postgres" ? (bullmq.createPostgresBackend as never) : undefined;
  // Drivers' errors may quote what they were given.
  const fault = (cause: unknown, hint = ""): SortieError =>
    new SortieError(
      `${command}: the queue at ${address.place} must answer; got ${hidden(text, faultOf(cause))}.${hint}`,
    );
  const told = <T>(work: Promise<T>): Promise<T> =>
    work.catch((cause: unknown) => {
      throw fault(cause);
    });
  const open = async (migrates: boolean) => {
    const connection = connectionTo(address, { isKnown: () => isKnown, migrates });
    const queue = new bullmq.Queue(NAME, { connection }, backend);
    let last: unknown = new Error("no answer");
    queue.on("error", (error) => {
      last = error;
    });
    try {
      await within(queue.waitUntilReady(), () => last as Error);
    } catch (error) {
      void queue.close().catch(() => {});
      throw error;
    }
    return { queue, served: { connection, backend } };
  };
  const { queue, served } = await open(true)
    .catch((error: unknown) => {
      // Tables are made by whoever may; others find them there.
      if (codeOf(error) !== DENIED) throw error;
      return open(false);
    })
    .catch((cause: unknown) => {
      throw fault(cause, codeOf(cause) === DENIED || (cause as Error).name === UNMADE ? RIGHTS : "");
    });
  isKnown = true;
  return {
    add: (id, job) => told(addTo(queue, id, job)),
    state: (id) => told(stateIn(queue, id)),
    work: async (handle, options) => {
      if (address.kind === "postgres") await checkClock(command, address, options.lock, fault);
      await workFor(bullmq, served, handle, options);
    },
    close: () => queue.close(),
  };
}

/** PostgreSQL's code for rights that are missing. */
const DENIED = "42501";
/** BullMQ's error for tables that are not there yet. */
const UNMADE = "SchemaMigrationRequiredError";
const RIGHTS =
  " Let a role open it first that may make a schema, and grant others USAGE on the schema bullmq, all on its tables and sequences, and EXECUTE on its functions.";

/** What is used of the driver. */
interface Postgres {
  readonly Client: new (
    options: object,
  ) => {
    connect(): Promise<void>;
    query(text: string): Promise<{ readonly rows: readonly { readonly now: string }[] }>;
    end(): Promise<void>;
  };
}

/**
 * PostgreSQL's locks are kept by the clocks of those who take them: one that is ahead takes runs from the living.
 * @throws SortieError
 */
async function checkClock(
  command: string,
  { url, place }: QueueAddress,
  lock: number,
  fault: (cause: unknown) => SortieError,
): Promise<void> {
  const driver: string = "pg";
  const { default: pg } = (await import(driver)) as { readonly default: Postgres };
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: PATIENCE });
  try {
    await client.connect();
    const before = Date.now();
    const { rows } = await client.query("SELECT extract(epoch FROM clock_timestamp()) AS now");
    const ahead = (before + Date.now()) / 2000 - Number(rows[0]?.now);
    if (Math.abs(ahead) <= lock / 4) return;
    const off = `${Math.abs(ahead).toFixed(0)} s ${ahead > 0 ? "ahead" : "behind"}`;
    throw new SortieError(
      `${command}: this machine's clock must be within ${lock / 4} s of the one at ${place}, by which runs are locked; got one that is ${off}. Set both by NTP.`,
    );
  } catch (error) {
    throw error instanceof SortieError ? error : fault(error);
  } finally {
    await client.end().catch(() => {});
  }
}

/** A message without the password of an address. */
function hidden(address: string, message: string): string {
  const { password } = new URL(address);
  if (password === "") return message;
  return [password, decodeURIComponent(password)].reduce((text, word) => text.replaceAll(word, "***"), message);
}

async function addTo(queue: Queue, id: string, data: object): Promise<void> {
  const job: Job | undefined = await queue.getJob(id);
  const state = await job?.getState();
  if (state === "completed" || state === "failed") await job?.remove();
  // Where files and results lie is said by who asked last.
  else if (state === "waiting" || state === "delayed") await job?.updateData(data);
  if (state === "delayed") await job?.promote();
  await queue.add("run", data, { jobId: id });
}

async function stateIn(queue: Queue, id: string): Promise<RunState> {
  const job: Job | undefined = await queue.getJob(id);
  const state = await job?.getState();
  if (!job || state === "unknown") return { kind: "absent" };
  if (state === "completed") return { kind: "done", artefacts: readJob(job.data, id).artefacts };
  if (state === "failed") return { kind: "failed", reason: job.failedReason };
  if (state === "active") return { kind: "active", said: typeof job.progress === "string" ? job.progress : "" };
  return { kind: "waiting" };
}

interface Served {
  readonly connection: QueueBaseOptions["connection"];
  readonly backend: undefined | never;
}

async function workFor(
  { Worker, WaitingError, DelayedError }: Library,
  { connection, backend }: Served,
  handle: RunHandler,
  { stop, lock, print }: WorkOptions,
): Promise<void> {
  const lockDuration = 1000 * lock;
  const held = new Lease(lockDuration);
  const take = async (job: Job, token = "") => {
    const end = held.begin();
    const say = (line: string) => job.updateProgress(line);
    try {
      const outcome = await handle({ id: job.id ?? "", job: job.data, lost: held.lost, say });
      if (outcome === "done") return;
      if (outcome === "put aside" && !held.lost.aborted) {
        await job.moveToDelayed(Date.now() + ASIDE * lockDuration, token);
        throw new DelayedError();
      }
      if (!held.lost.aborted) await job.moveToWait(token);
    } finally {
      end();
    }
    throw new WaitingError();
  };
  const options = { connection, lockDuration, stalledInterval: lockDuration / 2, maxStalledCount: LOSSES };
  const worker: Worker = new Worker(NAME, take, options, backend);
  worker.on("locksRenewed", () => held.renew());
  worker.on("lockRenewalFailed", () => held.lose());
  tellFaults(worker, print);
  await new Promise<void>((resolve) => {
    worker.on("closed", resolve);
    const close = () => void worker.close();
    if (stop.aborted) close();
    else stop.addEventListener("abort", close, { once: true });
  });
}

/** A server that is away is told once, not at every attempt. */
function tellFaults(worker: Worker, print: Print): void {
  let told = "";
  worker.on("error", (error) => {
    const text = faultOf(error);
    if (text !== told) print(`queue: ${text}`);
    told = text;
  });
}

/** For how long a worker may believe that a run is its own. */
class Lease {
  readonly #duration: number;
  #renewed = 0;
  #lost = new AbortController();

  constructor(duration: number) {
    this.#duration = duration;
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Returns what ends it. */
  begin(): () => void {
    this.#lost = new AbortController();
    this.renew();
    const watch = setInterval(() => {
      if (performance.now() - this.#renewed > this.#duration) this.lose();
    }, this.#duration / 10);
    return () => clearInterval(watch);
  }

  renew(): void {
    this.#renewed = performance.now();
  }

  lose(): void {
    this.#lost.abort();
  }
}
