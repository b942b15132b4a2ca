import { lrConstant, lrCosine, lrCosineWarmup, lrMultiStep, lrOneCycle, momentumOneCycle } from "../../nn/schedules.ts";
import { assert, suite } from "../harness.ts";

const test = suite("schedules");

const near = (got: number, want: number): void => assert.ok(Math.abs(got - want) <= 1e-12, `${got} is not ${want}`);

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
