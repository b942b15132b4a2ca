// The commonest slips of a first hour: each gets a sentence that names the call and what came, never a TypeError from
// within.

import * as e from "../../engine/index.ts";
import { deploy, joint, multiExit, train } from "../../exits/index.ts";
import { BatchNorm2d, Conv2d, Dropout, EVAL, Init, Linear, loadTorch, resnet, SGD } from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("slips");
const late = Promise.resolve(undefined) as never;
const never = (value: unknown): never => value as never;

/** The message of a SortieError that `fn` throws or rejects with; a failure for anything else. */
async function said(fn: () => unknown): Promise<string> {
  try {
    await fn();
  } catch (error) {
    assert.instance(error, e.SortieError, String((error as Error).stack));
    return (error as Error).message;
  }
  throw new Error(`taken: ${fn}`);
}

async function all(rows: readonly (readonly [fn: () => unknown, message: string])[]): Promise<void> {
  for (const [fn, message] of rows) assert.ok((await said(fn)).startsWith(message), `${await said(fn)}\nfor ${fn}`);
}

test("of ops", async () => {
  const x = e.ones([2, 3]);
  const index = e.tensor(Int32Array.of(0, 1));
  await all([
    [
      () => e.randn([2, 3], never(undefined)),
      "randn: a seed or a generator must be given; got neither. Pass { seed: 1 }.",
    ],
    [() => e.reshape(x, never(3)), "reshape: the new shape must be a list of numbers; got 3. Write [3, ...]."],
    [() => e.zeros(never(3)), "tensor: a shape must be a list of numbers; got 3. Write [3, ...]."],
    [() => e.zeros(never("3")), 'tensor: a shape must be a list of numbers; got "3".'],
    [() => e.sum(never([1, 2])), "sum: x must be a tensor; got [1,2]. Make one by tensor()."],
    [() => e.sum(late), "sum: x must be a tensor; got a Promise (is an await missing?)."],
    [() => e.requiresGrad(never([x])), "requiresGrad: x must be a tensor; got an array of 1."],
    [() => e.gradOf(late), "grad: x must be a tensor; got a Promise (is an await missing?)."],
    [() => e.hasGrad(never(undefined)), "hasGrad: x must be a tensor; got undefined."],
    [() => e.zeroGrad(never([x, x])), "zeroGrad: x must be a tensor; got "],
    [() => x.sum(never(0)), "sum: options must be a plain object; got 0. It takes dim, keepdim, dims."],
    [() => x.sum(never({ dimension: 0 })), 'sum: unknown option "dimension". It takes dim, keepdim, dims.'],
    [() => e.softmax(x, never({ dims: 1 })), 'softmax: unknown option "dims". Did you mean "dim"? It takes dim.'],
    [() => e.maxPool2d(e.ones([1, 4, 4, 1]), never({ kernel: 2, ceil: true })), 'maxPool2d: unknown option "ceil".'],
    [() => x.matmul(never(undefined)), "matmul: b must be a tensor; got undefined."],
    [() => e.add(x, never(undefined)), "add: b must be a tensor or a number; got undefined."],
    // @ts-expect-error one argument too many
    [() => x.flip(0, 1), "flip: the arguments must be (x, dim); got 3 of them."],
    // @ts-expect-error one argument too many
    [() => x.squeeze(0, 1), "squeeze: the arguments must be (x, axis); got 3 of them."],
    // @ts-expect-error one argument too many
    [() => e.relu(x, 3), "relu: the arguments must be (x); got 2 of them."],
    // @ts-expect-error one argument too many
    [() => e.add(x, x, x), "add: the arguments must be (a, b); got 3 of them."],
    [() => e.permute(x, never(1)), "permute: dims must be a list of numbers; got 1. Write [1, ...]."],
    [() => e.concat(never(x), never(x)), "concat: tensors must be a list of tensors; got Tensor f32[2, 3]."],
    [() => e.concat([x, never([1])]), "concat: tensors[1] must be a tensor; got [1]."],
    [() => e.indexSelect(x, never(0), never(index)), "indexSelect: "],
    [() => e.conv2d(e.ones([1, 4, 4, 1]), never(null)), "conv2d: weight must be a tensor; got null."],
    [() => e.softmax(x, { dim: Number.NaN }), "softmax: dim must be a number; got NaN."],
    [() => e.dropout(x, { p: Number.NaN, seed: 1 }), "dropout: p must be a number; got NaN."],
    [() => x.cast(never("float32")), 'cast: dtype must be one of f32, f16, i32, u32, bool; got "float32".'],
    [() => e.tensor([1], never({ dtype: "int64" })), "tensor: dtype must be one of"],
    [() => e.tensor(never("abc")), 'tensor: data must be numbers, nested lists of them, or a typed array; got "abc".'],
    [
      () => e.tensor([1], { device: never(Promise.resolve(device())) }),
      "tensor: device must be what createDevice() resolves to; got a Promise",
    ],
    [() => e.arange(Number.NaN), "arange: start, end and step must be finite numbers"],
    [() => e.backward(late), "backward: result must be a tensor; got a Promise (is an await missing?)."],
    [() => e.capture(never({}), never(undefined)), "capture: the step must be a function; got undefined."],
    [() => e.flatten(never(x)), "flatten: parameters must be a list of tensors; got Tensor f32[2, 3]."],
    [() => e.read(never(x)), "read: tensors must be a list of tensors; got Tensor f32[2, 3]."],
    [() => e.scope(never(undefined)), "scope: fn must be a function; got undefined."],
  ]);
});

test("of labels and indices out of range, where the host knows", async () => {
  const x = e.ones([3, 4]);
  const labels = e.tensor(Int32Array.of(0, 4, 1));
  const back = e.tensor(Int32Array.of(0, -1));
  await all([
    [() => e.crossEntropy(x, labels), "crossEntropy: labels must be in 0..3; got 4 in i32[3]."],
    [() => e.nllLoss(x, labels), "nllLoss: labels must be in 0..3; got 4 in i32[3]."],
    [() => e.indexSelect(x, back), "indexSelect: the index must be in 0..2; got -1 in i32[2]."],
    [
      () => e.gather(x, e.reshape(labels, [3, 1]), { dim: 1 }),
      "gather: the index must be in 0..3; got 4 in i32[3, 1].",
    ],
    [() => e.embedding(x, labels), "embedding: the index must be in 0..2; got 4 in i32[3]."],
  ]);
  // Written anew, by the host or by the GPU, it is judged anew.
  labels.write([0, 3, 1]);
  assert.ok(Number.isFinite(await e.crossEntropy(x, labels).item()));
  e.copyInto(labels, e.add(labels, 3));
  assert.ok(Number.isNaN(await e.crossEntropy(x, labels).item()));
});

test("of layers, networks and training", async () => {
  const init = new Init({ seed: 1 });
  const x = e.ones([1, 8, 8, 1]);
  using norm = new BatchNorm2d(1, init);
  const backbone = resnet({ depth: 8, classes: 4, widths: [4, 4, 4], input: [8, 8, 1], seed: 1 });
  using net = multiExit(backbone, { after: ["stage1"] });
  const method = joint.with();
  await all([
    [
      () => new Linear(2, 3, never(undefined)),
      "Linear: init must be an Init; got undefined. Pass new Init({ seed: 1 }).",
    ],
    [
      () => new Linear(2, never({}), init),
      "Linear: outputs must be a positive integer; got an object with nothing in it.",
    ],
    [() => new Conv2d(1, 4, init, never(3)), "Conv2d: options must be a plain object; got 3."],
    [() => new Dropout(0.5, never(1)), "Dropout: generator must be a Generator; got 1."],
    [() => norm.forward(x, never(undefined)), "BatchNorm2d: mode must be TRAIN or EVAL; got undefined."],
    [() => net.forward(x, never(undefined)), "forward: mode must be TRAIN or EVAL; got undefined."],
    [() => net.forward(late, EVAL), "forward: x must be a tensor; got a Promise (is an await missing?)."],
    [() => backbone.forward(never([1]), EVAL), "forward: x must be a tensor; got [1]."],
    [() => new SGD(never(undefined), { lr: 0.1 }), "flatten: parameters must be a list of tensors; got undefined."],
    [() => new SGD(net.parameters(), never({ learningRate: 0.1 })), 'SGD: unknown option "learningRate".'],
    [() => multiExit(late, { after: [] }), "multiExit: the backbone must be one"],
    [() => loadTorch(net, late), "loadTorch: tensors must be those of a file, by name; got a Promise"],
    [() => train(net, never({}), never({})), "train: epochs must be given; got none."],
    [() => train(net, never({}), never({ epochs: 1, method, lr: 0.1 })), 'train: unknown option "lr".'],
    [() => train(net, late, { epochs: 1, method }), "train: data must be a data set in four parts"],
    [
      () => train(never(backbone), never({}), { epochs: 1, method }),
      "train: the network must be made by multiExit(); got",
    ],
    [() => train(net, never({}), { epochs: 1, method: never({}) }), "train: the method must be one"],
    [() => deploy(late, { thresholds: [0.5] }), "deploy: the network must be made by multiExit(); got a Promise"],
  ]);
});

test("of states, seeds and learning rates", async () => {
  const [a, b] = [new Linear(2, 2, new Init({ seed: 1 })), new Linear(2, 2, new Init({ seed: 2 }))];
  const before = [...(await b.weight.read())];
  const state = (weight: unknown) =>
    new Map([
      ["weight", weight],
      ["bias", { shape: [2], data: [1, 2] }],
    ]);
  const optimizer = new SGD([e.ones([1]).requiresGrad()], { lr: 0.1 });
  await all([
    [
      () => b.loadState(never(a.state())),
      "loadState: weight must be { shape, data } with a number an element; got Tensor f32[2, 2]. Read it first",
    ],
    [
      () => b.loadState(never(state(null))),
      "loadState: weight must be { shape, data } with a number an element; got null.",
    ],
    [
      () => b.loadState(never(state({ shape: [2, 2], data: [1] }))),
      "loadState: weight must be { shape, data } with a number an element; got 1 numbers for [2,2].",
    ],
    [
      () => e.randomNormal(5, never(undefined)),
      "random: seed must be a whole number in 0..2^53 - 1; got undefined. Pass { seed: 1 }.",
    ],
    [() => e.randomUniform(5, never({ seed: "a" })), 'random: seed must be a whole number in 0..2^53 - 1; got "a".'],
    [() => e.randomUniform(5, { seed: 1, step: 1.5 }), "random: step must be a whole number in 0..2^32 - 1; got 1.5."],
    [() => e.rand([5], { seed: 1, stream: -1 }), "rand: stream must be a whole number in 0..2^32 - 1; got -1."],
    [
      () => e.permutation(5, { seed: 1, call: 2 ** 32 }),
      "permutation: call must be a whole number in 0..2^32 - 1; got 4294967296.",
    ],
    [() => e.randomNormal(-2, { seed: 1 }), "random: n must be a whole number of at least 0; got -2."],
    [
      () => {
        optimizer.lr = never("0.1");
      },
      'SGD: lr must be a number of at least 0; got "0.1".',
    ],
  ]);
  assert.equal([...(await b.weight.read())], before);
  for (const owner of [a, b, optimizer, ...optimizer.flat.state]) owner.dispose();
});
