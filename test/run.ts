// Runs test/**/*.test.ts and ends in `N passed, N failed`. Each folder of test/ runs in a process of its own with one
// device, as many at a time as `--jobs` says (default: the cores, at most 4); what lies in one folder never runs at
// once. Usage: npm test -- [part of a file name ...] [--only "part of a test name"] [--no-adapter] [--update] [--jobs
// N] With --update tests write the files that they compare with: texts of kernels. With --no-adapter a machine without
// a WebGPU adapter runs what needs none; otherwise nothing may be skipped where CI is set.

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { printFailure, runFiles, TESTS, type Totals } from "./run-files.ts";

const { values, positionals } = parseArgs({
  options: {
    only: { type: "string" },
    "no-adapter": { type: "boolean", default: false },
    update: { type: "boolean" },
    jobs: { type: "string", default: String(Math.min(availableParallelism(), 4)) },
    /** Set by this program for the processes that it starts. */
    folder: { type: "string" },
  },
  allowPositionals: true,
});
const jobs = Number(values.jobs);
if (!(Number.isInteger(jobs) && jobs >= 1)) throw new Error(`--jobs must be 1 or more; got ${values.jobs}.`);

/**
 * Threads of the software driver in each process, 0 for the caller's own alone: where every core has a process, more of
 * them only take the cores from each other (a fifth of the time).
 */
const DRIVER_THREADS = String(jobs >= availableParallelism() ? 0 : Math.floor(availableParallelism() / jobs));

/** The first folder of a file's path; `.` of files in test/ itself. */
const folderOf = (file: string): string => (file.includes("/") ? file.slice(0, file.indexOf("/")) : ".");

const files = readdirSync(TESTS, { recursive: true, encoding: "utf8" })
  .map((file) => file.split(sep).join("/"))
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
  .filter((file) => values.folder === undefined || folderOf(file) === values.folder)
  .sort();
const folders = new Map<string, string[]>();
for (const file of files) folders.set(folderOf(file), [...(folders.get(folderOf(file)) ?? []), file]);

const runHere = () => runFiles(files, { only: values.only, mayLackAdapter: values["no-adapter"] });

if (values.folder !== undefined) {
  // Whoever started this is gone: nobody would hear of the rest.
  const leave = (): never => process.exit(1);
  process.once("disconnect", leave);
  const totals = await runHere();
  await new Promise((resolve) => process.send?.(totals, resolve));
  process.off("disconnect", leave);
  process.disconnect();
  process.exitCode = totals.failed > 0 ? 1 : 0;
} else {
  const totals = folders.size > 1 ? await runFolders() : await runHere();
  const fail = (title: string, message: string): void => {
    totals.failed += 1;
    printFailure(title, new Error(message));
  };
  if (files.length === 0) fail(positionals.join(" "), "no test file has this in its name");
  else if (totals.passed + totals.failed === 0) fail(String(values.only), "no test has this in its name");
  if (totals.withoutAdapter > 0)
    console.log(`\n${totals.withoutAdapter} suites were skipped, since this machine has no WebGPU adapter`);
  console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
  process.exitCode = totals.failed > 0 ? 1 : 0;
}
// A process that disposed its devices ends by itself; one that does not has a bug worth a red run.
setTimeout(() => {
  console.error("the tests are done, but something keeps the process alive");
  process.exit(1);
}, 15_000).unref();

/** Runs every folder in a process of its own, those with most files first. */
async function runFolders(): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, withoutAdapter: 0 };
  const queue = [...folders].sort(([, a], [, b]) => b.length - a.length).map(([folder]) => folder);
  const work = async (): Promise<void> => {
    for (let folder = queue.shift(); folder !== undefined; folder = queue.shift()) {
      const found = await runFolder(folder);
      totals.passed += found.passed;
      totals.failed += found.failed;
      totals.withoutAdapter += found.withoutAdapter;
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return totals;
}

/** What became of one folder; one more failure where its process came to no good end. */
function runFolder(folder: string): Promise<Totals> {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2), "--folder", folder];
  const env = { LP_NUM_THREADS: DRIVER_THREADS, ...process.env };
  const child = spawn(process.execPath, args, { env, stdio: ["ignore", "inherit", "inherit", "ipc"] });
  let totals: Totals | undefined;
  child.on("message", (message) => {
    totals = message as Totals;
  });
  return new Promise((resolve) => {
    child.on("error", (error) => end(String(error)));
    child.on("exit", (code, signal) => end(`its process ended with ${signal ?? code}`));
    function end(how: string): void {
      const found = totals ?? { passed: 0, failed: 0, withoutAdapter: 0 };
      const isGood = totals !== undefined && (how.endsWith(" 0") || found.failed > 0);
      if (!isGood) printFailure(`the tests in ${folder === "." ? "test" : `test/${folder}`}`, new Error(how));
      resolve(isGood ? found : { ...found, failed: found.failed + 1 });
    }
  });
}
