// Objectives: schedules by hand, what carries no gradient, what is refused. Values are in the conformance cases of kind "loss".

import { backward, randn, type Tensor, tensor } from "../../engine/index.ts";
import {
  annealed,
  confidenceGated,
  jointCrossEntropy,
  type Objective,
  safeKd,
  scheduleOnly,
} from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith, suite } from "../harness.ts";

const schedules = suite("exits: exit weights");
const close = (got: readonly number[], want: readonly number[]) => {
  assert.is(got.length, want.length);
  for (const [i, x] of got.entries()) assert.ok(Math.abs(x - want[i]!) < 1e-12, `${got} for ${want}`);
};

schedules("joint weights: one for all, given, linear, Shallow-Deep Networks, normalised", () => {
  const at = { epoch: 2, epochs: 4 };
  close(jointCrossEntropy({ exitWeights: 0.5 }).exitWeights(3, at), [0.5, 0.5, 0.5]);
  close(jointCrossEntropy({ exitWeights: [1, 2, 5], normalise: true }).exitWeights(3, at), [0.125, 0.25, 0.625]);
  close(jointCrossEntropy({ exitWeights: { first: 0.2, last: 1 } }).exitWeights(3, at), [0.2, 0.6, 1]);
  close(jointCrossEntropy({ exitWeights: { sdn: [0.4, 0.015] } }).exitWeights(3, at), [0.21, 0.015, 1]);
});

schedules("the released exit weights of gated training, at their four exits and between", () => {
  const { exitWeights } = confidenceGated();
  close(exitWeights(4, { epoch: 1, epochs: 300 }), [1, 0.7, 0.4, 0.1]);
  close(exitWeights(4, { epoch: 300, epochs: 300 }), [0.2, 0.5, 0.8, 1]);
  close(exitWeights(3, { epoch: 1, epochs: 2 }), [1, 0.55, 0.1]);
  close(exitWeights(3, { epoch: 2, epochs: 3 }), [0.6, 0.6, 0.55]);
  close(confidenceGated({ anneal: false }).exitWeights(2, { epoch: 1, epochs: 2 }), [1, 1]);
  close(annealed({ from: [0, 1], to: [1, 1] }, { epoch: 1, epochs: 1 }), [1, 1]);
});

schedules("refuse what does not fit", async () => {
  await failsWith(
    () => jointCrossEntropy({ exitWeights: [1, 2] }).exitWeights(3, { epoch: 1, epochs: 1 }),
    "ShapeError",
    "jointCrossEntropy: exitWeights must have one number per exit; got 2 for 3 exits.",
  );
  await failsWith(
    () => jointCrossEntropy({ exitWeights: [1, -2] }),
    "ArgumentError",
    "jointCrossEntropy: exitWeights must be one number for all exits, one for each (1,2,3), linear:FIRST,LAST or sdn:FIRST,SECOND,... without the last, all of at least 0; got [1,-2].",
  );
  await failsWith(
    () => confidenceGated({ tau: Number.NaN }),
    "ArgumentError",
    "confidenceGated: tau must be within 0 and 1; got NaN.",
  );
  await failsWith(
    () => confidenceGated({ gate: "firm" as "hard" }),
    "ArgumentError",
    'confidenceGated: gate must be one of soft, hard, confidence, open; got "firm".',
  );
  await failsWith(
    () => confidenceGated().exitWeights(3, { epoch: 3, epochs: 2 }),
    "ArgumentError",
    "annealed: the epoch must be in 1..2; got 3.",
  );
});

const test = gpuSuite("exits: objectives");

const labels = [2, 0, 4, 1, 3, 2];

/** Loss of an objective on drawn logits [6, 3, 5], its gradient, and the weights it used. */
async function lossOf(
  objective: Objective,
  exitWeights = objective.exitWeights(3, { epoch: 1, epochs: 4 }),
  teacher?: Tensor,
) {
  const logits = randn([6, 3, 5], { seed: 9 }).mul(2).detach().requiresGrad();
  const batch = {
    logits,
    labels: tensor(Int32Array.from(labels)),
    exitWeights: tensor(Float32Array.from(exitWeights)),
    teacher,
  };
  const { loss, weights } = objective.losses(batch);
  backward(loss);
  return {
    loss: await loss.item(),
    grad: Array.from(await logits.grad.read()),
    weights: weights && Array.from(await weights.read()),
  };
}

test("gates carry no gradient: frozen weights give the same one", async () => {
  const objective = confidenceGated({ gate: "soft", kappa: 15, tau: 0.4, labelSmoothing: 0 });
  const { grad, weights, loss } = await lossOf(objective);
  const logits = randn([6, 3, 5], { seed: 9 }).mul(2).detach().requiresGrad();
  const rows = logits.logSoftmax().mul(tensor(Float32Array.from(weights!), { shape: [6, 3, 1] }));
  const picked = labels.map((label, i) => rows.slice({ starts: [i, 0, label], ends: [i + 1, 3, label + 1] }).sum());
  const frozen = picked.reduce((sum, x) => sum.add(x)).mul(-1 / 6);
  backward(frozen);
  assert.ok(Math.abs((await frozen.item()) - loss) < 1e-5);
  for (const [i, x] of (await logits.grad.read()).entries()) assert.ok(Math.abs(x - grad[i]!) < 1e-5, `element ${i}`);
});

test("open gates leave the exit weights as they are", async () => {
  const { weights } = await lossOf(scheduleOnly({ leak: 0 }), [1, 2, 5]);
  for (const [i, w] of weights!.entries())
    assert.ok(Math.abs(w - [0.125, 0.25, 0.625][i % 3]!) < 1e-6, `weight ${i}: ${w}`);
});

test("a sample that no exit is to learn from weighs nothing, not NaN", async () => {
  // Every answer counts as sure, so whoever is right at the first exit, whose weight is 0, is left without any weight.
  const { weights, loss } = await lossOf(confidenceGated({ gate: "hard", tau: 0, leak: 0 }), [0, 1, 1]);
  assert.ok(Number.isFinite(loss));
  const sums = labels.map((_, i) => weights!.slice(3 * i, 3 * i + 3).reduce((sum, w) => sum + w, 0));
  assert.ok(sums.every((sum) => sum === 0 || Math.abs(sum - 1) < 1e-6) && sums.includes(0), `sums ${sums}`);
});

test("an exit weight of zero silences an exit; the teacher's side has no gradient", async () => {
  const silent = await lossOf(jointCrossEntropy(), [0, 1, 1]);
  silent.grad.forEach((g, i) => {
    if (Math.floor(i / 5) % 3 === 0) assert.is(g, 0);
  });
  const teacher = randn([6, 5], { seed: 10 }).requiresGrad();
  await lossOf(safeKd(), undefined, teacher);
  assert.not(teacher.hasGrad);
});

test("objectives are named with all their options, as JSON", () => {
  const { name, options } = confidenceGated({ gate: "hard", tau: 0.8 });
  assert.is(name, "confidenceGated");
  const all = { gate: "hard", tau: 0.8, kappa: 1, leak: 0.001, normalise: true, anneal: true, labelSmoothing: 0.1 };
  assert.equal(JSON.parse(JSON.stringify(options)), all);
  assert.is(scheduleOnly().name, "scheduleOnly");
});
