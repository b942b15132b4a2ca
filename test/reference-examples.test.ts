// The examples of the reference: every `@example` of what a public entry exports runs, as a live block of the site
// does, and prints what stands behind its `console.log`.

import { readFileSync } from "node:fs";
import ts from "typescript";
import { Modules, publicEntries } from "../scripts/exports.ts";
import { runProgram } from "../site/live/program.ts";
import { show } from "../site/live/show.ts";
import { gpuSuite } from "./gpu.ts";
import { assert, suite } from "./harness.ts";
import { MODULES } from "./site/modules.ts";

const textOf = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), "utf8");

/** Code of the examples by name, each declaration once. */
function examples(): Map<string, string> {
  const modules = new Modules(textOf);
  const found = new Map<string, string>();
  for (const file of publicEntries(textOf("package.json")).values())
    for (const { name, declarations } of modules.exportsOf(file))
      for (const tag of declarations.flatMap((one) => [...ts.getJSDocTags(one)])) {
        if (tag.tagName.text !== "example") continue;
        const [, code] = /```ts\n([\s\S]*?)```/.exec(ts.getTextOfJSDocComment(tag.comment) ?? "") ?? [];
        found.set(name, code ?? assert.unreachable(`${name}: an example is a block of ts`) ?? "");
      }
  return found;
}

/** What an example says that it prints: one line for each `console.log`. */
const saidBy = (code: string): string[] =>
  code
    .split("\n")
    .filter((line) => line.startsWith("console.log("))
    .map((line) => /; \/\/ (.*)$/.exec(line)?.[1] ?? "");

const test = gpuSuite("examples of the reference", { timeout: 60_000 });
const all = examples();

for (const [name, code] of all)
  test(name, async () => {
    const printed: string[] = [];
    await runProgram(code, MODULES, (...values) => printed.push(values.map(show).join(" ")));
    assert.ok(printed.length > 0, "prints nothing");
    assert.equal(printed, saidBy(code));
    assert.match(code, new RegExp(`\\b${name}\\b`));
  });

suite("the reference")("has an example of what is used most", () => {
  assert.ok(all.size >= 40, `${all.size} examples`);
  for (const name of [
    "tensor",
    "conv2d",
    "backward",
    "capture",
    "multiExit",
    "train",
    "deploy",
    "load",
    "learnThenTest",
  ])
    assert.ok(all.has(name), name);
});
