// Ops as methods: `x.matmul(w)` is `matmul(x, w)`. Imported for its effect by the engine's entry.

import { gradOf, hasGrad, requiresGrad, zeroGrad } from "./graph.ts";
import * as elementary from "./ops/elementary.ts";
import { gather, indexSelect } from "./ops/gather.ts";
import { matmul } from "./ops/matmul.ts";
import { flip, pad, permute, slice } from "./ops/move.ts";
import * as pointwise from "./ops/pointwise.ts";
import * as reduce from "./ops/reduce.ts";
import { logSoftmax, softmax } from "./ops/softmax.ts";
import * as view from "./ops/view.ts";
import { backward } from "./tape.ts";
import { Tensor } from "./tensor.ts";

// What does not take the tensor first, or is the tape's own.
const { where: _where, ...elementwise } = pointwise;
const { sumTo: _sumTo, ...reductions } = reduce;

const methods = {
  ...elementwise,
  ...elementary,
  ...reductions,
  ...view,
  ...{ permute, slice, flip, pad, gather, indexSelect, matmul, softmax, logSoftmax, requiresGrad, zeroGrad, backward },
};

type Methods = {
  [K in keyof typeof methods]: (typeof methods)[K] extends (x: Tensor, ...rest: infer Rest) => infer Result
    ? (...rest: Rest) => Result
    : never;
};

declare module "./tensor.ts" {
  interface Tensor extends Methods {
    /** The gradient that `backward` left at this leaf; throws GradientError if there is none. */
    readonly grad: Tensor;
    /** Whether `grad` has a value. */
    readonly hasGrad: boolean;
  }
}

Object.defineProperties(Tensor.prototype, {
  grad: {
    get(this: Tensor) {
      return gradOf(this);
    },
  },
  hasGrad: {
    get(this: Tensor) {
      return hasGrad(this);
    },
  },
});

for (const [name, fn] of Object.entries(methods)) {
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...rest: never[]) {
      return (fn as (x: Tensor, ...rest: never[]) => unknown)(this, ...rest);
    },
  });
}
