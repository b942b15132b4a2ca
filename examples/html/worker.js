// Trains, calibrates, exports, and opens the export again. In a worker, so that the page stays free.

import {
  applyScaling,
  buildNetwork,
  createDevice,
  deploy,
  encodeModel,
  evaluatePolicy,
  explain,
  fit,
  glyphs,
  joint,
  learnThenTest,
  load,
  train,
} from "./node_modules/sortie/dist/sortie.min.js";

/** Trains, and tells the page of each step. */
async function trained(device, data, epochs) {
  const shape = { input: data.train.shape, classes: data.train.classes.length };
  const backbone = { backbone: "resnet", options: { depth: 8, widths: [4, 8, 16] } };
  const exits = { exits: ["stage1", "stage2"], head: "gap-norm-linear" };
  const net = buildNetwork({ ...backbone, ...shape, ...exits }, { seed: 1, device });
  const report = (event) => {
    if (event.kind === "train") postMessage({ step: event.step, steps: event.steps });
  };
  return train(net, data, { method: joint, epochs, batch: 32, seed: 1, logEvery: 1, report });
}

/** Finds thresholds that may answer a tenth of those that leave early wrongly, and what becomes of new drawings. */
async function calibrated(run) {
  const scaling = fit(await run.logits("validation"), { method: "temperature" });
  const table = async (split) => applyScaling(await run.logits(split), scaling);
  const validation = await table("validation");
  const result = learnThenTest(await table("calibration"), { alpha: 0.1, delta: 0.1, validation });
  const tested = result.ok && evaluatePolicy(await table("test"), result);
  const exits = tested ? Array.from(tested.fractions, (share, i) => ({ share, error: tested.exitRisk[i] })) : [];
  return { policy: { result, scaling }, promise: explain(result), exits };
}

async function all({ pictures, epochs }) {
  const device = await createDevice();
  const data = glyphs({ train: pictures, validation: 200, calibration: 500, test: 200, seed: 1 });
  const run = await trained(device, data, epochs);
  const { policy, promise, exits } = await calibrated(run);
  const { classes, meta } = data.train;
  const file = await encodeModel(run.net, { classes, normalise: meta, policy });

  // The same answers twice: of the network here, and of the file.
  const here = await deploy(run.net, policy.result.ok ? policy : { thresholds: [Infinity] }, { normalise: meta });
  const opened = await load(file, { device });
  const [own, again] = [await here.classify(data.test.images), await opened.classify(data.test.images)];
  const same = [...own.classes].filter((answer, i) => answer === again.classes[i] && own.exits[i] === again.exits[i]);
  const right = [...again.classes].filter((answer, i) => answer === data.test.labels[i]);
  postMessage({ promise, exits, file, same: same.length, right: right.length, of: data.test.size });
  device.dispose();
}

addEventListener("message", ({ data }) => all(data).catch((error) => postMessage({ error: error.message })));
