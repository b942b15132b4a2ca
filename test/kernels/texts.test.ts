// The texts of kernels as they were when last looked at: one file a family, so that a change of a kernel shows in the diff. Rewrite them by
// `npm test -- kernels/texts --update`.

import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { assert, suite } from "../harness.ts";
import { declaredKernels, type KernelText, kernelTexts, nameOf } from "./texts.ts";

const folder = new URL("./texts/", import.meta.url);
const isUpdate = process.argv.includes("--update");
const HINT = "run `npm test -- kernels/texts --update` and look at the diff";

const kernels = await declaredKernels();
const families = new Map<string, KernelText[]>();
for (const text of await kernelTexts()) {
  const family = kernels.get(nameOf(text.key)) ?? "pointwise";
  families.set(family, [...(families.get(family) ?? []), text]);
}
const page = (texts: readonly KernelText[]): string =>
  texts.map(({ key, code, adapters }) => `// ${key}\n// on ${adapters.join(", ")}\n\n${code.trimEnd()}\n`).join("\n\n");

const test = suite("texts of kernels");

test.before(() => {
  if (!isUpdate) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  for (const [family, texts] of families) writeFileSync(new URL(`${family}.wgsl`, folder), page(texts));
});

for (const [family, texts] of families)
  test(`${family}: as committed`, () => {
    const committed = readFileSync(new URL(`${family}.wgsl`, folder), "utf8").split("\n");
    const lines = page(texts).split("\n");
    const i = lines.findIndex((line, k) => line !== committed[k]);
    if (i < 0 && lines.length === committed.length) return;
    const at = i < 0 ? lines.length : i;
    throw new Error(`line ${at + 1} was:\n${committed[at] ?? ""}\nand is:\n${lines[at] ?? ""}\n${HINT}`);
  });

test("no other family is committed", () => {
  const files = [...families.keys()].map((family) => `${family}.wgsl`);
  assert.equal(readdirSync(folder).sort(), files.sort(), HINT);
});

test("every kernel has a text there", () => {
  const told = new Set([...families.values()].flat().map(({ key }) => nameOf(key)));
  assert.equal(
    [...kernels.keys()].filter((name) => !told.has(name)),
    [],
    "kernels that no row of the op table asks for",
  );
});
