// The import rules hold in the tree, and the checker sees each kind of breach.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { assert, suite } from "./harness.ts";
import { findFaults, parseImports, RULES } from "./imports.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const IGNORED = new Set(["node_modules", "dist", "dist-site", "runs"]);

function readTree(): Map<string, string> {
  const files = new Map<string, string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(root + folder, { withFileTypes: true })) {
      const path = folder ? `${folder}/${entry.name}` : entry.name;
      if (entry.isDirectory() && !IGNORED.has(entry.name) && !entry.name.startsWith(".")) walk(path);
      // Of loose files at the root only the entry of the whole is a part of the library.
      if ((folder || path === "index.ts") && entry.isFile() && entry.name.endsWith(".ts"))
        files.set(path, readFileSync(root + path, "utf8"));
    }
  };
  walk("");
  return files;
}

const test = suite("import boundaries");

test("the tree keeps the rules", () => {
  const files = readTree();
  assert.ok(files.size > 50, `only ${files.size} files found`);
  assert.equal(findFaults(files), []);
});

test("every file says in comment lines at its head what it is", () => {
  const missing = [...readTree()].filter(([, text]) => !/^(#!.*\n)?\/\/ /.test(text));
  assert.equal(
    missing.map(([file]) => file),
    [],
  );
});

test("every folder of the rules that exists has an index.ts if others may import it", () => {
  const imported = new Set(Object.entries(RULES).flatMap(([folder, { may }]) => (folder === "test" ? [] : may)));
  const missing = [...imported].filter((folder) => {
    const isThere =
      existsSync(`${root}${folder}`) && readdirSync(`${root}${folder}`).some((name) => name.endsWith(".ts"));
    return isThere && !existsSync(`${root}${folder}/index.ts`);
  });
  assert.equal(missing, []);
});

test("parses every form of import and no comment", () => {
  const text = [
    'import "./a.ts";',
    'import { b } from "./b.ts";',
    "import type { C } from './c.ts';",
    'import d, * as e from "./d.ts";',
    "import {",
    "  f,",
    "  type G,",
    '} from "./f.ts";',
    'export * from "./h.ts";',
    'export type { I } from "./i.ts";',
    '// import { no } from "./no.ts";',
    '/* export * from "./no.ts"; */',
    'const text = "import x from y";',
    "const j = await import",
    '("./j.ts");',
    'export const k = "./no.ts";',
  ].join("\n");
  const found = parseImports(text);
  assert.equal(
    found.map(({ specifier, isType }) => (isType ? `type ${specifier}` : specifier)),
    ["./a.ts", "./b.ts", "type ./c.ts", "./d.ts", "./f.ts", "./h.ts", "type ./i.ts", "./j.ts"],
  );
  assert.equal(
    found.filter(({ isDynamic }) => isDynamic).map(({ specifier }) => specifier),
    ["./j.ts"],
  );
});

const tree = (files: Record<string, string>): string[] => findFaults(new Map(Object.entries(files)));

test("finds a forbidden edge, an inner file, a value import of types, a package, a missing file, an unknown folder", () => {
  const engine = { "engine/index.ts": "", "engine/tensor.ts": "" };
  assert.equal(tree({ ...engine, "kernels/a.ts": 'import { x } from "../engine/index.ts";' }), [
    "kernels/a.ts: kernels must not import engine (engine/index.ts)",
  ]);
  assert.equal(tree({ ...engine, "nn/a.ts": 'import { x } from "../engine/tensor.ts";' }), [
    "nn/a.ts: only engine/index.ts or engine/functions.ts may be imported, not engine/tensor.ts",
  ]);
  assert.equal(tree({ ...engine, "nn/a.ts": 'import { x } from "../engine/index.ts";' }), [
    "nn/a.ts: nn must import engine/functions.ts: engine/index.ts brings the methods on tensors into every bundle",
  ]);
  assert.equal(tree({ ...engine, "data/a.ts": 'import { x } from "../engine/index.ts";' }), [
    "data/a.ts: data may import engine by `import type` only",
  ]);
  const onnx = { "onnx/index.ts": "" };
  assert.equal(tree({ ...onnx, "exits/a.ts": 'import { x } from "../onnx/index.ts";' }), [
    "exits/a.ts: exits may import onnx by `import type` or `import()` only",
  ]);
  assert.equal(tree({ ...onnx, "exits/a.ts": 'const { x } = await import("../onnx/index.ts");' }), []);
  assert.equal(tree({ "engine/a.ts": 'import { readFileSync } from "node:fs";' }), [
    "engine/a.ts: engine must run everywhere, but imports node:fs",
  ]);
  assert.equal(tree({ "engine/a.ts": 'import { x } from "./b.ts";' }), ["engine/a.ts: engine/b.ts does not exist"]);
  assert.equal(tree({ "engine/a.ts": 'import { x } from "./b";' }), [
    "engine/a.ts: ./b must be written with its extension",
  ]);
  const kernels = {
    "kernels/index.ts": "",
    "kernels/pool.ts": "",
    "kernels/conv/index.ts": "",
    "kernels/conv/grad.ts": "",
  };
  assert.equal(tree({ ...kernels, "engine/a.ts": 'import { k } from "../kernels/conv/grad.ts";' }), [
    "engine/a.ts: only kernels/index.ts may be imported, not kernels/conv/grad.ts",
  ]);
  assert.equal(tree({ ...kernels, "exits/a.ts": 'import { k } from "../kernels/pool.ts";' }), [
    "exits/a.ts: only kernels/index.ts may be imported, not kernels/pool.ts",
  ]);
  assert.equal(tree({ "misc/a.ts": "" }), ["misc/a.ts: folder misc has no import rule"]);
});

test("finds a cycle, also one through types; a tensor and its place on the tape may know each other", () => {
  const a = 'import { b } from "./b.ts";';
  for (const back of ['import { a } from "./a.ts";', 'import type { A } from "./a.ts";']) {
    assert.equal(tree({ "engine/a.ts": a, "engine/b.ts": back }), ["cycle: engine/a.ts -> engine/b.ts -> engine/a.ts"]);
  }
  const tensor = 'import { Leaf } from "./graph.ts";';
  const graph = (how: string): string => `import ${how} { Tensor } from "./tensor.ts";`;
  assert.equal(tree({ "engine/tensor.ts": tensor, "engine/graph.ts": graph("type") }), []);
  assert.equal(tree({ "engine/tensor.ts": tensor, "engine/graph.ts": graph("") }), [
    "cycle: engine/tensor.ts -> engine/graph.ts -> engine/tensor.ts",
  ]);
});

test("lets tests import inner files, and keeps quiet about a clean tree", () => {
  assert.equal(
    tree({
      "kernels/index.ts": "",
      "engine/index.ts": 'import { k } from "../kernels/index.ts";',
      "kernels/pool.ts": "",
      "kernels/conv/index.ts": "",
      "engine/a.ts": 'import { k } from "../kernels/pool.ts";',
      "engine/b.ts": 'import { k } from "../kernels/conv/index.ts";',
      "engine/shape.ts": "",
      "engine/functions.ts": "",
      "nn/a.ts": 'import { f } from "../engine/functions.ts";',
      "test/a.test.ts": 'import { s } from "../engine/shape.ts";',
    }),
    [],
  );
});
