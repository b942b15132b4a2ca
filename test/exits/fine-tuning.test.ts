// Fine-tuning: where weights start, what is frozen, factors of the learning rate, further epochs; each resumed to the
// same bits.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Generator, read, type StoredTensor, type Tensor, writeSafetensors } from "../../engine/index.ts";
import {
  architectureOf,
  buildNetwork,
  byot,
  calexnet,
  disjoint,
  failurePrediction,
  HEADS,
  Head,
  type HeadSite,
  type HeadWrap,
  imta,
  type MultiExit,
  multiExit,
  type Progress,
  ptee,
  type StartReport,
  safeKd,
  type TrainOptions,
  train,
  ztw,
} from "../../exits/index.ts";
import { loadStart } from "../../exits/training/start.ts";
import {
  convnext,
  Dropout,
  globalAveragePool,
  Linear,
  type Mode,
  msdnet,
  resnet,
  toTorch,
  toTorchName,
} from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { barNet, barSplits, joint, planNet, quiet, smallNet, weightsAfter } from "./small.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-tuning-"));
const test = gpuSuite("exits: fine-tuning", { timeout: 180_000 });
test.after(() => rmSync(folder, { recursive: true }));

type Tuned = Partial<TrainOptions> & Pick<TrainOptions, "method">;

const valuesOf = async (net: MultiExit): Promise<Map<string, number[]>> => {
  const state = [...net.state()];
  const values = await read(state.map(([, tensor]) => tensor));
  return new Map(state.map(([name], i) => [name, Array.from(values[i]!)]));
};

/** A network before and after a short run. */
async function around(options: Tuned, net = smallNet()) {
  const before = await valuesOf(net);
  const told: StartReport[] = [];
  const report = (event: Progress) => {
    if (event.kind === "start" && event.weights) told.push(event.weights);
  };
  using _ = await train(net, barSplits(), { ...quiet, epochs: 1, report, ...options });
  const after = await valuesOf(net);
  net.dispose();
  return { before, after, told };
}

/** A run that is stopped after step 3 and taken up again, and one that is not, end with the same bits. */
async function resumes(name: string, options: Tuned, make: () => MultiExit = smallNet): Promise<void> {
  const whole = await weightsAfter(options as never, make());
  const dir = join(folder, name);
  const stop = new AbortController();
  const report = (event: Progress) => {
    if (event.kind === "train" && event.step === 3) stop.abort();
  };
  const halted = { ...options, dir, logEvery: 1, report, signal: stop.signal };
  assert.is((await errorOf(() => weightsAfter(halted as never, make()))).name, "TrainingError");
  assert.equal(await weightsAfter({ ...options, dir } as never, make()), whole);
}

test("what is frozen stays to the bit, statistics included, and the rest is trained", async () => {
  const { before, after } = await around({ method: joint, freeze: ["backbone.", "heads.0."] });
  for (const [name, values] of before) {
    const isFrozen = name.startsWith("backbone.") || name.startsWith("heads.0.");
    if (isFrozen) assert.equal(after.get(name), values, name);
    else assert.not.equal(after.get(name), values, name);
  }
  await resumes("frozen", { method: joint, freeze: ["backbone.", "heads.0."] });
  // The others are compared with what frozen heads say, too.
  const hints = byot.with();
  for (const freeze of ["heads.0.", "backbone."]) {
    using net = planNet(hints);
    (await train(net, barSplits(), { ...quiet, epochs: 1, method: hints, freeze: [freeze] })).dispose();
  }
});

test("what is frozen is not drawn anew, and what a method fits cannot be frozen", async () => {
  const small = smallNet();
  const architecture = architectureOf(small)!;
  small.dispose();
  const method = imta.with();
  const net = buildNetwork({ ...architecture, wraps: method.wraps.map(({ name }) => name) }, { seed: 3 });
  const { before, after } = await around({ method, freeze: ["backbone.", "heads.0."] }, net);
  for (const [name, values] of before)
    if (/^(backbone|heads\.0)\./.test(name)) assert.equal(after.get(name), values, name);
  await failsWith(
    () => around({ method: failurePrediction.with({ correction: "vector" }), freeze: ["heads.0."] }),
    "ArgumentError",
    'train: freeze must leave what the method fits; got "heads.0.", which has heads.0.linear.weight, to which network gives other values.',
  );
});

test("branches are trained on a backbone that is there and stays: the phase that would train it is left out", async () => {
  const dir = join(folder, "trunk");
  using there = smallNet();
  (await train(there, barSplits(), { ...quiet, method: joint, epochs: 1, dir })).dispose();
  const wanted = await valuesOf(there);
  const options = { method: calexnet, freeze: ["backbone."], from: dir };
  const branch = { ...architectureOf(there)!, wraps: calexnet.with().wraps.map(({ name }) => name) };
  const make = () => buildNetwork(branch, { seed: 3 });
  const steps: number[] = [];
  const report = (event: Progress) => {
    if (event.kind === "train") steps.push(event.step);
  };
  const { after } = await around({ ...options, logEvery: 1, report }, make());
  assert.equal(steps, [1, 2, 3, 4, 5, 6, 7, 8], "an epoch of each branch");
  const changed = [...after].filter(([name, values]) => String(values) !== String(wanted.get(name)));
  assert.equal(
    changed.map(([name]) => name),
    [...after.keys()].filter((name) => name.startsWith("heads.")),
  );
  await resumes("branches", options, make);
});

test("a phase is left out only where all that it trains comes from the start; what is left is as long as all were to be", async () => {
  const dir = join(folder, "joint-run");
  using there = smallNet();
  (await train(there, barSplits(), { ...quiet, method: joint, epochs: 1, dir })).dispose();
  const architecture = architectureOf(there)!;
  const options = { method: disjoint, freeze: ["backbone."], from: dir };
  const wide = { ...architecture, options: { ...architecture.options, widths: [4, 8, 6] } };
  const { name, message } = await errorOf(() => around(options, buildNetwork(wide)));
  assert.is(name, "ArgumentError");
  assert.match(
    message,
    /^train: what freeze keeps of backbone must come from .*joint-run.*; got backbone\.layer3\.0\.conv1\.weight, which stays as it was drawn\. Leave it out of freeze, and backbone trains it\.$/,
  );
  const steps: number[] = [];
  const notes: string[] = [];
  const report = (event: Progress) => {
    if (event.kind === "train") steps.push(event.step);
    if (event.kind === "note") notes.push(event.text);
  };
  const equal = { ...options, method: disjoint.with({ equalTotal: true }), logEvery: 1, report };
  await around(equal, buildNetwork(architecture, { seed: 3 }));
  assert.equal([steps.length, notes], [4, ["backbone is left out: all that it trains is frozen"]]);
});

test("heads are found within what a method has put around them, there and here", async () => {
  const dirs = { plain: join(folder, "plain-heads"), wrapped: join(folder, "wrapped-heads") };
  using plain = smallNet();
  (await train(plain, barSplits(), { ...quiet, method: joint, epochs: 1, dir: dirs.plain })).dispose();
  const around = (method: { readonly wraps: readonly HeadWrap[] }, seed: number) =>
    buildNetwork({ ...architectureOf(plain)!, wraps: method.wraps.map(({ name }) => name) }, { seed });
  using ensembles = around(ztw.with(), 4);
  const { report } = (await loadStart(ensembles, { from: dirs.plain }, () => undefined))!;
  assert.equal(report!.unexpected, []);
  assert.ok(report!.drawn.length > 0 && report!.drawn.every((name) => !/linear\./.test(name)), report!.drawn.join());
  (await train(ensembles, barSplits(), { ...quiet, method: ztw, epochs: 1, dir: dirs.wrapped })).dispose();
  using again = around(ptee.with(), 5);
  const found = (await loadStart(again, { from: dirs.wrapped }, () => undefined))!.report!;
  assert.ok(found.drawn.every((name) => !/linear\./.test(name)) && found.unexpected.length > 0, found.drawn.join());
});

test("heads are taken by the stage that they stand behind, of own files and of the authors' MSDNet", async () => {
  const dir = join(folder, "two-exits");
  using both = smallNet();
  (await train(both, barSplits(), { ...quiet, method: joint, epochs: 1, dir })).dispose();
  const architecture = architectureOf(both)!;
  const [, behind] = architecture.exits;
  using one = buildNetwork({ ...architecture, exits: [behind!], head: "gap-linear" }, { seed: 9 });
  const report = (await loadStart(one, { from: dir }, () => undefined))!.report!;
  const left = [...both.state().keys()].filter((name) => name.startsWith("heads.0."));
  assert.equal([report.missing, report.unexpected], [[], left.map((name) => `${architecture.exits[0]}: ${name}`)]);
  for (const [name, tensor] of one.state()) {
    const there = both.state().get(name.replace("heads.0.", "heads.1."))!;
    assert.equal(await tensor.read(), await there.read(), name);
  }

  const shape = { classes: 4, input: [8, 8, 1], blocks: 4, base: 1, step: 1, channels: 4, growth: 2 } as const;
  const make = (after: readonly string[], seed: number, wraps: readonly HeadWrap[] = []) =>
    multiExit(msdnet({ ...shape, seed }), { after, head: HEADS.msdnet, seed: seed + 1, wraps });
  using all = make(["block1", "block2", "block3"], 5);
  const authors = (name: string) =>
    name.replace("backbone.classifier.", "classifier.3.").replace("backbone.", "").replace("heads.", "classifier.");
  const path = join(folder, "authors.safetensors");
  await writeSafetensors(path, await inTorch(all, authors));
  using some = make(["block2"], 1, imta.with().wraps);
  const found = (await loadStart(some, { weights: path }, () => undefined))!.report!;
  assert.ok(found.unexpected.every((name) => /^classifier\.[02]\./.test(name)) && found.unexpected.length > 0);
  for (const [name, tensor] of all.state()) {
    const here = name.startsWith("heads.1.") ? name.replace("heads.1.", "heads.0.inner.") : name;
    if (!/^heads\.[02]\./.test(name)) assert.equal(await some.state().get(here)!.read(), await tensor.read(), name);
  }
});

test("a factor scales the steps of what begins so, the longest beginning counts, and clipping is of all gradients", async () => {
  const plain = { method: "sgd", lr: 0.05, momentum: 0, nesterov: false, weightDecay: 0 } as const;
  for (const optimizer of [plain, { ...plain, clipNorm: 0.05 }]) {
    // One step: the first of a run, from the same weights with the same gradients.
    const one = { method: joint, optimizer, schedule: { kind: "constant", warmup: 0 }, batch: 72 } as const;
    const same = await around(one);
    const rateFactor = { "backbone.": 0.25, "backbone.layer1.": 4, "heads.1.": 2 };
    const scaled = await around({ ...one, rateFactor });
    let [moved, worst] = [0, 0];
    for (const [name, start] of same.before) {
      if (/running/.test(name)) continue;
      const factor = name.startsWith("backbone.layer1.")
        ? 4
        : name.startsWith("backbone.")
          ? 0.25
          : name.startsWith("heads.1.")
            ? 2
            : 1;
      start.forEach((w, i) => {
        const [step, other] = [same.after.get(name)![i]! - w, scaled.after.get(name)![i]! - w];
        moved = Math.max(moved, Math.abs(step));
        worst = Math.max(worst, Math.abs(other - factor * step));
      });
    }
    assert.ok(moved > 1e-4 && worst < 1e-3 * moved, `steps up to ${moved}, off by ${worst}`);
  }
});

test("factors, moments of each and averaged teachers are taken up again", async () => {
  const rateFactor = { "backbone.": 0.1 };
  await resumes("factors", { method: joint, rateFactor, optimizer: { method: "adamw", clipNorm: 1 } });
  await resumes("factors-one-cycle", {
    method: safeKd.with({ emaDecay: 0.5 }),
    rateFactor,
    schedule: { kind: "oneCycle" },
  });
});

test("a finished run goes on for more epochs as if it had been as long from the first", async () => {
  const longer = await weightsAfter({ method: joint, moreEpochs: [1, 2] });
  const dir = join(folder, "more");
  const short = await weightsAfter({ method: joint, dir });
  assert.not.equal(short, longer);
  const once = await weightsAfter({ method: joint, dir, moreEpochs: [1] });
  assert.not.equal(once, short);
  assert.equal(await weightsAfter({ method: joint, dir, moreEpochs: [1, 2] }), longer);
  // What has been run cannot become shorter or other.
  for (const moreEpochs of [[1], [2, 2]])
    assert.match(
      (await errorOf(() => weightsAfter({ method: joint, dir, moreEpochs }))).message,
      /recipe\.moreEpochs \[1,2\] there/,
    );
});

test("a run starts from another's weights, and says what did not fit; a folder knows where its run started", async () => {
  const from = join(folder, "first");
  await weightsAfter({ method: joint, dir: from });
  const wide = () => barNet({ head: "gap-norm-linear" }, 9);
  const dir = join(folder, "second");
  const { told, before } = await around({ method: joint, from, dir, freeze: ["backbone."] }, wide());
  const norms = [0, 1].flatMap((j) => [`heads.${j}.norm.weight`, `heads.${j}.norm.bias`]);
  assert.equal([told[0]!.missing, told[0]!.unexpected, told[0]!.mismatched], [norms, [], []]);
  assert.is(told[0]!.taken, before.size - 4);
  const other = join(folder, "third");
  await weightsAfter({ method: joint, dir: other, seed: 2 });
  const again = { ...quiet, epochs: 1, method: joint, from: other, dir, freeze: ["backbone."] };
  using net = wide();
  assert.match((await errorOf(() => train(net, barSplits(), again))).message, /must be of the same run; start /);
  await failsWith(
    () => train(net, barSplits(), { ...again, weights: "a.safetensors" }),
    "ArgumentError",
    `train: weights must start from a file or from a run; got a.safetensors and ${other}.`,
  );
});

/** A network's tensors under the names and in the layouts of PyTorch. */
async function inTorch(net: { state(): ReadonlyMap<string, Tensor> }, rename: (name: string) => string) {
  const saved = new Map<string, StoredTensor>();
  for (const [name, tensor] of net.state()) {
    const { shape, data } = toTorch(name, { shape: tensor.shape, data: await tensor.read() });
    saved.set(rename(toTorchName(name)), { dtype: "F32", shape, data: Float32Array.from(data) });
  }
  return saved;
}

test("a backbone of PyTorch fills the network's own, behind what wrappers put in front; the authors' MSDNet fills its exits too", async () => {
  const path = join(folder, "torch.safetensors");
  using theirs = resnet({ depth: 8, widths: [4, 8, 8], input: [8, 8, 1], classes: 6, seed: 77 });
  const rename = (name: string) => `module.${name.replace(/\bshortcut\./, "downsample.")}`;
  await writeSafetensors(path, await inTorch(theirs, rename));
  const options = { method: joint, freeze: ["backbone."], weights: path };
  const { after, told } = await around(options);
  const want = new Map([...theirs.state()].map(([name, tensor]) => [`backbone.${name}`, tensor] as const));
  for (const [name, tensor] of want) {
    const isOther = tensor.shape.at(-1) === 6;
    if (!isOther) assert.equal(after.get(name), Array.from(await tensor.read()), name);
  }
  assert.equal(
    told[0]!.mismatched.map(({ given, wanted }) => [given, wanted]),
    [
      [
        [6, 8],
        [4, 8],
      ],
      [[6], [4]],
    ],
  );
  assert.ok(told[0]!.missing.every((name) => name.startsWith("heads.")));
  const shape = { classes: 4, input: [8, 8, 1], blocks: 3, base: 1, step: 1, channels: 4, growth: 2 } as const;
  const exits = { after: ["block1", "block2"], head: HEADS.msdnet } as const;
  using source = multiExit(msdnet({ ...shape, seed: 5 }), { ...exits, seed: 6 });
  const authors = (name: string) =>
    name.replace("backbone.classifier.", "classifier.2.").replace("backbone.", "").replace("heads.", "classifier.");
  await writeSafetensors(path, await inTorch(source, authors));
  const found = await around(
    { method: joint, weights: path, freeze: ["backbone.", "heads.0."] },
    multiExit(msdnet({ ...shape, seed: 1 }), { ...exits, seed: 2 }),
  );
  assert.equal([found.told[0]!.taken, found.told[0]!.missing], [source.state().size, []]);
  const [name, tensor] = [...source.state()].find(([each]) => each.startsWith("heads.0.m.1"))!;
  assert.equal(found.after.get(name), Array.from(await tensor.read()));
});

test("timm's names of a network that torchvision calls otherwise are the backbone's", async () => {
  const make = (seed: number) =>
    multiExit(convnext({ dims: [4, 8], depths: [1, 1], patch: 2, classes: 4, input: [8, 8, 1], seed }), {
      after: ["features.1"],
    });
  using from = make(1);
  const path = join(folder, "timm.safetensors");
  const saved = new Map<string, StoredTensor>();
  for (const [name, theirs] of [
    ["layers.1.0.layerScale", "module.stages.0.blocks.0.gamma"],
    ["layers.0.0.weight", "module.stem.0.weight"],
    ["layers.3.0.block.3.weight", "module.stages.1.blocks.0.mlp.fc1.weight"],
  ] as const) {
    const tensor = from.backbone.state().get(name)!;
    const { shape, data } = toTorch(name, { shape: tensor.shape, data: await tensor.read() }, from.backbone);
    saved.set(theirs, { dtype: "F32", shape, data: Float32Array.from(data) });
  }
  await writeSafetensors(path, saved);
  using to = make(2);
  const report = (await loadStart(to, { weights: path }, () => undefined))?.report;
  assert.equal([report?.taken, report?.unexpected, report?.mismatched], [3, [], []]);
  for (const name of ["layers.1.0.layerScale", "layers.0.0.weight", "layers.3.0.block.3.weight"])
    assert.equal(await to.backbone.state().get(name)!.read(), await from.backbone.state().get(name)!.read());
});

test("files that are none, of which nothing fits, or that PyTorch pickles are refused before anything is trained", async () => {
  using net = smallNet();
  const of = (weights: string) => () => train(net, barSplits(), { ...quiet, method: joint, weights });
  const before = await valuesOf(net);
  assert.match(
    (await errorOf(of(join(folder, "resnet18.pth")))).message,
    /which PyTorch pickles\. Convert it: python3 -c/,
  );
  assert.match(
    (await errorOf(of(join(folder, "none.safetensors")))).message,
    /must lie where they are said to be; there is no .*none\.safetensors\.$/,
  );
  writeFileSync(join(folder, "text.safetensors"), "these are no weights");
  assert.match((await errorOf(of(join(folder, "text.safetensors")))).message, /must be a readable safetensors file/);
  await writeSafetensors(
    join(folder, "foreign.safetensors"),
    new Map([["a.weight", { dtype: "F32", shape: [1], data: Float32Array.of(1) }]]),
  );
  assert.match(
    (await errorOf(of(join(folder, "foreign.safetensors")))).message,
    /nothing of .* fits, which holds a\.weight\. Are/,
  );
  const tuned = (options: Partial<TrainOptions>) => () =>
    train(net, barSplits(), { ...quiet, method: joint, ...options });
  await failsWith(
    tuned({ freeze: ["backbones."] }),
    "ArgumentError",
    `train: freeze must be beginnings of parameters' names, such as ${[...net.namedParameters().keys()][0]}; got "backbones.". Did you mean backbone.?`,
  );
  assert.match(
    (await errorOf(tuned({ rateFactor: { "heads.": 0 } }))).message,
    /rateFactor must be numbers above 0 by beginnings/,
  );
  assert.match(
    (await errorOf(tuned({ freeze: ["backbone.", "heads."] }))).message,
    /freeze must leave every phase of the method something to train/,
  );
  assert.equal(await valuesOf(net), before);
});

/** Of the heads below. */
const generators: Generator[] = [];

/** A head with dropout, whose generator `train` finds by itself. */
class DroppingHead extends Head {
  readonly dropout: Dropout;
  readonly linear: Linear;

  constructor({ stage, classes, init }: HeadSite) {
    super();
    const generator = new Generator({ seed: 3, stream: stage.channels });
    generators.push(generator);
    this.dropout = new Dropout(0.5, generator);
    this.linear = new Linear(stage.channels, classes, init);
  }

  forward(x: Tensor, mode: Mode): Tensor {
    return this.linear.forward(this.dropout.forward(globalAveragePool(x), mode));
  }
}

test("random layers of the network draw on where they stood when a run is taken up again", async () => {
  const make = () =>
    multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 16], seed: 1 }), {
      after: ["stage1", "stage2"],
      head: (site) => new DroppingHead(site),
    });
  using net = make();
  assert.equal(net.generators(), generators);
  await resumes("dropout", { method: joint }, make);
  for (const generator of generators) generator.dispose();
});

test("so do those of backbones made by name, with dropout and stochastic depth", async () => {
  const options = { dims: [4, 4, 8, 8], depths: [1, 1, 2, 1], patch: 1, stochasticDepth: 0.5 };
  const make = () =>
    buildNetwork({ backbone: "convnext", options, input: [8, 8, 1], classes: 4, exits: ["features.1", "features.3"] });
  using net = make();
  assert.is(net.generators().length, 1);
  await resumes("depth", { method: joint }, make);
});
