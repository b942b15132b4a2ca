// Hard gates by masks, and by leaving handled samples out of the stages behind: time of a run and accuracy of its
// exits, on Fashion-MNIST. All go on from one network that was trained jointly, since one that knows nothing handles
// nobody.
// `node scripts/run.mjs bench/skipping.ts --data-dir DIR [--images 8000] [--before 3] [--epochs 1] [--batch 128]`. The
// first step, which compiles, is not counted.

import { parseArgs } from "node:util";
import { zip } from "../base/index.ts";
import { fashionMnist } from "../data/index.ts";
import { copyInto, createDevice, type Device } from "../engine/index.ts";
import {
  type Architecture,
  adapterName,
  buildNetwork,
  Evaluator,
  type ImageSet,
  joint,
  type MultiExit,
  plainCgt,
  type TrainingPlan,
  train,
} from "../exits/index.ts";

const { values: flags } = parseArgs({
  options: {
    "data-dir": { type: "string" },
    images: { type: "string", default: "8000" },
    before: { type: "string", default: "3" },
    epochs: { type: "string", default: "1" },
    batch: { type: "string", default: "128" },
    tau: { type: "string", default: "0.5" },
  },
});
const dir = flags["data-dir"];
if (dir === undefined) throw new Error("bench/skipping: --data-dir must say where Fashion-MNIST is; got none.");

const common = { input: [28, 28, 1], classes: 10, exits: ["stage1", "stage2"] } as const;
const NETWORKS: Readonly<Record<string, Architecture>> = {
  "ViT, layer norm": { ...common, backbone: "vit", options: { depth: 3, dim: 64, patch: 4 }, head: "mean-token" },
  "ResNet-8, batch norm": { ...common, backbone: "resnet", options: { depth: 8 }, head: "gap-linear" },
};
const hard = { gate: "hard", tau: Number(flags.tau) } as const;
const METHODS: Readonly<Record<string, TrainingPlan>> = {
  masks: plainCgt.with(hard),
  "left out, statistics of survivors": plainCgt.with({ ...hard, skip: "survivors" }),
  "left out, norms frozen": plainCgt.with({ ...hard, skip: "frozen" }),
};

/** The first `most` images of a set. */
function first(set: ImageSet, most: number): ImageSet {
  const size = Math.min(most, set.size);
  const pixels = set.images.length / set.size;
  const { labels, ids } = set;
  return {
    ...set,
    size,
    images: set.images.subarray(0, size * pixels),
    labels: labels.subarray(0, size),
    ids: ids.slice(0, size),
  };
}

const whole = await fashionMnist({ dir, validation: 2000, calibration: 2000, seed: 1 });
const data = { ...whole, train: first(whole.train, Number(flags.images)), validation: first(whole.validation, 512) };

/** Seconds of a run behind its first step, and accuracies of the exits on the test images. */
async function measured(
  net: MultiExit,
  method: TrainingPlan,
): Promise<{ readonly seconds: number; readonly accuracies: readonly number[] }> {
  const [epochs, batch] = [Number(flags.epochs), Number(flags.batch)];
  let start = 0;
  let last = 0;
  const run = await train(net, data, {
    ...{ method, epochs, batch, seed: 1, logEvery: 1 },
    report: (event) => {
      if (event.kind !== "train") return;
      last = performance.now();
      if (event.step === 1) start = last;
    },
  });
  run.dispose();
  using evaluator = await Evaluator.record(net, data.test);
  const { accuracies } = await evaluator.tally(data.test);
  return { seconds: (last - start) / 1000, accuracies };
}

const device: Device = await createDevice();
const rows: string[] = [];
for (const [name, architecture] of Object.entries(NETWORKS)) {
  let masks = Number.NaN;
  const start = buildNetwork(architecture, { seed: 1, device });
  (
    await train(start, data, { method: joint, epochs: Number(flags.before), batch: Number(flags.batch), seed: 1 })
  ).dispose();
  for (const [how, method] of Object.entries(METHODS)) {
    const net = buildNetwork(architecture, { seed: 1, device });
    for (const [[, to], [, from]] of zip([...net.state()], [...start.state()])) copyInto(to, from);
    const { seconds, accuracies } = await measured(net, method);
    net.dispose();
    if (how === "masks") masks = seconds;
    const exits = accuracies.map((x) => (100 * x).toFixed(1)).join(" / ");
    rows.push(`| ${name} | ${how} | ${seconds.toFixed(1)} | ${((100 * seconds) / masks).toFixed(0)} % | ${exits} |`);
    console.log(rows.at(-1));
  }
  start.dispose();
}
console.log(
  [
    "",
    `Hard gates, tau ${flags.tau}, ${flags.epochs} epochs behind ${flags.before} of joint training; ${data.train.size} images, batches of ${flags.batch}; ${adapterName(device.info)}.`,
    "",
    "| network | handled samples | seconds | of the time by masks | accuracy of the exits, % |",
    "| --- | --- | --- | --- | --- |",
    ...rows,
  ].join("\n"),
);
device.dispose();
