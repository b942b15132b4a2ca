// Multiply-accumulates and parameters, counted from the ops that a forward pass really calls, without running it.

import { firstOf } from "../base/index.ts";
import {
  type Device,
  defaultDevice,
  empty,
  noGrad,
  numel,
  type Shape,
  type Tensor,
  type TracedOp,
  trace,
} from "../engine/functions.ts";
import type { Backbone, Stage } from "./backbone.ts";
import { EVAL, type Module } from "./module.ts";

/** MACs of one traced op: products only, as is usual; norms, pools and pointwise ops count nothing. */
function macsOf({ name, inputs, outputs, attrs }: TracedOp): number {
  const x = inputs[0]?.shape ?? [];
  const w = inputs[1]?.shape ?? [];
  const out = numel(outputs[0]?.shape ?? []);
  switch (name) {
    case "conv2d":
      return out * numel(w.slice(0, 3));
    case "linear":
      return out * firstOf(w);
    case "matmul":
      return out * (x.at((attrs as { readonly ta: boolean }).ta && x.length > 1 ? -2 : -1) as number);
    // Scores and mixture: each output element costs a product with every key, twice.
    case "scaledDotProductAttention":
      return 2 * out * w[2]!;
    case "qkvAttention":
      return 2 * out * x[1]!;
    default:
      return 0;
  }
}

/** MACs of `fn` on one image (or other input) of the shape given, without its batch axis. Nothing runs on the GPU. */
export function countMacs(input: Shape, fn: (x: Tensor) => unknown, device: Device = defaultDevice()): number {
  const ops = trace(device, () => noGrad(() => fn(empty([1, ...input], { device }))));
  return ops.reduce((sum, op) => sum + macsOf(op), 0);
}

/** What a part of a network does to one input. */
export interface Work {
  readonly macs: number;
  /** Trainable numbers that it uses. */
  readonly parameters: number;
  /** Those parameters. */
  readonly used: readonly Tensor[];
  /** Shape of its result, without the batch axis. */
  readonly shape: Shape;
}

/** MACs, parameters and result of the part `fn` of `module` on one input. Nothing runs on the GPU. */
export function countWork(module: Module, input: Shape, fn: (x: Tensor) => Tensor): Work {
  const all = module.parameters();
  const device = all[0]?.device ?? defaultDevice();
  let shape: Shape = [];
  const ops = trace(device, () => {
    shape = noGrad(() => fn(empty([1, ...input], { device }))).shape.slice(1);
  });
  const inputs = new Set<unknown>(ops.flatMap((op) => op.inputs));
  const used = all.filter((parameter) => inputs.has(parameter));
  const parameters = used.reduce((sum, { size }) => sum + size, 0);
  return { macs: ops.reduce((sum, op) => sum + macsOf(op), 0), parameters, used, shape };
}

/**
 * A stage and what it costs: `channels`, `reduction` and `macs` among others. Multiply-accumulates are what much of the
 * literature, and torchvision's tables, call FLOPs; counted as separate operations, FLOPs are twice as many.
 */
export type StageInfo = Stage & Work;

/**
 * What every stage of a backbone is and costs on one of its images, and the shape of what an exit sees of it; `input`
 * may be another image size. Nothing runs on the GPU.
 */
export function describeStages(backbone: Backbone, input: Shape = backbone.input): StageInfo[] {
  let coming = input;
  return backbone.stages.map((stage, i) => {
    let carried: Shape = [];
    const work = countWork(backbone, coming, (x) => {
      const features = backbone.stage(i, x, EVAL);
      carried = features.shape.slice(1);
      return backbone.view(i, features);
    });
    coming = carried;
    return { ...stage, ...work };
  });
}
