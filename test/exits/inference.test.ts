// What a classifier costs: dispatches, memory, and half precision; and that closed exits cost nothing.

import { createDevice, type Device, randn } from "../../engine/index.ts";
import { deploy, type MultiExit, multiExit } from "../../exits/index.ts";
import { EVAL, resnet, vit } from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { paperDevice } from "../kernels/paper.ts";
import { bars, smallNet } from "./small.ts";

const test = gpuSuite("exits: what inference costs", { timeout: 120_000 });
const closed = { thresholds: [Number.POSITIVE_INFINITY] };

/** Dispatches of one image that runs to the end, once the weights are prepared. */
async function dispatches(net: MultiExit, thresholds: readonly number[]): Promise<number> {
  using classifier = await deploy(net, { thresholds }, { batch: 1 });
  const image = new Float32Array(net.input[0] * net.input[1] * net.input[2]).fill(0.3);
  await classifier.classify(image);
  const { counters } = device().stream;
  const before = counters.dispatches;
  await classifier.classify(image);
  return counters.dispatches - before;
}

test("ResNet-20 takes a dispatch for each convolution, and one for each answer", async () => {
  const net = multiExit(resnet({ depth: 20, classes: 10, seed: 1 }), {
    after: ["stage1", "stage2"],
    head: "gap-linear",
  });
  const open = Number.MAX_VALUE;
  assert.is(await dispatches(net, closed.thresholds), 21 + 1);
  // With early exits: their answers, and the grids of what follows each.
  assert.ok((await dispatches(net, [open, open])) <= 21 + 3 + 2);
  net.dispose();
});

test("a transformer's answer is one dispatch, norm and all", async () => {
  const net = multiExit(vit({ imgSize: 8, patchSize: 4, embedDim: 16, depth: 2, numHeads: 2, classes: 5, seed: 1 }), {
    after: [],
  });
  // Patches, class token in front, positions; seven a block; the answer.
  assert.is(await dispatches(net, closed.thresholds), 3 + 2 * 7 + 1);
  net.dispose();
});

test("in half precision logits are off by thousandths, and nobody leaves whom full precision keeps", async () => {
  const set = bars(75, "test", 500);
  const net = smallNet(3);
  for (const [name, weight] of net.namedParameters())
    if (/linear\.weight$/.test(name)) weight.write((await weight.read()).map((x) => 6 * x) as Float32Array);
  const options = { batch: 16, normalise: set.meta };
  for (const score of ["maxProb", "energy"] as const) {
    const policy = { thresholds: [0.4, 1.4], score };
    using full = await deploy(net, policy, options);
    using half = await deploy(net, policy, { ...options, precision: "f16" });
    const [a, b] = [await full.classify(set.images), await half.classify(set.images)];
    let later = 0;
    for (let i = 0; i < 75; i++) {
      assert.ok(
        b.exits[i]! >= a.exits[i]!,
        `${score}: image ${i} leaves at ${b.exits[i]}, by full precision at ${a.exits[i]}`,
      );
      if (b.exits[i]! > a.exits[i]!) later++;
      else assert.ok(Math.abs(a.scores[i]! - b.scores[i]!) < 0.01, `${score}: ${a.scores[i]} and ${b.scores[i]}`);
    }
    assert.ok(later < 10, `${later} leave later`);
    assert.not.equal([...a.scores], [...b.scores]);
  }
  net.dispose();
});

test("a precision that there is not, or the adapter has not, is refused", async () => {
  const net = smallNet();
  await failsWith(
    () => deploy(net, closed, { precision: "f64" as "f32" }),
    "ArgumentError",
    "deploy: precision must be f32 or f16; got f64.",
  );
  const plain: Device = await createDevice({
    device: paperDevice({ description: "cpu", features: [], subgroupSize: 0 }, new Map()),
  });
  const other = multiExit(
    resnet({ depth: 8, classes: 2, input: [8, 8, 1], widths: [4, 4, 4], seed: 1, device: plain }),
    {
      after: [],
    },
  );
  await failsWith(
    () => deploy(other, closed, { precision: "f16" }),
    "ArgumentError",
    "deploy: precision f16 must be one that the adapter has (shader-f16); this one has not.",
  );
  plain.dispose();
  net.dispose();
});

test("memory is flat over many batches; several classifiers share a device; calls wait for each other", async () => {
  const set = bars(75, "test", 500);
  const net = smallNet(3);
  const options = { batch: 4, normalise: set.meta };
  using first = await deploy(net, { thresholds: [0.3] }, options);
  using second = await deploy(net, { thresholds: [0.27, 0.3] }, { ...options, batch: 16 });
  const [a, b] = [await first.classify(set.images), await second.classify(set.images)];
  for (const classifier of [first, second])
    while (!classifier.plan.every(({ isSettled }) => isSettled)) await classifier.classify(set.images);
  const { bytes, buffers } = device().memory();
  const rounds = 20;
  for (let i = 0; i < rounds; i++) {
    const [x, y] = await Promise.all([first.classify(set.images), second.classify(set.images)]);
    assert.equal([x, y], [a, b], `round ${i}`);
  }
  const after = device().memory();
  assert.equal([after.bytes, after.buffers], [bytes, buffers]);
  net.dispose();
});

test("answers at the last exit are those of forward, whatever was trained in between", async () => {
  const net = smallNet(3);
  const x = randn([5, 8, 8, 1], { seed: 4 });
  using classifier = await deploy(net, closed, { batch: 5 });
  for (const shift of [0, 0.5]) {
    for (const statistics of net.buffers())
      statistics.write((await statistics.read()).map((v) => v + shift) as Float32Array);
    const logits = (await net.lastOf(net.forward(x, EVAL)).read()) as Float32Array;
    const { classes } = await classifier.classify(x);
    const best = (i: number) => {
      const row = [...logits.subarray(4 * i, 4 * i + 4)];
      return row.indexOf(Math.max(...row));
    };
    assert.equal([...classes], [0, 1, 2, 3, 4].map(best));
  }
  net.dispose();
});
