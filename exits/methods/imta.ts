// Improved techniques for training adaptive networks (IMTA, Li et al., ICCV 2019), in two stages: all exits under
// gradient equilibrium; then, on what stays as it is, new classifiers that see the exit before (inline collaboration)
// and learn from the first stage's last exit (one for all). Formula and stages of the public code.

import { exactly, type OptionValues, option } from "../../base/index.ts";
import { add, mul, pad, type Tensor } from "../../engine/functions.ts";
import { inline } from "../network/heads/inline.ts";
import { kd } from "./distill.ts";
import { exitWeightsAt, exitWeightsOption } from "./exit-weights.ts";
import {
  earlyExits,
  exitCrossEntropy,
  exitMeans,
  labelSmoothing,
  lastExit,
  taught,
  weighExits,
  weightedCrossEntropy,
} from "./losses.ts";
import { defineMethod, type Method, type Part, type Phase, type PhaseSite, type Seen, type Track } from "./method.ts";
import { equalTotal, only, shared } from "./parts.ts";
import { matrix } from "./stacked.ts";

const OPTIONS = {
  equilibrium: option.toggle(true, "rescale the gradients that exits send into shared stages"),
  collaboration: option.toggle(true, "exits see the one before, in the second stage"),
  oneForAll: option.toggle(true, "early exits learn from the first stage's last exit, in the second stage"),
  newClassifiers: option.toggle(
    true,
    "the second stage draws its classifiers anew; false: goes on with the first one's",
  ),
  gamma: option.number(0.1, "share of what the last exit says against the labels", {
    min: 0,
    max: 1,
    basis: "the public code's script for ImageNet",
  }),
  temperature: option.number(1, "temperature of the softened answers", {
    above: 0,
    basis: "the public code's script for ImageNet",
  }),
  elementMean: option.toggle(true, "the teacher's term is a mean over classes too, which divides it by their number", {
    basis: "the public code",
  }),
  exitWeights: exitWeightsOption(1),
  equalTotal,
  labelSmoothing: labelSmoothing(0),
} as const;

type Values = OptionValues<typeof OPTIONS>;

const isCollaboration = only("collaboration");

/** The linear layers that answer, and what they hear of the exit before. */
const classifiers =
  ({ placeOf }: Pick<PhaseSite, "placeOf">): Part =>
  (name) => {
    const { isHead, isHidden } = placeOf(name);
    if (name.startsWith("backbone.")) return isHead && !isHidden;
    return only("linear")(name) || isCollaboration(name);
  };

/** (1 - g) CE_j + g T^2 KL(teacher's last || z_j) in front of the last exit, whose own is CE; [N, K]. */
function oneForAllLosses(seen: Seen, { gamma, temperature, elementMean, labelSmoothing: smoothing }: Values): Tensor {
  const [, exits, classes] = exactly(seen.logits.shape, 3);
  const share = matrix([1, exits], seen.logits, (_, j) => (j < exits - 1 ? 1 - gamma : 1));
  const soft = kd(earlyExits(seen.logits), lastExit(taught("imta", seen)), { temperature });
  const early = pad(mul(soft, elementMean ? gamma / classes : gamma), [
    [0, 0],
    [0, 1],
  ]);
  return add(mul(exitCrossEntropy(seen, smoothing), share), early);
}

/** sum_j w_j mean CE_j; then, of classifiers alone, sum_j w_j mean `oneForAllLosses`_j. */
export const imta: Method<typeof OPTIONS> = defineMethod({
  name: "imta",
  about: "gradients in equilibrium; then new classifiers that see the exit before and learn from the last one",
  paper: {
    title: "Improved Techniques for Training Adaptive Deep Networks",
    venue: "ICCV 2019",
    arxiv: "1908.06294",
    code: "kalviny/IMTA",
  },
  options: OPTIONS,
  readers: { oneForAll: { gamma: ["true"], temperature: ["true"], elementMean: ["true"] } },
  refuses: ({ collaboration, oneForAll, newClassifiers, equalTotal: isEqual }) =>
    !collaboration && !oneForAll && (!newClassifiers || isEqual)
      ? "newClassifiers and equalTotal are of the second stage, which collaboration or oneForAll make; got neither"
      : undefined,
  wraps: ({ collaboration }) => (collaboration ? [inline()] : []),
  teacher: ({ oneForAll }) => (oneForAll ? { kind: "self" } : undefined),
  phases: (options, site) => {
    const { equilibrium, collaboration, oneForAll, newClassifiers, labelSmoothing: smoothing } = options;
    const weights: Pick<Track, "exitWeights"> = {
      exitWeights: (exits, at) => exitWeightsAt("imta", options.exitWeights, exits, at),
    };
    const plain = weightedCrossEntropy(smoothing);
    const taughtLoss = (seen: Seen) => weighExits(exitMeans(oneForAllLosses(seen, options)), seen.exitWeights);
    const first: Phase = {
      name: "equilibrium",
      isTaught: false,
      tracks: [{ ...weights, trains: (name) => !isCollaboration(name), loss: plain, equilibrium }],
    };
    const trains = classifiers(site);
    const second: Phase = {
      name: "classifiers",
      ...(newClassifiers && { anew: (name) => trains(name) && !isCollaboration(name) }),
      tracks: [{ ...weights, trains, loss: oneForAll ? taughtLoss : plain }],
    };
    return shared(options.equalTotal, collaboration || oneForAll ? [first, second] : [first]);
  },
});
