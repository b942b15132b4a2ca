// Files without ids that are given for two purposes, probabilities without the flag, and ids of 64 bits.

import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCalibrate } from "../../cli/commands/calibrate.ts";
import { runEvaluate } from "../../cli/commands/evaluate.ts";
import { readLogits } from "../../cli/files/logits-file.ts";
import { encodeNpz } from "../../data/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";

const test = suite("same samples in files");
const folder = mkdtempSync(join(tmpdir(), "sortie-same-"));
const file = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));
const silent = () => {};

/** A file without ids, unless they are given. */
function save(name: string, seed: number, ids?: BigInt64Array | BigUint64Array): string {
  const table = randomTable(600, 3, 4, { seed });
  const arrays = new Map<string, { shape: number[]; data: Float64Array | Int32Array | BigInt64Array | BigUint64Array }>(
    [
      ["logits", { shape: [600, 3, 4], data: Float64Array.from(table.read(0, 600)) }],
      ["labels", { shape: [600], data: table.labels }],
    ],
  );
  if (ids) arrays.set("ids", { shape: [600], data: ids });
  writeFileSync(file(name), encodeNpz(arrays as Parameters<typeof encodeNpz>[0]));
  return file(name);
}

test("one file for two purposes is refused, under whatever name, and done when forced", async () => {
  const [calibration, copy, other] = [save("c.npz", 1), save("copy.npz", 1), save("v.npz", 2)];
  symlinkSync(calibration, file("link.npz"));
  const run = (validation: string, ...flags: string[]) =>
    runCalibrate(
      [calibration, "--validation", validation, "--alpha", "0.3", "--out", file("p.json"), ...flags],
      silent,
    );
  for (const path of [calibration, file("link.npz")]) {
    await failsWith(
      () => run(path),
      "SortieError",
      `calibrate: --validation must be another file than the calibration logits; got ${path} for both. ` +
        "No guarantee holds on samples that thresholds were laid out on; --same-samples does it all the same.",
    );
  }
  assert.match((await errorOf(() => run(copy)))?.message ?? "", /samples must differ; got 100 % of the validation/);
  assert.is(run(copy, "--same-samples"), 0);
  assert.is(run(other), 0);
  for (const used of [calibration, other]) {
    const evaluate = (...flags: string[]) => runEvaluate([used, "--policy", file("p.json"), ...flags], silent);
    assert.match((await errorOf(() => evaluate()))?.message ?? "", /samples must differ; got 100 % of the test/);
    assert.is(evaluate("--same-samples"), 0);
  }
  assert.is(runEvaluate([save("t.npz", 3), "--policy", file("p.json")], silent), 0);
});

test("ids of 64 bits stay distinct, signed or not", () => {
  const unsigned = BigUint64Array.from({ length: 600 }, (_, i) => (1n << 63n) + BigInt(i));
  const signed = BigInt64Array.from({ length: 600 }, (_, i) => (i === 0 ? 7n : -(1n << 62n) - BigInt(i)));
  for (const [name, ids] of [
    ["u.npz", unsigned],
    ["i.npz", signed],
  ] as const) {
    const path = save(name, 4, ids);
    const read = readLogits(path).ids;
    assert.is(new Set(read).size, 600);
    assert.is(String(read?.[5]), String(ids[5]));
    const flags = ["--alpha", "0.3", "--out", file("ids.json")];
    assert.is(runCalibrate([path, ...flags], silent), 0);
  }
  assert.is(readLogits(file("i.npz")).ids?.[0], 7);
});
