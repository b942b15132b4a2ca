// Where a promise would have been made of what proves nothing: classes that are not said, samples that are used twice,
// losses outside their bound, rules that are read otherwise than they were made.

import {
  applyScaling,
  calibrateNestedSets,
  calibrateSets,
  cascade,
  cascadeFromScores,
  conformalRiskControl,
  createPopulation,
  createRandom,
  explain,
  fit,
  fitGate,
  learnThenTest,
  outcomes,
  predictNestedSets,
  predictSets,
  type Table,
  ucbThreshold,
} from "../../calibration/index.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration edges");

test("classes that are not said are those of answers and labels: a label that breaks the promise is not passed over", async () => {
  const n = 4000;
  const random = createRandom(3);
  const labels = Int32Array.from({ length: n }, () => (random.uniform() < 0.04 ? 9 : random.below(9)));
  const errors = new Uint8Array(2 * n);
  labels.forEach((label, i) => {
    errors[2 * i] = Number(random.uniform() < (label === 9 ? 0.6 : 0.01));
  });
  const scores = Float64Array.from(errors, () => random.uniform());
  const levels = { alpha: 0.05, delta: 0.1, control: "label" } as const;
  for (const said of [{}, { classes: 10 }]) {
    const result = learnThenTest(cascadeFromScores({ scores, errors, exits: 2, labels, ...said }), levels);
    assert.not(result.ok, "label 9 errs in 60 % of its samples");
  }
  const few = { scores: [0.5, 0.5, 0.2, 0.1], errors: [0, 0, 1, 0], exits: 2 } as const;
  assert.is(cascadeFromScores({ ...few, predictions: [0, 3, 1, 2] }).classes, 4);
  assert.is(cascadeFromScores({ ...few, predictions: [-1, -1, -1, -1], labels: [-1, -1] }).classes, 2);
  await failsWith(
    () => cascadeFromScores({ ...few, labels: [1, -1] }),
    "CalibrationError",
    "cascade: labels must lie in 0..1, or all be -1 where they are unknown; got -1 at place 1 (counted from 0).",
  );
  await failsWith(
    () => cascadeFromScores({ ...few, predictions: [0, 1, 2, 1], classes: 2 }),
    "CalibrationError",
    "cascade: predictions must lie in 0..1, or all be -1 where they are unknown; got 2 at place 2 (counted from 0).",
  );
});

test("scaling and gates that were fitted on the calibration samples are refused, by table and by ids", async () => {
  const levels = { alpha: 0.3, delta: 0.1 };
  const named = (seed: number, first: number) => ({
    ...randomTable(400, 3, 4, { seed, skill: 2 }),
    ids: Array.from({ length: 400 }, (_, i) => first + i),
  });
  const [validation, calibration] = [named(1, 0), named(2, 1000)];
  const own = fit(calibration, { method: "temperature" });
  const scaled = (table: Table, by = own) => applyScaling(table, by);
  const must = "scaling and gates must be fitted on other samples than those that test thresholds";
  const refuses = async (call: () => unknown, message: string) => {
    const { name, message: said } = await errorOf(call);
    assert.is(name, "CalibrationError");
    assert.ok(said.includes(message), said);
  };
  await refuses(() => learnThenTest(scaled(calibration), levels), must);
  const copy = { ...calibration, labels: calibration.labels.slice() };
  await refuses(
    () => learnThenTest(scaled(copy), levels),
    "scaling and calibration samples must differ; got 400 shared ids",
  );
  const nameless = { ...calibration, ids: undefined };
  await refuses(() => learnThenTest(scaled(nameless, fit(nameless, { method: "temperature" })), levels), must);
  const gate = fitGate(outcomes(calibration));
  await refuses(() => learnThenTest(calibration, { ...levels, score: gate }), must);
  await refuses(() => learnThenTest(cascade(calibration, gate), levels), must);
  const sets = { method: "aps", alpha: 0.1 } as const;
  await refuses(() => calibrateNestedSets(scaled(calibration) as Table, sets), must);
  const right = fit(validation, { method: "temperature" });
  const options = { ...levels, validation: scaled(validation, right) };
  assert.ok(learnThenTest(scaled(calibration, right), options).ok);
  assert.ok(learnThenTest(scaled(calibration), { ...levels, sameSamples: true }).ok, "asked for");
});

test("what is certified on samples that were used twice promises nothing, in kind and in words", () => {
  const table = createPopulation({ size: 20_000 }).draw(3000, createRandom(1));
  const result = learnThenTest(table, { alpha: 0.1, delta: 0.1, validation: table, sameSamples: true });
  assert.ok(result.ok && result.guarantee.kind === "none");
  assert.match(
    explain(result),
    /^There is no guarantee \(learn then test .*\): nothing is proven, since samples were used twice or are there several times; otherwise this would hold: With probability/,
  );
});

test("losses outside their bound, or that rise with the knob, are refused; bets in an order that is drawn see through a sorted one", async () => {
  const lambdas = [0, 1];
  const zeros = Array.from({ length: 200 }, () => 0);
  const refuses = (call: () => unknown, message: string) => failsWith(call, "CalibrationError", message);
  const tall = [...zeros.slice(2), 40, 0];
  await refuses(
    () => conformalRiskControl({ losses: tall, lambdas }, { alpha: 0.1 }),
    "conformalRiskControl: losses must lie in 0..1; got 40 at sample 99 (counted from 0).",
  );
  assert.ok(conformalRiskControl({ losses: tall, lambdas }, { alpha: 0.9, lossBound: 40 }).ok);
  await refuses(
    () => conformalRiskControl({ losses: zeros, lambdas }, { alpha: 0.1, lossBound: -1 }),
    "conformalRiskControl: lossBound must be above 0; got -1.",
  );
  const rising = [...zeros.slice(2), 0, 1];
  await refuses(
    () => conformalRiskControl({ losses: rising, lambdas }, { alpha: 0.1 }),
    "conformalRiskControl: losses must not increase in lambda (monotonize: true makes them so); got at sample 99 0 before 1, lambda 1.",
  );
  assert.ok(conformalRiskControl({ losses: rising, lambdas }, { alpha: 0.1, monotonize: true }).ok);
  const taken = conformalRiskControl({ losses: rising, lambdas }, { alpha: 0.1, anyLosses: true });
  assert.equal([taken.ok, taken.guarantee.kind], [true, "none"]);
  assert.match(taken.guarantee.promise, /^nothing is proven, since some loss increases in lambda/);
  const falling = conformalRiskControl({ losses: zeros, lambdas }, { alpha: 0.1, anyLosses: true });
  assert.is(falling.guarantee.kind, "marginal");
  await refuses(
    () => conformalRiskControl({ losses: tall, lambdas }, { alpha: 40, lossBound: 40 }),
    "conformalRiskControl: alpha must lie strictly between 0 and 40; got 40.",
  );
  assert.ok(conformalRiskControl({ losses: tall, lambdas }, { alpha: 1.5, lossBound: 40 }).ok);
  await refuses(
    () => ucbThreshold({ losses: tall, lambdas }, { alpha: 0.1, delta: 0.1 }),
    "ucbThreshold: losses must lie in 0..1; got 40 at sample 99 (counted from 0).",
  );
  const sorted = Array.from({ length: 1000 }, (_, i) => Number(i >= 800));
  const { ok, bound } = ucbThreshold({ losses: sorted, lambdas: [0] }, { alpha: 0.1, delta: 0.1, seed: 0 });
  assert.ok(!ok && bound[0]! > 0.2, `a fifth is lost, the bound says ${bound[0]}`);
  const { guarantee } = ucbThreshold({ losses: sorted, lambdas: [0] }, { alpha: 0.1, delta: 0.1 });
  assert.ok(guarantee.assumptions.includes("the samples come in an order that their losses did not choose"));
});

test("a rule of sets is read as it was made", async () => {
  const { samples: n, exits, labels } = randomTable(300, 2, 4, { seed: 5, skill: 2 });
  const table = randomTable(300, 2, 4, { seed: 5, skill: 2 });
  const logits = table.read(0, n).filter((_, at) => Math.floor(at / 4) % exits === 0);
  const u = Float64Array.from({ length: n }, (_, i) => ((7 * i) % n) / n);
  const one = { logits, classes: 4 };
  const drawn = calibrateSets({ ...one, u, labels }, { method: "aps", alpha: 0.1 });
  const plain = calibrateSets({ ...one, labels }, { method: "aps", alpha: 0.1 });
  predictSets({ ...one, u }, drawn);
  predictSets(one, plain);
  const refuses = (call: () => unknown, message: string) => failsWith(call, "CalibrationError", message);
  const must = (be: string, got: string) =>
    `predictSets: u must ${be}, as it was when the rule was calibrated; got ${got}.`;
  await refuses(() => predictSets(one, drawn), must("be there", "none"));
  await refuses(() => predictSets({ ...one, u }, plain), must("be left out", "u"));
  await refuses(
    () => predictSets({ ...one, u: u.subarray(1) }, drawn),
    "predictSets: u and logits / classes must have equal length; got 299 and 300.",
  );
  await refuses(
    () => predictNestedSets(table, plain),
    "predictNestedSets: the rule must be of as many exits as the table, 2 (calibrateNestedSets); got a rule of 1.",
  );
  const nested = calibrateNestedSets(table, { method: "aps", alpha: 0.1 });
  predictNestedSets(table, nested);
  await refuses(
    () => predictSets(one, nested),
    "predictSets: the rule must be of one exit (calibrateSets); got a rule of 2.",
  );
});
