// What runs a model file: onnxruntime's WASM decides as WebGPU and as the table does; `auto` takes the faster;
// and what cannot run somewhere says so.

import * as ort from "onnxruntime-web";
import {
  type Cascade,
  cascade,
  decide,
  type PlainScore,
  type PolicyFile,
  predictionsAt,
  scaleLogits,
  type Table,
} from "../../calibration/index.ts";
import { ones, tensor } from "../../engine/index.ts";
import { encodeModel, type LoadedClassifier, type LoadOptions, load, type OnnxRuntime } from "../../exits/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { modelOf, tableOf } from "./models.ts";
import { bars } from "./small.ts";

const wasm = { runtime: "wasm" } as const;

const test = gpuSuite("exits: runtimes", { timeout: 120_000 });
/** Thousands, so that every batch leaves rows at each exit. */
const MANY = bars(2000, "test", 40_000);

const SCORES: readonly PlainScore[] = ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"];
type Kind = "per exit" | "by class" | "first exit closed" | "all closed" | "all leave at once";
const KINDS: readonly Kind[] = ["per exit", "by class", "first exit closed", "all closed", "all leave at once"];

/** In the widest gap between scores about the middle: nobody is near it. */
function between(scores: Float64Array): number {
  const sorted = scores.toSorted();
  const middle = sorted.subarray(Math.floor(sorted.length / 3), Math.ceil((2 * sorted.length) / 3));
  let widest = 1;
  for (let i = 1; i < middle.length; i++)
    if (middle[i]! - middle[i - 1]! > middle[widest]! - middle[widest - 1]!) widest = i;
  return (middle[widest]! + middle[widest - 1]!) / 2;
}

function thresholdsOf(kind: Kind, { scores, exits, samples, classes }: Cascade): Float64Array {
  const at = (j: number) => between(Float64Array.from({ length: samples }, (_, i) => scores[i * exits + j]!));
  const [first, second] = [at(0), at(1)];
  switch (kind) {
    case "per exit":
      return Float64Array.of(first, second);
    case "by class":
      return Float64Array.from({ length: 2 * classes }, (_, i) => {
        return i % 3 === 0 ? Number.POSITIVE_INFINITY : i < classes ? first : second;
      });
    case "first exit closed":
      return Float64Array.of(Number.POSITIVE_INFINITY, second);
    case "all closed":
      return new Float64Array(2).fill(Number.POSITIVE_INFINITY);
    case "all leave at once":
      return new Float64Array(2).fill(Number.NEGATIVE_INFINITY);
  }
}

type Model = Awaited<ReturnType<typeof modelOf>>;

/** The bytes of a file whose policy is by a score, and what the table says of every image. */
async function fileOf({ net, about }: Model, plain: Table, score: PlainScore, kind: Kind, isScaled: boolean) {
  const { scaling } = about.policy;
  const table = isScaled && scaling ? scaleLogits(plain, scaling) : plain;
  const scored = cascade(table, score);
  const thresholds = thresholdsOf(kind, scored);
  const { origin } = about.policy.result as { readonly origin: { readonly scaling?: string } };
  const { scaling: _, ...unscaled } = origin;
  const result = { ...about.policy.result, score, thresholds, origin: isScaled ? origin : unscaled };
  const policy = { result, ...(isScaled && scaling && { scaling }) } as unknown as PolicyFile;
  const exits = decide(scored, thresholds);
  return { bytes: await encodeModel(net, { ...about, policy }), exits, classes: predictionsAt(scored, exits) };
}

const agreesWith = async (
  bytes: Uint8Array,
  options: LoadOptions,
  { exits, classes }: { readonly exits: Int32Array; readonly classes: Int32Array },
  about: string,
) => {
  using classifier = await load(bytes, options);
  const got = await classifier.classify(MANY.images);
  const differing = Array.from(exits, (_, at) => at).filter(
    (at) => got.exits[at] !== exits[at] || got.classes[at] !== classes[at],
  );
  assert.equal(
    differing.slice(0, 5).map((at) => [at, got.exits[at], got.classes[at], exits[at], classes[at]]),
    [],
    about,
  );
  return got;
};

test("wasm, WebGPU and the table decide alike on thousands of images, for every score and policy kind", async () => {
  const model = await modelOf("resnet");
  const plain = await tableOf(model.net, MANY);
  const taken = new Set<number>();
  const macs = model.net.macs();
  for (const [i, kind] of KINDS.entries()) {
    for (const k of [i, (i + 3) % SCORES.length]) {
      const score = SCORES[k]!;
      const isScaled = (i + k) % 4 !== 3;
      const about = `${score}, ${kind}${isScaled ? ", scaled" : ""}`;
      const file = await fileOf(model, plain, score, kind, isScaled);
      const batch = [256, 1000, 4096][(i + k) % 3]!;
      const got = await agreesWith(file.bytes, { ...wasm, batch }, file, `wasm: ${about}`);
      for (const exit of got.exits) taken.add(exit);
      assert.equal(
        [...got.macs],
        Array.from(got.exits, (exit) => macs[exit]!),
      );
      if (k !== i) continue;
      const webgpu = await agreesWith(file.bytes, { batch: 512, route: ["compact", "keep"] }, file, `WebGPU: ${about}`);
      const apart = Math.max(...webgpu.scores.map((value, j) => Math.abs(value - got.scores[j]!)));
      assert.ok(apart < 1e-4, `${about}: scores are ${apart} apart`);
    }
  }
  assert.is(taken.size, 3);
  model.net.dispose();
});

for (const family of ["vit", "msdnet"] as const) {
  test(`wasm decides alike for ${family}`, async () => {
    const model = await modelOf(family);
    const file = await fileOf(model, await tableOf(model.net, MANY), "margin", "per exit", true);
    assert.is(new Set((await agreesWith(file.bytes, wasm, file, family)).exits).size, 3);
    model.net.dispose();
  });
}

test("images of every kind are taken, refused and marked as on WebGPU", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  const { images } = bars(70, "test", 3000);
  const [mean, std] = [about.normalise.mean[0]!, about.normalise.std[0]!];
  const floats = Float32Array.from(images, (byte) => (byte / 255 - mean) / std);
  const strange = floats.slice();
  strange[20 * 64 + 5] = strange[33 * 64] = Number.NaN;
  using webgpu = await load(bytes, { batch: 16, route: ["compact", "compact"] });
  using cpu = await load(bytes, { ...wasm, batch: 16 });
  using auto = await load(bytes, { runtime: "auto", batch: 16 });
  for (const other of [cpu, auto]) {
    const same = async (given: Parameters<LoadedClassifier["classify"]>[0], options = {}) => {
      const [want, got] = [await webgpu.classify(given, options), await other.classify(given, options)];
      assert.equal([got.classes, got.exits, got.macs], [want.classes, want.exits, want.macs]);
      const differing = got.scores.filter((score, i) => !(Math.abs(score - want.scores[i]!) < 1e-4));
      assert.equal([...differing].every(Number.isNaN), true);
      assert.is(differing.length, want.scores.filter(Number.isNaN).length);
    };
    for (const given of [images, new Uint8ClampedArray(images), floats, tensor(floats, { shape: [70, 8, 8, 1] })])
      await same(given);
    await same(new Uint8Array());
    await same(strange, { notFinite: "mark" });
    const bad: readonly (readonly [unknown, object])[] = [
      [strange, {}],
      [images.subarray(1), {}],
      [[1, 2], {}],
      [new Float64Array(64), {}],
      [ones([1, 9, 8, 1]), {}],
      [images, { notFinite: "skip" }],
      [images, { finite: true }],
    ];
    for (const [given, options] of bad) {
      const said = async (classifier: LoadedClassifier) =>
        String(await errorOf(() => classifier.classify(given as never, options)));
      const want = await said(webgpu);
      assert.match(want, /^ArgumentError: classify: /);
      assert.is(await said(other), want);
    }
    const lots = [images.subarray(0, 640), images.subarray(640)];
    const streamed: number[] = [];
    for await (const { exits } of other.stream(lots)) streamed.push(...exits);
    assert.equal(streamed, [...(await webgpu.classify(images)).exits]);
    // Calls at once, one of them in error.
    const [a, b, c] = await Promise.allSettled([
      other.classify(images),
      other.classify(strange),
      other.classify(floats),
    ]);
    assert.equal([a.status, b.status, c.status], ["fulfilled", "rejected", "fulfilled"]);
    other.dispose();
    assert.match(
      String(await errorOf(() => other.classify(images))),
      /^DisposedError: classify: the classifier must be alive/,
    );
  }
  net.dispose();
});

/** onnxruntime, but for images whose first pixel is `MARK`, whose logits are NaN. */
const MARK = 77;
const faulty = (): OnnxRuntime => ({
  Tensor: ort.Tensor as never,
  InferenceSession: {
    async create(model: never, options: never) {
      const session = await ort.InferenceSession.create(model as Uint8Array, options as object);
      return {
        async run(feeds: never) {
          const { input } = feeds as { readonly input: ort.Tensor };
          const found = await session.run(feeds as { readonly input: ort.Tensor });
          const [values, logits] = [input.data as Float32Array, found["logits"]?.data as Float32Array];
          const rows = input.dims[0]!;
          for (let i = 0; i < rows; i++)
            if (values[(i * values.length) / rows] === MARK) logits[(i * logits.length) / rows] = Number.NaN;
          return found;
        },
      };
    },
  },
});

test("a network whose logits are NaN is told with the image's number, in whichever batch", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  const images = Float32Array.from(bars(40, "test", 3000).images, (byte) => byte / 255);
  images[20 * 64] = MARK;
  const message =
    "classify: the network's logits must be numbers; got NaN for image 20 (counted from 0). Its weights hold NaN, or its activations overflow.";
  // The second batch is the first that is tried by wasm.
  for (const runtime of ["wasm", "auto"] as const) {
    using classifier = await load(bytes, { runtime, batch: 16, onnxruntime: async () => faulty() });
    await failsWith(() => classifier.classify(images), "ArgumentError", message);
  }
  net.dispose();
});

test("auto settles on one of both by measuring, size by size, and tells which", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  using classifier = await load(bytes, { runtime: "auto", batch: 16 });
  assert.match(classifier.runtimes[0]!.reason, /^batches of up to 16: not settled yet$/);
  const { images } = bars(48, "test", 3000);
  const want = await classifier.classify(images);
  for (let round = 0; round < 60 && !classifier.runtimes.every(({ isSettled }) => isSettled); round++) {
    assert.equal((await classifier.classify(images)).exits, want.exits);
    assert.equal((await classifier.classify(images.subarray(0, 64))).exits, want.exits.subarray(0, 1));
  }
  assert.equal(
    classifier.runtimes.map(({ upTo, isSettled }) => [upTo, isSettled]),
    [
      [16, true],
      [1, true],
    ],
  );
  for (const { runtime, tried, reason } of classifier.runtimes) {
    const [webgpu, cpu] = [
      tried.find((one) => one.runtime === "webgpu")!,
      tried.find((one) => one.runtime === "wasm")!,
    ];
    assert.ok(webgpu.timed >= 3 && cpu.timed >= 3, reason);
    assert.is(runtime, webgpu.ms <= cpu.ms ? "webgpu" : "wasm");
    assert.match(reason, new RegExp(`: ${runtime}, the faster of webgpu .* ms and wasm .* ms$`));
  }
  net.dispose();
});

test("auto stays on WebGPU where onnxruntime cannot, and says why; wasm refuses", async () => {
  const { net, about } = await modelOf("resnet, heads that see the one before");
  const bytes = await encodeModel(net, about);
  const why =
    "load: for ONNX heads must look at their own features alone; got some that are cascaded, ensembled. Use runtime webgpu.";
  await failsWith(() => load(bytes, wasm), "ModelError", why);
  using classifier = await load(bytes, { runtime: "auto" });
  const [only] = classifier.runtimes;
  assert.equal([only?.runtime, only?.reason], ["webgpu", `webgpu: wasm cannot run it; ${why}`]);
  net.dispose();
});

test("a policy of other weights is refused by each", async () => {
  const { net, about } = await modelOf("resnet");
  const other = await modelOf("resnet", 9);
  const bytes = await encodeModel(other.net, { ...about });
  for (const runtime of ["webgpu", "wasm", "auto"] as const)
    assert.match(
      String(await errorOf(() => load(bytes, { runtime }))),
      /^CalibrationError: deploy: the policy must be of this network's weights/,
    );
  for (const made of [net, other.net]) made.dispose();
});

test("frees everything on the GPU, whoever was chosen", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  await device().sync();
  const before = device().memory().buffers;
  for (const runtime of ["auto", "wasm"] as const) {
    const classifier = await load(bytes, { runtime });
    await classifier.classify(MANY.images.subarray(0, 64 * 100));
    classifier.dispose();
    classifier.dispose();
  }
  assert.match(
    String(await errorOf(() => load(bytes, { runtime: "auto", onnxruntime: {} as OnnxRuntime }))),
    /^ArgumentError: load: onnxruntime must be the module/,
  );
  await device().sync();
  assert.is(device().memory().buffers, before);
  net.dispose();
});
