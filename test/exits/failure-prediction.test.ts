// The correction by failure prediction as a method: its gate is the one that is fitted on validation, says on the
// device what it says on a table, and is in the checkpoint that a run ends with.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Cascade, cascade, column, decide, fit, fitGate, outcomes, scaleLogits } from "../../calibration/index.ts";
import { readSafetensors } from "../../engine/index.ts";
import {
  type Architecture,
  buildNetwork,
  deploy,
  failurePrediction,
  joint,
  type MultiExit,
  RUN_FILES,
  train,
} from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf } from "../harness.ts";
import { barSplits, quiet, weightsAfter } from "./small.ts";

const test = gpuSuite("exits: failure prediction");
const folder = mkdtempSync(join(tmpdir(), "sortie-eefp-"));
test.after(() => rmSync(folder, { recursive: true }));
const data = barSplits();

const gatedNet = (): MultiExit =>
  buildNetwork({
    backbone: "resnet",
    options: { depth: 8, widths: [4, 8, 8] },
    input: [8, 8, 1],
    classes: 4,
    exits: ["stage1", "stage2"],
    wraps: ["failureGated"],
  });

/** A threshold between the scores of samples, where rounding decides nothing. */
function betweenScores({ scores, exits }: Cascade, exit: number): number {
  const own = column(scores, exits, exit).sort();
  const gap = (i: number) => own[i + 1]! - own[i]!;
  const middle = Array.from({ length: 15 }, (_, i) => i + 7).reduce((best, i) => (gap(i) > gap(best) ? i : best));
  return own[middle]! + gap(middle) / 2;
}

test("the gate is that of the calibration, in the network, in its file and on the device", async () => {
  using net = gatedNet();
  const dir = join(folder, "run");
  using run = await train(net, data, { ...quiet, optimizer: { lr: 0.05 }, method: failurePrediction, dir });
  const gate = fitGate(outcomes(await run.logits("validation")));
  const { weights } = gate;
  const state = net.state();
  const held = await Promise.all(
    [0, 1].flatMap((j) => ["weight", "bias"].map((name) => state.get(`heads.${j}.gate.${name}`)!.read())),
  );
  assert.equal(
    held.flatMap((values) => Array.from(values)),
    Array.from(Float32Array.from(weights.subarray(0, 10))),
  );
  for (const file of [RUN_FILES.last, RUN_FILES.best]) {
    const { tensors } = await readSafetensors(join(dir, file));
    assert.equal(Array.from(tensors.get("net.heads.1.gate.weight")!.data as Float32Array), Array.from(held[2]!), file);
  }
  const table = await run.logits("test");
  const said = cascade(table, "confidence");
  const want = cascade(table, gate).scores;
  for (let i = 0; i < said.samples; i++) {
    for (const j of [0, 1]) {
      const [got, expected] = [said.scores[3 * i + j]!, want[3 * i + j]!];
      assert.ok(Math.abs(got - expected) < 1e-4, `sample ${i} at exit ${j}: ${got} for ${expected}`);
    }
  }
  const thresholds = [0, 1].map((exit) => betweenScores(said, exit));
  const classifier = await deploy(net, { thresholds, score: "confidence" }, { normalise: data.test.meta });
  const { exits } = await classifier.classify(data.test.images);
  assert.equal(Array.from(exits), Array.from(decide(said, thresholds)));
  classifier.dispose();
});

test("last layers fitted on validation answer as the scaling of the calibration, on the device too", async () => {
  const architecture = {
    backbone: "resnet",
    options: { depth: 8, widths: [4, 8, 8] },
    input: [8, 8, 1],
    classes: 4,
    exits: ["stage1", "stage2"],
  } satisfies Architecture;
  const options = { ...quiet, optimizer: { lr: 0.05 } };
  using plain = buildNetwork(architecture);
  using before = await train(plain, data, { ...options, method: joint.with({ exitWeights: 1 }) });
  using net = buildNetwork(architecture);
  using run = await train(net, data, { ...options, method: failurePrediction.with({ correction: "vector" }) });
  const scaling = fit(await before.logits("validation"), { method: "failure" });
  const scaled = outcomes(scaleLogits(await before.logits("test"), scaling));
  const unscaled = outcomes(await before.logits("test"));
  const found = outcomes(await run.logits("test"));
  found.maxProb.forEach((got, at) => {
    const want = (at % 3 === 2 ? unscaled : scaled).maxProb[at]!;
    assert.ok(Math.abs(got - want) < 1e-4, `${at}: ${got} for ${want}`);
  });
  assert.ok(scaled.maxProb.some((p, at) => at % 3 < 2 && Math.abs(p - unscaled.maxProb[at]!) > 0.01));
  const thresholds = [0, 1].map((exit) => betweenScores(cascade(found), exit));
  const classifier = await deploy(net, { thresholds }, { normalise: data.test.meta });
  const { exits } = await classifier.classify(data.test.images);
  assert.equal(Array.from(exits), Array.from(decide(cascade(found), thresholds)));
  classifier.dispose();
});

test("the control of a correction on the host corrects nothing", async () => {
  const plain = await weightsAfter({ method: joint.with({ exitWeights: 1 }) });
  assert.equal(await weightsAfter({ method: failurePrediction.with({ correction: "vector", control: true }) }), plain);
});

test("what a phase fits must be finite, and parameters of its part", async () => {
  const broken = (values: Readonly<Record<string, Float32Array>>) => {
    const plan = failurePrediction.with();
    return {
      ...plan,
      phases: (site: Parameters<typeof plan.phases>[0]) => {
        const [phase] = plan.phases(site);
        return [{ ...phase, fits: { ...phase.fits!, values: async () => values } }] as const;
      },
    };
  };
  const told = async (values: Readonly<Record<string, Float32Array>>) => {
    using net = gatedNet();
    return (await errorOf(() => train(net, data, { ...quiet, epochs: 1, method: broken(values) }))).message;
  };
  const nan = await told({ "heads.0.gate.bias": Float32Array.of(Number.NaN) });
  assert.is(nan, "train: what network fits must be 1 finite numbers; got heads.0.gate.bias of 1.");
  const stray = await told({ "heads.0.linear.bias": new Float32Array(4) });
  assert.is(stray, "train: what network fits must be a parameter of its part; got heads.0.linear.bias of 4.");
});
