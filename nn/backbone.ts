// What every backbone offers: named stages whose features exits can tap, one after the other, and a classifier of its
// own.

import { what } from "../base/index.ts";
import { ArgumentError, checkTensors, type Tensor } from "../engine/functions.ts";
import type { Linear } from "./layers.ts";
import { checkMode, type Mode, Module } from "./module.ts";
import type { Pass } from "./pass.ts";
import { type Tail, tailPass } from "./tail.ts";

/** One stage of a backbone: where an exit can be attached. `describeStages` adds what it costs. */
export interface Stage {
  readonly name: string;
  /** Channels of a feature map, or width of a token. */
  readonly channels: number;
  /** Input pixels per feature pixel, along one axis. */
  readonly reduction: number;
  /** `map`: [B, H, W, C]. `tokens`: [B, 1 + T, C], class token first. */
  readonly kind: "map" | "tokens";
}

/** A network in stages. */
export abstract class Backbone extends Module {
  /** In the order of computation. */
  abstract readonly stages: readonly Stage[];
  /** Shape of one input image, [H, W, C]. */
  abstract readonly input: readonly [number, number, number];
  abstract readonly classes: number;

  /** Features after stage `i` from those after stage `i - 1` (from the images for stage 0). */
  abstract stage(i: number, x: Tensor, mode: Mode): Tensor;

  /**
   * What an exit sees of the features of stage `i`, of the kind that the stage says; all of them unless a backbone
   * carries more along.
   */
  view(_i: number, features: Tensor): Tensor {
    return features;
  }

  /** The backbone's own logits [B, classes] from what an exit sees of the last stage. */
  abstract classify(features: Tensor, mode: Mode): Tensor;

  /** Stage `i` as a pass. One that says no more than `stage` runs for inference as it is in evaluation. */
  pass(i: number, mode: Mode): Pass {
    return (x) => this.stage(i, x, mode);
  }

  /** What `classify` consists of, where it is such a thing. */
  get tail(): Tail | undefined {
    return undefined;
  }

  /** The layer whose outputs are the logits of `classify`, where there is one. */
  get lastLayer(): Linear | undefined {
    return this.tail?.linear;
  }

  /** `classify` as a pass. */
  classifyPass(mode: Mode): Pass {
    const { tail } = this;
    return tail ? tailPass(tail, mode) : (x) => this.classify(x, mode);
  }

  /** Logits [B, classes] of images [B, H, W, C]. */
  forward(x: Tensor, mode: Mode): Tensor {
    checkTensors("forward", { x });
    checkMode("forward", mode);
    let features = x;
    for (let i = 0; i < this.stages.length; i++) features = this.stage(i, features, mode);
    return this.classify(this.view(this.stages.length - 1, features), mode);
  }

  /**
   * Yields each stage's features in turn. `next(rows)` goes on with other features of the same stage instead: fewer
   * rows, when samples have left.
   */
  *features(x: Tensor, mode: Mode): Generator<Tensor, void, Tensor | undefined> {
    let at = x;
    for (let i = 0; i < this.stages.length; i++) {
      const features = this.stage(i, at, mode);
      at = (yield features) ?? features;
    }
  }
}

/** Stages of image maps that torchvision calls `features.0` and so on, from the channels and the stride of each. */
export const featureStages = (channels: readonly number[], strides: readonly number[]): Stage[] =>
  channels.map((width, i) => ({
    name: `features.${i}`,
    channels: width,
    reduction: strides.slice(0, i + 1).reduce((all, stride) => all * stride, 1),
    kind: "map",
  }));

/** Checks that `classes` is a positive integer. @throws ArgumentError */
export function checkClasses(op: string, classes: number): void {
  if (!Number.isSafeInteger(classes) || classes < 1)
    throw new ArgumentError(`${op}: classes must be a positive integer; got ${what(classes)}.`);
}

/** Checks that all factors are positive and finite. @throws ArgumentError */
export function checkScale(op: string, factors: Readonly<Record<string, number>>): void {
  for (const [name, factor] of Object.entries(factors)) {
    if (!(factor > 0 && factor < Number.POSITIVE_INFINITY))
      throw new ArgumentError(`${op}: ${name} must be a positive number; got ${what(factor)}.`);
  }
}

/** Checks that the stride of a stem is 1 or 2. @throws ArgumentError */
export function checkStemStride(op: string, stride: number): void {
  if (stride !== 1 && stride !== 2) throw new ArgumentError(`${op}: stemStride must be 1 or 2; got ${what(stride)}.`);
}
