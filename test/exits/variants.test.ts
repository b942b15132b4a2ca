// Kernels' variants of a run: timed once before its first step, which moves nothing else, and kept by its folder.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDevice, type Device, type TuningTable } from "../../engine/index.ts";
import { buildNetwork, type TrainOptions, train } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { barSplits, joint, quiet, weightsOf } from "./small.ts";

const test = gpuSuite("exits: kernels' variants", { timeout: 180_000 });

/** Weights and statistics after a run on a device of its own, which has these choices, and those that it ends with. */
async function after(
  table: TuningTable,
  options: Partial<TrainOptions>,
): Promise<{ readonly weights: number[][]; readonly table: TuningTable }> {
  using device: Device = await createDevice();
  return await on(device, table, options);
}

/** The same on a device at hand. */
async function on(device: Device, table: TuningTable, options: Partial<TrainOptions>) {
  await device.tuner.load(table);
  const net = buildNetwork(
    {
      ...{ backbone: "resnet", options: { depth: 8, widths: [4, 8, 8] } },
      ...{ input: [8, 8, 1], classes: 4, exits: ["stage1", "stage2"], head: "gap-linear" },
    },
    { seed: 1, device },
  );
  try {
    using _ = await train(net, barSplits(), { ...quiet, method: joint, ...options });
    return { weights: await weightsOf(net), table: device.tuner.table };
  } finally {
    net.dispose();
  }
}

test("once: variants are timed before the first step, and nothing else moves", async () => {
  const tuned = await after({}, { tune: "once" });
  const keys = Object.keys(tuned.table).map((key) => key.split(":")[0]);
  for (const pass of ["conv", "convInput", "convWeight"]) assert.ok(keys.includes(pass), `${pass} was timed`);
  const plain = await after(tuned.table, {});
  assert.equal(plain.table, tuned.table);
  assert.equal(tuned.weights, plain.weights, "the same choices must give the same weights");
  const dir = mkdtempSync(join(tmpdir(), "sortie-variants-"));
  try {
    const stop = new AbortController();
    const report: TrainOptions["report"] = (event) => {
      if (event.kind === "train") stop.abort();
    };
    const stopped = after(tuned.table, { dir, tune: "once", report, signal: stop.signal });
    assert.match(await stopped.then(String, (error: Error) => error.message), "it was stopped at step 2 of 8");
    // A device that knows nothing, and one whose choices are others.
    const stray = { "conv:of:another": "variant=plain" };
    const resumed = await after(stray, { dir });
    assert.equal(resumed.table, tuned.table, "the folder's choices are the only ones");
    assert.equal(resumed.weights, tuned.weights);
    using device = await createDevice();
    const refused = on(device, stray, { dir, seed: 7 });
    assert.match(
      await refused.then(String, (error: Error) => error.message),
      "must be of the same run; seed 0 there, 7",
    );
    assert.equal(device.tuner.table, stray, "a folder that is refused leaves the device as it was");
  } finally {
    rmSync(dir, { recursive: true });
  }
});
