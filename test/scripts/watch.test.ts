// Watch mode: which tests a change reaches, in a tree made up and in this one, and that changes of files are told.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";
import { reachedTests, readTree, watchTree } from "../watch.ts";

const test = suite("watch mode");

test("a change reaches tests through imports, started scripts and folders that are loaded, and the changed test itself", () => {
  const files = new Map(
    Object.entries({
      "base/a.ts": "export const a = 1;",
      "engine/b.ts": 'import { a } from "../base/a.ts"; // as "../nn/c.ts" does',
      "nn/c.ts": 'export * from "../engine/b.ts";',
      "scripts/s.mjs": "",
      "test/one.test.ts": 'import "../nn/c.ts";',
      "test/two.test.ts": 'spawn("node", ["scripts/s.mjs"]);',
      "test/three.test.ts": 'readdirSync(new URL("./ops/", import.meta.url));',
      "test/ops/row.ts": "",
      "test/none.test.ts": 'const root = new URL("../", import.meta.url);',
    }),
  );
  const reached = (...changed: string[]) => reachedTests(files, changed);
  assert.equal(reached("base/a.ts"), ["test/one.test.ts"]);
  assert.equal(reached("scripts/s.mjs"), ["test/two.test.ts"]);
  assert.equal(reached("test/ops/row.ts"), ["test/three.test.ts"]);
  assert.equal(reached("test/none.test.ts"), ["test/none.test.ts"]);
  assert.equal(reached("nn/c.ts", "test/ops/row.ts"), ["test/one.test.ts", "test/three.test.ts"]);
  assert.equal(reached("test/gone.test.ts"), []);
});

test("in this tree: formats of data reach the tests of data, rows of the op table the table", () => {
  const files = readTree(fileURLToPath(new URL("../..", import.meta.url)));
  const png = reachedTests(files, ["data/formats/png.ts"]);
  assert.ok(png.includes("test/data/formats.test.ts"), png.join());
  assert.ok(!png.includes("test/engine/tape.test.ts"), png.join());
  const rows = reachedTests(files, ["test/engine/ops/conv.ts"]);
  assert.ok(rows.includes("test/engine/ops.test.ts"), rows.join());
  assert.ok(!rows.includes("test/engine/tape.test.ts"), rows.join());
  const texts = reachedTests(files, ["kernels/softmax.ts"]);
  assert.ok(texts.includes("test/kernels/texts.test.ts"), texts.join());
});

test("files that change are told in one batch, by their paths from the root", async () => {
  const top = mkdtempSync(join(tmpdir(), "sortie-watch-"));
  mkdirSync(join(top, "engine", "ops"), { recursive: true });
  writeFileSync(join(top, "engine", "ops", "a.ts"), "1");
  let end = () => {};
  try {
    const told = await new Promise<ReadonlySet<string>>((resolve) => {
      end = watchTree(top, ["engine"], resolve);
      setTimeout(() => {
        writeFileSync(join(top, "engine", "ops", "a.ts"), "2");
        writeFileSync(join(top, "engine", "b.ts"), "1");
      }, 100);
    });
    assert.equal([...told].sort(), ["engine/b.ts", "engine/ops/a.ts"]);
  } finally {
    end();
    rmSync(top, { recursive: true });
  }
});
