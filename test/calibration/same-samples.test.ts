// The same samples for two purposes: told by ids, or by content where there are none; and values that are no logits.

import {
  calibrateNestedSets,
  calibrateSets,
  cascade,
  classPrecisionMargin,
  controlRisk,
  createRandom,
  createTable,
  decodePolicy,
  encodePolicy,
  evaluatePolicy,
  learnThenTest,
  meetBudget,
  outcomes,
  safeKdReleasedCode,
  safeKdText,
  selectSamples,
  type Table,
} from "../../calibration/index.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration same samples");
const levels = { alpha: 0.3, delta: 0.1 };
const SAME =
  "A guarantee holds only for samples that were not used to choose the thresholds; with sameSamples: true (--same-samples) it is done all the same.";

/** The same samples as another reading of their file gives them. */
const again = (table: Table): Table =>
  createTable({
    logits: Float64Array.from(table.read(0, table.samples)),
    labels: table.labels,
    shape: [table.samples, table.exits, table.classes],
  });
const rows = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, i) => from + i);

test("validation samples that are calibration samples are refused by content, all of them or a part", async () => {
  const table = randomTable(600, 3, 4);
  const other = randomTable(900, 3, 4, { seed: 2 });
  const message = (validation: Table, share: number) =>
    failsWith(
      () => learnThenTest(table, { ...levels, validation }),
      "CalibrationError",
      `learnThenTest: calibration and validation samples must differ; got ${share} % of the validation samples with the answers and scores of calibration ones. ${SAME}`,
    );
  await message(again(table), 100);
  await message(selectSamples(again(table), rows(0, 300)), 100);
  await message(selectSamples(again(table), rows(0, 60)), 100);
  assert.ok(learnThenTest(table, { ...levels, validation: other }).ok);
  assert.ok(learnThenTest(table, { ...levels, validation: again(table), sameSamples: true }).ok);
  assert.ok(learnThenTest(table, { ...levels, validation: table, sameSamples: true }).ok);
  await failsWith(
    () => controlRisk(table, { alpha: 0.3, validation: again(table) }),
    "CalibrationError",
    `controlRisk: calibration and validation samples must differ; got 100 % of the validation samples with the answers and scores of calibration ones. ${SAME}`,
  );
});

test("a part of the samples is enough to be told", async () => {
  const table = randomTable(2000, 3, 4);
  const other = randomTable(2000, 3, 4, { seed: 2 });
  const mixed = (share: number): Table => {
    const own = Math.round(2000 * share);
    const logits = Float64Array.from(other.read(0, 2000));
    logits.set(table.read(500, own), 0);
    const labels = Int32Array.from(other.labels);
    labels.set(table.labels.subarray(500, 500 + own), 0);
    return createTable({ logits, labels, shape: [2000, 3, 4] });
  };
  const error = await errorOf(() => learnThenTest(table, { ...levels, validation: mixed(0.2) }));
  assert.match(error?.message ?? "none", /samples must differ; got \d+ % of the validation samples/);
});

test("a policy knows its samples again, also out of its file, whatever set they were in", async () => {
  const [calibration, validation] = [randomTable(700, 3, 4), randomTable(500, 3, 4, { seed: 2 })];
  const budget = meetBudget(calibration, { cost: 0.8 });
  const certified = learnThenTest(calibration, { ...levels, validation });
  assert.ok(certified.ok && budget.ok);
  const read = decodePolicy(encodePolicy({ result: certified })).result;
  assert.ok(read.ok);
  for (const [policy, used] of [
    [certified, calibration],
    [certified, validation],
    [read, calibration],
    [budget, calibration],
  ] as const) {
    const message = `evaluatePolicy: calibration and test samples must differ; got 100 % of the test samples with the answers and scores of calibration ones. ${SAME}`;
    await failsWith(() => evaluatePolicy(again(used), policy), "CalibrationError", message);
    assert.is(evaluatePolicy(again(used), policy, { sameSamples: true }).exits.length, used.samples);
  }
  assert.is(evaluatePolicy(randomTable(400, 3, 4, { seed: 3 }), certified).exits.length, 400);
});

test("few distinct scores tell nothing, and chance repetitions are granted: independent sets pass", () => {
  const patient = { ...levels, score: "patience" } as const;
  for (let seed = 0; seed < 20; seed++) {
    const [a, b] = [randomTable(400, 4, 3, { seed: 2 * seed }), randomTable(300, 4, 3, { seed: 2 * seed + 1 })];
    learnThenTest(a, { ...patient, validation: b });
    // answers of two decimals repeat by chance, about as often within a set as between two
    const coarse = (table: Table) => {
      const scored = cascade(table);
      return { ...scored, scores: scored.scores.map((s) => Math.round(s * 20) / 20) };
    };
    learnThenTest(coarse(a), { ...levels, validation: coarse(b) });
    // draws with replacement from one small pool
    const pool = randomTable(3000, 2, 3, { seed: 99 });
    const random = createRandom(seed);
    const draw = () =>
      selectSamples(
        pool,
        Int32Array.from({ length: 500 }, () => random.below(3000)),
      );
    learnThenTest(outcomes(draw()), { ...levels, validation: outcomes(draw()) });
  }
});

test("ids decide where both sets have them: equal rows under different ids are different samples", () => {
  const ids = (first: number) => Array.from({ length: 600 }, (_, i) => first + i);
  const table = randomTable(600, 3, 4, { ids: ids(0) });
  assert.ok(learnThenTest(table, { ...levels, validation: { ...again(table), ids: ids(600) } }).ok);
});

test("a sample that is several times in one set is refused, in every set, unless forced", async () => {
  const table = randomTable(400, 3, 4);
  const copies = (times: number, of = 400) =>
    selectSamples(
      table,
      Int32Array.from({ length: of * times }, (_, i) => i % of),
    );
  const message = (op: string, set: string) =>
    `${op}: ${set} samples must differ; got 100 % with the answers and scores of another one, which chance does not explain. ${SAME}`;
  const fresh = randomTable(500, 3, 4, { seed: 2 });
  for (const [times, of] of [
    [2, 400],
    [3, 400],
    [20, 60],
    [2, 60],
  ] as const) {
    const doubled = copies(times, of);
    await failsWith(() => learnThenTest(doubled, levels), "CalibrationError", message("learnThenTest", "calibration"));
    const validated = () => controlRisk(fresh, { alpha: 0.3, validation: doubled });
    await failsWith(validated, "CalibrationError", message("controlRisk", "validation"));
    assert.is(learnThenTest(doubled, { ...levels, sameSamples: true }).alpha, 0.3);
    const logits = doubled.read(0, doubled.samples);
    const exit = logits.filter((_, at) => at % 12 < 4);
    const set = { method: "thr", alpha: 0.2 } as const;
    const chosen: Readonly<Record<string, readonly [string, (same: object) => unknown]>> = {
      meetBudget: ["validation", (same) => meetBudget(doubled, { cost: 0.8 }, same)],
      classPrecisionMargin: ["validation", (same) => classPrecisionMargin(cascade(doubled), same)],
      safeKdText: ["calibration", (same) => safeKdText(outcomes(doubled), { delta: 0.2, ...same })],
      safeKdReleasedCode: ["calibration", (same) => safeKdReleasedCode(outcomes(doubled), { delta: 0.2, ...same })],
      calibrateNestedSets: ["calibration", (same) => calibrateNestedSets(doubled, { ...set, ...same })],
      calibrateSets: [
        "calibration",
        (same) => calibrateSets({ logits: exit, labels: doubled.labels, classes: 4 }, { ...set, ...same }),
      ],
    };
    for (const [op, [name, call]] of Object.entries(chosen)) {
      await failsWith(() => call({}), "CalibrationError", message(op, name));
      call({ sameSamples: true });
    }
    const policy = learnThenTest(fresh, levels);
    assert.ok(policy.ok);
    await failsWith(() => evaluatePolicy(doubled, policy), "CalibrationError", message("evaluatePolicy", "test"));
  }
  const half = selectSamples(table, [...rows(0, 400), ...rows(0, 200)]);
  assert.match(
    (await errorOf(() => learnThenTest(half, levels)))?.message ?? "",
    /got 67 % with the answers and scores/,
  );
});

test("equal rows that chance explains are no copies: saturated scores, constant heads, a handful of twins", () => {
  for (let seed = 0; seed < 15; seed++) {
    const table = randomTable(900, 3, 4, { seed });
    learnThenTest(selectSamples(table, [...rows(0, 900), ...rows(0, 12)]), levels);
    const scored = cascade(table);
    for (const digits of [3, 8, 20, 60, 200]) {
      const scores = scored.scores.map((score) => Math.round(score * digits) / digits);
      learnThenTest({ ...scored, scores }, levels);
    }
    learnThenTest({ ...scored, scores: scored.scores.map((score) => Math.min(score, 0.6)) }, levels);
    learnThenTest({ ...scored, scores: scored.scores.fill(0.25) }, levels);
  }
});

test("ids are one id as number, text or bigint, and marks tell where only one side has ids", async () => {
  const named = randomTable(600, 3, 4, { ids: Array.from({ length: 600 }, (_, i) => i) });
  const texts = createTable({
    logits: Float64Array.from(named.read(0, 600)),
    labels: BigInt64Array.from(named.labels, BigInt),
    shape: [600, 3, 4],
    ids: BigUint64Array.from({ length: 600 }, (_, i) => BigInt(i)),
  });
  assert.equal(texts.labels, named.labels);
  assert.is(texts.ids?.[7], 7);
  const other = randomTable(600, 3, 4, { seed: 9 });
  const policy = learnThenTest(named, levels);
  const unnamed = learnThenTest(again(named), levels);
  assert.ok(policy.ok && unnamed.ok);
  const asTexts = { ...named, ids: named.ids?.map(String) };
  const shared = "evaluatePolicy: calibration and test samples must differ; got 600 shared ids (first: 0). ";
  await failsWith(
    () => evaluatePolicy(asTexts, policy),
    "CalibrationError",
    `${shared}A guarantee holds only for samples that were not used to choose the thresholds.`,
  );
  const read = decodePolicy(encodePolicy({ result: policy })).result;
  assert.ok(read.ok);
  for (const [given, known] of [
    [again(named), policy],
    [again(named), read],
    [named, unnamed],
  ] as const)
    assert.match((await errorOf(() => evaluatePolicy(given, known)))?.message ?? "", /got 100 % of the test samples/);
  assert.match(
    (await errorOf(() => learnThenTest(named, { ...levels, validation: again(named) })))?.message ?? "",
    /got 100 % of the validation samples/,
  );
  assert.is(evaluatePolicy(other, policy).exits.length, 600);
  await failsWith(
    () => createTable({ logits: new Float32Array(4), labels: [0, 1], shape: [2, 1, 2], ids: [1, Number.NaN] }),
    "CalibrationError",
    "table: ids must be texts or numbers; got NaN.",
  );
});

test("sets of different numbers of classes are refused", () =>
  failsWith(
    () => learnThenTest(randomTable(200, 3, 4), { ...levels, validation: randomTable(200, 3, 5) }),
    "CalibrationError",
    "learnThenTest: validation must have 4 classes; got 5.",
  ));

test("probabilities taken for logits are told, unless forced", async () => {
  const random = createRandom(2);
  const labels = Int32Array.from({ length: 50 }, () => random.below(4));
  const probabilities = Float32Array.from({ length: 400 }, (_, at) => (at % 4 === labels[at >> 3] ? 0.7 : 0.1));
  const input = { logits: probabilities, labels, shape: [50, 2, 4] } as const;
  const message =
    "table: logits must not be probabilities; got 100 rows that all are within 0 and 1 and sum to 1. " +
    'Say values: "probabilities" (--probabilities), or, if they are logits after all, anyValues: true (--any-values).';
  await failsWith(() => createTable(input), "CalibrationError", message);
  const reader = (first: number, count: number) => probabilities.subarray(first * 8, (first + count) * 8);
  await failsWith(() => outcomes(createTable({ ...input, logits: reader })), "CalibrationError", message);
  assert.is(createTable({ ...input, anyValues: true }).samples, 50);
  assert.is(createTable({ ...input, values: "probabilities" }).samples, 50);
  const nearly = Float32Array.from(probabilities);
  nearly[399] = 0.4;
  assert.is(createTable({ ...input, logits: nearly }).samples, 50);
});
