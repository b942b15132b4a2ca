// A classifier whose stages onnxruntime runs on the CPU: the same policy on the same logits, decided on the host. Needs
// no adapter; the network is drawn on paper.

import { type ImageBytes, messageOf, permuted } from "../../base/index.ts";
import type { PictureFit } from "../../data/fit.ts";
import { DeviceError, DisposedError, numel, paperDevice } from "../../engine/functions.ts";
import type { Cascade, CascadeImages, Runtime as OnnxRuntime } from "../../onnx/index.ts";
import {
  type Answers,
  type ClassifyOptions,
  readNotFinite,
  refuseStrange,
  StrangeLogits,
  type StreamOptions,
} from "../deploy/answers.ts";
import type { Images, Normalisation } from "../deploy/images.ts";
import { imagesOnHost } from "../deploy/on-host.ts";
import { ModelError } from "../errors.ts";
import { cascadeOf } from "../file/cascade.ts";
import type { ModelFile } from "../file/model-file.ts";
import { loadNetworkOf } from "../file/network.ts";
import { digestOf } from "../run/digest.ts";
import { streamOneByOne } from "./one-by-one.ts";

interface Parts {
  readonly cascade: Cascade;
  /** [H, W, C] */
  readonly input: readonly number[];
  readonly normalise: Normalisation;
  readonly fit: PictureFit;
  readonly batch: number;
  readonly isOriginChecked: boolean;
}

/** Stages that onnxruntime runs, one call after the other. */
export class WasmClassifier {
  readonly isOriginChecked: boolean;
  /** There is one way through the stages. */
  readonly plan: readonly never[] = [];
  readonly #parts: Parts;
  #turn: Promise<unknown> = Promise.resolve();
  #isDisposed = false;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.isOriginChecked = parts.isOriginChecked;
  }

  /**
   * The classifier of a model file. @throws SortieError for a network or a policy that has no form in ONNX; what
   * `deploy` throws for a policy of other weights.
   */
  static async open(
    file: ModelFile,
    runtime: OnnxRuntime,
    { batch, fit }: { readonly batch: number; readonly fit: PictureFit },
  ): Promise<WasmClassifier> {
    const { record } = file;
    using device = paperDevice();
    const net = await loadNetworkOf(file, device);
    const names = [...net.state().keys()];
    const values = new Map(names.map((name) => [name, valuesOf(file, name)] as const));
    const weights = await digestOf([...values.values()]);
    const { onnxStages, openCascade } = await import("../../onnx/index.ts");
    const about = await cascadeOf(net, record, weights).catch(asLoad);
    const models = await onnxStages(net, { values }).catch(asLoad);
    const cascade = await openCascade(runtime, about, models, { executionProviders: ["cpu"] }).catch((cause) => {
      throw new DeviceError(`load: onnxruntime must run the stages; it says: ${messageOf(cause)}`, { cause });
    });
    const { policy, normalise, architecture } = record;
    const isOriginChecked = policy?.result.ok === true && policy.result.origin?.weights !== undefined;
    return new WasmClassifier({ cascade, input: architecture.input, normalise, fit, batch, isOriginChecked });
  }

  /** As `classify` of a deployed classifier. @throws ArgumentError, DisposedError as it does. */
  async classify(images: Images, options: ClassifyOptions = {}): Promise<Answers> {
    const notFinite = readNotFinite(options);
    this.#checkAlive();
    const { values, strange } = await imagesOnHost(images, this.#parts);
    if (notFinite === "error") refuseStrange(strange);
    const turn = this.#turn.then(() => this.#run(values));
    this.#turn = turn.catch(() => {});
    const answers = await turn;
    for (const i of strange) {
      answers.classes[i] = answers.exits[i] = -1;
      answers.scores[i] = Number.NaN;
    }
    return answers;
  }

  /** As `stream` of a deployed classifier. @throws Error as `classify` does, at the lot in question */
  stream(
    source: Iterable<Images> | AsyncIterable<Images>,
    options: StreamOptions = {},
  ): AsyncGenerator<Answers, void, undefined> {
    return streamOneByOne(this, source, options);
  }

  async #run(values: ImageBytes | Float32Array): Promise<Answers> {
    this.#checkAlive();
    const { cascade, input, batch } = this.#parts;
    try {
      return await cascade.classify(values instanceof Float32Array ? inPlanes(values, input) : values, { batch });
    } catch (error) {
      const { image } = error as { readonly image?: number };
      throw image === undefined ? error : new StrangeLogits(image);
    }
  }

  #checkAlive(): void {
    if (this.#isDisposed) throw new DisposedError("classify: the classifier must be alive; it was disposed.");
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    // A call that is under way comes to its end. Nobody waits for what a release says.
    this.#turn.then(() => this.#parts.cascade.release()).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What an export refuses, in the words of who loads. */
function asLoad(cause: Error): never {
  if (!cause.message.startsWith("export: ")) throw cause;
  const why = cause.message.replace(/^export: /, "").replace(/ Write a model file .*$/, "");
  throw new ModelError(`load: ${why} Use runtime webgpu.`, { cause });
}

/** What a file holds under a name of the network, all of which `loadNetworkOf` has checked. */
const valuesOf = ({ tensors }: ModelFile, name: string): Float32Array<ArrayBuffer> =>
  tensors.get(name)?.data as Float32Array<ArrayBuffer>;

/** [N, H, W, C] as [N, C, H, W], made of those images that are asked for. */
const inPlanes = (values: Float32Array, input: readonly number[]): CascadeImages => ({
  length: values.length,
  subarray(start, end) {
    const shape = [(end - start) / numel(input), ...input];
    return permuted(values.subarray(start, end), shape, [0, 3, 1, 2], new Float32Array(end - start));
  },
});
