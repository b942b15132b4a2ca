// Early exit that saves the work: each segment of the network, its weights prepared for inference, runs on the samples
// that are still undecided. An exit decides on the GPU; survivors are moved together there, and their number sets the
// size of every later dispatch, so that nothing is read back until the answers are. A policy decides here as it does in
// calibration/.

import { type Kinds, option, what } from "../../base/index.ts";
import { EVALUATION, type PolicyFile, type Scaling } from "../../calibration/index.ts";
import { FIT, type PictureFit } from "../../data/fit.ts";
import { ArgumentError, readOptions } from "../../engine/functions.ts";
import { checkNetwork, type MultiExit } from "../network/multi-exit.ts";
import { complete } from "../options.ts";
import { deviceOf } from "../training/evaluator.ts";
import { Classifier } from "./classifier.ts";
import type { Normalisation } from "./images.ts";
import { type ExitPolicy, readPolicy } from "./policy.ts";
import type { Precision } from "./prepared.ts";
import { BEHIND, type Behind } from "./route.ts";
import { SLACK } from "./thresholds.ts";

/** How many images a classifier runs together. */
export const CLASSIFY_BATCH = option.whole(64, "images that run together", { min: 1 });

/** Options of `deploy`. */
export interface DeployOptions {
  /** Images that run together; default 64. */
  readonly batch?: number;
  /** For images as bytes: mean and standard deviation of each channel, for pixels in 0..1. */
  readonly normalise?: Normalisation;
  /** How pictures of another size come to the network's; default: the middle, cut out and resized as Pillow does it. */
  readonly fit?: PictureFit;
  /** The temperatures that were applied before calibration; a decoded policy file brings them along. */
  readonly scaling?: Scaling;
  /**
   * What weights and activations are stored in; sums are f32 in any case. Default f32. f16, where the adapter has it,
   * halves the memory; logits are then off by some thousandths, and thresholds are raised by what the largest may
   * be off, so that nobody leaves an exit for it whom that exit keeps in f32. A promise was tested in f32: those who
   * leave in f16 are fewer and others, also at later exits, and of their error rate it says nothing.
   */
  readonly precision?: Precision;
  /**
   * What happens behind each early exit, [K-1]. compact: undecided rows are moved together, and later launches cover
   * them alone. keep: all rows go on, decided or not: the whole network, with the policy's answers. ask: as compact,
   * and the host waits for their number; where none is left, nothing more is launched. wait: undecided rows wait for
   * those of the next batches of the same call or stream, and what lies behind is run on many at once; at one exit, and
   * not beside ask. Answers are the same. measured (default): several routes are tried on the first batches of each
   * size, and the fastest is taken; `plan` says which, and what they took.
   */
  readonly route?: "measured" | readonly (Behind | "closed")[];
  /**
   * Whether the whole network is tried as a route too, on which nobody leaves, and taken where it is the fastest: then
   * no batch takes longer than it. Answers are those of the last exit there. Default false: all answers are the
   * policy's.
   */
  readonly orWhole?: boolean;
  /**
   * Whether the routes that were found the fastest are kept in the cache folder (Node; `SORTIE_CACHE`), by adapter,
   * weights, policy and batch, and taken from there the next time; default false.
   */
  readonly remember?: boolean;
  /** Take a policy of other weights or of another scaling, whose promise does not hold here; default false. */
  readonly anyOrigin?: boolean;
}

/** What `deploy` takes. */
export const DEPLOY: Kinds<DeployOptions> = {
  batch: CLASSIFY_BATCH,
  normalise: "any",
  fit: "any",
  scaling: "any",
  anyOrigin: EVALUATION.anyOrigin,
  precision: "string",
  route: "any",
  orWhole: "boolean",
  remember: "boolean",
};

/**
 * Makes a classifier of a trained network and a policy: a certified result, a whole decoded policy file, or thresholds
 * set by hand. The classifier holds the network's tensors and follows them: training that comes later changes its
 * answers, batch by batch, and it may be all that is kept. Where a route asks or waits, it has copies of the weights,
 * so that no batch meets new ones in its middle. Once the network is disposed it throws a DisposedError.
 * @throws ArgumentError for what cannot run here; CalibrationError for a policy of other weights, another
 * scaling, other exits or classes.
 *
 * @example
 * ```ts
 * import { buildNetwork, deploy } from "sortie/exits";
 *
 * const architecture = { backbone: "resnet", options: { depth: 8, widths: [4, 4, 8] }, exits: ["stage1"] };
 * const net = buildNetwork({ ...architecture, input: [8, 8, 1], classes: 10 });
 * const normalise = { mean: [0.5], std: [0.25] };
 * // In place of these thresholds: what learnThenTest gives.
 * const classifier = await deploy(net, { score: "maxProb", thresholds: [0.9] }, { normalise });
 * const { classes, exits } = await classifier.classify(new Uint8Array(4 * 8 * 8)); // bytes of four images
 * console.log(classes.length, exits.length); // 4 4
 * classifier.dispose();
 * ```
 */
export const deploy = (
  net: MultiExit,
  policy: ExitPolicy | PolicyFile,
  options: DeployOptions = {},
): Promise<Classifier> => deployed(net, policy, options, false);

/** The same of a network that nobody else has, and nobody writes to. @internal */
export const deployOwn = (
  net: MultiExit,
  policy: ExitPolicy | PolicyFile,
  options: DeployOptions = {},
): Promise<Classifier> => deployed(net, policy, options, true);

async function deployed(
  net: MultiExit,
  policy: ExitPolicy | PolicyFile,
  options: DeployOptions,
  isOwn: boolean,
): Promise<Classifier> {
  checkNetwork("deploy", net);
  const {
    batch = CLASSIFY_BATCH.default,
    normalise,
    fit = {},
    precision = "f32",
    route = "measured",
    orWhole = false,
    remember = false,
    scaling,
    anyOrigin,
  } = readOptions("deploy", options, DEPLOY);
  checkBatch("deploy", batch);
  if (normalise !== undefined) checkNormalisation(normalise, net.input[2]);
  checkRoute(route, net.exits - 1);
  checkPrecision("deploy", precision, deviceOf(net).info);
  const decisions = await readPolicy(net, policy, { scaling, anyOrigin, slack: SLACK[precision] });
  return Classifier.record(net, {
    batch,
    normalise,
    fit: complete("deploy: fit", FIT, fit),
    precision,
    route,
    orWhole,
    remember,
    isApart: !isOwn && (route === "measured" || route.includes("ask") || route.includes("wait")),
    ...decisions,
  });
}

/** @throws ArgumentError for what is no number of images. @internal */
export function checkBatch(op: string, batch = 1): void {
  if (CLASSIFY_BATCH.fits(batch)) return;
  throw new ArgumentError(`${op}: batch must be ${CLASSIFY_BATCH.must}; got ${batch}.`);
}

/** NaN there would make every pixel NaN, and every answer class 0. */
function checkNormalisation(given: Normalisation, channels: number): void {
  const isFit = (values: unknown, fits: (x: number) => boolean) =>
    Array.isArray(values) && values.length === channels && values.every((x) => Number.isFinite(x) && fits(x));
  const { mean, std } = (given ?? {}) as Partial<Normalisation>;
  if (isFit(mean, () => true) && isFit(std, (x) => x > 0)) return;
  const form = `{ mean, std } with a number for each of ${channels} channels, std above 0`;
  throw new ArgumentError(
    `deploy: normalise must be ${form}; got mean ${what(mean)} and std ${what(std)}. A data set has them as its meta.`,
  );
}

/** @internal */
export function checkPrecision(op: string, precision: Precision, { hasF16 }: { readonly hasF16: boolean }): void {
  if (precision !== "f32" && precision !== "f16")
    throw new ArgumentError(`${op}: precision must be f32 or f16; got ${String(precision)}.`);
  if (precision === "f16" && !hasF16)
    throw new ArgumentError(`${op}: precision f16 must be one that the adapter has (shader-f16); this one has not.`);
}

function checkRoute(route: unknown, early: number): void {
  if (route === "measured") return;
  const steps: readonly unknown[] = Array.isArray(route) ? route : [];
  if (steps.length !== early || !steps.every((step) => step === "closed" || BEHIND.includes(step as string))) {
    throw new ArgumentError(
      `deploy: route must be measured, or say ${BEHIND.join(", ")} for each of ${early} early exits; got ${what(route)}.`,
    );
  }
  const waits = steps.indexOf("wait");
  if (waits >= 0 && (steps.includes("ask") || steps.includes("wait", waits + 1)))
    throw new ArgumentError(
      `deploy: a route must wait at one exit alone, and not ask besides; got ${steps.join(", ")}.`,
    );
}
