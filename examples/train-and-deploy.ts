// Trains a network with three exits on glyphs that code draws, certifies when leaving early is safe, keeps it all in one
// file, and answers by that file. `npm i sortie webgpu`, then `npx tsx train-and-deploy.ts`; half a minute.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { explain, learnThenTest } from "sortie/calibration";
import { glyphs } from "sortie/data";
import { createDevice } from "sortie/engine";
import { buildNetwork, load, saveModel, softCgt, train } from "sortie/exits";

const device = await createDevice();
const folder = await mkdtemp(join(tmpdir(), "sortie-"));
const file = join(folder, "glyphs.sortie.safetensors");

const data = glyphs({ train: 1024, validation: 256, calibration: 512, test: 256, seed: 1 });
const net = buildNetwork({
  backbone: "resnet",
  options: { depth: 8, widths: [8, 16, 32] },
  input: [28, 28, 1],
  classes: 10,
  exits: ["stage1", "stage2"],
  head: "gap-norm-linear",
});
const run = await train(net, data, { method: softCgt, epochs: 4, batch: 32, seed: 1, report: () => {} });

const policy = learnThenTest(await run.logits("calibration"), {
  alpha: 0.1,
  delta: 0.1,
  validation: await run.logits("validation"),
});
console.log(explain(policy));

await saveModel(file, net, { classes: data.test.classes, normalise: data.test.meta, policy: { result: policy } });
const classifier = await load(file);
const { classes, exits } = await classifier.classify(data.test.images);
const right = classes.filter((answer, i) => answer === data.test.labels[i]).length;
const early = exits.filter((exit) => exit < 2).length;
console.log(`${right} of ${classes.length} test images are answered rightly, ${early} left early`);

classifier.dispose();
device.dispose();
await rm(folder, { recursive: true });
