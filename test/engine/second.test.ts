// Second derivatives: nested grad, createGraph, gradient penalties; over the op table each op either agrees with the
// mixed differences of its oracle, or refuses. None is silently constant.

import { readdirSync } from "node:fs";
import * as s from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf } from "./messages.ts";
import { drawn, list, mulberry } from "./ops/check.ts";
import type { OpCase, OpRow, Ref } from "./ops/row.ts";

const test = gpuSuite("second derivatives", { timeout: 180_000 });
const values = async (x: s.Tensor) => [...(await x.read())];

test("grad of grad", async () => {
  const cube = (x: s.Tensor) => s.sum(s.mul(s.square(x), x));
  const x = s.tensor([1, -2, 3]);
  const second = (x: s.Tensor) => s.sum(s.grad(cube)(x)[0] as s.Tensor);
  assert.equal(await values(s.grad(second)(x)[0] as s.Tensor), [6, -12, 18]);
  const third = (x: s.Tensor) => s.sum(s.grad(second)(x)[0] as s.Tensor);
  assert.equal(await values(s.grad(third)(x)[0] as s.Tensor), [6, 6, 6]);
  assert.not.ok((s.grad(cube)(x)[0] as s.Tensor).isDifferentiable, "nothing is recorded that nobody can ask for");
});

test("a gradient penalty inside grad", async () => {
  // d/dx (x^4 + (d x^4/dx)^2) = 4 x^3 + 96 x^5 at 1, and at 2.
  const quartic = (x: s.Tensor) => s.sum(s.square(s.square(x)));
  const penalised = (x: s.Tensor) => s.add(quartic(x), s.sum(s.square(s.grad(quartic)(x)[0] as s.Tensor)));
  assert.equal(await values(s.grad(penalised)(s.tensor([1, 2]))[0] as s.Tensor), [100, 3104]);
});

test("a linear function has zero second derivatives", async () => {
  const once = (x: s.Tensor) => s.sum(s.grad((y: s.Tensor) => s.sum(s.mul(y, 3)))(x)[0] as s.Tensor);
  assert.equal(await values(s.grad(once)(s.tensor([1, 2]))[0] as s.Tensor), [0, 0]);
});

test("a power whose exponent ends the derivatives has zeros from there on", async () => {
  const x = s.tensor([-2, 0, 3]);
  const next = (f: (x: s.Tensor) => s.Tensor) => (x: s.Tensor) => s.sum(s.grad(f)(x)[0] as s.Tensor);
  for (const exponent of [0, 1, 2]) {
    let f = (x: s.Tensor) => s.sum(s.pow(x, exponent));
    for (let order = 0; order < exponent; order++) f = next(f);
    for (let beyond = 0; beyond < 3; beyond++) {
      assert.equal((await values(s.grad(f)(x)[0] as s.Tensor)).map(Math.abs), [0, 0, 0], `pow(x, ${exponent})`);
      f = next(f);
    }
  }
});

/** The norm of a critic's gradient at its input, as a loss on the critic's weights: Gulrajani et al., NeurIPS 2017. */
const penalty = (w1: s.Tensor, w2: s.Tensor, x: s.Tensor): s.Tensor => {
  const critic = (at: s.Tensor) => s.sum(s.linear(s.linear(at, w1, undefined, { activation: "tanh" }), w2));
  const [dx] = s.grad(critic)(x) as [s.Tensor];
  return s.mean(s.square(s.sub(s.sqrt(s.sum(s.square(dx), { dim: 1 })), 1)));
};

test("a penalty on the gradient at the input trains the weights", async () => {
  const [w1, w2] = [s.randn([5, 7], { seed: 1 }), s.randn([7, 1], { seed: 2 })];
  const x = s.randn([9, 5], { seed: 3 });
  const [p, q] = [w1.detach().requiresGrad(), w2.detach().requiresGrad()];
  s.backward(penalty(p, q, x));
  for (const [weight, leaf, at] of [
    [w1, p, (w: s.Tensor) => penalty(w, w2, x)],
    [w2, q, (w: s.Tensor) => penalty(w1, w, x)],
  ] as const) {
    const direction = s.randn(weight.shape, { seed: 4 });
    const h = 1e-3;
    const [up, down] = [at(s.add(weight, s.mul(direction, h))), at(s.sub(weight, s.mul(direction, h)))];
    const want = ((await up.item()) - (await down.item())) / (2 * h);
    const got = await s.sum(s.mul(leaf.grad, direction)).item();
    assert.ok(Math.abs(got - want) < 2e-3 * (1 + Math.abs(want)), `${got} and ${want}`);
    const [again] = s.grad(at)(weight) as [s.Tensor];
    assert.ok(Math.abs((await s.sum(s.mul(again, direction)).item()) - got) < 1e-4, "grad agrees with backward");
  }
});

test("backward with createGraph leaves gradients that can be differentiated, and adds them up", async () => {
  const x = s.tensor([0.5, 1]).requiresGrad();
  const f = (z: s.Tensor) => s.sum(s.exp(s.mul(z, 2)));
  for (let i = 0; i < 2; i++) s.backward(f(x), { createGraph: true });
  const norm = s.sum(s.square(x.grad));
  x.zeroGrad();
  s.backward(norm);
  // (2 * 2 exp(2 x))^2 has the derivative 64 exp(4 x).
  for (const [i, got] of (await values(x.grad)).entries())
    assert.ok(Math.abs(got / (64 * Math.exp(4 * [0.5, 1][i]!)) - 1) < 1e-5, `${got}`);
});

test("a gradient without a graph is refused where it is differentiated, and used as a number elsewhere", async () => {
  const x = s.tensor([2]).requiresGrad();
  s.backward(s.sum(s.square(x)));
  const wrong =
    "GradientError: backward: what a gradient depends on is known only if it was made with { createGraph: true }; got one that was not. detach() holds it constant.";
  assert.is(
    messageOf(() => s.backward(s.sum(s.mul(x.grad, x)))),
    wrong,
  );
  assert.is(await s.sum(s.mul(x.grad.detach(), x)).item(), 8);
  const w = s.tensor([3]).requiresGrad();
  const [g] = s.grad((y: s.Tensor) => s.sum(s.mul(s.square(y), w)), { createGraph: false })(s.tensor([5])) as [
    s.Tensor,
  ];
  assert.equal(await values(g), [30]);
  assert.is(
    messageOf(() => s.backward(s.sum(s.square(g)))),
    wrong,
  );
  assert.not.ok(w.hasGrad, "grad leaves nothing at other leaves");
});

test("a second derivative that an op does not have is refused by the op's name", () => {
  const labels = s.tensor(Int32Array.of(1));
  const image = s.ones([1, 1, 1, 1]);
  for (const [op, shape, f] of [
    ["layerNorm", [2, 3], (x) => s.sum(s.square(s.layerNorm(x)))],
    ["crossEntropy", [1, 3], (x) => s.crossEntropy(x, labels)],
    ["conv2d", [1, 2, 3, 1], (x) => s.sum(s.square(s.conv2d(x, image, undefined, { activation: "gelu" })))],
    ["scaledDotProductAttention", [1, 2, 3, 8], (x) => s.sum(s.square(s.scaledDotProductAttention(x, x, x)))],
  ] as readonly (readonly [op: string, shape: readonly number[], f: (x: s.Tensor) => s.Tensor])[]) {
    const slope = (x: s.Tensor) => s.sum(s.square(s.grad(f, { createGraph: true })(x)[0] as s.Tensor));
    assert.is(
      messageOf(() => s.grad(slope)(s.randn(shape, { seed: 1 }))),
      `GradientError: backward: the gradient of ${op} has no derivative; detach() it, or what goes into ${op}, to hold that constant.`,
    );
  }
});

test("an op without a derivative is refused before anything runs", () => {
  const x = s.tensor([1, 2]).requiresGrad();
  const double = s.single(
    s.defineOp({
      name: "double",
      operands: { x: "float" },
      infer: ({ x }) => ({ y: x }),
      run: ({ inputs: { x }, outputs: { y } }) => s.copyInto(y, s.mul(x, 2)),
    }),
  );
  const { dispatches } = device().stream.counters;
  const result = s.sum(double({ x }, {}));
  assert.is(
    messageOf(() => s.backward(result)),
    "GradientError: backward: double has no derivative; detach() what goes into it to hold that constant.",
  );
  assert.ok(device().stream.counters.dispatches <= dispatches + 3);
  assert.not.ok(x.hasGrad);
});

test("nested gradients keep no memory", async () => {
  const f = (x: s.Tensor) => s.sum(s.square(s.grad((y: s.Tensor) => s.sum(s.exp(y)))(x)[0] as s.Tensor));
  const x = s.tensor([0.1, 0.2]);
  const step = () => s.scope(() => void s.grad(f)(x));
  for (let i = 0; i < 5; i++) step();
  await device().sync();
  const { buffers } = device().memory();
  for (let i = 0; i < 50; i++) step();
  await device().sync();
  assert.is(device().memory().buffers, buffers);
});

/** Ops whose gradient is one fused kernel, which has no derivative of its own. */
const REFUSED: readonly string[] = [
  ...["batchNorm", "groupNorm", "layerNorm", "crossEntropy", "qkvAttention", "scaledDotProductAttention"],
  // With an activation whose gradient needs its argument (gelu, silu).
  ...["conv2d", "linear"],
  // With a bias beside nothing but sums: its gradient depends on none of them.
  "conv1d",
];

const folder = new URL("./ops/", import.meta.url);
const rows: OpRow[] = [];
for (const file of readdirSync(folder)
  .filter((name) => !["row.ts", "check.ts"].includes(name))
  .sort())
  rows.push(...((await import(new URL(file, folder).href)) as { rows: OpRow[] }).rows);

/** What is wrong with the second derivatives of a case along random directions; undefined if nothing is. */
async function checkSecond({ inputs, call, oracle, grads = [] }: OpCase, seed: number): Promise<string | undefined> {
  const random = mulberry(seed);
  const refs = Object.fromEntries(Object.entries(inputs).map(([name, draw]) => [name, drawn(draw, random)]));
  const like = ({ data, shape }: Ref): Ref => ({
    shape,
    data: Float64Array.from(Float32Array.from(data, () => 2 * random() - 1)),
  });
  const first = list(oracle(refs))[0] as Ref;
  const cotangent = like(first);
  const [d, v] = [0, 1].map(() => Object.fromEntries(grads.map((name) => [name, like(refs[name] as Ref)]))) as [
    Record<string, Ref>,
    Record<string, Ref>,
  ];
  const value = (a: number, b: number): number => {
    const moved = Object.fromEntries(
      Object.entries(refs).map(([name, { shape, data }]) => [
        name,
        {
          shape,
          data: grads.includes(name) ? data.map((x, i) => x + a * d[name]!.data[i]! + b * v[name]!.data[i]!) : data,
        },
      ]),
    );
    return (list(oracle(moved))[0] as Ref).data.reduce((sum, y, i) => sum + y * cotangent.data[i]!, 0);
  };
  const h = 1e-4;
  const want = (value(h, h) - value(h, -h) - value(-h, h) + value(-h, -h)) / (4 * h * h);
  const made = (x: Ref, dtype: s.DType = "f32") => s.tensor(x.data, { shape: x.shape, dtype });
  const tensors = Object.fromEntries(Object.entries(refs).map(([name, x]) => [name, made(x, inputs[name]!.dtype)]));
  const f = (...args: s.Tensor[]): s.Tensor => {
    const own = { ...tensors, ...Object.fromEntries(grads.map((name, i) => [name, args[i]!])) };
    return s.sum(s.mul(list(call(own))[0] as s.Tensor, made(cotangent)));
  };
  const along = (...args: s.Tensor[]): s.Tensor =>
    s
      .grad(f)(...args)
      .map((g, i) => s.sum(s.mul(g, made(v[grads[i]!]!))))
      .reduce((a, b) => s.add(a, b));
  const second = s.grad(along)(...grads.map((name) => tensors[name]!));
  const parts = await s.read(second.map((g, i) => s.sum(s.mul(g, made(d[grads[i]!]!)))));
  const got = parts.reduce((sum, [x]) => sum + (x as number), 0);
  const sizes = await s.read(second.map((g) => s.sum(s.abs(g))));
  const scale = sizes.reduce((sum, [x]) => sum + (x as number), 0);
  return Math.abs(got - want) <= 1e-3 * (1 + scale + Math.abs(want)) ? undefined : `got ${got}, want ${want}`;
}

test("every op of the table has second derivatives, or refuses them", async () => {
  const refused: string[] = [];
  const wrong: string[] = [];
  for (const { op, cases } of rows) {
    const own = cases.filter(
      ({ grads = [], inputs }) => grads.length > 0 && !Object.values(inputs).some(({ shape }) => shape.includes(0)),
    );
    for (const [i, one] of own.slice(0, 2).entries()) {
      const scope = s.openScope();
      try {
        const problem = await checkSecond(one, 2000 + i);
        if (problem) wrong.push(`${op} ${one.label ?? ""}: ${problem}`);
      } catch (error) {
        if (!/^GradientError: backward: /.test(String(error))) wrong.push(`${op} ${one.label ?? ""}: ${error}`);
        else if (!refused.includes(op)) refused.push(op);
      } finally {
        scope.dispose();
      }
    }
  }
  assert.equal(wrong, []);
  assert.equal(refused.sort(), [...REFUSED].sort());
});
