// What is said of measures: when a claim is decided, and of whom.

import { effectOf, effectVerdict } from "../../bench/papers/effects.ts";
import { expectedVerdict } from "../../bench/papers/h2.ts";
import { promiseVerdict, verdictOf } from "../../bench/papers/hypothesis.ts";
import { keptOf, type Operation, overSeeds, rangeOf } from "../../bench/papers/measures.ts";
import { studentQuantile } from "../../bench/papers/student.ts";
import { createRandom } from "../../calibration/index.ts";
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
    "area, over all combinations of the others: 1.50 (1.40 to 1.60) points, 1 seed; it depends on what stands beside: other -2.00 (-2.10 to -1.90)",
  );
  assert.is(said(0.05, 0.02).held, "held");
  assert.is(said(0.05, 0.0005).held, "held", "a pair that decides nothing");
  assert.is(said(-0.05, 0.02).held, "undecided", "the other way round");
  assert.is(said(-0.05, -0.02).held, "did not hold");
});

test("a claim is decided where all that repetition leaves lies on one side, and says of how many seeds", () => {
  const said = (values: readonly number[], wanted: "above" | "below", seeds = 3) =>
    verdictOf("c", { ...rangeOf(values), seeds }, wanted, "w");
  assert.equal([said([1, 2, 3], "above").held, said([1, 2, 3], "below").held], ["held", "did not hold"]);
  assert.equal(
    [said([-1, 2, 3], "above").held, said([-3, -1], "below").held, said([0, 0], "below").held],
    ["undecided", "held", "undecided"],
  );
  assert.match(said([1], "above", 1).because, "points, 1 seed");
  assert.equal(
    [said([1], "above", 2).because, said([1], "above", 2).seeds],
    ["w: 100.00 (100.00 to 100.00) points, 2 seeds", 2],
  );
});

test("a promise is held or broken by more than chance, or nothing is said of it", () => {
  const say = (broken: number, draws: number, ...open: readonly number[]) =>
    promiseVerdict("c", [{ broken, open }], { draws, delta: 0.1 }, "w");
  const held = (broken: number, draws: number) => say(broken, draws, draws, 1).held;
  assert.equal([held(0.02, 100), held(0.1, 100), held(0.3, 100)], ["held", "undecided", "did not hold"]);
  assert.is(held(0, 3), "undecided", "three draws prove nothing");
  assert.equal([say(0.02, 100, 100, 0).held, say(0.3, 100, 100, 0).held], ["undecided", "did not hold"]);
  assert.is(say(0.02, 100, 97, 0).because, "w in 2.0 % of 100 draws; exits were open in 97 / 0 of them");
  const seeds = [
    { broken: 0.02, open: [100, 4] },
    { broken: 0.01, open: [90, 5] },
  ];
  const { because } = promiseVerdict("c", seeds, { draws: 100, delta: 0.1 }, "w");
  assert.is(because, "w in 2.0 % of 100 draws; exits were open in 90 / 4 of them");
});

const operation = (...exitRisks: readonly number[]) => ({ exitRisks }) as Operation;

test("an exit that nobody leaves by is open in no draw, and keeps no promise", () => {
  const operations = [operation(0.1, Number.NaN), operation(0.01, 0.02), operation(Number.NaN, Number.NaN)];
  assert.equal(keptOf(operations, 0.05), { broken: 1 / 3, open: [2, 1] });
});

test("the worst exit is found behind one that never opened", () => {
  const said = (...risks: readonly number[]) =>
    expectedVerdict("They", [{ alpha: 0.1, operations: [operation(...risks), operation(...risks)] }]);
  assert.equal([said(0.2, Number.NaN).held, said(Number.NaN, 0.2).held], ["did not hold", "did not hold"]);
  assert.match(said(Number.NaN, 0.2).because, /^exit 2: 20\.0 % wrong .*; some exit never opened$/);
  assert.equal([said(0.05, 0.06).held, said(0.05, Number.NaN).held], ["held", "undecided"]);
  assert.is(said(Number.NaN, Number.NaN).held, "undecided");
});

test("Student's t has its known quantiles", () => {
  const known = [
    ...[
      [0.975, 1, 12.7062],
      [0.975, 2, 4.3027],
      [0.975, 3, 3.1824],
      [0.975, 4, 2.7764],
      [0.975, 9, 2.2622],
    ],
    ...[
      [0.975, 30, 2.0423],
      [0.975, 1000, 1.9623],
      [0.95, 7, 1.8946],
      [0.5, 5, 0],
    ],
  ] as const;
  for (const [p, freedom, t] of known) assert.is(studentQuantile(p, freedom).toFixed(4), t.toFixed(4), `${freedom}`);
});

test("seeds count in the mean; three and more widen it by Student's t", () => {
  const lists = [1, 2, 6].map((value) => new Array<number>(20).fill(value));
  assert.equal(overSeeds(lists.slice(0, 2)), { mean: 1.5, lower: 1.5, upper: 1.5, seeds: 2 });
  const { mean, lower, upper, seeds } = overSeeds(lists);
  // 3 -+ 4.3027 * sqrt(7 / 3)
  assert.equal([mean, lower.toFixed(3), upper.toFixed(3), seeds], [3, "-3.572", "9.572", 3]);
});

/** How often studies of no effect decide something, where trainings differ by 1 and test images make so much of it. */
function decidedOf(seeds: number, images: number, studies = 1000): number {
  const random = createRandom(seeds);
  const isDecided = () => {
    // All networks of a study are told by the same images.
    const shared = images * random.normal();
    const redrawn = Array.from({ length: 100 }, () => images * random.normal());
    const lists = Array.from({ length: seeds }, () => {
      const found = random.normal() + shared;
      return [found, ...redrawn.map((error) => found + error)];
    });
    return verdictOf("c", overSeeds(lists), "above", "w").held !== "undecided";
  };
  return Array.from({ length: studies }, isDecided).filter(Boolean).length / studies;
}

test("of no effect, few seeds decide as often as 95 % leave it to chance", () => {
  for (const seeds of [3, 5])
    for (const images of [0, 1]) {
      const share = decidedOf(seeds, images);
      assert.ok(0.02 < share && share < 0.075, `${seeds} seeds, ${images}: ${share}`);
    }
});
