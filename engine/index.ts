// Public entry of the engine.
export { createDevice, type Device, type DeviceInfo, type DeviceOptions } from "./device.ts";
export * from "./errors.ts";
export { defineOp, type Backward, dispatch, type Inputs, noGrad, type Op, type OpRecord, type Run, single } from "./op.ts";
export type { FusedOptions } from "./ops/activation.ts";
export { type ConvOptions, conv2d, type PerAxis } from "./ops/conv.ts";
export { elementwise, type Elementwise } from "./ops/elementwise.ts";
export { addInto, copyInto } from "./ops/assign.ts";
export { compact, type Survivors } from "./ops/compact.ts";
export { full, ones, onesLike, zeros, zerosLike } from "./ops/fill.ts";
export { linear, type MatmulOptions, matmul } from "./ops/matmul.ts";
export { embedding, gather, indexSelect, oneHot, scatterRows } from "./ops/gather.ts";
export {
  adamStep,
  type AdamStepOptions,
  advanceStep,
  type ClipOptions,
  emaStep,
  gradNorm,
  rmspropStep,
  type RmspropStepOptions,
  scaleGrads,
  sgdStep,
  type StepTensors,
} from "./ops/optim.ts";
export * from "./ops/pointwise.ts";
export { adaptiveAvgPool2d, avgPool2d, type AvgPoolOptions, maxPool2d, type Pair, type PoolOptions } from "./ops/pool.ts";
export { bernoulli, dropout, Generator, permutation, rand, randint, randn, type RandomSource } from "./ops/random.ts";
export * from "./ops/reduce.ts";
export { interpolate, type InterpolateOptions } from "./ops/resize.ts";
export { concat, expand, flip, pad, permute, slice, stack, type SliceOptions } from "./ops/shape.ts";
export * from "./ops/attention.ts";
export * from "./ops/batch-norm.ts";
export * from "./ops/cross-entropy.ts";
export * from "./ops/losses.ts";
export { groupNorm, type GroupNormOptions, layerNorm, type LayerNormOptions, type NormOptions } from "./ops/norm.ts";
export type { Reduction } from "./ops/rowwise.ts";
export * from "./ops/softmax.ts";
export * from "./ops/view.ts";
export { keep, openScope, Scope, scope } from "./scope.ts";
export { arange, eye, read, Tensor, tensor, type DType, type TensorData, type TensorOptions } from "./tensor.ts";
export { readSafetensors, writeSafetensors, type ReadOptions, type ReadProgress, type SafetensorsSource } from "./safetensors-io.ts";
export { decodeSafetensors, encodeSafetensors, type SafetensorsFile, type StoredDType, type StoredTensor } from "./safetensors.ts";
export { backward, type BackwardOptions, grad, valueAndGrad } from "./tape.ts";
export { type Described, describe, numel, sameShape, type Shape } from "./shape.ts";
export { trace, type TracedOp } from "./trace.ts";
export { Capture, capture, type CaptureOptions } from "./capture.ts";
export { Flat, flatten, type Segment, SEGMENT_ALIGN } from "./flat.ts";
export type { MemoryReport } from "./buffers.ts";
export { Profile, type ProfileRow } from "./profile.ts";
export type { TuningResult, TuningTable } from "./tune.ts";
export { defaultDevice } from "./registry.ts";
export { empty } from "./tensor.ts";
import "./methods.ts";
export { packHyper } from "../kernels/index.ts";
export { type RandomKey, randomBernoulli, randomIntegers, randomNormal, randomPermutation, randomUniform } from "./random.ts";
export { exitGates, type GateOptions } from "./ops/gate.ts";
