// Public entry of nn: layers, backbones, optimisers, schedules, weights.
export { Backbone, type Stage } from "./backbone.ts";
export {
  BACKBONES,
  type BackboneKind,
  type BackboneSite,
  defineBackbone,
  type Enlargement,
} from "./backbones/index.ts";
export { BACKBONE_PARTS } from "./backbones/parts.ts";
export * from "./convnext.ts";
export * from "./efficientnet.ts";
export * from "./imagenet-resnet.ts";
export { Init, type InitOptions, type InitScheme, type LinearPart } from "./init.ts";
export * from "./layers.ts";
export { countMacs, countWork, describeStages, type StageInfo, type Work } from "./macs.ts";
export * from "./mobile-blocks.ts";
export * from "./mobilenet.ts";
export {
  EVAL,
  type LoadReport,
  type Mode,
  Module,
  type NamedTensors,
  type ShapeMismatch,
  type StateTensor,
  TRAIN,
  withTensors,
} from "./module.ts";
export * from "./msdnet.ts";
export { Adam, type AdamOptions, AdamW } from "./optim/adam.ts";
export { clipGradNorm } from "./optim/clip.ts";
export { EMA, type EmaOptions } from "./optim/ema.ts";
export {
  isMatrix,
  Optimizer,
  type OptimizerOptions,
  type ParameterList,
  type StepOptions,
} from "./optim/optimizer.ts";
export { OPTIMIZER_PARTS } from "./optim/parts.ts";
export { RMSprop, type RmspropOptions } from "./optim/rmsprop.ts";
export { SGD, type SgdOptions } from "./optim/sgd.ts";
export type { Fused, Pass, Prepare } from "./pass.ts";
export { Dropout, StochasticDepth } from "./random-layers.ts";
export { GRUCell, RNNCell } from "./recurrent.ts";
export { type Renames, TORCHVISION } from "./renames.ts";
export {
  BasicBlock,
  type BasicBlockOptions,
  Bottleneck,
  type Projection,
  ResidualBlock,
  type Shortcut,
} from "./residual.ts";
export * from "./resnet.ts";
export * from "./schedules.ts";
export { type Layer, Sequential, type SequentialItem } from "./sequential.ts";
export { type Tail, tailPass, throughTail, vectorOf } from "./tail.ts";
export { timmRenames } from "./timm.ts";
export * from "./vit.ts";
export {
  fromTorchName,
  type LoadTorchOptions,
  loadTorch,
  toTorch,
  toTorchName,
} from "./weights.ts";
