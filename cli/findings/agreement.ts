// Whether the network of a run, deployed with its policy, answers the test images as the cached logits say, sample by
// sample.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { firstOf, SortieError } from "../../base/index.ts";
import {
  type Cascade,
  logEntropyOf,
  logOddsOf,
  logRestOf,
  type OwnScore,
  type PolicyFile,
  predictionsAt,
  type Source,
  type Table,
} from "../../calibration/index.ts";
import type { Dataset, ImageBytes } from "../../data/index.ts";
import { ArgumentError, createDevice, type Device, DeviceError } from "../../engine/index.ts";
import {
  type DeployOptions,
  decideError,
  deploy,
  loadWeights,
  type MultiExit,
  OWN_SCORES,
  RUN_FILES,
} from "../../exits/index.ts";
import type { RunFolder } from "../files/run-folder.ts";
import { readJson } from "../files/whole.ts";
import { testImages } from "../report/run-details.ts";
import { makeNetwork } from "../settings/model.ts";

/** Counts of test images. */
export interface Agreement {
  readonly samples: number;
  /** Another exit or class, where a score is within rounding of its threshold, or two classes of each other. */
  readonly withinRounding: number;
  /** Another exit or class, without such an excuse. */
  readonly differing: number;
  /** The first of these, in words. */
  readonly first?: string;
}

/**
 * Logits z that a device computes in 32 bits, in another order than the cached ones, are this share of 1 + |z| close.
 */
const TOLERANCE = 1e-4;

/**
 * Runs the deployed classifier over the test images; or says why that cannot be done here. @throws CalibrationError for
 * other weights.
 */
export const deployedAgreement = (
  folder: RunFolder,
  found: Found,
  { anyOrigin }: { readonly anyOrigin: boolean },
): Promise<Agreement | string> =>
  withNetwork(folder, found.source, async (net, images) => {
    using classifier = await deploy(net, ...deployArguments(found, images, { anyOrigin }));
    return compareAnswers(decidedBy(found), await classifier.classify(images.images));
  });

/** Calls `fn` with the last weights of a run and its test images; or says why that cannot be done here. */
export async function withNetwork<T>(
  folder: RunFolder,
  source: Source,
  fn: (net: MultiExit, images: Dataset<ImageBytes>) => Promise<T>,
): Promise<T | string> {
  const weights = join(folder.dir, RUN_FILES.last);
  if (!existsSync(weights)) return `${weights} is not there`;
  const config = folder.config();
  const images = await testImages(config, source);
  if (typeof images === "string") return images;
  let device: Device | undefined;
  try {
    device = await createDevice();
    const net = makeNetwork(config, { train: images }, device);
    await loadWeights(weights, net.state());
    return await fn(net, images);
  } catch (error) {
    // No adapter, or a score or scaling that runs on tables only.
    if (error instanceof DeviceError || error instanceof ArgumentError) return error.message;
    throw error;
  } finally {
    device?.dispose();
  }
}

/** How a run's policy is deployed; without one, everything runs to the end. */
export function deployArguments(
  { file }: Pick<Found, "file">,
  images: Pick<Dataset<ImageBytes>, "meta">,
  options: { readonly anyOrigin: boolean },
): [Parameters<typeof deploy>[1], DeployOptions] {
  const { result, scaling } = file ?? {};
  const policy = result?.ok ? result : { thresholds: [Number.POSITIVE_INFINITY] };
  return [policy, { normalise: images.meta, batch: 128, ...options, ...(result?.ok && scaling && { scaling }) }];
}

/** What a run's cached logits and its policy say of the test samples. */
export function decidedBy({ scored, raw, names, file, policy }: Found): Decided {
  const exits = policy?.exits ?? new Int32Array(scored.samples).fill(scored.exits - 1);
  const thresholds = file?.result.ok ? file.result.thresholds : undefined;
  return { scored, raw, names, exits, thresholds, scaling: file?.scaling };
}

/** What the cached logits say, with the file of the policy that looked at them. */
export interface Found extends Pick<Decided, "scored" | "raw" | "names"> {
  readonly source: Source;
  readonly file: PolicyFile | undefined;
  /** Absent: everything runs to the end. */
  readonly policy: Pick<Decided, "exits"> | undefined;
}

/** What a policy makes of logits. */
export interface Decided {
  /** The scores that it looked at. */
  readonly scored: Cascade;
  /** The logits they are of, as they came, and what scaled them. */
  readonly raw: Table;
  readonly scaling: PolicyFile["scaling"] | undefined;
  /** The exit of each sample. */
  readonly exits: Int32Array;
  /** The thresholds that decided; without, nobody was near one. */
  readonly thresholds: ArrayLike<number> | undefined;
  /** Of the exits. */
  readonly names: readonly string[];
}

/** What a classifier answered against what the logits say. */
export function compareAnswers(
  decided: Decided,
  got: { readonly classes: Int32Array; readonly exits: Int32Array },
): Agreement {
  const { scored, raw, exits, thresholds, names } = decided;
  const { samples } = scored;
  const classes = predictionsAt(scored, exits);
  let withinRounding = 0;
  const differing: number[] = [];
  for (let i = 0; i < samples; i++) {
    const [exit, wanted] = [got.exits[i]!, exits[i]!];
    if (exit === wanted && got.classes[i] === classes[i]) continue;
    const isClose =
      exit === wanted
        ? isTie(raw, i, exit)
        : thresholds !== undefined && isBarely({ ...decided, thresholds }, i, Math.min(exit, wanted));
    if (isClose) withinRounding++;
    else differing.push(i);
  }
  const [first] = differing;
  const said = (i: number) =>
    `sample ${String(scored.ids?.[i] ?? i)} is class ${got.classes[i]} at ${names[got.exits[i]!]}, ` +
    `by the logits class ${classes[i]} at ${names[exits[i]!]}`;
  return { samples, withinRounding, differing: differing.length, ...(first !== undefined && { first: said(first) }) };
}

/** A score at its threshold, as far as a device can tell. */
function isBarely(
  { scored, raw, scaling, thresholds }: Decided & { readonly thresholds: ArrayLike<number> },
  i: number,
  j: number,
): boolean {
  const { score, scores, exits, predictions, classes } = scored;
  const at = i * exits + j;
  const perExit = thresholds.length / (exits - 1);
  const threshold =
    thresholds.length === 1 ? firstOf(thresholds) : thresholds[j * perExit + (perExit > 1 ? predictions[at]! : 0)]!;
  // Nobody is near a closed exit, or one that is open to all; and devices decide by no other scores.
  if (!Number.isFinite(threshold) || !isOwn(score)) return false;
  const of = (s: number) => {
    if (score === "maxProb" || score === "confidence") return logOddsOf(s);
    if (score === "margin") return logRestOf(s);
    return score === "entropy" || score === "normalisedEntropy" ? logEntropyOf(-s) : s;
  };
  const [got, level] = [of(scores[at]!), of(threshold)];
  // What heads say of themselves is not divided by the temperature, and follows the logits.
  const temperature = score === "confidence" ? 1 : temperatureOf(scaling, j);
  const size = Math.max(...logitsOf(raw, i, j).map(Math.abs), score === "confidence" ? Math.abs(level) : 0);
  const drift = (TOLERANCE * (1 + size)) / temperature;
  return Math.abs(got - level) <= drift + 2 * decideError(score, level, classes, temperature);
}

const isOwn = (score: Cascade["score"]): score is OwnScore => OWN_SCORES.some((own) => own === score);

/** 1 where logits are not scaled, or otherwise: then nothing is deployed that could be compared. */
function temperatureOf(scaling: Decided["scaling"], exit: number): number {
  const scaler = scaling?.scalers[exit];
  return scaler?.method === "temperature" && "parameters" in scaler ? (scaler.parameters[0] ?? 1) : 1;
}

const logitsOf = ({ read, classes }: Table, i: number, exit: number): number[] =>
  Array.from(read(i, 1).subarray(exit * classes, (exit + 1) * classes));

/** Two largest logits that are one, as far as a device can tell. */
function isTie(raw: Table, i: number, exit: number): boolean {
  const row = logitsOf(raw, i, exit).sort((a, b) => b - a);
  const [first, second = Number.NEGATIVE_INFINITY] = [firstOf(row), row[1]];
  return first - second <= TOLERANCE * (1 + Math.abs(first));
}

/**
 * What `sortie evaluate` found of a run's deployed classifier, or why it could not be asked; undefined where evaluation
 * has not come so far.
 */
export function readAgreement(folder: RunFolder): Agreement | string | undefined {
  const path = folder.path("evaluation");
  return existsSync(path) ? (readJson(path) as { readonly deployed?: Agreement | string }).deployed : undefined;
}

/** @throws SortieError for a run whose deployed classifier was found to answer otherwise than its logits say. */
export function checkAgreement(folder: RunFolder): void {
  const found = readAgreement(folder);
  if (typeof found === "object" && found.differing > 0) throw new SortieError(`${folder.dir}: ${agreementLine(found)}`);
}

/** For people; `logits` is what was compared with. */
export function agreementLine(agreement: Agreement | string, logits = "the cached logits"): string {
  if (typeof agreement === "string") return `deployed: not compared with ${logits}; ${agreement.replace(/\.$/, "")}`;
  const { samples, withinRounding, differing, first } = agreement;
  if (differing > 0) {
    return `deployed: the classifier DISAGREES with ${logits} on ${differing} of ${samples} test images; ${first}`;
  }
  const rounding = withinRounding > 0 ? `, ${withinRounding} of them up to rounding` : "";
  return `deployed: the classifier answers all ${samples} test images as ${logits} say${rounding}`;
}
