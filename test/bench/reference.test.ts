// The benchmark's own judge: its float64 nets against central differences, and what its comparison refuses.

import { compare } from "../../bench/workloads/check.ts";
import { Float64Ops, Value } from "../../bench/workloads/float64.ts";
import { countFlops } from "../../bench/workloads/flops.ts";
import { workloads } from "../../bench/workloads/index.ts";
import { erf } from "../../bench/workloads/math64.ts";
import { initialParams, type NetOps, nets } from "../../bench/workloads/nets.ts";
import { integers, normal } from "../../bench/workloads/random.ts";
import { assert, suite } from "../harness.ts";

const test = suite("benchmark reference");

/** A small net of all operations: 8x8x3 images, 5 tokens of width 8, 4 classes. */
const SHAPES: Readonly<Record<string, readonly number[]>> = {
  "conv.weight": [3, 3, 3, 4],
  "bn.weight": [4],
  "bn.bias": [4],
  "patch.weight": [2, 2, 4, 8],
  "patch.bias": [8],
  cls: [1, 1, 8],
  pos: [1, 5, 8],
  "ln.weight": [8],
  "ln.bias": [8],
  "qkv.weight": [8, 24],
  "qkv.bias": [24],
  "proj.weight": [8, 8],
  "proj.bias": [8],
  "head.weight": [8, 4],
  "head.bias": [4],
  "fc.weight": [4, 4],
  "fc.bias": [4],
};

function forward<T>(ops: NetOps<T>, x: T): T {
  const conv = ops.conv(x, "conv", { stride: 2, pad: 1 });
  const features = ops.batchNorm(conv, "bn", { residual: conv, relu: true });
  const tokens = ops.embed(features, { patch: 2 });
  const mixed = ops.attention(ops.linear(ops.layerNorm(tokens, "ln"), "qkv"), 2);
  const logits = ops.linear(ops.firstToken(ops.linear(mixed, "proj", { gelu: true, residual: tokens })), "head");
  return ops.linear(ops.globalAvgPool(features), "fc", { residual: logits });
}

/** The loss, and after `backward` the gradients, at the given parameters. */
function evaluate(data: ReadonlyMap<string, Float64Array>): { loss: number; params: Map<string, Value> } {
  const params = new Map([...data].map(([name, values]) => [name, new Value(SHAPES[name] ?? [], values)]));
  const ops = new Float64Ops(params, true);
  const x = new Value([2, 8, 8, 3], Float64Array.from(normal(2 * 8 * 8 * 3, 1)));
  const loss = ops.crossEntropy(forward(ops, x), integers(2, 4, 2));
  ops.backward();
  return { loss, params };
}

test("its gradients are the slopes of its losses", () => {
  const entries = Object.entries(SHAPES).map(([name, shape], i) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return [name, Float64Array.from(normal(size, 50 + i, 0.5))] as const;
  });
  const data = new Map(entries);
  const { params } = evaluate(data);
  const STEP = 1e-5;
  for (const [name, values] of data) {
    const direction = normal(values.length, 99);
    const along = (step: number) => {
      const moved = values.map((value, i) => value + step * (direction[i] as number));
      return evaluate(new Map([...data, [name, moved]])).loss;
    };
    const slope = (along(STEP) - along(-STEP)) / (2 * STEP);
    const claimed = (params.get(name) as Value).grad.reduce((sum, g, i) => sum + g * (direction[i] as number), 0);
    assert.ok(
      Math.abs(slope - claimed) <= 1e-6 * (1 + Math.abs(slope)),
      `${name}: slope ${slope}, gradient ${claimed}`,
    );
  }
});

test("erf agrees with its table", () => {
  for (const [x, value] of [
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2.9, 0.9999589021219005],
    [-3.1, -0.9999883513426328],
  ] as const) {
    assert.ok(Math.abs(erf(x) - value) < 1e-14, `erf(${x}) is ${erf(x)}`);
  }
});

test("compare refuses poison, wrong values and wrong lengths", () => {
  const reference = (i: number) => i;
  const right = Float32Array.of(0, 1, 2, 3);
  assert.is(compare("y", right, 4, [0, 1, 3], reference), undefined);
  assert.is(compare("y", Float32Array.of(0, 1, Number.NaN, 3), 4, [0, 1, 3], reference), "y[2] is NaN");
  assert.is(compare("y", Float32Array.of(0, 1.5, 2, 3), 4, [0, 1, 3], reference), "y[1] is 1.5, expected 1");
  assert.is(compare("y", right, 5, [0], reference), "y: 4 values, expected 5");
  assert.is(compare("y", undefined, 5, [0], reference), "y: no values, expected 5");
});

test("every row refuses zeros", () => {
  for (const workload of workloads) {
    if (workload.problem.kind === "infer") continue;
    const zeros = workload.outputs.map((shape) => new Float32Array(shape.reduce((a, b) => a * b, 1)));
    assert.type(workload.check(zeros, workload.inputs(), 1), "string", workload.name);
  }
});

test("FLOPs are those of the published nets", () => {
  // He et al. 2016 give 0.27 M parameters for ResNet-20; its convolutions take 40.8 M multiplications with projections.
  assert.is(countFlops(nets.resnet20, 1).forward, 2 * 40_813_184);
  const parameters = [...initialParams(nets.resnet20)].filter(([name]) => !/\.(mean|var)$/.test(name));
  const count = parameters.reduce((sum, [, { data }]) => sum + data.length, 0);
  assert.ok(count > 260_000 && count < 280_000, `${count} parameters`);
});
