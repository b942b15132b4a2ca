// What a refusal advises: which set is short and by how much, which then suffices; or that no threshold can.

import {
  budgetThresholds,
  type Calibration,
  type ControlRiskOptions,
  cascade,
  cascadeFromScores,
  classPrecisionMargin,
  conformalRiskControl,
  controlRisk,
  createPopulation,
  createRandom,
  createTable,
  decodePolicy,
  encodePolicy,
  isBinaryLoss,
  type LearnThenTestOptions,
  learnThenTest,
  lttPooled,
  meetBudget,
  type Random,
  type Refused,
  safeKdReleasedCode,
  safeKdText,
  ucbThreshold,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("calibration refusals");
const easy = createPopulation({ size: 60_000, seed: 6, strength: [3, 4, 5] });

function refused(result: Calibration): Refused {
  assert.not(result.ok);
  return result as Refused;
}

/** n samples of two exits and three classes, right or wrong as told, at confidences that say nothing. */
function plain(n: number, wrong: (i: number) => boolean, label = (i: number) => i % 3, seed = 4) {
  const random = createRandom(seed);
  return cascadeFromScores({
    scores: Float64Array.from({ length: 2 * n }, () => random.uniform()),
    errors: Uint8Array.from({ length: 2 * n }, (_, at) => Number(wrong(at >> 1))),
    labels: Int32Array.from({ length: n }, (_, i) => label(i)),
    classes: 3,
    exits: 2,
    ids: Array.from({ length: n }, (_, i) => `${seed}-${i}`),
  });
}

/** Logits of three exits and three classes, most of them right. */
function tableOf(n: number, random: Random) {
  const labels = Int32Array.from({ length: n }, () => random.below(3));
  const logits = new Float32Array(n * 9);
  labels.forEach((label, i) => {
    const hard = random.normal();
    for (let j = 0; j < 3; j++) {
      for (let c = 0; c < 3; c++) logits[(3 * i + j) * 3 + c] = random.normal();
      logits[(3 * i + j) * 3 + label] = logits[(3 * i + j) * 3 + label]! + 4 + j - hard;
    }
  });
  return createTable({ logits, labels, shape: [n, 3, 3] });
}

test("where no error is seen the samples that the test needs are named, whatever the level", () => {
  for (const [alpha, needed] of [
    [0.1, 22],
    [0.01, 230],
    [0.001, 2302],
  ] as const) {
    const few = refused(
      learnThenTest(
        plain(20, () => false),
        { alpha, delta: 0.1, validation: plain(500, () => false, undefined, 5) },
      ),
    );
    assert.is(few.short, "calibration", few.reason);
    // More than if none of them may be wrong: an error rate well below alpha must do.
    assert.ok(few.neededSamples >= needed && few.neededSamples <= 5 * needed, `${alpha}: ${few.neededSamples}`);
    assert.match(few.reason, `about ${few.neededSamples} would be needed, ${few.neededSamples - 20} more.`);
  }
});

/** One way to calibrate, by all that changes what a test needs. */
type Rule = { readonly name: string; readonly certify: (n: number, m: number, random: Random) => Calibration };

const ALPHA = 0.05;
const shared = { alpha: ALPHA, delta: 0.1 };

function certifier(options: Partial<LearnThenTestOptions>): Rule {
  const words = Object.values(options).join(", ");
  return {
    name: `learn then test: ${words}`,
    certify: (n, m, random) =>
      learnThenTest(cascade(easy.draw(n, random)), { ...shared, ...options, validation: easy.draw(m, random) }),
  };
}

/** Ways to control a mean loss. */
const METHODS: readonly Pick<ControlRiskOptions, "method" | "bound">[] = [
  { method: "crc" },
  ...(["ucb", "ltt"] as const).flatMap((method) =>
    (["wsr", "hoeffdingBentkus", "clopperPearson"] as const).map((bound) => ({ method, bound })),
  ),
];

const RULES: readonly Rule[] = [
  {
    name: "learn then test: a third of the samples lays out the thresholds",
    certify: (n, _, random) => learnThenTest(cascade(easy.draw(n, random)), shared),
  },
  {
    name: "risk control: a third of the samples lays out the thresholds",
    certify: (n, _, random) => controlRisk(cascade(easy.draw(n, random)), { ...shared, method: "ucb" }),
  },
  ...(["exit", "early", "label"] as const).flatMap((control) =>
    (["binomial", "hoeffdingBentkus", "wsr"] as const).flatMap((risk) =>
      (["fixedSequence", "holm", "bonferroni"] as const).map((correction) =>
        certifier({ control, test: risk, correction }),
      ),
    ),
  ),
  ...(["sequential", "split", "union", "allSamples"] as const).map((procedure) => certifier({ procedure })),
  ...(["sequential", "split"] as const).map((procedure) => certifier({ control: "predictedClass", procedure })),
  ...(["acceptedAndWrong", "disagreement", "gap", "brierGap", "hellinger"] as const).flatMap((loss) =>
    METHODS.filter(({ bound }) => bound !== "clopperPearson" || isBinaryLoss(loss)).map((options) => ({
      name: `risk control: ${loss}, ${Object.values(options).join(", ")}`,
      certify: (n: number, m: number, random: Random) => {
        const level = options.method === "crc" ? { alpha: ALPHA } : shared;
        return controlRisk(tableOf(n, random), { ...level, loss, ...options, validation: tableOf(m, random) });
      },
    })),
  ),
];

/** Calibration samples at which a rule certifies, in doubling steps from a few. */
function doublings(rule: Rule, seed: number): number {
  const random = createRandom(seed);
  let n = 16;
  while (!rule.certify(n, 1500, random).ok) n *= 2;
  return n;
}

/** No more samples are asked for than this many times those that do when they are doubled until a rule certifies. */
const MOST = 6;

for (const rule of RULES) {
  test(`three rounds of advice are enough, and not too much: ${rule.name}`, () => {
    const enough = Math.max(...[11, 12, 13].map((other) => doublings(rule, other)));
    for (const seed of [1, 2, 3]) {
      const random = createRandom(seed);
      let [n, m] = [16, 1500];
      let result = rule.certify(n, m, random);
      const told: string[] = [];
      for (let round = 0; round < 3 && !result.ok; round++) {
        told.push(result.reason);
        assert.ok(result.short, result.reason);
        if (result.short === "calibration") {
          assert.ok(result.neededSamples > n + 1, `${n}: ${result.reason}`);
          n = result.neededSamples;
        } else m *= 2;
        result = rule.certify(n, m, random);
      }
      assert.ok(result.ok, `${told.join("\n")}\n${result.ok ? "" : result.reason}`);
      assert.ok(n <= MOST * enough, `${n} were asked for where ${enough} do:\n${told.join("\n")}`);
    }
  });
}

test("few validation samples are told apart from few calibration samples", () => {
  const random = createRandom(9);
  let validationShort = 0;
  for (let run = 0; run < 10; run++) {
    const calibration = cascade(easy.draw(4000, random));
    const result = learnThenTest(calibration, { alpha: 0.02, delta: 0.1, validation: easy.draw(6, random) });
    if (result.ok) continue;
    assert.is(result.short, "validation", result.reason);
    assert.match(result.reason, /the 6 validation samples are too few: .* Try about \d+, \d+ more\.$/);
    validationShort++;
  }
  assert.ok(validationShort > 0);
});

test("classes without samples are named", () => {
  const few = refused(
    learnThenTest(
      plain(
        60,
        () => false,
        (i) => 2 * (i % 2),
      ),
      { alpha: 0.1, delta: 0.1, control: "label", validation: plain(300, () => false, undefined, 5) },
    ),
  );
  assert.is(few.short, "calibration");
  assert.match(
    few.reason,
    "the calibration samples are too few, none of them is of class 1, too few are of class 0 (30 of about 38), 2 (30 of about 38): about ",
  );
});

test("classes with too few samples are named, by label and by answer", () => {
  // One of class 2 among every twenty.
  const rare = (i: number) => (i % 20 === 0 ? 2 : i % 2);
  const answered = (set: ReturnType<typeof plain>) => ({
    ...set,
    predictions: Int32Array.from({ length: 2 * set.samples }, (_, at) => rare(at >> 1)),
  });
  const shared = { alpha: 0.1, delta: 0.1, validation: answered(plain(900, () => false, rare, 5)) };
  const byLabel = refused(
    learnThenTest(
      plain(400, () => false, rare),
      { ...shared, control: "label" },
    ),
  );
  assert.match(
    byLabel.reason,
    "the calibration samples are too few, too few are of class 2 (20 of about 38): about 760 would",
  );
  const few = answered(plain(60, () => false, rare));
  const byAnswer = refused(learnThenTest(few, { ...shared, control: "predictedClass" }));
  assert.match(
    byAnswer.reason,
    /too few are answered as class 2 \(3 of about \d+\), 0 \(27 of about \d+\), 1 \(30 of about \d+\): about/,
  );
  // Where a class is wrong too often, more of it is no help, and it is not named.
  const wrong = (i: number) => rare(i) === 2;
  const all = refused(learnThenTest(plain(4000, wrong, rare), { ...shared, control: "label" }));
  assert.equal([all.short, all.neededSamples], [undefined, Number.POSITIVE_INFINITY], all.reason);
});

test("no threshold can: told as such, and of no set that is short", () => {
  const random = createRandom(3);
  const half = refused(
    learnThenTest(
      plain(2000, () => random.uniform() < 0.5),
      { alpha: 0.05, delta: 0.1 },
    ),
  );
  assert.equal([half.neededSamples, half.short], [Number.POSITIVE_INFINITY, undefined]);
  assert.match(half.reason, "and no threshold can do better: even the most confident are wrong too often");
  const mean = refused(
    controlRisk(
      plain(2000, () => true),
      { alpha: 0.001 },
    ),
  );
  assert.is(mean.short, undefined, mean.reason);
  for (const result of [half, mean]) assert.equal(decodePolicy(encodePolicy({ result })).result, result);
});

/**
 * Samples that the first exit answers with confidence 0.9 if right and 0.1 if wrong; the last exit is right as often.
 */
function searched(n: number, right: number) {
  return cascadeFromScores({
    scores: Float64Array.from({ length: 2 * n }, (_, at) => ((at >> 1) % 100 < 100 * right ? 0.9 : 0.1)),
    errors: Uint8Array.from({ length: 2 * n }, (_, at) => Number((at >> 1) % 100 >= 100 * right)),
    exits: 2,
  });
}

test("a budget search says whether its samples are too few, or no thresholds can", async () => {
  const reason = (result: ReturnType<typeof meetBudget>) => (result.ok ? "found" : result.reason);
  assert.is(
    reason(meetBudget(searched(100, 0.9), { accuracy: 0.92 })),
    "budget search: no thresholds reach accuracy 0.92; the best is 0.9, and the 100 validation samples are too few to tell these apart: " +
      "about 609 would be needed, 509 more.",
  );
  assert.is(
    reason(meetBudget(searched(2000, 0.9), { accuracy: 0.95 })),
    "budget search: no thresholds reach accuracy 0.95; the best is 0.9, and no threshold can do better, however many samples there are.",
  );
  assert.is(
    reason(meetBudget(searched(100, 0.9), { cost: 0.2 })),
    "budget search: no thresholds stay within cost 0.2; the least is 0.5, and no threshold can do better, however many samples there are.",
  );
  for (const [goal, message] of [
    [{ accuracy: 95 }, "accuracy must be within 0 and 1; got 95."],
    [{ cost: 0 }, "cost must be above 0 and at most 1; got 0."],
    [{ milliseconds: [1, 2], budget: -1 }, "budget must be a number above 0; got -1."],
  ] as const) {
    await failsWith(() => meetBudget(searched(100, 0.9), goal), "CalibrationError", `meetBudget: ${message}`);
  }
  await failsWith(
    () => meetBudget(searched(100, 0.9), { milliseconds: [2, 1], budget: 1 }),
    "CalibrationError",
    "meetBudget: milliseconds must be positive and must not decrease from exit to exit; got [2, 1].",
  );
});

test("rules without a guarantee say what they lack samples for", () => {
  const draw = cascade(easy.draw(20, createRandom(1)));
  const budget = budgetThresholds(draw, 3); // shares 1/13, 3/13, 9/13
  assert.is(budget.neededSamples, 13);
  assert.is(
    budgetThresholds(cascade(easy.draw(13, createRandom(1))), 3).thresholds[0] === Number.POSITIVE_INFINITY,
    false,
  );
  assert.is(budgetThresholds(cascade(easy.draw(12, createRandom(1))), 3).thresholds[0], Number.POSITIVE_INFINITY);
  const levels = { alpha: 0.1, delta: 0.1 };
  const pooled = lttPooled({ scores: [0.9], errors: [0], grid: [0.5], earlyExits: 1 }, levels);
  assert.is(pooled.nMin, 22);
  const outcomes = easy.draw(8, createRandom(2));
  assert.is(safeKdText(outcomes, { delta: 0.1 }).neededSamples, 9);
  assert.is(safeKdReleasedCode(outcomes, { delta: 0.1 }).neededSamples, 9);
  const margin = classPrecisionMargin(cascade(easy.draw(60, createRandom(3))), { minSupport: 30 });
  assert.is(margin.support.length, 6);
  margin.support.forEach((n, at) => {
    assert.ok(n >= 30 || margin.thresholds[at] === Number.POSITIVE_INFINITY);
  });
  assert.ok(margin.support.some((n) => n > 0 && n < 30));
  const few = conformalRiskControl({ losses: [0, 0, 0], lambdas: [1] }, { alpha: 0.1 });
  assert.equal([few.ok, few.neededSamples], [false, 9]);
  const bound = ucbThreshold({ losses: [0, 0, 0], lambdas: [1] }, { ...levels, bound: "clopperPearson" });
  assert.equal([bound.ok, bound.neededSamples], [false, 22]);
  const wrong = ucbThreshold({ losses: [1, 1, 1], lambdas: [1] }, { ...levels, bound: "clopperPearson" });
  assert.is(wrong.neededSamples, Number.POSITIVE_INFINITY);
});
