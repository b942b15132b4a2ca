// Small tables for tests: random ones, and fast-check arbitraries of scores with ties.

import fc from "fast-check";
import { cascadeFromScores, createRandom, createTable, type Table } from "../../calibration/index.ts";

/** A random table whose deeper exits know the label better. */
export function randomTable(
  samples: number,
  exits: number,
  classes: number,
  {
    seed = 1,
    ids,
    labels: given,
    skill = 1.5,
  }: {
    readonly seed?: number;
    readonly ids?: readonly (string | number)[];
    readonly labels?: Int32Array;
    /** How far the label's logit stands out at the first exit. */
    readonly skill?: number;
  } = {},
): Table {
  const random = createRandom(seed);
  const labels = given ?? Int32Array.from({ length: samples }, () => random.below(classes));
  const logits = new Float64Array(samples * exits * classes);
  for (let i = 0; i < samples; i++) {
    const difficulty = random.normal();
    for (let j = 0; j < exits; j++) {
      const at = (i * exits + j) * classes;
      for (let c = 0; c < classes; c++) logits[at + c] = random.normal();
      const own = at + labels[i]!;
      logits[own] = logits[own]! + skill + j - 1.2 * difficulty;
    }
  }
  return createTable({ logits, labels, shape: [samples, exits, classes], ...(ids && { ids }) });
}

/** Scores from a small set, so that ties abound, with correctness. */
export const tiedScores = fc.array(
  fc.tuple(
    fc.integer({ min: 0, max: 8 }).map((k) => k / 8),
    fc.boolean(),
  ),
  {
    minLength: 1,
    maxLength: 40,
  },
);

/** The two arrays of `tiedScores`. */
export function unzip(pairs: readonly (readonly [number, boolean])[]): { scores: number[]; correct: number[] } {
  return { scores: pairs.map(([score]) => score), correct: pairs.map(([, isRight]) => (isRight ? 1 : 0)) };
}

/** Three exits with random scores and errors of one's own. */
export const flat = (n: number, wrong: (i: number) => 0 | 1, seed = 2) => {
  const random = createRandom(seed);
  const scores = Float64Array.from({ length: 3 * n }, () => random.uniform());
  return cascadeFromScores({ scores, errors: Uint8Array.from(scores, (_, at) => wrong(Math.floor(at / 3))), exits: 3 });
};
