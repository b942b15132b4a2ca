// The texts of kernels as they were when last looked at: one file a family, so that a change of a kernel shows in the
// diff. `npm run api` rewrites them, or `npm test -- kernels/texts --update` them alone.

import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";
import { declaredKernels, type KernelText, nameOf } from "./texts.ts";

const folder = new URL("./texts/", import.meta.url);
const isUpdate = process.argv.includes("--update");
const HINT = "run `npm run api` and look at the diff";

const kernels = await declaredKernels();
const families = new Map<string, KernelText[]>();
for (const text of printed()) {
  const family = kernels.get(nameOf(text.key)) ?? "pointwise";
  families.set(family, [...(families.get(family) ?? []), text]);
}

/** The texts, from a process of their own. */
function printed(): KernelText[] {
  const command = ["--import", "tsx", fileURLToPath(new URL("texts.ts", import.meta.url))];
  return JSON.parse(execFileSync(process.execPath, command, { encoding: "utf8", maxBuffer: 2 ** 24 })) as KernelText[];
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

test("every uniform is read by a text: how a launch follows live rows is no uniform", () => {
  const sources = ["kernels", "exits/ops"].flatMap((name) => {
    const folder = fileURLToPath(new URL(`../../${name}/`, import.meta.url));
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
    return files.map((file) => readFileSync(folder + file, "utf8"));
  });
  const code = sources.join("\n");
  const declared = [...families.values()].flat().flatMap(({ key, code }) => {
    const names = [...(/struct Uniforms \{([^}]*)\}/.exec(code)?.[1] ?? "").matchAll(/(\w+):/g)];
    return kernels.has(nameOf(key)) ? names.map(([, name]) => name!) : [];
  });
  // Families of them are read by `u.n${axis}`, `u.${operand}_row` or `u.num_${operand}`.
  const isRead = (name: string): boolean => {
    const [, stem, digits] = /^(.*?)(\d*)$/.exec(name)!;
    const [before, after] = name.split("_");
    const ways = [`${name}\\b`, ...(digits ? [`${stem}\\$\\{`] : []), `\\$\\{\\w+\\}_${after}\\b`, `${before}_\\$\\{`];
    return new RegExp(`\\bu\\.(${ways.join("|")})`).test(code);
  };
  assert.ok(declared.length > 100);
  assert.equal(
    [...new Set(declared)].filter((name) => !isRead(name)),
    [],
  );
});
