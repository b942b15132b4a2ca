// All of the engine as functions. `index.ts` adds the methods of tensors, which keep what they call in every bundle:
// code that takes functions from here, as nn does, brings only what it calls.

export type { Checked, KindOf, Kinds, OptionsReader, WordCheck } from "../base/index.ts";
// The first import, so that kernels lie together in bundles: what their texts have in common is then near enough for
// gzip.
export { type Activation, packHyper } from "../kernels/index.ts";
export type { DeviceInfo } from "./adapter.ts";
export type { MemoryReport } from "./buffers.ts";
export { Capture, capture, type InputValues, liveRows, type TensorsOf } from "./capture.ts";
export type { CaptureOptions } from "./capture-options.ts";
export type { Pair } from "./checks.ts";
export { createDevice, type Device, type DeviceOptions, defaultDevice } from "./device.ts";
export { type DTypeArrays, fromHalf } from "./dtype.ts";
export * from "./errors.ts";
export { Flat, type FlatPart, type FlattenOptions, flatten, SEGMENT_ALIGN, type Segment } from "./flat.ts";
export { type GradOptions, grad, valueAndGrad } from "./grad.ts";
export { type GradcheckOptions, gradcheck } from "./gradcheck.ts";
export {
  type Backward,
  type Gradient,
  gradOf,
  hasGrad,
  type KnownFunctions,
  requiresGrad,
  type TensorsByName,
  zeroGrad,
} from "./graph.ts";
export {
  type LoadCapturesOptions,
  loadCaptures,
  openCaptures,
  type StoredCapture,
  type StoredCaptures,
} from "./load-captures.ts";
export {
  defineOp,
  dispatch,
  type Launch,
  type Launcher,
  noGrad,
  type Op,
  type OpRecord,
  type Run as OpRun,
  single,
} from "./op.ts";
export type { GivenOperands, Letters, MadeOutputs, OperandSizes, Operands, Outputs } from "./operands.ts";
export * from "./ops/index.ts";
export { paperDevice } from "./paper.ts";
export { createPortableDevice, type PortableOptions } from "./portable.ts";
export { Profile, type ProfileRow } from "./profile.ts";
export type { DTypeRule } from "./promote.ts";
export {
  type RandomKey,
  randomBernoulli,
  randomIntegers,
  randomNormal,
  randomPermutation,
  randomUniform,
} from "./random.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  type RawTensor,
  type SafetensorsFile,
  type StoredArrays,
  type StoredDType,
  type StoredTensor,
} from "./safetensors.ts";
export {
  type ReadOptions,
  type ReadProgress,
  readSafetensors,
  type SafetensorsSource,
  writeSafetensors,
} from "./safetensors-io.ts";
export {
  type AnyCapture,
  type CapturesOptions,
  describeCaptures,
  encodeCaptures,
  saveCaptures,
} from "./save-captures.ts";
export { keep, openScope, Scope, scope } from "./scope.ts";
export { type Described, describe, numel, type Shape, sameShape } from "./shape.ts";
export { positional } from "./signature.ts";
export { type BackwardOptions, backward } from "./tape.ts";
export {
  arange,
  checkTensors,
  type DType,
  empty,
  eye,
  type NestedNumbers,
  type NumberArray,
  read,
  Tensor,
  type TensorData,
  type TensorOptions,
  tensor,
} from "./tensor.ts";
export { trace } from "./trace.ts";
export type { Tuner } from "./tune.ts";
export type { TuningTable } from "./tune-cache.ts";
export type { TuneOptions, TuningResult } from "./tuning.ts";
export type { TracedOp } from "./work.ts";
