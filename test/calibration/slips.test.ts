// What is no table, score, loss or class is refused with a sentence, a forgotten await too.

import * as calibration from "../../calibration/index.ts";
import {
  applyScaling,
  auroc,
  bootstrap,
  calibrateNestedSets,
  cascade,
  cascadeFromScores,
  classwiseEce,
  controlRisk,
  countOnGrid,
  createDeploymentMonitor,
  createExchangeabilityMonitor,
  createRandom,
  createRiskMonitor,
  ece,
  eefp,
  eefpTargets,
  evaluate,
  evaluatePolicy,
  explain,
  failureMetrics,
  fit,
  fitConfidenceScaler,
  fitLogitScaler,
  learnThenTest,
  leaveConfidences,
  loosestPlugIn,
  lttThreshold,
  type MeasuredCosts,
  mce,
  meetBudget,
  outcomes,
  overthinking,
  reliability,
  setScores,
  smoothEce,
  testExchangeability,
  withCosts,
} from "../../calibration/index.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration slips");

test("a promise of a table, or of a scaling, is told", async () => {
  const table = randomTable(50, 2, 3);
  const promised = Promise.resolve(table) as unknown as typeof table;
  const scaling = fit(table, { method: "temperature" });
  const later = Promise.resolve(scaling) as unknown as typeof scaling;
  const got = "got a Promise (is an await missing?).";
  const cases: readonly (readonly [() => unknown, string])[] = [
    [() => fit(promised, { method: "temperature" }), `fit: the table must be one of createTable; ${got}`],
    [() => evaluate(promised), `outcomes: the table must be one of createTable; ${got}`],
    [() => outcomes(promised), `outcomes: the table must be one of createTable; ${got}`],
    [() => applyScaling(promised, scaling), `applyScaling: the table must be one of createTable; ${got}`],
    [() => applyScaling(table, later), `applyScaling: the scaling must be one of fit; ${got}`],
    [() => meetBudget(table, { cost: 50 }), "meetBudget: cost must be above 0 and at most 1; got 50."],
  ];
  for (const [call, message] of cases) await failsWith(call, "CalibrationError", message);
});

/** Take words, numbers, options or one row, or tell what a value is: no samples come from elsewhere. */
const OF_ONE_VALUE =
  "applyLogitScaler scaleConfidence createPopulation createRandom randomOrder logEntropyOf logOddsOf logRestOf complement onAverage highProbability provenUnless unproven " +
  "testOf isBinaryLoss isPolicy exitProbabilities scoreName earlyShare plainJson checkCertified checkOrigin checkKnown checkDisjoint " +
  "scalingDigest readIds column correctness survivors forEachChunk mapLogits designPath meanPValue upperBound".split(
    " ",
  );

test("every function that takes samples, scores or results says what it got instead, a promise or nothing", async () => {
  const names = Object.keys(calibration).filter((name) => /^[a-z]/.test(name) && !OF_ONE_VALUE.includes(name));
  assert.ok(names.length > 60, `${names.length}`);
  for (const name of names) {
    const call = calibration[name as keyof typeof calibration] as (...given: unknown[]) => unknown;
    if (typeof call !== "function") continue;
    for (const given of [Promise.resolve(1), undefined]) {
      const error = await errorOf(() => call(...Array.from({ length: Math.max(1, call.length) }, () => given)));
      assert.is(error.name, "CalibrationError", `${name}(${given}): ${error.message}`);
    }
  }
  const measured = Promise.resolve({}) as unknown as MeasuredCosts;
  await failsWith(
    () => withCosts(randomTable(9, 2, 3), { measured }),
    "CalibrationError",
    "withCosts: the costs must be what was measured, or of readCosts; got a Promise (is an await missing?).",
  );
  const later = Promise.resolve({}) as unknown as Parameters<typeof explain>[0];
  await failsWith(
    () => explain(later),
    "CalibrationError",
    "explain: the result must be one of a calibration, or of meetBudget; got a Promise (is an await missing?).",
  );
});

test("whether samples are right is 0 or 1, or a boolean, wherever it is asked", async () => {
  const scores = [0.2, 0.5, 0.9];
  const levels = { alpha: 0.1, delta: 0.1 };
  for (const [flag, got] of [
    [3, "3"],
    [0.5, "0.5"],
    [Number.NaN, "NaN"],
    ["1", '"1"'],
  ] as const) {
    const correct = [0, flag as number, 1];
    const refuses = (op: string, call: () => unknown, name = "correct") =>
      failsWith(call, "CalibrationError", `${op}: ${name} must be 0 or 1; got ${got} at 1.`);
    await refuses("ece", () => ece(scores, correct));
    await refuses("ece", () => mce(scores, correct));
    await refuses("ece", () => reliability(scores, correct));
    await refuses("smoothEce", () => smoothEce(scores, correct));
    await refuses("failure", () => auroc(scores, correct));
    await refuses("failure", () => failureMetrics(scores, correct));
    await refuses("failure", () => loosestPlugIn(scores, correct, 0.1));
    await refuses("fit", () => fitConfidenceScaler(scores, correct, "isotonic"));
    await refuses("fit", () => leaveConfidences(correct));
    await refuses("lttThreshold", () => lttThreshold({ scores, errors: correct, grid: [0.5] }, levels), "errors");
    await refuses("countOnGrid", () => countOnGrid([0.5], scores, correct), "errors");
    await refuses("cascade", () => cascadeFromScores({ scores, errors: correct, exits: 3 }), "errors");
    await refuses("overthinking", () => overthinking(correct as never, 3), "errors");
    await refuses("eefpTargets", () => eefpTargets(correct as never, 3), "errors");
  }
  const booleans = [false, true, true] as unknown as number[];
  assert.is(ece(scores, booleans), ece(scores, [0, 1, 1]));
  assert.is(auroc(scores, booleans), 1);
  assert.is(smoothEce(scores, booleans), smoothEce(scores, [0, 1, 1]));
});

test("a seed that would be cut to another one is refused", async () => {
  const table = randomTable(60, 3, 4);
  for (const [seed, got] of [
    [Number.NaN, "NaN"],
    ["a", '"a"'],
    [1.5, "1.5"],
    [-1, "-1"],
    [2 ** 53, "9007199254740992"],
  ] as const) {
    const given = seed as number;
    const must = `must be a whole number in 0..2^53 - 1; got ${got}.`;
    await failsWith(() => createRandom(given), "CalibrationError", `createRandom: the seed ${must}`);
    const levels = { alpha: 0.3, delta: 0.1, seed: given };
    await failsWith(() => learnThenTest(table, levels), "CalibrationError", `learnThenTest: seed ${must}`);
    await failsWith(() => bootstrap(() => 1, 5, { seed: given }), "CalibrationError", `bootstrap: seed ${must}`);
  }
  assert.not.equal(createRandom(2 ** 32).uniform(), createRandom(0).uniform());
});

test("a number of bins or of permutations that is none is refused", async () => {
  const table = randomTable(60, 3, 4);
  for (const count of [0, -1, 2.5]) {
    const must = `must be a positive whole number; got ${count}.`;
    const scale = () => fitConfidenceScaler([0.5, 0.6], [0, 1], "histogram", { nBins: count });
    await failsWith(scale, "CalibrationError", `fitConfidenceScaler: nBins ${must}`);
    await failsWith(() => classwiseEce(table, count), "CalibrationError", `classwiseEce: nBins ${must}`);
    await failsWith(() => ece([0.5], [1], { nBins: count }), "CalibrationError", `ece: nBins ${must}`);
    const compare = () => testExchangeability([0.5], [0.6], { permutations: count });
    await failsWith(compare, "CalibrationError", `testExchangeability: permutations ${must}`);
  }
});

test("an option that the choice made does not read is refused", async () => {
  const table = randomTable(60, 3, 4);
  const alpha = 0.3;
  const scored = cascade(table);
  const logits = { logits: table.read(0, 60), classes: 4 };
  for (const [call, message] of [
    [
      () => learnThenTest(table, { alpha, delta: 0.1, procedure: "union", correction: "holm" }),
      "learnThenTest: correction goes with procedure path; got procedure union.",
    ],
    [
      () => controlRisk(table, { alpha, delta: 0.1 }),
      "controlRisk: delta goes with method ucb or ltt; got method crc.",
    ],
    [
      () => controlRisk(table, { alpha, bound: "wsr" }),
      "controlRisk: bound goes with method ucb or ltt; got method crc.",
    ],
    [
      () => setScores(logits, { method: "aps", alpha, lambda: 0.1 }),
      "setScores: lambda goes with method raps; got method aps.",
    ],
    [
      () => calibrateNestedSets(table, { method: "thr", alpha, kReg: 1 }),
      "calibrateNestedSets: kReg goes with method raps; got method thr.",
    ],
    [
      () => fit(table, { method: "temperature", penalty: 0.1 }),
      "fit: penalty goes with method matrix or dirichlet; got method temperature.",
    ],
    [
      () => fitLogitScaler(table, 0, "temperature", { maxIterations: 3 }),
      "fitLogitScaler: maxIterations goes with method vector, failure, matrix or dirichlet; got method temperature.",
    ],
    [
      () => fitConfidenceScaler([0.5, 0.6], [0, 1], "beta", { nBins: 3 }),
      "fitConfidenceScaler: nBins goes with method histogram; got method beta.",
    ],
    [
      () => eefp(scored, { population: "all", threshold: 0.5 } as { readonly population: "all" }),
      "eefp: threshold goes with population reached; got population all.",
    ],
  ] as const)
    await failsWith(call, "CalibrationError", message);
});

test("a policy is asked for by what it is", async () => {
  const table = randomTable(300, 3, 4);
  const result = learnThenTest(table, { alpha: 0.9, delta: 0.1 });
  const refuses = (given: unknown, message: string) =>
    failsWith(() => evaluatePolicy(table, given as never, { sameSamples: true }), "CalibrationError", message);
  await refuses(
    { result },
    "evaluatePolicy: the policy must be a result; got a whole policy file. Pass its result, and apply its scaling.",
  );
  await refuses(
    undefined,
    "evaluatePolicy: the policy must be a certified result, or { thresholds, score }; got undefined.",
  );
});

test("monitors take scores, losses and classes, and nothing else", async () => {
  const levels = { alpha: 0.1, delta: 0.1 };
  const refuses = (call: () => unknown, message: string) => failsWith(call, "CalibrationError", message);
  const watch = createExchangeabilityMonitor([0.1, 0.2], { delta: 0.1 });
  const risk = createRiskMonitor(levels);
  const deployed = createDeploymentMonitor({ ...levels, exits: 3 });
  for (const [value, got] of [
    [null, "null"],
    [undefined, "undefined"],
    ["1", '"1"'],
    [Number.NaN, "NaN"],
  ] as const) {
    const given = value as unknown as number;
    await refuses(() => watch.observe(given), `monitor.observe: the score must be a number; got ${got}.`);
    await refuses(() => risk.observe(given), `monitor.observe: the loss must lie in [0, 1]; got ${got}.`);
    await refuses(
      () => deployed.decided(1, 0, given),
      `monitor.decided: the prediction must be the index of a class; got ${got}.`,
    );
  }
  deployed.decided(1, 0, 2);
  const answer = undefined as unknown as number;
  await refuses(
    () => deployed.resolved(1, answer),
    "monitor.resolved: the answer must be the index of a class; got undefined.",
  );
  const create = (scores: number[]) => () => createExchangeabilityMonitor(scores, { delta: 0.1 });
  await refuses(create([0.1, Number.NaN, 0.3]), "createExchangeabilityMonitor: scores must be numbers; got NaN.");
  await refuses(create([]), "createExchangeabilityMonitor: the calibration scores must not be empty; got 0 samples.");
});
