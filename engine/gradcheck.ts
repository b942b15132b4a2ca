// Whether the gradients of a function agree with differences of its values: for ops and losses of one's own.

import type { Kinds } from "../base/index.ts";
import { checkFunction } from "./checks.ts";
import { ArgumentError, GradientError, readOptions } from "./errors.ts";
import { gradOf, hasGrad, requiresGrad } from "./graph.ts";
import { noGrad } from "./op.ts";
import { scope } from "./scope.ts";
import { positional } from "./signature.ts";
import { backward } from "./tape.ts";
import { checkTensorList, type Tensor, tensor } from "./tensor.ts";

/** Options of `gradcheck`. */
export interface GradcheckOptions {
  /** Step of the differences, as a share of an element's magnitude or of 1; default 0.02, which suits f32. */
  readonly step?: number;
  /** What may differ: `atol + rtol * |difference quotient|`; default 1e-3 each. */
  readonly atol?: number;
  readonly rtol?: number;
}

const OPTIONS: Kinds<GradcheckOptions> = { step: "number", atol: "number", rtol: "number" };

/** Factors of the values at -2, -1, 1 and 2 steps: differences of fourth order. */
const STENCIL = [
  [-2, 1],
  [-1, -8],
  [1, 8],
  [2, -1],
] as const;

/** Fixed numbers in 0.5..1.5, by which the results are weighed into one. */
const weightOf = (i: number): number => 0.5 + ((i * 0.6180339887498949) % 1);

const valuesOf = async (x: Tensor): Promise<Float64Array> => Float64Array.from(await x.read());

async function weighed(fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]): Promise<number> {
  const y = scope(() => noGrad(() => fn(...inputs)));
  const values = await valuesOf(y);
  if (!inputs.includes(y)) y.dispose();
  return values.reduce((sum, value, i) => sum + value * weightOf(i), 0);
}

async function compare(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  { step, atol, rtol }: Required<GradcheckOptions>,
): Promise<void> {
  const leaves = inputs.map((x) => requiresGrad(x.detach()));
  const y = fn(...leaves);
  const gradient = tensor(
    Float32Array.from({ length: y.size }, (_, i) => weightOf(i)),
    { shape: y.shape, device: y.device },
  );
  backward(y, { gradient });
  let worst = { excess: 0, text: "" };
  for (const [k, leaf] of leaves.entries()) {
    const values = await valuesOf(inputs[k]!);
    const found = hasGrad(leaf) ? await valuesOf(gradOf(leaf)) : undefined;
    for (let i = 0; i < values.length; i++) {
      const h = step * Math.max(1, Math.abs(values[i]!));
      let quotient = 0;
      for (const [steps, factor] of STENCIL) {
        const moved = Float32Array.from(values);
        moved[i] = moved[i]! + steps * h;
        const at = tensor(moved, { shape: leaf.shape, device: leaf.device });
        quotient += (factor * (await weighed(fn, inputs.with(k, at)))) / (12 * h);
        at.dispose();
      }
      const got = found?.[i] ?? 0;
      const excess = Math.abs(got - quotient) - (atol + rtol * Math.abs(quotient));
      if (excess <= worst.excess) continue;
      worst = { excess, text: `element ${i} of input ${k} has ${got}, its differences say ${quotient}` };
    }
  }
  if (worst.excess > 0) throw new GradientError(`gradcheck: gradients must agree with differences; ${worst.text}.`);
}

/**
 * Compares the gradients of `fn` by all f32 `inputs` with central differences of fourth order; `fn` gives one tensor,
 * and the same for the same inputs. Takes four calls per element: use small tensors, away from kinks.
 * @throws GradientError naming the element that differs most.
 *
 * @example
 * ```ts
 * import { gradcheck, mul, randn } from "sortie/engine";
 *
 * await gradcheck((x) => mul(x, x), [randn([4], { seed: 1 })]); // throws where a gradient is wrong
 * console.log("right"); // right
 * ```
 */
export const gradcheck = positional(
  "gradcheck(fn, inputs, options)",
  (fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[], options: GradcheckOptions = {}): Promise<void> => {
    const { step = 0.02, atol = 1e-3, rtol = 1e-3 } = readOptions("gradcheck", options, OPTIONS);
    checkFunction("gradcheck", "fn", fn);
    checkTensorList("gradcheck", "inputs", inputs);
    if (inputs.length === 0) throw new ArgumentError("gradcheck: inputs must hold a tensor; got none.");
    return compare(fn, inputs, { step, atol, rtol });
  },
);
