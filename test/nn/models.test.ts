// Networks as objects: names, loading, where weights start, and work and parameters against hand counts.

import { randn, read, type Tensor } from "../../engine/index.ts";
import {
  type Backbone,
  type BasicBlock,
  Conv2d,
  convnext,
  countMacs,
  describeStages,
  EVAL,
  efficientnet,
  Init,
  imageNetResnet,
  Linear,
  MultiHeadAttention,
  mobilenetV3,
  resnet,
  TRAIN,
  vit,
  vitSmall,
  vitSmallImage,
  vitTiny,
} from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const names = gpuSuite("nn: names and state");

names("tensors are named by the path of their fields, as in PyTorch but for the case", () => {
  const net = resnet({ depth: 8, classes: 10, seed: 1 });
  const parameters = [...net.namedParameters().keys()];
  assert.equal(parameters.slice(0, 4), ["conv1.weight", "bn1.weight", "bn1.bias", "layer1.0.conv1.weight"]);
  assert.ok(parameters.includes("layer2.0.shortcut.1.bias") && parameters.includes("linear.bias"));
  assert.is(parameters.length, 3 + 3 * 6 + 2 * 3 + 2);
  assert.equal([...net.namedBuffers().keys()].slice(0, 2), ["bn1.runningMean", "bn1.runningVar"]);
  assert.is(net.state().size, parameters.length + net.buffers().length);
});

names("vision transformers have timm's names", () => {
  const net = vitSmallImage({ classes: 10, seed: 1 });
  const found = [...net.state().keys()];
  assert.equal(found.slice(0, 6), [
    "clsToken",
    "posEmbed",
    "patchEmbed.proj.weight",
    "patchEmbed.proj.bias",
    "blocks.0.norm1.weight",
    "blocks.0.norm1.bias",
  ]);
  assert.ok(
    found.includes("blocks.3.attn.qkv.weight") &&
      found.includes("blocks.0.mlp.fc2.bias") &&
      found.at(-1) === "head.bias",
  );
});

names("loadState refuses what does not fit, and then writes nothing", async () => {
  const layer = new Linear(2, 3, new Init({ seed: 1 }));
  const before = [...(await layer.weight.read())];
  const weight = { shape: [2, 3], data: new Float32Array(6) };
  await failsWith(
    () =>
      layer.loadState(
        new Map([
          ["weight", weight],
          ["gain", weight],
        ]),
      ),
    "ArgumentError",
    "loadState: names must agree; missing: [bias], unexpected: [gain]. Pass { strict: false } to load what fits.",
  );
  const wide = { shape: [4], data: new Float32Array(4) };
  await failsWith(
    () =>
      layer.loadState(
        new Map([
          ["weight", weight],
          ["bias", wide],
        ]),
      ),
    "ShapeError",
    "loadState: shapes must agree; got bias as [4] for [3]. Pass { strict: false } to load what fits.",
  );
  assert.equal([...(await layer.weight.read())], before);
  const report = layer.loadState(
    new Map([
      ["weight", weight],
      ["gain", weight],
    ]),
    { strict: false },
  );
  assert.equal(report, { missing: ["bias"], unexpected: ["gain"], mismatched: [] });
  assert.equal([...(await layer.weight.read())], [0, 0, 0, 0, 0, 0]);
});

names("a seed names the weights; another one has others", async () => {
  const [a, b, c] = [1, 1, 2].map(
    (seed) => resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 4, 4], seed }).conv1.weight,
  );
  const [x, y, z] = await read([a, b, c] as Tensor[]);
  assert.equal(x, y);
  assert.not.equal(x, z);
});

const starts = gpuSuite("nn: initial weights");

/** Mean, standard deviation and largest magnitude. */
async function moments(x: Tensor): Promise<{ mean: number; std: number; most: number }> {
  const values = Array.from(await x.read());
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  const std = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
  return { mean, std, most: values.reduce((top, v) => Math.max(top, Math.abs(v)), 0) };
}

const near = (got: number, want: number, by: number, what: string) =>
  assert.ok(Math.abs(got - want) <= by, `${what}: got ${got}, want ${want} within ${by}`);

starts("PyTorch's default is uniform within 1 / sqrt(fan in), biases too", async () => {
  const init = new Init({ seed: 3 });
  const bound = 1 / Math.sqrt(3 * 3 * 32);
  const { mean, std, most } = await moments(init.convWeight([3, 3, 32, 64]));
  near(mean, 0, 1e-3, "mean");
  near(std, bound / Math.sqrt(3), 4e-4, "std");
  assert.ok(most <= bound && most > 0.99 * bound, `largest ${most} for the bound ${bound}`);
  assert.ok((await moments(init.linearBias(100, 500))).most <= 0.1);
});

starts("He's is normal over the fan out", async () => {
  const he = await moments(new Init({ seed: 3, scheme: "he" }).convWeight([3, 3, 32, 64]));
  near(he.std, Math.sqrt(2 / (9 * 64)), 1.2e-3, "std");
});

starts(
  "torchvision's ResNets: He's for all convolutions, PyTorch's for the classifier, every stream of the network's seed",
  async () => {
    const net = imageNetResnet({ depth: 18, classes: 10, input: [32, 32, 3], seed: 1 });
    const second = net.layer2[0]!;
    for (const { weight } of [net.conv1, (second as BasicBlock).conv1, second.shortcut![0]]) {
      const [kh, kw, , outputs] = weight.shape as readonly [number, number, number, number];
      const want = Math.sqrt(2 / (kh * kw * outputs));
      near((await moments(weight)).std / want, 1, 0.03, "std over He's");
    }
    const { most } = await moments(net.fc.weight);
    assert.ok(most <= 1 / Math.sqrt(512) && most > 0.99 / Math.sqrt(512), `largest ${most}`);
    const next = new Init({ seed: 2 }).linearWeight([512, 10]);
    assert.not.equal(await net.fc.weight.read(), await next.read());
  },
);

starts("a truncated normal is cut at a value, whatever its deviation", async () => {
  const init = new Init({ seed: 3 });
  const cut = await moments(init.truncatedNormal([200, 100], 1));
  assert.ok(cut.most <= 2 && cut.most > 1.99, `largest ${cut.most}`);
  near(cut.std, 0.8796, 0.01, "std of a normal cut at two deviations");
  assert.ok((await moments(init.truncatedNormal([200, 100], 1, { bound: 0.5 }))).most <= 0.5);
});

starts(
  "timm's vision transformers: normals of 0.02 without a cut that shows, zero biases, PyTorch's patch embedding",
  async () => {
    const net = vit({ imgSize: 32, patchSize: 4, embedDim: 128, depth: 1, numHeads: 4, classes: 100, seed: 3 });
    const [block] = net.blocks;
    const linears = [block!.attn.qkv, block!.attn.proj, block!.mlp.fc1, block!.mlp.fc2, net.head];
    for (const weight of [...linears.map((layer) => layer.weight), net.posEmbed]) {
      const { mean, std, most } = await moments(weight);
      near(mean, 0, 1e-3, "mean");
      near(std, 0.02, 5e-4, "std");
      assert.ok(most > 0.06, `largest of ${weight.size}: ${most}`);
    }
    for (const { bias } of linears) assert.is((await moments(bias as Tensor)).most, 0);
    near((await moments(net.clsToken)).std, 1e-6, 2e-7, "std of the class token");
    const bound = 1 / Math.sqrt(4 * 4 * 3);
    for (const patch of [net.patchEmbed.proj.weight, net.patchEmbed.proj.bias as Tensor]) {
      const { std, most } = await moments(patch);
      near(std, bound / Math.sqrt(3), 0.1 * bound, "std");
      assert.ok(most <= bound && most > 0.95 * bound, `largest ${most} for the bound ${bound}`);
    }
    assert.equal([...(await net.norm.weight.read())], new Array(128).fill(1));
    assert.equal([...(await net.norm.bias.read())], new Array(128).fill(0));
  },
);

starts("attention starts as PyTorch's MultiheadAttention does, unless timm's scheme is asked for", async () => {
  const { qkv, proj } = new MultiHeadAttention(96, 4, new Init({ seed: 5 }));
  const xavier = Math.sqrt(6 / (96 + 3 * 96));
  const packed = await moments(qkv.weight);
  assert.ok(packed.most <= xavier && packed.most > 0.99 * xavier, `largest ${packed.most} for ${xavier}`);
  const out = await moments(proj.weight);
  assert.ok(out.most <= 1 / Math.sqrt(96) && out.most > 0.99 / Math.sqrt(96), `largest ${out.most}`);
  for (const { bias } of [qkv, proj]) assert.is((await moments(bias as Tensor)).most, 0);
});

starts("grouped weights count the inputs of their group and the outputs of all, as PyTorch does", async () => {
  const options = { kernel: 3, groups: 64 };
  const depthwise = (init: Init) => new Conv2d(64, 256, init, options).weight;
  const bound = 1 / Math.sqrt(9);
  const { most } = await moments(depthwise(new Init({ seed: 4 })));
  assert.ok(most <= bound && most > 0.95 * bound, `largest ${most}`);
  near((await moments(depthwise(new Init({ seed: 4, scheme: "he" })))).std, Math.sqrt(2 / (9 * 256)), 2e-3, "std");
});

const work = gpuSuite("nn: work and parameters");

const macs = (net: Backbone): number => countMacs(net.input, (x) => net.forward(x, EVAL));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

work("ResNet-8 on 28x28, by hand", () => {
  const net = resnet({ depth: 8, classes: 10, input: [28, 28, 1], seed: 1 });
  const stem = 28 * 28 * 9 * 16;
  const stages = [
    2 * 28 * 28 * 9 * 16 * 16,
    14 * 14 * 32 * (9 * 16 + 9 * 32 + 16),
    7 * 7 * 64 * (9 * 32 + 9 * 64 + 32),
  ];
  assert.is(macs(net), stem + sum(stages) + 640);
  const found = describeStages(net);
  assert.equal(
    found.map((stage) => stage.macs),
    [stem + stages[0]!, stages[1], stages[2]],
  );
  assert.equal(
    found.map(({ name, channels, reduction, shape }) => [name, channels, reduction, shape]),
    [
      ["stage1", 16, 1, [28, 28, 16]],
      ["stage2", 32, 2, [14, 14, 32]],
      ["stage3", 64, 4, [7, 7, 64]],
    ],
  );
  assert.is(sum(found.map(({ parameters }) => parameters)) + 650, net.countParameters());
});

work("published sizes: ResNet-20, -18, -50, ViT-Tiny", () => {
  const sizes = (net: Backbone) => [net.countParameters(), macs(net)];
  assert.equal(sizes(resnet({ depth: 20, classes: 10, shortcut: "A", seed: 1 })), [269_722, 40_551_040]);
  assert.equal(sizes(resnet({ depth: 20, classes: 10, seed: 1 })), [272_474, 40_813_184]);
  assert.equal(sizes(imageNetResnet({ depth: 18, seed: 1 })), [11_689_512, 1_814_073_344]);
  assert.equal(sizes(imageNetResnet({ depth: 50, seed: 1 })), [25_557_032, 4_089_184_256]);
  // With the small stem, by hand: 3x3 convolutions at 32, 16, 8, 4 pixels, projections where the shape changes.
  const inner = 32 * 32 * 9 * 64 * 64;
  const small = imageNetResnet({ depth: 18, classes: 10, input: [32, 32, 3], stem: "small", seed: 1 });
  assert.equal(sizes(small), [
    11_173_962,
    32 * 32 * 27 * 64 + 4 * inner + 3 * (inner / 2 + 3 * inner + 16 * 16 * 64 * 128) + 5120,
  ]);
  const [t, d] = [197, 192];
  const blocks = 12 * (12 * t * d * d + 2 * t * t * d);
  assert.equal(sizes(vitTiny({ classes: 1000, seed: 1 })), [5_717_416, 196 * 768 * d + blocks + d * 1000]);
});

work("ResNet-34 as torchvision has it (21.80 M, 3.66 GMACs), by hand and by stage", () => {
  const net = imageNetResnet({ depth: 34, seed: 1 });
  assert.equal([net.countParameters(), macs(net)], [21_797_672, 3_663_761_408]);
  // A 3x3 convolution costs the same in every stage: half the side, twice the channels. The first one of a stage has
  // half the inputs.
  const conv = 56 * 56 * 9 * 64 * 64;
  const entry = conv / 2 + 28 * 28 * 64 * 128;
  const stages = [112 * 112 * 49 * 3 * 64 + 6 * conv, entry + 7 * conv, entry + 11 * conv, entry + 5 * conv];
  const found = describeStages(net);
  assert.equal(
    found.map((stage) => stage.macs),
    stages,
  );
  assert.is(sum(stages) + 512 * 1000, macs(net));
  for (const { reduction, channels, shape } of found) {
    assert.equal(shape, [224 / reduction, 224 / reduction, channels]);
  }
  assert.equal(
    found.map(({ reduction }) => reduction),
    [4, 8, 16, 32],
  );
});

work("ViT-Small as timm has it (22.05 M, 4.6 GMACs), by hand and by stage", () => {
  const net = vitSmall({ classes: 1000, seed: 1 });
  const [t, d] = [197, 384];
  const block = 12 * t * d * d + 2 * t * t * d;
  assert.equal([net.countParameters(), macs(net)], [22_050_664, 196 * 768 * d + 12 * block + d * 1000]);
  const found = describeStages(net);
  assert.equal(
    found.map((stage) => stage.macs),
    [196 * 768 * d + 4 * block, 4 * block, 4 * block],
  );
  for (const { reduction, channels, shape } of found) assert.equal(shape, [(224 / reduction) ** 2 + 1, channels]);
});

function convNextParameters(dims: readonly number[], depths: readonly number[], classes: number): number {
  const norm = (dim: number) => 2 * dim;
  const block = (dim: number) => 50 * dim + norm(dim) + 4 * dim * (dim + 1) + dim * (4 * dim + 1) + dim;
  const groups = dims.map((dim, i) => depths[i]! * block(dim));
  const downs = dims.slice(1).map((dim, i) => norm(dims[i]!) + (4 * dims[i]! + 1) * dim);
  const last = dims.at(-1)!;
  return 49 * dims[0]! + norm(dims[0]!) + sum(groups) + sum(downs) + norm(last) + (last + 1) * classes;
}

work("MobileNetV3, EfficientNet-B0 and ConvNeXt-Tiny have torchvision's sizes, the first its work too", () => {
  const giga = (net: Backbone) => Math.round(macs(net) / 1e6) / 1e3;
  const sizes = (net: Backbone) => [net.countParameters(), giga(net)];
  assert.equal(sizes(mobilenetV3({ seed: 1 })), [2_542_856, 0.057]);
  assert.equal(sizes(mobilenetV3({ size: "large", seed: 1 })), [5_483_032, 0.217]);
  assert.equal(sizes(efficientnet({ seed: 1 })), [5_288_548, 0.386]);
  // The large one is too slow to draw: its formula by hand, held against a net of half the widths.
  const tiny = [96, 192, 384, 768];
  const narrow = tiny.map((dim) => dim / 2);
  assert.is(convNextParameters(tiny, [3, 3, 9, 3], 1000), 28_589_128);
  const half = convnext({ seed: 1, classes: 100, dims: narrow });
  assert.is(half.countParameters(), convNextParameters(narrow, [3, 3, 9, 3], 100));
});

work("mobile backbones: a stage is what torchvision calls features.i", () => {
  for (const net of [
    mobilenetV3({ seed: 1, input: [64, 64, 3] }),
    mobilenetV3({ seed: 1, input: [32, 32, 3], stemStride: 1, widthMult: 0.5 }),
    efficientnet({ seed: 1, input: [64, 64, 3], depthMult: 1.2 }),
    convnext({ seed: 1, input: [32, 32, 1], dims: [8, 16], depths: [1, 2], patch: 2 }),
  ]) {
    const found = describeStages(net);
    assert.equal(
      found.map(({ name }) => name),
      found.map((_, i) => `features.${i}`),
    );
    for (const { reduction, channels, shape } of found) {
      assert.equal(shape, [net.input[0] / reduction, net.input[1] / reduction, channels]);
    }
  }
});

work("mobile backbones refuse what they cannot be", async () => {
  await failsWith(
    () => mobilenetV3({ seed: 1, classes: 0 }),
    "ArgumentError",
    "mobilenetV3: classes must be a positive integer; got 0.",
  );
  await failsWith(
    () => mobilenetV3({ seed: 1, size: "medium" as "small" }),
    "ArgumentError",
    'mobilenetV3: size must be one of small, large; got "medium".',
  );
  await failsWith(
    () => mobilenetV3({ seed: 1, widthMult: 0 }),
    "ArgumentError",
    "mobilenetV3: widthMult must be a positive number; got 0.",
  );
  await failsWith(
    () => efficientnet({ seed: 1, stemStride: 3 as 1 }),
    "ArgumentError",
    "efficientnet: stemStride must be 1 or 2; got 3.",
  );
  await failsWith(
    () => convnext({ seed: 1, dims: [8, 16], depths: [1] }),
    "ArgumentError",
    "convnext: dims and depths must be lists of positive integers, of one length; got [8, 16] and [1].",
  );
  await failsWith(
    () => convnext({ seed: 1, dims: [8, 16], depths: [1, 0.5] }),
    "ArgumentError",
    "convnext: dims and depths must be lists of positive integers, of one length; got [8, 16] and [1, 0.5].",
  );
});

work("counting runs nothing on the GPU and leaves nothing behind", () => {
  const net = resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 4, 4], seed: 1 });
  const before = { ...device().stream.counters };
  macs(net);
  assert.is(device().stream.counters.dispatches, before.dispatches);
});

const passes = gpuSuite("nn: forward passes");

passes("stage by stage is the whole; fewer rows may go on", async () => {
  const net = resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 4, 4], seed: 1 });
  const x = randn([3, 8, 8, 1], { seed: 5 });
  const whole = await net.forward(x, EVAL).read();
  const steps = net.features(x, EVAL);
  const first = steps.next().value as Tensor;
  const kept = first.slice({ starts: [1, 0, 0, 0], ends: [3, 8, 8, 4] });
  const second = steps.next(kept).value as Tensor;
  const third = steps.next().value as Tensor;
  assert.is(steps.next().done, true);
  assert.equal(second.shape, [2, 4, 4, 4]);
  const rest = await net.classify(third).read();
  for (const [i, value] of rest.entries()) near(value, whole[4 + i]!, 1e-5, `logit ${i}`);
});

passes("running statistics move in training alone", async () => {
  const net = resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 4, 4], seed: 1 });
  const x = randn([4, 8, 8, 1], { seed: 6 });
  const before = [...(await net.bn1.runningVar.read())];
  net.forward(x, EVAL);
  assert.equal([...(await net.bn1.runningVar.read())], before);
  net.forward(x, TRAIN);
  assert.not.equal([...(await net.bn1.runningVar.read())], before);
});
