// The device: limits and features, errors that reach the user, loss, disposal, processes that end.

import { create } from "webgpu";
import { describeDevice } from "../../engine/adapter.ts";
import * as s from "../../engine/index.ts";
import { defineKernel, writes } from "../../kernels/index.ts";
import { adapterSuite, device, gpuSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";
import { inProcess } from "./process.ts";

const test = gpuSuite("device");

/** An object of the driver's, but for some of its members. */
const except = <T extends object>(whole: T, members: Readonly<Record<string, unknown>>): T =>
  new Proxy(whole, {
    get: (of, name) => {
      if (Object.hasOwn(members, name)) return members[name as string];
      const value = Reflect.get(of, name, of);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });

test("it asks for what the adapter has", () => {
  const { gpu, info } = device();
  assert.is(info.hasF16, gpu.features.has("shader-f16"));
  assert.is(info.hasSubgroups, gpu.features.has("subgroups"));
  assert.ok(gpu.limits.maxStorageBufferBindingSize >= 128 << 20);
  assert.ok(gpu.limits.maxStorageBuffersPerShaderStage >= 8);
});

test("a device of the user's own is taken", async () => {
  using own = await s.createDevice({ device: device().gpu });
  const x = s.tensor([1, 2], { device: own });
  assert.equal([...(await s.add(x, 1).read())], [2, 3]);
  x.dispose();
  assert.is(
    messageOf(() => s.add(s.tensor([1]), s.tensor([1], { device: own }))),
    "ArgumentError: add: all operands must be on one device; got two.",
  );
});

test("a browser whose devices do not say what adapter they are of is no hindrance", async () => {
  const instance = create([]);
  const adapter = (await instance.requestAdapter()) as GPUAdapter;
  const without = (gpu: GPUDevice): GPUDevice => except(gpu, { adapterInfo: undefined });
  const silent = {
    ...{ limits: adapter.limits, features: adapter.features, info: adapter.info },
    requestDevice: async (wanted: GPUDeviceDescriptor) => without(await adapter.requestDevice(wanted)),
  } as unknown as GPUAdapter;
  using own = await s.createDevice({ adapter: silent, instance });
  assert.equal([own.info.vendor, own.info.isSoftware], [device().info.vendor, device().info.isSoftware]);
  using bare = await s.createDevice({ device: without(device().gpu) });
  assert.equal([bare.info.vendor, bare.info.description, bare.info.isSoftware], ["", "", false]);
});

test("what is more than one buffer may hold is read through several, as it is at the call", async () => {
  const { gpu } = device();
  using own = await s.createDevice({ device: except(gpu, { limits: except(gpu.limits, { maxBufferSize: 512 }) }) });
  const sizes = [60, 0, 60, 100, 0, 128, 3];
  const tensors = sizes.map((n, i) => s.tensor(new Float32Array(n).fill(i), { device: own }));
  const reading = s.read(tensors);
  for (const tensor of tensors) s.addInto(tensor, s.full(tensor.shape, 9, { device: own }));
  const got = await reading;
  assert.equal(
    got.map((values) => [...values]),
    sizes.map((n, i) => new Array(n).fill(i)),
  );
  for (const tensor of tensors) tensor.dispose();
});

test("the width of subgroups is taken where the hardware has one, and subgroups where they have sizes", () => {
  const described = (info: object, features = ["subgroups"]) => {
    const gpu = { features: new Set(features), limits: {}, adapterInfo: info } as unknown as GPUDevice;
    const { hasSubgroups, subgroupSize } = describeDevice(gpu);
    return [hasSubgroups, subgroupSize];
  };
  const of = (width: number, most = width) => ({ subgroupMinSize: width, subgroupMaxSize: most });
  assert.equal(described({ vendor: "nvidia", ...of(32) }), [true, 32]);
  assert.equal(described({ vendor: "apple", architecture: "metal-3", ...of(32) }), [true, 32]);
  assert.equal(described({ vendor: "mesa", description: "llvmpipe (LLVM 19.1.7, 256 bits)", ...of(8) }), [true, 8]);
  assert.equal(described({ vendor: "qualcomm", ...of(64, 128) }), [true, 0]);
  // Compilers that choose a width for each pipeline.
  assert.equal(described({ vendor: "intel", ...of(32) }), [true, 0]);
  assert.equal(described({ vendor: "apple", description: "Intel(R) Iris(TM) Plus Graphics", ...of(16) }), [true, 0]);
  assert.equal(described({ vendor: "amd", ...of(32) }), [true, 0]);
  assert.equal(described({ vendor: "nvidia", ...of(32) }, []), [false, 0]);
  assert.equal(described({ vendor: "a runtime that names the feature alone" }), [false, 0]);
});

test("an adapter of the user's own is taken", async () => {
  const instance = create([]);
  const adapter = (await instance.requestAdapter()) as GPUAdapter;
  using own = await s.createDevice({ adapter, instance });
  const x = s.tensor([1, 2], { device: own });
  assert.equal([...(await s.mul(x, 3).read())], [3, 6]);
  x.dispose();
});

test("a kernel that does not compile is an error with its name", async () => {
  const broken = defineKernel({
    name: "broken",
    uniforms: {},
    bindings: () => ({ y: writes("array<f32>") }),
    source: () => "@compute @workgroup_size(1) fn main() { y[0] = nothing; }",
    grid: () => [1, 1, 1],
  });
  using own = await s.createDevice({ onError: () => {} });
  s.dispatch(own, "broken", broken, {}, { y: s.zeros([1], { device: own }) }, {});
  const message = await rejectionOf(own.sync());
  assert.match(message, /^DeviceError: GPU error: /);
  assert.match(message, /unresolved value 'nothing'|broken/);
});

test("of several GPU errors the wait throws the first, and the console gets the others", async () => {
  using own = await s.createDevice();
  own.gpu.createBuffer({ size: 16, usage: 0xffff });
  own.gpu.createBuffer({ size: 16, usage: 0xfffe });
  const { error } = console;
  const said: string[] = [];
  console.error = (text: string) => said.push(text);
  const message = await rejectionOf(own.sync()).finally(() => {
    console.error = error;
  });
  assert.match(message, /^DeviceError: GPU error: /);
  assert.is(said.length, 1);
  assert.match(said[0] ?? "", /^GPU error: /);
});

test("a profile inside another is refused, and the outer one goes on", async () => {
  let message = "";
  const x = s.tensor([1, 2]);
  const outer = await device().profile(async () => {
    message = await rejectionOf(device().profile(() => {}));
    s.exp(x);
  });
  assert.is(message, "DeviceError: profile: one must end before the next begins; got a second one.");
  assert.is(outer.dispatches, 1);
  assert.is((await device().profile(() => s.exp(x))).dispatches, 1);
});

test("profile attributes dispatches to kernels", async () => {
  const x = s.full([1000], 2);
  const profile = await device().profile(() => s.scope(() => [s.exp(x), s.exp(x), s.neg(x)].length));
  const exp = profile.rows.find(({ kernel }) => kernel.startsWith("exp"));
  assert.is(exp?.dispatches, 2);
  assert.is(profile.dispatches, 3);
  assert.ok(profile.wallMs > 0);
  if (device().info.hasTimestamps) assert.ok(profile.rows.every(({ ms }) => ms >= 0));
  assert.match(profile.table(), /^kernel +calls +ms +share +MB\n/);
});

test("a lost device fails pending and later calls, and says so", async () => {
  const own = await s.createDevice();
  const x = s.zeros([4], { device: own });
  await x.read();
  const pending = x.read();
  own.gpu.destroy();
  const late = await pending.then(() => "", String);
  assert.ok(late === "" || late.startsWith("DeviceError: device: the GPU device was lost (destroyed)"), late);
  await own.gpu.lost;
  await Promise.resolve();
  assert.match(
    messageOf(() => s.add(x, 1)),
    /^DeviceError: device: the GPU device was lost \(destroyed\): .* make a new device and reload from the last checkpoint\.$/s,
  );
  assert.match(await rejectionOf(x.read()), /^DeviceError: device: the GPU device was lost/);
  own.dispose();
});

test("a device that is disposed during a read or a wait says so", async () => {
  const own = await s.createDevice();
  const x = s.ones([1 << 20], { device: own });
  const waiting = [
    x.read(),
    s.read([x]),
    s
      .add(x, 1)
      .item()
      .catch((error) => Promise.reject(error)),
    own.sync(),
  ].map((work) => work.then(() => "done", String));
  own.dispose();
  for (const [i, got] of (await Promise.all(waiting)).entries())
    if (i !== 2)
      assert.is(got, `DisposedError: ${i === 3 ? "sync" : "read"}: the device must be alive; it was disposed.`);
});

test("a tensor that is disposed during a read is read", async () => {
  const x = s.full([1 << 16], 3);
  const pending = x.read();
  x.dispose();
  s.full([1 << 16], 4);
  await device().sync();
  assert.ok((await pending).every((value) => value === 3));
});

test("a disposed device is refused", async () => {
  const own = await s.createDevice();
  const x = s.zeros([4], { device: own });
  own.dispose();
  assert.is(
    messageOf(() => s.add(x, 1)),
    "DisposedError: add: the device must be alive; it was disposed.",
  );
  assert.is(await rejectionOf(own.sync()), "DisposedError: sync: the device must be alive; it was disposed.");
});

const processes = adapterSuite("device in a process");
const USE = "const d = await s.createDevice(); console.log(await s.add(s.tensor([1]), 1).item());";
processes("ends by itself after dispose", async () => {
  const { code, output } = await inProcess(`${USE} d.dispose();`);
  assert.is(code, 0, output);
  assert.match(output, /^2$/m);
});
processes("ends by itself when the device is forgotten", async () => {
  const { code, output } = await inProcess(USE);
  assert.is(code, 0, output);
  assert.match(output, /^2$/m);
});

const missing = suite("device of a machine without an adapter");
missing("the error names the remedy", async () => {
  const none = { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" };
  const body =
    "await s.createDevice({ dawn: ['backend=vulkan'] }).then(() => console.log('made'), (error) => console.log(String(error)));";
  const { output } = await inProcess(body, none);
  assert.match(
    output,
    /^DeviceError: createDevice: a WebGPU adapter must exist; found none\. .*(mesa-vulkan-drivers|graphics driver)/m,
  );
});
