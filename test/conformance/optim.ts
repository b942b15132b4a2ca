// Conformance cases of kind "optim": optimisers through the tape, schedules, clipping and averages.

import { add, backward, mul, openScope, read, sum, type Tensor, tensor } from "../../engine/index.ts";
import { Adam, AdamW, clipGradNorm, EMA, RMSprop, SGD } from "../../nn/index.ts";
import { type Optimizer, ownFlat } from "../../nn/optim/optimizer.ts";
import {
  lrCosine,
  lrCosineWarmup,
  lrMultiStep,
  lrOneCycle,
  momentumOneCycle,
  type Schedule,
} from "../../nn/schedules.ts";
import { demand, without } from "./attrs.ts";
import type { Case, CaseAttrs, CaseRunner, CaseTensor, CaseTensors } from "./case.ts";
import { tensorsOf } from "./case.ts";
import { toDevice, toHost } from "./engine.ts";

const as = <T>(attrs: CaseAttrs): T => attrs as T;

/** The options of an optimiser: all but how many steps the case has. */
const settings = <T>(attrs: CaseAttrs): T => without(attrs, "steps");

/** Row `i` of a tensor over steps. */
function row({ dtype, shape, data }: CaseTensor, i: number): CaseTensor {
  const size = shape.slice(1).reduce((n, extent) => n * extent, 1);
  return { dtype, shape: shape.slice(1), data: data.slice(i * size, (i + 1) * size) };
}

/** Rows one above the other. */
function stacked(rows: readonly ArrayLike<number>[], shape: readonly number[]): CaseTensor {
  return {
    dtype: "F32",
    shape: [rows.length, ...shape],
    data: Float32Array.from(rows.flatMap((values) => Array.from(values))),
  };
}

/** Leaves the given gradients at the parameters: those of sum(parameter * gradient). */
function giveGradients(parameters: readonly Tensor[], gradients: readonly CaseTensor[]): void {
  using _ = openScope();
  const terms = parameters.map((parameter, i) => sum(mul(parameter, toDevice(gradients[i] as CaseTensor))));
  backward(terms.reduce((total, term) => add(total, term)));
}

/** Runs an optimiser over the gradients of every step. */
function steps(make: (parameters: readonly Tensor[], attrs: CaseAttrs) => Optimizer): CaseRunner {
  return async (one: Case): Promise<CaseTensors> => {
    using _ = openScope();
    const { tensors, attrs } = one;
    const names = Object.keys(tensorsOf(one, "in")).filter((name) => !name.startsWith("grads.") && name !== "lr");
    const parameters = names.map((name) => toDevice(tensors[`in.${name}`] as CaseTensor).requiresGrad());
    const optimizer = make(parameters, attrs);
    const history: ArrayLike<number>[][] = names.map(() => []);
    for (let t = 0; t < (attrs["steps"] as number); t++) {
      const lr = tensors["in.lr"]?.data[t];
      if (lr !== undefined) optimizer.lr = lr;
      optimizer.zeroGrad();
      giveGradients(
        parameters,
        names.map((name) => row(tensors[`in.grads.${name}`] as CaseTensor, t)),
      );
      optimizer.step();
      for (const [i, values] of (await read(parameters)).entries()) history[i]?.push(values);
    }
    optimizer.dispose();
    optimizer.flat.dispose();
    return Object.fromEntries(
      names.map((name, i) => [`out.${name}`, stacked(history[i] as ArrayLike<number>[], parameters[i]?.shape ?? [])]),
    );
  };
}

/** A schedule's values over all steps. */
const schedule =
  (series: (attrs: CaseAttrs) => Readonly<Record<string, Schedule>>): CaseRunner =>
  async ({ attrs }) => {
    const n = attrs["steps"] as number;
    const values = Object.entries(series(attrs)).map(([name, at]) => {
      const data = Float32Array.from({ length: n }, (_, t) => at(t));
      return [`out.${name}`, { dtype: "F32", shape: [n], data }] as [string, CaseTensor];
    });
    return Object.fromEntries(values);
  };

const clip: CaseRunner = async (one) => {
  using _ = openScope();
  const given = Object.entries(tensorsOf(one, "in"));
  const parameters = given.map(([, { shape, data }]) =>
    tensor(new Float32Array(data.length), { shape }).requiresGrad(),
  );
  const flat = ownFlat(parameters);
  giveGradients(
    parameters,
    given.map(([, gradient]) => gradient),
  );
  const norm = clipGradNorm(flat, as(one.attrs));
  const grads = Object.fromEntries(given.map(([name], i) => [name, (parameters[i] as Tensor).grad]));
  const { totalNorm, ...rest } = await toHost({ totalNorm: norm, ...grads });
  flat.dispose();
  const scalar: CaseTensor = { ...(totalNorm as CaseTensor), shape: [] };
  return Object.fromEntries(
    Object.entries({ totalNorm: scalar, ...rest }).map(([name, value]) => [`out.${name}`, value]),
  );
};

const ema: CaseRunner = async (one) => {
  using _ = openScope();
  const values = one.tensors["in.values"] as CaseTensor;
  const source = toDevice(row(values, 0));
  const shadow = toDevice(one.tensors["in.shadow"] as CaseTensor);
  using average = new EMA([source], { decay: one.attrs["decay"] as number, target: [shadow] });
  const history: ArrayLike<number>[] = [];
  for (let t = 0; t < (one.attrs["steps"] as number); t++) {
    source.write(row(values, t).data);
    average.update();
    history.push(await shadow.read());
  }
  return { "out.shadow": stacked(history, shadow.shape) };
};

/** Op name to runner. */
export const optimCases: Record<string, CaseRunner> = {
  sgd: steps((parameters, attrs) => new SGD(parameters, settings(attrs))),
  adam: steps((parameters, attrs) => new Adam(parameters, settings(attrs))),
  adamw: steps((parameters, attrs) => new AdamW(parameters, settings(attrs))),
  rmsprop: steps((parameters, attrs) => new RMSprop(parameters, settings(attrs))),
  lrCosine: schedule((attrs) => ({ lr: lrCosine(as(attrs)) })),
  lrCosineWarmup: schedule((attrs) => ({ lr: lrCosineWarmup(as(attrs)) })),
  // How many values the case lists.
  lrMultiStep: schedule((attrs) => ({ lr: lrMultiStep(without(attrs, "steps")) })),
  lrOneCycle: schedule((attrs) => {
    // For information, and rounded: what the other two give.
    const base = (attrs["maxLr"] as number) / (attrs["divFactor"] as number);
    const said = (attrs["baseLr"] ?? base) as number;
    if (!(Math.abs(said - base) <= 1e-3 * base)) demand(attrs, "baseLr", base);
    const options = without<Parameters<typeof lrOneCycle>[0]>(attrs, "baseLr");
    return { lr: lrOneCycle(options), momentum: momentumOneCycle(options) };
  }),
  clipGradNorm: clip,
  ema,
};
