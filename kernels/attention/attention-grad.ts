// Scaled dot-product attention without the score matrix in memory: gradients.
//   p_ij = exp(scale q_i . k_j - lse_i),  delta_i = do_i . o_i,  ds_ij = scale p_ij (do_i . v_j - delta_i)
//   dq_i = sum_j ds_ij k_j,  dk_j = sum_i ds_ij q_i,  dv_j = sum_i p_ij do_i
// Two dispatches, no atomics: a thread per query makes delta and dq while keys and values pass by; then a thread per
// key makes dk and dv while queries and output gradients pass by. Scores are computed again from q and k. Sharing and
// addressing as in tile.ts; gradients have the layouts of what they belong to, so a packed projection gets a packed
// gradient (`packed`: dk and dv are one binding). f32.

import { defineKernel, reads, unroll, writes } from "../kernel.ts";
import { attentionGrid, attentionPlace, attentionRows, dotRows } from "./attention.ts";
import { type AttentionSpec, attentionUniforms, loadFunction, ownRow, rowAddress, storeRow, tile } from "./tile.ts";

/** The backward kernels also know whether dk and dv are parts of one tensor. */
export type AttentionBackwardSpec = AttentionSpec & { readonly packed: boolean };

function querySource(spec: AttentionSpec): string {
  const { depth, causal, step } = spec;
  const keys = tile(spec, { first: "k", second: "v", len: "u.keys" });
  const body = (row: (j: number) => string, index: string): string =>
    unroll(step, (j) => {
      const key = `${index} + ${j}u`;
      const seen = causal ? `(${key} < u.keys && ${key} <= own)` : `${key} < u.keys`;
      return `{
      ${keys.read(row(j), j)}
      let p = select(0.0, exp((${dotRows(spec, "q", `k${j}`)}) * u.scale - own_lse), ${seen});
      let ds = p * ((${dotRows(spec, "g", `v${j}`)}) - own_delta) * u.scale;
      ${unroll(depth, (d) => `dq_${d} += ds * k${j}_${d};`)}
    }`;
    });
  return `${["q", "k", "v", "o", "g"].map((name) => loadFunction(spec, name)).join("\n")}
${keys.declare}
${attentionPlace(spec, "u.queries")}
  let q_at = ${rowAddress(spec, "q", "own")};
  let o_at = ${rowAddress(spec, "o", "own")};
  var own_delta = 0.0;
  ${ownRow(spec, "q", "q_at")}
  ${ownRow(spec, "g", "o_at")}
  ${ownRow(spec, "o", "o_at", "out")}
  ${unroll(depth, (d) => `own_delta += dot(g_${d}, out_${d}); var dq_${d} = vec4f();`)}
  let own_lse = lse[unit * u.queries + own];
  let end = ${causal ? `min(u.keys, block + ${spec.group}u)` : "u.keys"};
  ${keys.loop("0u", "end", body)}
  if (exists) {
    ${storeRow(spec, "dq", "q_at", (d) => `dq_${d}`)}
    delta[unit * u.queries + own] = own_delta;
  }
}`;
}

function keySource(spec: AttentionBackwardSpec): string {
  const { depth, causal, step, packed, rows } = spec;
  const queries = tile(spec, {
    first: "q",
    second: "g",
    layouts: ["q", "o"],
    len: "u.queries",
    scalars: ["lse", "delta"],
  });
  const body = (row: (j: number) => string, index: string): string =>
    unroll(step, (j) => {
      const query = `${index} + ${j}u`;
      const seen = causal ? `(${query} < u.queries && own <= ${query})` : `${query} < u.queries`;
      return `{
      ${queries.read(row(j), j)}
      let p = select(0.0, exp((${dotRows(spec, "k", `q${j}`)}) * u.scale - lse${j}), ${seen});
      let ds = p * ((${dotRows(spec, "v", `g${j}`)}) - delta${j}) * u.scale;
      ${unroll(depth, (d) => `dk_${d} += ds * q${j}_${d}; dv_${d} += p * g${j}_${d};`)}
    }`;
    });
  const [dk, dv] = packed ? ["dkv", "dkv"] : ["dk", "dv"];
  return `${["q", "k", "v", "g"].map((name) => loadFunction(spec, name)).join("\n")}
${queries.declare}
${attentionPlace(spec, "u.keys")}
  let k_at = ${rowAddress(spec, "k", "own")};
  let v_at = ${rowAddress(spec, "v", "own")};
  ${ownRow(spec, "k", "k_at")}
  ${ownRow(spec, "v", "v_at")}
  ${unroll(depth, (d) => `var dk_${d} = vec4f(); var dv_${d} = vec4f();`)}
  ${queries.loop(causal ? `block / ${rows}u * ${rows}u` : "0u", "u.queries", body)}
  if (exists) {
    ${storeRow(spec, dk, "k_at", (d) => `dk_${d}`)}
    ${storeRow(spec, dv, "v_at", (d) => `dv_${d}`)}
  }
}`;
}

/** dq, and delta for the second dispatch. `g` is the gradient of o. */
export const attentionBackwardQuery = defineKernel({
  name: "attentionBackwardQuery",
  bindings: (spec: AttentionSpec) => ({
    q: reads(attentionRows(spec)),
    k: reads(attentionRows(spec)),
    v: reads(attentionRows(spec)),
    o: reads(attentionRows(spec)),
    g: reads(attentionRows(spec)),
    lse: reads("array<f32>"),
    dq: writes(attentionRows(spec)),
    delta: writes("array<f32>"),
  }),
  uniforms: attentionUniforms,
  source: querySource,
  grid: ({ units, queries }, spec) => attentionGrid(units, queries, spec),
});

/** dk and dv. */
export const attentionBackwardKey = defineKernel({
  name: "attentionBackwardKey",
  bindings: (spec: AttentionBackwardSpec) => ({
    q: reads(attentionRows(spec)),
    k: reads(attentionRows(spec)),
    v: reads(attentionRows(spec)),
    g: reads(attentionRows(spec)),
    lse: reads("array<f32>"),
    delta: reads("array<f32>"),
    dkv: spec.packed ? writes(attentionRows(spec)) : undefined,
    dk: spec.packed ? undefined : writes(attentionRows(spec)),
    dv: spec.packed ? undefined : writes(attentionRows(spec)),
  }),
  uniforms: attentionUniforms,
  source: keySource,
  grid: ({ units, keys }, spec) => attentionGrid(units, keys, spec),
});
