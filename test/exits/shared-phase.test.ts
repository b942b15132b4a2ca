// A first phase that another run has done is taken over: the run ends with the bits that it would have had alone,
// killed or not; and nothing is taken that is not the very same.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  buildNetwork,
  calexnet,
  disjoint,
  jeiDnn,
  type MultiExit,
  type Progress,
  ptee,
  type TakenPhase,
  type TrainingPlan,
  type TrainOptions,
  ztw,
} from "../../exits/index.ts";
import { shuffledBatches } from "../../exits/training/images.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf } from "../harness.ts";
import { quiet, weightsAfter } from "./small.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-shared-phase-"));
const test = gpuSuite("exits: a phase that another run has done", { timeout: 120_000 });
test.after(() => rmSync(folder, { recursive: true }));

/** Mirroring, momentum and clipping: all that a phase could leave to those behind it. */
const recipe = { ...quiet, flip: 0.5, optimizer: { clipNorm: 1 }, logEvery: 1 } as const;

function netOf({ wraps }: TrainingPlan, seed = 1): MultiExit {
  const shape = { input: [8, 8, 1] as const, classes: 4, exits: ["stage1", "stage2"], head: "gap-linear" as const };
  const names = wraps.map(({ name }) => name);
  return buildNetwork(
    { backbone: "resnet", options: { depth: 8, widths: [4, 8, 8] }, ...shape, wraps: names },
    { seed },
  );
}

/** The weights of a run, and the phase that it took over. */
async function trainedBy(method: TrainingPlan, options: Partial<Omit<TrainOptions, "method">>, seed = 1) {
  let taken: TakenPhase | undefined;
  const report = (event: Progress) => {
    if (event.kind === "start") taken = event.taken ?? taken;
    options.report?.(event);
  };
  const weights = await weightsAfter({ ...recipe, method, ...options, report }, netOf(method, seed));
  return { weights, taken };
}

let next = 0;
const fresh = () => join(folder, String(next++));

/** Runs find here what a run of `disjoint` left. */
let phases: Promise<{ readonly dir: string; readonly by: string }> | undefined;
const laidDown = () => {
  phases ??= (async () => {
    const [dir, by] = [fresh(), fresh()];
    const { taken } = await trainedBy(disjoint.with(), { dir: by, phases: dir });
    assert.is(taken, undefined);
    assert.is(readdirSync(dir).length, 1);
    return { dir, by };
  })();
  return phases;
};

for (const method of [calexnet.with({ kl: false }), ztw.with(), ptee.with(), jeiDnn.with()]) {
  test(`${method.name} ends with the same bits on the backbone of another run as on its own`, async () => {
    const { dir, by } = await laidDown();
    const shared = await trainedBy(method, { dir: fresh(), phases: dir });
    assert.equal(shared.taken, { name: "backbone", from: by });
    assert.equal(shared.weights, (await trainedBy(method, { dir: fresh() })).weights);
  });
}

for (const stop of [5, 8]) {
  test(`stopped after step ${stop} of the phase that it lays down or of those behind, a run goes on alike`, async () => {
    const [dir, own] = [fresh(), fresh()];
    const halt = new AbortController();
    const report = (event: Progress) => {
      if (event.kind === "train" && event.step === stop) halt.abort();
    };
    const halted = { dir: own, phases: dir, report, signal: halt.signal };
    assert.is((await errorOf(() => trainedBy(disjoint.with(), halted))).name, "TrainingError");
    const alone = await trainedBy(disjoint.with(), { dir: fresh() });
    assert.equal((await trainedBy(disjoint.with(), { dir: own, phases: dir })).weights, alone.weights);
    assert.is(readdirSync(dir).length, 1);
  });
}

test("a run that took a phase over and is stopped goes on from its own checkpoint", async () => {
  const { dir } = await laidDown();
  const own = fresh();
  const halt = new AbortController();
  const report = (event: Progress) => {
    if (event.kind === "start") halt.abort();
  };
  const error = await errorOf(() => trainedBy(calexnet.with(), { dir: own, phases: dir, report, signal: halt.signal }));
  assert.match(error.message, /stopped at step 9 of 24/);
  // Even where the phase is gone by then.
  const { weights, taken } = await trainedBy(calexnet.with(), { dir: own, phases: fresh() });
  assert.is(taken, undefined);
  assert.equal(weights, (await trainedBy(calexnet.with(), { dir: fresh() })).weights);
});

test("what lies in the folder of a run without a checkpoint is no history of the one that takes a phase over", async () => {
  const { dir } = await laidDown();
  const own = fresh();
  mkdirSync(own);
  const row = { kind: "train", step: 1, lr: 9, exits: [] };
  writeFileSync(join(own, "metrics.jsonl"), `${JSON.stringify(row)}\n`);
  assert.ok((await trainedBy(calexnet.with(), { dir: own, phases: dir })).taken);
  assert.not.match(readFileSync(join(own, "metrics.jsonl"), "utf8"), /"lr":9/);
});

test("a phase is shared by runs that have folders", async () => {
  const error = await errorOf(() => trainedBy(disjoint.with(), { phases: fresh() }));
  assert.is(error.message, "train: phases goes with dir, the folder of the run; got none.");
});

test("another seed, recipe, loss, folder or version, and batches that nobody can name, share nothing", async () => {
  const { dir } = await laidDown();
  const others: readonly (readonly [TrainingPlan, Partial<Omit<TrainOptions, "method">>, number?])[] = [
    [ztw.with(), { seed: 3 }],
    [ztw.with(), {}, 2],
    [ztw.with(), { optimizer: { clipNorm: 2 } }],
    [ztw.with(), { schedule: { warmup: 2 } }],
    [ztw.with(), { freeze: ["backbone.layer1."] }],
    [ztw.with({ labelSmoothing: 0.1 }), {}],
    [disjoint.with({ equalTotal: true }), {}],
    [ztw.with(), { made: { sortie: "another" } }],
    [ztw.with(), { phases: fresh() }],
    [ztw.with(), { batches: (set, options) => ({ ...shuffledBatches(set, options) }) }],
  ];
  for (const [method, options, seed] of others) {
    const { taken } = await trainedBy(method, { dir: fresh(), phases: dir, ...options }, seed);
    assert.is(taken, undefined, JSON.stringify([method.options, options]));
  }
  assert.is((await trainedBy(ztw.with(), { dir: fresh(), phases: dir })).taken?.name, "backbone");
});

test("a damaged file is trained again, and whole afterwards", async () => {
  const dir = fresh();
  const alone = await trainedBy(disjoint.with(), { dir: fresh(), phases: dir });
  const path = join(dir, readdirSync(dir)[0]!);
  const whole = readFileSync(path);
  for (const damaged of [whole.subarray(0, 100), Buffer.from(whole).fill(1, whole.length - 8)]) {
    writeFileSync(path, damaged);
    const { weights, taken } = await trainedBy(disjoint.with(), { dir: fresh(), phases: dir });
    assert.is(taken, undefined);
    assert.equal(weights, alone.weights);
    assert.is(readFileSync(path).length, whole.length);
  }
});
