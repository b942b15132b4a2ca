// Images changed so as to be answered wrong: within their bounds, worse answered, and nothing of the network moves.

import { packBytes } from "../../base/index.ts";
import { Generator, mean, normaliseImages, read, type Tensor, tensor } from "../../engine/index.ts";
import { exitCrossEntropy, neoKd, orthogonalLosses, stackRecords, train } from "../../exits/index.ts";
import { attacked } from "../../exits/training/attack.ts";
import { EVAL } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { barSplits, joint, quiet, smallNet } from "./small.ts";
import { lossOf, trackOf } from "./track.ts";

const test = gpuSuite("exits: attacks");
const data = barSplits();
const { mean: means, std } = data.train.meta;

test("attacked images are near the given ones, are images, and are answered worse; the network stays", async () => {
  using net = smallNet();
  (await train(net, data, { ...quiet, epochs: 4, optimizer: { lr: 0.05 }, method: joint })).dispose();
  const before = await read([...net.state().values()]);
  const shape = [72, 8, 8, 1];
  const images = normaliseImages(tensor(packBytes(data.train.images, 72 * 16), { dtype: "u32" }), {
    shape,
    mean: means,
    std,
  });
  const labels = tensor(data.train.labels);
  const lossOf = async (x: Tensor) => {
    const { logits } = stackRecords(net.records(x, EVAL));
    return mean(exitCrossEntropy({ logits, labels, mixed: undefined }, 0)).item();
  };
  const generator = new Generator({ seed: 1 });
  for (const parameter of net.parameters()) parameter.zeroGrad();
  const epsilon = 0.1;
  const worse = attacked(net, images, labels, { epsilon, stepSize: 0.05, steps: 4 }, { mean: means, std, generator });
  const [clean, changed] = (await read([images, worse])) as Float32Array[];
  const pixel = (value: number) => value * std[0]! + means[0]!;
  const moved = Array.from(changed!, (value, i) => Math.abs(pixel(value) - pixel(clean![i]!)));
  assert.ok(Math.max(...moved) <= epsilon + 1e-6, `${Math.max(...moved)}`);
  assert.ok(changed!.every((value) => pixel(value) >= -1e-6 && pixel(value) <= 1 + 1e-6));
  const random = attacked(net, images, labels, { epsilon, stepSize: 1e-9, steps: 1 }, { mean: means, std, generator });
  const losses = [await lossOf(images), await lossOf(random), await lossOf(worse)];
  // By steps, and not by the noise that they start from.
  assert.ok(losses[2]! > 1.05 * Math.max(losses[0]!, losses[1]!), losses.join(" "));
  assert.ok(net.parameters().every((parameter) => !parameter.hasGrad));
  assert.equal(await read([...net.state().values()]), before);
  await failsWith(
    () =>
      attacked(net, images, labels, { epsilon, stepSize: 0.05, steps: 1 }, { mean: [0, 0], std: [1, 1], generator }),
    "ArgumentError",
    "attack: there must be a deviation for each of 1 channels; got 2.",
  );
  generator.dispose();
});

test("an exit that keeps the label alone says the label, however wrong it is", async () => {
  const clean = tensor([0, 200, 0, 200, 0, 200]).reshape([1, 3, 2]);
  const attacked = tensor([1, 0, 1, 0, 1, 0]).reshape([1, 3, 2]);
  const found = await orthogonalLosses({ clean, attacked, labels: tensor(Int32Array.of(0)) }).read();
  // The first has the wrong class, of which it is sure.
  const [wrong, right] = [Math.log1p(Math.E), Math.log1p(1 / Math.E)];
  for (const [j, want] of [wrong, right, right].entries())
    assert.ok(Math.abs(found[j]! - want) < 1e-6, `${found[j]} for ${want}`);
});

test("its control is attacked too, and learns by labels alone", async () => {
  const batch = {
    logits: tensor([1, 0, -1, 0, 2, 1]).reshape([1, 2, 3]),
    attacked: tensor([0, 1, 0, 1, 1, -2]).reshape([1, 2, 3]),
    labels: tensor(Int32Array.of(1)),
    exitWeights: tensor([1, 1]),
  };
  const [control, labelsAlone, whole] = [{ control: true }, { alpha: 0, beta: 0 }, {}].map((o) => neoKd.with(o));
  assert.equal(trackOf(control!, 2).attack, trackOf(whole!, 2).attack);
  assert.is(await lossOf(control!, batch).item(), await lossOf(labelsAlone!, batch).item());
  assert.ok((await lossOf(whole!, batch).item()) > (await lossOf(control!, batch).item()) + 1);
});
