// Every name of the table of activations: fused into products, convolutions and batch norm it is what the plain op
// computes, bit for bit, NaN, infinities and f16 included; and so are gradients, but for those that the value alone
// tells to a rounding of 1.

import * as s from "../../engine/index.ts";
import { ACTIVATIONS, type Activated } from "../../kernels/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf } from "./messages.ts";

type Map = (x: s.Tensor) => s.Tensor;

const PLAIN: Readonly<Record<Activated, Map>> = {
  relu: s.relu,
  gelu: (x) => s.gelu(x),
  geluTanh: (x) => s.gelu(x, { approximate: "tanh" }),
  silu: s.silu,
  sigmoid: s.sigmoid,
  tanh: s.tanh,
  hardsigmoid: s.hardsigmoid,
  hardswish: s.hardswish,
};
const NAMES = Object.keys(ACTIVATIONS) as Activated[];

const test = gpuSuite("activations", { timeout: 240_000 });

/** Values, and the gradient of their sum weighted by `g`. */
async function outcome(x: s.Tensor, f: Map, g: s.Tensor): Promise<readonly [values: number[], slopes: number[]]> {
  const leaf = s.copy(x).requiresGrad();
  const y = f(leaf);
  s.backward(y, { gradient: g });
  return [[...(await y.read())], [...(await leaf.grad.read())]];
}

/** Bit for bit, but for the sign of zero: the sum of a product starts at 0. */
function same(got: readonly number[], want: readonly number[], title: string): void {
  const i = want.findIndex((value, k) => !Object.is(value + 0, got[k]! + 0));
  assert.ok(i < 0 && got.length === want.length, `${title}: element ${i} is ${got[i]}, the plain op has ${want[i]}`);
}

/** A rounding of 1, of the value, moves gradients by so much of the largest. */
function near(got: readonly number[], want: readonly number[], title: string): void {
  const bound = 4 * 2 ** -24 * Math.max(...want.map(Math.abs));
  const i = want.findIndex((value, k) => !(Math.abs(value - got[k]!) <= bound));
  assert.ok(i < 0, `${title}: element ${i} is ${got[i]}, the plain op has ${want[i]}`);
}

const ODD = [
  Number.NaN,
  1 / 0,
  -1 / 0,
  0,
  -0,
  1e-40,
  -1e-40,
  3,
  -3,
  2.9999998,
  -2.9999998,
  3e38,
  -3e38,
  88,
  -88,
  1,
  -1,
];

const drawn = (shape: readonly number[], seed: number, dtype: "f32" | "f16" = "f32"): s.Tensor =>
  s.cast(s.mul(s.randn(shape, { seed }), 3), dtype);

type Identity = readonly [title: string, x: s.Tensor, f: (x: s.Tensor, fused: s.FusedOptions) => s.Tensor];

const product = (dtype: "f32" | "f16"): Identity => {
  const unit = s.eye(36, { dtype });
  return ["linear", drawn([67, 36], 4, dtype), (x, fused) => s.linear(x, unit, undefined, fused)];
};

/**
 * A kernel each that hands single elements and quads of four to what is fused; the small product above hands elements.
 */
const identities = (dtype: "f32" | "f16"): readonly Identity[] => {
  const [tiles, unit] = [s.eye(132, { dtype }), s.ones([1, 1, 1, 7], { dtype })];
  return [
    product(dtype),
    ["linear, tiles", drawn([67, 132], 5, dtype), (x, fused) => s.linear(x, tiles, undefined, fused)],
    ["conv2d", drawn([3, 7, 5, 7], 6, dtype), (x, fused) => s.conv2d(x, unit, undefined, { ...fused, groups: 7 })],
  ];
};

for (const name of NAMES) {
  test(`${name}, fused into products and convolutions`, async () => {
    const hasF16 = (await device()).info.hasF16;
    for (const dtype of hasF16 ? (["f32", "f16"] as const) : (["f32"] as const))
      for (const [title, x, identity] of identities(dtype)) {
        const want = [...(await PLAIN[name](x).read())];
        same([...(await identity(x, { activation: name }).read())], want, `${title} with ${name}, ${dtype}`);
      }
  });

  test(`${name}, and back`, async () => {
    const [, x, identity] = product("f32");
    const g = drawn(x.shape, 8);
    const [, plain] = await outcome(x, PLAIN[name], g);
    // With a residual behind it the argument is kept, and the gradient is the plain op's.
    const kept = { activation: name, residual: s.zerosLike(x), residualAt: "after" } as const;
    same((await outcome(x, (at) => identity(at, kept), g))[1], plain, `gradient of ${name}, a residual after it`);
    const [, bare] = await outcome(x, (at) => identity(at, { activation: name }), g);
    if ("dy" in ACTIVATIONS[name]) near(bare, plain, `gradient of ${name}`);
    else same(bare, plain, `gradient of ${name}`);
  });

  for (const [shape, training, hasResidual] of [
    [[9, 5, 8], true, true],
    [[67, 7], false, false],
  ] as const)
    test(`${name}, fused into batch norm${training ? " in training, behind a residual" : ""}`, async () => {
      const channel = shape.slice(-1);
      const [weight, bias, r] = [drawn(channel, 1), drawn(channel, 2), drawn(shape, 3)];
      const results = async (isFused: boolean) => {
        const norm = (x: s.Tensor, residual: s.Tensor | undefined, activation: s.Activation): s.Tensor =>
          s.batchNorm(x, weight, bias, s.zeros(channel), s.ones(channel), { training, residual, activation });
        const residual = hasResidual ? s.copy(r).requiresGrad() : undefined;
        const [y, dx] = await outcome(
          drawn(shape, 4),
          (x) => (isFused ? norm(x, residual, name) : PLAIN[name](norm(x, residual, "none"))),
          drawn(shape, 5),
        );
        return [y, dx, residual ? [...(await residual.grad.read())] : []] as const;
      };
      const [fused, plain] = [await results(true), await results(false)];
      same(fused[0], plain[0], name);
      // Behind a residual a gradient that the value tells is computed from that.
      const compare = hasResidual && "dy" in ACTIVATIONS[name] ? near : same;
      compare(fused[1], plain[1], `gradient of x, ${name}`);
      compare(fused[2], plain[2], `gradient of the residual, ${name}`);
    });

  test(`${name}, of NaN, infinities, zeros and what lies at its kinks`, async () => {
    const columns = 19;
    const values = s.tensor(Float32Array.from({ length: columns }, (_, i) => ODD[i % ODD.length]!));
    const want = [...(await PLAIN[name](values).read())];
    const rows = Array.from({ length: 3 }, () => want).flat();
    const linear = s.linear(s.zeros([3, 8]), s.zeros([8, columns]), values, { activation: name });
    same([...(await linear.read())], rows, `linear with ${name}`);
    const unit = s.zeros([1, 1, 1, columns]);
    const image = s.conv2d(s.zeros([1, 3, 1, columns]), unit, values, { activation: name, groups: columns });
    same([...(await image.read())], rows, `conv2d with ${name}`);
    const [mean, variance] = [s.zeros([columns]), s.ones([columns])];
    const norm = s.batchNorm(s.zeros([3, columns]), s.ones([columns]), values, mean, variance, { activation: name });
    same([...(await norm.read())], rows, `batchNorm with ${name}`);
  });
}

test("gradients with a graph of their own are those without, also where they are small", async () => {
  const at = Float32Array.from({ length: 129 }, (_, i) => (i - 64) / 8);
  for (const name of NAMES) {
    const slopes = async (createGraph: boolean): Promise<number[]> => {
      const [dx] = s.grad((x: s.Tensor) => s.sum(PLAIN[name](x)), { createGraph })(s.tensor(at));
      return [...(await dx!.read())];
    };
    const [own, plain] = [await slopes(true), await slopes(false)];
    const i = plain.findIndex((want, k) => !(Math.abs(own[k]! - want) <= 1e-5 * Math.abs(want)));
    assert.ok(i < 0, `${name} at ${at[i]}: ${own[i]} with a graph, ${plain[i]} without`);
  }
});

test("what the table does not have is refused by all that fuse", () => {
  const wrong = { activation: "swish" as "silu" };
  const says = `activation must be one of none, ${NAMES.join(", ")}; got "swish".`;
  const [x, unit] = [s.zeros([2, 8]), s.zeros([8])];
  assert.is(
    messageOf(() => s.linear(x, s.zeros([8, 4]), undefined, wrong)),
    `ArgumentError: linear: ${says}`,
  );
  assert.is(
    messageOf(() => s.conv2d(s.zeros([1, 2, 2, 8]), s.zeros([1, 1, 8, 4]), undefined, wrong)),
    `ArgumentError: conv2d: ${says}`,
  );
  assert.is(
    messageOf(() => s.batchNorm(x, unit, unit, unit, unit, wrong)),
    `ArgumentError: batchNorm: ${says}`,
  );
});

test("batch norm behind a residual, and back, binds no more than every adapter has room for", async () => {
  using portable = await s.createPortableDevice();
  const shape = [9, 8];
  const made = async (like: s.Tensor) =>
    s.tensor((await like.read()) as Float32Array<ArrayBuffer>, { shape: like.shape, device: portable });
  const [x, r, g] = [await made(drawn(shape, 4)), await made(drawn(shape, 3)), await made(drawn(shape, 5))];
  const [weight, bias] = [await made(drawn([8], 1)), await made(drawn([8], 2))];
  const [mean, variance] = [await made(drawn([8], 6)), await made(s.full([8], 3))];
  for (const name of NAMES) {
    const norm = (at: s.Tensor, activation: s.Activation) =>
      s.batchNorm(at, weight, bias, mean, variance, { residual: r, activation });
    const [y, dx] = await outcome(x, (at) => norm(at, name), g);
    const plain = await outcome(x, (at) => PLAIN[name](norm(at, "none")), g);
    same(y, plain[0], name);
    if (!("dy" in ACTIVATIONS[name])) same(dx, plain[1], `gradient of ${name}`);
  }
});
