// Captures written to a file and run from it are those that were written, bit for bit: wider than one tile, on poisoned
// memory, with state, live rows and scalars.

import * as s from "../../engine/index.ts";
import { EVAL, resnet, SGD, TRAIN } from "../../nn/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { poisoned } from "./live.ts";

const test = gpuSuite("captures in a file");

const floats = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(seed + 1.7 * i) * 2);

/** Runs `fn` on the captures of a file, all memory of which was garbage. */
async function reopened<T>(file: Uint8Array<ArrayBuffer>, fn: (found: s.StoredCaptures) => Promise<T>): Promise<T> {
  return poisoned(device(), async () => {
    using found = await s.loadCaptures(file, { device: device() });
    return await fn(found);
  });
}

test("a network answers as it did where it was recorded", async () => {
  const net = resnet({ depth: 8, classes: 10, seed: 3, input: [32, 32, 3] });
  const x = { shape: [20, 32, 32, 3], dtype: "f32" } as const;
  using step = await s.capture({ label: "net", inputs: { x } }, ({ x }) =>
    s.noGrad(() => ({ p: s.softmax(net.forward(x, EVAL), { dim: 1 }) })),
  );
  const images = floats(20 * 32 * 32 * 3, 1);
  const wanted = await step.run({ x: images }).p.read();
  const file = await s.encodeCaptures({ step }, { metadata: { about: "a test" } });
  await reopened(file, async ({ captures, metadata }) => {
    assert.equal(metadata, { about: "a test" });
    const { step: again } = captures;
    assert.is(again!.dispatches, step.dispatches);
    for (let run = 0; run < 2; run++) assert.equal(await again!.run({ x: images })["p"]!.read(), wanted);
    assert.throws(() => again!.run({ y: images }), /capture "net": input names must be among \[x\]; got y/);
  });
});

test("a training step trains on, bit for bit, state and scalars with it", async () => {
  const net = resnet({ depth: 8, widths: [4, 4, 8], classes: 5, seed: 3, input: [12, 12, 1] });
  const optimizer = new SGD(net.parameters(), { lr: 0.1, momentum: 0.9 });
  using count = s.zeros([1]);
  const inputs = { x: { shape: [8, 12, 12, 1], dtype: "f32" }, y: { shape: [8], dtype: "i32" } } as const;
  using step = await s.capture(
    { inputs, scalars: { weight: 1 }, state: [optimizer, ...net.buffers(), count] },
    ({ x, y }, { weight }) => {
      const loss = s.crossEntropy(net.forward(x, TRAIN), y);
      s.backward(s.mul(loss, weight));
      optimizer.step();
      optimizer.zeroGrad();
      s.copyInto(count, s.add(count, weight));
      return { loss };
    },
  );
  const batch = (i: number) => ({ x: floats(8 * 144, i), y: Array.from({ length: 8 }, (_, k) => (k + i) % 5) });
  await step.run(batch(0)).loss.read();
  const file = await s.encodeCaptures({ step }, { tensors: { count } });
  const losses = async (one: { run: typeof step.run }) => {
    const found: number[] = [];
    for (const [i, weight] of [1, undefined, 0.5].entries()) {
      const { loss } = one.run(batch(i + 1), weight === undefined ? {} : { weight });
      found.push(await loss.item());
    }
    return found;
  };
  const wanted = await losses(step);
  const counted = await count.item();
  await reopened(file, async ({ captures, tensors }) => {
    assert.equal(await losses(captures["step"] as unknown as typeof step), wanted);
    assert.is(await tensors["count"]!.item(), counted);
  });
  optimizer.flat.dispose();
  optimizer.dispose();
});

test("live rows follow their number, for captures that share memory", async () => {
  using rows = s.tensor(Uint32Array.of(0));
  using kept = s.zeros([300, 24]);
  const weight = s.tensor(floats(24 * 40, 5), { shape: [24, 40] });
  const back = s.tensor(floats(40 * 24, 6), { shape: [40, 24] });
  const inputs = { x: { shape: [300, 24], dtype: "f32" } } as const;
  using first = await s.capture({ inputs, rows }, ({ x }) => {
    const hidden = s.relu(s.matmul(x, weight));
    return { y: s.softmax(s.matmul(hidden, back), { dim: 1 }) };
  });
  using second = await s.capture({ state: [kept] }, () => {
    s.copyInto(kept, s.add(kept, 1));
    return {};
  });
  const file = await s.encodeCaptures({ first, second }, { tensors: { rows, kept } });
  const x = floats(300 * 24, 9);
  for (const count of [0, 1, 130, 299, 300]) {
    rows.write([count]);
    const wanted = ((await first.run({ x }).y.read()) as Float32Array).subarray(0, 24 * count);
    await reopened(file, async ({ captures, tensors }) => {
      tensors["rows"]!.write([count]);
      const found = (await captures["first"]!.run({ x })["y"]!.read()) as Float32Array;
      assert.equal(found.subarray(0, 24 * count), wanted);
      captures["second"]!.run();
      captures["second"]!.run();
      assert.ok((await tensors["kept"]!.read()).every((value) => value === 2));
    });
  }
});

test("captures of a portable device need nothing that an adapter may lack", async () => {
  const net = resnet({ depth: 8, widths: [8, 16, 16], classes: 6, seed: 3, input: [20, 20, 3] });
  const [images] = [floats(5 * 20 * 20 * 3, 2)];
  using here = s.tensor(images, { shape: [5, 20, 20, 3] });
  const wanted = (await s.noGrad(() => net.forward(here, EVAL)).read()) as Float32Array;
  using portable = await s.createPortableDevice();
  const { limits } = portable.info;
  assert.is(limits.maxComputeInvocationsPerWorkgroup, 256);
  assert.is(limits.maxStorageBuffersPerShaderStage, 8);
  assert.not(portable.info.hasSubgroups || portable.info.hasF16 || portable.info.isSoftware);
  const there = resnet({ depth: 8, widths: [8, 16, 16], classes: 6, seed: 3, input: [20, 20, 3], device: portable });
  const x = { shape: [5, 20, 20, 3], dtype: "f32" } as const;
  const step = await s.capture({ device: portable, inputs: { x } }, ({ x }) => s.noGrad(() => there.forward(x, EVAL)));
  const file = await s.encodeCaptures({ step });
  await reopened(file, async ({ captures }) => {
    const { output } = captures["step"]!.run({ x: images });
    const found = (await output!.read()) as Float32Array;
    assert.ok(
      found.every((value, i) => Math.abs(value - wanted[i]!) < 1e-4),
      `${found} and ${wanted}`,
    );
  });
});

test("tensors that nothing has placed yet are found, and nothing but what is meant is in the file", async () => {
  // What lay in the memory before, to be seen behind two numbers of 16 bytes.
  const before = Array.from({ length: 40 }, () => s.tensor([7, 7, 7, 7]));
  await device().sync();
  for (const one of before) one.dispose();
  const weight = s.tensor([3, 4]);
  const [zeros, pending] = [s.tensor([0, 0]), s.mul(weight, 2)];
  using step = await s.capture({ state: [zeros] }, () => {
    s.copyInto(zeros, s.add(zeros, weight));
    return { sum: s.add(zeros, 0) };
  });
  const file = await s.encodeCaptures({ step }, { tensors: { zeros, pending } });
  const { tensors, metadata } = s.decodeSafetensors(file);
  const { buffers } = JSON.parse(metadata["captures"]!) as { buffers: { holds: string }[] };
  assert.is(buffers.filter(({ holds }) => holds === "zeros").length, 1);
  const floats = [...tensors]
    .filter(([name]) => name !== "uniforms")
    .map(([, { data }]) => {
      return [...new Float32Array((data as Uint32Array<ArrayBuffer>).slice().buffer)];
    });
  assert.equal(
    floats.flat().filter((value) => value === 7),
    [],
  );
  await reopened(file, async ({ captures, tensors: found }) => {
    assert.equal([...(await found["pending"]!.read())], [6, 8]);
    captures["step"]!.run();
    assert.equal([...(await captures["step"]!.run()["sum"]!.read())], [6, 8]);
  });
});

test("a portable device is nobody's default, and goes without what is of one adapter", async () => {
  using portable = await s.createPortableDevice();
  assert.not(s.defaultDevice() === portable);
  assert.is(portable.info.hasF16 || portable.info.hasSubgroups || portable.info.isSoftware, false);
  assert.is(portable.info.limits.maxStorageBuffersPerShaderStage, 8);
  for (const options of [{ device: portable.gpu }, { tuning: "cached" }])
    assert.match(
      String(await s.createPortableDevice(options as object).catch(String)),
      `ArgumentError: createPortableDevice: unknown option "${Object.keys(options)[0]}"`,
    );
});

test("what cannot be written, or is no such file, is told", async () => {
  using weight = s.tensor([1, 2]).requiresGrad();
  const inputs = { x: { shape: [2], dtype: "f32" } } as const;
  using deep = await s.capture({ inputs }, ({ x }) => ({ a: [s.mul(x, 2)] }));
  const refused = async (what: () => Promise<unknown>, message: RegExp): Promise<void> => {
    try {
      await what();
    } catch (error) {
      assert.match((error as Error).message, message);
      return;
    }
    assert.unreachable(`must be refused: ${message}`);
  };
  await refused(() => s.encodeCaptures({ deep }), /must return tensors by name; it returns some that lie deeper/);
  using left = await s.capture({ inputs }, ({ x }) => {
    s.backward(s.sum(s.mul(x, weight)));
    return {};
  });
  await refused(
    () => s.encodeCaptures({ left }),
    /must leave no gradients at leaves; it does. Call zeroGrad\(\) at the end of the step./,
  );
  await refused(() => s.encodeCaptures({}), /there must be a capture; got none/);
  await refused(() => s.encodeCaptures({ x: 3 } as never), /x must be a capture; got 3/);
  using step = await s.capture({ inputs }, ({ x }) => s.mul(x, 2));
  const file = await s.encodeCaptures({ step });
  const { tensors, metadata } = s.decodeSafetensors(file);
  const form = JSON.parse(metadata["captures"]!) as Record<string, unknown> & { kernels: object[] };
  const saying = (captures: string) => s.encodeSafetensors(tensors, { captures });
  const changed = (changes: object) => saying(JSON.stringify({ ...form, ...changes }));
  const load = (bytes: Uint8Array<ArrayBuffer>) => () => s.loadCaptures(bytes, { device: device() });
  await refused(
    load(s.encodeSafetensors(tensors, {})),
    /must hold captures, as encodeCaptures writes them; it holds none/,
  );
  await refused(load(saying("{")), /must be whole; it is not/);
  await refused(load(changed({ version: 2 })), /must be of version 1; got 2. Use a newer sortie/);
  await refused(load(changed({ kernels: [] })), /kernel 0 is not there/);
  await refused(load(changed({ buffers: [] })), /of buffer \d are not there/);
  await refused(load(changed({ captures: { step: {} } })), /must be whole; it is not/);
  const bare = s.encodeSafetensors([], { captures: metadata["captures"]! });
  await refused(load(bare), /must be whole; it lacks tensor uniforms of \d+ numbers in u32/);
  await device().sync();
  const { buffers } = device().memory();
  const given = await s.capture({ inputs }, ({ x }) => s.mul(x, weight.detach()));
  const whole = s.decodeSafetensors(await s.encodeCaptures({ given }));
  given.dispose();
  const cut = (name: string) =>
    s.encodeSafetensors(
      [...whole.tensors].filter(([one]) => one !== name),
      whole.metadata,
    );
  for (const name of whole.tensors.keys()) await refused(load(cut(name)), /must be whole; it lacks tensor/);
  await device().sync();
  assert.is(device().memory().buffers, buffers);
  const gone = await s.createDevice();
  gone.dispose();
  await refused(() => s.loadCaptures(file, { device: gone }), /the device must be alive; it was disposed/);
  const asking = (features: string[], more: object = {}) =>
    changed({ kernels: form.kernels.map((kernel) => ({ ...kernel, features })), ...more });
  const size = device().info.subgroupSize + 1;
  if (device().info.hasSubgroups)
    await refused(load(asking(["subgroups"], { subgroupSize: size })), /subgroups must have \d+ lanes; they have \d+/);
  using portable = await s.createPortableDevice();
  const there = () => s.loadCaptures(asking(["f16"]), { device: portable });
  await refused(there, /the adapter must have f16; it has not. Write the captures on a device of createPortableDevice/);
});
