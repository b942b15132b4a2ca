// From a model file to a classifier that answers, in one call: `deploy` of what the file says; or the same decisions by
// onnxruntime, where that is asked for, or faster.

import { type Kinds, option } from "../../base/index.ts";
import { FIT, type PictureFit } from "../../data/fit.ts";
import { ArgumentError, type Device, DeviceError, readOptions } from "../../engine/functions.ts";
import type { Runtime as OnnxRuntime } from "../../onnx/index.ts";
import type { Classifier } from "../deploy/classifier.ts";
import { CLASSIFY_BATCH, checkBatch, DEPLOY, type DeployOptions, deployOwn } from "../deploy/deploy.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { complete } from "../options.ts";
import { onlyRuntime, RUNTIMES, type RuntimeName, type RuntimePlan } from "../runtime/plan.ts";
import type { WasmClassifier } from "../runtime/wasm.ts";
import { decidingOf, type ModelFile, type ModelRecord, readModel } from "./model-file.ts";
import { loadNetworkOf } from "./network.ts";
import { type Place, placeOn } from "./place.ts";
import type { ModelSource, ReadModelOptions } from "./source.ts";

/** What may run a model file. */
export const CLASSIFY_RUNTIME = option.choice(
  [...RUNTIMES, "auto"],
  "what runs the stages: webgpu, wasm (onnxruntime on the CPU), or auto, the faster of those that are there, by measuring",
);

/** Options of `load`: those of `deploy` that a file does not settle, too. */
export interface LoadOptions extends ReadModelOptions, Omit<DeployOptions, "normalise" | "scaling" | "anyOrigin"> {
  /** Default: the default device; without any, one of `load`'s own, which goes with the last classifier on it. */
  readonly device?: Device;
  /**
   * webgpu (default). wasm: onnxruntime runs the stages on the CPU, and no adapter is needed; not for policies by the
   * confidence of heads, and heads that look at other exits. auto: both are tried on the first batches of each size,
   * and the faster is taken; the one that there is, where the other is missing; `runtimes` says which, and why.
   * Decisions are the same, up to rounding.
   */
  readonly runtime?: RuntimeName | "auto";
  /**
   * For wasm and auto: the module `onnxruntime-web`, or a function that imports it. Default: what of `onnxruntime-node`
   * (Node) and `onnxruntime-web` is installed; a page needs an import map for that.
   */
  readonly onnxruntime?: OnnxRuntime | (() => Promise<OnnxRuntime>);
}

/** What `deploy` gives, what its file says, and what runs it. `dispose()` frees the network too. */
export interface LoadedClassifier
  extends Pick<Classifier, "isOriginChecked" | "plan" | "classify" | "stream" | "dispose">,
    Disposable {
  readonly model: ModelRecord;
  /** What runs batches, the largest first. */
  readonly runtimes: readonly RuntimePlan[];
}

const { normalise: _, scaling: __, anyOrigin: ___, ...FREE } = DEPLOY;
const LOAD: Kinds<LoadOptions> = {
  onProgress: "function",
  cache: "any",
  device: "any",
  runtime: CLASSIFY_RUNTIME,
  onnxruntime: "any",
  ...FREE,
};

/** Options that say how a GPU works. */
const OF_GPUS = ["device", "route", "orWhole", "remember"] as const;

type Wanted = Omit<LoadOptions, keyof ReadModelOptions>;

/**
 * The classifier of a model file: `const classifier = await load("model.sortie.safetensors")`, in Node and in a page.
 * Every byte of the file is checked, and the policy against the weights, before the first answer.
 * @throws ModelError if the file is not a model, is damaged or newer, or did not arrive; DeviceError without an
 * adapter, or without onnxruntime where it is asked for; SortieError for what has no form in ONNX; what `deploy`
 * throws.
 *
 * @example
 * ```ts
 * import { buildNetwork, encodeModel, load } from "sortie/exits";
 *
 * const architecture = { backbone: "resnet", options: { depth: 8, widths: [4, 4, 8] }, exits: ["stage1"] };
 * const net = buildNetwork({ ...architecture, input: [8, 8, 1], classes: 2 });
 * const file = await encodeModel(net, { classes: ["cat", "dog"], normalise: { mean: [0.5], std: [0.25] } });
 * const classifier = await load(file); // in a page an address, in Node a path too
 * console.log(classifier.model.classes); // ["cat", "dog"]
 * console.log((await classifier.classify(new Uint8Array(3 * 8 * 8))).classes.length); // 3
 * classifier.dispose();
 * ```
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<LoadedClassifier> {
  const { onProgress, cache, ...wanted } = readOptions("load", options, LOAD);
  checkRuntime(wanted);
  const file = await readModel(source, { ...(onProgress && { onProgress }), ...(cache !== undefined && { cache }) });
  const { batch = CLASSIFY_BATCH.default, runtime = CLASSIFY_RUNTIME.default } = wanted;
  if (runtime === "auto") return choose(file, wanted);
  if (runtime === "wasm") return told(await byWasm(file, wanted), file, onlyRuntime("wasm", batch, "as asked for"));
  return told(await byWebGpu(file, wanted), file, onlyRuntime("webgpu", batch, "as asked for"));
}

/** @throws ArgumentError for options that a runtime would pass over. */
function checkRuntime({ runtime = CLASSIFY_RUNTIME.default, onnxruntime, precision, batch, ...own }: Wanted): void {
  const stray = [
    ...(runtime === "webgpu" && onnxruntime !== undefined ? ["onnxruntime"] : []),
    ...(runtime !== "webgpu" && precision === "f16" ? ["precision f16"] : []),
    ...(runtime === "wasm" ? OF_GPUS.filter((name) => own[name] !== undefined) : []),
  ];
  if (stray.length > 0)
    throw new ArgumentError(`load: runtime ${runtime} has no use for ${stray.join(", ")}; leave it out.`);
  checkBatch("load", batch);
}

/** How pictures come to the network's size: as asked for, or as the file says. */
const fitOf = ({ record }: ModelFile, { fit }: { readonly fit?: PictureFit | undefined }): PictureFit =>
  complete("load: fit", FIT, fit ?? record.fit ?? {});

/** The classifier with what is told of it. */
const told = (
  classifier: Classifier | WasmClassifier,
  { record: model }: ModelFile,
  runtimes: readonly RuntimePlan[],
): LoadedClassifier => Object.assign(classifier, { model, runtimes });

async function byWebGpu(file: ModelFile, { runtime: _, onnxruntime: __, device, ...own }: Wanted): Promise<Classifier> {
  const place = await placeOn(device);
  let net: MultiExit | undefined;
  try {
    net = await loadNetworkOf(file, place.device);
    const { record } = file;
    const fit = fitOf(file, own);
    return owning(await deployOwn(net, decidingOf(record), { ...own, fit, normalise: record.normalise }), net, place);
  } catch (error) {
    net?.dispose();
    place.release();
    throw error;
  }
}

function owning(classifier: Classifier, net: MultiExit, place: Place): Classifier {
  const end = classifier.dispose.bind(classifier);
  let isOver = false;
  const dispose = (): void => {
    end();
    if (isOver) return;
    isOver = true;
    net.dispose();
    place.release();
  };
  return Object.assign(classifier, { dispose });
}

async function byWasm(
  file: ModelFile,
  { onnxruntime, batch = CLASSIFY_BATCH.default, fit }: Wanted,
): Promise<WasmClassifier> {
  const { findRuntime } = await import("../runtime/onnxruntime.ts");
  const runtime = await findRuntime(onnxruntime);
  const { WasmClassifier } = await import("../runtime/wasm.ts");
  return WasmClassifier.open(file, runtime, { batch, fit: fitOf(file, { fit }) });
}

/** Both runtimes, or the one that there is. @throws DeviceError for neither; what is wrong with the file or options. */
async function choose(file: ModelFile, wanted: Wanted): Promise<LoadedClassifier> {
  const { batch = CLASSIFY_BATCH.default } = wanted;
  const webgpu = await byWebGpu(file, wanted).catch(orFault((error) => error instanceof DeviceError));
  let wasm: WasmClassifier | Error;
  try {
    wasm = await byWasm(file, wanted).catch(orFault((error) => !(error instanceof ArgumentError)));
  } catch (error) {
    if (!(webgpu instanceof Error)) webgpu.dispose();
    throw error;
  }
  if (webgpu instanceof Error && wasm instanceof Error) {
    const why = `${webgpu.message} ${wasm.message}`;
    throw new DeviceError(`load: WebGPU or onnxruntime must be there; got neither. ${why}`, { cause: webgpu });
  }
  if (webgpu instanceof Error)
    return told(wasm as WasmClassifier, file, onlyRuntime("wasm", batch, `WebGPU is missing; ${webgpu.message}`));
  if (wasm instanceof Error)
    return told(webgpu, file, onlyRuntime("webgpu", batch, `wasm cannot run it; ${wasm.message}`));
  const { architecture, normalise } = file.record;
  const sides = { webgpu, wasm, input: architecture.input, normalise, fit: fitOf(file, wanted), batch };
  const { ChosenClassifier } = await import("../runtime/choice.ts");
  return Object.assign(new ChosenClassifier(sides), { model: file.record });
}

/** Errors that are a reason to do without. */
const orFault =
  (isReason: (error: unknown) => boolean) =>
  (error: unknown): Error => {
    if (error instanceof Error && isReason(error)) return error;
    throw error;
  };
