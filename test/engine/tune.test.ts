// Tuning: variants are timed on the op's own operands, the best is kept, and it comes back from the cache.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import * as s from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("tuning");

/** A device whose cache lies in a folder of its own. */
async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/sortie-tuning-`);
  const before = process.env["SORTIE_CACHE"];
  process.env["SORTIE_CACHE"] = folder;
  try {
    await body(folder);
  } finally {
    if (before === undefined) delete process.env["SORTIE_CACHE"];
    else process.env["SORTIE_CACHE"] = before;
    rmSync(folder, { recursive: true });
  }
}

test("the fastest candidate is kept, results stay right, and the next device loads it", async () => {
  await inFolder(async (folder) => {
    const data = Float32Array.from({ length: 96 * 96 }, (_, i) => Math.sin(i));
    const product = (device: s.Device) =>
      s.scope(() => s.matmul(s.tensor(data, { shape: [96, 96], device }), s.tensor(data, { shape: [96, 96], device })));
    using device = await s.createDevice({ tuning: "cached" });
    const plain = await product(device).read();
    let tuned: s.Tensor | undefined;
    const results = await device.tuner.tune(() => (tuned = product(device)), { repeats: 2 });
    const [result] = results;
    assert.is(results.length, 1);
    assert.ok(result && result.candidates.length >= 2, "matmul must have variants");
    const valid = result.candidates.filter(({ ms }) => !Number.isNaN(ms));
    assert.is(result.chosen, valid.reduce((a, b) => (b.ms < a.ms ? b : a)).spec);
    const after = await (tuned as s.Tensor).read();
    assert.ok(after.every((v, i) => Math.abs(v - (plain[i] as number)) < 1e-3));
    assert.equal(device.tuner.table, { [result.key]: result.chosen });
    assert.is(readdirSync(folder).length, 1);
    assert.equal(await device.tuner.tune(() => product(device)), [], "a known key is not timed again");
    using next = await s.createDevice({ tuning: "cached" });
    assert.equal(next.tuner.table, device.tuner.table);
    using plainDevice = await s.createDevice();
    assert.equal(plainDevice.tuner.table, {});
  });
});

test("a spoilt cache is ignored", async () => {
  await inFolder(async (folder) => {
    using device = await s.createDevice({ tuning: "cached" });
    await device.tuner.tune(() => s.scope(() => s.matmul(s.ones([64, 64], { device }), s.ones([64, 64], { device }))), {
      repeats: 1,
    });
    const { writeFileSync } = await import("node:fs");
    for (const file of readdirSync(folder)) writeFileSync(`${folder}/${file}`, "{ half");
    using next = await s.createDevice({ tuning: "cached" });
    assert.equal(next.tuner.table, {});
  });
});

test("what tuning holds is let go when the function fails", async () => {
  using device = await s.createDevice();
  const failing = () =>
    s.scope(() => {
      s.matmul(s.ones([64, 64], { device }), s.ones([64, 64], { device }));
      throw new Error("on purpose");
    });
  assert.is(await device.tuner.tune(failing).catch((error: Error) => error.message), "on purpose");
  await device.sync();
  assert.is(device.memory().buffers, 0);
});

test("work of another device is refused, by tune and by profile, and so are no repeats", async () => {
  using device = await s.createDevice();
  using other = await s.createDevice();
  const product = (on: s.Device) =>
    s.scope(() => s.matmul(s.ones([64, 64], { device: on }), s.ones([64, 64], { device: on })));
  const got = "the work must run on this device; it ran on another one. Make its tensors with { device }.";
  const refused = async (call: () => Promise<unknown>, message: string) =>
    assert.is(await call().then(String, (error: Error) => error.message), message);
  const elsewhere = () => product(other).dispose();
  await refused(() => device.tuner.tune(elsewhere), `tune: ${got}`);
  await refused(() => device.profile(elsewhere), `profile: ${got}`);
  const step = await s.capture({ inputs: {}, device: other }, () => ({ y: s.exp(s.ones([8], { device: other })) }));
  await refused(() => device.profile(() => step.run({})), `profile: ${got}`);
  step.dispose();
  const both = await device.profile(() => {
    product(device).dispose();
    elsewhere();
  });
  assert.ok(both.dispatches > 0);
  assert.is((await device.profile(() => {})).dispatches, 0);
  for (const repeats of [0, Number.NaN, 1.5])
    await refused(
      () => device.tuner.tune(() => product(device).dispose(), { repeats }),
      `tune: repeats must be a whole number of at least 1; got ${repeats}.`,
    );
});
