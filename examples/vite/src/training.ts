// From images to a model file: train, calibrate, export. Knows neither page nor worker.

import {
  applyScaling,
  buildNetwork,
  type Device,
  deploy,
  encodeModel,
  evaluatePolicy,
  explain,
  fit,
  glyphs,
  joint,
  type LoadedClassifier,
  learnThenTest,
  load,
  type Run,
  type Split,
  type Splits,
  train,
} from "sortie";
import type { Calibrated, Progress } from "./messages.ts";

/** Images that code draws. For your own, see `Splits`: bytes, labels, and how many of each. */
export const imagesFor = (pictures: number): Splits =>
  glyphs({ train: pictures, validation: 200, calibration: 500, test: 200, seed: 1 });

export async function trainOn(device: Device, data: Splits, epochs: number, tell: (progress: Progress) => void) {
  const { shape, classes } = data.train;
  const net = buildNetwork(
    {
      ...{ backbone: "resnet", options: { depth: 8, widths: [4, 8, 16] } },
      ...{ input: shape, classes: classes.length },
      ...{ exits: ["stage1", "stage2"], head: "gap-norm-linear" },
    },
    { seed: 1, device },
  );
  return train(net, data, {
    ...{ method: joint, epochs, batch: 32, seed: 1, logEvery: 1 },
    report: (event) => {
      if (event.kind !== "train") return;
      tell({ step: event.step, steps: event.steps, accuracy: event.exits.map(({ accuracy }) => accuracy) });
    },
  });
}

/** The policy where nothing is safe. */
const EVERYONE_STAYS = { thresholds: [Number.POSITIVE_INFINITY] };

/**
 * Thresholds that promise this risk, the model file that holds them, and the classifier that this file makes when it is
 * opened.
 */
export async function calibrate(
  device: Device,
  run: Run,
  data: Splits,
  risk: number,
): Promise<Calibrated & { readonly classifier: LoadedClassifier }> {
  const scaling = fit(await run.logits("validation"), { method: "temperature" });
  const table = async (split: Split) => applyScaling(await run.logits(split), scaling);
  const validation = await table("validation");
  const result = learnThenTest(await table("calibration"), { alpha: risk, delta: 0.1, validation });
  const tested = result.ok ? evaluatePolicy(await table("test"), result) : undefined;

  const { classes, meta: normalise } = data.train;
  const bytes = await encodeModel(run.net, { classes, normalise, policy: { result, scaling } });
  const classifier = await load(bytes, { device });
  using here = await deploy(run.net, result.ok ? { result, scaling } : EVERYONE_STAYS, { normalise });
  const { images } = data.test;
  const [own, again] = [await here.classify(images), await classifier.classify(images)];
  const isSame = (answer: number, i: number): boolean => answer === again.classes[i] && own.exits[i] === again.exits[i];
  return {
    ...{ isSafe: result.ok, promise: explain(result), cost: tested?.cost ?? 1, classifier },
    exits: Array.from(tested?.fractions ?? [], (share, i) => ({ share, error: tested?.exitRisk[i] ?? Number.NaN })),
    file: new Blob([bytes]),
    same: own.classes.filter(isSame).length,
    of: data.test.size,
  };
}
