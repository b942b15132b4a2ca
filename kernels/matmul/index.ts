// Matrix products, and what they and convolutions do on their way out. Written by `npm run api`.

export { type EpilogueSpec, NO_EPILOGUE, type PlainSpec } from "../shared/finish.ts";
export type { GemmTile } from "../shared/gemm-tile.ts";
export { linearKernel, linearSmall } from "./linear.ts";
export {
  type MatmulCall,
  type MatmulDims,
  type MatmulSpec,
  matmulKernel,
  matmulSpecs,
  type SumPartsSpec,
  splitK,
  sumParts,
} from "./matmul.ts";
export { type MatmulSmallDims, type MatmulSmallSpec, matmulSmall, SMALL_PRODUCT } from "./matmul-small.ts";
