// Batch, group and layer norm, and the sums that their parameters' gradients are. Written by `npm run api`.

export {
  type BatchNormInferenceSpec,
  type BatchNormShape,
  type BatchNormSpec,
  batchNormApply,
  batchNormCandidates,
  batchNormInference,
  batchNormMomentRows,
  batchNormParts,
  batchNormStatistics,
} from "./batch-norm.ts";
export {
  type BatchNormBackwardSpec,
  batchNormBackwardApply,
  batchNormBackwardSums,
  batchNormKeeps,
  batchNormSumRows,
} from "./batch-norm-grad.ts";
export { type ColumnSumsSpec, columnSums, columnSumsSpec } from "./column-sums.ts";
export {
  type GroupNormBackwardSpec,
  type GroupNormSizes,
  type GroupNormSumsSpec,
  groupNormBackward,
  groupNormBackwardSums,
  groupNormCandidates,
  groupNormChunk,
  groupNormForward,
} from "./group-norm.ts";
export {
  type LayerNormSpec,
  layerNormBackward,
  layerNormCandidates,
  layerNormForward,
  layerNormHasPartials,
  layerNormParameterSums,
  layerNormTeams,
  type ParameterSumsSpec,
} from "./layer-norm.ts";
