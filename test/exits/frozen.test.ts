// Methods on a backbone that stays as it is: features are computed once, the losses are their papers', and turns fit
// into any phase.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cascade, column, createTable, decide, selectSamples } from "../../calibration/index.ts";
import { readLogits as readTable } from "../../cli/files/logits-file.ts";
import { argmax, randn, read, reshape, slice, type Tensor, tensor } from "../../engine/index.ts";
import {
  boost,
  boostLosses,
  deploy,
  type Given,
  jeiDnn,
  jeiDnnLosses,
  METHODS,
  type OptionSet,
  type PhaseSite,
  pteeLoss,
  RUN_FILES,
  readLogits,
  type Seen,
  stackRecords,
  train,
} from "../../exits/index.ts";
import { layOut, turnAt } from "../../exits/training/phases.ts";
import { EVAL } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { barSplits, planNet, quiet } from "./small.ts";

const test = gpuSuite("exits: methods on frozen backbones", { timeout: 120_000 });
const FROZEN = ["calexnet", "calexnet-reference", "ptee", "ztw", "jei-dnn"] as const;
const [N, K, C] = [7, 3, 5] as const;
const SITE: PhaseSite = {
  exits: K,
  classes: C,
  costs: [0.3, 0.6, 1],
  placeOf: () => ({ exit: 0, isHead: true }),
};

for (const name of FROZEN) {
  test(`${name}: behind the backbone's phase no step computes the backbone`, async () => {
    const plan = METHODS[name]!.with();
    const net = planNet(plan, 0);
    const passes: string[] = [];
    let looks = 0;
    const [records, recordsOf, views] = [net.records.bind(net), net.recordsOf.bind(net), net.views.bind(net)];
    net.views = (x, mode) => {
      looks += 1;
      return views(x, mode);
    };
    net.records = (x, mode, options) => {
      if (mode.training) passes.push("whole");
      return records(x, mode, options);
    };
    net.recordsOf = (views, mode, options) => {
      passes.push("heads");
      return recordsOf(views, mode, options);
    };
    (await train(net, barSplits(), { ...quiet, flip: 0.5, method: plan })).dispose();
    const tracks = plan.phases({ ...SITE, classes: 4 }).map((phase) => phase.tracks.length);
    const behind = tracks.slice(1).reduce((sum, count) => sum + count, 0);
    assert.equal(passes, ["whole", ...new Array<string>(behind).fill("heads")]);
    assert.is(looks, 3, "once for shapes, once for images, once for mirrored ones, whatever phases follow");
    net.dispose();
  });
}

for (const name of ["ptee", "jei-dnn"] as const) {
  test(`${name}: what heads say of themselves is cached, calibrated and decided by, on the device as on the table`, async () => {
    const dir = mkdtempSync(join(tmpdir(), "sortie-told-"));
    const plan = METHODS[name]!.with({ lr: 0.05 });
    const net = planNet(plan, 0);
    try {
      assert.ok(net.saysConfidence);
      using run = await train(net, barSplits(), { ...quiet, epochs: 3, dir, method: plan });
      const table = await run.logits("test");
      const path = join(dir, RUN_FILES.logits("test"));
      const { confidence, about } = await readLogits(path);
      assert.equal([about["version"], [...confidence!]], ["3", [...table.confidence!]]);
      assert.equal([...readTable(path).confidence!], [...table.confidence!]);
      const scored = cascade(table, "confidence");
      const sorted = (j: number) => column(scored.scores, 3, j).toSorted();
      const thresholds = [0, 1].map((j) => (sorted(j)[14]! + sorted(j)[15]!) / 2);
      const exits = decide(scored, thresholds);
      assert.is(new Set(exits).size, 3);
      const { test: images } = barSplits();
      using classifier = await deploy(net, { thresholds, score: "confidence" }, { normalise: images.meta });
      const answers = await classifier.classify(images.images);
      assert.equal([...answers.exits], [...exits]);
      answers.scores.forEach((score, i) => void near(score, scored.scores[i * 3 + exits[i]!]!));
    } finally {
      net.dispose();
      rmSync(dir, { recursive: true });
    }
  });
}

test("a network whose heads say no confidence is not deployed by it, and its table is refused", async () => {
  const net = planNet(METHODS["joint"]!.with(), 0);
  await failsWith(
    () => deploy(net, { thresholds: [0.5], score: "confidence" }),
    "ArgumentError",
    "deploy: for the score confidence every early exit must say how sure it is; got plain heads. Networks trained by ptee or jei-dnn do.",
  );
  net.dispose();
  const plain = { shape: [2, 2, 2] as const, logits: new Float32Array(8), labels: [0, 1] };
  await failsWith(
    () => cascade(createTable(plain), "confidence"),
    "CalibrationError",
    "cascade: score confidence needs a table with the confidences of its heads; got logits only. Heads say them after training by ptee, jei-dnn, selective-net, eenet, beem or eefp.",
  );
  await failsWith(
    () => createTable({ ...plain, confidence: [1, Number.NaN] }),
    "CalibrationError",
    "table: confidences must be finite; got NaN at sample 1.",
  );
  const told = createTable({ ...plain, confidence: [-2, 40] });
  const { scores } = cascade(selectSamples(told, [1, 0]), "confidence");
  assert.ok(Math.abs(scores[2]! - 1 / (1 + Math.exp(2))) < 1e-12 && scores[0]! < 1 && scores[0]! > 1 - 2 ** -23);
});

/** What the loss of a phase says of drawn answers. */
function seen(numbers: Seen["numbers"] = {}): Seen & { readonly confidence: Tensor } {
  const logits = randn([N, K, C], { seed: 3 }).mul(2).detach();
  const confidence = randn([N, K - 1], { seed: 4 }).detach();
  const labels = tensor(Int32Array.from({ length: N }, (_, i) => (3 * i) % C));
  const exitWeights = tensor(new Float32Array(K).fill(1));
  return { logits, confidence, out: { logits, confidence }, exits: [], labels, exitWeights, numbers };
}

async function lossOf(name: string, options: Given<OptionSet>, phase: number, given: Seen, track = 0): Promise<number> {
  const { tracks } = METHODS[name]!.with(options).phases(SITE)[phase]!;
  return (await tracks[track]!.loss(given).read())[0] as number;
}

const near = (got: number, want: number): void =>
  assert.ok(Math.abs(got - want) < 2e-5 * (1 + Math.abs(want)), `${got} for ${want}`);

function logP(z: readonly number[], t: number): number[] {
  const rest = Math.log(z.reduce((sum, x) => sum + Math.exp(x / t), 0));
  return z.map((x) => x / t - rest);
}

/** The loss of CalexNet's second branch in float64. */
async function branchLoss(given: Seen, tau: Float32Array, survivorWeights: boolean, kl: boolean): Promise<number> {
  const all = [...(await given.logits.read())];
  const z = (i: number, j: number) => all.slice((i * K + j) * C, (i * K + j + 1) * C);
  const most = (x: readonly number[]) => x.indexOf(Math.max(...x));
  const reached = Array.from({ length: N }, (_, i) => {
    const first = z(i, 0);
    const sure = Math.exp(Math.max(...logP(first, 1)));
    return 1 - 1 / (1 + Math.exp(-(sure - tau[most(first)]!) / 0.05));
  });
  const mean = reached.reduce((a, b) => a + b, 0) / N;
  const losses = Array.from({ length: N }, (_, i) => {
    const [own, backbone] = [logP(z(i, 1), kl ? 4 : 1), logP(z(i, 2), 4)];
    const distance = backbone.reduce((sum, p, c) => sum + Math.exp(p) * (p - own[c]!), 0);
    const loss = kl ? 16 * distance : -own[most(z(i, 2))]!;
    return loss * (survivorWeights ? Math.max(reached[i]! / mean, 1e-3) : 1);
  });
  return losses.reduce((a, b) => a + b, 0) / N;
}

test("CalexNet's switches: weights of survivors or none, the backbone's softened answers or its classes", async () => {
  const tau = Float32Array.from({ length: 2 * C }, (_, i) => 0.3 + 0.05 * i);
  for (const survivorWeights of [true, false])
    for (const kl of [true, false]) {
      const given = seen(survivorWeights ? { tau: tensor(tau, { shape: [2, C] }) } : {});
      const want = await branchLoss(given, tau, survivorWeights, kl);
      near(await lossOf("calexnet", { survivorWeights, kl }, 2, given), want);
    }
});

test("CalexNet's thresholds come from what earlier branches hand on, or from all samples; nothing is asked for without weights", async () => {
  const logits = Float32Array.from({ length: 400 * K * C }, (_, k) => {
    const [i, c] = [Math.floor(k / (K * C)), k % C];
    return c === i % C ? 1 + ((i * 7) % 11) / 2 : ((i * 13 + k * 5) % 17) / 6;
  });
  const labels = Int32Array.from({ length: 400 }, (_, i) => (i % 9 === 0 ? (i + 1) % C : i % C));
  const table = createTable({ shape: [400, K, C], logits, labels, macs: SITE.costs });
  const tauOf = async (options: Given<OptionSet>) => {
    const made = await METHODS["calexnet"]!.with({ minSupport: 1, ...options })
      .phases(SITE)[2]!
      .prepare?.({
        logits: async () => table,
      });
    return made?.["tau"];
  };
  const [survivors, all] = [await tauOf({}), await tauOf({ sequentialMargins: false })];
  assert.equal(survivors!.shape, [2, C]);
  assert.equal(survivors!.data.slice(0, C), all!.data.slice(0, C));
  assert.not.equal(survivors!.data.slice(C), all!.data.slice(C));
  assert.is(await tauOf({ survivorWeights: false }), undefined);
});

test("PTEEnet learns the backbone's classes, or the labels", async () => {
  const given = seen();
  const { logits, confidence, labels } = given;
  const classes = reshape(argmax(slice(logits, { starts: [0, K - 1] }), { dim: -1 }), [N]);
  for (const [target, answers] of [
    ["backbone", classes],
    ["labels", labels],
  ] as const) {
    const { loss } = pteeLoss(logits, confidence, answers, { costs: SITE.costs, lambda: 0.4 });
    near(await lossOf("ptee", { target, lambda: 0.4 }, 2, given), (await loss.read())[0] as number);
  }
});

test("JEI-DNN's turns are its two losses, with gates that heads carry", async () => {
  const given = seen();
  const weight = randn([K - 1, 4], { seed: 8 }).detach();
  const bias = randn([K - 1], { seed: 9 }).detach();
  const want = jeiDnnLosses(given.logits, given.labels, { weight, bias }, { costs: SITE.costs, lambda: 0.5 });
  const early = slice(want.statistics, { ends: [N, K - 1] });
  const confidence = early.mul(weight).sum({ dim: -1 }).add(bias).detach();
  const told = { ...given, out: { ...given.out, confidence } };
  const [classifiers, gates] = (await read([want.classifierLoss, want.gateLoss])) as [Float32Array, Float32Array];
  near(await lossOf("jei-dnn", { lambda: 0.5 }, 2, told, 0), classifiers[0]!);
  near(await lossOf("jei-dnn", { lambda: 0.5 }, 2, told, 1), gates[0]!);
  assert.is(jeiDnn.with({ warmup: 0 }).phases(SITE).length, 2);
  // Of the control: the sum that the gates give each sample.
  for (const [rescale, total] of [
    ["detachedRatio", K],
    ["none", 1],
  ] as const) {
    const [track] = jeiDnn.with({ rescale, control: true }).phases(SITE).at(-1)!.tracks;
    const weights = track!.exitWeights?.(K, { epoch: 1, epochs: 2 }) ?? Array<number>(K).fill(1);
    near(
      weights.reduce((sum, weight) => sum + weight, 0),
      total,
    );
  }
});

test("BoostNet's heads and loss are its additive model", async () => {
  const net = planNet(boost.with(), 0);
  const images = randn([6, 8, 8, 1], { seed: 2 });
  const exits = net.records(images, EVAL);
  const increments = stackRecords(exits.map(({ logits, own = logits }) => ({ logits: own })));
  const labels = tensor(Int32Array.of(0, 1, 2, 3, 0, 1));
  const { loss, additive } = boostLosses(increments.logits, labels);
  const out = stackRecords(exits);
  const [got, want] = await read([out.logits, additive]);
  Array.from(got as Float32Array).forEach((value, i) => void near(value, (want as Float32Array)[i]!));
  const [phase] = boost.with().phases({ ...SITE, classes: 4 });
  const said = phase.tracks[0].loss({ ...seen(), logits: out.logits, out, exits, labels });
  near((await said.read())[0] as number, (await loss.read())[0] as number);
  net.dispose();
});

const layout = suite("exits: turns of tracks");

layout("every track of a phase has a turn, however short it is", () => {
  const loss = ({ logits }: Seen): Tensor => logits;
  const [long, short] = layOut(
    [
      { name: "long", epochs: 5, every: 3, tracks: [{ loss }, { loss }] },
      { name: "short", epochs: 1, every: 200, tracks: [{ loss }, { loss }] },
    ],
    { epochs: 1 },
    5,
  );
  assert.equal(
    Array.from({ length: 8 }, (_, s) => turnAt(long!, s)),
    [0, 0, 0, 1, 1, 1, 0, 0],
  );
  assert.equal(
    Array.from({ length: 5 }, (_, s) => turnAt(short!, s)),
    [0, 0, 0, 1, 1],
  );
});
