// MSDNet against the authors' public code: its work, and its logits by a forward pass that is written out as theirs is
// wired.

import { batchNorm, concat, conv2d, linear, mean, noGrad, randn, read, relu, type Tensor } from "../../engine/index.ts";
import { HEADS, type MultiExit, multiExit } from "../../exits/index.ts";
import { type Backbone, EVAL, type MSDNetOptions, msdnet, TRAIN, toTorchName } from "../../nn/index.ts";
import { mulberry } from "../engine/ops/check.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("nn: msdnet", { timeout: 120_000 });

const withExits = (backbone: Backbone): MultiExit =>
  multiExit(backbone, { after: backbone.stages.slice(0, -1).map(({ name }) => name), head: HEADS.msdnet, seed: 2 });

test("has the work that is published of it: seven growing blocks on CIFAR-100", () => {
  using net = withExits(msdnet({ classes: 100, blocks: 7, base: 1, step: 1, stepMode: "linear", seed: 1 }));
  const published = [6.86, 14.35, 27.31, 48.45, 76.43, 108.9, 137.3];
  // Theirs counts activations, biases and pooled pixels too, which here count nothing.
  for (const [j, macs] of net.macs().entries()) {
    const share = macs / 1e6 / published[j]!;
    assert.ok(share > 0.988 && share < 1, `${macs} MACs at exit ${j + 1}, ${published[j]} million published`);
  }
});

/** Layers of each scale as `models/msdnet.py` counts them: [scales in, scales out] of every layer. */
function scalesOf(layers: number, scales: number): (readonly [number, number])[] {
  const interval = Math.ceil(layers / scales);
  return Array.from({ length: layers }, (_, i) => [
    scales - Math.floor(Math.max(0, i - 1) / interval),
    scales - Math.floor(i / interval),
  ]);
}

/** The authors' network, from its tensors by their names: logits of all exits. */
class Theirs {
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #steps: readonly number[];

  constructor(net: MultiExit, steps: readonly number[]) {
    const inTheirWords = (name: string) =>
      toTorchName(name)
        .replace(/^backbone\.classifier\./, `classifier.${steps.length - 1}.`)
        .replace(/^backbone\./, "")
        .replace(/^heads\./, "classifier.");
    this.#tensors = new Map([...net.state()].map(([name, tensor]) => [inTheirWords(name), tensor]));
    this.#steps = steps;
  }

  get names(): readonly string[] {
    return [...this.#tensors.keys()];
  }

  #of(name: string): Tensor {
    const found = this.#tensors.get(name);
    if (!found) throw new Error(`no tensor ${name}`);
    return found;
  }

  #conv(x: Tensor, conv: string, norm: string, stride: number): Tensor {
    const weight = this.#of(`${conv}.weight`);
    const y = conv2d(x, weight, undefined, { stride, padding: weight.shape[0] === 3 ? 1 : 0 });
    const [gain, offset, m, v] = ["weight", "bias", "running_mean", "running_var"].map((of) =>
      this.#of(`${norm}.${of}`),
    ) as [Tensor, Tensor, Tensor, Tensor];
    return relu(batchNorm(y, gain, offset, m, v, { eps: 1e-5, momentum: 0.1, training: false }));
  }

  #basic = (x: Tensor, at: string, stride: number) => this.#conv(x, `${at}.net.0`, `${at}.net.1`, stride);

  #narrowed = (x: Tensor, at: string, stride: number) =>
    this.#conv(this.#conv(x, `${at}.net.0`, `${at}.net.1`, 1), `${at}.net.3`, `${at}.net.4`, stride);

  #layer(x: readonly Tensor[], at: string, [before, after]: readonly [number, number]): Tensor[] {
    const dropped = before - after;
    return Array.from({ length: after }, (_, i) => {
      const own = x[i + dropped]!;
      const normal = this.#narrowed(own, `${at}.layers.${i}.conv_normal`, 1);
      const finer = x[i + dropped - 1];
      if (!finer) return concat([own, normal], { dim: 3 });
      return concat([own, this.#narrowed(finer, `${at}.layers.${i}.conv_down`, 2), normal], { dim: 3 });
    });
  }

  forward(images: Tensor, scales: number): Tensor[] {
    const layers = scalesOf(
      this.#steps.reduce((sum, step) => sum + step, 0),
      scales,
    );
    let maps: Tensor[] = [];
    let x = images;
    for (let i = 0; i < scales; i++) {
      x = this.#basic(x, `blocks.0.0.layers.${i}`, i === 0 ? 1 : 2);
      maps.push(x);
    }
    return this.#steps.map((step, b) => {
      let at = b === 0 ? 1 : 0;
      for (let i = 0; i < step; i++) {
        const [before, after] = layers.shift()!;
        maps = this.#layer(maps, `blocks.${b}.${at++}`, [before, after]);
        if (before > after) {
          const transition = `blocks.${b}.${at++}.m`;
          maps = maps.map((map, s) => this.#basic(map, `${transition}.${s}`, 1));
        }
      }
      const small = this.#basic(this.#basic(maps.at(-1)!, `classifier.${b}.m.0`, 2), `classifier.${b}.m.1`, 2);
      const row = mean(small, { dim: [1, 2] });
      return linear(row, this.#of(`classifier.${b}.linear.weight`), this.#of(`classifier.${b}.linear.bias`));
    });
  }
}

/** Gives every norm weights and statistics that differ between channels. */
function stir(net: MultiExit): void {
  const random = mulberry(7);
  for (const [name, { rank, size, write }] of [...net.state()].map(
    ([name, t]) => [name, { rank: t.rank, size: t.size, write: (of: Float32Array) => t.write(of) }] as const,
  )) {
    if (rank === 1 && !name.includes("linear")) write(Float32Array.from({ length: size }, () => 0.5 + random()));
  }
}

const LAYOUTS: readonly (readonly [string, Partial<MSDNetOptions>, readonly number[]])[] = [
  ["even steps", { blocks: 4, base: 4, step: 2 }, [4, 2, 2, 2]],
  ["growing steps", { blocks: 5, base: 1, step: 1, stepMode: "linear", growth: 10 }, [1, 2, 3, 4, 5]],
  ["two scales", { blocks: 2, base: 3, step: 3, factors: [1, 3], bottlenecks: [2, 1], growth: 4 }, [3, 3]],
];

for (const [about, options, steps] of LAYOUTS) {
  test(`answers as the authors' code is wired, under their names: ${about}`, async () => {
    using net = withExits(msdnet({ classes: 7, input: [20, 28, 3], seed: 5, ...options }));
    stir(net);
    const scales = options.factors?.length ?? 3;
    const theirs = new Theirs(net, steps);
    // Every tensor has a name of theirs.
    const known =
      /^(blocks\.\d+\.\d+\.(layers\.\d+\.(conv_(down|normal)\.)?net|m\.\d+\.net)|classifier\.\d+\.(m\.[01]\.net|linear))\./;
    assert.equal(
      theirs.names.filter((name) => !known.test(name)),
      [],
    );
    const images = randn([5, 20, 28, 3], { seed: 9 });
    const all = noGrad(() => net.forward(images, EVAL));
    const want = noGrad(() => theirs.forward(images, scales));
    const [got, ...wanted] = await read([all, ...want]);
    const classes = 7;
    let worst = 0;
    for (const [j, logits] of wanted.entries()) {
      for (const [at, z] of logits.entries()) {
        const [i, c] = [Math.floor(at / classes), at % classes];
        worst = Math.max(worst, Math.abs(got![(i * net.exits + j) * classes + c]! - z) / (1 + Math.abs(z)));
      }
    }
    assert.ok(worst < 1e-5, `off by ${worst}`);
    for (const made of [images, all, ...want]) made.dispose();
  });
}

test("an exit sees the coarsest scale, whatever its features carry along", () => {
  using net = msdnet({ classes: 3, input: [16, 24, 3], blocks: 3, base: 2, step: 2, channels: 8, growth: 4, seed: 1 });
  const images = randn([2, 16, 24, 3], { seed: 1 });
  const [first] = net.features(images, TRAIN);
  // Layers 1 and 2 keep all three scales of 1, 2 and 4 times 16 channels.
  const sizes = [16 * 24 * 16, 8 * 12 * 32, 4 * 6 * 64];
  assert.equal(first!.shape, [2, sizes.reduce((sum, size) => sum + size, 0)]);
  assert.equal(net.view(0, first!).shape, [2, 4, 6, 64]);
  assert.is(first!.device, device());
});

test("images of another size than the network is for are refused, where their maps would be cut wrongly", async () => {
  using net = msdnet({ classes: 3, input: [16, 16, 3], blocks: 2, base: 1, step: 1, channels: 4, growth: 2, seed: 1 });
  const wanted = 16 * 16 * 6 + 8 * 8 * 12 + 4 * 4 * 24;
  await failsWith(
    () => net.forward(randn([1, 32, 32, 3], { seed: 1 }), EVAL),
    "ShapeError",
    `msdnet: images must be of 16 x 16 x 3; behind block 1 there are ${4 * wanted} values an image, not ${wanted}.`,
  );
});

test("layouts that cannot be are refused", async () => {
  const make = (options: Partial<MSDNetOptions>) => () => msdnet({ classes: 2, seed: 1, ...options });
  await failsWith(make({ blocks: 0 }), "ArgumentError", "msdnet: blocks must be a positive whole number; got 0.");
  await failsWith(
    make({ factors: [1, 2] }),
    "ArgumentError",
    "msdnet: factors and bottlenecks must have a positive whole number for each scale; got [1, 2] and [1, 2, 4].",
  );
  await failsWith(
    make({ growth: 3, factors: [1, 1], bottlenecks: [1, 1] }),
    "ArgumentError",
    "msdnet: growth times a coarser scale's factor must be even; got 3.",
  );
  await failsWith(make({ reduction: 0 }), "ArgumentError", "msdnet: reduction must be above 0 and at most 1; got 0.");
  await failsWith(
    make({ stepMode: "grown" as "even" }),
    "ArgumentError",
    'msdnet: stepMode must be even or linear; got "grown".',
  );
});
