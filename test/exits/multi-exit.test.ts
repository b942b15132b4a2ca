// Heads and multi-exit networks: shapes, names, costs by hand, what each head computes, and what cannot be attached.

import { avgPool2d, conv2d, interpolate, linear, maxPool2d, randn, read, type Tensor } from "../../engine/index.ts";
import { HEADS, type HeadKind, type HeadRecord, multiExit } from "../../exits/index.ts";
import { EVAL, resnet, TRAIN, vit } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { smallNet } from "./small.ts";

const test = gpuSuite("exits: multi-exit networks");

const backbone = () => resnet({ depth: 8, classes: 5, input: [8, 10, 3], widths: [4, 8, 12], seed: 1 });
const tokens = () => vit({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 3, numHeads: 2, classes: 5, seed: 1 });
const early = ["stage1", "stage2"];

/** The same shape, and the same values but for float noise. */
async function same(a: Tensor, b: Tensor): Promise<void> {
  const [x, y] = await read([a, b]);
  assert.equal(a.shape, b.shape);
  for (const [i, value] of (x as Float32Array).entries())
    assert.ok(Math.abs(value - y![i]!) < 1e-5, `element ${i}: ${value} and ${y![i]}`);
}

test("all exits' logits are each exit's own, segment by segment", async () => {
  const net = smallNet();
  const x = randn([3, 8, 8, 1], { seed: 2 });
  const logits = net.forward(x, EVAL);
  assert.equal(logits.shape, [3, 3, 4]);
  let features = x;
  for (let j = 0; j < net.exits; j++) {
    features = net.segment(j, features, EVAL);
    const own = logits.slice({ starts: [0, j, 0], ends: [3, j + 1, 4] }).reshape([3, 4]);
    await same(net.answer(j, features, EVAL), own);
  }
  await same(net.lastOf(logits), net.backbone.forward(x, EVAL));
});

const onMaps: readonly HeadKind[] = ["gap-linear", "gap-norm-linear", "pool-linear", "conv-pool-linear", "attention"];
for (const head of onMaps) {
  test(`${head} answers on maps of any size and learns`, async () => {
    const net = multiExit(backbone(), { after: early, head: HEADS[head], last: HEADS[head] });
    const logits = net.forward(randn([2, 8, 10, 3], { seed: 3 }), TRAIN);
    assert.equal(logits.shape, [2, 3, 5]);
    logits.square().sum().backward();
    for (const [name, parameter] of net.namedParameters()) {
      if (name.startsWith("backbone.linear")) continue;
      const largest = Math.max(...(await parameter.grad.read()).map(Math.abs));
      // In front of a norm a bias-free weight may have a tiny gradient, but none of the parameters is cut off.
      assert.ok(largest > 0 && Number.isFinite(largest), `${name} has the gradient ${largest}`);
    }
  });
}

for (const head of ["class-token", "mean-token"] as const) {
  test(`${head} answers on tokens`, () => {
    const net = multiExit(tokens(), { after: ["stage1"], head });
    assert.equal(net.forward(randn([2, 8, 8, 3], { seed: 3 }), EVAL).shape, [2, 2, 5]);
    assert.ok([...net.state().keys()].includes("heads.0.norm.weight"));
  });
}

test("mixed pooling is a share of the maximum and the rest of the mean", async () => {
  const net = multiExit(backbone(), { after: ["stage1"], head: HEADS["pool-linear"] });
  const state = net.namedParameters();
  const [share, weight, bias] = ["pool.share", "linear.weight", "linear.bias"].map(
    (name) => state.get(`heads.0.${name}`) as Tensor,
  );
  const x = randn([1, 8, 10, 4], { seed: 4 });
  share!.write([0.25]);
  const kernel = [2, 3] as const;
  const mixed = maxPool2d(x, { kernel }).mul(0.25).add(avgPool2d(x, { kernel }).mul(0.75));
  assert.equal(mixed.shape, [1, 4, 3, 4]);
  await same(net.answer(0, x, EVAL), linear(mixed.reshape([1, 48]), weight as Tensor, bias));
});

test("costs count the heads passed, by hand", () => {
  const net = multiExit(resnet({ depth: 8, classes: 10, input: [28, 28, 1], seed: 1 }), { after: early });
  const stem = 28 * 28 * 9 * 16;
  const stages = [
    2 * 28 * 28 * 9 * 16 * 16,
    14 * 14 * 32 * (9 * 16 + 9 * 32 + 16),
    7 * 7 * 64 * (9 * 32 + 9 * 64 + 32),
  ];
  const first = stem + stages[0]! + 160;
  const second = first + stages[1]! + 320;
  assert.equal(net.macs(), [first, second, second + stages[2]! + 640]);
  const info = net.describe();
  assert.equal(
    info.map(({ stage, head }) => [stage, head.macs, head.parameters]),
    [
      ["stage1", 160, 170],
      ["stage2", 320, 330],
      ["stage3", 640, 650],
    ],
  );
  assert.is(net.countParameters(), net.backbone.countParameters() + 170 + 330);
});

test("the attention head is four separable convolutions, a map and a linear layer", () => {
  const net = multiExit(backbone(), { after: ["stage2"], head: HEADS.attention });
  const { head } = net.describe()[0]!;
  // On [4, 5, 8]: the map's convolutions at [2, 3], then one that halves again and doubles the channels to 16.
  const separable = (pixels: number, channels: number, out: number) =>
    pixels * (9 * channels + channels * channels + 9 * channels + channels * out);
  assert.is(head.macs, separable(2 * 3, 8, 8) + separable(2 * 3, 8, 16) + 16 * 5);
});

test("the attention head weighs features by a map of half their size, then convolves and pools", async () => {
  const net = multiExit(backbone(), { after: ["stage2"], head: HEADS.attention });
  const parts = net.state();
  const part = (name: string) => parts.get(`heads.0.${name}`) as Tensor;
  const normed = (x: Tensor, name: string) => {
    const [weight, bias, mean, variance] = ["weight", "bias", "runningMean", "runningVar"].map((each) =>
      part(`${name}.${each}`),
    ) as [Tensor, Tensor, Tensor, Tensor];
    return x.sub(mean).div(variance.add(1e-5).sqrt()).mul(weight).add(bias).relu();
  };
  // Depthwise, pointwise, norm, twice; a layer of each has three entries in the list.
  const separable = (x: Tensor, name: string) =>
    [0, 3].reduce((y, at) => {
      const depthwise = conv2d(y, part(`${name}.${at}.weight`), undefined, {
        stride: at === 0 ? 2 : 1,
        padding: 1,
        groups: y.shape[3]!,
      });
      return normed(conv2d(depthwise, part(`${name}.${at + 1}.weight`)), `${name}.${at + 2}`);
    }, x);
  const x = randn([2, 4, 6, 8], { seed: 12 });
  const map = normed(separable(x, "attention.layers"), "norm");
  const seen = x.mul(interpolate(map, { size: [4, 6], mode: "bilinear" }).sigmoid());
  const pooled = separable(seen, "reduce.0.layers").mean({ dim: [1, 2] });
  await same(net.answer(0, x, EVAL), linear(pooled, part("linear.weight"), part("linear.bias")));
});

test("parameters lie in one buffer from the first call of flat() on, with their values", async () => {
  const net = smallNet();
  const before = Array.from(await (net.parameters()[3] as Tensor).read());
  const flat = net.flat();
  assert.is(net.flat(), flat);
  assert.equal(Array.from(await (net.parameters()[3] as Tensor).read()), before);
  assert.ok(flat.size >= net.countParameters());
  net.dispose();
});

test("heads do not start with the backbone's numbers", async () => {
  const net = multiExit(resnet({ depth: 8, classes: 9, input: [8, 8, 1], widths: [16, 4, 4], seed: 0 }), {
    after: ["stage1"],
    seed: 0,
  });
  const state = net.state();
  const [stem, head] = await read([state.get("backbone.conv1.weight"), state.get("heads.0.linear.weight")] as Tensor[]);
  const scaled = Array.from(stem as Float32Array, (value) => value * 3).slice(0, 10);
  const drawn = Array.from(head as Float32Array, (value) => value * 4).slice(0, 10);
  assert.not.equal(
    drawn.map((x) => x.toFixed(4)),
    scaled.map((x) => x.toFixed(4)),
  );
});

test("refuses stages, heads and features that do not fit", async () => {
  await failsWith(
    () => multiExit(backbone(), { after: ["stage2", "stage1"] }),
    "ArgumentError",
    "multiExit: after must name some of stage1, stage2, in this order; got [stage2, stage1]. The last exit is always there.",
  );
  await failsWith(
    () => multiExit(backbone(), { after: ["stage1"], head: "gap" as "gap-linear" }),
    "ArgumentError",
    'multiExit: head must be gap-linear, gap-norm-linear, class-token, mean-token, or data, such as HEADS.attention; got "gap".',
  );
  await failsWith(
    () => multiExit(backbone(), { after: ["stage1"], head: { name: "own" } as HeadRecord }),
    "ArgumentError",
    "multiExit: head must be gap-linear, gap-norm-linear, class-token, mean-token, or data, such as HEADS.attention; got an object with name.",
  );
  await failsWith(
    () => multiExit(tokens(), { after: ["stage1"], head: "gap-linear" }),
    "ArgumentError",
    "multiExit: head must fit the tokens of stage1; got gap-linear, which reads a map. Use one of class-token, mean-token.",
  );
  await failsWith(
    () => multiExit(backbone(), { after: early, head: ["gap-linear"] }),
    "ArgumentError",
    "multiExit: there must be one head for each of 2 early exits; got 1.",
  );
});
