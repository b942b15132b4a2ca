// L2W-DEN (Han et al., ECCV 2022): a small network weighs each sample at each exit by its losses there, and learns to
// from what its weights would do: after a step on one half of the batch, the other half, easy samples at early exits,
// is to be answered well. Here the step looks ahead in the exits' last layers, whose gradients have a closed form, so
// that its result is differentiated exactly; the paper takes it in the whole network.

import { exactly, firstOf, type OptionValues, option } from "../../base/index.ts";
import { createRandom } from "../../calibration/index.ts";
import {
  add,
  cast,
  clamp,
  copyInto,
  crossEntropy,
  div,
  eq,
  exp,
  gt,
  linear,
  logSoftmax,
  lt,
  matmul,
  max,
  mean,
  mul,
  noGrad,
  oneHot,
  relu,
  reshape,
  slice,
  sqrt,
  square,
  stack,
  sub,
  sum,
  type Tensor,
  tanh,
  valueAndGrad,
} from "../../engine/functions.ts";
import { byOneLabel, exitCrossEntropy, exitMeans, labelSmoothing, weighExits } from "./losses.ts";
import { defineMethod, type Method, type Numbers, type Seen } from "./method.ts";
import { matrix } from "./stacked.ts";

const OPTIONS = {
  hidden: option.whole(100, "hidden units of the weighing network", { min: 1, basis: "the public code" }),
  epsilon: option.number(0.3, "how far weights may be from 1, in units of its answers, which are within -1 and 1", {
    min: 0,
    max: 0.5,
    basis: "the public code",
  }),
  target: option.number(0.75, "share of samples at each next exit, as a factor, that the weights are to serve", {
    above: 0,
    basis: "the public code, index 15 of 20",
  }),
  lookAhead: option.number(0.1, "learning rate of the step that is looked at", {
    above: 0,
    basis: "ours: the recipe's at its start; the public code's follows the schedule",
  }),
  metaLr: option.number(1e-4, "learning rate of the weighing network, by Adam", { above: 0, basis: "the public code" }),
  metaWeightDecay: option.number(1e-4, "weight decay of the weighing network", { min: 0, basis: "the public code" }),
  seed: option.seed(0, "of the weighing network's first weights"),
  labelSmoothing: labelSmoothing(0),
} as const;

type Options = OptionValues<typeof OPTIONS>;

/** Tensors of the weighing network, a layer of ReLU and one of tanh. */
const NAMES = ["w1", "b1", "w2", "b2"] as const;
type Weigher = readonly [w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor];

/** Its first weights, uniform within 1 / sqrt(fan in), and Adam's moments. */
function firstNumbers(exits: number, { hidden, seed }: Options): Numbers {
  const random = createRandom(seed);
  const uniform = (shape: readonly number[], fan: number) => {
    const size = shape.reduce((all, extent) => all * extent, 1);
    return { data: Float32Array.from({ length: size }, () => (2 * random.uniform() - 1) / Math.sqrt(fan)), shape };
  };
  const made = {
    w1: uniform([exits, hidden], exits),
    b1: uniform([hidden], exits),
    w2: uniform([hidden, exits], hidden),
    b2: uniform([exits], hidden),
  };
  const still = NAMES.flatMap((name) =>
    ["mean", "square"].map((moment) => {
      const { data, shape } = made[name];
      return [`${name}.${moment}`, { data: new Float32Array(data.length), shape }] as const;
    }),
  );
  return { ...made, ...Object.fromEntries(still), steps: { data: new Float32Array(1), shape: [1] } };
}

/** Weights [N, K] of samples by their losses [N, K]: 1 + epsilon (out - mean out), out within -1 and 1. */
function weightsOf([w1, b1, w2, b2]: Weigher, losses: Tensor, epsilon: number): Tensor {
  const out = tanh(linear(relu(linear(losses, w1, b1)), w2, b2));
  return add(mul(sub(out, mean(out)), epsilon), 1);
}

/**
 * [M, K]: 1 where a sample is to be answered: of those left, the surest go to each exit, as many as its share q_j ~
 * target^j.
 */
function allocation(logits: Tensor, target: number): Tensor {
  const [m, exits] = exactly(logits.shape, 3);
  const shares = Array.from({ length: exits }, (_, j) => target ** j);
  const all = shares.reduce((total, share) => total + share, 0);
  const sure = exp(max(logSoftmax(logits), { dim: -1 }));
  const earlier = matrix([m, m], logits, (row, column) => Number(column < row));
  let left = matrix([m, 1], logits, () => 1);
  const chosen = shares.map((share, j) => {
    if (j === exits - 1) return left;
    const own = slice(sure, { starts: [0, j], ends: [m, j + 1] });
    const others = reshape(own, [1, m]);
    // How many of those left are surer, or as sure and in front.
    const isAhead = add(cast(gt(others, own), "f32"), mul(cast(eq(others, own), "f32"), earlier));
    const rank = matmul(isAhead, left);
    const here = mul(left, cast(lt(rank, Math.floor((share / all) * m)), "f32"));
    left = sub(left, here);
    return here;
  });
  return reshape(stack(chosen, { dim: 1 }), [m, exits]);
}

/**
 * Half of a batch: logits [M, K, C], labels, losses [M, K], and of each exit what its logits are linear in, where it
 * says so.
 */
interface Half {
  readonly logits: Tensor;
  readonly labels: Tensor;
  readonly losses: Tensor;
  readonly features: readonly (Tensor | undefined)[];
}

function halvesOf({ logits, labels, exits }: Seen, losses: Tensor): readonly [Half, Half] {
  const n = labels.size;
  const middle = Math.floor(n / 2);
  const part = (from: number, to: number): Half => {
    const rows = (x: Tensor) => slice(x.detach(), { starts: [from], ends: [to] });
    return {
      logits: rows(logits),
      labels: rows(labels),
      losses: rows(losses),
      features: exits.map(({ features }) => features && rows(features)),
    };
  };
  return [part(0, middle), part(middle, n)];
}

/**
 * Loss of `other` after a step on `own` under weights [M, K], at each exit that of the samples that it is to answer by
 * then: in an exit's last layer, the step moves its logits by -lr / M sum_i w_i (f_i . f + 1) (p_i - y_i), y smoothed
 * as in the loss. Exits that do not say their features move by their bias alone.
 */
function afterStep(own: Half, other: Half, weights: Tensor, options: Options): Tensor {
  const { lookAhead, target, labelSmoothing: smoothing } = options;
  const [m, exits, classes] = exactly(own.logits.shape, 3);
  const label = reshape(cast(oneHot(own.labels, { numClasses: classes }), "f32"), [m, 1, classes]);
  const wanted = smoothing > 0 ? add(mul(label, 1 - smoothing), smoothing / classes) : label;
  const wrong = sub(exp(logSoftmax(own.logits)), wanted);
  const moved = Array.from({ length: exits }, (_, j) => {
    const at = (x: Tensor, width: number) =>
      reshape(slice(x, { starts: [0, j], ends: [firstOf(x.shape), j + 1] }), [firstOf(x.shape), width]);
    const [f, g] = [own.features[j], other.features[j]];
    const step = mul(at(wrong, classes), at(weights, 1));
    const alike = f && g ? matmul(matmul(g, f, { transposeB: true }), step) : undefined;
    const bias = sum(step, { dim: 0, keepdim: true });
    return sub(at(other.logits, classes), mul(alike ? add(alike, bias) : bias, lookAhead / m));
  });
  const after = stack(moved, { dim: 1 });
  const served = noGrad(() => allocation(after.detach(), target));
  const losses = mul(crossEntropy(after, other.labels, { reduction: "none" }), served);
  // Exits count the same, however few they serve.
  return sum(div(sum(losses, { dim: 0 }), clamp(sum(served, { dim: 0 }), { min: 1 })));
}

/** A step of Adam on the weighing network. */
function learn(numbers: Seen["numbers"], grads: readonly Tensor[], { metaLr, metaWeightDecay }: Options): void {
  const [b1, b2] = [0.9, 0.999];
  const steps = numbers["steps"]!;
  copyInto(steps, add(steps, 1));
  const grown = (decay: number) => sub(1, exp(mul(steps, Math.log(decay))));
  for (const [i, name] of NAMES.entries()) {
    const [value, first, second] = [numbers[name]!, numbers[`${name}.mean`]!, numbers[`${name}.square`]!];
    const gradient = add(grads[i]!, mul(value, metaWeightDecay));
    copyInto(first, add(mul(first, b1), mul(gradient, 1 - b1)));
    copyInto(second, add(mul(second, b2), mul(square(gradient), 1 - b2)));
    const root = add(sqrt(div(second, grown(b2))), 1e-8);
    copyInto(value, sub(value, mul(div(div(first, grown(b1)), root), metaLr)));
  }
}

/** sum_j mean(w_j CE_j), w by the weighing network, which learns in the same step; halves swap roles. */
export const l2wDen: Method<typeof OPTIONS> = defineMethod({
  name: "l2w-den",
  about:
    "a small network weighs samples at exits, and learns to from what a step under its weights does to other samples",
  paper: {
    title: "Learning to Weight Samples for Dynamic Early-exiting Networks",
    venue: "ECCV 2022",
    arxiv: "2209.08310",
    code: "LeapLabTHU/L2W-DEN",
  },
  options: OPTIONS,
  phases: (options, { exits }) => [
    {
      name: "training",
      prepare: async () => firstNumbers(exits, options),
      tracks: [
        {
          loss: byOneLabel("l2w-den", "the step ahead", (seen) => {
            const losses = exitCrossEntropy(seen, options.labelSmoothing);
            const constant = losses.detach();
            const weigher = NAMES.map((name) => seen.numbers[name]!) as unknown as Weigher;
            const [a, b] = halvesOf(seen, constant);
            const meta = valueAndGrad((...own: Weigher) => {
              const under = (half: Half) => weightsOf(own, half.losses, options.epsilon);
              return add(afterStep(a, b, under(a), options), afterStep(b, a, under(b), options));
            });
            learn(seen.numbers, meta(...weigher).grads, options);
            const weights = weightsOf(weigher, constant, options.epsilon);
            return weighExits(exitMeans(mul(losses, weights)), seen.exitWeights);
          }),
        },
      ],
    },
  ],
});
