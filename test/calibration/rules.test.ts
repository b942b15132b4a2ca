// Rules of others, and the primitives that all rules are made of.

import {
  createPopulation,
  createRandom,
  harmlessStart,
  loosestPlugIn,
  loosestPlusOne,
  lttPooled,
  lttThreshold,
  safeKdReleasedCode,
  safeKdText,
  sequentialSurvivors,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("calibration rules");

const population = createPopulation({ size: 100_000 });
const worstExit = (t: Float64Array) => Math.max(0, ...population.truth(t).exitRisk.filter((r) => !Number.isNaN(r)));
const levels = { alpha: 0.1, delta: 0.1 };

test("the plug-in rule takes the loosest score whose own error rate passes, the other counts one error more", () => {
  const scores = [0.9, 0.8, 0.7, 0.6, 0.5];
  const correct = [1, 1, 0, 1, 0];
  assert.is(loosestPlugIn(scores, correct, 0.25), 0.6);
  assert.is(loosestPlugIn(scores, correct, 0), 0.8);
  assert.is(loosestPlugIn(scores, correct, 1), 0.5);
  assert.is(loosestPlusOne(scores, correct, 0.4), 0.6);
  assert.is(loosestPlusOne(scores, correct, 0.25), Number.POSITIVE_INFINITY);
});

test("SAFE-KD's rules break the promise, and say that they make none", () => {
  const draw = population.draw(2000, createRandom(8));
  const code = safeKdReleasedCode(draw, { delta: 0.1 });
  assert.is(code.guarantee.kind, "none");
  assert.ok(worstExit(code.bar.subarray(0, 2)) > 0.15);
  const tighter = safeKdReleasedCode(draw, { delta: 0.01 });
  assert.ok(
    tighter.bar.every((bar, j) => bar <= code.bar[j]!),
    "inverted: a smaller delta lowers the bar",
  );
  const text = safeKdText(draw, { delta: 0.1 });
  assert.is(text.guarantee.kind, "none");
  assert.ok(worstExit(text.thresholds) > 0.1);
});

test("primitives answer +Infinity where nothing passes", () => {
  const nothing = lttThreshold({ scores: [0.9, 0.8], errors: [0, 0], grid: [0.5] }, levels);
  assert.equal([nothing.ok, nothing.threshold, nothing.nMin, nothing.n], [false, Number.POSITIVE_INFINITY, 22, 2]);
  const pooled = lttPooled({ scores: [0.9], errors: [0], grid: [0.5], earlyExits: 1 }, levels);
  assert.equal([pooled.ok, pooled.index, pooled.n], [false, -1, 1]);
  const chain = sequentialSurvivors(
    { scores: [0.9], errors: [0], validationScores: [0.9], earlyExits: 1, gridQuantiles: [0.5] },
    levels,
  );
  assert.equal([...chain.thresholds], [Number.POSITIVE_INFINITY]);
  for (const { guarantee } of [nothing, pooled, chain]) {
    assert.is(guarantee.kind, "with probability 1 - delta");
    assert.ok(guarantee.promise.endsWith("at most 0.1.") && guarantee.assumptions.includes(harmlessStart));
  }
});

test("a grid that is not strict to loose is refused", async () => {
  await failsWith(
    () => lttThreshold({ scores: [1], errors: [0], grid: [0.5, 0.6] }, levels),
    "CalibrationError",
    "lttThreshold: the grid must go from strict to loose; got 0.5 before 0.6.",
  );
});
