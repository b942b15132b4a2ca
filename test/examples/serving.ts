// What tests of examples/serve share: a model file, requests and measures, and a classifier that answers when it is
// let.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DeviceError } from "../../engine/index.ts";
import type { ImageAnswer } from "../../examples/serve/server.ts";
import type { Answers as Answered, LoadedClassifier } from "../../exits/index.ts";
import { bars } from "../exits/small.ts";
import { assert } from "../harness.ts";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const MODEL = join(root, "test/exits/files/model-1-resnet.sortie.safetensors");
export const PIXELS = 64;
export const { images } = bars(60, "test", 3000);
export const image = (i: number, count = 1): Uint8Array<ArrayBuffer> =>
  images.slice(i * PIXELS, (i + count) * PIXELS) as Uint8Array<ArrayBuffer>;

/** The status, and what was answered. */
export async function post(at: string, path: string, body: BodyInit, type: string, signal?: AbortSignal) {
  const response = await fetch(`${at}${path}`, {
    method: "POST",
    body,
    headers: { "content-type": type },
    ...(signal && { signal }),
  });
  const said = (await response.json()) as { readonly answers: readonly ImageAnswer[]; readonly error: string };
  return { status: response.status, said, retryAfter: response.headers.get("retry-after") };
}
export const postBytes = (at: string, bytes: Uint8Array<ArrayBuffer>) =>
  post(at, "/classify", bytes, "application/octet-stream");
export const postJson = (at: string, path: string, value: unknown) =>
  post(at, path, JSON.stringify(value), "application/json");

/** A value of /metrics. */
export async function measure(at: string, name: string): Promise<number> {
  const text = await (await fetch(`${at}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

/** A classifier whose class is the first byte of the image, and which answers when it is let. */
export class Held {
  readonly batches: number[] = [];
  isDisposed = false;
  #waiting: (() => void)[] = [];
  #isOpen: boolean;
  readonly #record: LoadedClassifier["model"];

  constructor(record: LoadedClassifier["model"], isOpen = false) {
    this.#record = record;
    // The first, which warms up, is let through.
    this.#isOpen = isOpen;
  }

  get classifier(): LoadedClassifier {
    return {
      model: this.#record,
      runtimes: [],
      plan: [],
      isOriginChecked: true,
      classify: (given: Uint8Array | Float32Array) => this.#classify(given),
      dispose: () => {
        this.isDisposed = true;
      },
    } as unknown as LoadedClassifier;
  }

  async #classify(given: Uint8Array | Float32Array): Promise<Answered> {
    const count = given.length / PIXELS;
    if (this.batches.push(count) > 1 && !this.#isOpen) await new Promise<void>((go) => this.#waiting.push(go));
    const firsts = Array.from({ length: count }, (_, i) => given[i * PIXELS]!);
    if (firsts.includes(9)) throw new Error("nine");
    if (firsts.includes(8)) throw new DeviceError("classify: the device was lost.");
    return {
      classes: Int32Array.from(firsts),
      exits: Int32Array.from(firsts, (first) => first % 3),
      scores: Float32Array.from(firsts, () => 1),
      macs: Float64Array.from(firsts, () => 10),
    };
  }

  open(): void {
    this.#isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}

export const numbered = (first: number): Uint8Array<ArrayBuffer> => new Uint8Array(PIXELS).fill(first);
export const until = async (is: () => boolean, seconds = 5): Promise<void> => {
  for (let i = 0; i < 100 * seconds && !is(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(is(), "it never came to that");
};
