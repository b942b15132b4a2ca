// A recorded model: a model file's classifier as captures, with what is needed to prepare images and to read answers.
// One sealed safetensors file; its captures are the engine's business (engine/captures-form.ts). This is what else it
// says, and how its captures and tensors are called.

import { json, messageOf } from "../../base/index.ts";
import type { PictureFit } from "../../data/fit.ts";
import { ModelError } from "../errors.ts";
import type { ModelRecord } from "../file/model-file.ts";

/** What a recorded model says of itself. */
export interface RecordedModel extends Pick<ModelRecord, "classes" | "normalise" | "exits" | "guarantee" | "weights"> {
  /** [H, W, C] */
  readonly input: readonly [height: number, width: number, channels: number];
  /** How pictures of another size come to the network's. */
  readonly fit: PictureFit;
  /** Images that run together. */
  readonly batch: number;
  /** Whether the policy names the weights that it was calibrated on, and they are the model's. */
  readonly isOriginChecked: boolean;
}

export const FORMAT = "sortie-recorded";
/** Raised when a reader of the version before could no longer answer as the file means. */
export const VERSION = 1;
/** The metadata's key. */
export const MODEL = "model";

/** Names of what runs batches of one size, among captures and tensors. */
export const nameOf = (batch: number, what: "bytes" | "route" | "images" | "count" | "classes" | "exits" | "scores") =>
  `${batch} ${what}`;

/** Sizes that batches are recorded for. */
export const sizesOf = (batch: number): readonly number[] => (batch === 1 ? [1] : [1, batch]);

const NUMBERS = json.filled(json.finite);

const read = json.record({
  input: json.filled(json.count),
  batch: json.count,
  classes: json.filled(json.text),
  normalise: json.record({ mean: NUMBERS, std: NUMBERS }),
  fit: json.object,
  exits: json.filled(json.record({ stage: json.text, macs: json.count })),
  guarantee: json.text,
  weights: json.text,
  isOriginChecked: json.flag,
});

/** What a file's metadata says. @throws ModelError */
export function readRecorded(name: string, text: string | undefined): RecordedModel {
  try {
    return read(JSON.parse(text ?? ""), MODEL) as unknown as RecordedModel;
  } catch (cause) {
    throw new ModelError(`load: ${name} must say what it classifies; ${messageOf(cause)}`, { cause });
  }
}
