// The op table: every exported op against its float64 oracle, values and gradients. An op without a row is a failure.

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as engine from "../../engine/ops/index.ts";
import { arange, eye } from "../../engine/tensor.ts";
import * as answer from "../../exits/ops/answer.ts";
import * as append from "../../exits/ops/append.ts";
import * as decide from "../../exits/ops/decide.ts";
import * as gate from "../../exits/ops/gate.ts";
import * as pack from "../../exits/ops/pack.ts";
import * as tally from "../../exits/ops/tally.ts";
import { adapterSuite, device } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { opRows } from "./op-table.ts";
import { checkCase } from "./ops/check.ts";

/** The engine's ops, and those that exits/ adds by the same public functions. */
const OPS = { ...engine, arange, eye, ...answer, ...append, ...decide, ...gate, ...pack, ...tally };

/** Functions beside them that are no ops on tensors, or are tested in a suite of their own. */
const NOT_OPS = new Set(
  [
    "elementwise addInto copyInto packedWords checkActivation",
    "tallySize readTally decideError decisionText fitsAnswer bindsAll answerTail loadLanes packUnit",
  ].flatMap((names) => names.split(" ")),
);

const rows = await opRows();
const table = adapterSuite("op table", { timeout: 180_000 });
for (const { op, cases } of rows) {
  table(op, async () => {
    assert.ok(cases.length > 0, `${op} has no case`);
    for (const [i, one] of cases.entries()) await checkCase(await device(), op, one, 1000 + i);
  });
}

const coverage = suite("op table coverage");
coverage("every exported op has a row", () => {
  const isOp = ([name, value]: [string, unknown]) =>
    typeof value === "function" && /^[a-z]/.test(name) && !NOT_OPS.has(name);
  const ops = Object.entries(OPS)
    .filter(isOp)
    .map(([name]) => name);
  const covered = new Set(rows.map(({ op }) => op));
  assert.equal(
    ops.filter((op) => !covered.has(op)),
    [],
    "exported ops without a row in test/engine/ops",
  );
});
coverage("ops are defined in the folders that are looked at here", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const elsewhere = ["base", "engine", "nn", "exits", "calibration", "data"].flatMap((folder) =>
    readdirSync(root + folder, { recursive: true, encoding: "utf8" })
      .map((file) => `${folder}/${file.replaceAll("\\", "/")}`)
      .filter((file) => file.endsWith(".ts") && !/^(engine|exits)\/ops\//.test(file) && file !== "engine/op.ts")
      .filter((file) => /\bdefineOp\(/.test(readFileSync(root + file, "utf8"))),
  );
  assert.equal(elsewhere, []);
});
coverage("every row is an exported op", () => {
  const unknown = rows.map(({ op }) => op).filter((op) => !(op in OPS));
  assert.equal(unknown, [], "rows that name no export");
});
