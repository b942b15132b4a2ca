// What runs a model file: onnxruntime's WASM decides as WebGPU and as the table does; `auto` takes the faster;
// and what cannot run somewhere says so.

import * as ort from "onnxruntime-web";
import { encodePolicy } from "../../calibration/index.ts";
import { createDevice, decodeSafetensors } from "../../engine/index.ts";
import { encodeModel, load, type OnnxRuntime } from "../../exits/index.ts";
import { encodeSealed } from "../../exits/run/seal.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { agreesWith, fileOf, KINDS, MANY, SCORES, takesAlike } from "./alike.ts";
import { modelOf, tableOf } from "./models.ts";
import { bars } from "./small.ts";

const wasm = { runtime: "wasm" } as const;

const test = gpuSuite("exits: runtimes", { timeout: 120_000 });
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
      const got = await agreesWith(await load(file.bytes, { ...wasm, batch }), file, `wasm: ${about}`);
      for (const exit of got.exits) taken.add(exit);
      assert.equal(
        [...got.macs],
        Array.from(got.exits, (exit) => macs[exit]!),
      );
      if (k !== i) continue;
      const webgpu = await agreesWith(
        await load(file.bytes, { batch: 512, route: ["compact", "keep"] }),
        file,
        `WebGPU: ${about}`,
      );
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
    assert.is(new Set((await agreesWith(await load(file.bytes, wasm), file, family)).exits).size, 3);
    model.net.dispose();
  });
}

test("images of every kind are taken, refused and marked as on WebGPU", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  using webgpu = await load(bytes, { batch: 16, route: ["compact", "compact"] });
  using cpu = await load(bytes, { ...wasm, batch: 16 });
  using auto = await load(bytes, { runtime: "auto", batch: 16 });
  for (const other of [cpu, auto]) {
    await takesAlike(webgpu, other, about.normalise);
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

test("images that lie elsewhere are read batch by batch, also by wasm, and by auto once it has settled", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  const { images } = bars(48, "test", 3000);
  const pieces: number[] = [];
  const stored = {
    length: 10 * images.length,
    subarray(start: number, end: number): Uint8Array {
      pieces.push((end - start) / 64);
      return Uint8Array.from({ length: end - start }, (_, i) => images[(start + i) % images.length]!);
    },
  };
  using webgpu = await load(bytes, { batch: 16, route: ["compact", "compact"] });
  const want = await webgpu.classify(stored);
  for (const runtime of ["wasm", "auto"] as const) {
    using classifier = await load(bytes, { runtime, batch: 16 });
    const isSettled = () => classifier.runtimes.every((each) => each.isSettled);
    for (let round = 0; round < 60 && !isSettled(); round++) await classifier.classify(images);
    assert.ok(isSettled());
    pieces.splice(0);
    assert.equal((await classifier.classify(stored)).exits, want.exits);
    assert.ok(Math.max(...pieces) <= 16, `${runtime} asked for ${Math.max(...pieces)} images at once`);
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

test("auto answers by wasm once the GPU is lost, whatever was chosen before, and says so", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  const { images } = bars(48, "test", 3000);
  const gpu = await createDevice();
  using classifier = await load(bytes, { runtime: "auto", batch: 16, device: gpu });
  const want = await classifier.classify(images);
  gpu.gpu.destroy();
  await gpu.gpu.lost;
  for (let round = 0; round < 4; round++) {
    assert.equal((await classifier.classify(images)).exits, want.exits, `call ${round}`);
    assert.equal((await classifier.classify(images.subarray(0, 64))).exits, want.exits.subarray(0, 1));
  }
  const [only, ...others] = classifier.runtimes;
  assert.equal([only?.runtime, only?.isSettled, others, classifier.plan], ["wasm", true, [], []]);
  assert.match(only!.reason, /^wasm: WebGPU failed; .*lost/);
  net.dispose();
});

test("a policy of other weights is refused by each", async () => {
  const { net, about } = await modelOf("resnet");
  const other = await modelOf("resnet", 9);
  const { policy, ...rest } = about;
  const { tensors, metadata } = decodeSafetensors(await encodeModel(other.net, rest));
  const bytes = await encodeSealed([...tensors], { ...metadata, policy: encodePolicy(policy) });
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
