// What losses of published methods refuse, word for word.

import { ones, scaleGradient, zeros } from "../../engine/index.ts";
import {
  boostLosses,
  calexnetLosses,
  erdeLosses,
  exitStatistics,
  gradientEquilibrium,
  jeiDnnLosses,
  pteeLoss,
  selfDistillation,
  ztwEnsemble,
  ztwHead,
} from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { failsWith } from "../harness.ts";

const test = gpuSuite("exits: losses refuse");

/** Logits of three exits, and labels. */
const some = () => ({ z: zeros([6, 3, 5]), y: zeros([6], { dtype: "i32" }) });

test("what does not fit learning from other exits", async () => {
  const { z, y } = some();
  await failsWith(
    () => erdeLosses(z, zeros([6, 2, 5]), y),
    "ShapeError",
    "erdeLosses: teacher must be f32[N, K, C]; got f32[6, 2, 5] for student f32[6, 3, 5].",
  );
  await failsWith(
    () => erdeLosses(zeros([6, 5]), z, y),
    "ShapeError",
    "erdeLosses: student must be f32[N, K, C]; got f32[6, 5].",
  );
  await failsWith(
    () => erdeLosses(z, z, zeros([6])),
    "DTypeError",
    "erdeLosses: labels must be i32[N]; got f32[6] for student f32[6, 3, 5]. Use cast().",
  );
  await failsWith(
    () => erdeLosses(z, z, y, { gateOn: "first" as "final" }),
    "ArgumentError",
    'erdeLosses: gateOn must be "exit" or "final"; got "first".',
  );
  await failsWith(
    () => erdeLosses(z, z, y, { entropySign: 0 as 1 }),
    "ArgumentError",
    "erdeLosses: entropySign must be 1 or -1; got 0.",
  );
  await failsWith(
    () => erdeLosses(z, z, y, { temperature: 0 }),
    "ArgumentError",
    "erdeLosses: temperature must be finite and above 0; got 0.",
  );
});

test("what does not fit losses of handled samples, costs and boosting", async () => {
  const { z, y } = some();
  await failsWith(
    () => calexnetLosses(z, zeros([6, 5]), zeros([2, 5])),
    "ShapeError",
    "calexnetLosses: tau must be f32[K, C]; got f32[2, 5] for logits f32[6, 3, 5].",
  );
  await failsWith(
    () => calexnetLosses(z, zeros([6, 5]), zeros([3, 5]), { kappa: 0 }),
    "ArgumentError",
    "calexnetLosses: kappa must be finite and above 0; got 0.",
  );
  await failsWith(
    () => pteeLoss(z, zeros([6, 3]), y, { costs: [1, 1, 1] }),
    "ShapeError",
    "pteeLoss: confidence must be f32[N, K-1]; got f32[6, 3] for logits f32[6, 3, 5].",
  );
  await failsWith(
    () => pteeLoss(zeros([6, 1, 5]), zeros([6, 0]), y, { costs: [1] }),
    "ShapeError",
    "pteeLoss: K must be at least 2; got 1.",
  );
  await failsWith(
    () => pteeLoss(z, zeros([6, 2]), y, { costs: [0.5, 1] }),
    "ShapeError",
    "pteeLoss: costs must have one number per exit; got 2 for 3 exits.",
  );
  await failsWith(
    () => boostLosses(z, y, { t: -1 }),
    "ArgumentError",
    "boostLosses: t must be finite and at least 0; got -1.",
  );
  await failsWith(
    () => ztwEnsemble(z, zeros([3, 2]), zeros([3, 5])),
    "ShapeError",
    "ztwEnsemble: weights must be f32[K, K]; got f32[3, 2] for logits f32[6, 3, 5].",
  );
});

test("what does not fit heads, gradients and gates", async () => {
  const { z, y } = some();
  const head = { normWeight: ones([5]), normBias: zeros([5]), weight: zeros([8, 5]), bias: zeros([5]) };
  await failsWith(
    () => ztwHead(zeros([6, 4]), zeros([6, 5]), head),
    "ShapeError",
    "ztwHead: weight must be f32[D+C, C]; got f32[8, 5] for features f32[6, 4].",
  );
  await failsWith(
    () => selfDistillation(z, zeros([6, 3, 4]), y, { a: 1.5 }),
    "ArgumentError",
    "selfDistillation: a must be in 0..1; got 1.5.",
  );
  await failsWith(
    () => gradientEquilibrium(z, { exit: 3, exits: 3 }),
    "ArgumentError",
    "gradientEquilibrium: exit must be in 0..exits-1; got 3 of 3.",
  );
  await failsWith(
    () => jeiDnnLosses(z, y, { weight: zeros([2, 3]), bias: zeros([2]) }, { costs: [0.5, 0.7, 1] }),
    "ShapeError",
    "jeiDnnLosses: gates.weight must be f32[K-1, 4]; got f32[2, 3] for logits f32[6, 3, 5].",
  );
  await failsWith(
    () =>
      jeiDnnLosses(
        z,
        y,
        { weight: zeros([2, 4]), bias: zeros([2]) },
        { costs: [0.5, 0.7, 1], rescale: "ratio" as "none" },
      ),
    "ArgumentError",
    'jeiDnnLosses: rescale must be "detachedRatio" or "none"; got "ratio".',
  );
  await failsWith(
    () => scaleGradient(z, Number.NaN),
    "ArgumentError",
    "scaleGradient: the factor must be finite; got NaN.",
  );
  await failsWith(() => exitStatistics(zeros([6, 3, 1])), "ShapeError", "exitStatistics: C must be at least 2; got 1.");
});
