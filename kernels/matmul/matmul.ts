// Matrix products, op = identity or transpose of the last two axes, any batch broadcasting:
//   C[b] = epilogue(op(A[b]) op(B[b]))
// Layout: row-major, A [m, k] ([k, m] with `ta`), B [k, n] ([n, k] with `tb`), C [splits, batch, m, n]. Threads: see
// gemm-staged.ts and gemm-unstaged.ts; grid x, y hold the row tiles (and what z cannot hold of the batch), z the column
// tiles x batch. Numerics: f32 sums upwards in k. With splits > 1 every split sums its share of k and `sumParts` adds
// the shares in order.

import {
  ceilDiv,
  defineKernel,
  entry,
  type FloatStorage,
  LINEAR_GROUP,
  linearGrid,
  MAX_GROUPS,
  reads,
  uniformsOf,
  writes,
} from "../kernel.ts";
import type { AdapterTraits } from "../shared/adapter.ts";
import { type EpilogueSpec, type Finish, PLAIN } from "../shared/finish.ts";
import { gemm, gemmTiles, staysInside } from "../shared/gemm.ts";
import { type GemmTile, tileSize } from "../shared/gemm-tile.ts";
import { quadLoad, quadStore } from "../shared/quads.ts";
import { arrayType } from "../shared/storage.ts";

/** Spec of `matmul`, besides how it ends: its tile, and how the operands lie. */
export type MatmulSpec = GemmTile & {
  /** Storage type of A, B, bias and residual. */
  readonly dtype: FloatStorage;
  /** Storage type of C: `dtype`, or f32 for parts still to be summed. */
  readonly out: FloatStorage;
  readonly ta: boolean;
  readonly tb: boolean;
  /** Whether the innermost extent of A, of B, of C is a multiple of 4, so that quads are loads of one vec4. */
  readonly va: boolean;
  readonly vb: boolean;
  readonly vc: boolean;
};

const NAMES = [
  "m",
  "n",
  "k",
  "batch",
  "middle",
  "inner",
  "splits",
  "k_part",
  "a_outer",
  "a_middle",
  "a_inner",
  "b_outer",
  "b_middle",
  "b_inner",
  "a_first",
  "b_first",
  "c_first",
] as const;

/**
 * Uniforms of `matmul`. The batch index splits into (outer, middle, inner), inner fastest, and each operand has an
 * element stride for each (0 broadcasts), from `a_first` and `b_first` on; C begins at `c_first`. `splits` shares of
 * `k_part` k each (a multiple of 32 if there are several).
 */
export type MatmulDims = (typeof NAMES)[number];

const loads = ({ variant, ta, tb, va, vb }: MatmulSpec): string => {
  const isInside = staysInside({ variant }, (!ta && va) || (tb && vb));
  return `
${quadLoad("quad_a", "a", va, isInside)}
${quadLoad("quad_b", "b", vb, isInside)}
${
  ta
    ? `fn a_row(m: u32) -> u32 { return a_base + m; }
fn a_load(row: u32, k: u32) -> vec4f { return quad_a(row + k * u.m, 4 * (k_end - i32(k))); }`
    : `fn a_row(m: u32) -> u32 { return a_base + m * u.k; }
fn a_load(row: u32, k: u32) -> vec4f { return quad_a(row + k, k_end - i32(k)); }`
}
${
  tb
    ? "fn b_load(k: u32, n: u32) -> vec4f { return quad_b(b_base + n * u.k + k, k_end - i32(k)); }"
    : "fn b_load(k: u32, n: u32) -> vec4f { return quad_b(b_base + k * u.n + n, 4 * (k_end - i32(k))); }"
}`;
};

const functions = (spec: MatmulSpec, finish: string): string => `
var<private> a_base: u32;
var<private> b_base: u32;
var<private> c_base: u32;
var<private> k_end: i32;
${loads(spec)}
${quadStore("quad_c", "c", spec.out, spec.vc)}
${finish}
fn c_row(m: u32) -> u32 { return c_base + m * u.n; }
fn store(at: u32, n: u32, value: vec4f) {
  let left = i32(u.n) - i32(n);
  quad_c(at + n, left, finish(at + n, n, left, value));
}`;

/** Which tile, batch and share of k a workgroup has. */
const place = (size: { m: number; n: number }): string => `
let m_end = u.m;
let n_end = u.n;
let n_groups = (u.n + ${size.n - 1}u) / ${size.n}u;
let m_groups = (u.m + ${size.m - 1}u) / ${size.m}u;
let group = ${LINEAR_GROUP};
let part = (group / m_groups) * (nwg.z / n_groups) + wid.z / n_groups;
if (part >= u.batch * u.splits) { return; }
let m_tile = (group % m_groups) * ${size.m}u;
let n_tile = (wid.z % n_groups) * ${size.n}u;
let batch = part % u.batch;
let split = part / u.batch;
let k_first = split * u.k_part;
let k_last = min(u.k, k_first + u.k_part);
let i = batch % u.inner;
let j = (batch / u.inner) % u.middle;
let o = batch / (u.inner * u.middle);
k_end = i32(k_last);
a_base = u.a_first + o * u.a_outer + j * u.a_middle + i * u.a_inner;
b_base = u.b_first + o * u.b_outer + j * u.b_middle + i * u.b_inner;
c_base = u.c_first + part * u.m * u.n;`;

/** Parts (batch x splits) along z; the rest of them go to x and y. */
const partsAlongZ = (parts: number, columns: number): number =>
  Math.max(1, Math.min(parts, Math.floor(MAX_GROUPS / columns)));

/** A kernel of batched matrix products that end in one way; see the head of this file. @internal */
export const productKernel = <E extends EpilogueSpec>(name: string, { bindings, text }: Finish<E>) =>
  defineKernel({
    name,
    uniforms: uniformsOf("u32", NAMES),
    bindings: (spec: MatmulSpec & E) => ({
      a: reads(arrayType(spec.dtype, spec.va)),
      b: reads(arrayType(spec.dtype, spec.vb)),
      c: writes(arrayType(spec.out, spec.vc)),
      ...bindings(spec, spec.dtype, spec.vc),
    }),
    source: (spec) =>
      gemm(spec, {
        a: spec.ta ? "mn" : "k",
        b: spec.tb ? "k" : "mn",
        functions: functions(spec, text(spec, spec.dtype, spec.vc ? "vec" : "quad")),
        place: place(tileSize(spec)),
        loops: (enter, body, step) => `${enter}\nfor (var k = k_first; k < k_last; k += ${step}u) {\n${body}\n}`,
      }),
    grid: (dims, spec) => {
      const size = tileSize(spec);
      const columns = ceilDiv(dims.n, size.n);
      const parts = dims.batch * dims.splits;
      const along = partsAlongZ(parts, columns);
      const [x, y] = linearGrid(ceilDiv(dims.m, size.m) * ceilDiv(parts, along));
      return [x, y, columns * along];
    },
    rows: ({ batch, splits, m, n }, spec) => {
      const size = tileSize(spec);
      // Shares of k that do not all lie along z are launched one behind the other, not row by row.
      if (batch > 1 || partsAlongZ(splits, ceilDiv(n, size.n)) < splits) return undefined;
      const apart = { b: 1, bias: 1, ...(spec.ta && { a: 1 }) };
      return { axis: 0, units: m, perGroup: size.m, fold: true, blocks: m, apart };
    },
  });

/** The batched matrix product as it is. */
export const matmulKernel = productKernel("matmul", PLAIN);

/** Spec of `sumParts`: `isVec` where the length is a multiple of 4. */
export type SumPartsSpec = { readonly out: FloatStorage; readonly isVec: boolean };

const SUM_THREADS = 64;

/** y[i] = sum over p of x[p, i], in order of p: adds up the parts of a product split along k. */
export const sumParts = defineKernel({
  name: "sumParts",
  uniforms: { length: "u32", parts: "u32" },
  bindings: (spec: SumPartsSpec) => ({
    x: reads(arrayType("f32", spec.isVec)),
    y: writes(arrayType(spec.out, spec.isVec)),
  }),
  source: ({ out, isVec }) => {
    const type = isVec ? "vec4f" : "f32";
    return `
${entry(SUM_THREADS)} {
  let count = u.length${isVec ? " / 4u" : ""};
  let i = ${LINEAR_GROUP} * ${SUM_THREADS}u + li;
  if (i >= count) { return; }
  var total = ${type}();
  for (var p = 0u; p < u.parts; p++) { total += x[p * count + i]; }
  y[i] = ${isVec ? `vec4<${out}>` : out}(total);
}`;
  },
  grid: (dims, { isVec }) => linearGrid(ceilDiv(isVec ? dims.length / 4 : dims.length, SUM_THREADS)),
  rows: ({ length }, { isVec }) => {
    return { axis: 0, units: isVec ? length / 4 : length, perGroup: SUM_THREADS, fold: true, blocks: length };
  },
});

/** One product, as far as the choice of its spec depends on it. */
export interface MatmulCall<E extends EpilogueSpec = EpilogueSpec> {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: number;
  readonly ta: boolean;
  readonly tb: boolean;
  readonly dtype: FloatStorage;
  readonly epilogue: E;
  /** True if C is a set of parts for `sumParts`. */
  readonly isSplit: boolean;
}

/**
 * Specs fit for a product on an adapter, the default first; those of GPUs alone until `loadUnstaged` has been awaited.
 */
export function matmulSpecs<E extends EpilogueSpec>(
  call: MatmulCall<E>,
  adapter: AdapterTraits,
): readonly (MatmulSpec & E)[] {
  const { m, n, k, batch, ta, tb, dtype } = call;
  const va = (ta ? m : k) % 4 === 0;
  const tiles = gemmTiles({ m, n, k, parts: batch, a: ta ? "mn" : "k", isVec: va }, adapter);
  return tiles.map((tile) => ({
    ...tile,
    ...call.epilogue,
    dtype,
    out: call.isSplit ? "f32" : dtype,
    ta,
    tb,
    va,
    vb: (tb ? k : n) % 4 === 0,
    vc: n % 4 === 0,
  }));
}

/** Multiply-adds below which a product is not split: its second dispatch would cost more than the wait. */
const SPLIT_WORK = 4e6;

/**
 * Into how many shares of how many k to cut one product, so that a C of few tiles still fills the adapter.
 * A share has at least 256 k.
 */
export function splitK(m: number, n: number, k: number, adapter: AdapterTraits): { splits: number; part: number } {
  const tiles = adapter.isSoftware ? ceilDiv(m, 128) * ceilDiv(n, 16) : ceilDiv(m, 32) * ceilDiv(n, 32);
  const wanted = ceilDiv(adapter.isSoftware ? 8 : 256, Math.max(1, tiles));
  const most = m * n * k < SPLIT_WORK ? 1 : Math.floor(k / 256);
  const splits = Math.max(1, Math.min(wanted, most));
  const part = Math.max(1, ceilDiv(ceilDiv(k, splits), 32)) * 32;
  return { splits: Math.max(1, ceilDiv(k, part)), part };
}
