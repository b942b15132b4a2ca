// Rows of the exit gates: the formulas of Confidence-Gated Training in float64.

import type { Tensor } from "../../../engine/index.ts";
import { exitGates } from "../../../exits/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

const MODES = ["hard", "soft", "confidence", "open"] as const;

function softmax(z: Float64Array): number[] {
  const top = Math.max(...z);
  const e = [...z].map((v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

function gates(mode: (typeof MODES)[number], n: number, k: number, c: number, normalise: boolean): OpCase {
  const [tau, kappa, leak] = [0.6, 7, 0.01];
  return {
    label: `${mode} [${n}, ${k}, ${c}]${normalise ? " normalised" : ""}`,
    inputs: {
      z: { shape: [n, k, c], range: [-3, 3] },
      y: { shape: [n], dtype: "i32", range: [0, c] },
      lambda: { shape: [k], range: [0.1, 1] },
    },
    call: (t) => {
      const { weights, eligibility } = exitGates(t.z as Tensor, t.y as Tensor, t.lambda as Tensor, {
        mode,
        tau,
        kappa,
        leak,
        normalise,
      });
      return [weights, eligibility];
    },
    oracle: (t) => {
      const [z, y, lambda] = [t.z as Ref, t.y as Ref, t.lambda as Ref];
      const eligibility = new Float64Array(n * k);
      const weights = new Float64Array(n * k);
      for (let i = 0; i < n; i++) {
        let r = 1;
        for (let e = 0; e < k; e++) {
          eligibility[i * k + e] = r;
          weights[i * k + e] = (lambda.data[e] as number) * r + leak;
          const p = softmax(z.data.slice((i * k + e) * c, (i * k + e + 1) * c));
          const [top, label] = [Math.max(...p), y.data[i] as number];
          if (mode === "hard") r *= p.indexOf(top) === label && top >= tau ? 0 : 1;
          if (mode === "soft") r *= 1 - 1 / (1 + Math.exp(-kappa * ((p[label] as number) - tau)));
          if (mode === "confidence") r *= 1 - top;
        }
        const row = weights.subarray(i * k, (i + 1) * k);
        const sum = row.reduce((a, b) => a + b, 0);
        if (normalise) for (let e = 0; e < k; e++) row[e] = (row[e] as number) / sum;
      }
      return [ref([n, k], (i) => weights[i] as number), ref([n, k], (i) => eligibility[i] as number)];
    },
  };
}

export const rows: readonly OpRow[] = [
  {
    op: "exitGates",
    live: "some",
    cases: [
      ...MODES.map((mode) => gates(mode, 65, 3, 5, false)),
      gates("hard", 1, 1, 2, true),
      gates("soft", 33, 4, 10, true),
      gates("open", 0, 3, 4, false),
    ],
  },
];
