// A page that trains a multi-exit network by a method, with checkpoints. Measured by `npm run size`.

import { createDevice } from "../../engine/functions.ts";
import { type CheckpointStore, type ImageSplits, joint, multiExit, type Run, train } from "../../exits/index.ts";
import { resnet } from "../../nn/index.ts";

await createDevice();

export const trained = (data: ImageSplits, store: CheckpointStore): Promise<Run> =>
  train(multiExit(resnet({ depth: 20, classes: 10, seed: 1 }), { after: ["stage1", "stage2"], seed: 1 }), data, {
    ...{ method: joint, epochs: 10, store },
  });
