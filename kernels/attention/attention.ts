// Scaled dot-product attention without the score matrix in memory: forward.
//   o_i = sum_j softmax_j(scale q_i . k_j) v_j,  lse_i = log sum_j exp(scale q_i . k_j);  causal: j <= i
// A thread owns a query: its row of q, the running maximum, the running sum and its row of o stay in registers while
// keys and values pass by in tiles (Milakov & Gimelshein 2018; Dao et al. 2022). How a tile is shared is the variant,
// see tile.ts. q, k, v and o are addressed by strides, so that [B, H, L, D] tensors and a packed [B, T, 3, H, D]
// projection need no copies. f32 arithmetic; scores are scaled before the maximum is taken.

import {
  ceilDiv,
  type Dims,
  defineKernel,
  type FloatStorage,
  type Grid,
  LINEAR_GROUP,
  linearGrid,
  type RowAxis,
  reads,
  unroll,
  writes,
} from "../kernel.ts";
import { type AdapterTraits, isNarrow } from "../shared/adapter.ts";
import { LOWEST_F32 } from "../shared/row.ts";
import { bufferType } from "../shared/storage.ts";
import {
  type AttentionDims,
  type AttentionSpec,
  attentionEntry,
  attentionUniforms,
  loadFunction,
  ownRow,
  rowAddress,
  storeRow,
  tile,
} from "./tile.ts";

/** The WGSL type of q, k, v, o and the gradients of theirs. @internal */
export const attentionRows = ({ dtype, width }: AttentionSpec): string => bufferType(dtype, width);

/** Launch over (batch, head, block of `group` rows of length `len`). @internal */
export const attentionGrid = (units: number, len: number, spec: AttentionSpec): Grid =>
  linearGrid(units * ceilDiv(len, spec.group));

/** The same, as batch rows leave. */
const rows = ({ units, heads, queries }: Dims<"units" | "heads" | "queries">, { group }: AttentionSpec): RowAxis => {
  return { axis: 0, units: units * ceilDiv(queries, group), perGroup: 1, fold: true, blocks: units / heads };
};

/**
 * Opens the entry point: `unit` = batch and head, `own` = the thread's row of `len`, clamped, `block` its workgroup's
 * first.
 * @internal
 */
export function attentionPlace(spec: AttentionSpec, len: string): string {
  return `${attentionEntry(spec)} {
  let blocks = (${len} + ${spec.group - 1}u) / ${spec.group}u;
  let at = ${LINEAR_GROUP};
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * ${spec.group}u;
  let exists = block + li < ${len};
  let own = min(block + li, ${len} - 1u);`;
}

/** `a_0 . b_0 + a_1 . b_1 ...` of two rows in registers. @internal */
export const dotRows = (spec: AttentionSpec, a: string, b: string): string =>
  Array.from({ length: spec.depth }, (_, d) => `dot(${a}_${d}, ${b}_${d})`).join(" + ");

function source(spec: AttentionSpec): string {
  const { depth, causal } = spec;
  const keys = tile(spec, { first: "k", second: "v", len: "u.keys" });
  const step = spec.step;
  const seen = (j: number) => (causal ? `(KEY + ${j}u < u.keys && KEY + ${j}u <= own)` : `(KEY + ${j}u < u.keys)`);
  const body = (row: (j: number) => string, index: string): string => `
    ${unroll(
      step,
      (j) => `${keys.read(row(j), j)}
    let s${j} = select(${LOWEST_F32}, (${dotRows(spec, "q", `k${j}`)}) * u.scale, ${seen(j).replaceAll("KEY", index)});`,
    )}
    var higher = top;
    ${unroll(step, (j) => `higher = max(higher, s${j});`)}
    let fade = exp(top - higher);
    top = higher;
    ${unroll(step, (j) => `let p${j} = select(0.0, exp(s${j} - top), ${seen(j).replaceAll("KEY", index)});`)}
    total = total * fade + ${Array.from({ length: step }, (_, j) => `p${j}`).join(" + ")};
    ${unroll(depth, (d) => `acc_${d} = acc_${d} * fade${Array.from({ length: step }, (_, j) => ` + p${j} * v${j}_${d}`).join("")};`)}`;
  return `${["q", "k", "v"].map((name) => loadFunction(spec, name)).join("\n")}
${keys.declare}
${attentionPlace(spec, "u.queries")}
  let q_at = ${rowAddress(spec, "q", "own")};
  ${ownRow(spec, "q", "q_at")}
  ${unroll(depth, (d) => `var acc_${d} = vec4f();`)}
  var top = ${LOWEST_F32};
  var total = 0.0;
  let end = ${causal ? `min(u.keys, block + ${spec.group}u)` : "u.keys"};
  ${keys.loop("0u", "end", body)}
  if (exists) {
    let o_at = ${rowAddress(spec, "o", "own")};
    let scale = 1.0 / total;
    ${storeRow(spec, "o", "o_at", (d) => `acc_${d} * scale`)}
    lse[unit * u.queries + own] = top + log(total);
  }
}`;
}

/** o and the logsumexp of each query's scores. */
export const attentionForward = defineKernel({
  name: "attention",
  bindings: (spec: AttentionSpec) => ({
    q: reads(attentionRows(spec)),
    k: reads(attentionRows(spec)),
    v: reads(attentionRows(spec)),
    o: writes(attentionRows(spec)),
    lse: writes("array<f32>"),
  }),
  uniforms: attentionUniforms,
  source,
  grid: ({ units, queries }, spec) => attentionGrid(units, queries, spec),
  rows,
});

/** What the choice of a variant depends on. `isAligned`: all strides and offsets are multiples of 4. */
export interface AttentionCase {
  readonly dim: number;
  readonly dtype: FloatStorage;
  readonly causal: boolean;
  readonly isAligned: boolean;
  readonly pass: "forward" | "backward";
}

/** Quads of a head that tiles have room for. */
const DEEPEST = 120;

/** Variants for heads of `dim` elements, best guess first. */
export function attentionCandidates(
  { dim, dtype, causal, isAligned, pass }: AttentionCase,
  traits: AdapterTraits,
): AttentionSpec[] {
  const { subgroupSize, hasSubgroups } = traits;
  const depth = Math.max(1, ceilDiv(dim, 4));
  const base = { depth, width: isAligned && dim % 4 === 0 ? 4 : 1, causal, dtype } as const;
  // Some 32 products of vec4s a step, and the backward pass has twice as many a row: larger bodies run and, above all,
  // compile slower on CPU adapters. At most a row per lane.
  const most = Math.max(1, (pass === "forward" ? 16 : 8) / depth);
  const step = Math.max(1, Math.min(subgroupSize, 2 ** Math.floor(Math.log2(most))));
  const rows = Math.max(4, Math.min(32, 2 ** Math.floor(Math.log2(256 / depth))));
  const workgroup: AttentionSpec = { ...base, share: "workgroup", group: 64, rows, step: 4 };
  const none: AttentionSpec = { ...base, share: "none", group: 64, rows: 1, step: 1 };
  // Two tiles of the fewest rows, and what stands beside them, must fit the 16 KiB that every device has.
  const tiled = depth > DEEPEST ? [] : [workgroup];
  if (!hasSubgroups || subgroupSize < 4) return isNarrow(traits) ? [none, ...tiled] : [...tiled, none];
  const subgroup: AttentionSpec = { ...base, share: "subgroup", group: subgroupSize, rows: step, step };
  return isNarrow(traits) ? [subgroup, none, ...tiled] : [...tiled, subgroup, none];
}

/** Dims of attention over contiguous [B, H, L, D] tensors. */
export function attentionDims({
  batch,
  heads,
  queries,
  keys,
  dim,
  scale,
}: {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly dim: number;
  readonly scale: number;
}): AttentionDims {
  const at = (len: number) => ({ offset: 0, batch: heads * len * dim, head: len * dim, row: dim });
  const [q, k] = [at(queries), at(keys)];
  return pack({ units: batch * heads, heads, queries, keys, dim, scale }, { q, k, v: k, o: q });
}

/** Dims of self-attention over a packed projection [B, T, 3, H, D] with the result [B, T, H, D]. */
export function packedAttentionDims({
  batch,
  heads,
  length,
  dim,
  scale,
}: {
  readonly batch: number;
  readonly heads: number;
  readonly length: number;
  readonly dim: number;
  readonly scale: number;
}): AttentionDims {
  const width = heads * dim;
  const third = (i: number) => ({ offset: i * width, batch: length * 3 * width, head: dim, row: 3 * width });
  const o = { offset: 0, batch: length * width, head: dim, row: width };
  const sizes = { units: batch * heads, heads, queries: length, keys: length, dim, scale };
  return pack(sizes, { q: third(0), k: third(1), v: third(2), o });
}

type Strides = Readonly<Record<"offset" | "batch" | "head" | "row", number>>;
type Sizes = Readonly<Record<"units" | "heads" | "queries" | "keys" | "dim" | "scale", number>>;

function pack(sizes: Sizes, { q, k, v, o }: Readonly<Record<"q" | "k" | "v" | "o", Strides>>): AttentionDims {
  return {
    ...sizes,
    ...{ q_offset: q.offset, q_batch: q.batch, q_head: q.head, q_row: q.row },
    ...{ k_offset: k.offset, k_batch: k.batch, k_head: k.head, k_row: k.row },
    ...{ v_offset: v.offset, v_batch: v.batch, v_head: v.head, v_row: v.row },
    ...{ o_offset: o.offset, o_batch: o.batch, o_head: o.head, o_row: o.row },
  };
}
