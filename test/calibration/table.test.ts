// Tables: what is refused, and that a table read in chunks is the same table.

import {
  cascade,
  cascadeFromScores,
  createTable,
  outcomes,
  type PlainScore,
  patience,
  type RunningScore,
  selectFromCascade,
  selectSamples,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration tables");

const refuses = (input: Parameters<typeof createTable>[0], message: string) =>
  failsWith(() => createTable(input), "CalibrationError", message);

test("bad tables are refused word for word", async () => {
  const logits = Float32Array.of(0, 1, 2, 3);
  await refuses(
    { logits: new Float32Array(0), labels: [], shape: [0, 2, 2] },
    "table: the table must not be empty; got 0 samples.",
  );
  await refuses(
    { logits, labels: [0], shape: [1, 2.5, 2] },
    "table: shape must be [samples, exits, classes]; got [1, 2.5, 2].",
  );
  await refuses(
    { logits, labels: [0, 1], shape: [1, 2, 2] },
    "table: labels and samples must have equal length; got 2 and 1.",
  );
  await refuses(
    { logits, labels: [2], shape: [1, 2, 2] },
    "table: labels must be whole numbers in 0..1; got 2 at sample 0.",
  );
  await refuses(
    { logits, labels: [0.5], shape: [1, 2, 2] },
    "table: labels must be whole numbers in 0..1; got 0.5 at sample 0.",
  );
  await refuses({ logits, labels: [0], shape: [1, 2, 3] }, "table: rows must hold 6 values; got 4.");
  await refuses(
    { logits, labels: [0], shape: [1, 2, 2], ids: ["a", "b"] },
    "table: ids and samples must have equal length; got 2 and 1.",
  );
  await refuses(
    { logits, labels: [0], shape: [1, 2, 2], macs: [5, 4] },
    "table: macs must be positive and must not decrease from exit to exit; got [5, 4].",
  );
  for (const [value, name] of [
    [Number.NaN, "NaN"],
    [Number.POSITIVE_INFINITY, "Infinity"],
    [Number.NEGATIVE_INFINITY, "-Infinity"],
  ] as const) {
    await refuses(
      { logits: Float32Array.of(0, 1, value, 3), labels: [0], shape: [1, 2, 2] },
      `table: logits must be finite; got ${name} at sample 0, exit 1, class 0 (counted from 0).`,
    );
  }
});

test("probabilities must be probabilities", async () => {
  const shape = [1, 1, 2] as const;
  await refuses(
    { logits: Float64Array.of(0.5, 0.6), labels: [0], shape, values: "probabilities" },
    'table: probabilities must sum to 1 over classes; got 1.1 at sample 0, exit 0 (counted from 0). For unnormalised outputs use values: "logits".',
  );
  await refuses(
    { logits: Float64Array.of(-0.5, 1.5), labels: [0], shape, values: "probabilities" },
    "table: probabilities must not be negative; got -0.5 at sample 0, exit 0, class 0 (counted from 0).",
  );
  const table = createTable({ logits: Float64Array.of(0.25, 0.75), labels: [0], shape, values: "probabilities" });
  assert.ok(Math.abs(outcomes(table).maxProb[0]! - 0.75) < 1e-15);
  const certain = createTable({ logits: Float64Array.of(0, 1), labels: [1], shape, values: "probabilities" });
  assert.is(outcomes(certain).nll[0], 0);
});

test("a table read through a reader gives the same outcomes, and never asks for too much", () => {
  const [n, k, c] = [900, 12, 400];
  const whole = randomTable(n, k, c);
  let largest = 0;
  const logits = (first: number, count: number) => {
    largest = Math.max(largest, count * k * c);
    return whole.read(first, count);
  };
  const read = createTable({ logits, labels: whole.labels, shape: [n, k, c] });
  assert.equal(outcomes(read), outcomes(whole));
  assert.ok(largest <= 1 << 21 && largest < n * k * c, `largest chunk ${largest}`);
});

test("a reader that returns the wrong amount is caught", async () => {
  const table = createTable({ logits: () => new Float32Array(3), labels: [0], shape: [1, 2, 2] });
  await failsWith(() => outcomes(table), "CalibrationError", "table: rows must hold 4 values; got 3.");
});

test("selecting samples commutes with computing outcomes", () => {
  const table = randomTable(30, 3, 4, { ids: Array.from({ length: 30 }, (_, i) => `s${i}`) });
  const rows = [7, 3, 3, 29];
  const a = cascade(selectSamples(table, rows));
  const b = selectFromCascade(cascade(table), rows);
  assert.equal(a, b);
  assert.equal(a.ids, ["s7", "s3", "s3", "s29"]);
});

test("every score ranks a surer row higher", () => {
  const unsure = [0.1, 0.2, 0.3];
  const sure = [0, 1, 6];
  const logits = Float64Array.from([...unsure, ...sure, ...unsure, ...sure]);
  const table = createTable({ logits, labels: [0, 0], shape: [2, 2, 3] });
  const names: readonly (PlainScore | RunningScore)[] = [
    "maxProb",
    "margin",
    "entropy",
    "normalisedEntropy",
    "energy",
    "maxLogit",
    "productOfExperts",
    "geometricEnsemble",
    "arithmeticEnsemble",
  ];
  for (const name of names) {
    const { scores } = cascade(table, name);
    assert.ok(scores[1]! > scores[0]!, name);
    assert.is(scores[0], scores[2], name);
  }
  assert.equal([...patience(Int32Array.of(1, 1, 1, 2, 2, 0), 3)], [0, 1, 2, 0, 1, 0]);
});

test("one class and one sample are fine", () => {
  const table = createTable({ logits: Float32Array.of(3, -2), labels: [0], shape: [1, 2, 1] });
  const all = outcomes(table);
  assert.equal([...all.maxProb], [1, 1]);
  assert.equal([...all.errors], [0, 0]);
  assert.equal([...all.margin], [1, 1]);
  assert.equal([...all.entropy], [0, 0]);
});

test("scores given directly are checked", async () => {
  await failsWith(
    () => cascadeFromScores({ scores: [0.5, Number.NaN], errors: [0, 1], exits: 2 }),
    "CalibrationError",
    "cascade: scores must be finite; got NaN at sample 0, exit 1 (counted from 0).",
  );
  await failsWith(
    () => cascadeFromScores({ scores: [0.5, Number.POSITIVE_INFINITY], errors: [0, 1], exits: 1 }),
    "CalibrationError",
    "cascade: scores must be finite; got Infinity at sample 1, exit 0 (counted from 0).",
  );
  await failsWith(
    () => cascadeFromScores({ scores: [0.5, 0.6], errors: [0, 1], exits: 2, labels: [1, 2] }),
    "CalibrationError",
    "cascade: labels and samples must have equal length; got 2 and 1.",
  );
  await failsWith(
    () => cascadeFromScores({ scores: [0.5], errors: [2], exits: 1 }),
    "CalibrationError",
    "cascade: errors must be 0 or 1; got 2 at 0.",
  );
  await failsWith(
    () => cascadeFromScores({ scores: [], errors: [], exits: 2 }),
    "CalibrationError",
    "cascade: scores must not be empty; got 0 samples.",
  );
});
