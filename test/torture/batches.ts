// Thousands of classified batches leave nothing behind: no buffer on the GPU, and no memory of the host, whatever runs
// them. Usage: node --expose-gc --import tsx test/torture/batches.ts [--batches N] [--seed S]

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createDevice } from "../../engine/index.ts";
import { load } from "../../exits/index.ts";
import { collect } from "../collect.ts";
import { bars } from "../exits/small.ts";

const { values } = parseArgs({
  options: { batches: { type: "string", default: "10000" }, seed: { type: "string", default: "1" } },
});
const batches = Number(values.batches);
/** Bytes of the host that a batch may leave: less than a handle that nobody frees takes. */
const MOST = 400;
/** Batches of one image in a call. */
const CALL = 500;

const model = readFileSync(fileURLToPath(new URL("../exits/files/model-1-resnet.sortie.safetensors", import.meta.url)));
const { images } = bars(CALL, "test", Number(values.seed));
using device = await createDevice();

const held = async (): Promise<number> => {
  await collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

for (const runtime of ["webgpu", "wasm"] as const) {
  using classifier = await load(model, { runtime, batch: 1, ...(runtime === "webgpu" && { route: ["ask", "ask"] }) });
  const classify = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += CALL) await classifier.classify(images);
    await device.sync();
  };
  await classify(2 * CALL);
  const [before, { buffers, bytes }] = [await held(), device.memory()];
  await classify(batches);
  const now = device.memory();
  const more = (await held()) - before;
  const isFlat = now.buffers === buffers && now.bytes === bytes && more < MOST * batches;
  console.log(
    `${runtime}: ${batches} batches, ${now.buffers - buffers} buffers and ${now.bytes - bytes} bytes more on the GPU, ${more} bytes more on the host: ${isFlat ? "flat" : "NOT FLAT"}`,
  );
  if (!isFlat) process.exitCode = 1;
}
