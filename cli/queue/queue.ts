// Runs as jobs that any machine may do: what a job is, and what a queue must do, whoever serves it.

import { json, SortieError } from "../../base/index.ts";
import type { Plain } from "../settings/settings.ts";

/** What a queue holds of a run. */
export interface RunJob {
  /** Version of sortie that asks for it: another's numbers are other numbers. */
  readonly sortie: string;
  readonly config: Plain;
  /** Where what is made of it goes. */
  readonly artefacts: string;
}

const JOB = { sortie: json.text, config: json.object, artefacts: json.text } as const satisfies Readonly<
  Record<keyof RunJob, json.Reader<unknown>>
>;

/** A job as a queue gives it back. @throws SortieError if it is not a job. */
export const readJob = (value: unknown, id: string): RunJob => json.parts(value, `job ${id}`, JOB);

/** How far a run is. */
export type RunState =
  | { readonly kind: "absent" | "waiting" }
  /** With the place of results that it was put in with. */
  | { readonly kind: "done"; readonly artefacts: string }
  | { readonly kind: "active"; readonly said: string }
  | { readonly kind: "failed"; readonly reason: string };

/** A run that a worker has taken. */
export interface TakenRun {
  readonly id: string;
  readonly job: unknown;
  /** Aborted when the queue may have given the run to another, since it did not hear from this worker for too long. */
  readonly lost: AbortSignal;
  /** Tells whoever waits for it. */
  say(line: string): Promise<void>;
}

/**
 * Does a run; whether it is done, or another worker shall go on with it, or it shall stand back for a while, since this
 * one cannot do it. What it throws is why the run failed.
 */
export type RunHandler = (run: TakenRun) => Promise<"done" | "handed back" | "put aside">;

/** How a worker takes runs. */
export interface WorkOptions {
  /** Finishes the run at hand, then ends the work. */
  readonly stop: AbortSignal;
  /** Seconds of silence after which another worker gets the run. */
  readonly lock: number;
  readonly print: (line: string) => void;
}

/** A queue of runs. */
export interface RunQueue {
  /** Puts a run in; one that waits is done as is said now, one that is at work stays, one that ended is done again. */
  add(id: string, job: RunJob): Promise<void>;
  state(id: string): Promise<RunState>;
  /** Takes one run after the other until it is stopped. */
  work(handle: RunHandler, options: WorkOptions): Promise<void>;
  close(): Promise<void>;
}

/** Where a queue is. */
export interface QueueAddress {
  readonly kind: "postgres" | "redis";
  readonly url: string;
  /** The same without user and password, for messages. */
  readonly place: string;
}

const KINDS: Readonly<
  Record<string, { readonly kind: QueueAddress["kind"]; readonly as: string; readonly port: string }>
> = {
  "postgres:": { kind: "postgres", as: "postgres:", port: "5432" },
  "postgresql:": { kind: "postgres", as: "postgres:", port: "5432" },
  "redis:": { kind: "redis", as: "redis:", port: "6379" },
  "rediss:": { kind: "redis", as: "rediss:", port: "6379" },
  "valkey:": { kind: "redis", as: "redis:", port: "6379" },
  "valkeys:": { kind: "redis", as: "rediss:", port: "6379" },
};

/**
 * Reads the address of a queue. @throws SortieError that repeats nothing of it but its scheme: it may hold a password.
 */
export function queueAddress(command: string, text: string): QueueAddress {
  const wanted = `${command}: the queue must be an address like postgres://HOST:5432/DATABASE or redis://HOST:6379`;
  if (!URL.canParse(text)) throw new SortieError(`${wanted}; got something that is no address.`);
  const { protocol, username, password, hostname, port, pathname } = new URL(text);
  const known = KINDS[protocol];
  if (!known) {
    const schemes = Object.keys(KINDS).map((scheme) => scheme.slice(0, -1));
    throw new SortieError(`${wanted}; got the scheme ${protocol.slice(0, -1)}. Known are ${schemes.join(", ")}.`);
  }
  if (/%(?![0-9a-f]{2})/i.test(username + password))
    throw new SortieError(`${wanted}; got a user or password with a bare % in it. Write %25 for it.`);
  const path = pathname === "/" ? "" : pathname;
  return {
    kind: known.kind,
    url: known.as + text.slice(protocol.length),
    place: `${protocol}//${hostname || "localhost"}:${port || known.port}${path}`,
  };
}
