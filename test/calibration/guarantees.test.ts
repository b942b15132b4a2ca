// Guarantees: answers at the extremes, what is refused, and validity by repetition (the long version: npm run
// validity).

import fc from "fast-check";
import {
  type Calibration,
  cascade,
  cascadeFromScores,
  conformalRiskControl,
  controlRisk,
  countGroups,
  createPopulation,
  createRandom,
  createTable,
  decide,
  type ExitLoss,
  evaluatePolicy,
  exitLosses,
  exitRisks,
  explain,
  type LearnThenTestOptions,
  learnThenTest,
  loosestPlugIn,
  loosestPlusOne,
  lttPooled,
  lttThreshold,
  randomOrder,
  safeKdReleasedCode,
  safeKdText,
  selectFromCascade,
  sequentialSurvivors,
  ucbThreshold,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration guarantees");
const population = createPopulation({ size: 100_000 });
const levels = { alpha: 0.1, delta: 0.1 };

const flat = (n: number, wrong: (i: number) => 0 | 1, seed = 2) => {
  const random = createRandom(seed);
  const scores = Float64Array.from({ length: 3 * n }, () => random.uniform());
  return cascadeFromScores({ scores, errors: Uint8Array.from(scores, (_, at) => wrong(Math.floor(at / 3))), exits: 3 });
};

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
    "controlRisk: ids of calibration samples must differ; got 2 ids for 3 samples.",
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
});

test("the report says what is promised in two sentences", () => {
  const result = learnThenTest(
    flat(600, () => 0),
    { ...levels, validation: flat(50, () => 0, 3) },
  );
  assert.is(
    explain(result),
    "By learn then test (path, binomial) on 600 samples: with probability at least 0.9 over the calibration samples, " +
      "for each early exit, at most 0.1 of the samples that really leave there are answered wrongly. This assumes that " +
      "calibration and future samples are independent draws from one distribution, and that the model, its scaling and " +
      "the tried thresholds were fixed without the tested samples.",
  );
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

test("CRC is monotone, and refuses when n is too small for alpha", () => {
  const lambdas = [0, 1, 2];
  const losses = [1, 0, 0, 1, 1, 0, 0, 0, 0];
  const choice = conformalRiskControl({ losses, lambdas }, { alpha: 0.5 });
  assert.equal([...choice.bound], [0.75, 0.5, 0.25]);
  assert.is(choice.index, 1);
  assert.not(conformalRiskControl({ losses: [0, 0, 0], lambdas }, { alpha: 0.4 }).ok);
  const ucb = ucbThreshold({ losses: new Float64Array(300), lambdas }, { ...levels, bound: "clopperPearson" });
  assert.is(ucb.index, 0);
  const refused = controlRisk(
    flat(12, () => 0),
    { alpha: 0.05 },
  );
  assert.not(refused.ok);
  if (refused.ok) return;
  assert.is(refused.neededSamples, 29); // a third of them lays out the thresholds, and 19 are tested
  assert.ok(
    controlRisk(
      flat(29, () => 0),
      { alpha: 0.05 },
    ).ok,
  );
});

test("losses relative to the full model vanish at the last exit and stay in [0, 1]", () => {
  const table = randomTable(40, 3, 4);
  const names: readonly ExitLoss[] = [
    "acceptedAndWrong",
    "disagreement",
    "gap",
    "brierGap",
    "brierDisagreement",
    "hellinger",
  ];
  for (const name of names) {
    const losses = exitLosses(table, name);
    losses.forEach((loss, at) => {
      assert.ok(loss >= 0 && loss <= 1 && (at % 3 !== 2 || loss === 0), `${name} ${loss} at ${at}`);
    });
    assert.ok(
      losses.some((loss) => loss > 0),
      name,
    );
    const result = controlRisk(table, { alpha: 0.5, loss: name });
    assert.is(result.guarantee.kind, "marginal");
  }
});

test("for 0/1 losses the exact test is the default, and saves at least as much as the others", () => {
  const source = population.draw(600, createRandom(4));
  const validation = population.draw(300, createRandom(5));
  for (const method of ["ucb", "ltt"] as const) {
    const cost = (bound?: "wsr" | "hoeffdingBentkus" | "clopperPearson") => {
      const result = controlRisk(source, { alpha: 0.1, delta: 0.1, method, validation, ...(bound && { bound }) });
      return result.ok ? result.cost : 1;
    };
    assert.is(cost(), cost("clopperPearson"));
    assert.ok(cost() <= cost("wsr") && cost() < cost("hoeffdingBentkus"));
  }
});

test("losses of an ensemble are those of the ensemble's answers", () => {
  const table = randomTable(1, 2, 3);
  const z = table.read(0, 1);
  const softmax = (of: ArrayLike<number>) => {
    const e = Array.from(of, Math.exp);
    return e.map((v) => v / e.reduce((a, b) => a + b, 0));
  };
  const [first, second] = [softmax(z.subarray(0, 3)), softmax(z.subarray(3, 6))];
  const mean = first.map((p, c) => (p + second[c]!) / 2);
  const hellinger = Math.sqrt(first.reduce((sum, p, c) => sum + (Math.sqrt(p) - Math.sqrt(mean[c]!)) ** 2, 0) / 2);
  assert.ok(Math.abs(exitLosses(table, "hellinger", "arithmeticEnsemble")[0]! - hellinger) < 1e-12);
});

test("CRC on one shared knob controls the disagreement it promises", () => {
  const [alpha, repeats] = [0.1, 300];
  let sum = 0;
  for (let r = 0; r < repeats; r++) {
    const result = controlRisk(population.draw(150, createRandom(r)), { alpha, loss: "disagreement", seed: r });
    sum += result.ok ? population.truth(result.thresholds).disagreement : 0;
  }
  assert.ok(sum / repeats <= alpha && sum / repeats > 0.04, `mean ${sum / repeats}`);
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

test("the plug-in rule takes the loosest score whose own error rate passes, the other counts one error more", () => {
  const scores = [0.9, 0.8, 0.7, 0.6, 0.5];
  const correct = [1, 1, 0, 1, 0];
  assert.is(loosestPlugIn(scores, correct, 0.25), 0.6);
  assert.is(loosestPlugIn(scores, correct, 0), 0.8);
  assert.is(loosestPlugIn(scores, correct, 1), 0.5);
  assert.is(loosestPlusOne(scores, correct, 0.4), 0.6);
  assert.is(loosestPlusOne(scores, correct, 0.25), Number.POSITIVE_INFINITY);
});

test("SAFE-KD's rules break the promise, and say that they make none", () => {
  const draw = population.draw(2000, createRandom(8));
  const code = safeKdReleasedCode(draw, { delta: 0.1 });
  assert.is(code.guarantee.kind, "none");
  assert.ok(worstExit(code.bar.subarray(0, 2)) > 0.15);
  const tighter = safeKdReleasedCode(draw, { delta: 0.01 });
  assert.ok(
    tighter.bar.every((bar, j) => bar <= code.bar[j]!),
    "inverted: a smaller delta lowers the bar",
  );
  const text = safeKdText(draw, { delta: 0.1 });
  assert.is(text.guarantee.kind, "none");
  assert.ok(worstExit(text.thresholds) > 0.1);
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

test("primitives answer +Infinity where nothing passes", () => {
  const nothing = lttThreshold({ scores: [0.9, 0.8], errors: [0, 0], grid: [0.5] }, levels);
  assert.equal([nothing.ok, nothing.threshold, nothing.nMin, nothing.n], [false, Number.POSITIVE_INFINITY, 22, 2]);
  const pooled = lttPooled({ scores: [0.9], errors: [0], grid: [0.5], earlyExits: 1 }, levels);
  assert.equal([pooled.ok, pooled.index, pooled.n], [false, -1, 1]);
  const chain = sequentialSurvivors(
    { scores: [0.9], errors: [0], validationScores: [0.9], earlyExits: 1, gridQuantiles: [0.5] },
    levels,
  );
  assert.equal([...chain.thresholds], [Number.POSITIVE_INFINITY]);
  for (const { guarantee } of [nothing, pooled, chain]) {
    assert.is(guarantee.kind, "with probability 1 - delta");
    assert.ok(guarantee.promise.endsWith("at most 0.1.") && guarantee.assumptions.length >= 2);
  }
});

test("a grid that is not strict to loose is refused", async () => {
  await failsWith(
    () => lttThreshold({ scores: [1], errors: [0], grid: [0.5, 0.6] }, levels),
    "CalibrationError",
    "lttThreshold: the grid must go from strict to loose; got 0.5 before 0.6.",
  );
});

test("a table goes from logits to a policy in one call", () => {
  const table = randomTable(2000, 3, 3);
  const result = learnThenTest(table, { alpha: 0.25, delta: 0.1, score: "margin" });
  assert.ok(result.ok);
  assert.is(result.score, "margin");
  const empty = createTable({ logits: table.read(0, 1), labels: [table.labels[0]!], shape: [1, 3, 3] });
  assert.is(evaluatePolicy(empty, result).exits.length, 1);
});
