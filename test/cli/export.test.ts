// `sortie export`: the run of a command as one file that answers as its logits and its policy say, and what stops it,
// with nothing written.

import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodePolicy, encodePolicy } from "../../calibration/index.ts";
import { compareAnswers, decidedBy, findings } from "../../cli/index.ts";
import { glyphs } from "../../data/index.ts";
import { load, loadRecorded, readModel } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { run } from "./command-line.ts";

const test = gpuSuite("cli export", { timeout: 120_000 });
const out = mkdtempSync(join(tmpdir(), "sortie-export-"));
const dir = join(out, "small");
const file = join(out, "model.sortie.safetensors");
/** A policy that certifies nothing, made by a test. */
const refusing = join(out, "refusing.json");
test.after(() => rmSync(out, { recursive: true }));

const SIZES = { train: 256, validation: 200, calibration: 400, test: 100 };

test("trains and calibrates what the other tests export", async () => {
  const sizes = Object.entries(SIZES).flatMap(([part, count]) => [`--data.${part}`, String(count)]);
  const short = ["--epochs", "2", "--batch", "32", "--train.warmup", "2"];
  assert.is((await run("train", ...sizes, ...short, "--out", out, "--name", "small")).code, 0);
  const { code, text } = await run("calibrate", dir, "--alpha", "0.9");
  assert.is(code, 0, text);
});

test("the file answers every test image as the cached logits and the policy say", async () => {
  const { code, text } = await run("export", dir, file);
  assert.is(code, 0, text);
  assert.match(text, /^resnet, the last weights; exits after stage1, stage2, stage3; 10 classes$/m);
  assert.match(text, /at most 0\.9 of the samples that really leave there are answered wrongly/);
  const { test: images } = glyphs({ train: 0, validation: 0, calibration: 0, test: SIZES.test, seed: 1 });
  using classifier = await load(file);
  const { model } = classifier;
  const found = findings(dir, undefined);
  const answers = await classifier.classify(images.images);
  const { result } = found.file!;
  assert.ok(result.ok && found.policy);
  const agreement = compareAnswers(decidedBy(found), answers);
  assert.equal([agreement.samples, agreement.differing], [100, 0], agreement.first);
  assert.ok(new Set(answers.exits).size > 1, `exits taken: ${[...new Set(answers.exits)]}`);
  assert.equal(model.classes, images.classes);
  assert.equal(model.normalise, { mean: images.meta.mean, std: images.meta.std });
  const own = decodePolicy(readFileSync(join(dir, "policy.json"), "utf8"));
  assert.ok(own.result.ok && own.result.ids && model.policy?.result.ok && !model.policy.result.ids);
  assert.equal(unnamed(model.policy), unnamed(own));
  const { settings, weights, samples } = model.training as Record<string, Record<string, unknown>>;
  assert.equal([settings!["seed"], weights, samples], [1, "last", SIZES]);
  // Of no use elsewhere, and nobody else's business.
  assert.not.match(JSON.stringify(model), new RegExp(out));
});

/** What says nothing of which samples they are: a file holds no names of those that shaped its policy. */
const unnamed = (value: unknown): string =>
  JSON.stringify(value, (key, each) => (key === "ids" || key === "named" ? undefined : each));

test("evaluate of the file says what evaluate of its run says", async () => {
  const [ofRun, ofFile] = [await run("evaluate", dir), await run("evaluate", file, "--json", join(out, "file.json"))];
  assert.equal([ofRun.code, ofFile.code], [0, 0], ofFile.text);
  assert.match(ofRun.text, /answers all 100 test images as the cached logits say$/m);
  assert.match(ofRun.text, /^policy: accuracy .*\n {2}stage1: .* leave/m);
  assert.is(ofFile.text, ofRun.text.replace("the cached logits", "the network's logits"));
  const read = (path: string) => unnamed(JSON.parse(readFileSync(path, "utf8")));
  assert.equal(read(join(out, "file.json")), read(join(dir, "evaluation.json")));
});

test("evaluate of a file takes another policy, and tells what does not go with a file", async () => {
  const refuses = async (args: readonly string[], message: RegExp) => {
    const { code, text } = await run("evaluate", ...args);
    assert.is(code, 1, text);
    assert.match(text, message);
  };
  const other = join(out, "other.json");
  const policy = decodePolicy(readFileSync(join(dir, "policy.json"), "utf8"));
  const origin = { ...(policy.result as { readonly origin: object }).origin, weights: "0".repeat(64) };
  writeFileSync(other, encodePolicy({ ...policy, result: { ...policy.result, origin } as typeof policy.result }));
  await refuses(
    [file, "--policy", other],
    /other\.json: the policy must be of this network's weights; got one of 0{12}/,
  );
  assert.is((await run("evaluate", file, "--policy", other, "--any-origin")).code, 0);
  await refuses(
    [file, "--any-values"],
    /^evaluate: --any-values does not go with a model file; got .*\.safetensors\.$/,
  );
  await refuses([file, "--corruptions"], /^evaluate: --corruptions does not go with a model file;/);
  await refuses([dir, "--data-dir", out], /^evaluate: --data-dir goes with a model file; got /);
  await refuses([file, "--json", file], /--json must be another file/);
  const cut = join(out, "cut.safetensors");
  writeFileSync(cut, readFileSync(file).subarray(0, -5));
  await refuses([cut], /^load: .*cut\.safetensors must be a model file, and whole; it is not: .*truncated\.$/);
});

test("what is recorded of a run, or of its file, answers every test image as the file does", async () => {
  const [ofRun, ofFile] = [join(out, "run.recorded.safetensors"), join(out, "file.recorded.safetensors")];
  const made = await run("export", dir, ofRun, "--format", "recorded", "--batch", "16");
  assert.is(made.code, 0, made.text);
  assert.match(made.text, /^resnet, the last weights; exits after stage1, stage2, stage3; 10 classes$/m);
  const again = await run("export", file, ofFile, "--format", "recorded", "--batch", "16");
  assert.is(again.code, 0, again.text);
  assert.ok(readFileSync(ofRun).equals(readFileSync(ofFile)));
  const { test: images } = glyphs({ train: 0, validation: 0, calibration: 0, test: SIZES.test, seed: 1 });
  using whole = await load(file);
  using recorded = await loadRecorded(ofRun);
  const [want, got] = [await whole.classify(images.images), await recorded.classify(images.images)];
  assert.equal([got.classes, got.exits, got.macs], [want.classes, want.exits, want.macs]);
  assert.is(recorded.model.guarantee, whole.model.guarantee);
  const refuses = async (args: readonly string[], message: RegExp) => {
    const { code, text } = await run("export", ...args);
    assert.is(code, 1, text);
    assert.match(text, message);
  };
  await refuses([dir, "--format", "recorded", "--batch", "0"], /--batch must be a whole number of at least 1; got 0/);
  await refuses([dir, "--batch", "3"], /^export: --batch goes with --format recorded; got safetensors\.$/);
  await refuses(
    [file, "--format", "recorded"],
    /a target must be given for what is recorded of a model file; got none/,
  );
  assert.not(existsSync(join(dir, "model.recorded.safetensors")));
  assert.is((await run("export", dir, "--format", "recorded")).code, 0);
  assert.ok(existsSync(join(dir, "model.recorded.safetensors")));
});

test("a file says how its network was trained, and nothing of where", async () => {
  const more = ["--data.train", "64", "--data.validation", "50", "--data.calibration", "50", "--data.test", "50"];
  const short = ["--epochs", "1", "--batch", "32", "--train.warmup", "1", "--from", dir];
  const tuned = await run("train", ...more, ...short, "--out", out, "--name", "tuned");
  assert.is(tuned.code, 0, tuned.text);
  const target = join(out, "tuned.safetensors");
  assert.is((await run("export", join(out, "tuned"), target)).code, 0);
  const { record } = await readModel(target);
  assert.not.match(JSON.stringify(record), new RegExp(out));
  const { settings } = record.training as { readonly settings: { readonly train: { readonly start?: string } } };
  assert.match(settings.train.start ?? "", /^[0-9a-f]{64}$/);
});

test("what is there is replaced only by force", async () => {
  const before = readFileSync(file);
  writeFileSync(file, "mine");
  const { code, text } = await run("export", dir, file);
  assert.equal(
    [code, text],
    [1, `export: ${file} must not exist; it does. Choose another name, or replace it by --force.`],
  );
  assert.is(readFileSync(file, "utf8"), "mine");
  assert.is((await run("export", dir, file, "--force")).code, 0);
  assert.ok(before.equals(readFileSync(file)));
});

test("without a policy, or with one that refuses, nothing leaves early, which is said", async () => {
  const plain = await run("export", dir, file, "--no-policy", "--force");
  assert.match(plain.text, /^There is no policy: every image runs to the last exit\. Nothing is promised\.$/m);
  assert.match(plain.text, /^There are no thresholds: nothing leaves early\. sortie calibrate RUN finds some\.$/m);
  assert.is((await readModel(file)).record.policy, undefined);
  assert.is((await run("calibrate", dir, "--alpha", "0.00001", "--out", refusing)).code, 2);
  const refused = await run("export", dir, file, "--policy", refusing, "--force");
  assert.match(refused.text, /^The policy certifies nothing: nothing leaves early\.$/m);
  using classifier = await load(file);
  const { test: images } = glyphs({ train: 0, validation: 0, calibration: 0, test: 20, seed: 1 });
  assert.equal([...new Set((await classifier.classify(images.images)).exits)], [2]);
});

test("takes the weights that the policy was calibrated on, and no others, also where it refuses", async () => {
  const [last, best] = [join(dir, "last.safetensors"), join(dir, "best.safetensors")];
  const [lastBytes, bestBytes] = [readFileSync(last), readFileSync(best)];
  try {
    // The other way round: what was certified is now called the best.
    copyFileSync(last, best);
    assert.is(
      (
        await run(
          "train",
          "--data.train",
          "256",
          "--data.validation",
          "200",
          "--data.calibration",
          "400",
          "--data.test",
          "100",
          "--epochs",
          "1",
          "--batch",
          "32",
          "--train.warmup",
          "2",
          "--seed",
          "2",
          "--out",
          out,
          "--name",
          "other",
        )
      ).code,
      0,
    );
    copyFileSync(join(out, "other", "last.safetensors"), last);
    const { code, text } = await run("export", dir, file, "--force");
    assert.is(code, 0, text);
    assert.match(text, /^resnet, the best weights;/);
    rmSync(file);
    const wanted = await run("export", dir, file, "--weights", "last");
    const message = `export: the policy must be of these weights; ${last} hold others than it was calibrated on. Calibrate again, or say --no-policy.`;
    assert.equal([wanted.code, wanted.text], [1, message]);
    assert.is(existsSync(file), false);
    const refused = await run("export", dir, file, "--policy", refusing);
    assert.match(refused.text, /^resnet, the best weights;/);
    rmSync(file);
    const others = await run("export", dir, file, "--policy", refusing, "--weights", "last");
    assert.equal([others.code, others.text, existsSync(file)], [1, message, false]);
  } finally {
    writeFileSync(last, lastBytes);
    writeFileSync(best, bestBytes);
  }
});

test("a policy that runs on tables only is refused before anything is written", async () => {
  const policy = decodePolicy(readFileSync(join(dir, "policy.json"), "utf8"));
  const onTables = join(out, "patience.json");
  writeFileSync(
    onTables,
    encodePolicy({ ...policy, result: { ...policy.result, score: "patience" } as typeof policy.result }),
  );
  const { code, text } = await run("export", dir, file, "--policy", onTables);
  assert.is(code, 1);
  assert.match(
    text,
    /the score must be one of maxProb, .*; got patience\. Other scores are for calibration tables only\.$/,
  );
  assert.is(existsSync(file), false);
});

test("bad words on the command line are told", async () => {
  const refuses = async (args: readonly string[], message: RegExp) => {
    const { code, text } = await run("export", ...args);
    assert.is(code, 1);
    assert.match(text, message);
  };
  await refuses([], /^export: a run or a model file, and at most one target, must be given; got 0\.$/);
  await refuses([join(out, "nowhere")], /must be the folder of a run; it is no folder\. Make one by sortie train\.$/);
  await refuses([dir, file, "--weights", "worst"], /--weights must be one of last, best; got "worst"\.$/);
  await refuses([dir, file, "--no-policy", "--policy", "p.json"], /exclude each other; got both\.$/);
});
