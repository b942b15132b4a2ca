// Costs in milliseconds: thresholds and reports by them, and where a promised saving goes.

import {
  cascade,
  createTable,
  evaluatePolicy,
  type MeasuredCosts,
  meetBudget,
  outcomes,
  readCosts,
  savingOf,
  timesOf,
  withCosts,
} from "../../calibration/index.ts";
import { mulberry } from "../engine/ops/check.ts";
import { assert, suite } from "../harness.ts";

const test = suite("calibration: measured costs");

const MEASURED: MeasuredCosts = {
  adapter: "one",
  times: [
    { batch: 1, rows: [1], passing: [[2], [3], [4]], alone: [2, 2.5, 3.5], compaction: 0 },
    {
      batch: 8,
      rows: [0, 4, 8],
      passing: [
        [1, 5, 9],
        [2, 10, 14],
        [4, 16, 20],
      ],
      alone: [9, 12, 18],
      compaction: 0.9,
    },
  ],
};

/** Three exits, the later the surer and the more often right. */
function samples(n = 400) {
  const random = mulberry(5);
  const logits = new Float32Array(n * 12);
  const labels = Int32Array.from({ length: n }, () => Math.floor(4 * random()));
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < 3; j++) {
      for (let c = 0; c < 4; c++)
        logits[12 * i + 4 * j + c] = 2 * random() + (c === labels[i] ? (1 + j) * random() : 0);
    }
  }
  return createTable({ logits, labels, shape: [n, 3, 4], macs: [10, 20, 100] });
}

test("costs are what full batches take; tables, outcomes and cascades carry them on", () => {
  const table = samples();
  assert.equal([...table.costs], [0.1, 0.2, 1]);
  const timed = withCosts(table, { measured: MEASURED, batch: 8 });
  assert.equal([...timed.costs], [9 / 20, 14 / 20, 1]);
  assert.is(timed.costUnit, "milliseconds");
  for (const source of [outcomes(timed), cascade(timed), cascade(timed, "geometricEnsemble")]) {
    assert.equal([...source.costs], [9 / 20, 14 / 20, 1]);
    assert.is(source.costUnit, "milliseconds");
  }
  assert.equal([...withCosts(cascade(table), { measured: MEASURED }).costs], [2 / 4, 3 / 4, 1], "the first by default");
  assert.is(withCosts(table, { costs: "macs", measured: MEASURED }), table);
});

test("thresholds are chosen, and told, by the costs that are there", () => {
  const table = samples();
  const timed = withCosts(table, { measured: MEASURED, batch: 8 });
  const [byMacs, byTime] = [meetBudget(table, { cost: 0.6 }), meetBudget(timed, { cost: 0.6 })];
  if (!byMacs.ok || !byTime.ok) throw new Error("both can be met");
  assert.ok(byTime.accuracy < byMacs.accuracy, "at 60 % of the time more must leave than at 60 % of the MACs");
  const seen = (source: typeof table) => evaluatePolicy(source, byTime, { sameSamples: true, resamples: 10 }).cost;
  assert.ok(Math.abs(seen(timed) - byTime.cost) < 0.02);
  assert.ok(seen(table) < 0.4);
});

test("a later exit that was measured to be faster counts as much as the one before", () => {
  const times = [{ batch: 2, rows: [2], passing: [[3], [2], [5]], alone: [3, 2, 5], compaction: 0 }];
  assert.equal([...withCosts(samples(), { measured: { adapter: "one", times } }).costs], [3 / 5, 3 / 5, 1]);
});

test("where a saving goes: each loss by hand, and together they are the whole of it", () => {
  const fractions = [0.5, 0.25, 0.25];
  const seen = { fractions, macs: [0.1, 0.5, 1], whole: 18, cascade: 15 };
  const saving = savingOf(timesOf(MEASURED, 8), seen);
  const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-12, `${a} for ${b}`);
  near(saving.byMacs, 1 - (0.05 + 0.125 + 0.25));
  near(saving.byTimes, 1 - (0.5 * 9 + 0.25 * 14 + 0.25 * 20) / 18);
  near(saving.measured, 1 - 15 / 18);
  near(saving.decisions, (0.25 * (14 - 12) + 0.25 * (20 - 18)) / 18);
  // Stage 2 is reached by half (4 of 8) and costs 1 ms empty; stage 3 by a quarter (2 of 8), 2 ms empty.
  near(saving.launches, (0.5 * 1 + 0.75 * 2) / 18);
  // Stage 2 of 4 rows: 5 ms for 0.5 * 5 + 0.5 * 1; stage 3 of 2 rows: 10 - 6 for 0.25 * 6 + 0.75 * 2.
  near(saving.filling, (5 - 3 + (4 - 3)) / 18);
  near(saving.compaction, 0.9 / 18);
  near(saving.byMacs - saving.decisions - saving.stages, saving.byTimes);
  near(saving.byTimes - saving.launches - saving.filling - saving.compaction - saving.rest, saving.measured);
  const alone = savingOf(timesOf(MEASURED, 1), { ...seen, whole: 4, cascade: 3 });
  assert.equal([alone.launches, alone.filling], [0, 0], "an image alone fills its batch");
});

test("what was measured is read back, and refused where it is nothing of the kind", () => {
  assert.equal(readCosts(JSON.parse(JSON.stringify(MEASURED))), MEASURED);
  const fails = (value: unknown, message: string) =>
    assert.throws(
      () => readCosts(value),
      (error: Error) => {
        assert.is(error.message, message);
        return error.name === "CalibrationError";
      },
    );
  fails({ adapter: "one", times: [] }, "costs.times must be a list with something in it; got [].");
  const [one] = MEASURED.times;
  const times = (change: object) => ({ adapter: "one", times: [{ ...one, ...change }] });
  fails(times({ alone: [1, -2, 3] }), "costs.times[0].alone[1] must be at least 0; got -2.");
  fails(times({ rows: [2] }), "costs: rows must ascend to the batch, 1; got [2].");
  fails(times({ passing: [[1]] }), "costs: passing and alone must have equal length; got 1 and 3.");
  assert.throws(
    () => withCosts(samples(), { measured: MEASURED, batch: 64 }),
    /costs: batch must be one that was measured \(1, 8\); got 64\./,
  );
  assert.throws(
    () =>
      withCosts(createTable({ logits: [1, 2, 3, 4] as never, labels: [0], shape: [1, 2, 2] }), { measured: MEASURED }),
    /withCosts: measured exits and exits of the samples must have equal length; got 3 and 2\./,
  );
  assert.throws(
    () => withCosts(samples(), { measured: MEASURED, costs: "seconds" as never }),
    /withCosts: costs must be one of macs, milliseconds; got "seconds"\./,
  );
});
