// What asks a command to stop before its end: a signal, or a standard output that takes nothing more.

import { constants } from "node:os";
import { codeOf, SortieError } from "../base/index.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
type Signal = (typeof SIGNALS)[number];

/**
 * A terminal sends a signal to the whole group, and the program that started this one passes it on: one wish, told
 * twice.
 */
const ECHO_MS = 500;

/** The exit code that shells give to a process which a signal has ended. */
const exitCodeOf = (signal: Signal | "SIGPIPE"): number => 128 + (constants.signals[signal] ?? 0);

/**
 * Exit code for a standard output that failed: as if by SIGPIPE where its reader is gone, 1 where it is full or broken.
 */
export const outputCode = (error: unknown): number => (codeOf(error) === "EPIPE" ? exitCodeOf("SIGPIPE") : 1);

/** What a standard output that failed reads like. */
export const outputFault = (error: unknown): string =>
  `standard output must take what is printed; got ${codeOf(error) ?? String(error)}.`;

/** Watches for wishes to stop, until `stop` is called. */
export interface Interruption {
  /** Aborted at the first wish, with an Error that says what it was. */
  readonly signal: AbortSignal;
  /** Exit code that says so; 0 while nobody wished it. */
  readonly code: number;
  stop(): void;
}

/** Aborts at the first wish to stop, so that a checkpoint is written; at a second signal the process ends at once. */
export function interruption(): Interruption {
  const controller = new AbortController();
  let code = 0;
  let first = Number.POSITIVE_INFINITY;
  const abort = (why: string, exitCode: number) => {
    if (controller.signal.aborted) return;
    first = performance.now();
    code = exitCode;
    controller.abort(new SortieError(`train: ${why} The same command goes on from here.`));
  };
  const onSignal = (name: Signal) => {
    if (performance.now() - first > ECHO_MS) process.exit(exitCodeOf(name));
    abort(`interrupted by ${name}.`, exitCodeOf(name));
  };
  const handlers = SIGNALS.map((name) => [name, () => onSignal(name)] as const);
  const onOutput = (error: unknown) => abort(outputFault(error), outputCode(error));
  for (const [name, handler] of handlers) process.on(name, handler);
  process.stdout.on("error", onOutput);
  return {
    signal: controller.signal,
    get code() {
      return code;
    },
    stop() {
      for (const [name, handler] of handlers) process.removeListener(name, handler);
      process.stdout.removeListener("error", onOutput);
    },
  };
}
