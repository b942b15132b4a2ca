// Devices of other kinds and several at once: what a plain device lacks is not used, operands of two devices are
// refused at the call, a lost device is the default no longer.

import { readdirSync } from "node:fs";
import { create } from "webgpu";
import { devices } from "../../engine/device.ts";
import * as s from "../../engine/index.ts";
import { deploy, HEADS, multiExit } from "../../exits/index.ts";
import { resnet } from "../../nn/index.ts";
import { bars } from "../exits/small.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";
import { checkCase, drawn, mulberry } from "./ops/check.ts";
import { type Draw, isHalf, type OpRow } from "./ops/row.ts";
import { inProcess } from "./process.ts";

const test = gpuSuite("devices", { timeout: 180_000 });

const folder = new URL("./ops/", import.meta.url);
const rows: OpRow[] = [];
for (const file of readdirSync(folder)
  .filter((name) => !["row.ts", "check.ts"].includes(name))
  .sort())
  rows.push(...((await import(new URL(file, folder).href)) as { rows: OpRow[] }).rows);

// Held: what a collected instance made takes the process down.
const instance = create([]);

/** A device as `requestDevice()` gives it: no optional feature, default limits. */
async function plain(): Promise<s.Device> {
  const adapter = (await instance.requestAdapter()) as GPUAdapter;
  return s.createDevice({ device: await adapter.requestDevice(), instance });
}

/** At most `n` of a list, evenly spread, the first and last among them. */
const spread = <T>(list: readonly T[], n: number): T[] =>
  list.filter(
    (_, i) => list.length <= n || Math.floor((i * n) / list.length) !== Math.floor(((i - 1) * n) / list.length),
  );

test("the op table holds on a device without optional features", async () => {
  const own = await plain();
  // Rows make what they need besides their operands on the default device.
  devices.delete(device());
  try {
    assert.equal([own.info.hasSubgroups, own.info.hasF16, own.info.subgroupSize], [false, false, 0]);
    for (const { op, cases } of rows) {
      const few = spread(
        cases.filter((one) => !isHalf(one)),
        2,
      );
      for (const [i, one] of few.entries()) {
        await checkCase(own, op, one, 1000 + i).catch((error: Error) => {
          if (!error.message.includes("f16 needs the adapter feature shader-f16")) throw error;
        });
      }
    }
    await own.sync();
  } finally {
    own.dispose();
    devices.add(device());
  }
});

test("a device without subgroups sums long lines", async () => {
  using own = await plain();
  const x = s.ones([1000], { device: own });
  assert.is(await s.sum(x).item(), 1000);
  assert.is(await s.argmax(x).item(), 0);
});

const TWO = "all operands must be on one device; got two.";

test("every op refuses operands of two devices at the call", async () => {
  using other = await s.createDevice();
  const wrong: string[] = [];
  let tried = 0;
  for (const { op, cases } of rows) {
    const seen = new Set<string>();
    for (const one of cases.filter((each) => !isHalf(each))) {
      const names = Object.keys(one.inputs);
      if (names.length < 2 || seen.has(names.join())) continue;
      seen.add(names.join());
      for (const foreign of names) {
        const random = mulberry(7);
        const message = s.scope(() => {
          const inputs = Object.fromEntries(
            names.map((name) => {
              const draw = one.inputs[name] as Draw;
              const { shape, data } = drawn(draw, random);
              const where = name === foreign ? other : device();
              return [name, s.tensor(data, { shape, dtype: draw.dtype ?? "f32", device: where })];
            }),
          );
          try {
            one.call(inputs);
            return "no error";
          } catch (error) {
            return String(error);
          }
        });
        tried += 1;
        if (!message.endsWith(TWO)) wrong.push(`${op}, ${foreign} of ${names.join()}: ${message}`);
      }
    }
  }
  await other.sync();
  assert.equal(wrong, []);
  assert.ok(tried > 60, `${tried} mixtures`);
});

test("what copies, records or updates refuses operands of two devices", async () => {
  using other = await s.createDevice();
  const [here, there] = [s.ones([2]), s.ones([2], { device: other })];
  const step = await s.capture({ inputs: { x: here } }, ({ x }) => s.add(x, 1));
  const leaf = s.ones([2]).requiresGrad();
  const generator = new s.Generator({ seed: 1, device: other });
  for (const [op, call] of Object.entries({
    capture: () => step.run({ x: there }),
    copyInto: () => s.copyInto(here, there),
    addInto: () => s.addInto(here, there),
    flatten: () => s.flatten([s.ones([2]).requiresGrad(), s.ones([2], { device: other }).requiresGrad()]),
    backward: () => s.backward(s.square(leaf), { gradient: there }),
    dropout: () => s.dropout(here, { p: 0.5, generator }),
    emaStep: () => s.emaStep({ average: here, values: there, hyper: s.tensor(s.packHyper(0, 0.5)) }),
    gradNorm: () => s.scaleGrads(here, s.gradNorm(there, { maxNorm: 1 })),
  })) {
    const name = op === "gradNorm" ? "scaleGrads" : op;
    assert.is(messageOf(call), `ArgumentError: ${name}: ${TWO}`);
  }
  const rows = s.tensor(Uint32Array.of(1), { device: other });
  assert.is(
    await rejectionOf(s.capture({ inputs: { x: here }, rows, device: device() }, ({ x }) => s.add(x, 1))),
    `ArgumentError: capture: ${TWO}`,
  );
  assert.equal([...(await here.read())], [1, 1]);
  step.dispose();
  generator.dispose();
  there.dispose();
});

test("random ops draw on the device of their operand", async () => {
  using other = await s.createDevice();
  const x = s.ones([64], { device: other });
  const [there, here] = [s.dropout(x, { p: 0.5, seed: 3 }), s.dropout(s.ones([64]), { p: 0.5, seed: 3 })];
  assert.is(there.device, other);
  assert.equal([...(await there.read())], [...(await here.read())]);
});

test("a device that was lost gives way as the default", async () => {
  const script = `
    const lost = await s.createDevice();
    lost.gpu.destroy();
    await lost.gpu.lost;
    await Promise.resolve();
    try { s.tensor([1]); } catch (error) { console.log(String(error)); }
    const fresh = await s.createDevice();
    console.log(s.tensor([1]).device === fresh, await s.add(s.tensor([1]), 1).item());
    lost.dispose();
    console.log(s.defaultDevice() === fresh);
    fresh.dispose();`;
  const { code, output } = await inProcess(script);
  assert.is(code, 0, output);
  assert.match(output, /DeviceError: device: the GPU device was lost \(destroyed\)/);
  assert.match(output, /^true 2\ntrue$/m);
});

test("an instance of the user's own outlives its last reference", async () => {
  const script = `
    import { create } from "webgpu";
    import { setFlagsFromString } from "node:v8";
    import { runInNewContext } from "node:vm";
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc");
    const device = await s.createDevice({ instance: create([]) });
    let x = s.ones([4]);
    for (let i = 0; i < 30; i++) {
      x = s.add(x, 1);
      await x.read();
      collect();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    console.log((await x.read())[0]);
    device.dispose();`;
  const { code, output } = await inProcess(script);
  assert.is(code, 0, output);
  assert.match(output, /^31$/m);
});

test("a classifier answers alike on a device with default limits, whatever heads, thresholds and route", async () => {
  const images = bars(20, "test", 500).images;
  const normalise = { mean: [0.5], std: [0.25] };
  const own = await plain();
  try {
    assert.is(own.info.limits.maxStorageBuffersPerShaderStage, 8);
    for (const [head, thresholds] of [
      ["gap-linear", [0.27, 0.27]],
      ["gap-linear", [0.26, 0.28, 0.26, 0.28, 0.27, 0.27, 0.27, 0.27]],
      ["pool-linear", [0.3, 0.3]],
    ] as const) {
      const answers = [];
      for (const on of [device(), own]) {
        const sizes = { depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 8], seed: 3, device: on } as const;
        const net = multiExit(resnet(sizes), { after: ["stage1", "stage2"], head: HEADS[head], seed: 3 });
        for (const step of ["compact", "keep", "ask"] as const) {
          using classifier = await deploy(net, { thresholds }, { batch: 8, route: [step, step], normalise });
          answers.push((await classifier.classify(images)).exits);
        }
        net.dispose();
      }
      for (const exits of answers) assert.equal([...exits], [...answers[0]!], head);
    }
    await own.sync();
  } finally {
    own.dispose();
  }
});
