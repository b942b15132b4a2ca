// Losses of methods: schedules by hand, what carries no gradient, what is refused. Values are in the conformance cases
// of kind "loss".

import { backward, randn, type Tensor, tensor } from "../../engine/index.ts";
import {
  annealed,
  defineMethod,
  exitGates,
  type GateOptions,
  hardCgt,
  joint,
  METHODS,
  option,
  safeKd,
  scheduleOnly,
  softCgt,
  type TrainingPlan,
} from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { exitWeightsAt, lossOf as methodLoss } from "./track.ts";

const schedules = suite("exits: exit weights");
const close = (got: readonly number[], want: readonly number[]) => {
  assert.is(got.length, want.length);
  for (const [i, x] of got.entries()) assert.ok(Math.abs(x - want[i]!) < 1e-12, `${got} for ${want}`);
};

schedules("joint weights: one for all, given, linear, Shallow-Deep Networks, normalised", () => {
  const at = { epoch: 2, epochs: 4 };
  close(exitWeightsAt(joint.with({ exitWeights: 0.5 }), 3, at), [0.5, 0.5, 0.5]);
  close(exitWeightsAt(joint.with({ exitWeights: [1, 2, 5], normalise: true }), 3, at), [0.125, 0.25, 0.625]);
  close(exitWeightsAt(joint.with({ exitWeights: [1, 2, 5], sum: 4 }), 3, at), [0.5, 1, 2.5]);
  close(exitWeightsAt(joint.with({ sum: 1.5 }), 3, at), [0.5, 0.5, 0.5]);
  assert.throws(
    () => joint.with({ normalise: true, sum: 3 }),
    /joint: options must make sense together; normalise makes the sum 1; got sum 3 too\./,
  );
  close(exitWeightsAt(joint.with({ exitWeights: { first: 0.2, last: 1 } }), 3, at), [0.2, 0.6, 1]);
  close(exitWeightsAt(joint.with({ exitWeights: { sdn: [0.4, 0.015] } }), 3, at), [0.21, 0.015, 1]);
});

schedules(
  "SAFE-KD's exit weights are the public code's for three exits, and the same for other numbers of them",
  () => {
    const at = { epoch: 1, epochs: 2 };
    close(exitWeightsAt(safeKd.with(), 3, at), [0.3, 0.3, 0.4]);
    close(exitWeightsAt(safeKd.with(), 4, at), [0.25, 0.25, 0.25, 0.25]);
    assert.throws(() => exitWeightsAt(safeKd.with({ exitWeights: [1, 2, 3] }), 4, at), /exitWeights/);
  },
);

schedules("the released exit weights of gated training, at their four exits and between", () => {
  const exitWeights = (exits: number, at: { epoch: number; epochs: number }) =>
    exitWeightsAt(softCgt.with(), exits, at);
  close(exitWeights(4, { epoch: 1, epochs: 300 }), [1, 0.7, 0.4, 0.1]);
  close(exitWeights(4, { epoch: 300, epochs: 300 }), [0.2, 0.5, 0.8, 1]);
  close(exitWeights(3, { epoch: 1, epochs: 2 }), [1, 0.55, 0.1]);
  close(exitWeights(3, { epoch: 2, epochs: 3 }), [0.6, 0.6, 0.55]);
  close(exitWeightsAt(softCgt.with({ anneal: false }), 2, { epoch: 1, epochs: 2 }), [1, 1]);
  close(annealed({ from: [0, 1], to: [1, 1] }, { epoch: 1, epochs: 1 }), [1, 1]);
});

schedules("weights by depth: evenly rising, up to the shares of the MACs, early ones first", () => {
  const at = { epoch: 2, epochs: 4 };
  const of = (name: string, options = {}, exits = 3) => exitWeightsAt(METHODS[name]!.with(options), exits, at);
  close(of("linear"), [1 / 3, 2 / 3, 1]);
  close(of("linear", { first: 0.5, last: 2 }), [0.5, 1.25, 2]);
  // The test's exits cost 1/3, 2/3 and 1 of all.
  close(of("sdn"), [0.01 + 1 / 6, 0.01 + 1 / 3, 1]);
  close(of("sdn", { maxima: [0.4, 0.015] }), [0.21, 0.015, 1]);
  close(of("branchynet"), [1, 1, 0.3]);
});

schedules("phases one after the other are as long as the run, or all of them together", () => {
  const site = { exits: 3, classes: 4, costs: [0.3, 0.6, 1], placeOf: () => ({ exit: 0, isHead: true }) };
  const shares = (name: string, options = {}) =>
    METHODS[name]!.with(options)
      .phases(site)
      .map(({ share = 1 }) => share);
  for (const [name, count] of [
    ["disjoint", 2],
    ["mixed", 2],
    ["layer-wise", 3],
  ] as const) {
    assert.equal(shares(name), new Array(count).fill(1));
    close(shares(name, { equalTotal: true }), new Array(count).fill(1 / count));
  }
  assert.is(shares("branchynet").length, 1);
  assert.is(shares("branchynet", { pretrained: true }).length, 2);
});

schedules(
  "heads on a frozen backbone are trained by Adam, at a rate that stays unless the paper names a schedule",
  () => {
    const site = { exits: 3, classes: 4, costs: [0.3, 0.6, 1], placeOf: () => ({ exit: 0, isHead: true }) };
    const recipes = (name: string, options = {}) =>
      METHODS[name]!.with(options)
        .phases(site)
        .flatMap(({ recipe }) => (recipe ? [recipe] : []));
    const adam = (lr: number, kind = "constant") => ({
      ...{ optimizer: { method: "adam", lr }, schedule: { kind, warmup: 0 } },
    });
    assert.equal(recipes("calexnet"), [adam(1e-3), adam(1e-3)]);
    assert.equal(recipes("calexnet-reference", { lr: 0.1 }), [adam(0.1), adam(0.1)]);
    assert.equal(recipes("ptee"), [adam(1e-2), adam(1e-3)]);
    assert.equal(new Set(recipes("jei-dnn").map((recipe) => JSON.stringify(recipe))).size, 1);
    assert.equal(recipes("jei-dnn")[0], adam(1e-2));
    assert.equal(recipes("ztw"), [adam(1e-2, "cosine"), adam(1e-2, "cosine")]);
    assert.equal(recipes("joint"), [], "everybody else trains as the run does");
  },
);

schedules("one exit alone is refused by all methods in which exits learn from others", async () => {
  const site = { exits: 1, classes: 4, costs: [1], placeOf: () => ({ exit: 0, isHead: true }) };
  for (const [name, method] of Object.entries(METHODS)) {
    if (["joint", "safe-kd", "kd", "dkd"].includes(name)) continue;
    await failsWith(
      () => method.with().phases(site),
      "ArgumentError",
      `${name}: the network must have at least 2 exits; got 1. One exit alone learns nothing from others: train it by joint.`,
    );
  }
});

schedules("refuse what does not fit", async () => {
  await failsWith(
    () => exitWeightsAt(joint.with({ exitWeights: [1, 2] }), 3, { epoch: 1, epochs: 1 }),
    "ShapeError",
    "joint: exitWeights must have one number per exit; got 2 for 3 exits.",
  );
  for (const name of ["joint", "eefp", "imta", "neo-kd", "safe-kd"])
    await failsWith(
      () => exitWeightsAt(METHODS[name]!.with({ exitWeights: 0 }), 3, { epoch: 1, epochs: 1 }),
      "ArgumentError",
      `${name}: some exit weight must be above 0; got [0, 0, 0].`,
    );
  await failsWith(
    () => joint.with({ exitWeights: [1, -2] }),
    "ArgumentError",
    "joint: exitWeights must be one number for all exits, one for each (1,2,3), linear:FIRST,LAST or sdn:FIRST,SECOND,... without the last, all of at least 0; got [1,-2].",
  );
  await failsWith(
    () => softCgt.with({ tau: Number.NaN }),
    "ArgumentError",
    "soft-cgt: tau must be within 0 and 1; got NaN.",
  );
  await failsWith(
    () => exitWeightsAt(softCgt.with(), 3, { epoch: 3, epochs: 2 }),
    "ArgumentError",
    "annealed: the epoch must be in 1..2; got 3.",
  );
});

const test = gpuSuite("exits: objectives");

const labels = [2, 0, 4, 1, 3, 2];

const drawn = () => randn([6, 3, 5], { seed: 9 }).mul(2).detach();

/** Loss of a method on drawn logits [6, 3, 5], and its gradient. */
async function lossOf(
  plan: TrainingPlan,
  exitWeights = exitWeightsAt(plan, 3, { epoch: 1, epochs: 4 }),
  teacher?: Tensor,
) {
  const logits = drawn().requiresGrad();
  const weights = tensor(Float32Array.from(exitWeights));
  const loss = methodLoss(plan, { logits, labels: tensor(Int32Array.from(labels)), exitWeights: weights, teacher });
  backward(loss);
  return { loss: await loss.item(), grad: Array.from(await logits.grad.read()) };
}

/** The weights that gates give to samples and exits, [6 x 3]. */
async function weightsOf(exitWeights: readonly number[], gates: GateOptions) {
  const lambda = tensor(Float32Array.from(exitWeights));
  return Array.from(await exitGates(drawn(), tensor(Int32Array.from(labels)), lambda, gates).weights.read());
}

test("gates carry no gradient: frozen weights give the same one", async () => {
  const method = softCgt.with({ kappa: 15, tau: 0.4, labelSmoothing: 0 });
  const { grad, loss } = await lossOf(method);
  const gates = { mode: "soft", kappa: 15, tau: 0.4, leak: 1e-3, normalise: true } as const;
  const weights = await weightsOf(exitWeightsAt(method, 3, { epoch: 1, epochs: 4 }), gates);
  const logits = drawn().requiresGrad();
  const rows = logits.logSoftmax().mul(tensor(Float32Array.from(weights), { shape: [6, 3, 1] }));
  const picked = labels.map((label, i) => rows.slice({ starts: [i, 0, label], ends: [i + 1, 3, label + 1] }).sum());
  const frozen = picked.reduce((sum, x) => sum.add(x)).mul(-1 / 6);
  backward(frozen);
  assert.ok(Math.abs((await frozen.item()) - loss) < 1e-5);
  for (const [i, x] of (await logits.grad.read()).entries()) assert.ok(Math.abs(x - grad[i]!) < 1e-5, `element ${i}`);
});

test("a control is cross-entropy under the same exit weights, without a teacher and with its gates open", async () => {
  const safe = safeKd.with({ control: true, labelSmoothing: 0.2 });
  assert.is(safe.teacher, undefined);
  const plain = joint.with({ exitWeights: [0.3, 0.3, 0.4], labelSmoothing: 0.2 });
  assert.equal(await lossOf(safe), await lossOf(plain));
  const gated = softCgt.with({ kappa: 15, tau: 0.4 });
  const [control, open] = [softCgt.with({ kappa: 15, tau: 0.4, control: true }), scheduleOnly.with()];
  assert.equal(await lossOf(control), await lossOf(open));
  assert.not.equal((await lossOf(control)).loss, (await lossOf(gated)).loss);
  assert.ok(!("control" in joint.with().options));
});

test("shuffled gates are those of the sample in front", async () => {
  const { loss } = await lossOf(METHODS["shuffled-cgt"]!.with({ gate: "hard", anneal: false, labelSmoothing: 0 }));
  const options = { mode: "hard", tau: 0.5, kappa: 1, leak: 1e-3, normalise: true } as const;
  const weights = await weightsOf([1, 1, 1], options);
  const shifted = [...weights.slice(-3), ...weights.slice(0, -3)];
  const own = await drawn().logSoftmax().read();
  const classes = own.length / 18;
  const each = labels.flatMap((label, i) => [0, 1, 2].map((j) => -own[(3 * i + j) * classes + label]!));
  const expected = each.reduce((sum, ce, at) => sum + ce * shifted[at]!, 0) / labels.length;
  assert.ok(Math.abs(loss - expected) < 1e-5, `${loss} for ${expected}`);
  assert.not.equal(shifted, [...weights]);
});

test("the gates as printed: weights of 1 at the first exit, and products of what earlier ones leave", async () => {
  for (const [gate, tau] of [
    ["soft", 0.9],
    ["hard", 0.5],
    ["confidence", 0.9],
  ] as const) {
    const { loss } = await lossOf(METHODS["plain-cgt"]!.with({ gate }));
    const weights = await weightsOf([1, 1, 1], { mode: gate, tau, kappa: 1, leak: 0, normalise: false });
    labels.forEach((_, i) => {
      assert.is(weights[3 * i], 1);
    });
    const ce = await drawn().logSoftmax().read();
    const want = labels.reduce((sum, label, i) => {
      return sum - [0, 1, 2].reduce((own, j) => own + weights[3 * i + j]! * ce[(3 * i + j) * 5 + label]!, 0) / 6;
    }, 0);
    assert.ok(Math.abs(loss - want) < 1e-5, `${gate}: ${loss} for ${want}`);
  }
});

test("whether its control is trained is no option of the method's own", () => {
  const seen: string[] = [];
  const method = defineMethod({
    name: "own",
    about: "",
    options: { tau: option.number(1, "") },
    phases(options) {
      seen.push(...Object.keys(options));
      return joint.with().phases({ exits: 2, classes: 2, costs: [0.5, 1], placeOf: () => ({ exit: 0, isHead: true }) });
    },
  });
  method.with().phases({ exits: 2, classes: 2, costs: [0.5, 1], placeOf: () => ({ exit: 0, isHead: true }) });
  assert.equal(seen, ["tau"]);
});

test("open gates leave the exit weights as they are", async () => {
  const weights = await weightsOf([1, 2, 5], { mode: "open", leak: 0, normalise: true });
  for (const [i, w] of weights.entries())
    assert.ok(Math.abs(w - [0.125, 0.25, 0.625][i % 3]!) < 1e-6, `weight ${i}: ${w}`);
});

test("a sample that no exit is to learn from weighs nothing, not NaN", async () => {
  // Every answer counts as sure, so whoever is right at the first exit, whose weight is 0, is left without any weight.
  const { loss } = await lossOf(hardCgt.with({ tau: 0, leak: 0 }), [0, 1, 1]);
  const weights = await weightsOf([0, 1, 1], { mode: "hard", tau: 0, leak: 0, normalise: true });
  assert.ok(Number.isFinite(loss));
  const sums = labels.map((_, i) => weights.slice(3 * i, 3 * i + 3).reduce((sum, w) => sum + w, 0));
  assert.ok(sums.every((sum) => sum === 0 || Math.abs(sum - 1) < 1e-6) && sums.includes(0), `sums ${sums}`);
});

test("an exit weight of zero silences an exit; the teacher's side has no gradient", async () => {
  const silent = await lossOf(joint.with(), [0, 1, 1]);
  silent.grad.forEach((g, i) => {
    if (Math.floor(i / 5) % 3 === 0) assert.is(g, 0);
  });
  const teacher = randn([6, 3, 5], { seed: 10 }).requiresGrad();
  await lossOf(safeKd.with(), undefined, teacher);
  assert.not(teacher.hasGrad);
});

test("methods are named with all their options, as JSON", () => {
  const { name, options } = hardCgt.with({ tau: 0.8 });
  assert.is(name, "hard-cgt");
  const all = { tau: 0.8, leak: 0.001, normalise: true, anneal: true, labelSmoothing: 0.1, control: false };
  assert.equal(JSON.parse(JSON.stringify(options)), all);
  assert.is(scheduleOnly.with().name, "schedule-only");
  for (const [key, method] of Object.entries(METHODS)) assert.is(method.with().name, key);
});
