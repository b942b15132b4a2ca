// Networks with a policy that is certified on their own logits, ready to be written as model files: drawn weights whose
// exits disagree.

import {
  applyScaling,
  type Cascade,
  cascade,
  fit,
  learnThenTest,
  type PlainScore,
  type PolicyFile,
  type Scaling,
} from "../../calibration/index.ts";
import {
  type Architecture,
  buildNetwork,
  Evaluator,
  type ImageSet,
  type ModelAbout,
  type MultiExit,
  toTable,
  weightsDigest,
} from "../../exits/index.ts";
import { bars } from "./small.ts";

const IMAGES = { input: [8, 8, 1], classes: 4 } as const;

/** A network of each family. */
export const ARCHITECTURES = {
  resnet: {
    backbone: "resnet",
    options: { depth: 8, widths: [4, 8, 8], shortcut: "A" },
    ...IMAGES,
    exits: ["stage1", "stage2"],
    head: ["gap-norm-linear", "conv-pool-linear"],
    last: "pool-linear",
  },
  "resnet, heads that see the one before": {
    backbone: "resnet",
    options: { depth: 8, widths: [4, 8, 8] },
    ...IMAGES,
    exits: ["stage1", "stage2"],
    wraps: ["cascaded", "ensembled"],
  },
  vit: {
    backbone: "vit",
    options: { depth: 3, dim: 32, patch: 2 },
    ...IMAGES,
    exits: ["stage1", "stage2"],
    head: ["class-token", "mean-token"],
  },
  msdnet: {
    backbone: "msdnet",
    options: { blocks: 3, base: 1, step: 1, stepMode: "linear", channels: 4, growth: 2 },
    ...IMAGES,
    exits: ["block1", "block2"],
    head: "msdnet",
  },
  "mobilenet-v3-small": {
    backbone: "mobilenet-v3-small",
    options: { widthMult: 0.1 },
    ...IMAGES,
    exits: ["features.3", "features.6"],
  },
  efficientnet: {
    backbone: "efficientnet",
    options: { depthMult: 0.1, widthMult: 0.1 },
    ...IMAGES,
    exits: ["features.3", "features.6"],
  },
} as const satisfies Record<string, Architecture>;

/** The images that answers are compared on. */
export const TEST_SET = bars(60, "test", 3000);

/** What a network's own forward pass says of a set. */
export async function tableOf(net: MultiExit, set: ImageSet) {
  const evaluator = await Evaluator.record(net, set, 32);
  const logits = await evaluator.logits(set);
  evaluator.dispose();
  return toTable({
    shape: [set.size, net.exits, net.classes],
    logits,
    labels: set.labels,
    ids: set.ids,
    macs: net.macs(),
    weights: await weightsDigest(net.state().values()),
  });
}

/**
 * Instead of the certified ones, which let everything leave at once: about half of the samples that are left leave at
 * each exit, none of them near a threshold, where rounding would decide.
 */
function halfway({ samples, exits, scores }: Cascade): Float64Array {
  let left = Array.from({ length: samples }, (_, i) => i);
  return Float64Array.from({ length: exits - 1 }, (_, j) => {
    const scoreOf = (i: number) => scores[i * exits + j]!;
    const sorted = left.map(scoreOf).sort((a, b) => a - b);
    const gaps = sorted.slice(1).map((score, i) => score - sorted[i]!);
    const middle = gaps.slice(Math.floor(gaps.length / 3), Math.ceil((2 * gaps.length) / 3));
    const widest = gaps.indexOf(Math.max(...middle), Math.floor(gaps.length / 3));
    const threshold = (sorted[widest]! + sorted[widest + 1]!) / 2;
    left = left.filter((i) => scoreOf(i) < threshold);
    return threshold;
  });
}

/** Temperatures as trained networks have them. */
function tempered(scaling: Scaling): Scaling {
  const scalers = scaling.scalers.map((scaler, j) => ({ ...scaler, parameters: Float64Array.of(0.8 + 0.3 * j) }));
  return { ...scaling, scalers: scalers as unknown as Scaling["scalers"] };
}

/** How many times as large the weights are made as they are drawn, or what images differ in fades on the way. */
const LARGER: Readonly<Record<string, number>> = { vit: 5, "mobilenet-v3-small": 2, efficientnet: 2.5 };

/** A network, and what its model file is to say. */
export async function modelOf(
  name: keyof typeof ARCHITECTURES,
  seed = 5,
): Promise<{ net: MultiExit; about: ModelAbout & { policy: PolicyFile } }> {
  const net = buildNetwork(ARCHITECTURES[name], { seed });
  for (const [tensor, weight] of net.namedParameters()) {
    const isHead = /(linear|head)\.weight$/.test(tensor);
    const larger = isHead ? 6 : weight.rank > 1 ? (LARGER[name] ?? 1) : 1;
    if (larger > 1) weight.write((await weight.read()).map((x) => larger * x) as Float32Array);
  }
  const raw = await tableOf(net, bars(80, "calibration", 2000));
  const validation = await tableOf(net, bars(60, "validation", 1000));
  const scaling = tempered(fit(validation, { method: "temperature" }));
  const scaled = applyScaling(validation, scaling);
  const result = learnThenTest(applyScaling(raw, scaling), { alpha: 0.9, delta: 0.2, validation: scaled });
  if (!result.ok) throw new Error(result.reason);
  const seen = applyScaling(await tableOf(net, TEST_SET), scaling);
  const thresholds = halfway(cascade(seen, result.score as PlainScore));
  const { classes, meta } = TEST_SET;
  return {
    net,
    about: {
      classes,
      normalise: { mean: meta.mean, std: meta.std },
      policy: { result: { ...result, thresholds }, scaling },
      training: { method: "none", seed },
    },
  };
}
