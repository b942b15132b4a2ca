// The path that a user walks, small: train, calibrate, evaluate, report; interrupted, repeated, refused.

import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunRecord } from "../../cli/files/run-folder.ts";
import { main } from "../../cli/main.ts";
import { readLogits, writeLogits } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { run } from "./command-line.ts";

const test = gpuSuite("cli run");
const out = mkdtempSync(join(tmpdir(), "sortie-run-"));
test.after(() => rmSync(out, { recursive: true }));

const SMALL = ["--data.train", "256", "--data.validation", "80", "--data.calibration", "200", "--data.test", "100"];
const FLAGS = [
  ...SMALL,
  "--out",
  out,
  "--epochs",
  "2",
  "--batch",
  "64",
  "--train.warmup",
  "2",
  "--train.logEvery",
  "2",
];

const inRun = (name: string, file: string) => join(out, name, file);
const bytes = (name: string, file: string) => readFileSync(inRun(name, file));

test("one command trains, calibrates, evaluates and reports; all of it lies in the run's folder", async () => {
  const { code, text } = await run("run", ...FLAGS, "--name", "whole", "--alpha", "0.97");
  assert.is(code, 0, text);
  for (const command of ["train", "calibrate", "evaluate", "report"]) assert.ok(text.includes(`$ sortie ${command} `));
  assert.match(text, /^deployed: the classifier answers all 100 test images as the cached logits say/m);
  const written = "best.safetensors config.json evaluation.json last.safetensors logits.calibration.safetensors ";
  const rest = "logits.test.safetensors logits.validation.safetensors metrics.jsonl policy.json report.html run.json";
  assert.equal(readdirSync(join(out, "whole")).sort(), `${written}${rest}`.split(" "));
  const record = JSON.parse(bytes("whole", "run.json").toString()) as RunRecord;
  assert.equal([record.samples.train, record.classes.length, record.exits.length], [256, 10, 3]);
  for (const fact of ["sortie", "node", "webgpu", "adapter"]) assert.ok(record.made[fact], fact);
  assert.ok(record.finished !== undefined && record.seconds!["training"]! > 0);
});

test("the report holds every section, no script, and nothing from elsewhere", () => {
  const page = bytes("whole", "report.html").toString();
  const titles = [...page.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, title]) => title);
  const always = ["Accuracy against MACs", "Risk against target", "Learning curves", "Reliability", "The run"];
  for (const title of always) assert.ok(titles.includes(title), title);
  assert.ok(!/<script|src="http|href="http|NaN|undefined/.test(page.replace(/xmlns(:xlink)?="[^"]*"/g, "")));
  assert.ok(titles.includes("Where images leave") && titles.includes("Difficulty and exits"));
  assert.ok(/<img src="data:image\/png;base64,/.test(page));
});

test("what is done is not done again, and other settings are refused by key", async () => {
  const weights = bytes("whole", "last.safetensors");
  const record = bytes("whole", "run.json");
  const again = await run("train", ...FLAGS, "--name", "whole");
  assert.is(again.code, 0, again.text);
  assert.match(again.text, /resuming at step 8 of 8/);
  assert.ok(weights.equals(bytes("whole", "last.safetensors")) && record.equals(bytes("whole", "run.json")));
  const other = await run("train", ...FLAGS, "--name", "whole", "--model.widths", "8,16,32");
  assert.is(other.code, 1);
  assert.is(
    other.text,
    `${join(out, "whole")} holds a run with model.widths [4,16,32]; now it is [8,16,32]. Choose another --name, or start over by --fresh.`,
  );
});

test("a deployed classifier that does not answer as the cached logits say is an error, and so is a policy of other weights", async () => {
  const dir = join(out, "whole");
  const path = inRun("whole", "logits.test.safetensors");
  const { about, ...cached } = await readLogits(path);
  try {
    const logits = cached.logits.slice();
    // Of samples 4 and 9 the smallest logit becomes the largest by far, at every exit: no threshold is near.
    for (const i of [4, 9]) {
      for (let at = 30 * i; at < 30 * (i + 1); at += 10) {
        const row = logits.subarray(at, at + 10);
        row[row.indexOf(Math.min(...row))] = Math.max(...row) + 30;
      }
    }
    await writeLogits(path, { ...cached, logits }, about);
    const { code, text } = await run("evaluate", dir);
    assert.is(code, 1, text);
    const where = `sample ${cached.ids[4]} is class \\d at stage\\d, by the logits class \\d at stage\\d`;
    assert.match(text, new RegExp(`DISAGREES with the cached logits on 2 of 100 test images; ${where}$`));
    const { deployed } = JSON.parse(bytes("whole", "evaluation.json").toString()) as {
      deployed: { differing: number };
    };
    assert.is(deployed.differing, 2);
    await writeLogits(path, { ...cached, weights: "0123456789abcdef" }, about);
    for (const command of ["evaluate", "report"]) {
      const refused = await run(command, dir);
      assert.is(refused.code, 1);
      assert.match(
        refused.text,
        /policy\.json: the policy must be of this network's weights; got one of [0-9a-f]{12}\.\.\., not 0123456789ab\.\.\.\. Calibrate on logits of these weights, or say --any-origin\.$/,
      );
    }
    const forced = await run("evaluate", dir, "--any-origin");
    assert.is(forced.code, 0, forced.text);
  } finally {
    await writeLogits(path, cached, about);
  }
  assert.is((await run("evaluate", dir)).code, 0);
  renameSync(inRun("whole", "last.safetensors"), inRun("whole", "aside"));
  const without = await run("evaluate", dir);
  renameSync(inRun("whole", "aside"), inRun("whole", "last.safetensors"));
  assert.match(without.text, /deployed: not compared with the cached logits; .*last\.safetensors is not there$/);
  assert.is(without.code, 0);
});

test("an interrupted run ends with code 130, and goes on to the same weights", async () => {
  const lines: string[] = [];
  const interrupted = await main(["train", ...FLAGS, "--name", "cut"], (line) => {
    lines.push(line);
    if (line.includes("step 1/8")) process.emit("SIGINT");
  });
  assert.is(interrupted, 130, lines.join("\n"));
  assert.match(lines.at(-1)!, /^train: it was stopped at step \d of 8\. Run the same again to resume at step \d from /);
  const unready = await run("calibrate", join(out, "cut"));
  assert.match(unready.text, "training has not come to its end. Run the same sortie train again.");
  const rest = await run("train", ...FLAGS, "--name", "cut");
  assert.is(rest.code, 0, rest.text);
  assert.ok(bytes("cut", "last.safetensors").equals(bytes("whole", "last.safetensors")));
});

test("a checkpoint of another network is refused, with what differs", async () => {
  rmSync(inRun("cut", "config.json"));
  const { code, text } = await run("train", ...FLAGS, "--name", "cut", "--model.exits", "stage2");
  assert.is(code, 1);
  // Without the third exit's head, the second is the last one, of another kind.
  assert.match(
    text,
    /checkpoint: .*last\.safetensors must be of the same network; missing: \[net\.heads\.1\.pool\.share\], unexpected: \[net\.heads\.1\.norm\.weight, /,
  );
});

test("a folder that is none of a run, and data that is not there, are named", async () => {
  writeFileSync(join(out, "notes.txt"), "");
  const none = await run("report", out);
  assert.is(none.text, `${out} must be the folder of a run; it has no config.json. Make one by sortie train.`);
  const missing = await run("train", "--data", "mnist", "--data-dir", out, "--out", out);
  assert.match(missing.text, "train-images-idx3-ubyte.gz must exist; got no file.");
  assert.equal([none.code, missing.code], [1, 1]);
  assert.not(existsSync(join(out, "mnist-soft-cgt-1")));
});
