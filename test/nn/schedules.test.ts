// Learning rates by step against PyTorch's formulas.

import {
  lrConstant,
  lrCosine,
  lrCosineWarmup,
  lrMultiStep,
  lrOneCycle,
  lrRamp,
  momentumOneCycle,
} from "../../nn/schedules.ts";
import { assert, suite } from "../harness.ts";

const test = suite("schedules");

const near = (got: number, want: number, by = 1e-12): void =>
  assert.ok(Math.abs(got - want) <= by, `${got} is not ${want}`);

test("a constant stays", () => {
  assert.is(lrConstant(0.3)(0), 0.3);
  assert.is(lrConstant(0.3)(1e6), 0.3);
});

test("cosine starts at the base, is half way in the middle, and stays at the minimum", () => {
  const at = lrCosine({ baseLr: 1, minLr: 0.2, steps: 10 });
  near(at(0), 1);
  near(at(5), 0.6);
  near(at(10), 0.2);
  near(at(1000), 0.2);
});

test("warm-up rises linearly and then hands over to the cosine", () => {
  const at = lrCosineWarmup({ baseLr: 2, steps: 12, warmupSteps: 4, warmupStartFactor: 0.5 });
  assert.equal([0, 2, 4].map(at), [1, 1.5, 2]);
  near(at(8), 1);
  near(at(12), 0);
});

test("a schedule that is all warm-up does not divide by zero", () => {
  const at = lrCosineWarmup({ baseLr: 1, steps: 4, warmupSteps: 4 });
  assert.equal([0, 2, 4, 5].map(at), [0, 0.5, 1, 0]);
});

test("milestones count from their own step on", () => {
  const at = lrMultiStep({ baseLr: 1, milestones: [2, 4], gamma: 0.5 });
  assert.equal([0, 1, 2, 3, 4, 9].map(at), [1, 1, 0.5, 0.5, 0.25, 0.25]);
});

test("one cycle rises, falls below its start, and moves momentum the other way", () => {
  for (const annealStrategy of ["cos", "linear"] as const) {
    const options = { steps: 21, pctStart: 6 / 21, annealStrategy, divFactor: 10, finalDivFactor: 100 };
    const lr = lrOneCycle({ ...options, maxLr: 1 });
    const momentum = momentumOneCycle(options);
    near(lr(0), 0.1);
    near(lr(5), 1);
    near(lr(20), 0.001);
    near(lr(99), 0.001);
    near(momentum(0), 0.95);
    near(momentum(5), 0.85);
    near(momentum(20), 0.95);
    assert.ok(lr(2) < lr(3) && lr(10) > lr(11), annealStrategy);
  }
});

/**
 * Learning rates and momenta that PyTorch's OneCycleLR gives; in the second cycle the peak lies between steps 11 and
 * 12.
 */
const ONE_CYCLES = [
  {
    options: { maxLr: 0.4, steps: 50 },
    lr: { 0: 0.016, 5: 0.1246943, 14: 0.4, 24: 0.3246983, 40: 0.06178882, 49: 1.6e-6 },
    momentum: { 0: 0.95, 5: 0.9216942, 14: 0.85, 24: 0.8688255, 40: 0.9345531, 49: 0.95 },
  },
  {
    options: { maxLr: 0.1, steps: 31, pctStart: 0.4, annealStrategy: "linear", divFactor: 10, finalDivFactor: 100 },
    lr: { 0: 0.01, 1: 0.01789474, 11: 0.0968421, 12: 0.09677742, 24: 0.03232581, 30: 1e-4 },
    momentum: { 0: 0.95, 1: 0.9412281, 11: 0.8535088, 12: 0.8532258, 24: 0.917742, 30: 0.95 },
  },
] as const;

test("one cycle is PyTorch's", () => {
  for (const { options, lr, momentum } of ONE_CYCLES) {
    const pairs = [
      [lrOneCycle(options), lr],
      [momentumOneCycle(options), momentum],
    ] as const;
    for (const [at, want] of pairs) {
      for (const [t, value] of Object.entries(want)) near(at(Number(t)) / value, 1, 1e-6);
    }
  }
});

test("milestones are PyTorch's: the rate shrinks when a milestone is reached, as often as it is named", () => {
  const milestones = [30, 7, 12, 12];
  const at = lrMultiStep({ baseLr: 0.3, milestones });
  let rate = 0.3;
  for (let t = 0; t < 40; t++) {
    for (const milestone of milestones) if (milestone === t) rate *= 0.1;
    near(at(t), rate);
  }
  near(rate, 0.3e-4);
});

test("a ramp multiplies the schedule behind it by min(1, (t + 1) / n)", () => {
  const behind = lrCosine({ baseLr: 0.1, steps: 1000 });
  const at = lrRamp(behind, 200);
  near(at(0), 0.1 / 200);
  near(at(99), behind(99) / 2);
  for (const t of [199, 200, 700, 1000]) assert.is(at(t), behind(t));
  assert.ok(at(198) < behind(198));
  for (const t of [0, 5]) assert.is(lrRamp(lrConstant(0.3), 0)(t), 0.3);
});
