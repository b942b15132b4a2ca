// What is said of measures: when a claim is decided, and of whom.

import { effectOf, effectVerdict } from "../../bench/papers/effects.ts";
import { assert, suite } from "../harness.ts";

const test = suite("bench: verdicts");

test("a mean over combinations decides nothing where one of them decides the contrary", () => {
  const pair = (value: number) => [[value, value - 0.001, value + 0.001]];
  const said = (...values: readonly [number, number]) =>
    effectVerdict("c", effectOf({ one: pair(values[0]), other: pair(values[1]) }), "above", "area");
  const { held, because } = said(0.05, -0.02);
  assert.is(held, "undecided");
  assert.is(
    because,
    "area, over all combinations of the others: 1.50 (1.40 to 1.60) points; it depends on what stands beside: other -2.00 (-2.10 to -1.90)",
  );
  assert.is(said(0.05, 0.02).held, "held");
  assert.is(said(0.05, 0.0005).held, "held", "a pair that decides nothing");
  assert.is(said(-0.05, 0.02).held, "undecided", "the other way round");
  assert.is(said(-0.05, -0.02).held, "did not hold");
});
