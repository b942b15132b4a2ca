// Stochastic depth and dropout of backbones: in training alone, by sample, scaled, the same from the same seed, with
// gradients of what stayed; and nothing of them is left when a network goes.

import { Generator, mul, randn, read, sum, type Tensor } from "../../engine/index.ts";
import { buildNetwork, type MultiExit } from "../../exits/index.ts";
import {
  BACKBONES,
  type Backbone,
  EVAL,
  Init,
  type Mode,
  StochasticDepth,
  TRAIN,
  TransformerBlock,
} from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("nn: layers that draw");

const values = async (x: Tensor): Promise<number[]> => [...((await x.read()) as Float32Array)];

test("whole samples are zeroed or scaled, and so are their gradients", async () => {
  using generator = new Generator({ seed: 5 });
  const layer = new StochasticDepth(0.25, generator);
  const x = randn([1200, 3, 5], { seed: 2 }).requiresGrad();
  assert.is(layer.forward(x, EVAL), x);
  const y = layer.forward(x, TRAIN);
  const weights = randn([1200, 3, 5], { seed: 3 });
  sum(mul(y, weights)).backward();
  const [given, found, slopes, factors] = (await read([x, y, x.grad, weights])) as Float32Array[];
  let dropped = 0;
  for (let row = 0; row < 1200; row++) {
    const at = Array.from({ length: 15 }, (_, i) => 15 * row + i);
    const isDropped = at.every((i) => found![i] === 0);
    dropped += Number(isDropped);
    const scale = isDropped ? 0 : Math.fround(1 / 0.75);
    for (const i of at) {
      assert.ok(Math.abs(found![i]! - given![i]! * scale) < 1e-6, `element ${i}`);
      assert.ok(Math.abs(slopes![i]! - factors![i]! * scale) < 1e-6, `gradient ${i}`);
    }
  }
  assert.ok(Math.abs(dropped / 1200 - 0.25) < 0.04, `${dropped} of 1200`);
  await failsWith(
    () => new StochasticDepth(1, generator),
    "ArgumentError",
    "StochasticDepth: p must be at least 0 and below 1; got 1.",
  );
});

test("a block that is passed over hands its input on", async () => {
  using generator = new Generator({ seed: 5 });
  const init = new Init({ seed: 2 });
  const block = new TransformerBlock(8, 2, init, { depth: new StochasticDepth(0.5, generator) });
  const x = randn([64, 3, 8], { seed: 4 });
  const [given, found] = (await read([x, block.forward(x, TRAIN)])) as Float32Array[];
  const untouched = Array.from({ length: 64 }, (_, row) =>
    given!.subarray(24 * row, 24 * row + 24).every((value, i) => value === found![24 * row + i]),
  ).filter(Boolean).length;
  // Both branches must be passed over: one in four.
  assert.ok(untouched >= 8 && untouched <= 26, `${untouched} of 64`);
});

const SITE = { input: [16, 16, 3], classes: 5, seed: 3 } as const;
const FAMILIES = {
  efficientnet: [{ widthMult: 0.25 }, { dropout: 0.4, stochasticDepth: 0.6 }],
  "mobilenet-v3-small": [{ widthMult: 0.25 }, { dropout: 0.4 }],
  "mobilenet-v3-large": [{ widthMult: 0.25 }, { dropout: 0.4 }],
  convnext: [{ dims: [8, 8, 16, 16], depths: [1, 1, 2, 1] }, { stochasticDepth: 0.6 }],
  vit: [{ depth: 3, dim: 32 }, { stochasticDepth: 0.6 }],
} as const;

for (const [name, [small, drops]] of Object.entries(FAMILIES)) {
  test(`${name}: it acts in training alone, by one generator that goes with the network`, async () => {
    const images = randn([8, 16, 16, 3], { seed: 7 });
    const make = (options: object): Backbone => BACKBONES[name]!.make({ ...small, ...options } as never, SITE);
    const [plain, net, same] = [make({}), make(drops), make(drops)];
    // Layer scales of 1e-6 would hide what the branches are.
    for (const one of [plain, net, same])
      for (const [field, tensor] of one.namedParameters())
        if (field.endsWith("layerScale")) tensor.write(new Float32Array(tensor.size).fill(1));
    assert.equal([plain.generators().length, net.generators().length], [0, 1]);
    assert.equal(await values(net.forward(images, EVAL)), await values(plain.forward(images, EVAL)));
    const trained = await values(net.forward(images, TRAIN));
    assert.not.equal(trained, await values(plain.forward(images, TRAIN)));
    assert.equal(await values(same.forward(images, TRAIN)), trained);
    assert.not.equal(await values(same.forward(images, TRAIN)), trained);
    assert.ok(trained.every(Number.isFinite));
    for (const one of [plain, net, same]) one.dispose();
  });

  test(`${name}: chances that are none are refused`, async () => {
    const [option] = Object.keys(drops);
    for (const p of [1, -0.1, Number.NaN]) {
      const error = await Promise.resolve()
        .then(() => BACKBONES[name]!.make({ ...small, [option!]: p } as never, SITE))
        .then(
          () => undefined,
          (thrown: Error) => thrown,
        );
      assert.match(String(error?.message), new RegExp(`${option} must be at least 0 and below 1; got`));
    }
  });
}

test("it acts in a last exit that something is put around, and not in one that is frozen", async () => {
  const options = { widthMult: 0.25, dropout: 0.6, stochasticDepth: 0.3 };
  const made = { backbone: "efficientnet", options, ...SITE, exits: ["features.2", "features.3"] } as const;
  using images = randn([6, 16, 16, 3], { seed: 7 });
  const last = async (net: MultiExit, mode: Mode, trains?: (name: string) => boolean) => {
    const { logits } = net.records(images, mode, trains ? { trains } : {}).at(-1)!;
    return values(logits);
  };
  for (const wraps of [undefined, ["hinted"]] as const) {
    using net = buildNetwork({ ...made, ...(wraps && { wraps }) }, { seed: 2 });
    using plain = buildNetwork({ ...made, options: { widthMult: 0.25 }, ...(wraps && { wraps }) }, { seed: 2 });
    assert.equal(await last(net, EVAL), await last(plain, EVAL));
    assert.not.equal(await last(net, TRAIN), await last(plain, TRAIN));
    assert.equal(await last(net, TRAIN, (name) => name.startsWith("heads.")), await last(net, EVAL));
    // Blocks without a residual have none.
    assert.ok(net.chances().includes(0.6) && net.chances().length > 5, `${net.chances()}`);
    assert.equal(plain.chances(), []);
  }
});
