// Exact tails against sums in whole numbers, bounds against what defines them.

import fc from "fast-check";
import {
  binomialPValue,
  cascade,
  clopperPearson,
  createRandom,
  hoeffdingBentkusPValue,
  hoeffdingBentkusUpperBound,
  hoeffdingUpperBound,
  learnThenTest,
  rejectHypotheses,
  smallestTestable,
  wsrPValue,
  wsrUpperBound,
} from "../../calibration/index.ts";
import { binomialCdf, normalCdf } from "../../calibration/numeric/special.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration bounds");

/** P(Bin(n, 1/m) <= k) by whole numbers: exact until the last division. */
function exactCdf(k: number, n: number, m: number): number {
  let coefficient = 1n;
  let sum = 0n;
  for (let i = 0; i <= k; i++) {
    sum += coefficient * BigInt(m - 1) ** BigInt(n - i);
    coefficient = (coefficient * BigInt(n - i)) / BigInt(i + 1);
  }
  const scale = 10n ** 40n;
  return Number((sum * scale) / BigInt(m) ** BigInt(n)) / 1e40;
}

const near = (got: number, want: number, tolerance: number, what: string) =>
  assert.ok(Math.abs(got - want) <= tolerance * Math.abs(want) + 1e-300, `${what}: got ${got}, want ${want}`);

test("binomial tails agree with exact sums to 1e-12, also far below the mean", () => {
  for (const [n, m] of [
    [1, 2],
    [20, 10],
    [45, 20],
    [299, 100],
    [1000, 20],
  ] as const) {
    for (const k of [0, 1, Math.floor(n / m), Math.floor((2 * n) / m), n - 1]) {
      if (k >= n) continue;
      near(binomialCdf(k, n, 1 / m), exactCdf(k, n, m), 1e-12, `P(Bin(${n}, 1/${m}) <= ${k})`);
    }
  }
});

test("binomial tails have the right ends", () => {
  assert.is(binomialCdf(-1, 5, 0.3), 0);
  assert.is(binomialCdf(5, 5, 0.3), 1);
  assert.is(binomialCdf(0, 0, 0.3), 1);
  assert.is(binomialCdf(2, 5, 0), 1);
  assert.is(binomialCdf(2, 5, 1), 0);
});

test("the normal distribution function is known at quantiles", () => {
  near(normalCdf(1.959963984540054), 0.975, 1e-14, "0.975");
  near(normalCdf(-3.090232306167813), 0.001, 1e-12, "0.001");
  near(normalCdf(-8), 6.220960574271784e-16, 1e-9, "8 sigma");
});

test("Clopper-Pearson bounds are where the exact tail equals alpha", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.double({ min: 0, max: 1, noNaN: true }), (n, share) => {
      const k = Math.min(n - 1, Math.floor(share * n));
      const { upper } = clopperPearson(k, n, { alpha: 0.05, side: "upper" });
      near(binomialCdf(k, n, upper), 0.05, 1e-9, `upper of ${k} of ${n}`);
      const { lower } = clopperPearson(k + 1, n, { alpha: 0.05, side: "lower" });
      near(1 - binomialCdf(k, n, lower), 0.05, 1e-9, `lower of ${k + 1} of ${n}`);
    }),
  );
  assert.equal(clopperPearson(0, 0, { alpha: 0.05 }), { lower: 0, upper: 1 });
  assert.is(clopperPearson(7, 7, { alpha: 0.05 }).upper, 1);
  assert.is(clopperPearson(0, 7, { alpha: 0.05 }).lower, 0);
});

test("the smallest testable count is the first at which no error passes", () => {
  assert.equal(
    [0.01, 0.02, 0.05, 0.1].map((alpha) => [smallestTestable(alpha, 0.1), smallestTestable(alpha, 0.05)]),
    [
      [230, 299],
      [114, 149],
      [45, 59],
      [22, 29],
    ],
  );
  for (const alpha of [0.01, 0.05, 0.2]) {
    const n = smallestTestable(alpha, 0.1);
    assert.ok(binomialPValue(0, n, alpha) <= 0.1 && binomialPValue(0, n - 1, alpha) > 0.1);
  }
});

test("Hoeffding-Bentkus is never above either of its parts, and its bound inverts it", () => {
  for (const errors of [0, 3, 9, 40]) {
    const p = hoeffdingBentkusPValue({ errors }, 200, 0.1);
    assert.ok(p <= Math.E * binomialPValue(errors, 200, 0.1));
    assert.ok(p >= binomialPValue(errors, 200, 0.1) * (1 - 1e-12), "the exact test is at least as sharp");
  }
  const upper = hoeffdingBentkusUpperBound(0.04, 500, 0.1);
  assert.ok(hoeffdingBentkusPValue({ risk: 0.04 }, 500, upper) <= 0.1);
  assert.ok(hoeffdingBentkusPValue({ risk: 0.04 }, 500, upper - 1e-6) > 0.1);
  assert.ok(upper < hoeffdingUpperBound(0.04, 500, 0.1));
});

test("the betting bound inverts the betting test and covers the mean", () => {
  const random = createRandom(3);
  let missed = 0;
  for (let r = 0; r < 400; r++) {
    const losses = Float64Array.from({ length: 120 }, () => (random.uniform() < 0.2 ? random.uniform() : 0));
    const upper = wsrUpperBound(losses, 0.1);
    assert.ok(wsrPValue(losses, upper, 0.1) <= 0.1 + 1e-9 || upper === 1);
    assert.ok(wsrPValue(losses, upper - 1e-6, 0.1) > 0.1);
    if (upper < 0.1) missed++;
  }
  assert.ok(missed / 400 <= 0.1 + 3 * Math.sqrt(0.09 / 400), `missed ${missed} of 400`);
  assert.is(wsrUpperBound([1, 1, 1], 0.1), 1);
});

test("multiple testing: Holm rejects what Bonferroni does, fixed sequence stops at the first failure", () => {
  const p = [0.01, 0.2, 0.0001, Number.NaN];
  assert.equal([...rejectHypotheses(p, 0.05, "fixedSequence")], [1, 0, 0, 0]);
  assert.equal([...rejectHypotheses(p, 0.05, "bonferroni")], [1, 0, 1, 0]);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 0.2, noNaN: true })), (ps) => {
      const holm = rejectHypotheses(ps, 0.1, "holm");
      rejectHypotheses(ps, 0.1, "bonferroni").forEach((rejected, i) => {
        assert.ok(holm[i]! >= rejected);
      });
    }),
  );
});

test("bad input is named", async () => {
  await failsWith(
    () => clopperPearson(3, 2, { alpha: 0.05 }),
    "CalibrationError",
    "clopperPearson: errors and n must be whole numbers with 0 <= errors <= n; got 3 of 2.",
  );
  await failsWith(
    () => wsrUpperBound([0, 1], 1),
    "CalibrationError",
    "wsrUpperBound: delta must lie strictly between 0 and 1; got 1.",
  );
  await failsWith(
    () => wsrUpperBound([], 0.1),
    "CalibrationError",
    "wsrUpperBound: losses must not be empty; got 0 samples.",
  );
});

test("what is no count, share or level is refused, and nothing runs for ever", async () => {
  const none = undefined as unknown as number;
  const level = (name: string, got: string) => `${name} must lie strictly between 0 and 1; got ${got}.`;
  const cases: readonly (readonly [string, () => unknown, string])[] = [
    ["binomialPValue", () => binomialPValue(3, 10, none), "alpha must lie in [0, 1]; got undefined."],
    ["binomialPValue", () => binomialPValue(3, 10, Number.NaN), "alpha must lie in [0, 1]; got NaN."],
    [
      "binomialPValue",
      () => binomialPValue(3.5, 10, 0.1),
      "errors and n must be whole numbers with 0 <= errors <= n; got 3.5 of 10.",
    ],
    [
      "binomialPValue",
      () => binomialPValue(3, Number.NaN, 0.1),
      "errors and n must be whole numbers with 0 <= errors <= n; got 3 of NaN.",
    ],
    ["smallestTestable", () => smallestTestable(0, 0.1), level("alpha", "0")],
    [
      "hoeffdingBentkusPValue",
      () => hoeffdingBentkusPValue({ risk: Number.NaN }, 10, 0.1),
      "the mean loss must lie in [0, 1]; got NaN.",
    ],
    [
      "hoeffdingBentkusPValue",
      () => hoeffdingBentkusPValue({ errors: 11 }, 10, 0.1),
      "errors and n must be whole numbers with 0 <= errors <= n; got 11 of 10.",
    ],
    [
      "hoeffdingBentkusUpperBound",
      () => hoeffdingBentkusUpperBound(Number.NaN, 10, 0.1),
      "the mean loss must lie in [0, 1]; got NaN.",
    ],
    ["hoeffdingBentkusUpperBound", () => hoeffdingBentkusUpperBound(0.1, 10, none), level("delta", "undefined")],
    ["hoeffdingUpperBound", () => hoeffdingUpperBound(0.1, 2.5, 0.1), "n must be a whole number; got 2.5."],
    ["wsrUpperBound", () => wsrUpperBound([0, Number.NaN], 0.1), "losses must lie in [0, 1]; got NaN at 1."],
    ["wsrPValue", () => wsrPValue([0, 2], 0.1, 0.1), "losses must lie in [0, 1]; got 2 at 1."],
    ["wsrPValue", () => wsrPValue([0, 1], none, 0.1), "alpha must lie in [0, 1]; got undefined."],
  ];
  for (const [op, call, message] of cases) await failsWith(call, "CalibrationError", `${op}: ${message}`);
});

test("at every alpha a refusal comes at once, and counts the samples that are missing", () => {
  const table = randomTable(300, 3, 4);
  const perfect = { ...cascade(table), errors: new Uint8Array(900) };
  for (const alpha of [1e-5, 1e-7, 1e-9, 1e-12, 1e-100, 1e-300]) {
    const started = process.cpuUsage().user;
    const refused = learnThenTest(perfect, { alpha, delta: 0.1 });
    assert.ok(process.cpuUsage().user - started < 2e6, `${alpha} takes long`);
    assert.ok(!refused.ok && refused.short === "calibration");
    assert.match(refused.reason, /calibration samples are too few/);
    const errorsMeant = refused.neededSamples * alpha;
    assert.ok(errorsMeant > Math.log(10) && errorsMeant < 20, `${refused.neededSamples}`);
  }
});
