// The default procedure where scores take few values, with one exit, and at small levels: it keeps its level, and
// certifies.

import { firstAndLast } from "../../bench/validity-rules.ts";
import {
  applyScaling,
  createPopulation,
  createRandom,
  createTable,
  fit,
  type LearnThenTestOptions,
  learnThenTest,
  type Source,
} from "../../calibration/index.ts";
import { assert, suite } from "../harness.ts";

const test = suite("calibration power");

/** Ten classes; deeper exits see them better. */
function drawTable(samples: number, seed: number, exits = 3, gain = 1) {
  const random = createRandom(seed);
  const labels = Int32Array.from({ length: samples }, () => random.below(10));
  const logits = new Float32Array(samples * exits * 10);
  labels.forEach((label, i) => {
    const hard = 1.2 * random.normal();
    for (let exit = 0; exit < exits; exit++) {
      const at = (exits * i + exit) * 10;
      for (let c = 0; c < 10; c++) logits[at + c] = random.normal();
      logits[at + label] = logits[at + label]! + 2 + gain * exit - hard;
    }
  });
  return createTable({ logits, labels, shape: [samples, exits, 10] });
}

/** Answers for growing alpha, of the default and of the union. */
function compare(
  calibration: Source,
  validation: Source,
  alphas: readonly number[],
  options: Partial<LearnThenTestOptions> = {},
) {
  let [refusedAlone, refusedAfterSmaller, isCertified] = [0, 0, false];
  for (const alpha of alphas) {
    const shared = { alpha, delta: 0.1, validation, ...options };
    const path = learnThenTest(calibration, shared);
    if (!path.ok && learnThenTest(calibration, { ...shared, procedure: "union" }).ok) refusedAlone++;
    if (!path.ok && isCertified) refusedAfterSmaller++;
    isCertified ||= path.ok;
  }
  return { refusedAlone, refusedAfterSmaller };
}

test("binned scores and patience: nothing is refused that the union certifies, or that a smaller alpha was given", () => {
  for (let run = 0; run < 4; run++) {
    const [v, c] = [drawTable(1500, 100 + run), drawTable(1500, 900 + run)];
    for (const method of ["histogram", "isotonic"] as const) {
      const scaling = fit(v, { method });
      const found = compare(applyScaling(c, scaling), applyScaling(v, scaling), [0.06, 0.1, 0.15, 0.2, 0.25]);
      assert.equal(found, { refusedAlone: 0, refusedAfterSmaller: 0 }, `${method}, run ${run}`);
    }
    const [six, sixV] = [drawTable(1500, 1000 + run, 6, 0.5), drawTable(1500, 5000 + run, 6, 0.5)];
    const found = compare(six, sixV, [0.1, 0.15, 0.2], { score: "patience" });
    assert.equal(found, { refusedAlone: 0, refusedAfterSmaller: 0 }, `patience, run ${run}`);
  }
});

const easy = createPopulation({ size: 60_000, seed: 6, strength: [3, 4, 5] });
const hard = createPopulation({ size: 60_000, seed: 2, strength: [1.6, 1.8, 3], noise: 0.3, errorCorrelation: 0.9 });

const fewScores = createPopulation({ size: 60_000, levels: 8 });

test("draw by draw the default saves no less than the union: one exit at a small alpha, few distinct scores", () => {
  for (const [name, population, alpha, n, m, early, runs] of [
    ["easy, alpha 0.01, 500", easy, 0.01, 500, 500, 1, 150],
    ["easy, alpha 0.01, 1000", easy, 0.01, 1000, 1000, 1, 250],
    ["easy, alpha 0.01, 2000", easy, 0.01, 2000, 2000, 1, 80],
    ["8 scores, alpha 0.2", fewScores, 0.2, 1000, 500, 2, 150],
  ] as const) {
    const random = createRandom(17);
    const more = { saved: [] as number[], certified: [] as number[] };
    for (let run = 0; run < runs; run++) {
      const draw = (size: number) => {
        const all = population.draw(size, random);
        return early === 1 ? firstAndLast(all) : all;
      };
      const [calibration, validation] = [draw(n), draw(m)];
      const [path, union] = (["path", "union"] as const).map((procedure) => {
        const result = learnThenTest(calibration, { alpha, delta: 0.1, validation, procedure });
        const open = result.ok ? [...result.thresholds] : [];
        const { cost } = population.truth([...open, ...[0, 0].map(() => Number.POSITIVE_INFINITY)].slice(0, 2));
        return { saved: 1 - cost, certified: Number(result.ok) };
      });
      for (const key of ["saved", "certified"] as const) more[key].push(path![key] - union![key]);
    }
    for (const [key, differences] of Object.entries(more)) {
      const mean = differences.reduce((sum, d) => sum + d, 0) / runs;
      const error = Math.sqrt(differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (runs - 1) / runs);
      assert.ok(mean >= -2 * error, `${name}: ${key} ${mean.toFixed(4)} more, standard error ${error.toFixed(4)}`);
    }
  }
});

test("power does not fall as alpha grows, on any kind of cascade", () => {
  const alphas = [0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3];
  for (const [name, population, early] of [
    ["easy", easy, 1],
    ["hard", hard, 2],
    ["8 scores", fewScores, 2],
  ] as const) {
    const random = createRandom(23);
    const runs = 8;
    const saved = alphas.map(() => 0);
    for (let run = 0; run < runs; run++) {
      const draw = (size: number) =>
        early === 1 ? firstAndLast(population.draw(size, random)) : population.draw(size, random);
      const [calibration, validation] = [draw(1000), draw(500)];
      alphas.forEach((alpha, k) => {
        const result = learnThenTest(calibration, { alpha, delta: 0.1, validation });
        saved[k] = saved[k]! + (result.ok ? 1 - result.cost : 0) / runs;
      });
    }
    for (let k = 1; k < alphas.length; k++) assert.ok(saved[k]! >= saved[k - 1]!, `${name}: saved ${saved}`);
  }
});

test("one early exit, small alpha or few samples: refused no more often than by the union, and no dearer", () => {
  for (const [name, population, alpha, n, m] of [
    ["easy, alpha 0.02", easy, 0.02, 1000, 500],
    ["hard, alpha 0.05", hard, 0.05, 500, 200],
    ["hard, alpha 0.15, few", hard, 0.15, 120, 120],
  ] as const) {
    const random = createRandom(3);
    const runs = 60;
    const refused = { path: 0, union: 0 };
    const cost = { path: 0, union: 0 };
    for (let run = 0; run < runs; run++) {
      const calibration = firstAndLast(population.draw(n, random));
      const validation = firstAndLast(population.draw(m, random));
      for (const procedure of ["path", "union"] as const) {
        const result = learnThenTest(calibration, { alpha, delta: 0.1, validation, procedure });
        if (!result.ok) refused[procedure]++;
        cost[procedure] += (result.ok ? result.cost : 1) / runs;
      }
    }
    assert.ok(refused.path <= refused.union + 4, `${name}: refused ${JSON.stringify(refused)}`);
    assert.ok(cost.path <= cost.union + 0.015, `${name}: cost ${JSON.stringify(cost)}`);
  }
});

test("the level is kept where every certificate is false, with few values of the score and with one exit", () => {
  const runs = 300;
  const limit = 0.1 + 3 * Math.sqrt(0.09 / runs);
  for (const [levels, alpha, n, m] of [
    [4, 0.1, 600, 300],
    [256, 0.1, 300, 100],
    [256, 0.01, 500, 250],
  ] as const) {
    const flat = createPopulation({ size: 60_000, seed: 4, flatError: alpha * 1.03, levels });
    const random = createRandom(11);
    const certified = { three: 0, one: 0 };
    for (let run = 0; run < runs; run++) {
      const [calibration, validation] = [flat.draw(n, random), flat.draw(m, random)];
      if (learnThenTest(calibration, { alpha, delta: 0.1, validation }).ok) certified.three++;
      const one = { alpha, delta: 0.1, validation: firstAndLast(validation) };
      if (learnThenTest(firstAndLast(calibration), one).ok) certified.one++;
    }
    assert.ok(
      Math.max(certified.three, certified.one) / runs <= limit,
      `${levels} levels: ${JSON.stringify(certified)}`,
    );
  }
});
