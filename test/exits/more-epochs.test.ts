// Further epochs of every method that has several phases or prepares something: a finished run that is made longer is
// the run that was asked for at once, and what its last phase had is carried on.

import { lastOf } from "../../base/index.ts";
import type { StoredTensor } from "../../engine/index.ts";
import { readSafetensors } from "../../engine/index.ts";
import {
  type CheckpointStore,
  defineMethod,
  exitCrossEntropy,
  exitMeans,
  METHODS,
  type TrainingPlan,
  type TrainOptions,
  train,
  trunk,
  weighExits,
} from "../../exits/index.ts";
import { tunePhases } from "../../exits/training/fine-tuning.ts";
import { epochNumbers, layOut } from "../../exits/training/phases.ts";
import { siteOf } from "../../exits/training/site.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { barSplits, planNet, quiet, smallNet, weightsOf } from "./small.ts";

const test = gpuSuite("exits: further epochs", { timeout: 180_000 });

/** Files in memory, and what the last of them holds. */
function storeOf() {
  const files = new Map<string, Blob>();
  const store: CheckpointStore = {
    read: async (name) => files.get(name),
    write: async (name, file) => void files.set(name, file),
  };
  const last = async (): Promise<ReadonlyMap<string, StoredTensor>> =>
    (await readSafetensors(files.get("last.safetensors") as Blob)).tensors;
  return { store, last };
}

async function after(plan: TrainingPlan, options: Partial<TrainOptions>): Promise<number[][]> {
  using net = planNet(plan);
  const teacher = plan.teacher?.kind === "network" ? smallNet(7) : undefined;
  const given = { ...quiet, epochs: 1, ...options, ...(teacher && { teacher }), method: plan };
  try {
    (await train(net, barSplits(), given)).dispose();
  } finally {
    teacher?.dispose();
  }
  return weightsOf(net);
}

for (const method of Object.values(METHODS)) {
  const plan = method.with();
  test(`${plan.name}: a longer run begins as the shorter one, and one that is made longer ends as it`, async () => {
    using net = planNet(plan);
    const phases = plan.phases(siteOf(net));
    const recipe = { epochs: 3 };
    const [short, long] = [undefined, [2]].map((moreEpochs) =>
      layOut(tunePhases(phases, moreEpochs ? { moreEpochs } : {}), recipe, 4),
    ) as [ReturnType<typeof layOut>, ReturnType<typeof layOut>];
    for (const [i, { first, steps, course, lr }] of short.entries()) {
      const there = long[i]!;
      assert.equal([there.first, there.steps, there.course], [first, steps, course]);
      for (let s = 0; s < steps; s++) assert.is(there.lr(s), lr(s));
    }
    const [ended, more] = [lastOf(short), lastOf(long)];
    for (const track of more.phase.tracks) {
      const told = (span: typeof more, s: number) => epochNumbers(track, 3, span.epochAt(s));
      const end = told(ended, ended.steps - 1);
      assert.equal([told(more, 0), told(more, more.steps - 1)], [end, end]);
    }
    if (phases.length === 1 && !phases[0].prepare) return;
    const atOnce = await after(plan, { moreEpochs: [1] });
    const { store } = storeOf();
    await after(plan, { store });
    assert.equal(await after(plan, { store, moreEpochs: [1] }), atOnce);
  });
}

/** What checkpoints hold before and after one epoch more. */
async function grown(name: string, options = {}) {
  const plan = Object.values(METHODS)
    .find((method) => method.name === name)!
    .with(options);
  const { store, last } = storeOf();
  await after(plan, { store });
  const before = await last();
  await after(plan, { store, moreEpochs: [1] });
  return { before, now: await last() };
}

const stateOf = (tensors: ReadonlyMap<string, StoredTensor>, name: string): number[] =>
  Array.from(tensors.get(name)!.data, Number);

test("numbers that move in a phase move on: the weighing network's steps, the temperature", async () => {
  const weigher = await grown("l2w-den");
  assert.equal([stateOf(weigher.before, "numbers.steps"), stateOf(weigher.now, "numbers.steps")], [[4], [8]]);
  const sure = await grown("phuong-lampert", { sureness: 0, growth: 2 });
  assert.equal([stateOf(sure.before, "numbers.temperature"), stateOf(sure.now, "numbers.temperature")], [[16], [256]]);
  const certified = await grown("certified-cgt");
  assert.equal(stateOf(certified.now, "numbers.tau"), stateOf(certified.before, "numbers.tau"));
});

test("IMTA's second stage goes on: its classifiers stay, and so does the first stage's network, which teaches", async () => {
  const { before, now } = await grown("imta");
  const taught = [...before.keys()].filter((name) => name.startsWith("teacher."));
  assert.ok(taught.length > 0);
  for (const name of taught) assert.equal(stateOf(now, name), stateOf(before, name), name);
  for (const name of before.keys())
    if (name.startsWith("net.backbone.conv1")) assert.equal(stateOf(now, name), stateOf(before, name), name);
});

test("behind a phase that draws, prepares and copies, nothing of it is done again", async () => {
  let prepared = 0;
  const plan = defineMethod({
    name: "starting",
    about: "a test's",
    options: {},
    teacher: () => ({ kind: "self" }),
    phases: (_, site) => [
      {
        name: "first",
        isTaught: false,
        tracks: [{ loss: (seen) => weighExits(exitMeans(exitCrossEntropy(seen, 0)), seen.exitWeights) }],
      },
      {
        name: "second",
        anew: (name) => !trunk(site)(name),
        prepare: async () => {
          prepared += 1;
          return { scale: { data: Float32Array.of(0), shape: [] } };
        },
        // The scale is 0: whatever the phase does to weights is drawing them.
        tracks: [
          {
            loss: (seen) =>
              weighExits(exitMeans(exitCrossEntropy(seen, 0)), seen.exitWeights).mul(seen.numbers["scale"]!),
          },
        ],
      },
    ],
  }).with();
  const { store, last } = storeOf();
  const still = { optimizer: { weightDecay: 0 } };
  await after(plan, { store, ...still });
  const before = await last();
  await after(plan, { store, ...still, moreEpochs: [1, 1] });
  assert.is(prepared, 1);
  const now = await last();
  for (const name of before.keys())
    if (!/running|random|optimizer/.test(name)) assert.equal(stateOf(now, name), stateOf(before, name), name);
});
