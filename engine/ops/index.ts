// What the files of this folder export, but for what they mark as internal. Written by `npm run api`.

export { checkActivation, type FusedOptions } from "./activation.ts";
export { addInto, copyInto } from "./assign.ts";
export {
  type AttentionOptions,
  type MaskedOptions,
  type PackedOptions,
  qkvAttention,
  scaledDotProductAttention,
} from "./attention.ts";
export { type BatchNormOptions, batchNorm } from "./batch-norm.ts";
export { type CompactOptions, compact, type Survivors } from "./compact.ts";
export { type ConvOptions, conv2d } from "./conv.ts";
export { type Conv1dOptions, type ConvTransposeOptions, conv1d, convTranspose2d } from "./conv-transpose.ts";
export { type CrossEntropyOptions, crossEntropy, nllLoss } from "./cross-entropy.ts";
export { einsum } from "./einsum.ts";
export {
  atan2,
  ceil,
  cos,
  expm1,
  floor,
  isfinite,
  isinf,
  isnan,
  log1p,
  round,
  sign,
  sin,
  trunc,
} from "./elementary.ts";
export { type Elementwise, elementwise, type Operand } from "./elementwise.ts";
export { full, ones, onesLike, zeros, zerosLike } from "./fill.ts";
export { embedding, gather, type IndexOptions, indexSelect, oneHot, scatterRows } from "./gather.ts";
export { type NormaliseOptions, normaliseImages, packedWords } from "./images.ts";
export { concat, type JoinOptions, stack } from "./join.ts";
export { binaryCrossEntropyWithLogits, type KlDivOptions, klDiv, type LossOptions, mse } from "./losses.ts";
export { linear, type MatmulOptions, matmul } from "./matmul.ts";
export { flip, type PadOptions, pad, permute, type SliceOptions, slice } from "./move.ts";
export { type GroupNormOptions, groupNorm, type LayerNormOptions, layerNorm, type NormOptions } from "./norm.ts";
export {
  type AdamStepOptions,
  adamStep,
  advanceStep,
  type ClipOptions,
  emaStep,
  gradNorm,
  type RmspropStepOptions,
  rmspropStep,
  type StepTensors,
  scaleGrads,
  sgdStep,
} from "./optim.ts";
export { argsort, cumsum, type Sorted, type SortOptions, sort, type TopkOptions, topk } from "./order.ts";
export {
  abs,
  add,
  type Binary,
  type ClampOptions,
  clamp,
  copy,
  div,
  eq,
  erf,
  exp,
  type GeluOptions,
  ge,
  gelu,
  gt,
  hardsigmoid,
  hardswish,
  type LeakyReluOptions,
  le,
  leakyRelu,
  log,
  lt,
  maximum,
  minimum,
  mul,
  ne,
  neg,
  pow,
  relu,
  rsqrt,
  sigmoid,
  silu,
  softplus,
  sqrt,
  square,
  sub,
  tanh,
  type Unary,
  where,
} from "./pointwise.ts";
export {
  type AdaptivePoolOptions,
  type AvgPoolOptions,
  adaptiveAvgPool2d,
  avgPool2d,
  type MaxPoolOptions,
  maxPool2d,
  type PoolOptions,
} from "./pool.ts";
export {
  bernoulli,
  dropout,
  Generator,
  permutation,
  type RandomSource,
  rand,
  randint,
  randn,
  type SeedOptions,
} from "./random.ts";
export {
  type ArgOptions,
  argmax,
  argmin,
  logsumexp,
  max,
  mean,
  min,
  type ReduceOptions,
  sum,
  sumTo,
  type VarOptions,
  variance,
} from "./reduce.ts";
export type { Reduction } from "./reduction.ts";
export { type InterpolateOptions, interpolate } from "./resize.ts";
export { logSoftmax, type SoftmaxOptions, softmax } from "./softmax.ts";
export { norm, type TriangleOptions, tril, triu, type VectorNormOptions } from "./triangle.ts";
export { cast, expand, flattenAxes, reshape, scaleGradient, squeeze, unsqueeze } from "./view.ts";
