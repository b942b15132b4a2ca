// The matrix product for the smallest sizes (the head of a small classifier and its gradients), where the time to
// compile and launch counts and arithmetic does not: one short text for all transposes and alignments, any element
// strides.
//   C[b] = epilogue(A[b] B[b])
// A thread owns one element of C; f32 sums upwards in k.

import {
  ceilDiv,
  defineKernel,
  entry,
  type FloatStorage,
  GROUP,
  LINEAR_GROUP,
  linearGrid,
  reads,
  uniformsOf,
  writes,
} from "../kernel.ts";
import { type EpilogueSpec, type Finish, PLAIN } from "../shared/finish.ts";
import { arrayType } from "../shared/storage.ts";

/** Spec of `matmulSmall`, besides how it ends: storage type. */
export type MatmulSmallSpec = { readonly dtype: FloatStorage };

/** Uniforms of `matmulSmall`: as of `matmul`, and the element strides along the axes of A and B. */
export type MatmulSmallDims = (typeof NAMES)[number];

const NAMES = [
  "m",
  "n",
  "k",
  "batch",
  "middle",
  "inner",
  "a_outer",
  "a_middle",
  "a_inner",
  "b_outer",
  "b_middle",
  "b_inner",
  "a_first",
  "b_first",
  "c_first",
  "a_m",
  "a_k",
  "b_k",
  "b_n",
] as const;

/** Multiply-adds up to which a product takes this kernel; beyond it, a tile's shared loads win by far. */
export const SMALL_PRODUCT = 1e5;

/** A kernel of batched matrix products of few elements that end in one way; see the head of this file. @internal */
export const smallProductKernel = <E extends EpilogueSpec>(name: string, { bindings, text }: Finish<E>) =>
  defineKernel({
    name,
    uniforms: uniformsOf("u32", NAMES),
    bindings: (spec: MatmulSmallSpec & E) => ({
      a: reads(arrayType(spec.dtype, false)),
      b: reads(arrayType(spec.dtype, false)),
      c: writes(arrayType(spec.dtype, false)),
      ...bindings(spec, spec.dtype, false),
    }),
    source: (spec) => `
${text(spec, spec.dtype, "one")}
${entry()} {
let at = ${LINEAR_GROUP} * ${GROUP}u + li;
let n = at % u.n;
let row = at / u.n;
let batch = row / u.m;
if (batch >= u.batch) { return; }
let i = batch % u.inner;
let j = (batch / u.inner) % u.middle;
let o = batch / (u.inner * u.middle);
var a_at = u.a_first + o * u.a_outer + j * u.a_middle + i * u.a_inner + (row % u.m) * u.a_m;
var b_at = u.b_first + o * u.b_outer + j * u.b_middle + i * u.b_inner + n * u.b_n;
var sum = 0.0;
for (var k = 0u; k < u.k; k++) {
sum = fma(f32(a[a_at]), f32(b[b_at]), sum);
a_at += u.a_k;
b_at += u.b_k;
}
c[u.c_first + at] = ${spec.dtype}(finish(u.c_first + at, n, 1, sum));
}`,
    grid: (dims) => linearGrid(ceilDiv(dims.batch * dims.m * dims.n, GROUP)),
    rows: ({ batch, m, n, a_k }) => {
      const apart = { b: 1, bias: 1, ...(a_k > 1 && { a: 1 }) };
      return batch === 1 ? { axis: 0, units: m * n, perGroup: GROUP, fold: true, blocks: m, apart } : undefined;
    },
  });

/** The batched matrix product of few elements as it is. */
export const matmulSmall = smallProductKernel("matmulSmall", PLAIN);
