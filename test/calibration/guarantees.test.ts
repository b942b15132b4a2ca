// Guarantees: answers at the extremes, what is refused, and validity by repetition (the long version: npm run
// validity).

import fc from "fast-check";
import {
  type Calibration,
  cascade,
  cascadeFromScores,
  controlRisk,
  countGroups,
  createPopulation,
  createRandom,
  createTable,
  decide,
  evaluatePolicy,
  exitRisks,
  explain,
  harmlessReuse,
  harmlessStart,
  type LearnThenTestOptions,
  learnThenTest,
  lttThreshold,
  randomOrder,
  selectFromCascade,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { flat, randomTable } from "./tables.ts";

const test = suite("calibration guarantees");
const population = createPopulation({ size: 100_000 });
const levels = { alpha: 0.1, delta: 0.1 };

test("all right: nearly everybody leaves at the first exit", () => {
  const result = learnThenTest(
    flat(600, () => 0),
    levels,
  );
  assert.ok(result.ok);
  assert.is(result.risk, 0);
  assert.ok(result.coverage > 0.95, `coverage ${result.coverage}`);
  assert.is(result.guarantee.kind, "with probability 1 - delta");
  assert.is(result.n, 400);
});

test("all wrong: refused, and no number of samples would help", () => {
  const result = learnThenTest(
    flat(300, () => 1),
    levels,
  );
  assert.not(result.ok);
  if (result.ok) return;
  assert.is(result.smallestRisk, 1);
  assert.is(result.neededSamples, Number.POSITIVE_INFINITY);
  assert.is(
    result.reason,
    "learn then test (path, binomial): no early exit could be certified at alpha 0.1, delta 0.1 with 200 samples; " +
      "the smallest certifiable risk is about 1, and no threshold can do better: even the most confident are wrong too often, however many samples there are.",
  );
  assert.is(explain(result), `Nothing is promised, and no sample should leave early. L${result.reason.slice(1)}`);
});

test("too few: refused with the number needed, which then suffices", () => {
  const few = learnThenTest(
    flat(24, () => 0),
    levels,
  );
  assert.not(few.ok);
  if (few.ok) return;
  // 22 to 40 are tested, and a third of those given lays out the thresholds
  assert.ok(few.smallestRisk > 0.1 && few.neededSamples >= 33 && few.neededSamples < 60, JSON.stringify(few));
  const enough = learnThenTest(
    flat(few.neededSamples, () => 0),
    levels,
  );
  assert.ok(enough.ok);
});

test("one sample is refused, not an error", () => {
  const result = learnThenTest(
    flat(1, () => 0),
    levels,
  );
  assert.not(result.ok);
});

test("bad levels, tables and ids are refused word for word", async () => {
  const source = flat(50, () => 0);
  const message = (text: string, options: LearnThenTestOptions, of = source) =>
    failsWith(() => learnThenTest(of, options), "CalibrationError", `learnThenTest: ${text}`);
  await message("alpha must lie strictly between 0 and 1; got 0.", { alpha: 0, delta: 0.1 });
  await message("alpha must be a number; got NaN.", { alpha: Number.NaN, delta: 0.1 });
  await message("delta must lie strictly between 0 and 1; got 1.", { alpha: 0.1, delta: 1 });
  await message("the calibration set must not be empty; got 0 samples.", levels, selectFromCascade(source, []));
  const single = cascadeFromScores({ scores: [0.5], errors: [0], exits: 1 });
  await message("the table must have an early exit; got 1 exit.", levels, single);
  await message('procedure union must control "exit"; got early.', { ...levels, procedure: "union", control: "early" });
  await message("predictedClass needs procedure split or sequential; got path.", {
    ...levels,
    control: "predictedClass",
    procedure: "path",
  });
  const ids = ["a", "b", "c"];
  const table = randomTable(3, 2, 2, { ids });
  await message(
    "calibration and validation samples must differ; got 3 shared ids (first: a). " +
      "A guarantee holds only for samples that were not used to choose the thresholds.",
    { ...levels, validation: table },
    cascade(table),
  );
  await failsWith(
    () => controlRisk(source, { alpha: 0.1, method: "ltt" }),
    "CalibrationError",
    "controlRisk: delta must lie strictly between 0 and 1; got NaN.",
  );
});

test("one table for two purposes, repeated ids, and cascades without what a rule needs are refused", async () => {
  const table = randomTable(60, 3, 3);
  const message = (calibrate: () => unknown, text: string) => failsWith(calibrate, "CalibrationError", text);
  await message(
    () => learnThenTest(table, { ...levels, validation: table }),
    "learnThenTest: validation samples must not be the calibration samples; got one table for both.",
  );
  const repeated = randomTable(3, 2, 2, { ids: ["a", "b", "a"] });
  await message(
    () => controlRisk(repeated, { alpha: 0.1 }),
    "controlRisk: ids of calibration samples must differ; got 2 ids for 3 samples. " +
      "A guarantee holds only for samples that were not used to choose the thresholds; with sameSamples: true (--same-samples) it is done all the same.",
  );
  const bare = flat(60, () => 0);
  await message(
    () => controlRisk(bare, { alpha: 0.1, loss: "disagreement" }),
    "exitLosses: the cascade must know its predictions; got scores and errors only.",
  );
  for (const [control, what] of [
    ["label", "labels"],
    ["predictedClass", "predictions"],
  ] as const) {
    await message(
      () => learnThenTest(bare, { ...levels, control }),
      `learnThenTest: the cascade must know its ${what}; got scores and errors only.`,
    );
  }
});

test("a file sorted by errors is no better than a shuffled one: betting tests see a random order", () => {
  const draw = (n: number, rate: number, seed: number) => {
    const random = createRandom(seed);
    const first = Array.from({ length: n }, () => (random.uniform() < rate ? 1 : 0)).sort();
    const scores = Float64Array.from({ length: 2 * n }, () => random.uniform());
    return cascadeFromScores({ scores, errors: first.flatMap((error) => [error, 0]), exits: 2 });
  };
  let violations = 0;
  for (let seed = 0; seed < 200; seed++) {
    const result = learnThenTest(draw(300, 0.11, seed), {
      ...levels,
      validation: draw(300, 0.02, seed + 999),
      test: "wsr",
      seed,
    });
    if (result.ok) violations++;
  }
  assert.ok(violations / 200 <= 0.1 + 3 * Math.sqrt(0.09 / 200), `${violations} of 200`);
});

test("a refusal by label or class speaks of labels and classes: every label must pass, each at its own level", () => {
  const table = randomTable(240, 2, 6);
  const reach = (control: "exit" | "label" | "predictedClass") => {
    const result = learnThenTest(table, { alpha: 0.02, delta: 0.05, control });
    assert.not(result.ok);
    return result.ok ? 0 : result.smallestRisk;
  };
  assert.ok(reach("label") > reach("exit") && reach("predictedClass") > reach("exit"));
});

test("testing on calibration samples is refused", async () => {
  const ids = Array.from({ length: 600 }, (_, i) => i);
  const table = randomTable(600, 3, 3, { ids });
  const result = learnThenTest(table, { alpha: 0.3, delta: 0.1 });
  assert.ok(result.ok);
  const other = randomTable(100, 3, 3, { seed: 2, ids: ids.slice(0, 100).map((id) => (id === 7 ? 7 : -1 - id)) });
  await failsWith(
    () => evaluatePolicy(other, result),
    "CalibrationError",
    "evaluatePolicy: calibration and test samples must differ; got 1 shared ids (first: 7). " +
      "A guarantee holds only for samples that were not used to choose the thresholds.",
  );
  const fresh = evaluatePolicy(randomTable(100, 3, 3, { seed: 2 }), result);
  assert.ok(Math.abs(fresh.fractions.reduce((a, b) => a + b, 0) - 1) < 1e-12);
});

test("validation samples may not test the result either, and scores must be the ones calibrated", async () => {
  const validation = randomTable(300, 3, 3, { seed: 4, ids: Array.from({ length: 300 }, (_, i) => `v${i}`) });
  const table = randomTable(900, 3, 3, { ids: Array.from({ length: 900 }, (_, i) => `c${i}`) });
  for (const result of [
    learnThenTest(table, { alpha: 0.3, delta: 0.1, validation }),
    controlRisk(table, { alpha: 0.3, validation }),
  ]) {
    assert.ok(result.ok);
    await failsWith(
      () => evaluatePolicy(validation, result),
      "CalibrationError",
      "evaluatePolicy: calibration and test samples must differ; got 300 shared ids (first: v0). " +
        "A guarantee holds only for samples that were not used to choose the thresholds.",
    );
  }
  await failsWith(
    () => learnThenTest(cascade(table, "margin"), { ...levels, score: "entropy" }),
    "CalibrationError",
    "cascade: the scores must be entropy; got margin.",
  );
  const given = learnThenTest(
    flat(600, () => 0),
    levels,
  );
  assert.ok(given.ok);
  await failsWith(
    () => evaluatePolicy(randomTable(9, 3, 2), given),
    "CalibrationError",
    "evaluatePolicy: a policy on given scores needs given test scores; got a table.",
  );
  await failsWith(
    () =>
      evaluatePolicy(randomTable(9, 3, 2), { score: "maxProb", thresholds: Float64Array.of(0.9) }, { resamples: 0 }),
    "CalibrationError",
    "evaluatePolicy: resamples must be a whole number of at least 2; got 0.",
  );
});

test("the report says what is promised in two sentences", () => {
  const result = learnThenTest(
    flat(600, () => 0),
    { ...levels, validation: flat(50, () => 0, 3) },
  );
  assert.is(
    explain(result),
    "By learn then test (path, binomial) on 600 samples: with probability at least 0.9 over the calibration samples, " +
      "for each early exit, at most 0.1 of the samples that really leave there are answered wrongly in the long run. This assumes that " +
      "calibration and future samples are independent draws from one distribution, and that the model, its scaling, " +
      "the tried thresholds and what was asked for were fixed without the tested samples.",
  );
});

test("with one early exit every chain is the same, strict, and says so; behind another one two are not", () => {
  const early = (exits: number) => {
    const [validation, calibration] = [1, 2].map((seed) => randomTable(1500, exits, 4, { seed, skill: 3 }));
    return (["union", "split", "sequential", "allSamples"] as const).map((procedure) => {
      const result = learnThenTest(calibration!, { ...levels, validation: validation!, procedure });
      assert.ok(result.ok, procedure);
      return result;
    });
  };
  const [union, ...others] = early(2);
  for (const one of others) assert.equal([one.thresholds, one.guarantee], [union!.thresholds, union!.guarantee]);
  assert.is(union!.guarantee.kind, "with probability 1 - delta");
  const said = early(3).map(({ guarantee: { kind, assumptions } }) => [kind, ...isGranted(assumptions)]);
  const proven = ["with probability 1 - delta", false, false];
  assert.equal(said, [proven, proven, ["with probability 1 - delta", true, true], ["none", false, false]]);
});

const isGranted = (assumptions: readonly string[]) =>
  [harmlessReuse, harmlessStart].map((one) => assumptions.includes(one));

test("a strict chain begins where validation says: where too few calibration samples are there, the exit stays closed", () => {
  const shares = Array.from({ length: 400 }, (_, i) => i / 400);
  const rows = (top: number, isWrong: (score: number) => boolean) =>
    cascadeFromScores({
      scores: shares.flatMap((share) => [share * top, share * top, 1]),
      errors: shares.flatMap((share) => [share, share, 1].map((score) => (isWrong(score) ? 1 : 0))),
      exits: 3,
    });
  const validation = rows(1, (score) => score < 0.6);
  const calibration = rows(0.5, () => false);
  const isCertified = (procedure: "union" | "split" | "sequential") =>
    learnThenTest(calibration, { ...levels, validation, procedure }).ok;
  assert.equal([isCertified("union"), isCertified("split"), isCertified("sequential")], [false, false, true]);
});

test("the result does not depend on the order of calibration samples, given validation samples", () => {
  const validation = population.draw(400, createRandom(1));
  const calibration = cascade(population.draw(800, createRandom(2)));
  const mixed = selectFromCascade(calibration, randomOrder(800, createRandom(3)));
  for (const procedure of ["path", "sequential", "union", "allSamples"] as const) {
    const [a, b] = [calibration, mixed].map((c) => learnThenTest(c, { ...levels, validation, procedure }));
    assert.equal(a, b);
  }
});

test("a stricter alpha or delta never lets more samples leave", () => {
  const scores = Float64Array.from({ length: 400 }, (_, i) => 1 - i / 400);
  const grid = Float64Array.from({ length: 60 }, (_, g) => 1 - (g + 1) / 60);
  fc.assert(
    fc.property(
      fc.nat(),
      fc.double({ min: 0.02, max: 0.4, noNaN: true }),
      fc.double({ min: 0.01, max: 0.3, noNaN: true }),
      (seed, alpha, delta) => {
        const random = createRandom(seed);
        // errors at the loose end only: one sequence of tests, whatever the level
        const errors = Uint8Array.from(scores, (s) => (s < 0.5 && random.uniform() < 0.5 ? 1 : 0));
        const at = (a: number, d: number) => lttThreshold({ scores, errors, grid }, { alpha: a, delta: d }).threshold;
        assert.ok(at(alpha, delta) <= at(alpha / 2, delta) && at(alpha, delta) <= at(alpha, delta / 2));
      },
    ),
  );
});

test("thresholds at the ends: -Infinity takes everybody, +Infinity nobody, 0 and 1 are ordinary", () => {
  const c = cascade(randomTable(50, 3, 4));
  assert.equal([...new Set(decide(c, Number.NEGATIVE_INFINITY))], [0]);
  assert.equal([...new Set(decide(c, Number.POSITIVE_INFINITY))], [2]);
  assert.equal([...new Set(decide(c, 0))], [0]);
  assert.equal([...new Set(decide(c, [2, 0]))], [1]);
  const counts = countGroups(c, Float64Array.of(2, 0), "exit");
  assert.equal([...counts.accepted], [0, 50]);
});

test("survivors: the certified group at exit 2 are those that exit 1 refused", () => {
  const calibration = cascade(population.draw(6000, createRandom(15)));
  const validation = population.draw(3000, createRandom(16));
  const result = learnThenTest(calibration, { alpha: 0.05, delta: 0.1, validation });
  assert.ok(result.ok);
  const risks = exitRisks(calibration, result.thresholds);
  result.tests.forEach(({ accepted, errors }, j) => {
    assert.ok(Math.abs(errors / accepted - risks.operationalRisk[j]!) < 1e-12);
  });
  assert.is(result.tests.length, 2);
});

/** Share of calibrations in which the true risk exceeds alpha. */
function violations(
  calibrate: (seed: number) => Calibration,
  risk: (t: Float64Array) => number,
  repeats: number,
): number {
  let count = 0;
  for (let r = 0; r < repeats; r++) {
    const result = calibrate(r);
    if (result.ok && risk(result.thresholds) > levels.alpha) count++;
  }
  return count / repeats;
}

const worstExit = (t: Float64Array) => Math.max(0, ...population.truth(t).exitRisk.filter((r) => !Number.isNaN(r)));

test("validity in small: strict promises hold, per exit on all samples they do not", () => {
  const repeats = 200;
  const limit = levels.delta + 3 * Math.sqrt((levels.delta * (1 - levels.delta)) / repeats);
  const random = createRandom(77);
  const run = (options: Partial<LearnThenTestOptions>) => (seed: number) =>
    learnThenTest(population.draw(900, random), { ...levels, seed, ...options });
  for (const procedure of ["path", "union", "split", "sequential"] as const) {
    const rate = violations(run({ procedure }), worstExit, repeats);
    assert.ok(rate <= limit, `${procedure}: ${rate}`);
  }
  const early = violations(run({ control: "early" }), (t) => population.truth(t).earlyRisk, repeats);
  assert.ok(early <= limit, `early: ${early}`);
  const label = violations(run({ control: "label" }), (t) => population.truth(t).labelRisk, repeats);
  assert.ok(label <= limit, `label: ${label}`);
  const byClass = violations(run({ control: "predictedClass" }), (t) => population.truth(t).classRisk, repeats);
  assert.ok(byClass <= limit, `class: ${byClass}`);
  const wrong = violations(run({ procedure: "allSamples" }), worstExit, repeats);
  assert.ok(wrong > limit, `per exit on all samples should fail: ${wrong}`);
});

test("a population's truth is what a large sample shows", () => {
  const big = cascade(population.draw(200_000, createRandom(9)));
  const thresholds = [0.9, 0.93];
  const truth = population.truth(thresholds);
  const seen = exitRisks(big, thresholds);
  assert.ok(Math.abs(truth.exitRisk[0] - seen.operationalRisk[0]!) < 0.005);
  assert.ok(Math.abs(truth.exitRisk[1] - seen.operationalRisk[1]!) < 0.01);
  assert.ok(Math.abs(truth.earlyRisk - seen.earlyRisk) < 0.005);
  assert.ok(Math.abs(truth.coverage - (1 - seen.fraction[2]!)) < 0.005);
});

test("a table goes from logits to a policy in one call", () => {
  const table = randomTable(2000, 3, 3);
  const result = learnThenTest(table, { alpha: 0.25, delta: 0.1, score: "margin" });
  assert.ok(result.ok);
  assert.is(result.score, "margin");
  const empty = createTable({ logits: table.read(0, 1), labels: [table.labels[0]!], shape: [1, 3, 3] });
  assert.is(evaluatePolicy(empty, result).exits.length, 1);
});
