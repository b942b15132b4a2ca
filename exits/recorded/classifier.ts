// The classifier of a recorded model: images in, launches as they were recorded, answers out. It needs no network, no
// op and no kernel of the engine, which is what makes it small.

import { type Kinds, lastOf } from "../../base/index.ts";
import {
  type Device,
  DisposedError,
  openCaptures,
  read,
  readOptions,
  type StoredCapture,
  type StoredCaptures,
  type Tensor,
} from "../../engine/functions.ts";
import { type Answers, type ClassifyOptions, readNotFinite, type StreamOptions } from "../deploy/answers.ts";
import { Call } from "../deploy/call.ts";
import { giveHost } from "../deploy/host-batches.ts";
import type { Images } from "../deploy/images.ts";
import { imagesOnHost } from "../deploy/on-host.ts";
import { ModelError } from "../errors.ts";
import { type Place, placeOn } from "../file/place.ts";
import { checkSealed } from "../file/sealed.ts";
import { type ModelSource, type ReadModelOptions, readFrom } from "../file/source.ts";
import { streamOneByOne } from "../runtime/one-by-one.ts";
import { FORMAT, MODEL, nameOf, type RecordedModel, readRecorded, sizesOf, VERSION } from "./form.ts";

/** Options of `loadRecorded`. */
export interface LoadRecordedOptions extends ReadModelOptions {
  /** Default: the default device; without any, one of its own, which goes with the last classifier on it. */
  readonly device?: Device;
}

const OPTIONS: Kinds<LoadRecordedOptions> = { device: "any", onProgress: "function", cache: "any" };

const HINTS = { "sortie-model": "load opens it, and recordModel, or sortie export --format recorded, records it." };

/** What runs batches of one size. */
interface Size {
  readonly batch: number;
  readonly bytes: StoredCapture;
  readonly route: StoredCapture;
  readonly images: Tensor;
  readonly count: Tensor;
  readonly results: readonly Tensor[];
}

/**
 * The classifier of a recorded model, in Node and in a page: answers as those of the model file it was made of, in a
 * fraction of the code of `load`. The file must come from whom you trust, as a script must.
 * @throws ModelError if the file is no recorded model, is damaged or newer, or did not arrive; DeviceError without an
 * adapter, or without what it was recorded for
 */
export async function loadRecorded(
  source: ModelSource,
  options: LoadRecordedOptions = {},
): Promise<RecordedClassifier> {
  const { device, ...reading } = readOptions("loadRecorded", options, OPTIONS);
  const { file, model } = await readFrom(source, reading, async (name, file) => {
    await checkSealed(name, file, { format: FORMAT, version: VERSION, hints: HINTS });
    return { file, model: readRecorded(name, file.metadata[MODEL]) };
  });
  const place = await placeOn(device);
  let stored: StoredCaptures | undefined;
  try {
    stored = await openCaptures(file, place.device);
    return new RecordedClassifier(model, stored, place);
  } catch (error) {
    stored?.dispose();
    place.release();
    throw error;
  }
}

/** Batches that may be under way at once: one runs while the host packs the next. */
const UNDER_WAY = 2;

/** A recorded model, ready to run; make it by `loadRecorded`. */
export class RecordedClassifier {
  readonly model: RecordedModel;
  readonly #stored: StoredCaptures;
  readonly #place: Place;
  readonly #sizes: readonly Size[];
  /** Ends when the calls before have been submitted. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Batches that were submitted, oldest first. */
  readonly #underWay: Promise<unknown>[] = [];
  #isDisposed = false;

  /** Use `loadRecorded`. @internal */
  constructor(model: RecordedModel, stored: StoredCaptures, place: Place) {
    this.model = model;
    this.#stored = stored;
    this.#place = place;
    this.#sizes = sizesOf(model.batch).map((batch) => sizeOf(stored, batch));
  }

  /** Whether the policy names the weights that it was calibrated on, and they are these. */
  get isOriginChecked(): boolean {
    return this.model.isOriginChecked;
  }

  /** As `classify` of a deployed classifier. @throws ArgumentError, DisposedError as it does */
  async classify(images: Images, options: ClassifyOptions = {}): Promise<Answers> {
    const notFinite = readNotFinite(options);
    this.#checkAlive();
    const { input, exits } = this.model;
    const host = await imagesOnHost(images, this.model);
    const given = giveHost(host, input, (batch, bytes) => {
      this.#sizes.find((size) => size.images === batch)?.bytes.run({ bytes });
    });
    const call = new Call(given, notFinite, undefined);
    const submitted = this.#turn.then(() => this.#submit(call));
    this.#turn = submitted.catch(() => {});
    await submitted;
    return call.answers(exits.map(({ macs }) => macs));
  }

  /** As `stream` of a deployed classifier. @throws Error as `classify` does, at the lot in question */
  stream(
    source: Iterable<Images> | AsyncIterable<Images>,
    options: StreamOptions = {},
  ): AsyncGenerator<Answers, void, undefined> {
    return streamOneByOne(this, source, options);
  }

  async #submit(call: Call): Promise<void> {
    for (let first = 0; first < call.size; ) {
      if (this.#underWay.length >= UNDER_WAY) await this.#underWay.shift();
      this.#checkAlive();
      const left = call.size - first;
      const { batch, images, count, route, results } =
        this.#sizes.find((size) => size.batch >= left) ?? lastOf(this.#sizes);
      const [n, from] = [Math.min(batch, left), first];
      call.given.fill(images, from, n);
      if (batch > 1) count.write([n]);
      route.run();
      const answered = read(results).then((found) => call.take(found, n, (k) => from + k));
      call.expect(answered);
      this.#underWay.push(answered.catch(() => {}));
      first += n;
    }
  }

  #checkAlive(): void {
    if (this.#isDisposed) throw new DisposedError("classify: the classifier must be alive; it was disposed.");
  }

  dispose(): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#stored.dispose();
    this.#place.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** @throws ModelError for a file that lacks some of it */
function sizeOf({ captures, tensors }: StoredCaptures, batch: number): Size {
  const find = <T>(all: Readonly<Record<string, T>>, what: Parameters<typeof nameOf>[1]): T => {
    const found = all[nameOf(batch, what)];
    if (found) return found;
    throw new ModelError(`load: the file must hold what runs batches of ${batch}; it lacks their ${what}.`);
  };
  return {
    batch,
    bytes: find(captures, "bytes"),
    route: find(captures, "route"),
    images: find(tensors, "images"),
    count: find(tensors, "count"),
    results: [find(tensors, "classes"), find(tensors, "exits"), find(tensors, "scores")],
  };
}
