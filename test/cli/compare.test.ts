// Methods held against each other: the plan and its runs, what is trained once for several, corruptions, failures.

import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { relativeError } from "../../cli/compare/corruption-sheets.ts";
import { readSafetensors } from "../../engine/index.ts";
import { lockFolder } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { run as sortie } from "./command-line.ts";
import { writeRun } from "./synthetic-run.ts";
import { written } from "./written.ts";

const out = mkdtempSync(join(tmpdir(), "sortie-compare-"));

const gpu = gpuSuite("cli compare", { timeout: 120_000 });
gpu.after(() => rmSync(out, { recursive: true }));

const SMALL = [
  ...["--data.train", "256", "--data.validation", "100", "--data.calibration", "200", "--data.test", "100"],
  ...["--model.widths", "4,4,8", "--batch", "64", "--train.warmup", "2", "--epochs", "1"],
];
const plan = join(out, "plan.json");

gpu("a plan is trained once, compared, and found finished when it is asked for again", async () => {
  const steep = { label: "steep", name: "soft-cgt", kappa: 10 };
  writeFileSync(plan, JSON.stringify({ methods: ["joint", steep], settings: { calibration: { alpha: 0.97 } } }));
  const args = ["compare", "--config", plan, "--out", join(out, "runs"), "--seeds", "3", ...SMALL];
  const listed = await sortie(...args, "--list");
  assert.match(listed.text, /^2 runs:\n {3}1 {2}glyphs-resnet-joint-seed3 {2}1 epochs {2}to do\n/);
  assert.not(existsSync(join(out, "runs")), "a list makes nothing");

  const one = await sortie(...args, "--index", "2");
  assert.is(one.code, 0, one.text);
  assert.equal(
    [1, 2].map((i) => existsSync(join(out, "runs", `glyphs-resnet-${["", "joint", "steep"][i]}-seed3`))),
    [false, true],
  );
  assert.not(existsSync(join(out, "runs", "comparison.json")));

  const { code, text } = await sortie(...args);
  assert.is(code, 0, text);
  assert.match(text, /about \d+ min/, "what is left is foretold by what has ended");
  assert.match(
    readFileSync(join(out, "runs", "comparison.md"), "utf8"),
    /steep-seed3 .*\| kappa 10, normalise false, .* \|/,
  );
  const { runs, against, failures, settings } = written(join(out, "runs"));
  assert.equal([runs.map(({ method }) => method), against, failures], [["joint", "steep"], "joint", []]);
  for (const run of runs) {
    assert.is(run.dir, `glyphs-resnet-${run.method}-seed3`);
    assert.equal([run.exits.length, run.samples, run.classes, run.seed], [3, 100, 10, 3]);
    assert.ok(run.area > 0 && run.area < 1 && run.near.cost <= 1);
    assert.ok(run.timing!.whole > 0 && run.timing!.images === 100);
    assert.ok(run.certified, "alpha 0.97 certifies");
  }
  const page = readFileSync(join(out, "runs", "comparison.html"), "utf8");
  assert.ok(page.includes("<svg") && !page.includes("<script"));
  for (const title of ["Accuracy and cost", "Against joint", "Certified", "Measured time", "Every run"])
    assert.ok(page.includes(`<h2>${title}</h2>`), title);
  assert.match(text, /\n {20,}seed +exits, % +area, % +certified +its cost\nglyphs resnet joint +3 +\d/);
  const [joint, steepest] = settings;
  assert.equal([joint!.differences, joint!.seeds], [undefined, [3]]);
  assert.is(steepest!.differences!["area"]!.mean, runs[1]!.area - runs[0]!.area);
  const settled = JSON.parse(readFileSync(join(out, "runs", "glyphs-resnet-steep-seed3", "config.json"), "utf8"));
  assert.is(settled.method.kappa, 10);

  const again = await sortie(...args);
  assert.match(again.text, /all are trained\n/);
  assert.not(/training: /.test(again.text));
  assert.equal(written(join(out, "runs")).runs, runs);

  // Another policy is timed again, and so is that of the plan, which comes back.
  const other = join(out, "runs", "glyphs-resnet-steep-seed3");
  assert.is((await sortie("calibrate", other, "--alpha", "0.96")).code, 0);
  assert.is((await sortie("compare", other, "--out", join(out, "other"))).code, 0);
  const [timed] = written(join(out, "other")).runs.map((run) => run.timing!);
  const stamp = runs[1]!.timing!.stamp!;
  assert.is(timed!.stamp!.weights, stamp.weights);
  assert.not.equal(timed!.stamp!.policy, stamp.policy);
  assert.is((await sortie(...args)).code, 0);
  const back = written(join(out, "runs")).runs;
  assert.equal([back[0], back[1]!.timing!.stamp], [runs[0], stamp]);
  assert.equal({ ...back[1], timing: undefined }, { ...runs[1], timing: undefined });
});

gpu(
  "runs that another comparison tells of are taken over, by their settings, and what is finished is told",
  async () => {
    const before = written(join(out, "runs"));
    const known = join(out, "known.json");
    copyFileSync(join(out, "runs", "comparison.json"), known);
    const elsewhere = join(out, "elsewhere");
    const args = ["compare", "--config", plan, "--out", elsewhere, "--known", known, "--finished-only", ...SMALL];

    const { code, text } = await sortie(...args, "--seeds", "3");
    assert.is(code, 0, text);
    assert.match(text, /glyphs-resnet-joint-seed3 {2}1 epochs {2}known\n.*\nall are trained\n/);
    assert.not.match(text, /training: /);
    assert.equal({ ...written(elsewhere), open: 0 }, { ...before, open: 0 });
    assert.equal(readdirSync(elsewhere).sort(), ["comparison.html", "comparison.json", "comparison.md"]);

    const known3 = ["compare", "--config", plan, "--out", elsewhere, "--known", known, ...SMALL, "--seeds", "3"];
    assert.is((await sortie(...known3, "--index", "1")).code, 0);
    assert.not(existsSync(join(elsewhere, "glyphs-resnet-joint-seed3")), "what is known is not made by a job either");
    const more = await sortie(...args, "--seeds", "3,4");
    assert.is(more.code, 0, more.text);
    assert.match(more.text, /2 to train/);
    assert.match(readFileSync(join(elsewhere, "comparison.md"), "utf8"), "2 runs, 2 still to come");
    const others = await sortie(...args, "--seeds", "3", "--lr", "0.0123");
    assert.is(others.code, 1);
    assert.match(others.text, "none of the 2 runs came to its end");

    const untimed = before.runs.map((run) => ({ ...run, timing: undefined }));
    writeFileSync(known, JSON.stringify({ ...before, runs: untimed }));
    const asked = await sortie(...args, "--seeds", "3", "--corruptions");
    assert.is(asked.code, 0, asked.text);
    for (const what of ["measured times", "corruptions"])
      assert.match(asked.text, `known without ${what}, shown as -: `);

    const [joint] = before.runs;
    writeFileSync(known, JSON.stringify({ ...before, runs: [{ ...joint, near: { accuracy: "high", cost: 1 } }] }));
    const broken = await sortie(...args, "--seeds", "3");
    assert.is(broken.code, 1);
    assert.match(broken.text, `${known}.runs[0].near.accuracy must be a number`);
  },
);

gpu("the test images are corrupted too, once, and what comes of it is told of every run", async () => {
  const args = ["compare", "--config", plan, "--out", join(out, "runs"), "--seeds", "3", ...SMALL];
  const flags = ["--no-timing", "--corruptions", "--corruption-names", "frost,saturate", "--corruption-samples", "20"];
  const corrupted = await sortie(...args, ...flags);
  assert.is(corrupted.code, 0, corrupted.text);
  assert.is(corrupted.text.match(/test images are corrupted/g)?.length, 2);
  const found = written(join(out, "runs")).runs.map(({ corruptions }) => corruptions!);
  assert.equal(
    found.map(({ rows, samples, synthetic }) => [rows.length, samples, Object.keys(synthetic)]),
    [0, 1].map(() => [10, 20, ["frost"]]),
  );
  assert.is(relativeError(found[0]!, found[0]!), 1);
  const told = readFileSync(join(out, "runs", "comparison.md"), "utf8");
  for (const title of ["Corrupted images", "Accuracy under corruption", "ECE under corruption", "Promised risk under"])
    assert.match(told, `## ${title}`);
  assert.match(told, "frost (synthetic): ice drawn by code");
  assert.match(told, /\| joint(?: \(collapsed[^|]*\))? \| \d+\.\d \| 100\.0 \|/, "the reference's mCE");
  const known = await sortie(...args, ...flags);
  assert.not.match(known.text, "are corrupted");
  // Further ones stand beside them; under another policy all are looked at again.
  const one = join(out, "runs", "glyphs-resnet-joint-seed3");
  const few = ["--corruptions", "--corruption-samples", "20"];
  assert.is((await sortie("evaluate", one, ...few, "--corruption-names", "fog")).code, 0);
  const names = async () => {
    const { text } = await sortie("compare", one, "--no-timing", "--out", join(out, "one"));
    const [run] = written(join(out, "one")).runs;
    return [...new Set(run!.corruptions?.rows.map(({ name }) => name)), text].slice(0, -1);
  };
  assert.equal(await names(), ["frost", "fog", "saturate"]);
  assert.is((await sortie("calibrate", one, "--alpha", "0.96")).code, 0);
  assert.equal(await names(), []);
});

gpu("other levels, and further epochs, make runs unfinished again, and nothing of before is told of them", async () => {
  const args = ["compare", "--methods", "joint", "--out", join(out, "changed"), "--no-timing", ...SMALL];
  const folder = join(out, "changed", "glyphs-resnet-joint-seed1");
  const read = (name: string) => JSON.parse(readFileSync(join(folder, name), "utf8"));
  const of = async (...flags: string[]) => {
    const { code, text } = await sortie(...args, ...flags);
    assert.is(code, 0, text);
    return text;
  };
  await of("--alpha", "0.97");
  assert.is(read("policy.json").result.alpha, 0.97);
  assert.match(await of("--alpha", "0.95"), `${folder} was calibrated in another way than is planned`);
  assert.is(read("policy.json").result.alpha, 0.95);
  assert.match(readFileSync(join(out, "changed", "comparison.md"), "utf8"), "At most 95 % wrong");
  assert.is(read("config.json").calibration.alpha, 0.95);
  const weights = read("policy.json").result.origin.weights;
  assert.match((await sortie(...args, "--alpha", "0.95", "--more-epochs", "1", "--list")).text, "begun");
  await of("--alpha", "0.95", "--more-epochs", "1");
  const grown = read("policy.json").result.origin.weights;
  assert.not.equal(grown, weights);
  assert.match(await of("--alpha", "0.95", "--more-epochs", "1"), "all are trained");
  assert.is(read("policy.json").result.origin.weights, grown);
  // A policy of another run stops no comparison, and counts for nothing in it.
  copyFileSync(join(out, "runs", "glyphs-resnet-joint-seed3", "policy.json"), join(folder, "policy.json"));
  const { code, text } = await sortie("compare", folder, "--out", join(out, "foreign"));
  assert.is(code, 0, text);
  assert.match(text, "neither timed nor corrupted; its policy is of other weights");
  const [foreign] = written(join(out, "foreign")).runs;
  assert.equal([foreign!.certified, foreign!.timing], [undefined, undefined]);
  assert.match(foreign!.uncertified!, /^calibrated /);
});

gpu("a plain network is a row with nothing to certify, and sortie run comes to its end with it", async () => {
  const dir = join(out, "plain");
  const plain = { label: "plain", backbone: "resnet", exits: [] };
  const file = join(out, "plain.json");
  writeFileSync(file, JSON.stringify({ methods: ["joint"], backbones: [plain, "resnet"] }));
  const args = ["compare", "--config", file, "--out", dir, ...SMALL, "--alpha", "0.97"];
  const { code, text } = await sortie(...args);
  assert.is(code, 0, text);
  const [one, several] = written(dir).runs;
  assert.equal([one!.exits.length, one!.uncertified, one!.certified], [1, undefined, undefined]);
  assert.equal(one!.near, { accuracy: one!.exits[0]!.accuracy, cost: 1 });
  assert.ok(several!.certified);
  const [least] = written(dir).settings.map(({ measures }) => measures["certifiedCost"]!.mean);
  assert.is(least, 1);
  const again = await sortie(...args);
  assert.is(again.code, 0, again.text);
  assert.match(again.text, "all are trained");

  const folder = join(dir, "glyphs-plain-joint-seed1");
  const refused = await sortie("calibrate", folder);
  assert.is(refused.code, 1);
  assert.match(refused.text, `${folder} must have an early exit to find thresholds for; its network has one exit`);
  writeFileSync(file, JSON.stringify({ method: { name: "joint" }, model: { exits: [] } }));
  const whole = await sortie("run", "--config", file, "--out", dir, "--name", "whole", ...SMALL);
  assert.is(whole.code, 0, whole.text);
  assert.match(whole.text, "nothing can leave early: the network has one exit");
  assert.ok(existsSync(join(dir, "whole", "report.html")));
});

gpu("a run whose last exit is never right on validation images is compared all the same", async () => {
  const runs = [-30, 1.5].map((skill) => writeRun(join(out, `skill${skill}`), { skill }));
  const { code, text } = await sortie("compare", ...runs, "--out", join(out, "never-right"), "--no-timing");
  assert.is(code, 0, text);
  assert.is(written(join(out, "never-right")).runs[0]!.exits.at(-1)!.accuracy, 0);
});

gpu("a run that fails is told, and the others are compared", async () => {
  const args = ["compare", "--config", plan, "--out", join(out, "runs"), "--seeds", "3", "--no-timing", ...SMALL];
  writeFileSync(join(out, "runs", "glyphs-resnet-joint-seed3", "logits.validation.safetensors"), "no logits");
  const { code, text } = await sortie(...args);
  assert.is(code, 1, text);
  assert.match(text, /^glyphs-resnet-joint-seed3 FAILED: .*logits\.validation\.safetensors/m);
  const { runs, failures } = written(join(out, "runs"));
  assert.equal([runs.map(({ method }) => method), failures.length], [["steep"], 1]);
  assert.match(readFileSync(join(out, "runs", "comparison.md"), "utf8"), /\| glyphs-resnet-joint-seed3 \| failed \|/);
});

gpu(
  "runs of a seed that learn from the same larger network share it, and runs are listed in their own order",
  async () => {
    const shared = join(out, "shared");
    const larger = { name: "kd", wider: 1, deeper: 1 };
    const methods = ["joint", { label: "last", ...larger }, { label: "same", ...larger, teacherExit: "same" }];
    const runs = [
      { methods: ["last", "same"], seeds: [4] },
      { methods: "last", seeds: [4] },
    ];
    writeFileSync(plan, JSON.stringify({ methods, runs, settings: { calibration: { alpha: 0.97 } } }));
    const { code, text } = await sortie("compare", "--config", plan, "--out", shared, "--no-timing", ...SMALL);
    assert.is(code, 0, text);
    assert.match(text, /^2 runs:\n {3}1 {2}glyphs-resnet-last-seed4 .*\n {3}2 {2}glyphs-resnet-same-seed4 /);
    assert.match(text, /^2 to train, and 1 larger to learn from; how long one takes is told when/m);
    assert.match(text, /^1 to train: about \d+ min$/m);
    const teachers = readdirSync(join(shared, "teachers"));
    assert.is(teachers.length, 1, teachers.join(", "));
    const learned = ["last", "same"].map((label) => join(shared, `glyphs-resnet-${label}-seed4`));
    for (const dir of learned) assert.not(existsSync(join(dir, "teacher")));
    const [last, same] = learned.map((dir) => readFileSync(join(dir, "last.safetensors")));
    assert.not(last!.equals(same!), "each learns its own way");
    // Jobs of an array find it too; where another process is at it, they do not wait.
    writeFileSync(plan, JSON.stringify({ methods, runs: [{ methods: ["last", "same"], seeds: [4, 5] }] }));
    const job = async (index: number) => {
      const done = await sortie("compare", "--config", plan, "--out", shared, "--index", String(index), ...SMALL);
      assert.is(done.code, 0, done.text);
      return done.text;
    };
    const third = await job(3);
    assert.match(third, /^2 to train, and 1 larger to learn from: about \d+ min$/m);
    assert.match(third, "teacher: joint into");
    const other = readdirSync(join(shared, "teachers")).find((name) => !teachers.includes(name))!;
    const lock = await lockFolder("test", join(shared, "teachers", other));
    assert.match(await job(4), "teacher: another process is at the shared one; this run trains its own");
    await lock.release();
    const own = readFileSync(join(shared, "glyphs-resnet-same-seed5", "teacher", "last.safetensors"));
    assert.ok(own.equals(readFileSync(join(shared, "teachers", other, "last.safetensors"))), "the same bits");
  },
);

gpu("runs of a seed whose methods begin with the same backbone train it once, and say whose it is", async () => {
  const shared = join(out, "phases");
  const args = ["compare", "--methods", "disjoint,mixed", "--out", shared, "--no-timing", ...SMALL];
  const { code, text } = await sortie(...args);
  assert.is(code, 0, text);
  const folders = ["disjoint", "mixed"].map((method) => join(shared, `glyphs-resnet-${method}-seed1`));
  assert.match(text, `backbone: 4 steps taken over from ${folders[0]}`);
  assert.is(readdirSync(join(shared, "phases")).length, 1);
  const taken = folders.map((dir) => JSON.parse(readFileSync(join(dir, "run.json"), "utf8")).taken);
  assert.equal(taken, [undefined, { name: "backbone", from: folders[0] }]);
  const alone = await sortie("train", "--method", "mixed", "--out", shared, "--name", "alone", ...SMALL);
  assert.is(alone.code, 0, alone.text);
  const weights = (dir: string) => readSafetensors(join(dir, "last.safetensors"));
  const [own, theirs] = [await weights(join(shared, "alone")), await weights(folders[1]!)];
  for (const [name, { data }] of own.tensors) assert.equal(theirs.tensors.get(name)!.data, data, name);
});
