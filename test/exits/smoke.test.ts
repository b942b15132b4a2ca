// What `npm run smoke:methods` calls a failure: exits that are no better than guessing.

import { assert, suite } from "../harness.ts";
import { leastAccuracy, verdictOf } from "../smoke/verdict.ts";

const test = suite("exits: what the trial of all methods calls a failure");

test("guessing, and luck within three deviations, is no learning", () => {
  assert.ok(Math.abs(leastAccuracy(400, 10) - 0.145) < 1e-12);
  assert.is(verdictOf([0.146, 0.3, 0.9], 400, 10), "ok");
  assert.is(verdictOf([0.145, 0.3, 0.1], 400, 10), "collapsed at exit 1, 3");
  assert.is(verdictOf([Number.NaN], 400, 10), "collapsed at exit 1");
});
