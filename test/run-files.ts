// Runs the suites of some test files in this process, one after the other, on one device, and prints what became of
// each. Failures and counts are the caller's to add up.

import { fileURLToPath, pathToFileURL } from "node:url";
import type { Assertion } from "uvu/assert";
import { declaredSuites, finish, loadFile, runSuite } from "./harness.ts";

/** The folder of the tests. */
export const TESTS = fileURLToPath(new URL(".", import.meta.url));

/** How many tests passed and failed, and how many suites were skipped because there is no adapter. */
export interface Totals {
  passed: number;
  failed: number;
  withoutAdapter: number;
}

/** Which tests run, and what may be missing. */
export interface RunOptions {
  /** Tests whose names hold this; default all. */
  readonly only: string | undefined;
  /** Suites that need a WebGPU adapter may be skipped. */
  readonly mayLackAdapter: boolean;
}

/** Loads and runs `files`, paths below `TESTS`. Nothing may be skipped where `CI` is set. */
export async function runFiles(files: readonly string[], { only, mayLackAdapter }: RunOptions): Promise<Totals> {
  const totals: Totals = { passed: 0, failed: 0, withoutAdapter: 0 };
  const fail = (title: string, error: unknown): void => {
    totals.failed += 1;
    printFailure(title, error);
  };
  for (const file of files) {
    try {
      await loadFile(file, () => import(pathToFileURL(TESTS + file).href));
      if (!declaredSuites().some((suite) => suite.file === file)) throw new Error("the file declares no suite");
    } catch (error) {
      fail(`${file}: cannot be loaded`, error);
    }
  }

  const select = (test: string): boolean => only === undefined || test.includes(only);
  for (const suite of declaredSuites()) {
    const title = `${suite.file} > ${suite.name}`;
    if (suite.skip !== undefined) {
      console.log(`skip  ${title}: ${suite.skip}`);
      const isForgiven = suite.isOptional || (suite.lacksAdapter && mayLackAdapter);
      if (suite.lacksAdapter) totals.withoutAdapter += 1;
      if (process.env["CI"] && !isForgiven)
        fail(title, new Error(`no suite may be skipped where CI is set; this one was: ${suite.skip}`));
      continue;
    }
    if (suite.tests.length > 0 && !suite.tests.some(({ name }) => select(name))) continue;
    const result = await runSuite(suite, select);
    const mark = result.failures.length > 0 ? "FAIL" : "ok  ";
    console.log(`${mark}  ${title}: ${result.passed} passed (${Math.round(result.ms)} ms)`);
    totals.passed += result.passed;
    for (const { test, error } of result.failures) fail(`${title} > ${test}`, error);
  }

  try {
    await finish();
  } catch (error) {
    fail("the end of the run", error);
  }
  return totals;
}

/** Prints a failure in one piece, since processes that share an output may print between two. */
export function printFailure(title: string, error: unknown): void {
  const { message, stack, details } = error as Partial<Assertion>;
  const frames = (stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at /.test(line) && !/node:|node_modules|test\/(harness|run|run-files)\.ts/.test(line))
    .map((line) => line.trim().replace(pathToFileURL(TESTS).href, "test/"));
  const parts = [message ?? String(error), ...(details ? [details] : []), frames.join("\n")];
  console.log(`\n  FAIL  ${title}\n${parts.map(indent).join("\n")}\n`);
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `        ${line}`)
    .join("\n");
}
