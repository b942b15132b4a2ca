// Convolutions and their gradients, depthwise ones too. Written by `npm run api`.

export { type ConvDims, type ConvGeometry, type ConvSpec, conv, convDims, convSpecs } from "./conv.ts";
export {
  type ConvWeightDims,
  type ConvWeightSpec,
  convInput,
  convInputSpecs,
  convWeight,
  convWeightDims,
  convWeightSpecs,
} from "./conv-grad.ts";
export {
  type DepthwiseForwardSpec,
  type DepthwiseSpec,
  type DepthwiseWeightDims,
  type DepthwiseWeightSpec,
  depthwise,
  depthwiseInput,
  depthwiseSpec,
  depthwiseWeight,
  depthwiseWeightDims,
} from "./depthwise.ts";
