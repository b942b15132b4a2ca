// Classifier, training step and evaluator, while the network that they were made of is trained, forgotten or disposed.

import { Generator, keep, openScope } from "../../engine/index.ts";
import { type Classifier, deploy, Evaluator, type MultiExit, train, weightsDigest } from "../../exits/index.ts";
import { Totals } from "../../exits/training/evaluator.ts";
import { siteOf } from "../../exits/training/site.ts";
import { TrainingStep } from "../../exits/training/step.ts";
import { SGD } from "../../nn/index.ts";
import { collect, forgetting, poison } from "../collect.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { barSplits, bars, joint, quiet, smallNet } from "./small.ts";

const test = gpuSuite("exits: networks that go", { timeout: 120_000 });
test.before(() => device().pool.trim());
const set = bars(75, "test", 500);
const options = { batch: 32, normalise: { mean: set.meta.mean, std: set.meta.std } };
const policy = { thresholds: [0.4, 0.5] };

async function answersOf(classifier: Classifier) {
  const { classes, exits, scores } = await classifier.classify(set.images);
  return { classes: [...classes], exits: [...exits], scores: [...scores] };
}

/** A network that no scope will free. */
function ownNet(): MultiExit {
  const net = smallNet(3);
  for (const tensor of net.state().values()) keep(tensor);
  return net;
}

test("a classifier that was deployed before training answers as one that is deployed after it", async () => {
  const net = smallNet(3);
  const [early, evaluator] = [await deploy(net, policy, options), await Evaluator.record(net, set, 32)];
  const untrained = await answersOf(early);
  using _ = await train(net, barSplits(), { ...quiet, epochs: 4, method: joint });
  await poison(device());
  const [late, again] = [await deploy(net, policy, options), await Evaluator.record(net, set, 32)];
  assert.equal(await answersOf(early), await answersOf(late));
  assert.not.equal((await answersOf(early)).classes, untrained.classes);
  assert.equal(await evaluator.logits(set), await again.logits(set));
  for (const made of [early, late, evaluator, again, net]) made.dispose();
});

test("a classifier is all that need be kept of a network", () =>
  forgetting(device(), async () => {
    const [net, classifier] = [ownNet(), await (async () => deploy(ownNet(), policy, options))()];
    const other = await deploy(net, policy, options);
    const expected = await answersOf(other);
    for (let i = 0; i < 2; i++) {
      await collect();
      await poison(device());
      assert.equal(await answersOf(classifier), expected);
    }
    for (const made of [classifier, other, net]) made.dispose();
  }));

test("a classifier goes on where a scope took its network, and has seen no change", async () => {
  const scoped = openScope();
  const net = smallNet(3);
  const origin = { exits: 3, classes: 4, weights: await weightsDigest(net.state().values()) };
  const classifier = await deploy(net, { ...policy, origin }, options);
  const expected = await answersOf(classifier);
  scoped.dispose();
  await poison(device());
  assert.equal(await answersOf(classifier), expected);
  assert.ok(classifier.isOriginChecked);
  classifier.dispose();
});

test("a forgotten classifier is freed and counted", async () => {
  const net = smallNet(3);
  const { leaked } = device().memory();
  await forgetting(device(), async () => {
    await (await deploy(net, policy, options)).classify(set.images);
  });
  assert.ok(device().memory().leaked > leaked);
  net.dispose();
});

test("with its network disposed, and after its own end, a classifier refuses", async () => {
  const net = smallNet(3);
  const [classifier, evaluator] = [await deploy(net, policy, options), await Evaluator.record(net, set, 32)];
  await classifier.classify(set.images);
  net.dispose();
  await poison(device());
  const gone =
    'capture "evaluation": what the step reads and writes must be alive; got f32[3, 3, 1, 4], an operand of conv2d, which was disposed. Keep it as long as the capture, or capture again.';
  const disposed = "classify: the network must be alive; its backbone.conv1.weight was disposed.";
  await failsWith(() => classifier.classify(set.images), "DisposedError", disposed);
  await failsWith(() => evaluator.logits(set), "DisposedError", gone);
  classifier.dispose();
  const end = "classify: the classifier must be alive; it was disposed.";
  await failsWith(() => classifier.classify(set.images), "DisposedError", end);
  evaluator.dispose();
});

test("a training step is all that need be kept of a network and its optimiser", () =>
  forgetting(device(), async () => {
    const record = async () => {
      const net = ownNet();
      const optimizer = new SGD(net.flat(), { lr: 0.1, momentum: 0.9 });
      const [generator, totals] = [new Generator({ seed: 1, device: device() }), new Totals(net.exits, device())];
      const [track] = joint.phases(siteOf(net))[0].tracks;
      const parts = { net, optimizer, track, set, batch: 16, flip: 0.5, numbers: new Map(), generator, totals };
      return { step: await TrainingStep.record(parts), totals, generator };
    };
    const [still, moving] = [await record(), await record()];
    const losses: number[][] = [[], []];
    for (const [k, { step, totals }] of [still, moving].entries()) {
      for (let i = 0; i < 4; i++) {
        if (k === 1) {
          await collect();
          await poison(device());
        }
        const [images, labels] = [set.images.slice(1024 * i, 1024 * (i + 1)), set.labels.slice(16 * i, 16 * (i + 1))];
        step.run({ images, labels }, { exitWeights: [1, 1, 1] }, 0.1);
        losses[k]?.push((await totals.take()).loss);
      }
    }
    assert.ok(losses[0]?.every(Number.isFinite));
    assert.equal(losses[1], losses[0]);
    for (const made of [still, moving].flatMap((each) => Object.values(each))) made.dispose();
  }));
