// Runs a program of Node in a process of its own and leaves out what a native library prints to its standard error and
// concerns nobody. Dawn offers no other way: it writes these lines itself, at the very start of an adapter and whatever
// it is told. All else is as if there were one process: signals, exit codes, standard input and output; none of the two
// outlives the other.

import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";

/** What Dawn says of drivers that know no limit, as Mesa's. */
const NOISE = /^Warning: \w+ artificially reduced from \d+ to \d+ to fit dynamic offset allocation limit\.\r?$/;

/** Where a program finds the number of the process that filters it; an inherited number is another's. */
const FILTERED_BY = "SORTIE_FILTERED_BY";

/** True in a process that `runQuietly` started. From then on it ends when that one does. */
export function isQuiet(): boolean {
  if (process.env[FILTERED_BY] !== String(process.ppid) || !process.channel) return false;
  process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
  process.channel.unref();
  return true;
}

/** Whether anything is to be left out: the lines come from Vulkan, and a debugger speaks to one process only. */
export function isNoisy(): boolean {
  return process.platform === "linux" && !process.execArgv.some((option) => option.startsWith("--inspect"));
}

/**
 * Starts Node with these arguments in a process that ends when this one does; its standard error is a pipe, noise and
 * all.
 */
export function startBound(
  args: readonly string[],
  options: { readonly cwd?: string; readonly stdio: Outer },
): ChildProcess {
  const { stdio, ...others } = options;
  return spawn(process.execPath, args, {
    ...others,
    env: { ...process.env, [FILTERED_BY]: String(process.pid) },
    stdio: [...stdio, "pipe", "ipc"],
  });
}

/** Standard input and output of a process. */
type Outer = readonly ["inherit" | "ignore", "inherit" | "pipe"];

/** Runs Node with these arguments, and ends this process as that one ends. Signals are passed on to it. */
export function runQuietly(args: readonly string[], options: { readonly cwd?: string } = {}): void {
  const child = startBound(args, { ...options, stdio: ["inherit", "inherit"] });
  const errors = withoutNoise((text) => process.stderr.write(text));
  process.stderr.on("error", () => {}); // nobody is left to be told
  child.stderr?.setEncoding("utf8").on("data", errors.take).on("end", errors.end);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => {
    console.error(`${process.execPath} cannot be started: ${error.message}`);
    process.exit(1);
  });
  child.on("close", (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)));
}

/** Passes text on as it comes, but for whole lines of noise. What may become one waits for its end. */
export function withoutNoise(write: (text: string) => void): { take(text: string): void; end(): void } {
  let held = "";
  return {
    take(text) {
      const lines = (held + text).split("\n");
      held = lines.pop() ?? "";
      for (const line of lines) if (!NOISE.test(line)) write(`${line}\n`);
      const start = "Warning: ";
      if (held.startsWith(start) || start.startsWith(held)) return;
      write(held);
      held = "";
    },
    end() {
      if (held !== "" && !NOISE.test(held)) write(held);
      held = "";
    },
  };
}
