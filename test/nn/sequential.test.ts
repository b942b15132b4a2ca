// Sequential, cells and Embedding: against what they are made of, in training and folded for inference, loaded from
// PyTorch's layouts, and learning.

import {
  backward,
  Generator,
  gelu,
  mean,
  mul,
  randn,
  relu,
  type StoredTensor,
  softmax,
  stack,
  sub,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import { loadWeights, saveWeights } from "../../exits/index.ts";
import {
  Adam,
  BatchNorm2d,
  Conv2d,
  Dropout,
  Embedding,
  EVAL,
  GRUCell,
  globalAveragePool,
  Init,
  LayerNorm,
  Linear,
  loadTorch,
  Module,
  RNNCell,
  Sequential,
  TRAIN,
  toTorch,
  toTorchName,
} from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";

const sequential = gpuSuite("nn: Sequential");

function convnet(seed: number): Sequential {
  const init = new Init({ seed });
  return new Sequential(
    new Conv2d(3, 40, init, { kernel: 3 }),
    new BatchNorm2d(40, init),
    "relu",
    new Conv2d(40, 20, init, { kernel: 3, stride: 2, bias: true }),
    "silu",
    globalAveragePool,
    new LayerNorm(20, init),
    new Linear(20, 33, init),
    gelu,
    new Linear(33, 5, init),
  );
}

const close = (a: ArrayLike<number>, b: ArrayLike<number>, bound: number): void => {
  assert.is(a.length, b.length);
  const worst = Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
  assert.ok(worst <= bound, `${worst} apart`);
};

sequential("is its layers one after the other; norms fold, and activations fuse, for inference", async () => {
  const net = convnet(3);
  const [conv, norm, second, layerNorm, first, last] = [0, 1, 3, 6, 7, 9].map((i) => (net as never)[i]) as unknown as [
    Conv2d,
    BatchNorm2d,
    Conv2d,
    LayerNorm,
    Linear,
    Linear,
  ];
  norm.runningMean.write(Float32Array.from({ length: 40 }, (_, i) => i / 100));
  norm.runningVar.write(Float32Array.from({ length: 40 }, (_, i) => 1 + i / 40));
  const x = randn([5, 9, 9, 3], { seed: 2 });
  const silu = (y: Tensor): Tensor => mul(y, y.sigmoid());
  for (const mode of [EVAL, TRAIN]) {
    const copy = convnet(3);
    copy.loadState(
      new Map(
        await Promise.all(
          [...net.state()].map(async ([name, t]) => [name, { shape: t.shape, data: await t.read() }] as const),
        ),
      ),
    );
    const got = await net.forward(x, mode).read();
    const [conv2, norm2] = [(copy as never)[0] as Conv2d, (copy as never)[1] as BatchNorm2d];
    const map = silu(second.forward(relu(norm2.forward(conv2.forward(x), mode))));
    const want = last.forward(gelu(first.forward(layerNorm.forward(globalAveragePool(map)))));
    close(got, await want.read(), 1e-5);
  }
  const plain = await net.forward(x, EVAL).read();
  const folded = net.pass({ training: false, prepare: (weight) => weight });
  close(await folded(x).read(), plain, 1e-5);
  assert.is(conv.bias, undefined);
});

sequential("tensors are named by place, and the network learns, is saved as a Blob and comes back", async () => {
  const init = new Init({ seed: 1 });
  const net = new Sequential(new Linear(2, 24, init), "tanh", new Linear(24, 1, init));
  assert.equal([...net.state().keys()], ["0.weight", "0.bias", "2.weight", "2.bias"]);
  const x = tensor([0, 0, 0, 1, 1, 0, 1, 1], { shape: [4, 2] });
  const y = tensor([0, 1, 1, 0], { shape: [4, 1] });
  const adam = new Adam(net.parameters(), { lr: 0.05 });
  let loss = Number.POSITIVE_INFINITY;
  for (let step = 0; step < 120; step++) {
    const error = sub(net.forward(x, TRAIN), y);
    const squared = mean(mul(error, error));
    backward(squared);
    adam.step();
    adam.zeroGrad();
    if (step === 119) loss = await squared.item();
  }
  assert.ok(loss < 0.01, `XOR: a loss of ${loss}`);
  const other = new Sequential(new Linear(2, 24, new Init({ seed: 9 })), "tanh", new Linear(24, 1, init));
  const blob = await saveWeights(net);
  await loadWeights(blob, other.state());
  assert.equal(await other.forward(x, EVAL).read(), await net.forward(x, EVAL).read());
  const broken = new Uint8Array(await blob.arrayBuffer());
  broken[broken.length - 3]! ^= 1;
  assert.match((await errorOf(() => loadWeights(broken, other.state()))).message, /its checksum is another/);
  net.parameters()[0]!.write(new Float32Array(48).fill(Number.NaN));
  await failsWith(() => saveWeights(net), "CheckpointError", "saveWeights: all values must be finite; some are not.");
  adam.dispose();
  adam.flat.dispose();
});

sequential("dropout draws in training alone; what is no item is refused", async () => {
  const init = new Init({ seed: 1 });
  const generator = new Generator({ seed: 3 });
  const net = new Sequential(new Linear(4, 64, init), new Dropout(0.5, generator));
  const x = randn([2, 4], { seed: 2 });
  assert.equal(await net.forward(x, EVAL).read(), await net.forward(x, EVAL).read());
  assert.ok((await net.forward(x, TRAIN).read()).filter((value) => value === 0).length > 20);
  assert.equal(net.generators(), [generator]);
  generator.dispose();
  await failsWith(
    () => new Sequential("relu"),
    "ArgumentError",
    `Sequential: an activation's name must follow a Linear, a Conv2d or a BatchNorm2d; got "relu" behind nothing. Pass the function.`,
  );
  assert.match((await errorOf(() => new Sequential(3 as never))).message, /items must be layers, functions or names/);
  assert.match((await errorOf(() => new Sequential(new Linear(2, 2, init), "rellu" as never))).message, /rellu/);
  assert.match((await errorOf(() => net.forward(x, undefined as never))).message, /mode must be TRAIN or EVAL/);
});

const cells = gpuSuite("nn: recurrent cells and embeddings");
const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

cells("cells are the formulas of PyTorch's, step by step", async () => {
  const [inputs, hidden, batch] = [37, 21, 6];
  for (const Cell of [RNNCell, GRUCell]) {
    const cell = new Cell(inputs, hidden, new Init({ seed: 4 }));
    const [wi, wh, bi, bh] = (await Promise.all(cell.parameters().map((t) => t.read()))) as Float32Array[];
    const gates = bi!.length / hidden;
    let state: Tensor | undefined;
    let want = new Float64Array(batch * hidden);
    for (let time = 0; time < 3; time++) {
      const x = randn([batch, inputs], { seed: 10 + time });
      const values = await x.read();
      state = cell.forward(x, state);
      const before = want;
      want = new Float64Array(batch * hidden);
      const product = (b: number, column: number) => {
        let [i, h] = [bi![column]!, bh![column]!];
        for (let k = 0; k < inputs; k++) i += values[b * inputs + k]! * wi![k * gates * hidden + column]!;
        for (let k = 0; k < hidden; k++) h += before[b * hidden + k]! * wh![k * gates * hidden + column]!;
        return [i, h] as const;
      };
      for (let b = 0; b < batch; b++)
        for (let j = 0; j < hidden; j++) {
          const [i0, h0] = product(b, j);
          if (gates === 1) want[b * hidden + j] = Math.tanh(i0 + h0);
          else {
            const [[i1, h1], [i2, h2]] = [product(b, hidden + j), product(b, 2 * hidden + j)];
            const [r, z] = [sigmoid(i0 + h0), sigmoid(i1 + h1)];
            want[b * hidden + j] = (1 - z) * Math.tanh(i2 + r * h2) + z * before[b * hidden + j]!;
          }
        }
      close(await state.read(), want, 2e-6);
    }
  }
});

/** A network with everything whose layout in PyTorch is its own. */
class Reader extends Module {
  readonly words: Embedding;
  readonly cell: GRUCell;
  readonly out: Sequential;

  constructor(seed: number) {
    super();
    const init = new Init({ seed });
    this.words = new Embedding(7, 7, init);
    this.cell = new GRUCell(7, 16, init);
    this.out = new Sequential(new Linear(16, 2, init));
  }

  forward(words: Tensor): Tensor {
    const [, length] = words.shape as readonly [number, number];
    const vectors = this.words.forward(words);
    let state: Tensor | undefined;
    for (let time = 0; time < length; time++) {
      const [batch, , dim] = vectors.shape as readonly [number, number, number];
      const x = vectors.slice({ starts: [0, time, 0], ends: [batch, time + 1, dim] }).reshape([batch, dim]);
      state = this.cell.forward(x, state);
    }
    return this.out.forward(state!, EVAL);
  }
}

cells("a reader learns whether a word was there, and its weights come from PyTorch's layouts", async () => {
  const net = new Reader(2);
  const words = Int32Array.from({ length: 24 * 4 }, (_, i) => (i * 5 + Math.floor(i / 7)) % 7);
  const x = tensor(words, { shape: [24, 4], dtype: "i32" });
  const has = Array.from({ length: 24 }, (_, b) => Number(words.subarray(4 * b, 4 * b + 4).includes(3)));
  const want = tensor(
    has.flatMap((v) => [1 - v, v]),
    { shape: [24, 2] },
  );
  const adam = new Adam(net.parameters(), { lr: 0.03 });
  const lossOf = (): Tensor => {
    const error = sub(softmax(net.forward(x), { dim: 1 }), want);
    return mean(mul(error, error));
  };
  const before = await lossOf().item();
  for (let step = 0; step < 60; step++) {
    backward(lossOf());
    adam.step();
    adam.zeroGrad();
  }
  const after = await lossOf().item();
  assert.ok(before > 0.15 && after < 0.02, `${before} to ${after}`);
  adam.dispose();
  adam.flat.dispose();

  const file = new Map<string, StoredTensor>();
  for (const [name, t] of net.state()) {
    const { shape, data } = toTorch(name, { shape: t.shape, data: await t.read() }, net);
    file.set(toTorchName(name), { dtype: "F32", shape, data: Float32Array.from(data) });
  }
  assert.equal(file.get("cell.weight_ih")?.shape, [48, 7]);
  assert.equal(file.get("out.0.weight")?.shape, [2, 16]);
  assert.equal([...file.get("words.weight")!.data], [...(await net.words.weight.read())]);
  const other = new Reader(8);
  loadTorch(other, file);
  assert.equal(await other.forward(x).read(), await net.forward(x).read());
});

cells("shapes that do not fit are named", async () => {
  const cell = new GRUCell(3, 4, new Init({ seed: 1 }));
  const x = randn([2, 3], { seed: 1 });
  await failsWith(() => cell.forward(stack([x, x])), "ShapeError", "GRUCell: x must be [B, 3]; got f32[2, 2, 3].");
  await failsWith(() => cell.forward(x, x), "ShapeError", "GRUCell: the state must be [2, 4]; got f32[2, 3].");
  await failsWith(
    () => new RNNCell(0, 4, new Init({ seed: 1 })),
    "ArgumentError",
    "RNNCell: inputs must be a positive integer; got 0.",
  );
  assert.is(device().memory().buffers > 0, true);
});
