// Metrics: direct formulas as oracles, ties, extremes, and what must not depend on the order of samples.

import fc from "fast-check";
import {
  accuracy,
  auroc,
  bootstrap,
  brier,
  classwiseEce,
  createRandom,
  ece,
  eefp,
  eefpTargets,
  evaluate,
  failureMetrics,
  fit,
  groupAugrc,
  groupAurc,
  groupCoverageAtRisk,
  groupRiskAtCoverage,
  groupScores,
  midRanks,
  nll,
  outcomes,
  overthinking,
  randomOrder,
  reliability,
  selectSamples,
  smoothEce,
  spearman,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable, tiedScores, unzip } from "./tables.ts";

const test = suite("calibration metrics");

const close = (a: number, b: number, tolerance = 1e-12) =>
  (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) <= tolerance;

test("accuracy is the share of right answers at each exit", () => {
  const errors = [
    [0, 1, 0],
    [0, 1, 0],
    [1, 0, 0],
    [0, 0, 0],
  ];
  assert.equal([...accuracy({ errors: Uint8Array.from(errors.flat()), exits: 3 })], [0.75, 0.5, 1]);
});

test("AUROC is the share of pairs in the right order, ties half", () => {
  fc.assert(
    fc.property(tiedScores, (pairs) => {
      const { scores, correct } = unzip(pairs);
      let wins = 0;
      let total = 0;
      scores.forEach((a, i) => {
        scores.forEach((b, j) => {
          if (correct[i] !== 1 || correct[j] !== 0) return;
          total++;
          wins += a > b ? 1 : a === b ? 0.5 : 0;
        });
      });
      assert.ok(close(auroc(scores, correct), wins / total));
    }),
  );
});

test("AURC and AUGRC average over every order inside ties", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.boolean()), { minLength: 1, maxLength: 6 }),
      (pairs) => {
        const { scores, correct } = unzip(pairs);
        const n = scores.length;
        let aurc = 0;
        let augrc = 0;
        let orders = 0;
        const visit = (left: number[], taken: number[]) => {
          if (left.length === 0) {
            let wrong = 0;
            taken.forEach((i, k) => {
              const before = wrong;
              wrong += 1 - correct[i]!;
              aurc += wrong / (k + 1) / n;
              augrc += (before + wrong) / 2 / (n * n);
            });
            orders++;
            return;
          }
          const best = Math.max(...left.map((i) => scores[i]!));
          for (const i of left)
            if (scores[i] === best)
              visit(
                left.filter((k) => k !== i),
                [...taken, i],
              );
        };
        visit(
          scores.map((_, i) => i),
          [],
        );
        const groups = groupScores(scores, correct);
        assert.ok(close(groupAurc(groups), aurc / orders) && close(groupAugrc(groups), augrc / orders));
      },
    ),
    { numRuns: 60 },
  );
});

test("nothing depends on the order of samples", () => {
  fc.assert(
    fc.property(tiedScores, fc.nat(), (pairs, seed) => {
      const { scores, correct } = unzip(pairs);
      const order = [...randomOrder(scores.length, createRandom(seed))];
      const a = { scores, correct };
      const b = { scores: order.map((i) => scores[i]!), correct: order.map((i) => correct[i]!) };
      assert.equal(failureMetrics(a.scores, a.correct), failureMetrics(b.scores, b.correct));
      for (const binning of ["uniform", "quantile"] as const) {
        assert.ok(close(ece(a.scores, a.correct, { binning }), ece(b.scores, b.correct, { binning })));
      }
      assert.ok(close(smoothEce(a.scores, a.correct), smoothEce(b.scores, b.correct), 1e-9));
    }),
    { numRuns: 40 },
  );
  const table = randomTable(60, 3, 4);
  const mixed = selectSamples(table, randomOrder(60, createRandom(9)));
  const [first, second] = [evaluate(table), evaluate(mixed)];
  first.exits.forEach((exit, j) => {
    assert.ok(close(exit.nll, second.exits[j]!.nll) && close(exit.classwiseEce, second.exits[j]!.classwiseEce));
    assert.ok(close(exit.eefp, second.exits[j]!.eefp) && close(exit.augrc, second.exits[j]!.augrc));
  });
});

test("AUGRC follows from AUROC and accuracy", () => {
  fc.assert(
    fc.property(tiedScores, (pairs) => {
      const { scores, correct } = unzip(pairs);
      const a = correct.reduce((x, y) => x + y, 0) / correct.length;
      const pairsPart = a > 0 && a < 1 ? (1 - auroc(scores, correct)) * a * (1 - a) : 0;
      assert.ok(close(groupAugrc(groupScores(scores, correct)), pairsPart + (1 - a) ** 2 / 2));
    }),
  );
});

test("constant scores: AUROC one half, AURC the error rate; one kind missing: AUROC undefined", () => {
  const constant = failureMetrics([0.5, 0.5, 0.5, 0.5], [1, 0, 1, 1]);
  assert.is(constant.auroc, 0.5);
  assert.is(constant.aurc, 0.25);
  for (const kind of [0, 1]) {
    const metrics = failureMetrics([0.1, 0.4, 0.9], [kind, kind, kind]);
    assert.ok(Number.isNaN(metrics.auroc) && Number.isNaN(metrics.fprAt95Tpr));
    assert.is(metrics.eAurc, 0);
  }
  assert.ok(Number.isNaN(failureMetrics([0.3], [1]).auprError));
});

test("coverage at risk and risk at coverage are read off distinct thresholds", () => {
  const groups = groupScores([0.9, 0.8, 0.8, 0.5], [1, 1, 0, 1]);
  assert.equal(groupCoverageAtRisk(groups, 0.3), { threshold: 0.5, coverage: 1, risk: 0.25 });
  assert.equal(groupCoverageAtRisk(groups, 0.1), { threshold: 0.9, coverage: 0.25, risk: 0 });
  assert.equal(groupRiskAtCoverage(groups, 0.5), { threshold: 0.8, coverage: 0.75, risk: 1 / 3 });
  const never = groupCoverageAtRisk(groupScores([0.9], [0]), 0.5);
  assert.equal([never.threshold, never.coverage, never.risk], [Number.POSITIVE_INFINITY, 0, Number.NaN]);
});

test("a calibrated model has little calibration error, however it is measured; an overconfident one has", () => {
  const random = createRandom(4);
  const scores = Float64Array.from({ length: 20000 }, () => 0.3 + 0.7 * random.uniform());
  const correct = Uint8Array.from(scores, (s) => (random.uniform() < s ? 1 : 0));
  const shifted = Uint8Array.from(scores, (s) => (random.uniform() < s - 0.2 ? 1 : 0));
  for (const measure of [
    (c: Uint8Array) => ece(scores, c),
    (c: Uint8Array) => ece(scores, c, { binning: "quantile", norm: "l2" }),
    (c: Uint8Array) => ece(scores, c, { norm: "l2", debiased: true }),
    (c: Uint8Array) => smoothEce(scores, c),
  ]) {
    assert.ok(measure(correct) < 0.02, `calibrated: ${measure(correct)}`);
    assert.ok(Math.abs(measure(shifted) - 0.2) < 0.02, `shifted: ${measure(shifted)}`);
  }
});

test("smooth ECE of a constant score is its gap, also at 0 and at 1, where the kernel is reflected", () => {
  for (const [score, rate] of [
    [1, 0.7],
    [0.5, 0.8],
    [0, 0.25],
  ] as const) {
    const scores = new Float64Array(200).fill(score);
    const correct = Uint8Array.from(scores, (_, i) => (i < 200 * rate ? 1 : 0));
    const value = smoothEce(scores, correct);
    assert.ok(Math.abs(value - Math.abs(score - rate)) < 1e-3, `${score}: ${value}`);
  }
});

test("debiasing removes the error that sampling alone makes", () => {
  const random = createRandom(5);
  let plain = 0;
  let debiased = 0;
  for (let r = 0; r < 50; r++) {
    const scores = Float64Array.from({ length: 150 }, () => random.uniform());
    const correct = Uint8Array.from(scores, (s) => (random.uniform() < s ? 1 : 0));
    plain += ece(scores, correct, { norm: "l2" }) / 50;
    debiased += ece(scores, correct, { norm: "l2", debiased: true }) / 50;
  }
  assert.ok(plain > 0.08 && debiased < plain / 2, `${plain} and ${debiased}`);
});

test("reliability bins hold every sample once, edges included", () => {
  const bins = reliability([0, 0.25, 0.5, 0.75, 1], [0, 0, 1, 1, 1], { nBins: 4 });
  assert.equal(
    bins.map((bin) => bin.count),
    [2, 1, 1, 1],
  );
  assert.equal(
    bins.map((bin) => bin.upper),
    [0.25, 0.5, 0.75, 1],
  );
});

test("NLL, Brier and class-wise ECE against their formulas", () => {
  const table = randomTable(20, 2, 3);
  const all = outcomes(table);
  const z = table.read(0, 20);
  let wantNll = 0;
  let wantBrier = 0;
  for (let i = 0; i < 20; i++) {
    const row = Array.from(z.subarray((i * 2 + 1) * 3, (i * 2 + 2) * 3), Math.exp);
    const total = row.reduce((a, b) => a + b, 0);
    wantNll -= Math.log(row[table.labels[i]!]! / total) / 20;
    row.forEach((e, c) => {
      wantBrier += (e / total - (c === table.labels[i] ? 1 : 0)) ** 2 / 20;
    });
  }
  assert.ok(close(nll(all)[1]!, wantNll) && close(brier(all)[1]!, wantBrier));
  const oneBin = classwiseEce(table, 1)[0]!;
  assert.ok(oneBin >= 0 && oneBin <= classwiseEce(table, 50)[0]! + 1e-12, "finer bins cannot hide error");
});

test("EEFP targets: right here, or never right later", () => {
  const errors = Uint8Array.of(1, 0, 1, /**/ 1, 1, 1, /**/ 0, 1, 0);
  assert.equal([...eefpTargets(errors, 3)], [0, 1, 1, 1, 1, 1, 1, 0, 1]);
  const { perExit, mean } = eefp({
    scores: Float64Array.of(0.1, 0.9, 0.9, 0.8, 0.8, 0.8, 0.9, 0.3, 0.9),
    errors,
    exits: 3,
  });
  assert.equal([...perExit], [1, 1]);
  assert.is(mean, 1);
});

test("overthinking counts what an earlier exit knew", () => {
  const errors = Uint8Array.of(0, 0, /**/ 0, 1, /**/ 1, 0, /**/ 1, 1);
  assert.equal(overthinking(errors, 2), { wasteful: 0.25, destructive: 0.25, oracleAccuracy: 0.75 });
});

test("mid-ranks and Spearman", () => {
  assert.equal([...midRanks([3, 1, 3, 2])], [3.5, 1, 3.5, 2]);
  assert.ok(close(spearman([1, 2, 3], [10, 20, 15]), 0.5));
  assert.ok(Number.isNaN(spearman([1, 1], [1, 2])));
});

test("bootstrap intervals are reproducible and cover", () => {
  const random = createRandom(6);
  let covered = 0;
  for (let r = 0; r < 100; r++) {
    const x = Float64Array.from({ length: 60 }, () => random.normal());
    const mean = (rows: Int32Array) => rows.reduce((sum, i) => sum + x[i]!, 0) / rows.length;
    const interval = bootstrap(mean, 60, { resamples: 200, seed: r });
    assert.equal(interval, bootstrap(mean, 60, { resamples: 200, seed: r }));
    if (interval.lower <= 0 && interval.upper >= 0) covered++;
  }
  assert.ok(covered >= 85, `covered ${covered} of 100`);
});

test("evaluate gives intervals on request: around the values, the same for the same seed, wider for fewer samples", () => {
  const [large, small] = [randomTable(400, 2, 3), randomTable(40, 2, 3)].map((table) =>
    evaluate(table, { resamples: 25, seed: 3 }),
  ) as [ReturnType<typeof evaluate>, ReturnType<typeof evaluate>];
  assert.equal(large, evaluate(randomTable(400, 2, 3), { resamples: 25, seed: 3 }));
  for (const exit of large.exits) {
    for (const name of ["accuracy", "nll", "brier", "auroc", "aurc", "riskAtCoverage"] as const) {
      const { value, lower, upper } = exit.intervals![name];
      assert.ok(value === exit[name] && lower < value && value < upper, name);
    }
  }
  const width = ({ exits }: typeof large) => exits[0]!.intervals!.accuracy.upper - exits[0]!.intervals!.accuracy.lower;
  assert.ok(width(small) > 1.5 * width(large));
  assert.is(evaluate(randomTable(20, 2, 3)).exits[0]!.intervals, undefined);
});

test("evaluate applies a scaling of either kind", () => {
  const table = randomTable(600, 2, 3);
  for (const method of ["temperature", "isotonic"] as const) {
    const scaling = fit(randomTable(600, 2, 3, { seed: 4 }), { method });
    const [plain, scaled] = [evaluate(table), evaluate(table, { scaling })];
    const [before, after] = [plain.exits[0]!, scaled.exits[0]!];
    assert.is(after.accuracy, before.accuracy);
    if (method === "temperature") assert.ok(after.nll < before.nll);
    else assert.ok(after.ece < before.ece && after.nll === before.nll);
  }
});

test("bad input is named", async () => {
  await failsWith(
    () => auroc([1, 2], [1]),
    "CalibrationError",
    "failure: scores and correct must have equal length; got 2 and 1.",
  );
  await failsWith(() => auroc([Number.NaN], [1]), "CalibrationError", "failure: scores must not be NaN; got NaN at 0.");
  await failsWith(
    () => ece([1.5], [1]),
    "CalibrationError",
    "ece: scores must be probabilities in [0, 1]; got 1.5 at 0.",
  );
  await failsWith(() => ece([], []), "CalibrationError", "ece: scores must not be empty; got 0 samples.");
  await failsWith(
    () => smoothEce([0.5, -0.1], [1, 1]),
    "CalibrationError",
    "smoothEce: scores must be probabilities in [0, 1]; got -0.1 at 1.",
  );
});
