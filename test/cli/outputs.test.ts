// What a command writes never takes the place of what it reads, under whatever name.

import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { main } from "../../cli/main.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, suite } from "../harness.ts";
import { saveTable, writeRun } from "./synthetic-run.ts";

const test = suite("outputs of commands");
const folder = mkdtempSync(join(tmpdir(), "sortie-outputs-"));
const file = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));
const silent = () => {};

function save(name: string, seed: number): string {
  const ids = Int32Array.from({ length: 600 }, (_, i) => 1000 * seed + i);
  saveTable(file(name), randomTable(600, 3, 4, { seed }), ids);
  return file(name);
}

test("an output that is an input is refused by every command, by path, link and hard link, and nothing is written", async () => {
  const [cal, val, tested] = [save("c.safetensors", 1), save("v.safetensors", 2), save("t.safetensors", 3)];
  const policy = file("p.json");
  const calibrate = ["calibrate", cal, "--validation", val, "--alpha", "0.3"];
  assert.is(await main([...calibrate, "--out", policy], silent), 0);
  const run = writeRun(file("run"));
  assert.is(await main(["calibrate", run], silent), 0);
  const cases: readonly (readonly [flag: string, input: string, args: readonly string[]])[] = [
    ["--out", cal, calibrate],
    ["--out", val, calibrate],
    ["--json", tested, ["evaluate", tested, "--policy", policy]],
    ["--json", policy, ["evaluate", tested, "--policy", policy]],
    ["--out", tested, ["report", tested, "--policy", policy]],
    ["--out", policy, ["report", tested, "--policy", policy]],
    ["--out", join(run, "config.json"), ["calibrate", run]],
    ["--out", join(run, "logits.test.safetensors"), ["calibrate", run]],
    ["--json", join(run, "policy.json"), ["evaluate", run]],
    ["--out", join(run, "run.json"), ["report", run]],
    ["FILE", join(run, "logits.test.safetensors"), ["export", run, "--force"]],
    ["FILE", policy, ["export", run, "--force", "--policy", policy]],
  ];
  for (const [at, [flag, input, args]] of cases.entries()) {
    const before = readFileSync(input);
    const [link, hard] = [file(`link${at}`), file(`hard${at}`)];
    symlinkSync(input, link);
    linkSync(input, hard);
    for (const output of [input, `${dirname(input)}/./${basename(input)}`, link, hard]) {
      const got = output === input ? input : `${output}, which is or holds ${input}`;
      const said: string[] = [];
      const code = await main([...args, ...(flag === "FILE" ? [] : [flag]), output], (line) => void said.push(line));
      const refusal = `${args[0]}: ${flag} must be another file than those that are read; got ${got}.`;
      assert.equal([code, ...said], [1, refusal]);
    }
    assert.equal(readFileSync(input), before);
  }
});

test("a folder that holds an input is not replaced", async () => {
  const [run, target] = [writeRun(file("other")), file("exported")];
  mkdirSync(target);
  for (const name of ["cascade.json", "mine.json"]) writeFileSync(join(target, name), "{}");
  const said: string[] = [];
  const args = ["export", run, target, "--format", "onnx", "--force", "--policy", join(target, "mine.json")];
  assert.is(await main(args, (line) => void said.push(line)), 1);
  const got = `${target}, which is or holds ${join(target, "mine.json")}`;
  assert.equal(said, [`export: FILE must be another file than those that are read; got ${got}.`]);
});
