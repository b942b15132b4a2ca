// A classifier to run: a network that was trained here or came in a file, with what is known of it - scaling, policy,
// cached logits to calibrate on, test images to show.

import {
  applyScaling,
  type Calibration,
  evaluatePolicy,
  explain,
  fit,
  learnThenTest,
  type Outcomes,
  type PolicyFile,
  type Scaling,
  type Table,
} from "../../../calibration/index.ts";
import { type GlyphOptions, glyphs } from "../../../data/index.ts";
import type { Device } from "../../../engine/index.ts";
import {
  Evaluator,
  encodeModel,
  type ImageSet,
  type ImageSplits,
  type ModelAbout,
  type MultiExit,
  networkOf,
  readModel,
  toTable,
  weightsDigest,
} from "../../../exits/index.ts";
import type { Calibrated, Levels, Settings, Subject } from "../protocol.ts";
import { gpu } from "./gpu.ts";
import { glyphOptions } from "./images.ts";

/** Scaled logits of the parts that thresholds are found, and tested, on. */
interface Tables {
  readonly scaling: Scaling;
  readonly validation: Table | Outcomes;
  readonly calibration: Table | Outcomes;
  readonly test: Table | Outcomes;
}

/** Test images, and what they are. */
export interface Shown {
  /** [n, H, W, C] */
  readonly images: Uint8Array;
  readonly labels: Int32Array;
}

/** A classifier with all that the lab knows of it. */
export interface Classified {
  readonly name: string;
  /** The model as a file, from which it is made again where its device was lost. */
  readonly file: Uint8Array<ArrayBuffer>;
  device: Device;
  net: MultiExit;
  /** What a file says of it. */
  about: ModelAbout;
  /** What it can be calibrated on, if there is anything. */
  readonly data: ImageSplits<Uint8Array> | undefined;
  tables?: Tables;
  readonly test: Shown | undefined;
}

/** The network's logits of a set. */
async function tableOf(net: MultiExit, set: ImageSet): Promise<Table> {
  using evaluator = await Evaluator.record(net, set);
  const weights = await weightsDigest(net.state().values());
  return toTable({
    shape: [set.size, net.exits, net.classes],
    ...(await evaluator.answers(set)),
    labels: set.labels,
    ids: set.ids,
    macs: net.macs(),
    weights,
  });
}

/** Its tables, made when they are first asked for. @throws Error where there are no images to make them of */
async function tablesOf(subject: Classified): Promise<Tables> {
  const { net, data, about } = subject;
  if (!data) throw new Error("There are no images of this model to calibrate on.");
  if (subject.tables) return subject.tables;
  const validation = await tableOf(net, data.validation);
  const scaling = about.policy?.scaling ?? fit(validation, { method: "temperature" });
  subject.tables = {
    scaling,
    validation: applyScaling(validation, scaling),
    calibration: applyScaling(await tableOf(net, data.calibration), scaling),
    test: applyScaling(await tableOf(net, data.test), scaling),
  };
  return subject.tables;
}

/** What was trained here. */
export async function trainedSubject(
  { net, device }: Pick<Classified, "net" | "device">,
  data: ImageSplits<Uint8Array>,
  settings: Settings,
): Promise<Classified> {
  const { classes, meta } = data.train;
  const { images, samples, method, epochs, seed } = settings;
  const own = { set: images, ...(images === "glyphs" && { options: glyphOptions(samples) }) };
  const normalise = { mean: meta.mean, std: meta.std };
  const about = { classes, normalise, training: { images: own, method, epochs, seed } };
  return {
    name: images === "glyphs" ? "glyphs" : "my-pictures",
    ...{ net, device, about, file: await encodeModel(net, about) },
    data,
    test: data.test,
  };
}

/** Images of a file that says that they are glyphs, and which. */
interface Origin {
  readonly set?: string;
  readonly options?: GlyphOptions;
}

/** What a model file holds. Glyphs are drawn again, so that it can be calibrated; of other images none are there. */
export async function loadedSubject(name: string, file: Blob, test?: Shown): Promise<Classified> {
  const model = await readModel(file);
  const { architecture: _, exits: __, guarantee: ___, weights: ____, ...about } = model.record;
  const device = await gpu();
  const net = networkOf(model, device);
  const { set, options } = (about.training?.["images"] ?? {}) as Origin;
  const data = set === "glyphs" ? glyphs({ ...options, train: 1 }) : undefined;
  const bytes = new Uint8Array(await file.arrayBuffer());
  return { name, file: bytes, device, net, about, data, test: data?.test ?? test };
}

/** Makes the network again on another device. */
export async function moveTo(device: Device, subject: Classified): Promise<void> {
  subject.net.dispose();
  subject.net = networkOf(await readModel(subject.file), device);
  subject.device = device;
}

/** What the page is told of it. */
export function describe({ name, net, about, data, test }: Classified): Subject {
  return {
    name,
    classes: about.classes,
    input: net.input,
    exits: net.describe().map(({ stage, macs }) => ({ stage, macs })),
    guarantee: about.policy ? explain(about.policy.result) : "There are no thresholds yet: nothing leaves early.",
    calibration: data?.calibration.size ?? 0,
    test: test?.labels.length ?? 0,
  };
}

/** Finds certified thresholds for these levels, and keeps them. @throws Error where there is nothing to find them on */
export async function calibrate(subject: Classified, { alpha, delta }: Levels): Promise<Calibrated> {
  const { validation, calibration, test, scaling } = await tablesOf(subject);
  const result: Calibration = learnThenTest(calibration, { alpha, delta, validation });
  const policy: PolicyFile = { result, scaling, request: { rule: "learnThenTest" } };
  subject.about = { ...subject.about, policy };
  const never = new Float64Array(test.exits - 1).fill(Number.POSITIVE_INFINITY);
  const tried = result.ok ? result : { score: "maxProb" as const, thresholds: never };
  const { accuracy, cost, fractions, exitRisk } = evaluatePolicy(test, tried);
  const whole = evaluatePolicy(test, { score: "maxProb", thresholds: never });
  return {
    alpha,
    delta,
    isSafe: result.ok,
    words: explain(result),
    thresholds: [...tried.thresholds],
    tested: {
      accuracy,
      wholeAccuracy: whole.accuracy,
      cost,
      exits: Array.from(fractions, (share, j) => ({ share, error: exitRisk[j]! })),
    },
  };
}

/** The model file, with the policy of the moment. */
export const fileOf = ({ net, about }: Classified): Promise<Uint8Array<ArrayBuffer>> => encodeModel(net, about);
