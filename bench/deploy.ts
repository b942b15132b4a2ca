/**
 * Does an early exit save time, or only multiply-accumulates? Images a second of a trained network whole, and of the same network under
 * its certified policy, on the official test images; the two take turns.
 * `node scripts/run.mjs bench/deploy.ts RUN --data-dir DIR`, RUN the folder of a run on Fashion-MNIST that is calibrated.
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { decodePolicy } from "../calibration/index.ts";
import { fashionMnist } from "../data/index.ts";
import { createDevice } from "../engine/index.ts";
import { type Classifier, deploy, loadWeights, multiExit } from "../exits/index.ts";
import { resnet } from "../nn/index.ts";
import { median } from "./measure.ts";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "data-dir": { type: "string" },
    images: { type: "string", default: "2048" },
    repeat: { type: "string", default: "7" },
  },
});
const [folder] = positionals;
if (folder === undefined || flags["data-dir"] === undefined) {
  throw new Error("bench/deploy: the folder of a run and --data-dir must be given; got too little.");
}
const [count, repeat] = [Number(flags.images), Number(flags.repeat)];

const device = await createDevice();
const backbone = resnet({ depth: 8, input: [28, 28, 1], classes: 10, seed: 0, device });
const net = multiExit(backbone, { after: ["stage1", "stage2"], head: "gap-linear" });
await loadWeights(join(folder, "last.safetensors"), net.state());
const { result, scaling } = decodePolicy(readFileSync(join(folder, "policy.json"), "utf8"));
if (!result.ok) throw new Error(`bench/deploy: ${folder} must hold a policy that lets images leave; it refuses.`);
const { test } = await fashionMnist({ dir: flags["data-dir"], train: 1, validation: 1, calibration: 1 });
const images = test.images.subarray(0, count * 28 * 28);

async function seconds(classifier: Classifier): Promise<number> {
  const start = performance.now();
  await classifier.classify(images);
  return (performance.now() - start) / 1000;
}

console.log(`${folder} on ${device.info.description}: ${count} images, medians of ${repeat}`);
console.log(
  "| batch | whole network, images/s | early exits, images/s | time, share | MACs, share |\n| --- | --- | --- | --- | --- |",
);
for (const batch of [1, 16, 64, 256]) {
  const options = { batch, normalise: test.meta, ...(scaling && { scaling }) };
  using whole = await deploy(net, { thresholds: [Number.POSITIVE_INFINITY] }, options);
  using early = await deploy(net, result, options);
  const { macs } = await early.classify(images);
  const full = (await whole.classify(images)).macs[0]!;
  const times = { whole: [] as number[], early: [] as number[] };
  for (let i = 0; i < repeat; i++) {
    times.whole.push(await seconds(whole));
    times.early.push(await seconds(early));
  }
  const [wholeTime, earlyTime] = [median(times.whole), median(times.early)];
  const share = macs.reduce((sum, x) => sum + x, 0) / (count * full);
  const percent = (x: number) => `${(100 * x).toFixed(0)} %`;
  const cells = [
    batch,
    (count / wholeTime).toFixed(0),
    (count / earlyTime).toFixed(0),
    percent(earlyTime / wholeTime),
    percent(share),
  ];
  console.log(`| ${cells.join(" | ")} |`);
}
net.dispose();
device.dispose();
