// What a plan does with runs that are finished: nothing where nothing shall be made, and under its own levels
// otherwise.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, suite } from "../harness.ts";
import { run as sortie } from "./command-line.ts";
import { writeRun } from "./synthetic-run.ts";
import { written } from "./written.ts";

const test = suite("cli compare: finished runs");

/** A plan of one run that is there, certified by hand at most 30 % wrong where its settings say 20. */
async function planned() {
  const dir = mkdtempSync(join(tmpdir(), "sortie-finished-"));
  const made = writeRun(join(dir, "run"));
  const { method } = JSON.parse(readFileSync(join(made, "config.json"), "utf8"));
  rmSync(made, { recursive: true });
  const folder = writeRun(join(dir, `glyphs-resnet-${method.name}-seed1`));
  assert.is((await sortie("calibrate", folder, "--alpha", "0.3")).code, 0);
  const compare = async (...flags: string[]) => {
    const plan = ["--methods", method.name, "--data.test", "400", "--out", dir];
    const { code, text } = await sortie("compare", ...plan, ...flags);
    assert.is(code, 0, text);
    return text;
  };
  const read = (name: string) => readFileSync(join(folder, name));
  const digest = (name: string) => createHash("sha256").update(read(name)).digest("hex");
  const files = () => readdirSync(folder).map((name) => `${name} ${digest(name)}`);
  const alpha = () => JSON.parse(read("config.json").toString()).calibration.alpha;
  return { dir, files, compare, alpha };
}

test("where only what is finished is compared, nothing is made", async () => {
  const { dir, files, compare } = await planned();
  const before = files();
  const told = await compare("--alpha", "0.2", "--finished-only", "--corruptions");
  assert.equal(files(), before);
  assert.not.match(told, "calibrated again");
  assert.not.match(told, "not timed");
  assert.not.match(told, "corrupted");
  assert.match(told, "known without measured times, shown as -: glyphs-");
  const [run] = written(dir).runs;
  assert.equal([run!.uncertified, run!.certified], ["calibrated in another way", undefined]);

  // A policy that is what the plan asks for counts, whatever the folder's settings say.
  await compare("--alpha", "0.3", "--finished-only");
  assert.equal(files(), before);
  const [asked] = written(dir).runs;
  assert.equal([asked!.uncertified, asked!.settings.calibration.alpha], [undefined, 0.3]);
  assert.ok(asked!.certified);
  rmSync(dir, { recursive: true });
});

test("a policy that was made by hand at the plan's levels is taken for the plan's", async () => {
  const { dir, compare, alpha } = await planned();
  assert.is(alpha(), 0.2);
  assert.not.match(await compare("--alpha", "0.3", "--no-timing"), "calibrated again");
  assert.is(alpha(), 0.3);
  const [run] = written(dir).runs;
  assert.equal([run!.uncertified, run!.settings.calibration.alpha], [undefined, 0.3]);
  // At other levels the run is calibrated again.
  assert.match(await compare("--alpha", "0.2", "--no-timing"), "was calibrated in another way than is planned");
  assert.is(alpha(), 0.2);
  rmSync(dir, { recursive: true });
});

test("known runs are not written over by the comparison that takes them over", async () => {
  const { dir, compare } = await planned();
  await compare("--alpha", "0.3", "--no-timing");
  const known = join(dir, "comparison.json");
  const before = readFileSync(known, "utf8");
  const { method } = written(dir).runs[0]!;
  const plan = ["--methods", method, "--data.test", "400", "--out", dir, "--known", known];
  const { code, text } = await sortie("compare", ...plan, "--seeds", "2");
  assert.is(code, 1, text);
  assert.match(text, `--known must be another file than the comparison writes; got ${known}. Copy it first`);
  assert.is(readFileSync(known, "utf8"), before);
  rmSync(dir, { recursive: true });
});

test("what is found of a run that trains on is not told under its new settings", async () => {
  const { dir } = await planned();
  const [ended, going] = ["ended", "going"].map((name) => writeRun(join(dir, name))) as [string, string];
  const record = JSON.parse(readFileSync(join(going, "run.json"), "utf8"));
  writeFileSync(join(going, "run.json"), JSON.stringify({ ...record, finished: undefined }));
  for (const args of [
    ["compare", ended, going, "--no-timing", "--out", dir],
    ["calibrate", going],
    ["evaluate", going],
  ]) {
    const { code, text } = await sortie(...args);
    assert.is(code, 1, text);
    assert.match(text, `${going}/logits.`);
    assert.match(text, "training has not come to its end. Run the same sortie train again.");
  }
  assert.not(existsSync(join(dir, "comparison.json")));
  assert.is((await sortie("report", going)).code, 0);
  assert.match(readFileSync(join(going, "report.html"), "utf8"), "This run has not come to its end");
  rmSync(dir, { recursive: true });
});

test("a policy without a promise, by other costs or another table is none that the settings ask for", async () => {
  const { dir, compare } = await planned();
  const [folder] = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const at = join(dir, folder!.name);
  const [other, times] = [join(dir, "other.safetensors"), join(dir, "times.json")];
  copyFileSync(join(at, "logits.validation.safetensors"), other);
  const one = { batch: 1, rows: [1], passing: [[1], [2], [3]], alone: [1, 2, 3], compaction: 0 };
  writeFileSync(times, JSON.stringify({ costs: { adapter: "a", times: [one] }, rows: [] }));
  for (const flags of [["--same-samples"], ["--validation", other], ["--costs", "milliseconds", "--times", times]]) {
    const { text, code } = await sortie("calibrate", at, "--alpha", "0.3", ...flags);
    assert.ok(code === 0 || code === 2, text);
    await compare("--alpha", "0.3", "--finished-only");
    assert.is(written(dir).runs[0]!.uncertified, "calibrated in another way", flags.join(" "));
  }
  // The report asks the same again for other targets.
  assert.is((await sortie("report", at)).code, 0);
  const own = ["--validation", join(at, "logits.validation.safetensors")];
  assert.is((await sortie("calibrate", at, "--alpha", "0.3", ...own)).code, 0);
  await compare("--alpha", "0.3", "--finished-only");
  assert.is(written(dir).runs[0]!.uncertified, undefined);
  rmSync(dir, { recursive: true });
});

test("a run whose deployed classifier answered otherwise than its logits is none to compare", async () => {
  const { dir, compare } = await planned();
  await compare("--alpha", "0.3", "--no-timing");
  const [folder] = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const at = join(dir, folder!.name);
  const path = join(at, "evaluation.json");
  const evaluation = JSON.parse(readFileSync(path, "utf8"));
  assert.match(evaluation.deployed, "is not there");
  const deployed = { samples: 400, withinRounding: 0, differing: 2, first: "sample 4 is another" };
  writeFileSync(path, JSON.stringify({ ...evaluation, deployed }));
  const plan = ["--methods", written(dir).runs[0]!.method, "--data.test", "400", "--out", dir, "--alpha", "0.3"];
  for (const args of [plan, [...plan, "--finished-only"], [...plan, "--index", "1"], [at, "--out", dir]]) {
    const { code, text } = await sortie("compare", ...args, "--no-timing");
    assert.is(code, 1, text);
    assert.match(text, `${at}: deployed: the classifier DISAGREES with the cached logits on 2 of 400 test images;`);
  }
  // One that was stopped while images were classified is evaluated again.
  writeFileSync(path, JSON.stringify({ ...evaluation, deployed: undefined }));
  await compare("--alpha", "0.3", "--no-timing");
  assert.match(JSON.parse(readFileSync(path, "utf8")).deployed, "is not there");
  rmSync(dir, { recursive: true });
});
