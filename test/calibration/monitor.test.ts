// Monitors in use and prediction sets.

import fc from "fast-check";
import {
  calibrateNestedSets,
  calibrateSets,
  createCascadeMonitor,
  createDeploymentMonitor,
  createExchangeabilityMonitor,
  createRandom,
  createRiskMonitor,
  nestedSets,
  outcomes,
  predictNestedSets,
  predictSets,
  safeKdReleasedCode,
  setQuality,
  setRule,
  testExchangeability,
} from "../../calibration/index.ts";
import { FAIR_BETS } from "../../calibration/monitoring/exchangeability.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

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

/** Observations from the change to the alarm, median over runs that were quiet before; and how many were not. */
function delays(runs: number, make: (seed: number) => { quiet(): boolean; changed(): boolean }, before: number) {
  const found: number[] = [];
  for (let seed = 0; seed < runs; seed++) {
    const stream = make(seed);
    let isAlarm = false;
    for (let t = 0; t < before && !isAlarm; t++) isAlarm = stream.quiet();
    if (isAlarm) continue;
    let n = 1;
    while (n < 20_000 && !stream.changed()) n++;
    found.push(n);
  }
  return { median: found.sort((a, b) => a - b)[found.length >> 1]!, falseAlarms: runs - found.length };
}

test("a break is noticed about as soon after 20,000 good labels as after 1,000, by every monitor", () => {
  const risks = (bad: number) => (seed: number) => {
    const random = createRandom(seed);
    const monitor = createRiskMonitor({ alpha: 0.05, delta: 0.1 });
    const at = (risk: number) => () => monitor.observe(random.uniform() < risk).isAlarm;
    return { quiet: at(0.03), changed: at(bad) };
  };
  const exits = (seed: number) => {
    const random = createRandom(seed);
    const monitor = createCascadeMonitor({ alpha: 0.05, delta: 0.1, exits: 3 });
    const at = (risk: number) => () => monitor.observe(1, random.uniform() < risk).isAlarm;
    return { quiet: at(0.03), changed: at(0.2) };
  };
  const scores = (seed: number) => {
    const random = createRandom(seed);
    const reference = Float64Array.from({ length: 500 }, () => random.normal());
    const monitor = createExchangeabilityMonitor(reference, { delta: 0.1, seed });
    const at = (shift: number) => () => monitor.observe(random.normal() - shift).isAlarm;
    return { quiet: at(0), changed: at(0.5) };
  };
  for (const [name, make, early, late] of [
    ["twice the risk", risks(0.1), 180, 1000],
    ["four times the risk", risks(0.2), 40, 160],
    ["one exit of a cascade", exits, 60, 200],
    ["scores", scores, 70, 250],
  ] as const) {
    for (const [before, limit] of [
      [0, early],
      [20_000, late],
    ] as const) {
      const { median, falseAlarms } = delays(15, make, before);
      assert.ok(median <= limit && falseAlarms <= 5, `${name}, ${before} before: ${median}, ${falseAlarms} false`);
    }
  }
});

test("bets that are laid for ever keep the level in long runs, with the risk at alpha all the time", () => {
  const [runs, delta] = [400, 0.1];
  const random = createRandom(5);
  let alarms = 0;
  for (let run = 0; run < runs; run++) {
    const monitor = createRiskMonitor({ alpha: 0.05, delta });
    for (let t = 0; t < 4000 && !monitor.state.isAlarm; t++) monitor.observe(random.uniform() < 0.05);
    if (monitor.state.isAlarm) alarms++;
  }
  assert.ok(alarms / runs <= delta + 3 * Math.sqrt((delta * (1 - delta)) / runs), `${alarms} of ${runs}`);
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

test("a deployment monitor waits for labels, which may come late and in another order", async () => {
  const monitor = createDeploymentMonitor({ alpha: 0.1, delta: 0.1, exits: 3 });
  for (let id = 0; id < 90; id++) monitor.decided(id, id % 3, 7);
  assert.equal([monitor.state.pending, monitor.state.isAlarm], [90, false]);
  for (let id = 89; id >= 0; id--) monitor.resolved(id, id % 3 === 1 ? 5 : 7);
  const { pending, isAlarm, exits } = monitor.state;
  assert.equal([pending, isAlarm], [0, true]);
  assert.equal(
    exits.map(({ n, risk }) => [n, risk]),
    [
      [30, 0],
      [30, 1],
    ],
  );
  await failsWith(
    () => monitor.resolved(5, 7),
    "CalibrationError",
    "monitor.resolved: the id must belong to a waiting decision; got 5.",
  );
  monitor.decided("a", 0, 1);
  await failsWith(
    () => monitor.decided("a", 1, 1),
    "CalibrationError",
    "monitor.decided: ids of waiting decisions must differ; got a.",
  );
});

test("two batches of confidences: a uniform p-value without a shift, ties or not, and power with one", async () => {
  const random = createRandom(8);
  const pValues = (shift: number, digits: number) =>
    Array.from({ length: 200 }, (_, seed) => {
      const draw = (n: number, by: number) =>
        Float64Array.from({ length: n }, () => Number((random.normal() + by).toFixed(digits)));
      return testExchangeability(draw(60, 0), draw(40, shift), { permutations: 99, seed }).pValue;
    });
  for (const digits of [0, 9]) {
    const small = pValues(0, digits).filter((p) => p <= 0.1).length / 200;
    assert.ok(small <= 0.1 + 3 * Math.sqrt(0.09 / 200), `${small}`);
    assert.ok(pValues(1, digits).filter((p) => p <= 0.1).length > 180);
  }
  assert.equal(testExchangeability([0.5, 0.5], [0.5]), { distance: 0, pValue: 1 });
  assert.is(testExchangeability([1, 2], [3]).distance, 1);
  await failsWith(
    () => testExchangeability([0.5], []),
    "CalibrationError",
    "testExchangeability: the live scores must not be empty; got 0 samples.",
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

test("a change of spread about the same middle is noticed, wider or narrower, and no change is not", () => {
  const scale = (factor: number) => (seed: number) => {
    const random = createRandom(seed);
    const reference = Float64Array.from({ length: 500 }, () => random.normal());
    const monitor = createExchangeabilityMonitor(reference, { delta: 0.05, seed });
    const at = (by: number) => () => monitor.observe(by * random.normal()).isAlarm;
    return { quiet: at(1), changed: at(factor) };
  };
  // [spread, most samples until the alarm, and after 5,000 without a change]
  for (const [factor, early, late] of [
    [2.5, 60, 200],
    [0.4, 60, 250],
  ] as const) {
    for (const [before, limit] of [
      [0, early],
      [5000, late],
    ] as const) {
      const { median, falseAlarms } = delays(15, scale(factor), before);
      assert.ok(median <= limit && falseAlarms <= 3, `${factor}, ${before} before: ${median}, ${falseAlarms} false`);
    }
  }
  const runs = 400;
  let alarms = 0;
  for (let seed = 0; seed < runs; seed++) {
    const { quiet } = scale(1)(1000 + seed);
    for (let t = 0; t < 400; t++) if (quiet()) break;
    if (quiet()) alarms++;
  }
  assert.ok(alarms / runs <= 0.05 + 3 * Math.sqrt((0.05 * 0.95) / runs), `${alarms} of ${runs}`);
});

test("every bet of the exchangeability monitor is fair: over uniform p-values its mean is 1, and none is negative", () => {
  assert.is(FAIR_BETS.length, 5);
  for (const bet of FAIR_BETS) {
    let mean = 0;
    for (let k = 0; k < 1000; k++) {
      const value = bet((k + 0.5) / 1000);
      assert.ok(value >= 0);
      mean += value / 1000;
    }
    assert.ok(Math.abs(mean - 1) < 1e-5, `${mean}`);
    assert.ok(bet(0) >= 0 && bet(0.5) >= 0 && bet(1) >= 0);
  }
});

test("bad observations are named", async () => {
  await failsWith(
    () => createRiskMonitor({ alpha: 0.1, delta: 0.1 }).observe(2),
    "CalibrationError",
    "monitor.observe: the loss must lie in [0, 1]; got 2.",
  );
  await failsWith(
    () => createExchangeabilityMonitor([0.5], { delta: 0.1 }).observe(Number.NaN),
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

test("the rank of the quantile is exact for every level of two digits, and never too small", () => {
  const setOf = (n: number, alpha: number) => setRule(new Float64Array(n), { method: "thr", alpha }, "it holds");
  // In floating point 150 * (1 - 0.18) is above 123; SAFE-KD's released code counts from 0 and rounds as that does.
  assert.equal([setOf(149, 0.18).rank, Math.ceil(150 * (1 - 0.18))], [123, 124]);
  assert.is(safeKdReleasedCode(outcomes(randomTable(149, 2, 3)), { delta: 0.18 }).rank, 124 - 1);
  for (let percent = 1; percent < 100; percent++) {
    for (let n = 1; n <= 400; n++) {
      const { rank, ok, neededSamples } = setOf(n, percent / 100);
      assert.is(rank, Math.ceil(((n + 1) * (100 - percent)) / 100), `${n} samples at ${percent} %`);
      assert.is(ok, n >= neededSamples, `${n} samples at ${percent} %`);
    }
  }
  // Levels that are a little too small for the rank below, and one so small that 1 - alpha keeps few of its digits.
  assert.is(setOf(149, 0.18 - 1e-10).rank, 124);
  assert.equal([setOf(9, 0.1 - 1e-10).ok, setOf(9, 1e-15).rank, setOf(9, 1 - 1e-15).rank], [false, 10, 1]);
});

test("smaller alpha, larger sets", () => {
  const random = createRandom(4);
  const logits = Float64Array.from({ length: 400 }, () => random.normal());
  const labels = Int32Array.from({ length: 100 }, () => random.below(4));
  for (const method of ["thr", "aps", "raps"] as const) {
    let before: Uint8Array | undefined;
    for (const alpha of [0.4, 0.2, 0.1, 0.02]) {
      const rule = calibrateSets(
        { logits, labels, classes: 4 },
        {
          method,
          alpha,
          ...(method === "raps" && { lambda: 0.01, kReg: 1 }),
        },
      );
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

test("conformal nested sets shrink, and keep the label at every exit as often as promised", () => {
  let missed = 0;
  const repeats = 150;
  for (let r = 0; r < repeats; r++) {
    const rule = calibrateNestedSets(randomTable(79, 3, 4, { seed: 2 * r }), { method: "aps", alpha: 0.2 });
    const test = randomTable(50, 3, 4, { seed: 2 * r + 1 });
    const { sets, size } = predictNestedSets(test, rule);
    for (let i = 0; i < 50; i++) {
      assert.ok(size[3 * i]! >= size[3 * i + 1]! && size[3 * i + 1]! >= size[3 * i + 2]!);
      missed += (1 - sets[(3 * i + 2) * 4 + test.labels[i]!]!) / (50 * repeats);
    }
  }
  assert.ok(missed < 0.22 && missed > 0.15, `${missed}`);
  const none = calibrateNestedSets(randomTable(3, 2, 3), { method: "thr", alpha: 0.1 });
  assert.equal([none.ok, none.neededSamples], [false, 9]);
  assert.ok(predictNestedSets(randomTable(4, 2, 3), none).sets.every((isIn) => isIn === 1));
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
