// Public entry of the engine.
export { createDevice, type Device, type DeviceInfo, type DeviceOptions } from "./device.ts";
export * from "./errors.ts";
export { defineOp, type Backward, dispatch, type Inputs, noGrad, type Op, type OpRecord, type Run, single } from "./op.ts";
export { elementwise, type Elementwise } from "./ops/elementwise.ts";
export { addInto, copyInto } from "./ops/assign.ts";
export { full, ones, onesLike, zeros, zerosLike } from "./ops/fill.ts";
export * from "./ops/pointwise.ts";
export * from "./ops/reduce.ts";
export * from "./ops/softmax.ts";
export * from "./ops/view.ts";
export { keep, openScope, Scope, scope } from "./scope.ts";
export { arange, eye, read, Tensor, tensor, type DType, type TensorData, type TensorOptions } from "./tensor.ts";
export { readSafetensors, writeSafetensors, type ReadOptions, type ReadProgress, type SafetensorsSource } from "./safetensors-io.ts";
export { decodeSafetensors, encodeSafetensors, type SafetensorsFile, type StoredDType, type StoredTensor } from "./safetensors.ts";
export { backward, type BackwardOptions, grad, valueAndGrad } from "./tape.ts";
export { type Described, describe, numel, sameShape, type Shape } from "./shape.ts";
export { trace, type TracedOp } from "./trace.ts";
export { randomBernoulli, randomIntegers, type RandomKey, randomNormal, randomPermutation, randomUniform } from "./random.ts";
