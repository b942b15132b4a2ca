// The check of the calibration benchmark sees wrong answers.

import { checkCalibration } from "../../bench/calibration-check.ts";
import { type Calibration, createTable, type Evaluation, evaluate, learnThenTest } from "../../calibration/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, suite } from "../harness.ts";

const test = suite("calibration benchmark");

test("right answers pass, and each wrong figure is named", () => {
  const [rows, samples, exits, classes] = [150, 2000, 3, 4];
  const drawn = randomTable(rows, exits, classes, { seed: 5 });
  const logits = Float32Array.from(drawn.read(0, rows));
  const { labels } = drawn;
  const width = exits * classes;
  const table = createTable({
    shape: [samples, exits, classes],
    labels: Int32Array.from({ length: samples }, (_, i) => labels[i % rows]!),
    logits: (first, count) =>
      Float32Array.from({ length: count * width }, (_, k) => {
        return logits[((first + Math.floor(k / width)) % rows) * width + (k % width)]!;
      }),
  });
  const given = { samples, exits, classes, logits, labels };
  const metrics = evaluate(table);
  const policy = learnThenTest(table, { alpha: 0.2, delta: 0.1, sameSamples: true });
  assert.ok(policy.ok, policy.ok ? "" : policy.reason);
  if (!policy.ok) return;
  checkCalibration(given, metrics, policy);
  const off = (change: Partial<Evaluation["exits"][number]>): Evaluation => ({
    ...metrics,
    exits: metrics.exits.map((exit, j) => (j === 1 ? { ...exit, ...change } : exit)),
  });
  const refuses = (changed: Evaluation, result: Calibration, message: RegExp) =>
    assert.throws(() => checkCalibration(given, changed, result), message);
  for (const metric of ["accuracy", "nll", "brier", "auroc"] as const)
    refuses(off({ [metric]: metrics.exits[1]![metric] * 1.001 }), policy, new RegExp(`^${metric} of exit 1 must be`));
  refuses(metrics, { ...policy, thresholds: policy.thresholds.map((t) => t - 0.2) }, / must be .*; calibration says /);
  refuses(metrics, { ...policy, tests: policy.tests.map((t) => ({ ...t, pValue: 0 })) }, /^p-value of exit \d must be/);
  refuses(metrics, { ...policy, delta: 1e-30 }, /was certified with p-value/);
});
