// softmax and logSoftmax over one axis.

import type { Kinds } from "../../base/index.ts";
import { type SoftmaxSpec, softmaxBackward, softmaxCandidates, softmaxForward } from "../../kernels/softmax.ts";
import { readOptions } from "../errors.ts";
import { defineOp, type Launcher, single } from "../op.ts";
import { type Described, normalizeAxis, numel, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import type { Tensor } from "../tensor.ts";
import { checkTensors } from "../tensor.ts";
import { floatStorage, sizeClass } from "./floats.ts";
import { exp, mul, sub } from "./pointwise.ts";
import { sum } from "./reduce.ts";

/** The axis that sums to one. */
export interface SoftmaxOptions {
  /** Negative axes count from the end; default the last one. */
  readonly dim?: number;
}

interface Attrs {
  readonly axis: number;
  readonly log: boolean;
}

const nameOf = ({ log }: Attrs): string => (log ? "logSoftmax" : "softmax");

// A scalar is one line of one number.
function planOf(shape: Shape, { axis }: Attrs) {
  return { outer: numel(shape.slice(0, axis)), len: shape[axis] ?? 1, inner: numel(shape.slice(axis + 1)) };
}

function specOf({ device, choose }: Launcher, x: Described, attrs: Attrs, pass: string): SoftmaxSpec {
  const dims = planOf(x.shape, attrs);
  const candidates = softmaxCandidates({ ...dims, log: attrs.log, dtype: floatStorage(x) }, device.info);
  return choose(`${nameOf(attrs)}.${pass}:${x.dtype}:${sizeClass(dims.outer, dims.len, dims.inner)}`, candidates);
}

// A softmax over no elements has no elements: nothing is launched.
function makeOp(log: boolean) {
  const name = log ? "logSoftmax" : "softmax";
  const gradient = single(
    defineOp({
      name: `${name}Backward`,
      operands: { g: "float", y: "float" },
      infer: ({ y }, _: Attrs) => ({ dx: y }),
      run: (run) => {
        const { y } = run.inputs;
        if (y.size === 0) return;
        const spec = specOf(run, y, run.attrs, "backward");
        run.dispatch(softmaxBackward, spec, { ...run.inputs, ...run.outputs }, planOf(y.shape, run.attrs));
      },
    }),
  );
  return single(
    defineOp({
      name,
      operands: { x: "float" },
      infer: ({ x }, _: Attrs) => ({ y: x }),
      run: (run) => {
        const { x } = run.inputs;
        if (x.size === 0) return;
        const spec = specOf(run, x, run.attrs, "forward");
        run.dispatch(softmaxForward, spec, { x, y: run.outputs.y }, planOf(x.shape, run.attrs));
      },
      saves: ["y"],
      vjp: (g, at) => ({
        x: () => {
          const y = at.value("y");
          if (!at.express) return gradient({ g, y }, at.attrs);
          const total = sum(log ? g : mul(g, y), { dim: at.attrs.axis, keepdim: true });
          return log ? sub(g, mul(exp(y), total)) : mul(y, sub(g, total));
        },
      }),
    }),
  );
}

const softmaxOp = makeOp(false);
const logSoftmaxOp = makeOp(true);

const SOFTMAX: Kinds<SoftmaxOptions> = { dim: "number" };

function axisOf(op: string, x: Tensor, options: SoftmaxOptions): number {
  checkTensors(op, { x });
  return normalizeAxis(op, readOptions(op, options, SOFTMAX).dim ?? -1, Math.max(1, x.rank));
}

/**
 * exp(x) / sum of exp(x) along an axis. A line that holds NaN or +inf, or only -inf, becomes NaN.
 *
 * @example
 * ```ts
 * import { softmax, tensor } from "sortie/engine";
 *
 * const p = softmax(tensor([[0, 0], [0, Math.log(3)]]), { dim: 1 });
 * console.log(Array.from(await p.read(), (value) => value.toFixed(2))); // ["0.50", "0.50", "0.25", "0.75"]
 * ```
 */
export const softmax = positional("softmax(x, options)", (x: Tensor, options: SoftmaxOptions = {}): Tensor => {
  return softmaxOp({ x }, { axis: axisOf("softmax", x, options), log: false });
});

/** x - log(sum of exp(x)) along an axis, without overflow. */
export const logSoftmax = positional("logSoftmax(x, options)", (x: Tensor, options: SoftmaxOptions = {}): Tensor => {
  return logSoftmaxOp({ x }, { axis: axisOf("logSoftmax", x, options), log: true });
});
