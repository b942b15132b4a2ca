// The model file: one safetensors file with all that a classifier is made of. Tensors under the network's own names; in
// the metadata, as texts, what the network is, how images are prepared, class names, policy and promise, how it was
// trained, and a seal over all of it. Knows bytes and records; what becomes of them is load.ts.

import { json, SortieError, writeWhole } from "../../base/index.ts";
import { decodePolicy, encodePolicy, explain, type PolicyFile } from "../../calibration/index.ts";
import { FIT, type PictureFit } from "../../data/fit.ts";
import {
  ArgumentError,
  type Kinds,
  readOptions,
  type SafetensorsFile,
  type StoredTensor,
} from "../../engine/functions.ts";
import type { Normalisation } from "../deploy/images.ts";
import { type ExitPolicy, readPolicy } from "../deploy/policy.ts";
import { ModelError } from "../errors.ts";
import { readArchitecture } from "../network/architecture.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { type Architecture, architectureOf } from "../network/origin.ts";
import { complete } from "../options.ts";
import { stored } from "../run/checkpoint.ts";
import { digest } from "../run/digest.ts";
import { encodeSealed } from "../run/seal.ts";
import { checkSealed } from "./sealed.ts";
import { type ModelSource, type ReadModelOptions, readFrom } from "./source.ts";

/** What a file says besides the weights. */
export interface ModelAbout {
  /** Names of the classes, in the order of the logits. */
  readonly classes: readonly string[];
  /** Mean and standard deviation of each channel, for pixels in 0..1. */
  readonly normalise: Normalisation;
  /** How pictures of another size come to the network's. */
  readonly fit?: PictureFit;
  /** The policy with its scaling; without one, or with one that refuses, every image runs to the last exit. */
  readonly policy?: PolicyFile;
  /** How the weights came about: anything that JSON holds. */
  readonly training?: Readonly<Record<string, unknown>>;
}

/** What a model file says. */
export interface ModelRecord extends ModelAbout {
  readonly architecture: Architecture;
  /** Of each exit: the stage in front of it, and the MACs of an image that leaves there, heads passed included. */
  readonly exits: readonly { readonly stage: string; readonly macs: number }[];
  /** What is promised, or that nothing is, in words. */
  readonly guarantee: string;
  /** Digest of the weights, which the policy knows its network by. */
  readonly weights: string;
}

/** A file that was read and found whole. */
export interface ModelFile {
  readonly record: ModelRecord;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** What decides who leaves: the policy, if it certifies something; else nobody leaves early. */
export const decidingOf = ({ policy }: ModelRecord): PolicyFile | ExitPolicy =>
  policy?.result.ok ? policy : { thresholds: [Number.POSITIVE_INFINITY] };

const FORMAT = "sortie-model";
/** Raised when a reader of the version before could no longer answer as the file means; it then stays readable here. */
const VERSION = 1;

const HINTS = {
  "sortie-checkpoint": "sortie export RUN makes a model file of a run.",
  "sortie-recorded": "loadRecorded opens it.",
};

const NO_POLICY = "There is no policy: every image runs to the last exit. Nothing is promised.";

const ABOUT: Kinds<ModelAbout> = { classes: "any!", normalise: "any!", fit: "any", policy: "any", training: "any" };

/**
 * The bytes of a model file of a network that `buildNetwork` made.
 * @throws ArgumentError for another network, ModelError for what does not fit it, and for two classes of one name; what
 *   `deploy` throws for a policy that `load` would refuse.
 */
export async function encodeModel(net: MultiExit, about: ModelAbout): Promise<Uint8Array<ArrayBuffer>> {
  checkNetwork("encodeModel", net);
  const { classes, normalise, fit, policy, training = {} } = readOptions("encodeModel", about, ABOUT);
  const architecture = architectureOf(net);
  if (!architecture) {
    throw new ArgumentError(
      "encodeModel: the network must be made by buildNetwork(), so that a file can say what it is; got another one.",
    );
  }
  const { mean, std } = (normalise ?? {}) as Partial<Normalisation>;
  complete("encodeModel: fit", FIT, fit ?? {});
  const weights = await digest(net.state().values());
  const metadata = {
    architecture: JSON.stringify(architecture),
    exits: JSON.stringify(net.describe().map(({ stage, macs }) => ({ stage, macs }))),
    preprocessing: JSON.stringify({
      input: net.input,
      scale: "bytes / 255",
      mean,
      std,
      fit,
    }),
    classes: JSON.stringify(classes),
    ...(policy && { policy: encodePolicy(handedOver(policy)) }),
    guarantee: policy ? explain(policy.result) : NO_POLICY,
    training: JSON.stringify(training),
    weights,
    format: FORMAT,
    version: String(VERSION),
  };
  const record = recordOf("encodeModel", metadata);
  const twice = classes.find((name, i) => classes.indexOf(name) !== i);
  if (twice !== undefined)
    throw new ModelError(
      `encodeModel: class names must differ, since answers and labels are told by them; got "${twice}" twice.`,
    );
  await readPolicy(net, decidingOf(record), { weights });
  const tensors = await stored(net.state());
  if (!tensors) throw new ModelError("encodeModel: weights must be finite; got NaN or infinity. Train again.");
  return encodeSealed(tensors, metadata);
}

/**
 * A policy without the names of the samples that shaped it, which are nobody's business elsewhere, and most of its
 * bytes; a few hashes of what the network answered them stay, by which `evaluate` knows them again.
 */
function handedOver(policy: PolicyFile): PolicyFile {
  const { result } = policy;
  if (!result.ok) return policy;
  const marks = result.marks?.map(({ named: _, ...each }) => each);
  return { ...policy, result: { ...result, ids: undefined, ...(marks && { marks }) } };
}

/**
 * Writes a model file (Node), whole or not at all, over what is there.
 * @throws SortieError as `encodeModel` does.
 */
export async function saveModel(path: string, net: MultiExit, about: ModelAbout): Promise<void> {
  await writeWhole(path, await encodeModel(net, about));
}

/**
 * What a safetensors file holds as a model. @throws ModelError if the file is not a model, is newer or damaged, or does
 * not fit itself.
 */
async function decodeModel(name: string, file: SafetensorsFile): Promise<ModelFile> {
  await checkSealed(name, file, { format: FORMAT, version: VERSION, hints: HINTS });
  return { record: recordOf(`load: ${name}`, file.metadata), tensors: file.tensors };
}

/**
 * Reads a model file and checks all of it. @throws ModelError if it is not a model file, is damaged or newer, or did
 * not arrive.
 */
export const readModel = (source: ModelSource, options: ReadModelOptions = {}): Promise<ModelFile> =>
  readFrom(source, options, decodeModel);

const NUMBERS = json.filled(json.finite);
const readPreprocessing = json.record({ mean: NUMBERS, std: NUMBERS, fit: json.optional(json.object) });
const readExit = json.record({ stage: json.text, macs: json.count });

/** The record in a file's metadata, every field checked. @throws ModelError that begins with `op`. */
function recordOf(op: string, metadata: Readonly<Record<string, string>>): ModelRecord {
  const parsed = <T>(key: string, read: json.Reader<T>): T => read(parse(metadata[key], key), key);
  try {
    const { policy } = metadata;
    const { mean, std, fit } = parsed("preprocessing", readPreprocessing);
    const record: ModelRecord = {
      architecture: readArchitecture(parse(metadata["architecture"], "architecture")),
      exits: parsed("exits", json.filled(readExit)),
      classes: parsed("classes", json.filled(json.text)),
      normalise: { mean, std },
      ...(fit && { fit: fit as PictureFit }),
      ...(policy !== undefined && { policy: decodePolicy(policy) }),
      guarantee: json.text(metadata["guarantee"], "guarantee"),
      training: parsed("training", json.object),
      weights: json.text(metadata["weights"], "weights"),
    };
    checkSizes(record);
    return record;
  } catch (cause) {
    if (!(cause instanceof SortieError)) throw cause;
    throw new ModelError(`${op}: ${cause.message}`, { cause });
  }
}

function parse(text: string | undefined, key: string): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch (cause) {
    throw new SortieError(`${key} must be JSON; got ${text === undefined ? "nothing" : text.slice(0, 40)}.`, { cause });
  }
}

/** Parts of a record that must be as many as others. */
function checkSizes({ architecture, classes, normalise, exits }: ModelRecord): void {
  const [, , channels] = architecture.input;
  const must = (what: string, wanted: number, got: number): void => {
    if (got !== wanted) throw new SortieError(`${what} must be ${wanted}, as the network has; got ${got}.`);
  };
  must("class names", architecture.classes, classes.length);
  must("exits", architecture.exits.length + 1, exits.length);
  must("mean of channels", channels, normalise.mean.length);
  must("std of channels", channels, normalise.std.length);
  const flat = normalise.std.find((value) => !(value > 0));
  if (flat !== undefined) throw new SortieError(`std must be above 0; got ${flat}.`);
}
