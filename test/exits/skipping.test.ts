// Gated training that leaves out what an exit has handled: the same weights as with masks where samples do not meet in
// norms, less work, the same bits after a pause.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { tensor } from "../../engine/index.ts";
import {
  type Architecture,
  buildNetwork,
  hardCgt,
  type ImageSet,
  joint,
  type MultiExit,
  type Progress,
  plainCgt,
  type Skipping,
  type Track,
  type TrainingPlan,
  type TrainOptions,
  train,
} from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { barSplits, blends, quiet, smallNet, weightsAfter, weightsOf } from "./small.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-skipping-"));
const test = gpuSuite("exits: training without handled samples", { timeout: 120_000 });
test.after(() => rmSync(folder, { recursive: true }));

const VIT: Architecture = {
  backbone: "vit",
  options: { depth: 3, dim: 16, patch: 2 },
  input: [8, 8, 1],
  classes: 4,
  exits: ["stage1", "stage2"],
  head: "mean-token",
};
const vit = (): MultiExit => buildNetwork(VIT, { seed: 2 });
/** Most of the bars are handled by the first exits before the end. */
const hard = { gate: "hard", tau: 0.26 } as const;
const steps = { ...quiet, epochs: 3, flip: 0.5, optimizer: { method: "sgd", lr: 0.1 } } as const;

/** The plan with another judgement of what stays. */
function judging(plan: TrainingPlan, change: (stays: Skipping["stays"]) => Skipping["stays"]): TrainingPlan {
  const judged = ({ skips, ...track }: Track): Track => {
    const own = skips as Skipping;
    return { ...track, skips: { ...own, stays: change(own.stays) } };
  };
  const phases: TrainingPlan["phases"] = (site) => {
    const [{ tracks, ...phase }] = plan.phases(site);
    return [{ ...phase, tracks: [judged(tracks[0])] }];
  };
  return { ...plan, phases };
}

/** The plan, and how many samples each early exit was asked about, step by step. */
function watched(plan: TrainingPlan): { readonly plan: TrainingPlan; readonly asked: number[] } {
  const asked: number[] = [];
  const watch = (stays: Skipping["stays"]): Skipping["stays"] => {
    return (logits, labels) => {
      asked.push(logits.shape[0]!);
      return stays(logits, labels);
    };
  };
  return { plan: judging(plan, watch), asked };
}

type Row = Extract<Progress, { readonly kind: "train" }>;

/** What rows of training say, and all values behind the last. */
async function trained(method: TrainingPlan): Promise<{ rows: Row[]; values: number[] }> {
  const rows: Row[] = [];
  const report = (event: Progress): void => {
    if (event.kind === "train") rows.push(event);
  };
  const values = await weightsAfter({ ...steps, method, logEvery: 4, report }, vit());
  return { rows, values: values.flat() };
}

test("where norms are over the channels of a sample, weights are those of training by masks", async () => {
  const masked = await trained(plainCgt.with(hard));
  for (const skip of ["survivors", "frozen"] as const) {
    const { plan, asked } = watched(plainCgt.with({ ...hard, skip }));
    const left = await trained(plan);
    assert.ok(
      asked.some((n) => n > 0 && n < 16),
      `${skip}: behind the first exit are fewer samples than 16; got ${asked}`,
    );
    const furthest = Math.max(...left.values.map((x, i) => Math.abs(x - masked.values[i]!)));
    assert.ok(furthest < 2e-5, `${skip}: ${furthest}`);
    for (const [i, row] of left.rows.entries())
      assert.ok(Math.abs(row.loss - masked.rows[i]!.loss) < 1e-4, `${row.loss} for ${masked.rows[i]!.loss}`);
  }
});

test("batch norms take what is left or stay as they are, and who leaves out nothing trains as ever", async () => {
  const deep = (net: MultiExit): Promise<number[][]> =>
    Promise.all(
      [...net.state()]
        .filter(([name]) => /layer[23].*runningMean$/.test(name))
        .map(async ([, tensor]) => [...(await tensor.read())]),
    );
  const run = async (skip: "survivors" | "frozen"): Promise<{ before: number[][]; after: number[][] }> => {
    const net = smallNet();
    const before = await deep(net);
    (await train(net, barSplits(), { ...steps, method: plainCgt.with({ ...hard, skip }) })).dispose();
    const after = await deep(net);
    net.dispose();
    return { before, after };
  };
  const frozen = await run("frozen");
  assert.ok(frozen.before.length > 0);
  assert.equal(frozen.after, frozen.before);
  const survivors = await run("survivors");
  assert.not.equal(survivors.after, survivors.before);
  assert.ok(survivors.after.flat().every(Number.isFinite));
  // With a threshold that nobody reaches all samples are left: only the order of sums differs.
  const nobody = { gate: "hard", tau: 1 } as const;
  const masked = await weightsAfter({ ...steps, epochs: 1, method: plainCgt.with(nobody) });
  const left = await weightsAfter({ ...steps, epochs: 1, method: plainCgt.with({ ...nobody, skip: "survivors" }) });
  const furthest = Math.max(...left.flat().map((x, i) => Math.abs(x - masked.flat()[i]!)));
  assert.ok(furthest < 1e-4, `${furthest}`);
});

test("a single sample that is left is no batch: norms over one pixel take their running statistics", async () => {
  const small = (set: ImageSet<Uint8Array>): ImageSet<Uint8Array> => ({
    ...{ ...set, shape: [4, 4, 1], images: set.images.subarray(0, 16 * set.size) },
  });
  const { train: shown, validation, calibration, test: fresh } = barSplits();
  const data = {
    train: small(shown),
    validation: small(validation),
    calibration: small(calibration),
    test: small(fresh),
  };
  const exits = { head: "gap-linear", exits: ["stage1", "stage2"] } as const;
  const net = buildNetwork({
    ...{ ...exits, backbone: "resnet", options: { depth: 8, widths: [4, 8, 8] } },
    ...{ input: [4, 4, 1], classes: 4 },
  });
  const first: Skipping["stays"] = ({ shape: [n = 0] }) =>
    tensor(Float32Array.from({ length: n }, (_, i) => +(i === 0)));
  const method = judging(plainCgt.with({ ...hard, skip: "survivors" }), () => first);
  (await train(net, data, { ...steps, epochs: 1, method })).dispose();
  assert.ok((await weightsOf(net)).flat().every(Number.isFinite));
  net.dispose();
});

test("it goes on to the same bits after a pause", async () => {
  const options = { ...steps, method: plainCgt.with({ ...hard, skip: "survivors" }) } as const;
  const undisturbed = await weightsAfter(options, vit());
  const dir = join(folder, "pause");
  const stop = new AbortController();
  const report = (event: Progress): void => {
    if (event.kind === "train" && event.step === 5) stop.abort();
  };
  const net = vit();
  await train(net, barSplits(), { ...options, dir, logEvery: 1, report, signal: stop.signal }).catch(() => {});
  net.dispose();
  assert.ok(stop.signal.aborted);
  const resumed = await weightsAfter({ ...options, dir }, vit());
  assert.ok(
    resumed.every((values, i) => values.join() === undisturbed[i]!.join()),
    "the same bits",
  );
});

test("what must see all samples is refused", async () => {
  const net = smallNet();
  const run = (options: Partial<TrainOptions> & Pick<TrainOptions, "method">) =>
    train(net, barSplits(), { ...steps, ...options });
  await failsWith(
    () => run({ method: hardCgt.with({ skip: "survivors" }) }),
    "ArgumentError",
    "hard-cgt: with skip leak must be 0, as handled samples are learnt from no more; got 0.001.",
  );
  await failsWith(
    () => run({ method: plainCgt.with({ gate: "soft", skip: "survivors" }) }),
    "ArgumentError",
    "plain-cgt: with skip the gate must be hard; got soft.",
  );
  await failsWith(
    () => run({ method: hardCgt.with({ skip: "frozen", leak: 0 }), freeze: ["backbone.conv1"] }),
    "ArgumentError",
    "train: with skip all of the network must be trained, by labels alone; got one that is frozen in part, attacked or taught.",
  );
  await failsWith(
    () => run({ method: plainCgt.with({ ...hard, skip: "survivors" }), batches: blends(0.7) }),
    "ArgumentError",
    "train: with skip images must have one label, by which an exit has handled them; got images blended by mixup. Train without mixup, or without skip.",
  );
  // Told before the phases in front of it have taken their hours.
  const plan = plainCgt.with({ ...hard, skip: "frozen" });
  const later: TrainingPlan = {
    ...plan,
    phases: (site) => {
      const [{ tracks, ...phase }] = plan.phases(site);
      const heads = { ...tracks[0], trains: (name: string) => name.startsWith("heads.") };
      return [joint.with().phases(site)[0], { ...phase, name: "later", tracks: [heads] }];
    },
  };
  const never = join(folder, "never");
  await failsWith(
    () => run({ method: later, dir: never }),
    "ArgumentError",
    "train: with skip all of the network must be trained, by labels alone; got one that is frozen in part, attacked or taught.",
  );
  assert.equal(readdirSync(never), []);
  // The control has no gates, so it leaves out nobody.
  (await run({ epochs: 1, method: hardCgt.with({ skip: "survivors", leak: 0, control: true }) })).dispose();
  net.dispose();
});
