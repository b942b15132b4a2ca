// Every method of the list, on few glyphs: it learns, what it freezes stays, its teacher is another network, a run that
// is stopped in any of its phases goes on to the same bits, and its network decides on the device as on the table.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createTable } from "../../calibration/index.ts";
import { glyphs } from "../../data/index.ts";
import { backward, Generator, randn, readSafetensors, type Tensor, tensor } from "../../engine/index.ts";
import {
  type Attack,
  buildNetwork,
  deploy,
  Evaluator,
  joint,
  METHODS,
  type MultiExit,
  type Numbers,
  type Phase,
  type Progress,
  RUN_FILES,
  type Run,
  stackRecords,
  type Track,
  type TrainingPlan,
  type TrainOptions,
  toTable,
  train,
} from "../../exits/index.ts";
import { attacked } from "../../exits/training/attack.ts";
import { siteOf } from "../../exits/training/site.ts";
import { makeTeacher, type TeacherRun } from "../../exits/training/teachers.ts";
import { TRAIN } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf } from "../harness.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-methods-"));
const test = gpuSuite("exits: all methods", { timeout: 240_000 });
test.after(() => rmSync(folder, { recursive: true }));

/** Ten steps an epoch. */
const data = glyphs({ train: 160, validation: 64, calibration: 64, test: 64, seed: 3 });
const quiet = { epochs: 2, batch: 16, schedule: { warmup: 5 }, optimizer: { lr: 0.05 }, report: () => {} } as const;

function networkOf({ wraps }: Pick<TrainingPlan, "wraps">, seed = 5, widths = [4, 8, 12]): MultiExit {
  const options = { depth: 8, widths };
  const names = wraps.map(({ name }) => name);
  const shape = { input: data.train.shape, classes: 10, exits: ["stage1", "stage2"] };
  return buildNetwork({ backbone: "resnet", options, ...shape, wraps: names }, { seed });
}

async function valuesOf(net: MultiExit): Promise<Map<string, string>> {
  const named = [...net.state()].map(async ([name, tensor]) => [name, (await tensor.read()).join()] as const);
  return new Map(await Promise.all(named));
}

/** The larger network that methods learn from; they leave it as it is. */
let larger: MultiExit;
test.before(async () => {
  larger = networkOf({ wraps: [] }, 9, [8, 16, 24]);
  (await train(larger, data, { ...quiet, epochs: 1, method: joint })).dispose();
});
test.after(() => larger?.dispose());

const teacherOf = ({ teacher }: TrainingPlan): MultiExit | undefined =>
  teacher?.kind === "network" ? larger : undefined;

/** Which tensors a phase may change, by name: what it trains or fits, and statistics of norms that it trains. */
function mayChange({ tracks, fits }: Phase, net: MultiExit): (name: string) => boolean {
  const parameters = [...net.namedParameters().keys()];
  const trained = parameters.filter(
    (name) => (fits?.part(name) ?? false) || tracks.some(({ trains }) => trains?.(name) ?? true),
  );
  const moduleOf = (name: string) => name.slice(0, name.lastIndexOf("."));
  const modules = new Set(trained.map(moduleOf));
  return (name) => (net.namedBuffers().has(name) ? modules.has(moduleOf(name)) : trained.includes(name));
}

interface Watched {
  readonly phases: readonly Phase[];
  readonly values: readonly Map<string, string>[];
  readonly events: readonly Progress[];
  readonly run: Run;
}

/** A run, with all values before each phase and after the last. */
async function watch(plan: TrainingPlan, net: MultiExit, options: Partial<TrainOptions>): Promise<Watched> {
  const phases = plan.phases(siteOf(net));
  const values: Map<string, string>[] = [];
  const events: Progress[] = [];
  const watched = phases.map(
    (phase): Phase => ({
      ...phase,
      prepare: async (soFar) => {
        values.push(await valuesOf(net));
        return phase.prepare?.(soFar) ?? {};
      },
    }),
  ) as unknown as readonly [Phase];
  const report = (event: Progress) => void events.push(event);
  const method = { ...plan, phases: () => watched };
  const run = await train(net, data, { ...quiet, ...options, report, logEvery: 1, method });
  values.push(await valuesOf(net));
  return { phases, values, events, run };
}

/** Steps in the middle of each phase. */
function middles(phases: readonly Phase[]): readonly number[] {
  let first = 0;
  return phases.map(({ share = 1, epochs = share * quiet.epochs }) => {
    const steps = Math.max(1, Math.round(epochs * 10));
    first += steps;
    return first - Math.ceil(steps / 2);
  });
}

/** All values at the end of a run that is stopped at each of some steps, and goes on with another network each time. */
async function stopped(
  plan: TrainingPlan,
  teacher: MultiExit | undefined,
  at: readonly number[],
): Promise<Map<string, string>> {
  const dir = join(folder, `${plan.name}-stopped`);
  const options = { ...quiet, method: plan, dir, logEvery: 1, ...(teacher && { teacher }) };
  for (const step of at) {
    const halt = new AbortController();
    const report = (event: Progress) => {
      if (event.kind === "train" && event.step >= step) halt.abort();
    };
    using net = networkOf(plan);
    const { message } = await errorOf(() => train(net, data, { ...options, report, signal: halt.signal }));
    assert.match(message, /it was stopped at step/);
  }
  using net = networkOf(plan);
  (await train(net, data, options)).dispose();
  return await valuesOf(net);
}

/** Checks that a network decides on the device as on the table of its logits. */
async function checkDevice(net: MultiExit, run: Run): Promise<void> {
  const { logits, labels, ids, macs } = await run.cachedLogits("test");
  const table = createTable({ shape: [64, 3, 10], logits, labels, ids: [...ids], macs });
  const rows = table.read(0, 64);
  const sure = (i: number, j: number) => {
    const z = Array.from({ length: 10 }, (_, c) => rows[(i * 3 + j) * 10 + c]!);
    const top = Math.max(...z);
    return { at: z.indexOf(top), p: 1 / z.reduce((sum, x) => sum + Math.exp(x - top), 0) };
  };
  // In the widest gap about the middle: the device raises thresholds by what rounding may do.
  const middle = (j: number) => {
    const all = Array.from({ length: 64 }, (_, i) => sure(i, j).p).sort((a, b) => a - b);
    const gap = (i: number) => all[i + 1]! - all[i]!;
    const widest = Array.from({ length: 32 }, (_, i) => i + 16).reduce((best, i) => (gap(i) > gap(best) ? i : best));
    return all[widest]! + gap(widest) / 2;
  };
  const thresholds = [middle(0), middle(1)];
  const classifier = await deploy(net, { thresholds }, { normalise: data.test.meta, route: ["compact", "compact"] });
  const { classes, exits } = await classifier.classify(data.test.images);
  for (let i = 0; i < 64; i++) {
    const leaves = thresholds.findIndex((threshold, j) => sure(i, j).p >= threshold);
    const exit = leaves < 0 ? 2 : leaves;
    assert.equal([exits[i], classes[i]], [exit, sure(i, exit).at], `sample ${i}`);
  }
  classifier.dispose();
}

/** What a phase prepares for its losses, of a network as it is. */
async function numbersOf({ prepare }: Phase, net: MultiExit): Promise<Record<string, Tensor>> {
  const logits = async (split: "train" | "validation") => {
    const set = data[split];
    using evaluator = await Evaluator.record(net, set);
    const { labels, ids, size } = set;
    const said = await evaluator.logits(set);
    return toTable({ shape: [size, net.exits, net.classes], logits: said, labels, ids, macs: net.macs() });
  };
  const made: Numbers = (await prepare?.({ logits })) ?? {};
  return Object.fromEntries(Object.entries(made).map(([name, { data, shape }]) => [name, tensor(data, { shape })]));
}

interface Subject {
  readonly net: MultiExit;
  readonly track: Track;
  readonly numbers: Record<string, Tensor>;
  readonly teacher: TeacherRun | undefined;
  readonly images: Tensor;
}

/** Attacked images, as a step makes them. */
function fooling(net: MultiExit, images: Tensor, labels: Tensor, attack: Attack): Tensor {
  const generator = new Generator({ seed: 2 });
  try {
    return attacked(net, images, labels, attack, { ...data.train.meta, generator });
  } finally {
    generator.dispose();
  }
}

/** The loss of a track on a batch, under these exit weights. */
function lossOf({ net, track, numbers, teacher, images }: Subject, exitWeights: readonly number[]): Tensor {
  const { trains, equilibrium = false, attack } = track;
  const say = (x: Tensor) => net.records(x, TRAIN, { equilibrium, ...(trains && { trains }) });
  const labels = tensor(Int32Array.from({ length: images.shape[0]! }, (_, i) => (7 * i) % 10));
  const exits = say(images);
  const out = stackRecords(exits);
  return track.loss({
    logits: out.logits,
    out,
    exits,
    labels,
    attacked: attack && stackRecords(say(fooling(net, images, labels, attack))).logits,
    exitWeights: tensor(Float32Array.from(exitWeights)),
    teacher: teacher?.logits(images),
    numbers,
  });
}

/** Parameters of the answers of other exits than this one that got a gradient, other than nil. */
async function reached(net: MultiExit, exit: number): Promise<readonly string[]> {
  const found = await Promise.all(
    [...net.namedParameters()].map(async ([name, parameter]) => {
      const place = net.placeOf(name);
      if (!place.isHead || place.exit === exit || !parameter.hasGrad) return [];
      return (await parameter.grad.read()).some((value) => value !== 0) ? [name] : [];
    }),
  );
  return found.flat();
}

const alone = (net: MultiExit, exit: number): number[] =>
  Array.from({ length: net.exits }, (_, j) => Number(j === exit));

for (const [name, method] of Object.entries(METHODS)) {
  const plan = method.with();

  test(`${name}: learns, freezes what it says, resumes in every phase, and decides on the device as on the table`, async () => {
    const teacher = teacherOf(plan);
    const taught = teacher && (await valuesOf(teacher));
    using net = networkOf(plan);
    const dir = join(folder, name);
    const { phases, values, events, run } = await watch(plan, net, { dir, ...(teacher && { teacher }) });
    const rows = events.filter((event) => event.kind === "train");
    assert.ok(rows.every(({ loss }) => Number.isFinite(loss)));
    const error = ({ exits }: (typeof rows)[number]) => exits.reduce((sum, { loss }) => sum + loss, 0);
    assert.ok(error(rows.at(-1)!) < error(rows[0]!), `${name}: from ${error(rows[0]!)} to ${error(rows.at(-1)!)}`);
    for (const [i, phase] of phases.entries()) {
      const may = mayChange(phase, net);
      for (const [tensor, before] of values[i]!)
        assert.ok(may(tensor) || values[i + 1]!.get(tensor) === before, `${phase.name} changed ${tensor}`);
      assert.not.equal(values[i + 1], values[i], `${phase.name} changes nothing`);
    }
    if (taught) assert.equal(await valuesOf(teacher!), taught);
    if (plan.teacher && !teacher) {
      const { tensors } = await readSafetensors(join(dir, RUN_FILES.last));
      const own = [...tensors].filter(([tensor]) => tensor.startsWith("teacher."));
      assert.is(own.length, net.state().size);
      assert.ok(own.some(([tensor, { data: held }]) => held.join() !== values.at(-1)!.get(tensor.slice(8))));
    }
    await checkDevice(net, run);
    run.dispose();
    assert.equal(await stopped(plan, teacher, middles(phases)), values.at(-1));
  });

  test(`${name}: its teacher is another network, and neither that nor a gate has a gradient`, async () => {
    // Without the share that gates leave to every exit, an exit that counts nothing has no way into the loss but by a
    // gate or as a teacher.
    const strict = method.with({ ...("leak" in method.options && { leak: 0 }) });
    using net = networkOf(strict);
    const given = teacherOf(strict);
    const teacher = await makeTeacher(strict, net, given, data.validation);
    teacher?.refresh?.();
    // What its own training left.
    for (const parameter of given?.parameters() ?? []) parameter.zeroGrad();
    const images = randn([12, ...data.train.shape], { seed: 4 }).detach();
    for (const phase of strict.phases(siteOf(net))) {
      const numbers = await numbersOf(phase, net);
      for (const track of phase.tracks) {
        const subject = { net, track, numbers, teacher, images };
        // Heads that look at others pass a gradient on, and some methods weigh exits by themselves.
        const isWeighed = strict.wraps.length === 0 && (await lossOf(subject, [0, 0, 0]).item()) === 0;
        for (let exit = 0; exit < net.exits; exit++) {
          for (const parameter of net.parameters()) parameter.zeroGrad();
          const loss = lossOf(subject, alone(net, exit));
          if (!loss.isDifferentiable) continue;
          backward(loss);
          if (isWeighed) assert.equal(await reached(net, exit), [], `${phase.name}: exit ${exit} alone`);
        }
      }
    }
    const ofTeacher = [...(teacher?.state.values() ?? []), ...(given?.parameters() ?? [])];
    assert.ok(ofTeacher.every((each) => !each.hasGrad));
    const before = teacher && (await teacher.logits(images).read());
    for (const each of net.state().values()) each.write((await each.read()).map((value) => value + 0.5));
    if (teacher) assert.equal(await teacher.logits(images).read(), before);
    teacher?.dispose();
  });
}
