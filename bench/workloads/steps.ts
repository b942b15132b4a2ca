// Rows of whole nets: training steps, checked by their losses, and inference, checked by its logits.

import { all, compare } from "./check.ts";
import { Float64Ops, Value } from "./float64.ts";
import { countFlops } from "./flops.ts";
import losses from "./losses.json" with { type: "json" };
import { initialParams, type Net, netInputs, nets, SGD } from "./nets.ts";
import { f32, type Inputs, i32, type NetName, type Workload } from "./workload.ts";

/** Rows of an inference batch that are held to the reference; a row does not depend on the others. */
const CHECKED_ROWS = 4;

/** Losses wander apart as float32 steps add up; a wrong gradient shows within two of them. */
const LOSS_TOLERANCE = 2e-3;

/** The reference losses by `net-batch`, made by `npx tsx bench/workloads/reference.ts`. */
const known: Readonly<Record<string, readonly number[]>> = losses;

const toFloat64 = (data: Float32Array): Float64Array => Float64Array.from(data);

/** The first `rows` rows of a batch as a value. */
function image(net: Net, inputs: Inputs, rows: number): Value {
  const [h, w, c] = net.input;
  return new Value([rows, h, w, c], toFloat64(f32(inputs, "x").subarray(0, rows * h * w * c)));
}

/** Losses of the first `steps` training steps in float64. Takes seconds a step. */
export function referenceLosses(name: NetName, batch: number, steps: number): number[] {
  const net = nets[name];
  const inputs = netInputs(net, batch);
  const state = [...initialParams(net)].map(([key, { shape, data }]) => ({
    key,
    shape,
    data: toFloat64(data),
    velocity: new Float64Array(data.length),
  }));
  return Array.from({ length: steps }, () => {
    const params = new Map(state.map(({ key, shape, data }) => [key, new Value(shape, data)]));
    const ops = new Float64Ops(params, true);
    const loss = ops.crossEntropy(net.forward(ops, image(net, inputs, batch)), i32(inputs, "labels"));
    ops.backward();
    for (const { key, data, velocity } of state) {
      const g = params.get(key)?.grad ?? new Float64Array(data.length);
      for (let i = 0; i < data.length; i++) {
        velocity[i] = SGD.momentum * (velocity[i] as number) + (g[i] as number);
        data[i] = (data[i] as number) - SGD.lr * (velocity[i] as number);
      }
    }
    return loss;
  });
}

/** Training steps of a net, one after the other on the same batch. */
export function train(name: string, net: NetName, batch: number): Workload {
  return {
    name,
    problem: { kind: "train", net, batch },
    flops: countFlops(nets[net], batch).training,
    outputs: [[1]],
    inputs: () => netInputs(nets[net], batch),
    check([loss], _, run) {
      const expected = known[`${net}-${batch}`];
      if (!expected) return `no reference losses for ${net} at batch ${batch}`;
      const want = expected[run - 1];
      return want === undefined ? undefined : compare(`loss of step ${run}`, loss, 1, [0], () => want, LOSS_TOLERANCE);
    },
  };
}

/** Inference of a net. */
export function infer(name: string, net: NetName, batch: number): Workload {
  const { classes } = nets[net];
  return {
    name,
    problem: { kind: "infer", net, batch },
    flops: countFlops(nets[net], batch).forward,
    outputs: [[batch, classes]],
    inputs: () => netInputs(nets[net], batch),
    check([logits], inputs) {
      const rows = Math.min(batch, CHECKED_ROWS);
      const entries = [...initialParams(nets[net])];
      const params = new Map(entries.map(([key, { shape, data }]) => [key, new Value(shape, toFloat64(data))]));
      const reference = nets[net].forward(new Float64Ops(params, false), image(nets[net], inputs, rows)).data;
      return compare("logits", logits, batch * classes, all(rows * classes), (i) => reference[i] as number, 1e-3);
    },
  };
}
