// What the house is counted by: casts, functions, circles, repeats, names of two entries; each on a text where the
// answer is known.

import { readFileSync } from "node:fs";
import { doubleNames, Modules, publicEntries } from "../../scripts/exports.ts";
import { countText, knots, repeatedTokens } from "../../scripts/house.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("counts of the house");

test("lines, casts, non-null marks, throws and functions, and none of them in texts and comments", () => {
  const text = [
    "// x as y; x!; throw",
    "export const tiles = [1, 2] as const;",
    "",
    "/** as `x as y`, x! */",
    "export function first(list: unknown[]): string {",
    "  if (list.length === 0) throw new Error('x! as y: ' + (list as string[]));",
    "  const get = () =>",
    "    list[0]! as string;",
    "  return get();",
    "}",
    "",
  ].join("\n");
  assert.equal(countText("a.ts", text), {
    lines: 10,
    code: 7,
    casts: 2,
    nonNull: 1,
    throws: 1,
    functions: [
      { name: "first", lines: 6 },
      { name: "get", lines: 2 },
    ],
  });
});

const tree = (files: Record<string, string>) => new Map(Object.entries(files));

test("circles through types too, each once, and no line that only leads to one", () => {
  const files = tree({
    "engine/a.ts": 'import type { B } from "./b.ts";',
    "engine/b.ts": 'export * from "../base/c.ts";',
    "base/c.ts": 'import { a } from "../engine/a.ts";',
    "engine/d.ts": 'import { a } from "./a.ts";\nimport { x } from "elsewhere";',
  });
  assert.equal(knots(files), [["base/c.ts", "engine/a.ts", "engine/b.ts"]]);
});

test("passages that stand twice, however they are spaced, and none that differ in a name", () => {
  const body = (name: string, space: string) =>
    `export const ${name} = [${Array.from({ length: 25 }, (_, i) => `f(${i})`).join(`,${space}`)}];`;
  const twice = repeatedTokens(
    tree({ "a.ts": body("a", " "), "b.ts": `import { f } from "./f.ts";\n${body("a", "\n  ")}` }),
  );
  // export const a = [ ... ] ; with five tokens an element but the last
  assert.is(twice, 2 * (4 + 1 + 25 * 5 - 1 + 2));
  assert.is(repeatedTokens(tree({ "a.ts": body("a", " ") })), 0);
  const short = "export const a = [1, 2, 3];";
  assert.is(repeatedTokens(tree({ "a.ts": short, "b.ts": short })), 0);
});

const ENTRIES = JSON.stringify({
  exports: {
    "./engine": { types: "./dist/engine/index.d.ts" },
    "./engine/functions": { types: "./dist/engine/functions.d.ts" },
    "./nn": { types: "./dist/nn/index.d.ts" },
    "./package.json": "./package.json",
  },
});

test("names of two entries, followed to where they are declared", async () => {
  const files = tree({
    "engine/index.ts": 'export * from "./functions.ts";\nexport { inner as Outer } from "./inner.ts";',
    "engine/functions.ts": "export function run(): void;\nexport function run(x?: number): void {}",
    "engine/inner.ts": "const inner = 1;\nexport { inner };",
    "nn/index.ts":
      'import { run } from "../engine/functions.ts";\nexport { run };\nexport type Outer = 1;\nexport class Linear {}',
  });
  const modules = new Modules((file) => files.get(file) ?? "");
  const entries = publicEntries(ENTRIES);
  assert.equal(
    [...entries],
    [
      ["engine", "engine/index.ts"],
      ["engine/functions", "engine/functions.ts"],
      ["nn", "nn/index.ts"],
    ],
  );
  // `run` is one thing that both pass on.
  assert.equal([...doubleNames(modules, entries)], [["Outer", ["engine", "nn"]]]);
  const found = modules
    .exportsOf("nn/index.ts")
    .map(({ name, file, declarations }) => [name, file, declarations.length]);
  assert.equal(found, [
    ["Linear", "nn/index.ts", 1],
    ["Outer", "nn/index.ts", 1],
    ["run", "engine/functions.ts", 2],
  ]);
  files.set("nn/index.ts", 'export { gone } from "../engine/inner.ts";');
  await failsWith(
    () => new Modules((file) => files.get(file) ?? "").exportsOf("nn/index.ts"),
    "Error",
    "nn/index.ts: exports gone, which nothing declares",
  );
});

test("a namespace is one name, with members of its own", () => {
  const files = tree({
    "nn/index.ts": 'export * as blocks from "./blocks.ts";\nexport const width = 1;',
    "nn/blocks.ts": "export const width = 2;",
  });
  const found = new Modules((file) => files.get(file) ?? "").exportsOf("nn/index.ts");
  assert.equal(
    found.map(({ name, file, members }) => [name, file, members?.map((one) => `${one.name} of ${one.file}`)]),
    [
      ["blocks", "nn/blocks.ts", ["width of nn/blocks.ts"]],
      ["width", "nn/index.ts", undefined],
    ],
  );
});

test("no two public entries of the package export different things by one name", () => {
  const root = new URL("../../", import.meta.url);
  const modules = new Modules((file) => readFileSync(new URL(file, root), "utf8"));
  const entries = publicEntries(readFileSync(new URL("package.json", root), "utf8"));
  assert.is(entries.size, 8);
  assert.equal([...doubleNames(modules, entries)], []);
});
