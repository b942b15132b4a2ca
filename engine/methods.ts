// Ops as methods: `x.matmul(w)` is `matmul(x, w)`. Imported for its effect by the engine's entry.

import * as gather from "./ops/gather.ts";
import * as matmul from "./ops/matmul.ts";
import * as pointwise from "./ops/pointwise.ts";
import * as reduce from "./ops/reduce.ts";
import * as move from "./ops/shape.ts";
import * as softmax from "./ops/softmax.ts";
import * as view from "./ops/view.ts";
import { backward } from "./tape.ts";
import { Tensor } from "./tensor.ts";

const {
  neg,
  abs,
  square,
  exp,
  log,
  sqrt,
  rsqrt,
  relu,
  sigmoid,
  tanh,
  silu,
  softplus,
  erf,
  gelu,
  leakyRelu,
  clamp,
  copy,
} = pointwise;
const { add, sub, mul, div, pow, maximum, minimum, eq, ne, lt, le, gt, ge } = pointwise;
const { sum, mean, max, min, variance, logsumexp, argmax, argmin } = reduce;
const { permute, slice, flip, expand, pad } = move;
const { reshape, squeeze, unsqueeze, flattenAxes, cast } = view;

const methods = {
  ...{
    neg,
    abs,
    square,
    exp,
    log,
    sqrt,
    rsqrt,
    relu,
    sigmoid,
    tanh,
    silu,
    softplus,
    erf,
    gelu,
    leakyRelu,
    clamp,
    copy,
  },
  ...{ add, sub, mul, div, pow, maximum, minimum, eq, ne, lt, le, gt, ge },
  ...{ sum, mean, max, min, variance, logsumexp, argmax, argmin },
  ...{ permute, slice, flip, expand, pad, reshape, squeeze, unsqueeze, flattenAxes, cast },
  ...{ indexSelect: gather.indexSelect, gather: gather.gather },
  ...{ matmul: matmul.matmul, softmax: softmax.softmax, logSoftmax: softmax.logSoftmax, backward },
};

type Methods = {
  [K in keyof typeof methods]: (typeof methods)[K] extends (x: Tensor, ...rest: infer Rest) => infer Result
    ? (...rest: Rest) => Result
    : never;
};

declare module "./tensor.ts" {
  interface Tensor extends Methods {}
}

for (const [name, fn] of Object.entries(methods)) {
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...rest: never[]) {
      return (fn as (x: Tensor, ...rest: never[]) => unknown)(this, ...rest);
    },
  });
}
