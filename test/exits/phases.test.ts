// Runs in phases: what is frozen stays as it is, what is kept gives what is computed anew, teachers are other networks,
// and a run that is stopped in any phase goes on to the same bits.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backward, crossEntropy, mean, randn, readSafetensors, type Tensor, zeros } from "../../engine/index.ts";
import {
  branches,
  defineMethod,
  exitCrossEntropy,
  exitMeans,
  HEADS,
  type HeadChoice,
  type HeadWrap,
  type ImageSet,
  type ImageSplits,
  kd,
  type MultiExit,
  multiExit,
  only,
  option,
  type Phase,
  type Progress,
  type Seen,
  safeKd,
  stackRecords,
  type TrainOptions,
  train,
  trunk,
  weighExits,
} from "../../exits/index.ts";
import { additive } from "../../exits/network/heads/additive.ts";
import { cascaded } from "../../exits/network/heads/cascaded.ts";
import { confident } from "../../exits/network/heads/confident.ts";
import { ensembled } from "../../exits/network/heads/ensembled.ts";
import { gated } from "../../exits/network/heads/gated.ts";
import { hinted } from "../../exits/network/heads/hinted.ts";
import { inline } from "../../exits/network/heads/inline.ts";
import { wrapOf } from "../../exits/network/heads/wraps.ts";
import { siteOf } from "../../exits/training/site.ts";
import { EVAL, resnet, TRAIN } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { barSplits, joint, quiet, smallNet, weightsAfter } from "./small.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-phases-"));
const test = gpuSuite("exits: phases", { timeout: 120_000 });
test.after(() => rmSync(folder, { recursive: true }));

const weighted = (seen: Seen): Tensor => weighExits(exitMeans(exitCrossEntropy(seen, 0)), seen.exitWeights);
const adam = { optimizer: { method: "adam", lr: 0.01, weightDecay: 0 } } as const;

/** Trunk, then heads under a threshold that was found in between; then gates and heads in turn. */
const staged = defineMethod({
  name: "staged",
  about: "a test's",
  options: { every: option.whole(1, "steps of a turn", { min: 1 }) },
  wraps: () => [gated()],
  phases: ({ every }, site) => [
    { name: "trunk", tracks: [{ trains: trunk(site), loss: weighted, exitWeights: () => [0, 0, 1] }] },
    {
      name: "heads",
      share: 1.5,
      recipe: adam,
      tracks: [{ trains: branches(site), loss: (seen) => weighted(seen).mul(seen.numbers["scale"] as Tensor) }],
      prepare: async (soFar) => {
        const { samples } = await soFar.logits("validation");
        return { scale: { data: Float32Array.of(samples / 20), shape: [] } };
      },
    },
    {
      name: "in turn",
      recipe: adam,
      every,
      tracks: [
        {
          trains: only("gate"),
          loss: ({ out }) => mean((out["confidence"] as Tensor).mul(out["confidence"] as Tensor)),
        },
        { trains: (name) => branches(site)(name) && !only("gate")(name), loss: weighted },
      ],
    },
  ],
});

const withWraps = (wraps: readonly HeadWrap[], seed = 1, head: HeadChoice = "gap-linear"): MultiExit =>
  multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 8], seed }), {
    after: ["stage1", "stage2"],
    head,
    wraps,
    seed,
  });

const run = { ...quiet, method: staged, flip: 0.5, logEvery: 1 } as const;

async function valuesOf(net: MultiExit, part: (name: string) => boolean = () => true): Promise<number[][]> {
  const chosen = [...net.state()].filter(([name]) => part(name));
  return Promise.all(chosen.map(async ([, tensor]) => [...(await tensor.read())]));
}

/** All values after a run, and after each of its phases those of a part. */
async function after(options: Partial<TrainOptions> = {}, net = withWraps(staged.with().wraps)): Promise<number[][]> {
  try {
    (await train(net, barSplits(), { ...run, ...options })).dispose();
    return await valuesOf(net);
  } finally {
    net.dispose();
  }
}

test("what a phase does not train stays as it is to the bit, statistics too", async () => {
  const parts = { trunk: trunk({ exits: 3 }), heads: branches({ exits: 3 }) };
  const kept: Record<string, number[][]> = {};
  const net = withWraps(staged.with().wraps, 1, HEADS["conv-pool-linear"]);
  const before = await valuesOf(net, parts.heads);
  const phases: Phase[] = staged.with().phases(siteOf(net)).slice() as Phase[];
  const spied = phases.map((phase, i) => ({
    ...phase,
    prepare: async (soFar: Parameters<NonNullable<Phase["prepare"]>>[0]) => {
      kept[`trunk${i}`] = await valuesOf(net, parts.trunk);
      kept[`heads${i}`] = await valuesOf(net, parts.heads);
      return phase.prepare?.(soFar) ?? {};
    },
  })) as unknown as readonly [Phase];
  const plan = { ...staged.with(), phases: () => spied };
  (await train(net, barSplits(), { ...run, method: plan })).dispose();
  assert.equal(kept["heads1"], before);
  assert.not.equal(kept["trunk1"], kept["trunk0"]);
  assert.equal(await valuesOf(net, parts.trunk), kept["trunk1"]);
  assert.not.equal(kept["heads2"], before);
  assert.not.equal(await valuesOf(net, parts.heads), kept["heads2"]);
  net.dispose();
});

test("features that are kept, mirrored ones too, train what features that are computed anew do", async () => {
  const [kept, anew] = [await after(), await after({ keepBytes: 0 })];
  for (const [i, values] of kept.entries())
    for (const [k, x] of values.entries())
      assert.ok(Math.abs(x - anew[i]![k]!) < 1e-5, `tensor ${i}: ${x}, ${anew[i]![k]}`);
});

/** Steps: 8, 12 and 8. */
for (const stop of [3, 7, 8, 13, 19, 20, 21, 26]) {
  test(`stopped after step ${stop} of 28 and taken up again, a run ends with the same bits`, async () => {
    const dir = join(folder, String(stop));
    const halt = new AbortController();
    const report = (event: Progress) => {
      if (event.kind === "train" && event.step === stop) halt.abort();
    };
    const whole = await undisturbed();
    const { message } = await errorOf(() => after({ dir, report, signal: halt.signal }));
    assert.match(message, /it was stopped at step/);
    assert.equal(await after({ dir }), whole);
  });
}

let whole: Promise<number[][]> | undefined;
const undisturbed = () => (whole ??= after());

test("an averaged teacher is a copy, and becomes the average of the network", async () => {
  const dir = join(folder, "average");
  const net = smallNet(1);
  const method = safeKd.with({ emaDecay: 0 });
  (await train(net, barSplits(), { ...quiet, method, epochs: 1, dir })).dispose();
  const { tensors } = await readSafetensors(join(dir, "last.safetensors"));
  const own = [...tensors].filter(([name]) => name.startsWith("net."));
  for (const [name, { data }] of own)
    assert.equal([...tensors.get(name.replace("net.", "teacher."))!.data], [...data], name);
  net.dispose();
  const slow = smallNet(1);
  const first = await valuesOf(slow);
  const other = join(folder, "slow");
  (
    await train(slow, barSplits(), { ...quiet, method: safeKd.with({ emaDecay: 1 - 2 ** -24 }), epochs: 1, dir: other })
  ).dispose();
  const left = [...(await readSafetensors(join(other, "last.safetensors"))).tensors].filter(([n]) =>
    n.startsWith("teacher."),
  );
  left.forEach(([name, { data }], i) => {
    for (const [k, x] of Array.from(data, Number).entries()) assert.ok(Math.abs(x - first[i]![k]!) < 1e-4, name);
  });
  slow.dispose();
});

const pupil = defineMethod({
  name: "pupil",
  about: "a test's",
  options: {},
  teacher: () => ({ kind: "network", method: "joint", wider: 2, deeper: 2 }),
  phases: () => [
    {
      name: "training",
      tracks: [{ loss: ({ logits, teacher }) => mean(kd(logits, teacher as Tensor, { temperature: 2 })) }],
    },
  ],
});

test("a teacher that is given stays as it is, and its answers are kept or computed", async () => {
  const teacher = smallNet(7);
  (await train(teacher, barSplits(), { ...quiet, method: joint })).dispose();
  const before = await valuesOf(teacher);
  const kept = await weightsAfter({ method: pupil.with(), teacher, flip: 0.5 });
  const anew = await weightsAfter({ method: pupil.with(), teacher, flip: 0.5, keepBytes: 0 });
  assert.equal(await valuesOf(teacher), before);
  for (const [i, values] of kept.entries())
    for (const [k, x] of values.entries()) assert.ok(Math.abs(x - anew[i]![k]!) < 1e-4, `tensor ${i}`);
  const dir = join(folder, "pupil");
  await weightsAfter({ method: pupil.with(), teacher, dir });
  const other = smallNet(8);
  const { message } = await errorOf(() => weightsAfter({ method: pupil.with(), teacher: other, dir }));
  assert.match(message, /must be of the same run; teacher "/);
  for (const net of [teacher, other]) net.dispose();
});

const selfTaught = defineMethod({
  name: "self-taught",
  about: "a test's",
  options: {},
  teacher: () => ({ kind: "self" }),
  phases: () =>
    (["one", "two"] as const).map((name) => ({
      name,
      tracks: [
        {
          loss: (seen: Seen) => mean(kd(seen.logits, seen.teacher as Tensor, { temperature: 2 })).add(weighted(seen)),
        },
      ],
    })) as unknown as readonly [Phase],
});

test("answers that were kept of the network as it was go when it is another: a resumed second phase has the same", async () => {
  const options = { method: selfTaught.with(), logEvery: 1, optimizer: { lr: 0.2 } };
  const whole = await weightsAfter(options);
  const dir = join(folder, "self-taught");
  const halt = new AbortController();
  const report = (event: Progress) => {
    if (event.kind === "train" && event.step === 10) halt.abort();
  };
  assert.match(
    (await errorOf(() => weightsAfter({ ...options, dir, report, signal: halt.signal }))).message,
    /stopped/,
  );
  assert.equal(await weightsAfter({ ...options, dir }), whole);
});

test("a taught run takes image sets that read their parts as they are asked for", async () => {
  const plain = barSplits();
  // Nothing of their own: all that they say is asked of another.
  const [learning, watching]: ImageSet[] = [Object.create(plain.train), Object.create(plain.validation)];
  const [net, teacher] = [smallNet(), smallNet(3)];
  (
    await train(net, { ...plain, train: learning!, validation: watching! } as ImageSplits, {
      ...quiet,
      method: pupil,
      teacher,
    })
  ).dispose();
  for (const each of [net, teacher]) each.dispose();
});

test("an optimiser and a schedule are given with their options", async () => {
  const net = smallNet();
  for (const [name, value] of Object.entries({ optimizer: "adamw", schedule: null }))
    await failsWith(
      () => train(net, barSplits(), { ...quiet, method: joint, [name]: value }),
      "ArgumentError",
      `train: ${name} must be an object of options; got ${JSON.stringify(value)}.`,
    );
  net.dispose();
});

test("teachers that do not fit are refused", async () => {
  const net = smallNet();
  const refuses = (teacher: MultiExit | undefined, message: string, method = pupil.with()) =>
    failsWith(
      () => train(net, barSplits(), { ...quiet, method, ...(teacher && { teacher }) }),
      "ArgumentError",
      message,
    );
  await refuses(
    undefined,
    "train: pupil learns from a larger network; got none. Train one with as many exits, and pass it as { teacher }.",
  );
  await refuses(net, "train: the teacher of pupil must be another network; got the one that is trained.");
  const two = multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 8], seed: 2 }), {
    after: ["stage1"],
  });
  await refuses(two, "train: the teacher of pupil must have 3 exits, as its student; got 2.");
  const five = multiExit(resnet({ depth: 8, classes: 5, input: [8, 8, 1], widths: [4, 8, 8], seed: 2 }), {
    after: ["stage1", "stage2"],
  });
  await refuses(five, "train: the teacher of pupil must have 4 classes, as its student; got 5.");
  const sick = smallNet(3);
  sick.parameters().at(-1)!.write(new Float32Array(4).fill(Number.NaN));
  await failsWith(
    () => train(net, barSplits(), { ...quiet, method: pupil, teacher: sick }),
    "TrainingError",
    "train: the teacher's logits must be finite; got NaN. Train it again, at a lower rate.",
  );
  await refuses(
    smallNet(4),
    "train: a teacher must be wanted; joint learns from none that is given. Leave it out.",
    joint,
  );
  await failsWith(
    () => train(net, barSplits(), { ...quiet, method: staged }),
    "ArgumentError",
    "train: staged needs heads that are gated; the network has plain heads. Pass { wraps: method.with(options).wraps } to multiExit.",
  );
  for (const made of [net, two, five, sick]) made.dispose();
});

test("the network itself, as it was when the phase began, may teach", async () => {
  const net = smallNet(5);
  const first = await valuesOf(net);
  const itself = { ...pupil.with(), name: "itself", teacher: { kind: "self" } as const };
  const dir = join(folder, "self");
  (await train(net, barSplits(), { ...quiet, method: itself, epochs: 1, dir })).dispose();
  const { tensors } = await readSafetensors(join(dir, "last.safetensors"));
  assert.not.equal(await valuesOf(net), first);
  assert.equal(
    [...net.state().keys()].map((name) => [...tensors.get(`teacher.${name}`)!.data]),
    first,
  );
  net.dispose();
});

const WRAPS: Readonly<Record<string, () => HeadWrap>> = {
  additive: () => additive(0.5),
  cascaded,
  confident,
  ensembled,
  gated,
  hinted,
  inline,
};

for (const [name, wrap] of Object.entries(WRAPS)) {
  test(`heads that are ${name}: exits look back, records are whole, features give what images do`, async () => {
    const net = withWraps([wrap()]);
    const x = randn([5, 8, 8, 1], { seed: 3 });
    const records = net.records(x, EVAL);
    assert.equal(
      records.map(({ logits }) => logits.shape),
      [
        [5, 4],
        [5, 4],
        [5, 4],
      ],
    );
    const again = net.recordsOf(net.views(x, EVAL), EVAL);
    for (const [j, record] of records.entries()) {
      assert.equal(Object.keys(again[j]!), Object.keys(record));
      for (const [field, tensor] of Object.entries(record))
        assert.equal([...(await again[j]![field]!.read())], [...(await tensor.read())]);
    }
    const said = ["confident", "gated"].includes(name);
    assert.equal(
      records.map((record) => "confidence" in record),
      [said, said, false],
    );
    assert.ok(net.describe().every(({ macs }) => macs > 0));
    const loss = mean(
      crossEntropy(stackRecords(net.records(x, TRAIN)).logits.reshape([15, 4]), zeros([15], { dtype: "i32" })),
    );
    backward(loss);
    const lost = [...net.namedParameters()].filter(([, p]) => !p.hasGrad).map(([parameter]) => parameter);
    assert.ok(
      lost.every((parameter) => /\.(gate|trust|adapter)\./.test(parameter)),
      lost.join(),
    );
    net.dispose();
  });
}

test("additive heads add half of what was said, cascaded ones listen to their neighbour without a gradient", async () => {
  const net = withWraps([additive(0.5)]);
  const x = randn([3, 8, 8, 1], { seed: 3 });
  const [first, second, third] = net.records(x, EVAL);
  const values = async (tensor: Tensor | undefined) => [...(await tensor!.read())];
  for (const [before, after] of [
    [first, second],
    [second, third],
  ] as const) {
    const [sum, own, half] = await Promise.all([values(after!.logits), values(after!["own"]), values(before!.logits)]);
    for (const [i, y] of sum.entries()) assert.ok(Math.abs(y - (own[i]! + 0.5 * half[i]!)) < 1e-6);
  }
  net.dispose();
  const listening = withWraps([cascaded()]);
  backward(mean(listening.records(x, EVAL)[1]!.logits));
  const weight = listening.namedParameters().get("heads.0.inner.linear.weight")!;
  assert.not(weight.hasGrad);
  listening.dispose();
});

test("what heads read of earlier exits is known through what stands around them", () => {
  for (const [wraps, of, fields, from] of [
    [[gated(), cascaded()], 1, ["own"], 0],
    [[gated(), cascaded()], 2, [], 2],
    [[additive(0.5), gated()], 2, ["logits"], 1],
    [[inline(), ensembled()], 1, ["own", "logits"], 0],
  ] as const) {
    const net = withWraps(wraps);
    assert.equal(net.readsOf(of), { fields: [...fields], from });
    net.dispose();
  }
});

test("a name makes what stands around heads, and no other does", async () => {
  for (const name of ["cascaded", "additive(0.5)", "gated"]) assert.is(wrapOf(name).name, name);
  for (const name of ["cascade", "additive(x)", "gated(2)", "toString"]) {
    const error = await errorOf(() => wrapOf(name));
    assert.match(`${error.name}: ${error.message}`, /^ArgumentError: buildNetwork: wraps must be some of /);
  }
});
