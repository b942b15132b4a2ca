// Reductions over any axes. Written by `npm run api`.

export {
  planReduce,
  planReduceStrided,
  type ReduceProblem,
  type ReduceStep,
  type StridedAxis,
  type StridedReduceProblem,
} from "./plan.ts";
export {
  MAX_STRIDED_AXES,
  type ReduceDims,
  type ReduceSpec,
  type ReduceUniform,
  reduceAxes,
  reduceLines,
  type StridedReduceDims,
  type StridedReduceSpec,
  type StridedReduceUniform,
} from "./reduce.ts";
export type { ReduceOp } from "./states.ts";
