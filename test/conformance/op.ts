/** Conformance cases of kind "op": what each op's name in a case is in the engine. Attributes have the engine's own names. */

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

const reductions: Named = {
  sum: withOptions(engine.sum),
  mean: withOptions(engine.mean),
  max: withOptions(engine.max),
  min: withOptions(engine.min),
  var: withOptions(engine.variance),
  logsumexp: withOptions(engine.logsumexp),
  argmax: withOptions(engine.argmax),
  argmin: withOptions(engine.argmin),
};

const shapes: Named = {
  reshape: (at, attrs) => ({ y: engine.reshape(at("x"), as<{ shape: number[] }>(attrs).shape) }),
};

const products: Named = {
  matmul: (at, attrs) => ({ y: engine.matmul(at("a"), at("b"), as<engine.MatmulOptions>(attrs)) }),
  linear: (at) => ({ y: engine.linear(at("x"), at("weight"), at.maybe("bias")) }),
  conv2d: (at, attrs) => ({ y: engine.conv2d(at("x"), at("weight"), at.maybe("bias"), as<engine.ConvOptions>(attrs)) }),
};

/** Op name to function. */
export const opCases: Named = { ...pointwise, ...reductions, ...shapes, ...products };
