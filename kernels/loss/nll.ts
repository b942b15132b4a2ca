// Negative log-likelihood: loss_i = -p[i, label_i] for log-probabilities p [N, C], and its gradient.
// A thread per row forwards; a thread per element backwards. A label outside 0..C-1 gives NaN, as in cross-entropy.ts.

import {
  ceilDiv,
  defineKernel,
  entry,
  type FloatStorage,
  GROUP,
  LINEAR_GROUP,
  linearGrid,
  reads,
  writes,
} from "../kernel.ts";
import { NAN_FUNCTION } from "../shared/row.ts";
import { bufferType, stored } from "../shared/storage.ts";

/** Storage of p; backwards also whether g is one number for all rows (a reduced loss) or one per row. */
export type NllSpec = { readonly dtype: FloatStorage };
export type NllBackwardSpec = NllSpec & { readonly upstream: "scalar" | "row" };

/** loss [N]. */
export const nllForward = defineKernel({
  name: "nllLoss",
  bindings: ({ dtype }: NllSpec) => ({
    p: reads(bufferType(dtype, 1)),
    labels: reads("array<i32>"),
    loss: writes("array<f32>"),
  }),
  uniforms: { rows: "u32", len: "u32" },
  source: () => `${NAN_FUNCTION}
${entry()} {
  let row = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (row >= u.rows) { return; }
  let label = labels[row];
  let is_class = label >= 0 && label < i32(u.len);
  loss[row] = select(not_a_number(), -f32(p[row * u.len + u32(select(0, label, is_class))]), is_class);
}`,
  grid: ({ rows }) => linearGrid(ceilDiv(rows, GROUP)),
  rows: ({ rows }) => ({ axis: 0, units: rows, perGroup: GROUP, fold: true, blocks: rows }),
});

/** dp [N, C] from g per row, or from one g, times `scale`. */
export const nllBackward = defineKernel({
  name: "nllLossBackward",
  bindings: ({ dtype }: NllBackwardSpec) => ({
    g: reads("array<f32>"),
    labels: reads("array<i32>"),
    dp: writes(bufferType(dtype, 1)),
  }),
  uniforms: { rows: "u32", len: "u32", scale: "f32" },
  source: ({ dtype, upstream }) => `${NAN_FUNCTION}
${entry()} {
  let at = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (at >= u.rows * u.len) { return; }
  let row = at / u.len;
  let label = labels[row];
  let is_class = label >= 0 && label < i32(u.len);
  let hit = select(0.0, -g[${upstream === "scalar" ? "0" : "row"}] * u.scale, i32(at % u.len) == label);
  dp[at] = ${stored("select(not_a_number(), hit, is_class)", dtype, 1)};
}`,
  grid: ({ rows, len }) => linearGrid(ceilDiv(rows * len, GROUP)),
  rows: ({ rows, len }, { upstream }) => {
    const launch = { axis: 0, units: rows * len, perGroup: GROUP, fold: true, blocks: rows } as const;
    return upstream === "row" ? launch : { ...launch, apart: { g: 1 } };
  },
});
