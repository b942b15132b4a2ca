/** What the conformance runner and the maps from op names to functions agree on. */

/** One named tensor of a case. Scalars have shape `[]`. */
export interface CaseTensor {
  readonly dtype: "F32" | "I32" | "U8" | "F64";
  readonly shape: number[];
  readonly data: Float32Array | Int32Array | Uint8Array | Float64Array;
}

/** Inputs without the "in." prefix to outputs without "out.". */
export type CaseFunction = (
  inputs: Record<string, CaseTensor>,
  attrs: Record<string, unknown>,
) => Record<string, CaseTensor>;
