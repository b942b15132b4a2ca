// The three nets of the benchmark, written once against a small set of operations that every engine implements:
// same maths, same weights, whoever computes them.

import { integers, normal } from "./random.ts";
import type { Inputs, NdArray, NetName } from "./workload.ts";

/**
 * What an engine must offer to run the nets. Images are [N, H, W, C] in meaning; an engine may store them otherwise.
 * No operation consumes its arguments. `name` finds parameters: `weight`, `bias`, `mean`, `var` below it.
 */
export interface NetOps<T> {
  /** Convolution without bias. */
  conv(x: T, name: string, options: { readonly stride: number; readonly pad: number }): T;
  /** Batch norm (batch statistics in training, given ones in inference; eps 1e-5), then `+ residual`, then relu. */
  batchNorm(x: T, name: string, options?: { readonly residual?: T; readonly relu?: boolean }): T;
  /** Mean over height and width: [N, C]. */
  globalAvgPool(x: T): T;
  /** x W + b over the last axis, then exact gelu, then `+ residual`. */
  linear(x: T, name: string, options?: { readonly gelu?: boolean; readonly residual?: T }): T;
  /** Non-overlapping patches [N, H, W, C] -> class token and patches [N, 1 + n, D], plus positions. */
  embed(x: T, options: { readonly patch: number }): T;
  /** Layer norm over the last axis (eps 1e-6). */
  layerNorm(x: T, name: string): T;
  /** Attention of qkv [N, T, 3 D] (q, k, v, each split into heads) -> [N, T, D]. */
  attention(qkv: T, heads: number): T;
  /** Token 0: [N, T, D] -> [N, D]. */
  firstToken(x: T): T;
}

/** A parameter or statistic of a net. Statistics (`trainable` false) matter in inference only. */
interface ParamSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly trainable: boolean;
  /** Convolution weights [kh, kw, in, out], which some engines store otherwise. */
  readonly isConv: boolean;
  readonly init: (seed: number) => Float32Array;
}

/** A net: its input [H, W, C], its parameters in a fixed order, and its function. */
export interface Net {
  readonly input: readonly [h: number, w: number, c: number];
  readonly classes: number;
  readonly params: readonly ParamSpec[];
  forward<T>(ops: NetOps<T>, x: T): T;
}

const around = (centre: number, spread: number, n: number) => (seed: number) =>
  normal(n, seed, spread).map((value) => centre + value);

function convParams(name: string, k: number, c: number, o: number): ParamSpec[] {
  const init = around(0, Math.sqrt(2 / (k * k * c)), k * k * c * o);
  return [{ name: `${name}.weight`, shape: [k, k, c, o], trainable: true, isConv: true, init }];
}

function vector(name: string, n: number, centre: number, spread: number, trainable = true): ParamSpec {
  return { name, shape: [n], trainable, isConv: false, init: around(centre, spread, n) };
}

function batchNormParams(name: string, c: number): ParamSpec[] {
  const variance = (seed: number) => normal(c, seed, 0.1).map((value) => 1 + Math.abs(value));
  return [
    vector(`${name}.weight`, c, 1, 0.1),
    vector(`${name}.bias`, c, 0, 0.1),
    vector(`${name}.mean`, c, 0, 0.1, false),
    { name: `${name}.var`, shape: [c], trainable: false, isConv: false, init: variance },
  ];
}

function linearParams(name: string, inputs: number, outputs: number): ParamSpec[] {
  const init = around(0, Math.sqrt(1 / inputs), inputs * outputs);
  const weight: ParamSpec = { name: `${name}.weight`, shape: [inputs, outputs], trainable: true, isConv: false, init };
  return [weight, vector(`${name}.bias`, outputs, 0, 0.02)];
}

const layerNormParams = (name: string, n: number): ParamSpec[] => [
  vector(`${name}.weight`, n, 1, 0.1),
  vector(`${name}.bias`, n, 0, 0.1),
];

/** Three convolutions with batch norm and relu, then a linear layer: 28x28x1, widths 16, 32, 64. */
const cnn: Net = {
  input: [28, 28, 1],
  classes: 10,
  params: [
    ...convParams("conv0", 3, 1, 16),
    ...batchNormParams("bn0", 16),
    ...convParams("conv1", 3, 16, 32),
    ...batchNormParams("bn1", 32),
    ...convParams("conv2", 3, 32, 64),
    ...batchNormParams("bn2", 64),
    ...linearParams("fc", 64, 10),
  ],
  forward(ops, x) {
    for (const i of [0, 1, 2]) {
      x = ops.batchNorm(ops.conv(x, `conv${i}`, { stride: i === 0 ? 1 : 2, pad: 1 }), `bn${i}`, { relu: true });
    }
    return ops.linear(ops.globalAvgPool(x), "fc");
  },
};

/** The nine blocks of ResNet-20: name, widths and stride. */
const BLOCKS = [16, 32, 64].flatMap((width, stage) =>
  [0, 1, 2].map((index) => {
    const isFirst = index === 0 && stage > 0;
    return { name: `layer${stage + 1}.${index}`, c: isFirst ? width / 2 : width, o: width, stride: isFirst ? 2 : 1 };
  }),
);

/** ResNet-20 for CIFAR (He et al. 2016, section 4.2) with 1x1 projections where the shape changes (option B). */
const resnet20: Net = {
  input: [32, 32, 3],
  classes: 10,
  params: [
    ...convParams("conv1", 3, 3, 16),
    ...batchNormParams("bn1", 16),
    ...BLOCKS.flatMap(({ name, c, o, stride }) => [
      ...convParams(`${name}.conv1`, 3, c, o),
      ...batchNormParams(`${name}.bn1`, o),
      ...convParams(`${name}.conv2`, 3, o, o),
      ...batchNormParams(`${name}.bn2`, o),
      ...(stride > 1 ? [...convParams(`${name}.short`, 1, c, o), ...batchNormParams(`${name}.bns`, o)] : []),
    ]),
    ...linearParams("fc", 64, 10),
  ],
  forward(ops, image) {
    let x = ops.batchNorm(ops.conv(image, "conv1", { stride: 1, pad: 1 }), "bn1", { relu: true });
    for (const { name, stride } of BLOCKS) {
      const y = ops.batchNorm(ops.conv(x, `${name}.conv1`, { stride, pad: 1 }), `${name}.bn1`, { relu: true });
      const residual = stride > 1 ? ops.batchNorm(ops.conv(x, `${name}.short`, { stride, pad: 0 }), `${name}.bns`) : x;
      x = ops.batchNorm(ops.conv(y, `${name}.conv2`, { stride: 1, pad: 1 }), `${name}.bn2`, { residual, relu: true });
    }
    return ops.linear(ops.globalAvgPool(x), "fc");
  },
};

const DIM = 64;
const DEPTH = 4;
const HEADS = 4;
const PATCH = 4;

/** A small ViT, pre-norm, with class token and learned positions: 32x32x3, patch 4, dim 64, depth 4, heads 4. */
const vit: Net = {
  input: [32, 32, 3],
  classes: 10,
  params: [
    ...convParams("patch", PATCH, 3, DIM),
    vector("patch.bias", DIM, 0, 0.02),
    { name: "cls", shape: [1, 1, DIM], trainable: true, isConv: false, init: around(0, 0.02, DIM) },
    { name: "pos", shape: [1, 65, DIM], trainable: true, isConv: false, init: around(0, 0.02, 65 * DIM) },
    ...Array.from({ length: DEPTH }, (_, i) => [
      ...layerNormParams(`${i}.norm1`, DIM),
      ...linearParams(`${i}.qkv`, DIM, 3 * DIM),
      ...linearParams(`${i}.proj`, DIM, DIM),
      ...layerNormParams(`${i}.norm2`, DIM),
      ...linearParams(`${i}.fc1`, DIM, 4 * DIM),
      ...linearParams(`${i}.fc2`, 4 * DIM, DIM),
    ]).flat(),
    ...layerNormParams("norm", DIM),
    ...linearParams("head", DIM, 10),
  ],
  forward(ops, image) {
    let x = ops.embed(image, { patch: PATCH });
    for (let i = 0; i < DEPTH; i++) {
      const qkv = ops.linear(ops.layerNorm(x, `${i}.norm1`), `${i}.qkv`);
      x = ops.linear(ops.attention(qkv, HEADS), `${i}.proj`, { residual: x });
      const hidden = ops.linear(ops.layerNorm(x, `${i}.norm2`), `${i}.fc1`, { gelu: true });
      x = ops.linear(hidden, `${i}.fc2`, { residual: x });
    }
    return ops.linear(ops.firstToken(ops.layerNorm(x, "norm")), "head");
  },
};

/** The nets by name. */
export const nets: Readonly<Record<NetName, Net>> = { cnn, resnet20, vit };

/** SGD as all engines run it: v = momentum v + g; p -= lr v. */
export const SGD = { lr: 0.02, momentum: 0.9 } as const;

/** Initial values of a net's parameters and statistics, by name. */
export function initialParams(net: Net): Map<string, NdArray & { readonly data: Float32Array }> {
  return new Map(net.params.map((param, i) => [param.name, { shape: param.shape, data: param.init(1000 + i) }]));
}

/** A batch for a net: x and labels. */
export function netInputs(net: Net, batch: number): Inputs {
  const [h, w, c] = net.input;
  return {
    x: { shape: [batch, h, w, c], data: normal(batch * h * w * c, 11) },
    labels: { shape: [batch], data: integers(batch, net.classes, 12) },
  };
}
