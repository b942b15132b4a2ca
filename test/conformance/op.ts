// Conformance cases of kind "op": what each op's name in a case is in the engine. Attributes have the engine's own
// names.

import type { Tensor } from "../../engine/index.ts";
import * as engine from "../../engine/index.ts";
import type { CaseAttrs } from "./case.ts";
import type { EngineFunction } from "./engine.ts";

type Named = Record<string, EngineFunction>;

/** Attributes as an op's options: the case's names are the engine's. */
const as = <T>(attrs: CaseAttrs): T => attrs as T;

const mapped = <F>(functions: Record<string, F>, toCase: (fn: F) => EngineFunction): Named =>
  Object.fromEntries(Object.entries(functions).map(([op, fn]) => [op, toCase(fn)]));

const { abs, neg, exp, log, sqrt, rsqrt, square, relu, silu, sigmoid, tanh, softplus, erf } = engine;
const unary = mapped(
  { abs, neg, exp, log, sqrt, rsqrt, square, relu, silu, sigmoid, tanh, softplus, erf },
  (fn) => (at) => ({ y: fn(at("x")) }),
);

const { add, sub, mul, div, maximum, minimum, eq, ne, lt, le, gt, ge } = engine;
const binary = mapped({ add, sub, mul, div, maximum, minimum, eq, ne, lt, le, gt, ge }, (fn) => (at) => ({
  y: fn(at("a"), at("b")),
}));

/** An op of one tensor with options. */
const withOptions = <O>(fn: (x: Tensor, options: O) => Tensor): EngineFunction => {
  return (at, attrs) => ({ y: fn(at("x"), as<O>(attrs)) });
};

const pointwise: Named = {
  ...unary,
  ...binary,
  leakyRelu: withOptions(engine.leakyRelu),
  gelu: withOptions(engine.gelu),
  clamp: withOptions(engine.clamp),
  pow: (at, attrs) => {
    const x = at.maybe("x");
    return { y: x ? engine.pow(x, attrs["exponent"] as number) : engine.pow(at("a"), at("b")) };
  },
  where: (at) => ({ y: engine.where(at("cond"), at("a"), at("b")) }),
};

/** A reduction: the cases call its axes `dims`, the engine calls them `dim`. */
const over = <O>(fn: (x: Tensor, options: O) => Tensor): EngineFunction => {
  return (at, { dims, ...attrs }) => ({ y: fn(at("x"), as<O>(dims === undefined ? attrs : { ...attrs, dim: dims })) });
};

const reductions: Named = {
  sum: over(engine.sum),
  mean: over(engine.mean),
  max: over(engine.max),
  min: over(engine.min),
  var: over(engine.variance),
  logsumexp: over(engine.logsumexp),
  argmax: withOptions(engine.argmax),
  argmin: withOptions(engine.argmin),
};

const shapes: Named = {
  reshape: (at, attrs) => ({ y: engine.reshape(at("x"), as<{ shape: number[] }>(attrs).shape) }),
  permute: (at, attrs) => ({ y: engine.permute(at("x"), as<{ dims: number[] }>(attrs).dims) }),
  expand: (at, attrs) => ({ y: engine.expand(at("x"), as<{ shape: number[] }>(attrs).shape) }),
  flip: (at, attrs) => ({ y: engine.flip(at("x"), as<{ dims: number[] }>(attrs).dims) }),
  slice: withOptions(engine.slice),
  concat: (at, attrs) => ({ y: engine.concat(at.numbered("x"), attrs) }),
  stack: (at, attrs) => ({ y: engine.stack(at.numbered("x"), attrs) }),
  pad: (at, attrs) => {
    const { padding, value } = as<{ padding: [number, number][]; value: number }>(attrs);
    return { y: engine.pad(at("x"), padding, { value }) };
  },
};

const selections: Named = {
  indexSelect: (at, attrs) => ({ y: engine.indexSelect(at("x"), at("index"), attrs) }),
  gather: (at, attrs) => ({ y: engine.gather(at("x"), at("index"), attrs) }),
  embedding: (at) => ({ y: engine.embedding(at("weight"), at("index")) }),
  oneHot: (at, attrs) => ({ y: engine.oneHot(at("index"), as<{ numClasses: number }>(attrs)) }),
};

const softmaxes: Named = {
  softmax: withOptions(engine.softmax),
  logSoftmax: withOptions(engine.logSoftmax),
};

const products: Named = {
  matmul: (at, attrs) => ({ y: engine.matmul(at("a"), at("b"), as<engine.MatmulOptions>(attrs)) }),
  linear: (at) => ({ y: engine.linear(at("x"), at("weight"), at.maybe("bias")) }),
  conv2d: (at, attrs) => ({ y: engine.conv2d(at("x"), at("weight"), at.maybe("bias"), as<engine.ConvOptions>(attrs)) }),
};

const pools: Named = {
  maxPool2d: withOptions(engine.maxPool2d),
  avgPool2d: withOptions(engine.avgPool2d),
  adaptiveAvgPool2d: withOptions(engine.adaptiveAvgPool2d),
  interpolate: withOptions(engine.interpolate),
};

const norms: Named = {
  batchNorm: (at, attrs) => {
    const [mean, variance] = [at("runningMean"), at("runningVar")];
    const options = as<engine.BatchNormOptions>(attrs);
    const y = engine.batchNorm(at("x"), at("weight"), at("bias"), mean, variance, options);
    return options.training ? { y, runningMean: mean, runningVar: variance } : { y };
  },
  layerNorm: (at, attrs) => ({
    y: engine.layerNorm(at("x"), at.maybe("weight"), at.maybe("bias"), as<engine.LayerNormOptions>(attrs)),
  }),
  groupNorm: (at, attrs) => ({
    y: engine.groupNorm(at("x"), at.maybe("weight"), at.maybe("bias"), as<engine.GroupNormOptions>(attrs)),
  }),
};

const losses: Named = {
  crossEntropy: (at, attrs) => ({
    y: engine.crossEntropy(at("logits"), at.maybe("labels") ?? at("target"), as<engine.CrossEntropyOptions>(attrs)),
  }),
  nllLoss: (at, attrs) => ({ y: engine.nllLoss(at("logProbs"), at("labels"), as<engine.LossOptions>(attrs)) }),
  klDiv: (at, attrs) => ({ y: engine.klDiv(at("input"), at("target"), as<engine.KlDivOptions>(attrs)) }),
  mse: (at, attrs) => ({ y: engine.mse(at("input"), at("target"), as<engine.LossOptions>(attrs)) }),
  binaryCrossEntropyWithLogits: (at, attrs) => ({
    y: engine.binaryCrossEntropyWithLogits(at("logits"), at("target"), as<engine.LossOptions>(attrs)),
  }),
};

const attention: Named = {
  scaledDotProductAttention: (at, attrs) => ({
    y: engine.scaledDotProductAttention(at("q"), at("k"), at("v"), as<engine.AttentionOptions>(attrs)),
  }),
};

/** Op name to function. */
export const opCases: Named = {
  ...pointwise,
  ...reductions,
  ...shapes,
  ...selections,
  ...softmaxes,
  ...products,
  ...pools,
  ...norms,
  ...losses,
  ...attention,
};
