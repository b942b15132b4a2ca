/** Monitors in use and prediction sets. */

import fc from "fast-check";
import {
  calibrateSets,
  createCascadeMonitor,
  createExchangeabilityMonitor,
  createRandom,
  createRiskMonitor,
  nestedSets,
  predictSets,
  setQuality,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("calibration monitors and sets");

test("the risk monitor stays quiet while the promise holds and speaks up when it breaks", () => {
  const random = createRandom(1);
  const runs = (risk: number) =>
    Array.from({ length: 300 }, () => {
      const monitor = createRiskMonitor({ alpha: 0.1, delta: 0.05 });
      for (let t = 0; t < 400; t++) monitor.observe(random.uniform() < risk);
      return monitor.state;
    });
  const falseAlarms = runs(0.1).filter((state) => state.isAlarm).length / 300;
  assert.ok(falseAlarms <= 0.05 + 3 * Math.sqrt((0.05 * 0.95) / 300), `${falseAlarms}`);
  assert.ok(runs(0.25).every((state) => state.isAlarm));
});

test("the evidence is a product of fair bets: its mean over all outcomes is 1", () => {
  const alpha = 0.25;
  let mean = 0;
  for (let outcome = 0; outcome < 2 ** 8; outcome++) {
    const monitor = createRiskMonitor({ alpha, delta: 0.01 });
    let probability = 1;
    for (let t = 0; t < 8; t++) {
      const isWrong = ((outcome >> t) & 1) === 1;
      probability *= isWrong ? alpha : 1 - alpha;
      monitor.observe(isWrong);
    }
    mean += probability * monitor.state.eValue;
  }
  assert.ok(Math.abs(mean - 1) < 1e-12, `${mean}`);
});

test("an alarm stays on, and says when it began", () => {
  const monitor = createRiskMonitor({ alpha: 0.1, delta: 0.1 });
  assert.equal(monitor.state, { n: 0, risk: Number.NaN, eValue: 1, isAlarm: false, alarmAt: -1 });
  for (let t = 0; t < 5; t++) monitor.observe(1);
  const { alarmAt } = monitor.state;
  for (let t = 0; t < 500; t++) monitor.observe(0);
  assert.ok(monitor.state.isAlarm && monitor.state.alarmAt === alarmAt && alarmAt <= 5);
  assert.ok(monitor.state.eValue < 1 && Math.abs(monitor.state.risk - 5 / 505) < 1e-12);
});

test("a cascade monitor notices the one exit that breaks, and passes over the last", async () => {
  const monitor = createCascadeMonitor({ alpha: 0.1, delta: 0.1, exits: 3 });
  for (let t = 0; t < 100; t++) {
    monitor.observe(0, t % 20 === 0);
    monitor.observe(1, t % 2 === 0);
    monitor.observe(2, true);
  }
  const { isAlarm, exits } = monitor.state;
  assert.ok(isAlarm);
  assert.equal(
    exits.map((exit) => exit.isAlarm),
    [false, true],
  );
  await failsWith(
    () => monitor.observe(3, 0),
    "CalibrationError",
    "monitor.observe: the exit must lie in 0..2; got 3.",
  );
});

test("p-values against calibration scores are uniform under exchangeability, ties included", () => {
  const random = createRandom(2);
  const counts = new Float64Array(10);
  for (let r = 0; r < 200; r++) {
    const draw = () => Math.floor(4 * random.uniform()) / 4;
    const monitor = createExchangeabilityMonitor(Float64Array.from({ length: 20 }, draw), { delta: 0.1, seed: r });
    for (let t = 0; t < 10; t++) {
      const bin = Math.min(9, Math.floor(10 * monitor.observe(draw()).pValue));
      counts[bin] = counts[bin]! + 1;
    }
  }
  const chiSquare = counts.reduce((sum, c) => sum + (c - 200) ** 2 / 200, 0);
  assert.ok(chiSquare < 27.9, `chi square ${chiSquare}`); // 0.999 quantile at 9 degrees of freedom
});

test("a drop of live confidence raises the alarm, the same confidence does not", () => {
  const random = createRandom(3);
  const runs = (shift: number) =>
    Array.from({ length: 200 }, (_, seed) => {
      const scores = Float64Array.from({ length: 200 }, () => random.normal());
      const monitor = createExchangeabilityMonitor(scores, { delta: 0.05, seed });
      for (let t = 0; t < 200; t++) monitor.observe(random.normal() - shift);
      return monitor.state.isAlarm;
    }).filter(Boolean).length / 200;
  assert.ok(runs(0) <= 0.05 + 3 * Math.sqrt((0.05 * 0.95) / 200));
  assert.ok(runs(0.8) > 0.95);
});

test("bad observations are named", async () => {
  await failsWith(
    () => createRiskMonitor({ alpha: 0.1, delta: 0.1 }).observe(2),
    "CalibrationError",
    "monitor.observe: the loss must lie in [0, 1]; got 2.",
  );
  await failsWith(
    () => createExchangeabilityMonitor([], { delta: 0.1 }).observe(Number.NaN),
    "CalibrationError",
    "monitor.observe: the score must be a number; got NaN.",
  );
});

test("with too few calibration samples every set is complete, and says so", () => {
  const logits = Float64Array.of(1, 0, 0, 2);
  const rule = calibrateSets({ logits, labels: [0, 1], classes: 2 }, { method: "thr", alpha: 0.1 });
  assert.equal([rule.ok, rule.quantile, rule.rank], [false, Number.POSITIVE_INFINITY, 3]);
  const sets = predictSets({ logits, classes: 2 }, rule);
  assert.equal(setQuality(sets, [0, 1], 2), { size: Int32Array.of(2, 2), coverage: 1 });
});

test("smaller alpha, larger sets", () => {
  const random = createRandom(4);
  const logits = Float64Array.from({ length: 400 }, () => random.normal());
  const labels = Int32Array.from({ length: 100 }, () => random.below(4));
  for (const method of ["thr", "aps", "raps"] as const) {
    let before: Uint8Array | undefined;
    for (const alpha of [0.4, 0.2, 0.1, 0.02]) {
      const rule = calibrateSets({ logits, labels, classes: 4 }, { method, alpha, lambda: 0.01, kReg: 1 });
      const sets = predictSets({ logits, classes: 4 }, rule);
      assert.ok(before === undefined || before.every((isIn, k) => isIn <= sets[k]!), method);
      before = sets;
    }
  }
});

test("nested sets only shrink along the exits", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 30, noNaN: true }), { minLength: 24, maxLength: 24 }), (ratios) => {
      const { sets, size } = nestedSets(ratios, { exits: 3, classes: 4, alpha: 0.1 });
      for (let i = 0; i < 2; i++) {
        for (let j = 1; j < 3; j++) {
          assert.ok(size[i * 3 + j]! <= size[i * 3 + j - 1]!);
          for (let c = 0; c < 4; c++) assert.ok(sets[(i * 3 + j) * 4 + c]! <= sets[(i * 3 + j - 1) * 4 + c]!);
        }
      }
    }),
  );
});

test("sets refuse bad labels and levels", async () => {
  const logits = Float64Array.of(1, 0);
  await failsWith(
    () => calibrateSets({ logits, labels: [2], classes: 2 }, { method: "thr", alpha: 0.1 }),
    "CalibrationError",
    "calibrateSets: labels must lie in 0..1; got 2.",
  );
  await failsWith(
    () => calibrateSets({ logits, labels: [], classes: 2 }, { method: "thr", alpha: 0.1 }),
    "CalibrationError",
    "calibrateSets: the calibration set must not be empty; got 0 samples.",
  );
});
