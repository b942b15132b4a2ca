// One root of all errors: whoever catches SortieError catches everything that the library throws on purpose.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SortieError } from "../../base/index.ts";
import * as calibration from "../../calibration/index.ts";
import * as data from "../../data/index.ts";
import * as engine from "../../engine/index.ts";
import * as exits from "../../exits/index.ts";
import { assert, suite } from "../harness.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const test = suite("errors");

test("every exported class of errors descends from SortieError", () => {
  const classes = [engine, exits, calibration, data].flatMap((entry) =>
    Object.entries(entry as Readonly<Record<string, unknown>>).filter(([name]) => /^[A-Z]\w*Error$/.test(name)),
  );
  assert.ok(classes.length >= 8, `only ${classes.length} classes`);
  for (const [name, found] of classes) {
    const isRoot = found === SortieError;
    assert.ok(isRoot || (found as { readonly prototype: unknown }).prototype instanceof SortieError, name);
  }
});

test("the library throws no other", () => {
  const faults: string[] = [];
  for (const folder of ["base", "kernels", "engine", "nn", "calibration", "onnx", "exits", "data", "cli"]) {
    for (const file of readdirSync(root + folder, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts") || (folder === "base" && file === "errors.ts")) continue;
      // Written into folders of users, who run it without the library.
      if (folder === "onnx" && file === "cascade.ts") continue;
      for (const [i, line] of readFileSync(`${root}${folder}/${file}`, "utf8").split("\n").entries()) {
        if (/throw new (Type|Range)?Error\(|extends (Type|Range)?Error\b/.test(line))
          faults.push(`${folder}/${file}:${i + 1}`);
      }
    }
  }
  assert.equal(faults, []);
});
