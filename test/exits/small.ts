// A data set and a network small enough to train within a test, and short runs on them: four classes of bars on 8x8
// images.

import {
  type Architecture,
  type BatchSource,
  buildNetwork,
  type ImageSet,
  type ImageSplits,
  joint as jointMethod,
  type MultiExit,
  type TrainingPlan,
  type TrainOptions,
  train,
} from "../../exits/index.ts";
import { mulberry } from "../engine/ops/check.ts";

const CLASSES = ["left", "right", "top", "bottom"];

/** `n` images whose bright half tells the class, under noise; sample ids start at `first`. */
export function bars(n: number, split: string, first: number): ImageSet<Uint8Array> {
  const random = mulberry(first + 1);
  const labels = Int32Array.from({ length: n }, (_, i) => i % CLASSES.length);
  const images = new Uint8Array(n * 64);
  for (let i = 0; i < images.length; i++) {
    const [x, y] = [i % 8, Math.floor(i / 8) % 8];
    const isBright = [x < 4, x >= 4, y < 4, y >= 4][labels[Math.floor(i / 64)]!];
    images[i] = Math.floor((isBright ? 90 : 30) + 120 * random());
  }
  const ids = Int32Array.from({ length: n }, (_, i) => first + i);
  return {
    size: n,
    shape: [8, 8, 1],
    images,
    labels,
    ids,
    classes: CLASSES,
    meta: { name: "bars", split, mean: [0.5], std: [0.25] },
  };
}

/** 72 images to train on (four batches of 16, the rest dropped) and smaller parts for the rest. */
export const barSplits = (): ImageSplits<Uint8Array> => ({
  train: bars(72, "train", 0),
  validation: bars(40, "validation", 1000),
  calibration: bars(50, "calibration", 2000),
  test: bars(30, "test", 3000),
});

/** Three exits, a few thousand weights, and the heads named. */
export const barNet = (heads: Pick<Architecture, "head" | "wraps">, seed = 1): MultiExit =>
  buildNetwork(
    {
      backbone: "resnet",
      options: { depth: 8, widths: [4, 8, 8] },
      input: [8, 8, 1],
      classes: 4,
      exits: ["stage1", "stage2"],
      ...heads,
    },
    { seed },
  );

/** The same with heads that say what a plan asks for. */
export const planNet = ({ wraps }: Pick<TrainingPlan, "wraps">, seed = 1): MultiExit =>
  barNet({ wraps: wraps.map(({ name }) => name) }, seed);

/** The same with plain heads. */
export const smallNet = (seed = 1): MultiExit => barNet({ head: "gap-linear" }, seed);

/** Options of a short run that says nothing. */
export const quiet = { epochs: 2, batch: 16, schedule: { warmup: 3 }, report: () => {} } as const;
/** Half the sum of the exits' losses. */
export const joint = jointMethod.with({ exitWeights: 0.5 });

/** All weights and running statistics of a network after a short run. */
export async function weightsAfter(
  options: Partial<TrainOptions> & { readonly method: TrainingPlan },
  net = smallNet(),
): Promise<number[][]> {
  try {
    using _ = await train(net, barSplits(), { ...quiet, ...options });
    return await weightsOf(net);
  } finally {
    net.dispose();
  }
}

/** All values of a network. */
export const weightsOf = async (net: MultiExit): Promise<number[][]> =>
  Promise.all([...net.state().values()].map(async (tensor) => Array.from(await tensor.read())));

/** Every image blended half and half, or as `share` says, with one of the next class. */
export const blends =
  (share: number, options = {}) =>
  (set: ImageSet): BatchSource => ({
    batchesPerEpoch: 4,
    isMixed: true,
    options,
    at: ({ batch }) => {
      const labels = set.labels.slice(16 * batch, 16 * (batch + 1));
      const mixed = { labels: labels.map((label) => (label + 1) % 4), share: new Float32Array(16).fill(share) };
      return { images: set.images.subarray(1024 * batch, 1024 * (batch + 1)), labels, mixed };
    },
  });
