// Rows of an exit's decision: every score by its formula, one threshold or one per class, answers at the samples'
// places.

import type { PlainScore } from "../../../calibration/index.ts";
import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { exitDecide } from "../../../exits/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

const SCORES: Readonly<Record<PlainScore, (p: readonly number[], z: readonly number[]) => number>> = {
  maxProb: (p) => Math.max(...p),
  margin: (p) => {
    const [first, second = 0] = [...p].sort((a, b) => b - a);
    return first! - second;
  },
  entropy: (p) => p.reduce((sum, x) => sum + x * Math.log(x), 0),
  normalisedEntropy: (p) => p.reduce((sum, x) => sum + x * Math.log(x), 0) / Math.log(Math.max(2, p.length)),
  energy: (_, z) => Math.log(z.reduce((sum, x) => sum + Math.exp(x), 0)),
  maxLogit: (_, z) => Math.max(...z),
};

/** What is compared, of a confidence: see exits/ops/decide.ts. */
const LEVELS: Readonly<Record<PlainScore, (confidence: number, classes: number) => number>> = {
  maxProb: (p) => Math.log(p / (1 - p)),
  margin: (m) => -Math.log(1 - m),
  entropy: (s) => -Math.log(-s),
  normalisedEntropy: (s, classes) => -Math.log(-s * Math.log(classes)),
  energy: (s) => s,
  maxLogit: (s) => s,
};

interface Options {
  readonly threshold: readonly number[];
  readonly isLast?: boolean;
  readonly temperature?: number;
  /** Rows that exist; the others must write nothing. */
  readonly live?: number;
}

/** Results start as -1 and are 65 places, of which the rows' ids are every second one, backwards. */
function decide(
  score: PlainScore,
  n: number,
  classes: number,
  { threshold, isLast = false, temperature = 1, live = n }: Options,
): OpCase {
  const places = 2 * n + 1;
  return {
    label: `${score} [${n}, ${classes}] at ${threshold.length} thresholds${isLast ? ", last" : ""}`,
    inputs: { z: { shape: [n, classes], range: [-3, 3] } },
    call: ({ z }) => {
      const ids = s.tensor(Int32Array.from({ length: n }, (_, i) => places - 1 - 2 * i));
      const results = {
        answers: s.full([places], -1, { dtype: "i32" }),
        exits: s.full([places], -1, { dtype: "i32" }),
        scores: s.full([places], -1),
      };
      const levels = threshold.map((t) => Math.max(-3.4e38, Math.min(3.4e38, LEVELS[score](t, classes))));
      const thresholds = s.tensor(Float32Array.from(levels));
      const stays = exitDecide(z as Tensor, ids, thresholds, results, {
        exit: 2,
        isLast,
        score,
        temperature,
        ...(live < n && { rows: s.tensor(Uint32Array.of(live)) }),
      });
      return [live < n ? s.full([n], 0) : stays, results.answers, results.exits, results.scores];
    },
    oracle: ({ z }) => {
      const stays = new Float64Array(n);
      const [answers, exits, scores] = [0, 1, 2].map(() => new Float64Array(places).fill(-1));
      for (let i = 0; i < live; i++) {
        const row = [...(z as Ref).data.slice(i * classes, (i + 1) * classes)].map((x) => x / temperature);
        const total = row.reduce((sum, x) => sum + Math.exp(x), 0);
        const best = row.indexOf(Math.max(...row));
        const confidence = SCORES[score](
          row.map((x) => Math.exp(x) / total),
          row,
        );
        stays[i] = isLast || confidence >= (threshold[threshold.length > 1 ? best : 0] as number) ? 0 : 1;
        if (stays[i] === 1) continue;
        const at = places - 1 - 2 * i;
        answers![at] = best;
        exits![at] = 2;
        scores![at] = confidence;
      }
      return [
        ref([n], (i) => stays[i]!),
        ...[answers, exits, scores].map((values) => ref([places], (i) => values![i]!)),
      ];
    },
  };
}

export const rows: readonly OpRow[] = [
  {
    op: "exitDecide",
    live: "refused",
    cases: [
      decide("maxProb", 65, 5, { threshold: [0.5] }),
      decide("maxProb", 33, 4, { threshold: [0.3, 0.5, 0.7, 0.9], temperature: 2 }),
      decide("maxProb", 3, 4, { threshold: [1] }),
      decide("margin", 65, 3, { threshold: [0.3] }),
      decide("entropy", 31, 6, { threshold: [-1.1], temperature: 0.5 }),
      decide("normalisedEntropy", 31, 6, { threshold: [-0.6] }),
      decide("energy", 32, 2, { threshold: [1.5] }),
      decide("maxLogit", 32, 7, { threshold: [2.5], isLast: true }),
      decide("maxProb", 40, 3, { threshold: [0], live: 21 }),
      decide("maxProb", 1, 1, { threshold: [0.5] }),
      decide("maxProb", 0, 3, { threshold: [0.5] }),
    ],
  },
];
