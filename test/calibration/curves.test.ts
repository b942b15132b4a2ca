// Curves of accuracy against cost, and thresholds that meet a budget: their ends, their order, their best point.

import {
  accuracyAtCost,
  achieved,
  areaUnderCurve,
  baselines,
  budgetCurve,
  budgetFractions,
  budgetThresholds,
  cascade,
  classPrecisionMargin,
  decideAtRandom,
  learnThenTest,
  marginCurve,
  meetBudget,
  riskTargetCurve,
  sweepThresholds,
  thresholdCurve,
} from "../../calibration/index.ts";
import { assert, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration curves");

test("a curve runs from the full network to the first exit, below the oracle", () => {
  const test = cascade(randomTable(800, 3, 4));
  const points = thresholdCurve(test, sweepThresholds(test, 40));
  const { oracle, fixed, random } = baselines(test, [0.5, 0, 0.5]);
  assert.ok(Math.abs(random.cost - 2 / 3) < 1e-12);
  assert.ok(Math.abs(random.accuracy - (fixed[0]!.accuracy + fixed[2]!.accuracy) / 2) < 1e-12);
  assert.is(points[0]!.cost, 1);
  assert.is(points[0]!.accuracy, fixed[2]!.accuracy);
  const last = points.at(-1)!;
  assert.ok(Math.abs(last.cost - 1 / 3) < 1e-12 && last.accuracy === fixed[0]!.accuracy);
  points.forEach((point, k) => {
    assert.ok(k === 0 || point.cost <= points[k - 1]!.cost + 1e-12, "looser is cheaper");
    assert.ok(point.accuracy <= oracle.accuracy);
  });
});

test("random exits with the same shares cost the same and answer worse than confidence", () => {
  const test = cascade(randomTable(4000, 3, 4));
  const { exits, expectedCost, fractions } = budgetThresholds(test, 1);
  const random = achieved(test, decideAtRandom(test, fractions, 3));
  assert.ok(Math.abs(random.cost - expectedCost) < 0.02);
  assert.ok(achieved(test, exits).accuracy > random.accuracy + 0.03);
});

test("budget, margin and risk-target curves move with their knob", () => {
  const validation = cascade(randomTable(1500, 3, 3));
  const test = cascade(randomTable(1500, 3, 3, { seed: 5 }));
  const budget = budgetCurve(validation, test);
  assert.is(budget.length, 39);
  assert.ok(budget[0]!.cost < budget[38]!.cost);
  const margin = marginCurve(validation, test, [0, 0.05, 0.2]);
  assert.ok(margin[0]!.cost >= margin[2]!.cost);
  const target = riskTargetCurve((alpha) => learnThenTest(validation, { alpha, delta: 0.1 }), test, [0.001, 0.1, 0.3]);
  assert.equal([target[0]!.ok, target[0]!.cost], [false, 1]);
  assert.ok(target[2]!.ok && target[2]!.cost < target[1]!.cost);
  assert.ok(Math.abs(budgetFractions(0.5, 4).reduce((a, b) => a + b, 0) - 1) < 1e-12);
});

test("areas and interpolation: duplicates keep the better, ends are held", () => {
  assert.is(areaUnderCurve([1, 0.5, 0.5], [0.9, 0.7, 0.8]), 0.8500000000000001);
  assert.is(areaUnderCurve([0.4], [0.7]), 0.7);
  assert.ok(Math.abs(accuracyAtCost([0.5, 1], [0.8, 0.9], 0.75) - 0.85) < 1e-12);
  assert.equal([accuracyAtCost([0.5, 1], [0.8, 0.9], 0.1), accuracyAtCost([0.5, 1], [0.8, 0.9], 2)], [0.8, 0.9]);
});

test("class precision margins: support counts, and a wider margin only loosens", () => {
  const table = cascade(randomTable(600, 3, 3));
  const strict = classPrecisionMargin(table, { margin: 0, minSupport: 20 });
  const wide = classPrecisionMargin(table, { margin: 0.3, minSupport: 20 });
  for (let c = 0; c < 3; c++) assert.ok(wide.thresholds[c]! <= strict.thresholds[c]!);
  const all = classPrecisionMargin(table, { margin: 0.3, minSupport: 20, population: "all" });
  const own = Array.from({ length: 3 }, (_, c) => table.predictions.filter((p, i) => i % 3 === 1 && p === c).length);
  assert.equal([...all.support.subarray(3)], own);
  assert.ok(wide.support.subarray(3).every((count, c) => count < own[c]!));
  assert.equal(all.thresholds.subarray(0, 3), wide.thresholds.subarray(0, 3));
  const none = classPrecisionMargin(table, { minSupport: 601 });
  assert.ok(none.thresholds.every((t) => t === Number.POSITIVE_INFINITY) && none.exits.every((j) => j === 2));
});

test("budgets are met on validation, or refused with what is possible", () => {
  const table = randomTable(900, 3, 3);
  const cost = meetBudget(table, { cost: 0.6 });
  assert.ok(cost.ok && cost.cost <= 0.6 && cost.guarantee.kind === "none");
  const accuracy = meetBudget(table, { accuracy: cost.accuracy });
  assert.ok(accuracy.ok && accuracy.cost <= cost.cost + 1e-12 && accuracy.accuracy >= cost.accuracy);
  const latency = meetBudget(table, { milliseconds: [2, 5, 11], budget: 4 });
  assert.ok(latency.ok && latency.cost <= 4);
  const never = meetBudget(table, { cost: 0.1 });
  assert.ok(
    !never.ok && never.reason.startsWith("budget search: no thresholds stay within cost 0.1; the least is 0.333"),
  );
  const slow = meetBudget(table, { milliseconds: [2, 5, 11], budget: 1 });
  const impossible = "and no threshold can do better, however many samples there are.";
  assert.is(slow.ok || slow.reason, `budget search: no thresholds stay within 1 ms; the least is 2, ${impossible}`);
});
