// What a classifier is asked and answers, whatever runs it.

import type { Kinds } from "../../base/index.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";

/** Options of `classify`. */
export interface ClassifyOptions {
  /**
   * What becomes of images with a NaN or infinite pixel. error (default): an ArgumentError names the first. mark: class
   * and exit are -1, the score is NaN, and the other images are answered.
   */
  readonly notFinite?: "error" | "mark";
}

/** Answers for some images, [N] each. */
export interface Answers {
  readonly classes: Int32Array;
  /** The exit that each image left at, from 0. */
  readonly exits: Int32Array;
  readonly scores: Float32Array;
  /** Multiply-accumulates that each image cost, heads passed included. */
  readonly macs: Float64Array;
}

const CLASSIFY: Kinds<ClassifyOptions> = { notFinite: "string" };

/** Options of `stream`. */
export interface StreamOptions extends ClassifyOptions {
  /**
   * Milliseconds that images may wait behind an exit for those of later lots; default 250. Only where waiting was found
   * to be the fastest, or is the route that was given.
   */
  readonly patience?: number;
}

/** Milliseconds. */
const PATIENCE = 250;
const STREAM: Kinds<StreamOptions> = { ...CLASSIFY, patience: "number" };

/** Options of `stream`, checked. @throws ArgumentError */
export function readStream(options: StreamOptions): StreamOptions & { readonly patience: number } {
  const { patience = PATIENCE, ...asked } = readOptions("stream", options, STREAM);
  if (patience >= 0 && patience < 2 ** 31) return { ...asked, patience };
  throw new ArgumentError(`stream: patience must be a number of milliseconds from 0 on; got ${patience}.`);
}

/** What becomes of strange images. @throws ArgumentError for other options. */
export function readNotFinite(options: ClassifyOptions): "error" | "mark" {
  const { notFinite = "error" } = readOptions("classify", options, CLASSIFY);
  if (notFinite === "error" || notFinite === "mark") return notFinite;
  throw new ArgumentError(`classify: notFinite must be error or mark; got ${notFinite as string}.`);
}

/** Images with pixels that are no numbers, counted from 0. @throws ArgumentError if there are any. */
export function refuseStrange(strange: readonly number[]): void {
  if (strange.length === 0) return;
  const others = strange.length > 1 ? ` and ${strange.length - 1} more` : "";
  throw new ArgumentError(
    `classify: pixels must be finite; got NaN or infinity in image ${strange[0]} (counted from 0)${others}. ` +
      'Pass { notFinite: "mark" } to have such images answered by -1.',
  );
}

/** Logits that are no numbers though the pixels are: the network's own fault. */
export class StrangeLogits extends ArgumentError {
  /** Counted from 0. */
  readonly image: number;

  constructor(image: number) {
    super(
      `classify: the network's logits must be numbers; got NaN for image ${image} (counted from 0). Its weights hold NaN, or its activations overflow.`,
    );
    this.image = image;
  }
}

/** Answers for some lots of images as those for all of them. */
export function joinAnswers(parts: readonly Answers[]): Answers {
  const size = parts.reduce((sum, { classes }) => sum + classes.length, 0);
  const all = {
    classes: new Int32Array(size),
    exits: new Int32Array(size),
    scores: new Float32Array(size),
    macs: new Float64Array(size),
  };
  let at = 0;
  for (const part of parts) {
    all.classes.set(part.classes, at);
    all.exits.set(part.exits, at);
    all.scores.set(part.scores, at);
    all.macs.set(part.macs, at);
    at += part.classes.length;
  }
  return all;
}
