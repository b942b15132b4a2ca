// Methods that distil: their losses against formulas in float64, the teachers they name, and what they refuse.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backward, full, randn, readSafetensors, type Tensor, tensor, zeros } from "../../engine/index.ts";
import {
  architectureOf,
  buildNetwork,
  byot,
  deeperExitsLoss,
  describeProgress,
  distilLater,
  distilNext,
  decoupledDistillation as dkd,
  erde,
  imta,
  knowledgeDistillation as kd,
  type Method,
  type MultiExit,
  multiExit,
  type Phase,
  type Progress,
  phuongLampert,
  RUN_FILES,
  safeKd,
  type TrainingPlan,
  train,
} from "../../exits/index.ts";
import { inline } from "../../exits/network/heads/inline.ts";
import { siteOf as siteIn } from "../../exits/training/site.ts";
import {
  type Backbone,
  convnext,
  EVAL,
  efficientnet,
  mobilenetV3,
  msdnet,
  resnet,
  TRAIN,
  vit,
} from "../../nn/index.ts";
import { checkCase } from "../engine/ops/check.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { FORMULAS } from "./distillation-formulas.ts";
import { caseOf } from "./loss-formulas.ts";
import { barSplits, quiet, smallNet, weightsOf } from "./small.ts";
import { exitWeightsAt, lossOf, siteOf, trackOf } from "./track.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-distillation-"));

const formulas = gpuSuite("exits: methods that distil agree with their formulas in float64", { timeout: 120_000 });
for (const [name, formula] of Object.entries(FORMULAS))
  formulas(name, () => checkCase(device(), name, caseOf(formula), 1));

const test = suite("exits: methods that distil");

test("exits learn from a larger network by the mean over exits, unless told otherwise", () => {
  for (const method of [kd, dkd, erde] as readonly Method[]) {
    assert.equal(method.with().teacher, { kind: "network", method: "joint", wider: 2, deeper: 2 });
    assert.equal(method.with({ wider: 3, teacherMethod: "safe-kd" } as object).teacher, {
      kind: "network",
      method: "safe-kd",
      wider: 3,
      deeper: 2,
    });
    assert.equal(exitWeightsAt(method.with(), 4), [0.25, 0.25, 0.25, 0.25]);
    assert.equal(exitWeightsAt(method.with({ exitWeights: [1, 3], normalise: false } as object), 2), [1, 3]);
  }
});

test("DKD's teacher is heard more and more over the first twelfth of the epochs", () => {
  const ramp = (epoch: number, epochs: number, warmup?: number) =>
    trackOf(dkd.with(warmup === undefined ? {} : { warmup }), 3).ramp!({ epoch, epochs });
  assert.equal(
    [1, 10, 20, 240].map((epoch) => ramp(epoch, 240)),
    [0.05, 0.5, 1, 1],
  );
  assert.equal([ramp(1, 5), ramp(1, 4, 1), ramp(4, 4, 1), ramp(1, 4, 0)], [1, 0.25, 1, 1]);
});

test("SAFE-KD learns from its averages, from a larger network, or from itself as it is half-way", () => {
  assert.equal(safeKd.with().teacher, { kind: "average", decay: 0.999, warmup: false });
  assert.equal(safeKd.with({ emaWarmup: true, emaDecay: 0.9 }).teacher, { kind: "average", decay: 0.9, warmup: true });
  const larger = { kind: "network", method: "joint", wider: 4, deeper: 2 };
  assert.equal(safeKd.with({ teacher: "network", wider: 4 }).teacher, larger);
  const itself = safeKd.with({ teacher: "self" });
  assert.equal(itself.teacher, { kind: "self" });
  const phases = itself.phases(siteOf(3));
  assert.equal(
    phases.map(({ name, share, isTaught }) => [name, share, isTaught ?? true]),
    [
      ["labels", 0.5, false],
      ["training", 0.5, true],
    ],
  );
});

const running = gpuSuite("exits: methods that distil, at work", { timeout: 120_000 });

running.after(() => rmSync(folder, { recursive: true }));

/** What a run of eight steps tells, and the tensors of its last checkpoint. */
async function run(method: TrainingPlan, name: string) {
  const events: Progress[] = [];
  const net = smallNet();
  const first = new Map(
    await Promise.all([...net.state()].map(async ([of, x]) => [of, [...(await x.read())]] as const)),
  );
  const dir = join(folder, name);
  (await train(net, barSplits(), { ...quiet, method, dir, report: (event) => void events.push(event) })).dispose();
  net.dispose();
  const { tensors } = await readSafetensors(join(dir, RUN_FILES.last));
  return { notes: events.flatMap((event) => (event.kind === "note" ? [event.text] : [])), tensors, first };
}

running("a run says when its averaged teacher is too slow for it, and only then", async () => {
  const slow =
    "the averaged teacher is too slow for 8 steps: 99.2 % of it will still be the first weights. A decay of at most 0.5623, or a warm-up of the decay mends it.";
  assert.equal((await run(safeKd.with(), "slow")).notes, [slow]);
  for (const [name, options] of Object.entries({
    fast: { emaDecay: 0.5623 },
    warm: { emaWarmup: true },
    self: { teacher: "self" },
  } as const))
    assert.equal((await run(safeKd.with(options), name)).notes, [], name);
  const { notes } = await run(safeKd.with({ emaDecay: 0.563 }), "hardly");
  assert.match(notes.join(), /1.0 % of it/);
  assert.match(describeProgress({ kind: "note", step: 0, text: slow }), /^note: the averaged teacher/);
});

running("warmed up, the averages forget the first weights", async () => {
  const { tensors, first } = await run(safeKd.with({ emaWarmup: true }), "warm averages");
  const still = await run(safeKd.with(), "cold averages");
  const [of, values] = [...first].find(([key]) => key.endsWith("weight"))!;
  const distance = (held: typeof tensors) =>
    Math.max(...Array.from(held.get(`teacher.${of}`)!.data, Number).map((x, i) => Math.abs(x - values[i]!)));
  assert.ok(distance(tensors) > 10 * distance(still.tensors));
});

test("the scale of distillation-based training is in its exit weights, and in those of its control", () => {
  for (const control of [false, true])
    assert.equal(exitWeightsAt(phuongLampert.with({ exitWeights: [1, 2, 3], scale: 6, control }), 3), [2, 4, 6]);
});

running("the temperature rises while the softened last exit is too sure, and stays else", async () => {
  const labels = tensor(Int32Array.of(0, 1, 2, 3));
  const exitWeights = tensor([1, 1, 1]);
  const [flat, sure] = [zeros([4, 3, 300]), randn([4, 3, 300], { seed: 1 }).mul(200)];
  const after = async (logits: Tensor, start: number, options = {}) => {
    const temperature = full([], start);
    lossOf(phuongLampert.with(options), { logits, labels, exitWeights, numbers: { temperature } });
    return temperature.item();
  };
  assert.is(await after(sure, 2), Math.fround(2 * Math.fround(1.05)));
  assert.is(await after(flat, 2), 2);
  assert.is(await after(sure, 2, { growth: 1 }), 2);
  assert.is(await after(flat, 2, { sureness: 0, growth: 3 }), 6);
  const { tensors } = await run(phuongLampert.with({ sureness: 0 }), "annealed");
  assert.ok(Math.abs(Number(tensors.get("numbers.temperature")!.data[0]) - 1.05 ** 8) < 1e-5);
});

running("an exit alone has nobody to learn from; deeper exits get no gradient from what they teach", async () => {
  for (const from of ["last", "later", "next"] as const)
    assert.is(await deeperExitsLoss(randn([4, 1, 5], { seed: 1 }), from).item(), 0);
  const logits = randn([4, 3, 5], { seed: 1 }).requiresGrad();
  backward(deeperExitsLoss(logits, "later"));
  const g = Array.from(await logits.grad.read());
  assert.ok(g.every((x, i) => (x === 0) === (Math.floor(i / 5) % 3 === 2)));
  assert.is(distilLater.with().options["weight"], 1);
  assert.equal(exitWeightsAt(distilNext.with(), 2), [0.5, 0.5]);
});

const twoStages = (options: object) =>
  imta.with(options).phases({ ...siteOf(3), placeOf: (name) => ({ exit: 2, isHead: /heads|fc/.test(name) }) });

running("IMTA's second stage trains the linear layer that answers, of every backbone's own classifier", () => {
  const sizes = { classes: 4, input: [16, 16, 3], seed: 1 } as const;
  const made: Readonly<Record<string, readonly [Backbone, string]>> = {
    resnet: [resnet({ ...sizes, depth: 8, widths: [4, 8, 8] }), "linear"],
    vit: [vit({ classes: 4, imgSize: 8, patchSize: 4, embedDim: 16, depth: 2, numHeads: 1, seed: 1 }), "head"],
    mobilenetV3: [mobilenetV3(sizes), "classifier.3"],
    efficientnet: [efficientnet({ ...sizes, widthMult: 0.5 }), "classifier.1"],
    convnext: [convnext({ ...sizes, dims: [8, 16], depths: [1, 1], patch: 1 }), "classifier.2"],
    msdnet: [msdnet({ ...sizes, blocks: 2 }), "classifier.linear"],
  };
  for (const [name, [backbone, layer]] of Object.entries(made)) {
    using net = multiExit(backbone, { after: [backbone.stages[0]!.name], wraps: [inline()] });
    const [{ trains }] = imta.with().phases(siteIn(net))[1]!.tracks;
    const trained = [...backbone.namedParameters().keys()].filter((own) => trains!(`backbone.${own}`));
    assert.equal(trained, [`${layer}.weight`, `${layer}.bias`], name);
  }
});

test("IMTA has a switch for each part, and its second stage trains and draws anew what answers", () => {
  const names = (options: object) => twoStages(options).map(({ name }) => name);
  assert.equal(names({}), ["equilibrium", "classifiers"]);
  assert.equal(names({ collaboration: false }), ["equilibrium", "classifiers"]);
  assert.equal(names({ collaboration: false, oneForAll: false }), ["equilibrium"]);
  assert.equal([imta.with().wraps.length, imta.with({ collaboration: false }).wraps.length], [1, 0]);
  assert.equal([imta.with().teacher?.kind, imta.with({ oneForAll: false }).teacher], ["self", undefined]);
  const [first, second] = twoStages({}) as readonly [Phase, Phase];
  const parts = [
    "backbone.stem.weight",
    "backbone.fc.weight",
    "heads.0.inner.linear.weight",
    "heads.0.inner.conv.weight",
  ];
  const heard = "heads.1.collaboration.mix.weight";
  assert.equal([...parts, heard].map(first.tracks[0].trains!), [true, true, true, true, false]);
  assert.equal([...parts, heard].map(second.tracks[0].trains!), [false, true, true, false, true]);
  assert.equal([...parts, heard].map(second.anew!), [false, true, true, false, false]);
  assert.equal([first.tracks[0].equilibrium, first.isTaught, second.tracks[0].equilibrium], [true, false, undefined]);
  assert.is(twoStages({ newClassifiers: false })[1]!.anew, undefined);
  assert.is(twoStages({ equilibrium: false })[0].tracks[0].equilibrium, false);
});

running(
  "a network that has not learnt to listen answers as without; what a phase draws anew depends on the seed alone",
  async () => {
    const small = smallNet();
    const architecture = architectureOf(small)!;
    small.dispose();
    const made = (wraps: readonly string[]) => buildNetwork({ ...architecture, wraps }, { seed: 3 });
    const images = randn([5, 8, 8, 1], { seed: 3 });
    const read = async (net: MultiExit) => {
      const values = [...(await net.forward(images, EVAL).read())];
      net.dispose();
      return values;
    };
    assert.equal(await read(made(["inline"])), await read(made([])));
    const drawn = async (seed: number) => {
      const net = made(["inline"]);
      const valuesOf = async () => (await net.namedParameters().get("heads.0.inner.linear.weight")!.read()).join();
      const before = await valuesOf();
      const plan = imta.with();
      // Drawn anew, and trained by nobody.
      const still = (phase: Phase): Phase => ({
        ...phase,
        ...(phase.anew && { anew: (name) => name === "heads.0.inner.linear.weight" }),
        tracks: [{ ...phase.tracks[0], trains: (name) => name === "heads.1.inner.linear.weight" }],
      });
      const method: TrainingPlan = {
        ...plan,
        phases: (site) => plan.phases(site).map(still) as unknown as readonly [Phase],
      };
      (await train(net, barSplits(), { ...quiet, epochs: 1, seed, method })).dispose();
      const after = await valuesOf();
      net.dispose();
      assert.not.equal(before, after);
      return after;
    };
    assert.is(await drawn(4), await drawn(4));
    assert.not.equal(await drawn(4), await drawn(5));
  },
);

running("hints are as long as the last exit's features, only in training, and cost nothing else", async () => {
  const small = smallNet();
  const architecture = architectureOf(small)!;
  const [plain, net] = [buildNetwork(architecture), buildNetwork({ ...architecture, wraps: ["hinted"] })];
  const images = randn([5, 8, 8, 1], { seed: 3 });
  assert.equal(
    net.records(images, TRAIN).map(({ hint }) => hint?.shape),
    [
      [5, 8],
      [5, 8],
      [5, 8],
    ],
  );
  assert.ok(net.records(images, EVAL).every((record) => !("hint" in record)));
  assert.equal(net.macs(), plain.macs());
  await failsWith(
    () => train(plain, barSplits(), { ...quiet, method: byot }),
    "ArgumentError",
    "train: byot needs heads that are hinted; the network has plain heads. Pass { wraps: method.with(options).wraps } to multiExit.",
  );
  for (const made of [small, plain, net]) made.dispose();
});

running("a phase that draws anew needs a network that can be made again", async () => {
  const net = multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 8], seed: 2 }), {
    after: ["stage1", "stage2"],
    wraps: imta.with().wraps,
  });
  const before = await weightsOf(net);
  await failsWith(
    () => train(net, barSplits(), { ...quiet, method: imta }),
    "ArgumentError",
    "train: the network must be made by buildNetwork(), as classifiers draws a part of it anew; got one that was not.",
  );
  assert.equal(await weightsOf(net), before, "told before the first step");
  net.dispose();
});

const gpu = gpuSuite("exits: methods that distil refuse");

gpu("two labels of an image, no teacher, exit weights that do not fit", async () => {
  const logits = randn([6, 3, 5], { seed: 1 });
  const labels = tensor(Int32Array.of(2, 0, 4, 1, 3, 2));
  const exitWeights = tensor([1, 1, 1]);
  const mixed = { labels, share: tensor(new Float32Array(6).fill(0.5)) };
  await failsWith(
    () => lossOf(kd.with(), { logits, labels, exitWeights }),
    "ArgumentError",
    "kd: the teacher's logits must be given; got none.",
  );
  await failsWith(
    () => lossOf(dkd.with(), { logits, labels, exitWeights, teacher: logits, mixed }),
    "ArgumentError",
    "dkd: images must have one label, which decoupled distillation looks at; got images blended by mixup. Train without mixup, or by joint.",
  );
  await failsWith(
    () => lossOf(safeKd.with(), { logits, labels, exitWeights, teacher: logits, mixed }),
    "ArgumentError",
    "safe-kd: images must have one label, which decoupled distillation looks at; got images blended by mixup. Train without mixup, or by joint.",
  );
  lossOf(safeKd.with({ decoupled: false }), { logits, labels, exitWeights, teacher: logits, mixed });
  await failsWith(
    () => lossOf(erde.with(), { logits, labels, exitWeights, teacher: logits, mixed }),
    "ArgumentError",
    "erde: images must have one label, which the teacher looks at; got images blended by mixup. Train without mixup, or by joint.",
  );
  await failsWith(
    () => lossOf(erde.with(), { logits, labels, exitWeights, teacher: randn([6, 2, 5], { seed: 1 }) }),
    "ShapeError",
    "erdeLosses: teacher must be f32[N, K, C]; got f32[6, 2, 5] for student f32[6, 3, 5].",
  );
  await failsWith(
    () => deeperExitsLoss(randn([6, 5], { seed: 1 }), "last"),
    "ShapeError",
    "deeperExitsLoss: logits must be f32[N, K, C]; got f32[6, 5].",
  );
  await failsWith(
    () => exitWeightsAt(kd.with({ exitWeights: [0, 0, 0] }), 3),
    "ArgumentError",
    "kd: some exit weight must be above 0; got [0, 0, 0].",
  );
});
