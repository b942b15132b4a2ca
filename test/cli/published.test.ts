// `sortie calibrate --as-published`: a run is decided on as the paper of its method does, and whatever comes after
// takes such a policy.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodePolicy } from "../../calibration/index.ts";
import { METHODS } from "../../exits/index.ts";
import { assert, suite } from "../harness.ts";
import { run } from "./command-line.ts";
import { writeRun } from "./synthetic-run.ts";

const test = suite("cli: published rules");
const dir = writeRun(join(mkdtempSync(join(tmpdir(), "sortie-published-")), "run"));
test.after(() => rmSync(join(dir, ".."), { recursive: true }));

const settings = join(dir, "config.json");
const plain = JSON.parse(readFileSync(settings, "utf8"));
/** Makes the run one of another method. */
const trainedBy = (name: string, options = {}) =>
  writeFileSync(settings, JSON.stringify({ ...plain, method: { name, ...options } }));
const asPublished = (...flags: string[]) => run("calibrate", dir, "--as-published", ...flags);
const policyOf = () => decodePolicy(readFileSync(join(dir, "policy.json"), "utf8"));

test("margins of precision are found on validation, with the method's options, and carry no guarantee", async () => {
  trainedBy("calexnet", { margin: 0.3, minSupport: 5 });
  const { code, text } = await asPublished();
  assert.is(code, 0, text);
  assert.match(text, /^There is no guarantee \(class precision margin on 800 samples\)/);
  const { result, scaling, request } = policyOf();
  assert.ok(result.ok && result.thresholds.length === 20 && !scaling && !request);
  trainedBy("calexnet", { margin: 0, minSupport: 5 });
  assert.is((await asPublished()).code, 0);
  const strict = policyOf().result;
  assert.ok(strict.ok && strict.thresholds.some((threshold, at) => threshold > result.thresholds[at]!));
  trainedBy("calexnet", { margin: 0.3, minSupport: 5 });
  await asPublished();
  const evaluated = await run("evaluate", dir);
  assert.is(evaluated.code, 0, evaluated.text);
  assert.match(evaluated.text, /There is no guarantee \(class precision margin/);
  assert.match(evaluated.text, /policy: accuracy/);
});

test("another score is certified, a budget wants its goal, a control is certified as any other", async () => {
  trainedBy("branchynet");
  const certified = await asPublished("--alpha", "0.3");
  assert.is(certified.code, 0, certified.text);
  assert.match(certified.text, /thresholds \(entropy\)/);
  assert.is(policyOf().request?.score, "entropy");
  trainedBy("eenet", { scheduler: 0 });
  assert.match((await asPublished()).text, /--method budget needs one goal/);
  assert.match((await asPublished("--cost", "0.8")).text, /budget search/);
  trainedBy("calexnet", { control: true });
  assert.match((await asPublished("--alpha", "0.3")).text, /By learn then test/);
});

test("what it cannot do is refused", async () => {
  const refuses = async (message: RegExp, ...flags: string[]) => {
    const { code, text } = await asPublished(...flags);
    assert.is(code, 1);
    assert.match(text, message);
  };
  trainedBy("calexnet");
  await refuses(/--as-published says method and score; got --score too\. Leave one of them out\./, "--score", "margin");
  await refuses(/--as-published says method and score; got --method too/, "--method", "crc");
  await refuses(
    /--alpha must be left out: the published rule of this run's method does not read it\./,
    "--alpha",
    "0.1",
  );
  trainedBy("ptee");
  await refuses(/score confidence needs a table with the confidences of its heads/);
  const logits = join(dir, "logits.calibration.safetensors");
  const stray = await run("calibrate", logits, "--as-published");
  assert.is(stray.code, 1);
  assert.match(stray.text, /--as-published must be of the folder of a run, whose method says what it decides by; got/);
});

test("every method says what it decides by", () => {
  for (const { name, with: make } of Object.values(METHODS)) {
    const { score, rule } = make().policy;
    assert.ok(typeof score === "string" && (typeof rule === "string" || typeof rule.threshold === "number"), name);
  }
});
