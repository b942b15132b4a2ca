// What `npm run smoke:methods` trains, and what it calls a failure: exits that are no better than guessing.

import { METHODS } from "../../exits/index.ts";
import { assert, suite } from "../harness.ts";
import { trialOf } from "../smoke/plan.ts";
import { leastAccuracy, verdictOf } from "../smoke/verdict.ts";

const test = suite("exits: what the trial of all methods calls a failure");

test("guessing, and luck within three deviations, is no learning", () => {
  assert.ok(Math.abs(leastAccuracy(400, 10) - 0.145) < 1e-12);
  assert.is(verdictOf([0.146, 0.3, 0.9], 400, 10), "ok");
  assert.is(verdictOf([0.145, 0.3, 0.1], 400, 10), "collapsed at exit 1, 3");
  assert.is(verdictOf([Number.NaN], 400, 10), "collapsed at exit 1");
});

test("every method of the list is tried, under rates that it reads", () => {
  const plans = Object.values(METHODS).map((method) => trialOf(method));
  assert.equal(
    plans.map(({ name }) => name),
    Object.keys(METHODS),
  );
  const { options } = trialOf(METHODS["ptee"]!);
  assert.equal([options["headsLr"], options["lr"]], [0.05, METHODS["ptee"]!.options["lr"]?.default]);
});
