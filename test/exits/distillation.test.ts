// Methods that distil: their losses against formulas in float64, the teachers they name, and what they refuse.

import { randn, tensor } from "../../engine/index.ts";
import { decoupledDistillation as dkd, knowledgeDistillation as kd, type Method } from "../../exits/index.ts";
import { checkCase } from "../engine/ops/check.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { FORMULAS } from "./distillation-formulas.ts";
import { caseOf } from "./loss-formulas.ts";
import { exitWeightsAt, lossOf, trackOf } from "./track.ts";

const formulas = gpuSuite("exits: methods that distil agree with their formulas in float64", { timeout: 120_000 });
for (const [name, formula] of Object.entries(FORMULAS))
  formulas(name, () => checkCase(device(), name, caseOf(formula), 1));

const test = suite("exits: methods that distil");

test("exits learn from a larger network by the mean over exits, unless told otherwise", () => {
  for (const method of [kd, dkd] as readonly Method[]) {
    assert.equal(method.with().teacher, { kind: "network", method: "joint", wider: 2, deeper: 2 });
    assert.equal(method.with({ wider: 3, teacherMethod: "safe-kd" } as object).teacher, {
      kind: "network",
      method: "safe-kd",
      wider: 3,
      deeper: 2,
    });
    assert.equal(exitWeightsAt(method.with(), 4), [0.25, 0.25, 0.25, 0.25]);
    assert.equal(exitWeightsAt(method.with({ exitWeights: [1, 3], normalise: false } as object), 2), [1, 3]);
  }
});

test("DKD's teacher is heard more and more over the first twelfth of the epochs", () => {
  const ramp = (epoch: number, epochs: number, warmup?: number) =>
    trackOf(dkd.with(warmup === undefined ? {} : { warmup }), 3).ramp!({ epoch, epochs });
  assert.equal(
    [1, 10, 20, 240].map((epoch) => ramp(epoch, 240)),
    [0.05, 0.5, 1, 1],
  );
  assert.equal([ramp(1, 5), ramp(1, 4, 1), ramp(4, 4, 1), ramp(1, 4, 0)], [1, 0.25, 1, 1]);
});

const gpu = gpuSuite("exits: methods that distil refuse");

gpu("two labels of an image, no teacher, exit weights that do not fit", async () => {
  const logits = randn([6, 3, 5], { seed: 1 });
  const labels = tensor(Int32Array.of(2, 0, 4, 1, 3, 2));
  const exitWeights = tensor([1, 1, 1]);
  const mixed = { labels, share: tensor(new Float32Array(6).fill(0.5)) };
  await failsWith(
    () => lossOf(kd.with(), { logits, labels, exitWeights }),
    "ArgumentError",
    "kd: the teacher's logits must be given; got none.",
  );
  await failsWith(
    () => lossOf(dkd.with(), { logits, labels, exitWeights, teacher: logits, mixed }),
    "ArgumentError",
    "dkd: images must have one label, which decoupled distillation looks at; got images blended by mixup. Train without mixup, or by joint.",
  );
  await failsWith(
    () => exitWeightsAt(kd.with({ exitWeights: [0, 0, 0] }), 3),
    "ArgumentError",
    "kd: some exit weight must be above 0; got [0, 0, 0].",
  );
});
