// Backbones by name: each makes a network of its own options, with exits and heads as it presets them.

import { add, backward, Generator, keep, mean, noGrad, ones, randn, scope } from "../../engine/index.ts";
import { HEADS, type HeadKind, multiExit } from "../../exits/index.ts";
import { BACKBONE_PARTS, BACKBONES, type Backbone, describeStages, EVAL, TRAIN } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("nn: backbones by name");

/** Small, where the defaults are for real images. */
const SMALL: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  resnet: { widths: [4, 8, 8] },
  "imagenet-resnet": {},
  vit: { depth: 3, dim: 32, patch: 4 },
  "mobilenet-v3-small": { widthMult: 0.25 },
  "mobilenet-v3-large": { widthMult: 0.25 },
  efficientnet: { widthMult: 0.25, depthMult: 0.3 },
  convnext: { dims: [8, 16, 16, 24], depths: [1, 1, 2, 1] },
  msdnet: { blocks: 3, base: 1, step: 1, channels: 4, growth: 2 },
};

test("every kind is tried here", () => {
  assert.equal(Object.keys(SMALL).sort(), Object.keys(BACKBONES).sort());
});

test("each is loaded alone under its name", async () => {
  const loaded = Object.entries(BACKBONE_PARTS).map(async ([name, load]) => [name, await load()] as const);
  assert.equal(Object.fromEntries(await Promise.all(loaded)), BACKBONES);
});

for (const [name, { enlarge, make, exits }] of Object.entries(BACKBONES)) {
  test(`${name}: a larger one does about eight times the work, between the same exits`, () => {
    const site = { input: [16, 16, 3], classes: 5, seed: 3 } as const;
    const small = SMALL[name] ?? {};
    using net = make(small, site);
    using larger = make(enlarge?.(small, { wider: 2, deeper: 2 }) ?? small, site);
    const work = (of: Backbone) => describeStages(of).reduce((sum, { macs }) => sum + macs, 0);
    const times = work(larger) / work(net);
    // There are two sizes of it, and the next one. Elsewhere stems, rounded widths and tables without depths make the
    // difference.
    assert.ok(name === "imagenet-resnet" ? times > 1.8 : times > 4 && times < 11, `${times} times the work`);
    assert.equal(exits(enlarge?.(small, { wider: 2, deeper: 2 }) ?? small), exits(small));
    assert.equal(
      larger.stages.map((stage) => stage.name),
      net.stages.map((stage) => stage.name),
    );
  });
}

for (const [name, kind] of Object.entries(BACKBONES)) {
  test(`${name}: makes what trains and answers at the exits that it presets`, async () => {
    const site = { input: [16, 16, 3], classes: 5, seed: 3 } as const;
    const small = SMALL[name] ?? {};
    const after = kind.exits(small);
    const head = kind.head === undefined ? {} : { head: HEADS[kind.head as HeadKind] };
    using net = multiExit(kind.make(small, site), { after, ...head });
    assert.equal(net.exits, after.length + 1);
    assert.equal(net.describe().at(0)?.head.kind, kind.head ?? "gap-linear", "the preset head is the features' own");
    using generator = new Generator({ seed: 5 });
    using images = keep(randn([3, ...site.input], { generator }));
    const logits = scope(() => {
      const all = net.forward(images, TRAIN);
      backward(mean(add(all, ones(all.shape))));
      return noGrad(() => net.forward(images, EVAL));
    });
    assert.equal(logits.shape, [3, net.exits, 5]);
    assert.ok(((await logits.read()) as Float32Array).every(Number.isFinite));
    const silent = net.parameters().filter(({ grad }) => !grad);
    assert.equal(silent.length, 0, "every parameter has a gradient");
    // The same seed, the same weights.
    using again = multiExit(kind.make(small, site), { after, ...head });
    assert.equal(await again.parameters()[0]!.read(), await net.parameters()[0]!.read());
  });
}

test("mobilenet-v3-small: eps is added to the variances of all its norms", async () => {
  const site = { input: [32, 32, 3], classes: 3, seed: 2 } as const;
  using generator = new Generator({ seed: 4 });
  using images = randn([2, 32, 32, 3], { generator });
  const answers = async (variance: number, eps?: number) => {
    using net = BACKBONES["mobilenet-v3-small"]!.make({ widthMult: 0.25, ...(eps && { eps }) }, site);
    for (const [name, buffer] of net.namedBuffers())
      if (name.endsWith("runningVar")) buffer.write(new Float32Array(buffer.size).fill(variance));
    using logits = noGrad(() => scope(() => net.forward(images, EVAL)));
    return [...((await logits.read()) as Float32Array)];
  };
  const usual = await answers(0.01);
  assert.equal(await answers(0.01, 1e-3), usual);
  const same = await answers(0.011 - 1e-5, 1e-5);
  assert.ok(
    same.every((value, i) => Math.abs(value - usual[i]!) < 1e-4 * (1 + Math.abs(value))),
    `${same} and ${usual}`,
  );
  assert.not.equal(await answers(0.01, 1e-5), usual);
});

test("vit: heads are as wide as is asked for, over the same weights", async () => {
  const site = { input: [8, 8, 1], classes: 3, seed: 2 } as const;
  using generator = new Generator({ seed: 4 });
  using images = randn([2, 8, 8, 1], { generator });
  const answers = async (headDim?: number) => {
    using net = BACKBONES["vit"]!.make({ depth: 3, dim: 32, ...(headDim && { headDim }) }, site);
    const weights = (await net.parameters()[0]!.read()) as Float32Array;
    using logits = noGrad(() => scope(() => net.forward(images, EVAL)));
    return { weights: [...weights], logits: [...((await logits.read()) as Float32Array)] };
  };
  const [usual, narrow, wide] = [await answers(), await answers(16), await answers(32)];
  assert.equal(usual, narrow);
  assert.equal(wide.weights, narrow.weights);
  assert.not.equal(wide.logits, narrow.logits);
});
