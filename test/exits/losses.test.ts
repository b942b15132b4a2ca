// Losses of published methods: values and gradients against formulas in float64, what they reduce to, what carries no
// gradient, and vanishing probabilities. More values are in the conformance cases of kind "loss".

import {
  add,
  backward,
  capture,
  crossEntropy,
  exp,
  logSoftmax,
  mean,
  mul,
  ones,
  randn,
  read,
  reshape,
  slice,
  softmax,
  sum,
  type Tensor,
  tensor,
  zeros,
} from "../../engine/index.ts";
import {
  boostedLogits,
  boostLosses,
  calexnetLosses,
  erdeLosses,
  exitStatistics,
  gradientEquilibrium,
  jeiDnnLosses,
  kd,
  pteeLoss,
  selfDistillation,
  ztwEnsemble,
  ztwHead,
} from "../../exits/index.ts";
import { checkCase } from "../engine/ops/check.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { caseOf, FORMULAS } from "./loss-formulas.ts";

const formulas = gpuSuite("exits: losses agree with their formulas in float64");
for (const [name, formula] of Object.entries(FORMULAS)) {
  formulas(name, async () => {
    for (const seed of [1, 2, 3]) await checkCase(device(), name, caseOf(formula), seed);
  });
}

const test = gpuSuite("exits: losses");

const drawn = (shape: readonly number[], seed: number, scale = 2): Tensor => randn(shape, { seed }).mul(scale).detach();
const LABELS = [2, 0, 4, 1, 3, 2];
const labels = () => tensor(Int32Array.from(LABELS));

async function alike(got: Tensor, want: Tensor, tolerance = 2e-6) {
  assert.equal(got.shape, want.shape);
  const [a, b] = (await read([got, want])) as [Float32Array, Float32Array];
  a.forEach((x, i) => {
    assert.ok(Math.abs(x - b[i]!) <= tolerance * (1 + Math.abs(b[i]!)), `element ${i}: ${x} for ${b[i]}`);
  });
}
const allOf = async (x: Tensor, is: (value: number) => boolean) => {
  const values = Array.from((await x.read()) as Float32Array);
  assert.ok(values.every(is), `${values}`);
};

test("ERDE without entropy, with a teacher that is always heard, is cross-entropy and distillation", async () => {
  const [student, teacher] = [drawn([6, 3, 5], 1), drawn([6, 3, 5], 2).requiresGrad()];
  student.requiresGrad();
  const options = { gamma: 0, klWhenTeacherWrong: "keep", alpha: 0.7, ceWeight: 0.4, temperature: 2 } as const;
  const losses = erdeLosses(student, teacher, labels(), options);
  const hard = crossEntropy(student, labels(), { reduction: "none" });
  await alike(losses, add(mul(hard, 0.4), mul(kd(student, teacher, { temperature: 2 }), 0.7)));
  backward(mean(losses));
  assert.ok(student.hasGrad);
  assert.not(teacher.hasGrad);
});

test("ERDE rewards doubt where the teacher is wrong, and at the last exit only if told to", async () => {
  const student = drawn([6, 3, 5], 1);
  const wrong = tensor(LABELS.map((y) => [0, 1, 2].map(() => [0, 1, 2, 3, 4].map((c) => Number(c === (y + 1) % 5)))));
  const base = { gamma: 1, ceWeight: 0 } as const;
  const doubt = (options: object) => erdeLosses(student, wrong, labels(), { ...base, ...options });
  const log = logSoftmax(student);
  const entropies = mul(sum(mul(exp(log), log), { dim: -1 }), 1 / Math.log(5));
  const mask = tensor([[1, 1, 0]]);
  await alike(doubt({}), mul(entropies, mask));
  await alike(doubt({ entropyLastExit: true, entropySign: -1 }), mul(entropies, -1));
  const divergence = add(mul(mean(log, { dim: -1 }), -1), -Math.log(5));
  await alike(doubt({ entropyVariant: "klUniform" }), mul(divergence, mask));
  await alike(doubt({ gateOn: "final", entropyLastExit: true }), entropies);
});

test("CalexNet's first branch learns from all samples alike; thresholds out of reach hand everything on", async () => {
  const [logits, backbone] = [drawn([6, 3, 5], 1).requiresGrad(), drawn([6, 5], 2).requiresGrad()];
  const never = tensor(new Float32Array(15).fill(Number.POSITIVE_INFINITY), { shape: [3, 5] });
  const { loss, exitLosses, survival, weights } = calexnetLosses(logits, backbone, never);
  await alike(survival, ones([6, 3]), 0);
  await alike(weights, ones([6, 3]));
  await alike(exitLosses, mean(kd(logits, reshape(backbone, [6, 1, 5]), { temperature: 4 }), { dim: 0 }));
  backward(loss);
  assert.ok(logits.hasGrad);
  assert.not(backbone.hasGrad);
  const alone = calexnetLosses(slice(logits, { ends: [6, 1] }), backbone, slice(never, { ends: [1] }));
  await alike(alone.weights, ones([6, 1]));
});

test("CalexNet's weights have mean 1 even if no sample is likely to get that far", async () => {
  const { survival, weights, loss } = calexnetLosses(drawn([6, 3, 5], 1), drawn([6, 5], 2), zeros([3, 5]), {
    kappa: 1e-3,
    floor: 0,
  });
  await allOf(slice(survival, { starts: [0, 1] }), (x) => x === 0);
  await alike(mean(weights, { dim: 0 }), ones([3]), 1e-3);
  assert.ok(Number.isFinite(await loss.item()));
});

test("PTEEnet that trusts its first exit is that exit's cross-entropy; one that trusts none, the last's", async () => {
  const logits = drawn([6, 3, 5], 1);
  const of = (exit: number) =>
    crossEntropy(reshape(slice(logits, { starts: [0, exit], ends: [6, exit + 1] }), [6, 5]), labels());
  const options = { costs: [0.25, 0.5, 1], lambda: 0.5 };
  for (const [trust, exit, cost] of [
    [1e4, 0, 0.25],
    [-1e4, 2, 1],
  ] as const) {
    const confidence = mul(ones([6, 2]), trust)
      .detach()
      .requiresGrad();
    const found = pteeLoss(logits, confidence, labels(), options);
    await alike(found.loss, add(of(exit), 0.5 * cost));
    await alike(found.cost, mul(ones([6]), cost));
    backward(found.loss);
    await allOf(confidence.grad, Number.isFinite);
  }
});

test("PTEEnet's mixture is a distribution, and its loss stays finite where all probabilities vanish", async () => {
  const hopeless = tensor([[0, 1, 2].map(() => [0, 300])]).requiresGrad();
  const confidence = zeros([1, 2]).requiresGrad();
  const { loss, mixture } = pteeLoss(hopeless, confidence, tensor(Int32Array.of(0)), { costs: [0, 0, 0] });
  await alike(loss, tensor(300));
  await alike(sum(mixture, { dim: 1 }), ones([1]));
  backward(loss);
  await alike(sum(hopeless.grad, { dim: 1 }), tensor([[-0.75, 0.75]]));
});

test("PTEEnet's last exit gets a gradient only if asked for", async () => {
  for (const detachFinal of [true, false]) {
    const logits = drawn([6, 3, 5], 1).requiresGrad();
    backward(pteeLoss(logits, drawn([6, 2], 2), labels(), { costs: [0.25, 0.5, 1], detachFinal }).loss);
    await allOf(slice(logits.grad, { starts: [0, 2] }), (g) => (g === 0) === detachFinal);
  }
});

test("BoostNet with t = 0 is a plain sum of cross-entropies; with t, gradients stay with an exit's own increment", async () => {
  const increments = drawn([6, 3, 5], 1).requiresGrad();
  const plain = mul(crossEntropy(increments, labels()), 3);
  await alike(boostLosses(increments, labels(), { t: 0 }).loss, plain);
  const { loss, additive } = boostLosses(increments, labels(), { t: 0.5 });
  await alike(additive, boostedLogits(increments), 0);
  const leaf = additive.detach().requiresGrad();
  backward(loss);
  backward(mul(crossEntropy(leaf, labels()), 3));
  await alike(increments.grad, leaf.grad);
});

test("the ensemble of one exit is a softmax of scaled log-probabilities; weights above the diagonal are not used", async () => {
  const logits = drawn([6, 1, 5], 1);
  const scaled = softmax(mul(logSoftmax(logits), Math.exp(0.7)));
  await alike(softmax(ztwEnsemble(logits, tensor([[0.7]]), zeros([1, 5]))), scaled);
  const weights = tensor([
    [0, 500, 1e20],
    [0.1, 0.2, -500],
    [0.3, 0.4, 0.5],
  ]).requiresGrad();
  const losses = crossEntropy(ztwEnsemble(drawn([6, 3, 5], 2), weights, zeros([3, 5])), labels());
  assert.ok(Number.isFinite(await losses.item()));
  backward(losses);
  const g = Array.from(await weights.grad.read());
  g.forEach((x, i) => {
    assert.is(x !== 0, i % 3 <= Math.floor(i / 3), `gradients ${g}`);
  });
});

test("a cascaded head sees the one before, and gives it no gradient", async () => {
  const parameters = {
    normWeight: ones([5]),
    normBias: zeros([5]),
    weight: drawn([9, 5], 3),
    bias: drawn([5], 4),
  };
  const [features, previous] = [drawn([6, 4], 1).requiresGrad(), drawn([6, 5], 2).requiresGrad()];
  const logits = ztwHead(features, previous, parameters);
  backward(crossEntropy(logits, labels()));
  assert.ok(features.hasGrad);
  assert.not(previous.hasGrad);
  // Layer norm takes no notice of scale.
  await alike(
    ztwHead(features, mul(previous, 100), parameters, { eps: 1e-12 }),
    ztwHead(features, previous, parameters),
    1e-4,
  );
});

test("self-distillation: labels alone with a = b = 0; the last exit teaches and is not taught", async () => {
  const [logits, features] = [drawn([6, 3, 5], 1).requiresGrad(), drawn([6, 3, 4], 2).requiresGrad()];
  await alike(
    selfDistillation(logits, features, labels(), { a: 0, b: 0 }).loss,
    mul(crossEntropy(logits, labels()), 3),
  );
  backward(selfDistillation(logits, features, labels(), { a: 1, b: 1 }).loss);
  for (const { grad } of [logits, features]) {
    await allOf(slice(grad, { starts: [0, 2] }), (g) => g === 0);
    await allOf(slice(grad, { ends: [6, 2] }), (g) => g !== 0);
  }
  const single = (x: Tensor) => slice(x, { ends: [6, 1] });
  const { kd: answers, hint } = selfDistillation(single(logits), single(features), labels());
  assert.equal([await answers.item(), await hint.item()], [0, 0]);
});

test("gradient equilibrium keeps values, and weighs what comes back", async () => {
  const x = drawn([2, 3], 1);
  for (const [exit, wants] of [
    [0, [1 / 3, 2 / 3]],
    [1, [1 / 2, 1 / 2]],
    [2, [1, 0]],
  ] as const) {
    const leaf = x.detach().requiresGrad();
    const { classifier, onward } = gradientEquilibrium(leaf, { exit, exits: 3 });
    await alike(classifier, x, 0);
    await alike(onward, x, 0);
    backward(sum(add(mul(classifier, 10), onward)));
    await alike(leaf.grad, mul(ones([2, 3]), 10 * wants[0] + wants[1]));
  }
});

const GATES = () => ({ weight: drawn([2, 4], 5).requiresGrad(), bias: drawn([2], 6).requiresGrad() });

test("JEI-DNN: classifiers and gates do not reach each other; exit probabilities add up to 1", async () => {
  const logits = drawn([6, 3, 5], 1).requiresGrad();
  const gates = GATES();
  const found = jeiDnnLosses(logits, labels(), gates, { costs: [0.25, 0.5, 1] });
  await alike(sum(found.exitProbabilities, { dim: 1 }), ones([6]));
  await alike(found.statistics, exitStatistics(logits), 0);
  // The ratio gives a sample's loss the size that it has without gates.
  await alike(found.classifierLoss, mul(crossEntropy(logits, labels()), 3));
  backward(found.classifierLoss);
  assert.not(gates.weight.hasGrad || gates.bias.hasGrad);
  logits.zeroGrad();
  backward(found.gateLoss);
  assert.ok(gates.weight.hasGrad && gates.bias.hasGrad);
  assert.not(logits.hasGrad);
});

test("JEI-DNN's statistics of a uniform and of a sure answer", async () => {
  const statistics = exitStatistics(
    tensor([
      [
        [1, 1, 1, 1],
        [500, 0, 0, 0],
      ],
    ]),
  );
  const log = Math.log(4);
  await alike(
    statistics,
    tensor([
      [
        [0.25, log, 0, log],
        [1, 0, 1, 0],
      ],
    ]),
  );
});

test("JEI-DNN stays finite where there is nothing left to learn", async () => {
  const sure = mul(reshape(tensor(LABELS.map((y) => [0, 1, 2, 3, 4].map((c) => Number(c === y)))), [6, 1, 5]), 500);
  const logits = add(sure, zeros([6, 3, 5]))
    .detach()
    .requiresGrad();
  const { classifierLoss, gateTargets } = jeiDnnLosses(logits, labels(), GATES(), { costs: [0.25, 0.5, 1] });
  assert.is(await classifierLoss.item(), 0);
  backward(classifierLoss);
  await allOf(logits.grad, (g) => g === 0);
  // The first exit is as good as any, and costs least.
  await allOf(gateTargets, (target) => target === 1);
});

test("JEI-DNN balances leaving and staying, and gates learn to stay where nobody is to leave", async () => {
  const early = zeros([6, 2, 5]);
  const last = reshape(tensor(LABELS.map((y) => [0, 1, 2, 3, 4].map((c) => 500 * Number(c === y)))), [6, 1, 5]);
  const logits = add(
    early.pad([
      [0, 0],
      [0, 1],
      [0, 0],
    ]),
    last.pad([
      [0, 0],
      [2, 0],
      [0, 0],
    ]),
  );
  const gates = { weight: zeros([2, 4]), bias: tensor([3, -3]) };
  const { gateLoss, gateTargets } = jeiDnnLosses(logits, labels(), gates, { costs: [0.25, 0.5, 1] });
  await allOf(gateTargets, (target) => target === 0);
  await alike(gateLoss, tensor((Math.log(1 + Math.exp(3)) + Math.log(1 + Math.exp(-3))) / 2));
});

test("all of them can be captured, and give the same numbers", async () => {
  const [logits, other, confidence] = [drawn([6, 3, 5], 1), drawn([6, 3, 5], 2), drawn([6, 2], 3)];
  const [y, costs] = [labels(), [0.25, 0.5, 1]];
  const [tau, square] = [mul(ones([3, 5]), 0.4), drawn([3, 3], 4, 0.1)];
  const gates = { weight: drawn([2, 4], 5), bias: drawn([2], 6) };
  const step = (z: Tensor) => [
    erdeLosses(z, other, y),
    calexnetLosses(z, reshape(slice(other, { ends: [6, 1] }), [6, 5]), tau).loss,
    pteeLoss(z, confidence, y, { costs }).loss,
    boostLosses(z, y).loss,
    ztwEnsemble(z, square, zeros([3, 5])),
    selfDistillation(z, other, y).loss,
    ...Object.values(jeiDnnLosses(z, y, gates, { costs })),
  ];
  using captured = await capture({ inputs: { z: logits } }, ({ z }) => step(z));
  const [eager, replayed] = [await read(step(logits)), await read(captured.run({ z: logits }))];
  assert.equal(replayed, eager);
});
