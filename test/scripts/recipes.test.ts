// The ways of CONTRIBUTING.md to add something, followed in a copy: what they name is there, and what they promise
// happens.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const page = readFileSync(join(root, "CONTRIBUTING.md"), "utf8");

const test = suite("recipes of CONTRIBUTING.md");

test("parts of tests that it says to run choose some", () => {
  const files = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".test.ts"));
  const asked = [...page.matchAll(/`npm test -- ([^`]+)`/g)].flatMap(([, parts = ""]) => parts.split(/\s+/));
  const parts = asked.filter((part) => /^[a-z][\w/.-]*$/.test(part));
  assert.ok(parts.length > 3, `only ${parts.length} parts found`);
  assert.equal(
    parts.filter((part) => !files.some((file) => file.includes(part))),
    [],
  );
});

const TOY = `// Toy: ten grey images of every digit.
@{ createDataset } from "../dataset.ts";
@{ readOptions } from "../errors.ts";
@{ splitOfficial } from "../splits.ts";
@{ DATA, DIGITS } from "./options.ts";

export const TOY_SOURCE = { folder: "toy", files: [] };

export async function toy(options = {}) {
  readOptions("toy", options, DATA);
  const part = (split, firstId) =>
    createDataset({
      images: new Uint8Array(400),
      labels: Int32Array.from({ length: 100 }, (_, i) => i % 10),
      ids: Int32Array.from({ length: 100 }, (_, i) => firstId + i),
      shape: [2, 2, 1],
      classes: DIGITS,
      meta: { name: "toy", split, mean: [0], std: [1] },
    });
  return splitOfficial("toy", part("train", 0), part("test", 100), options);
}
`;

const RULE = `// A threshold of the first exit that says how many it lets leave.
@{ checkLevel, readOptions } from "../errors.ts";
@{ column, indices, rowsBelow } from "../numeric/arrays.ts";

export function leavers(all, options) {
  const { alpha } = readOptions("leavers", options, { alpha: "number!" });
  checkLevel("leavers", "alpha", alpha);
  const stay = rowsBelow(indices(all.samples), all.maxProb, all.exits, 0, 1 - alpha);
  return column(all.maxProb, all.exits, 0).length - stay.length;
}
`;

/**
 * Runs lines of a module, which write `@` for `import` as no file of the tree is meant, in a copy of some folders, in
 * which `edit` has changed files.
 */
function followed(folders: readonly string[], edit: (write: Edit) => void, lines: string): string {
  const copy = mkdtempSync(join(tmpdir(), "sortie-recipe-"));
  try {
    for (const folder of folders) cpSync(join(root, folder), join(copy, folder), { recursive: true });
    cpSync(join(root, "package.json"), join(copy, "package.json"));
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"), "junction");
    edit((file, change) => {
      const before = readFileSync(join(root, file), { encoding: "utf8", flag: "r" });
      const after = change(before);
      assert.not.equal(after, before, file);
      mkdirSync(join(copy, file, ".."), { recursive: true });
      writeFileSync(join(copy, file), after);
    });
    writeFileSync(join(copy, "try.ts"), lines.replaceAll("@{", "import {").replaceAll("@(", "import("));
    const args = ["--import", "tsx", "try.ts"];
    return execFileSync(process.execPath, args, { cwd: copy, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

type Edit = (file: string, change: (text: string) => string) => void;

test("a data set is a file, its export and its record; its options are checked, and it has a name", () => {
  const said = followed(
    ["base", "data", "engine"],
    (edit) => {
      edit("data/sets/known.ts", (text) =>
        text
          .replace(
            'import { SVHN_SOURCE, svhn } from "./svhn.ts";',
            'import { SVHN_SOURCE, svhn } from "./svhn.ts";\nimport { TOY_SOURCE, toy } from "./toy.ts";',
          )
          .replace(
            "  npz: {",
            '  toy: { title: "a toy", source: TOY_SOURCE, options: OFFICIAL, load: toy },\n  npz: {',
          ),
      );
      edit("data/index.ts", (text) => `${text}export { TOY_SOURCE, toy } from "./sets/toy.ts";\n`);
    },
    `@{ writeFileSync } from "node:fs";
writeFileSync("data/sets/toy.ts", ${JSON.stringify(TOY)});
const { DATA_SETS, toy } = await @("./data/index.ts");
const { train, validation } = await DATA_SETS.toy.load({ validation: 20, calibration: 10 });
console.log(train.size, validation.size, Object.keys(DATA_SETS.toy.options).join());
await toy({ train: -1 }).catch((error) => console.log(error.message));
`,
  );
  assert.equal(said.trim().split("\n"), [
    "70 20 dir,download,train,validation,calibration,order",
    "toy: train must be a whole number of at least 0, or a share below 1; got -1.",
  ]);
});

test("a calibration method is a function and its export; its options are checked", () => {
  const said = followed(
    ["base", "calibration"],
    (edit) => edit("calibration/index.ts", (text) => `${text}export * from "./rules/leavers.ts";\n`),
    `@{ writeFileSync } from "node:fs";
writeFileSync("calibration/rules/leavers.ts", ${JSON.stringify(RULE)});
const { createPopulation, createRandom, leavers } = await @("./calibration/index.ts");
const drawn = createPopulation({ size: 2000 }).draw(300, createRandom(1));
console.log(leavers(drawn, { alpha: 0.9 }) > leavers(drawn, { alpha: 0.1 }));
try { leavers(drawn, { alhpa: 0.1 }) } catch (error) { console.log(error.message) }
`,
  );
  assert.equal(said.trim().split("\n"), [
    "true",
    'leavers: unknown option "alhpa". Did you mean "alpha"? It takes alpha.',
  ]);
});
