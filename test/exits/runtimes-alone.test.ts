// A model file where there is no adapter: onnxruntime's WASM answers, `auto` says why, and what needs WebGPU is
// refused.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-web";
import { devices } from "../../engine/device.ts";
import { createDevice, type Device, DeviceError, defaultDevice, ones, paperDevice } from "../../engine/index.ts";
import { load, type OnnxRuntime } from "../../exits/index.ts";
import { findRuntime } from "../../exits/runtime/onnxruntime.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { bars } from "./small.ts";

const files = fileURLToPath(new URL("./files/", import.meta.url));
const committed = (): Uint8Array => readFileSync(join(files, "model-1-resnet.sortie.safetensors"));
const wasm = { runtime: "wasm" } as const;

const test = suite("exits: runtimes without an adapter", { timeout: 60_000 });

/** Runs `body` where WebGPU has no adapter, and no device lives. */
async function withoutAdapter(body: () => Promise<void>): Promise<void> {
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  const gpu = { requestAdapter: async () => null };
  Object.defineProperty(globalThis, "navigator", { value: { gpu }, configurable: true, writable: true });
  const living = takeDevices();
  try {
    await body();
  } finally {
    for (const each of living) devices.add(each);
    if (before) Object.defineProperty(globalThis, "navigator", before);
    else Reflect.deleteProperty(globalThis, "navigator");
  }
}

/** Makes every living device nobody's default. */
function takeDevices(): Device[] {
  const found: Device[] = [];
  for (;;) {
    try {
      found.push(defaultDevice());
    } catch {
      return found;
    }
    devices.delete(found.at(-1) as Device);
  }
}

interface Recorded {
  readonly classes: readonly number[];
  readonly exits: readonly number[];
}

test("wasm answers a committed file as it did on WebGPU; auto falls back with a word; webgpu is refused", async () => {
  const { classes, exits } = (
    JSON.parse(readFileSync(join(files, "model-1.json"), "utf8")) as Record<string, Recorded>
  )["resnet"]!;
  const { images } = bars(60, "test", 3000);
  await withoutAdapter(async () => {
    const none = /^DeviceError: createDevice: a WebGPU adapter must exist; found none\./;
    assert.match(String(await errorOf(() => createDevice())), none);
    for (const runtime of ["wasm", "auto"] as const) {
      using classifier = await load(committed(), { runtime });
      const got = await classifier.classify(images);
      assert.equal([[...got.classes], [...got.exits]], [classes, exits]);
      const [{ reason, runtime: found } = { reason: "", runtime: "" }] = classifier.runtimes;
      assert.is(found, "wasm");
      const word = /^wasm: WebGPU is missing; createDevice: a WebGPU adapter must exist; found none\./;
      assert.match(reason, runtime === "auto" ? word : /^wasm: as asked for$/);
      assert.equal([classifier.isOriginChecked, classifier.plan.length], [true, 0]);
    }
    assert.match(String(await errorOf(() => load(committed()))), none);
    const broken = {
      ...ort,
      InferenceSession: { create: async () => Promise.reject(new Error("no backend")) },
    } as unknown as OnnxRuntime;
    await failsWith(
      () => load(committed(), { ...wasm, onnxruntime: broken }),
      "DeviceError",
      "load: onnxruntime must run the stages; it says: no backend",
    );
    const both = String(await errorOf(() => load(committed(), { runtime: "auto", onnxruntime: async () => broken })));
    assert.match(
      both,
      /^DeviceError: load: WebGPU or onnxruntime must be there; got neither\. createDevice: .* it says: no backend$/,
    );
  });
});

test("options that a runtime would pass over are refused", async () => {
  const refuses = (options: object, message: string) =>
    failsWith(() => load(committed(), options), "ArgumentError", message);
  await refuses({ runtime: "cpu" }, 'load: runtime must be one of webgpu, wasm, auto; got "cpu".');
  await refuses(
    { ...wasm, route: "measured", orWhole: true },
    "load: runtime wasm has no use for route, orWhole; leave it out.",
  );
  await refuses(
    { runtime: "auto", precision: "f16" },
    "load: runtime auto has no use for precision f16; leave it out.",
  );
  await refuses({ onnxruntime: ort }, "load: runtime webgpu has no use for onnxruntime; leave it out.");
  await refuses({ ...wasm, batch: 0 }, "load: batch must be a whole number of at least 1; got 0.");
});

test("onnxruntime is taken as it is given, as a module of CommonJS too, or found; without it the package is named", async () => {
  const given: OnnxRuntime = ort;
  const inDefault = { default: given } as unknown as OnnxRuntime;
  assert.is(await findRuntime(given), given);
  assert.is(await findRuntime(async () => inDefault), given);
  const asked: string[] = [];
  const threads = { numThreads: 0 };
  const web = { ...given, env: { wasm: threads } };
  const found = await findRuntime(undefined, async (name) => {
    asked.push(name);
    if (name === "onnxruntime-node") throw new Error("not installed");
    return web;
  });
  assert.equal([found === web, asked, threads.numThreads], [true, ["onnxruntime-node", "onnxruntime-web"], 1]);
  await failsWith(
    () => findRuntime(undefined, async () => Promise.reject(new Error("not installed"))),
    "DeviceError",
    "load: runtime wasm needs the package onnxruntime-web; it did not load. Run `npm install onnxruntime-web` (or onnxruntime-node).",
  );
});

test("a device on paper traces, is nobody's default, and computes nothing", async () => {
  using paper = paperDevice();
  const x = ones([2, 3], { device: paper });
  assert.is(x.device, paper);
  assert.instance(await errorOf(() => x.read()), DeviceError);
  assert.match(String(await errorOf(() => x.read())), /this one is on paper, for tracing alone/);
});
