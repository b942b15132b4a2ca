// Runs test/**/*.test.ts in one process, so that all files share one device, and ends in `N passed, N failed`. Usage:
// npm test -- [part of a file name ...] [--only "part of a test name"] [--no-adapter] [--update] With --update tests
// write the files that they compare with: texts of kernels. With --no-adapter a machine without a WebGPU adapter runs
// what needs none; otherwise nothing may be skipped where CI is set.

import { readdirSync } from "node:fs";
import { sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import type { Assertion } from "uvu/assert";
import { declaredSuites, finish, loadFile, runSuite } from "./harness.ts";

const { values, positionals } = parseArgs({
  options: { only: { type: "string" }, "no-adapter": { type: "boolean", default: false }, update: { type: "boolean" } },
  allowPositionals: true,
});
const root = fileURLToPath(new URL(".", import.meta.url));
const inCi = Boolean(process.env["CI"]);
let passed = 0;
let failed = 0;
let withoutAdapter = 0;

const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .map((file) => file.split(sep).join("/"))
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => positionals.length === 0 || positionals.some((part) => file.includes(part)))
  .sort();
if (files.length === 0) fail(positionals.join(" "), new Error("no test file has this in its name"));

for (const file of files) {
  try {
    await loadFile(file, () => import(pathToFileURL(root + file).href));
    if (!declaredSuites().some((suite) => suite.file === file)) throw new Error("the file declares no suite");
  } catch (error) {
    fail(`${file}: cannot be loaded`, error);
  }
}

const select = (test: string): boolean => values.only === undefined || test.includes(values.only);
for (const suite of declaredSuites()) {
  const title = `${suite.file} > ${suite.name}`;
  if (suite.skip !== undefined) {
    console.log(`skip  ${title}: ${suite.skip}`);
    const isForgiven = suite.isOptional || (suite.needsAdapter && values["no-adapter"]);
    // An optional suite lacks something else, as it says.
    if (suite.needsAdapter && !suite.isOptional) withoutAdapter += 1;
    if (inCi && !isForgiven)
      fail(title, new Error(`no suite may be skipped where CI is set; this one was: ${suite.skip}`));
    continue;
  }
  if (suite.tests.length > 0 && !suite.tests.some(({ name }) => select(name))) continue;
  const result = await runSuite(suite, select);
  const mark = result.failures.length > 0 ? "FAIL" : "ok  ";
  console.log(`${mark}  ${title}: ${result.passed} passed (${Math.round(result.ms)} ms)`);
  passed += result.passed;
  for (const { test, error } of result.failures) fail(`${title} > ${test}`, error);
}

try {
  await finish();
} catch (error) {
  fail("the end of the run", error);
}
if (passed + failed === 0) fail(String(values.only), new Error("no test has this in its name"));
if (withoutAdapter > 0)
  console.log(`\n${withoutAdapter} suites were skipped, since this machine has no WebGPU adapter`);
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
// A process that disposed its devices ends by itself; one that does not has a bug worth a red run.
setTimeout(() => {
  console.error("the tests are done, but something keeps the process alive");
  process.exit(1);
}, 15_000).unref();

function fail(title: string, error: unknown): void {
  failed += 1;
  console.log(`\n  FAIL  ${title}`);
  const { message, stack, details } = error as Partial<Assertion>;
  console.log(indent(message ?? String(error)));
  if (details) console.log(indent(details));
  const frames = (stack ?? "")
    .split("\n")
    .filter((line) => /^\s+at /.test(line) && !/node:|node_modules|test\/(harness|run)\.ts/.test(line));
  console.log(
    `${indent(frames.map((line) => line.trim().replace(`${pathToFileURL(root).href}`, "test/")).join("\n"))}\n`,
  );
}

function indent(text: string): string {
  return text
    .split("\n")
    .map((line) => `        ${line}`)
    .join("\n");
}
