// Conformance cases of kind "model": networks with PyTorch weights by name, taps, training steps and their gradients.

import { backward, crossEntropy, maxPool2d, openScope, type Tensor } from "../../engine/index.ts";
import {
  type Backbone,
  type CifarResNet,
  convnext,
  EVAL,
  efficientnet,
  type ImageNetResNet,
  imageNetResnet,
  loadTorch,
  type Mode,
  mobilenetV3,
  resnet,
  TORCHVISION,
  TRAIN,
  toTorchName,
  type VisionTransformer,
  vit,
} from "../../nn/index.ts";
import { demand, pick } from "./attrs.ts";
import type { Case, CaseAttrs, CaseRunner, CaseTensors } from "./case.ts";
import { toDevice, toHost } from "./engine.ts";
import { get, inTorch, noGradHost, type Size, weightsOf } from "./network.ts";

/** Features by PyTorch's module names, each computed when asked for. */
type Taps = (x: Tensor) => (module: string) => Tensor;

/** A network of a case and where its taps are. */
interface Subject<N extends Backbone> {
  readonly make: (attrs: CaseAttrs, input: Size) => N;
  readonly taps: (net: N) => Taps;
  /** What the case calls a tensor of ours. */
  readonly toFile?: (name: string) => string;
}

/** Runs layers `from the start` up to the named block, `layerL.B` or `layerL` for its last. */
function blockTap(
  layers: readonly (readonly { forward(x: Tensor, mode: Mode): Tensor }[])[],
  name: string,
  start: Tensor,
): Tensor {
  if (!/^layer\d+(\.\d+)?$/.test(name)) throw new Error(`the tap ${name} is not among layerL and layerL.B`);
  const [layer, block] = name.replace("layer", "").split(".").map(Number) as [number, number | undefined];
  return layers.slice(0, layer).reduce((x, blocks, i) => {
    const count = i === layer - 1 && block !== undefined ? block + 1 : blocks.length;
    return blocks.slice(0, count).reduce((y, one) => one.forward(y, EVAL), x);
  }, start);
}

/** The number of layers in the name of an architecture: `cifarResNet56` is 56 layers of `cifarResNet`. */
function depthOf({ arch }: CaseAttrs, family: string): number {
  const depth = new RegExp(`^${family}(\\d+)$`).exec(String(arch))?.[1];
  if (depth === undefined)
    throw new Error(`attribute arch must be "${family}" and a number; got ${JSON.stringify(arch)}`);
  return Number(depth);
}

const cifar: Subject<CifarResNet> = {
  make: (attrs, input) => {
    const { shortcut, numClasses: classes } = attrs as { shortcut: "A" | "B"; numClasses: number };
    return resnet({ depth: depthOf(attrs, "cifarResNet"), classes, input, shortcut, seed: 1 });
  },
  taps: (net) => (x) => (name) => {
    const start = (activation: "none" | "relu") => net.bn1.forward(net.conv1.forward(x), EVAL, { activation });
    return name === "bn1" ? start("none") : blockTap([net.layer1, net.layer2, net.layer3], name, start("relu"));
  },
};

const imageNet: Subject<ImageNetResNet> = {
  toFile: (name) => toTorchName(name, TORCHVISION),
  make: (attrs, input) => {
    demand(attrs, "naming", "torchvision");
    const depth = depthOf(attrs, "resnet") as 18 | 34 | 50;
    return imageNetResnet({ depth, classes: attrs["numClasses"] as number, input, seed: 1 });
  },
  taps: (net) => (x) => (name) => {
    const stem = net.bn1.forward(net.conv1.forward(x), EVAL, { activation: "relu" });
    const start = maxPool2d(stem, { kernel: 3, stride: 2, padding: 1 });
    if (name === "maxpool") return start;
    const features = blockTap(
      [net.layer1, net.layer2, net.layer3, net.layer4],
      name.replace("avgpool", "layer4"),
      start,
    );
    return name === "avgpool" ? features.mean({ dim: [1, 2], keepdim: true }) : features;
  },
};

const transformer: Subject<VisionTransformer> = {
  make: (attrs, [height, width, channels]) => {
    demand(attrs, "naming", "timm");
    // The name of a published size says what the sizes beside it say.
    const [, patch, image] = /_patch(\d+)_(\d+)$/.exec(String(attrs["arch"])) ?? [];
    demand(attrs, "patchSize", ...(patch === undefined ? [attrs["patchSize"]] : [Number(patch)]));
    demand(attrs, "imgSize", ...(image === undefined ? [height] : [Number(image)]));
    if (height !== width) throw new Error(`images must be square; got ${height} x ${width}`);
    const sizes = ["imgSize", "patchSize", "embedDim", "depth", "numHeads", "mlpRatio", "layerNormEps"];
    type Sizes = Omit<Parameters<typeof vit>[0], "classes" | "seed">;
    const classes = attrs["numClasses"] as number;
    return vit({ ...pick<Sizes>(attrs, ...sizes), classes, channels, seed: 1 });
  },
  taps: (net) => (x) => (name) => {
    if (!/^(norm|blocks\.\d+)$/.test(name)) throw new Error(`the tap ${name} is not among norm and blocks.B`);
    const last = name === "norm" ? net.blocks.length : Number(name.replace("blocks.", "")) + 1;
    const tokens = net.blocks.slice(0, last).reduce((y, block) => block.forward(y), net.embed(x));
    return name === "norm" ? net.norm.forward(tokens) : tokens;
  },
};

/** Backbones whose stages are what torchvision calls `features.i`. */
const byStage = <N extends Backbone>(make: Subject<N>["make"]): Subject<N> => ({
  make: (attrs, input) => {
    demand(attrs, "naming", "torchvision");
    return make(attrs, input);
  },
  taps: (net) => (x) => (name) => {
    const last = net.stages.findIndex((stage) => stage.name === name);
    if (last < 0) throw new Error(`the backbone has no stage ${name}`);
    return net.stages.slice(0, last + 1).reduce((y, _, i) => net.stage(i, y, EVAL), x);
  },
});

const mobile = byStage((attrs, input) => {
  demand(attrs, "arch", "mobilenet_v3_small", "mobilenet_v3_large");
  const size = attrs["arch"] === "mobilenet_v3_large" ? "large" : "small";
  const classes = attrs["numClasses"] as number;
  const scale = pick<{ widthMult: number }>(attrs, "widthMult");
  // The cases were made with this momentum; torchvision's own is 0.01.
  return mobilenetV3({ ...scale, size, classes, input, momentum: 0.1, seed: 1 });
});

/** Factors of widths and depths, by torchvision's names; from B5 on its norms have another eps. */
const EFFICIENTNETS = {
  efficientnet_b0: { widthMult: 1, depthMult: 1 },
  efficientnet_b1: { widthMult: 1, depthMult: 1.1 },
  efficientnet_b2: { widthMult: 1.1, depthMult: 1.2 },
  efficientnet_b3: { widthMult: 1.2, depthMult: 1.4 },
  efficientnet_b4: { widthMult: 1.4, depthMult: 1.8 },
};

const efficient = byStage((attrs, input) => {
  demand(attrs, "arch", ...Object.keys(EFFICIENTNETS));
  type Scale = { widthMult: number; depthMult: number };
  const named = EFFICIENTNETS[attrs["arch"] as keyof typeof EFFICIENTNETS];
  const classes = attrs["numClasses"] as number;
  return efficientnet({ ...named, ...pick<Scale>(attrs, "widthMult", "depthMult"), classes, input, seed: 1 });
});

/** Widths and depths of the stages, by torchvision's names. */
const CONVNEXTS = {
  convnext: {},
  convnext_tiny: { dims: [96, 192, 384, 768], depths: [3, 3, 9, 3] },
  convnext_small: { dims: [96, 192, 384, 768], depths: [3, 3, 27, 3] },
  convnext_base: { dims: [128, 256, 512, 1024], depths: [3, 3, 27, 3] },
  convnext_large: { dims: [192, 384, 768, 1536], depths: [3, 3, 27, 3] },
};

const convNext = byStage((attrs, input) => {
  demand(attrs, "arch", ...Object.keys(CONVNEXTS));
  type Layout = { dims: number[]; depths: number[] };
  const named = CONVNEXTS[attrs["arch"] as keyof typeof CONVNEXTS];
  const classes = attrs["numClasses"] as number;
  return convnext({ ...named, ...pick<Layout>(attrs, "dims", "depths"), classes, input, seed: 1 });
});

/** The case's name of a tensor: projections of CIFAR's networks are called as ours. */
const toFile = (name: string): string => toTorchName(name).replace(/^layers\./, "features.");

/** One training step's loss, gradients and running statistics. */
async function trained(net: Backbone, one: Case, rename: (name: string) => string): Promise<CaseTensors> {
  const x = toDevice(get(one, "x")).requiresGrad();
  const logits = net.forward(x, TRAIN);
  demand(one.attrs, "loss", "crossEntropy");
  const reduction = pick<{ reduction?: "mean" | "sum" }>(one.attrs, "reduction");
  const loss = crossEntropy(logits, toDevice(get(one, "labels")), reduction);
  backward(loss);
  const grads = Object.fromEntries([...net.namedParameters()].map(([name, parameter]) => [name, parameter.grad]));
  return {
    ...(await toHost({ "out.loss": loss, "out.logits": logits, "grad.x": x.grad })),
    ...inTorch("grad.param.", await toHost(grads), rename),
    ...inTorch("out.buffer.", await toHost(Object.fromEntries(net.namedBuffers())), rename),
  };
}

function forwardCase<N extends Backbone>({ make, taps, toFile: rename = toFile }: Subject<N>): CaseRunner {
  return async (one) => {
    using _ = openScope();
    const weights = await weightsOf(one);
    const net = make(one.attrs, get(one, "x").shape.slice(1) as unknown as Size);
    loadTorch(net, weights, { renames: TORCHVISION });
    demand(one.attrs, "mode", "train", "eval");
    if (one.attrs["mode"] === "train") return await trained(net, one, rename);
    return await noGradHost(() => {
      const x = toDevice(get(one, "x"));
      const at = taps(net)(x);
      const tapped = Object.entries((one.attrs["taps"] ?? {}) as Record<string, string>);
      return {
        "out.logits": net.forward(x, EVAL),
        ...Object.fromEntries(tapped.map(([label, name]) => [`out.tap.${label}`, at(name)])),
      };
    });
  };
}

/** One runner for all names that a family goes by: `arch` says which of it. */
const ofNames = <N extends Backbone>(subject: Subject<N>, ...names: readonly string[]): Record<string, CaseRunner> =>
  Object.fromEntries(names.map((name) => [name, forwardCase(subject)]));

/** Op name to runner. */
export const modelCases: Record<string, CaseRunner> = {
  cifarResNet: forwardCase(cifar),
  ...ofNames(imageNet, "resnet", "resnet18", "resnet34", "resnet50"),
  ...ofNames(transformer, "vit", "vitTiny", "vitSmall", "vitBase"),
  ...ofNames(mobile, "mobilenetV3", "mobilenetV3Small", "mobilenetV3Large"),
  ...ofNames(efficient, "efficientnet", "efficientnetB0", "efficientnetB1", "efficientnetB2"),
  ...ofNames(convNext, "convnext", "convnextTiny", "convnextSmall"),
};
