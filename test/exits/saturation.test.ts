// Decisions where probabilities saturate: with logits of any size the device leaves where the table leaves, never
// earlier, and the promise holds. Logits are drawn; that networks give the same ones to both is tested with `deploy`.

import {
  type Cascade,
  cascade,
  createRandom,
  createTable,
  decide,
  learnThenTest,
  logRestOf,
  meetBudget,
  type PlainScore,
  type Random,
} from "../../calibration/index.ts";
import { orderedSigmoid } from "../../calibration/numeric/certainty.ts";
import { full, tensor } from "../../engine/functions.ts";
import { levelFrom, SLACK } from "../../exits/deploy/thresholds.ts";
import { decideError, exitDecide } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("exits: saturated scores");
const SCORES = ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"] as const;
const SCALES = [0.1, 1, 5, 8, 30, 100, 1000];

/** A half float near x. */
function half(x: number): number {
  if (x === 0) return 0;
  const step = 2 ** (Math.max(-14, Math.floor(Math.log2(Math.abs(x)))) - 10);
  return Math.max(-65504, Math.min(65504, Math.round(x / step) * step));
}

/** Logits [n, 2, C] whose largest stands out more or less, times `scale`. */
function draw(n: number, classes: number, scale: number, random: Random, isHalf: boolean) {
  const labels = Int32Array.from({ length: n }, () => random.below(classes));
  const logits = new Float32Array(n * 2 * classes);
  labels.forEach((label, i) => {
    const ease = 4 + 3 * random.normal();
    for (const j of [0, 1]) {
      const at = (2 * i + j) * classes;
      for (let c = 0; c < classes; c++) logits[at + c] = scale * random.normal();
      logits[at + label]! += scale * (ease + j);
    }
  });
  return createTable({ logits: isHalf ? logits.map(half) : logits, labels, shape: [n, 2, classes] });
}

/** Which samples leave at the first exit on the device, and what confidence it names. */
async function onDevice(
  table: ReturnType<typeof draw>,
  score: PlainScore,
  threshold: number,
  temperature: number,
  slack = 0,
): Promise<{ readonly leaves: boolean[]; readonly scores: Float32Array }> {
  const { samples: n, classes } = table;
  const first = new Float32Array(n * classes);
  for (let i = 0; i < n; i++) first.set(table.read(i, 1).subarray(0, classes), i * classes);
  const results = {
    answers: full([n], -1, { dtype: "i32" }),
    exits: full([n], -1, { dtype: "i32" }),
    scores: full([n], -9),
  };
  const level = levelFrom(threshold, { score, classes, temperature, slack });
  const ids = tensor(Int32Array.from({ length: n }, (_, i) => i));
  exitDecide(tensor(first, { shape: [n, classes] }), ids, tensor(Float32Array.of(level)), results, {
    exit: 0,
    score,
    temperature,
    slack,
  });
  const leaves = Array.from(await results.exits.read(), (exit) => exit === 0);
  return { leaves, scores: (await results.scores.read()) as Float32Array };
}

/** The same table divided by a temperature, as scaling does it. */
const divided = (table: ReturnType<typeof draw>, temperature: number) =>
  createTable({
    logits: Float64Array.from(table.read(0, table.samples), (z) => z / temperature),
    labels: table.labels,
    shape: [table.samples, 2, table.classes],
  });

/** Of a confidence, exactly: what the device compares. */
function level(s: number, score: PlainScore, classes: number): number {
  const exact = levelFrom(s, { score, classes, temperature: 1 });
  return exact - decideError(score, exact, classes, 2);
}

test("the device leaves where the table leaves, never earlier: every score, scale, temperature, f32 and f16 logits", async () => {
  const random = createRandom(11);
  let seen = 0;
  let apart = 0;
  for (const [score, scale, isHalf] of SCORES.flatMap((s) =>
    SCALES.flatMap(
      (x) =>
        [
          [s, x, false],
          [s, x, true],
        ] as const,
    ),
  )) {
    const classes = [2, 3, 10, 33][random.below(4)]!;
    const temperature = [1, 0.3, 2.7][random.below(3)]!;
    const table = draw(257, classes, scale, random, isHalf);
    const scored = cascade(divided(table, temperature), score);
    const own = Float64Array.from({ length: 257 }, (_, i) => scored.scores[2 * i]!);
    const sorted = own.slice().sort();
    const [a, b] = [sorted[60 + random.below(160)]!, sorted[60 + random.below(160)]!];
    for (const [kind, threshold] of [
      ["between", (a + b) / 2],
      ["a sample's own", a],
    ] as const) {
      const { leaves, scores } = await onDevice(table, score, threshold, temperature);
      const want = decide(scored, threshold);
      for (const [i, left] of leaves.entries()) {
        const about = `${score} x ${scale}, C ${classes}, T ${temperature}, ${kind}: sample ${i}, ${own[i]} at ${threshold}`;
        seen++;
        if (left) {
          assert.is(want[i], 0, `left early: ${about}`);
          const size = Math.max(1, Math.abs(own[i]!));
          assert.ok(Math.abs(scores[i]! - own[i]!) < 1e-5 * size, `named ${scores[i]}: ${about}`);
        } else if (want[i] === 0) {
          apart++;
          const distance = level(own[i]!, score, classes) - level(threshold, score, classes);
          const at = level(threshold, score, classes);
          assert.ok(
            distance <= 2.1 * decideError(score, at, classes, temperature) + 1e-6,
            `stayed, ${distance} above: ${about}`,
          );
        }
      }
    }
  }
  // The samples that are thresholds themselves, and hardly another.
  assert.ok(apart > 0 && apart < 0.01 * seen, `${apart} of ${seen} stay where the table lets them go`);
});

test("whoever leaves by logits that are off, as preparing and f16 may put them, leaves in the table of the true ones", async () => {
  const random = createRandom(23);
  let [seen, early] = [0, 0];
  for (const slack of Object.values(SLACK)) {
    for (const [score, scale] of SCORES.flatMap((score) => SCALES.map((scale) => [score, scale] as const))) {
      const classes = [2, 3, 10, 33][random.below(4)]!;
      const temperature = [1, 0.3, 2.7][random.below(3)]!;
      const table = draw(257, classes, scale, random, false);
      const logits = table.read(0, 257);
      const off = (z: number, i: number): number => {
        // At exit 1 the largest rises and the others fall, or anything: what lets samples leave early the most.
        const way = random.below(2) === 0 ? random.uniform() * 2 - 1 : z === best[Math.floor(i / classes)]! ? 1 : -1;
        return z + (way * slack * (1 + Math.abs(z))) / 2;
      };
      const best = Array.from({ length: 514 }, (_, k) => Math.max(...logits.subarray(k * classes, (k + 1) * classes)));
      const moved = createTable({
        logits: Float32Array.from(logits, off),
        labels: table.labels,
        shape: [257, 2, classes],
      });
      const scored = cascade(divided(table, temperature), score);
      const sorted = Array.from({ length: 257 }, (_, i) => scored.scores[2 * i]!).toSorted((a, b) => a - b);
      const threshold = (sorted[128]! + sorted[129]!) / 2;
      const { leaves } = await onDevice(moved, score, threshold, temperature, slack);
      const want = decide(scored, threshold);
      for (const [i, left] of leaves.entries()) {
        seen++;
        if (left) assert.is(want[i], 0, `${score} x ${scale}, C ${classes}, T ${temperature}, slack ${slack}: ${i}`);
        else if (want[i] === 0) early++;
      }
    }
  }
  assert.ok(early < 0.1 * seen, `${early} of ${seen} stay for it`);
});

test("a head that is never sure keeps its samples: levels of the smallest confidences have their digits", () => {
  for (const [told, confidence] of [-700, -60, -45.7, -30, -3, 0, 3, 15, 30].map(
    (t) => [t, orderedSigmoid(t)] as const,
  )) {
    const level = levelFrom(confidence, { score: "confidence", classes: 10, temperature: 1 });
    const off = decideError("confidence", told, 10, 1);
    assert.ok(level >= told && level - told <= 2 * off + 1e-4 * Math.max(1, -told / 100), `${told}: level ${level}`);
  }
});

test("calibrated thresholds lie between samples: device and table agree on the samples that laid them out, too", async () => {
  const random = createRandom(5);
  for (const score of ["maxProb", "margin", "entropy"] as const) {
    for (const scale of [1, 8, 100]) {
      const [calibration, validation] = [draw(1500, 10, scale, random, false), draw(700, 10, scale, random, false)];
      const results = [
        learnThenTest(calibration, { alpha: 0.2, delta: 0.1, score, validation }),
        learnThenTest(calibration, { alpha: 0.2, delta: 0.1, score, validation, procedure: "union" }),
        meetBudget(validation, { cost: 0.7 }, { score }),
      ];
      for (const result of results) {
        assert.ok(result.ok, `${score} x ${scale}: ${"reason" in result ? result.reason : ""}`);
        const [threshold] = result.thresholds as unknown as [number];
        for (const table of [calibration, validation]) {
          const { leaves } = await onDevice(table, score, threshold, 1);
          const want = Array.from(decide(cascade(table, score), threshold), (exit) => exit === 0);
          assert.equal(leaves, want, `${score} x ${scale}: ${threshold}`);
        }
      }
    }
  }
});

/** Logits `times` too large: answers are right as often as a network would be whose logits are `times` smaller. */
function overconfident(n: number, times: number, random: Random): Cascade {
  const logits = new Float64Array(n * 2 * 5);
  const labels = new Int32Array(n);
  for (let i = 0; i < n; i++) {
    const ease = Math.abs(5 * random.normal());
    for (const j of [0, 1]) {
      for (let c = 0; c < 5; c++)
        logits[(2 * i + j) * 5 + c] = times * (0.6 * random.normal() + (c === 0 ? ease + j : 0));
    }
    const row = Array.from(logits.subarray(10 * i, 10 * i + 5), (z) => Math.exp(z / times));
    const total = row.reduce((sum, e) => sum + e, 0);
    let left = random.uniform() * total;
    let label = 0;
    while (label < 4 && left >= row[label]!) left -= row[label++]!;
    labels[i] = label;
  }
  return cascade(createTable({ logits, labels, shape: [n, 2, 5] }));
}

test("with logits 5 and 8 times too large the promise holds, deployed, in a share 1 - delta of 300 calibrations", () => {
  const [alpha, delta, repeats] = [0.05, 0.1, 300];
  for (const times of [5, 8]) {
    const random = createRandom(times);
    const future = overconfident(40_000, times, random);
    const logOdds = Float64Array.from({ length: future.samples }, (_, i) => {
      const rest = logRestOf(future.scores[2 * i]!);
      return Math.log1p(-Math.exp(rest)) - rest;
    });
    let [broken, certified] = [0, 0];
    for (let r = 0; r < repeats; r++) {
      const [calibration, validation] = [overconfident(600, times, random), overconfident(300, times, random)];
      const policy = learnThenTest(calibration, { alpha, delta, validation });
      if (!policy.ok) continue;
      certified++;
      const from = levelFrom(policy.thresholds[0]!, { score: "maxProb", classes: 5, temperature: 1 });
      const left = [...logOdds.keys()].filter((i) => logOdds[i]! >= from);
      const wrong = left.reduce((sum, i) => sum + future.errors[2 * i]!, 0);
      if (wrong > alpha * left.length) broken++;
    }
    assert.ok(certified > 0.5 * repeats, `${certified} of ${repeats} certified`);
    // Three standard errors above delta.
    const most = repeats * delta + 3 * Math.sqrt(repeats * delta * (1 - delta));
    assert.ok(broken <= most, `times ${times}: broken in ${broken} of ${repeats}`);
  }
});
