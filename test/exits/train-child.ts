// Trains the small network in a folder and says so line by line; the test kills it in the middle. Usage: train-child.ts
// DIR

import { createDevice } from "../../engine/index.ts";
import { softCgt, train } from "../../exits/index.ts";
import { barSplits, smallNet } from "./small.ts";

const device = await createDevice();
await train(smallNet(), barSplits(), {
  method: softCgt.with({ kappa: 10 }),
  epochs: 6,
  batch: 16,
  flip: 0.5,
  schedule: { warmup: 3 },
  logEvery: 1,
  checkpointEvery: 3,
  dir: process.argv[2]!,
  report: (event) => console.log(event.kind, event.kind === "evaluation" ? event.epoch : event.step),
});
device.dispose();
