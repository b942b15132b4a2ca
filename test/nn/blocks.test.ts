// Blocks of networks on their own: against what they are made of.

import { Generator, ones, randn, relu, tensor } from "../../engine/index.ts";
import { BasicBlock, Bottleneck, Dropout, EVAL, GroupNorm, Init, TRAIN, TransformerBlock } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const blocks = gpuSuite("nn: blocks on their own");

blocks("residual blocks stride, widen, and are relu(f(x) + x) where the shape stays", async () => {
  const init = new Init({ seed: 7 });
  const x = randn([2, 5, 5, 8], { seed: 8 });
  const shapes = [
    new BasicBlock(8, 12, init, { stride: 2 }),
    new BasicBlock(8, 12, init, { stride: 2, shortcut: "A" }),
    new Bottleneck(8, 12, init, { stride: 2 }),
  ].map((block) => block.forward(x, EVAL).shape);
  assert.equal(shapes, new Array(3).fill([2, 3, 3, 12]));
  for (const block of [new BasicBlock(8, 8, init), new Bottleneck(8, 8, init)]) {
    assert.is(block.shortcut, undefined);
    const last = block instanceof Bottleneck ? block.bn3 : block.bn2;
    last.weight.write(new Float32Array(8));
    assert.equal(await block.forward(x, EVAL).read(), await relu(x).read());
  }
});

blocks("shortcut A pads with zero channels on both sides", async () => {
  const block = new BasicBlock(2, 5, new Init({ seed: 7 }), { stride: 2, shortcut: "A" });
  block.bn2.weight.write(new Float32Array(5));
  const x = tensor(Float32Array.from({ length: 8 }, (_, i) => i + 1)).reshape([1, 2, 2, 2]);
  assert.equal([...(await block.forward(x, EVAL).read())], [0, 1, 2, 0, 0]);
});

blocks("a transformer block without its projections is the identity", async () => {
  const block = new TransformerBlock(8, 2, new Init({ seed: 7, scheme: "vit" }));
  assert.equal(block.mlp.fc1.weight.shape, [8, 32]);
  const x = randn([2, 3, 8], { seed: 9 });
  assert.not.equal(await block.forward(x).read(), await x.read());
  for (const { weight } of [block.attn.proj, block.mlp.fc2]) weight.write(new Float32Array(weight.size));
  assert.equal(await block.forward(x).read(), await x.read());
});

blocks("group norm gives every group of channels mean 0 and variance 1, then scales and shifts", async () => {
  const norm = new GroupNorm(2, 4, new Init({ seed: 7 }), { eps: 0 });
  const x = randn([3, 5, 4], { seed: 9 });
  const moments = async (): Promise<number[]> => {
    const y = (await norm.forward(x).read()) as Float32Array;
    const group = [...y].filter((_, i) => i < 20 && i % 4 < 2);
    const mean = group.reduce((a, b) => a + b, 0) / group.length;
    return [mean, group.reduce((sum, v) => sum + (v - mean) ** 2, 0) / group.length];
  };
  const near = ([mean = 0, variance = 0]: number[], want: readonly [number, number]) =>
    assert.ok(Math.abs(mean - want[0]) < 1e-5 && Math.abs(variance - want[1]) < 1e-4, `${mean}, ${variance}`);
  near(await moments(), [0, 1]);
  norm.weight.write(new Float32Array(4).fill(3));
  norm.bias.write(new Float32Array(4).fill(-2));
  near(await moments(), [-2, 9]);
});

blocks("dropout zeroes in training only, and scales what it keeps", async () => {
  const x = ones([4000]);
  const generator = new Generator({ seed: 3 });
  const layer = new Dropout(0.25, generator);
  assert.is(layer.forward(x, EVAL), x);
  const y = [...(await layer.forward(x, TRAIN).read())];
  assert.equal([...new Set(y)].sort(), [0, Math.fround(1 / 0.75)]);
  const dropped = y.filter((v) => v === 0).length / y.length;
  assert.ok(Math.abs(dropped - 0.25) < 0.03, `${dropped} dropped`);
  assert.is(new Dropout(0, generator).forward(x, TRAIN), x);
  generator.dispose();
});

blocks("refuse widths that do not work out", async () => {
  const init = new Init({ seed: 7 });
  await failsWith(
    () => new BasicBlock(8, 4, init, { shortcut: "A" }),
    "ArgumentError",
    "BasicBlock: outputs must be at least inputs with shortcut A, which pads with zeros; got 8 to 4. Use shortcut B.",
  );
  await failsWith(
    () => new Bottleneck(8, 6, init),
    "ArgumentError",
    "Bottleneck: outputs must be a multiple of 4; got 6.",
  );
});
