// Logits from elsewhere: what a file does not say, and how much it may unpack to.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unzipSync, zipSync } from "fflate";
import type { Table } from "../../calibration/index.ts";
import { runCalibrate } from "../../cli/commands/calibrate.ts";
import { runEvaluate } from "../../cli/commands/evaluate.ts";
import { main } from "../../cli/main.ts";
import { encodeNpz, type NpyArray } from "../../data/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, suite } from "../harness.ts";

const test = suite("logits from elsewhere");
const folder = mkdtempSync(join(tmpdir(), "sortie-foreign-"));
const file = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));

test("a file that does not say whose logits it holds: told when a policy is made of it, and when it is used", async () => {
  const table = randomTable(900, 3, 4, { seed: 2 });
  const npz = (name: string, of: Table) => {
    const logits = { shape: [of.samples, 3, 4], data: Float64Array.from(of.read(0, of.samples)) };
    const labels = { shape: [of.samples], data: of.labels };
    writeFileSync(
      file(name),
      encodeNpz(
        new Map<string, NpyArray>([
          ["logits", logits],
          ["labels", labels],
        ]),
      ),
    );
    return file(name);
  };
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const [from, to] = [npz("origin-a.npz", table), npz("origin-b.npz", randomTable(300, 3, 4, { seed: 3 }))];
  const policy = file("origin.json");
  assert.is(runCalibrate([from, "--alpha", "0.4", "--out", policy], print), 0, lines.join("\n"));
  const note = `note: ${from} does not say which weights its logits are of, so the policy is not refused on another network's; see that it is not used there.`;
  assert.ok(lines.includes(note), lines.join("\n"));
  lines.length = 0;
  assert.is(await runEvaluate([to, "--policy", policy], print), 0);
  const used =
    "note: the policy and the logits do not say of which weights; whether they belong together is not checked.";
  assert.ok(lines.includes(used), lines.join("\n"));
  lines.length = 0;
  // A policy that refuses promises nothing on any network.
  assert.is(runCalibrate([from, "--alpha", "0.0001", "--out", policy], print), 2);
  assert.not(lines.some((line) => line.startsWith("note:")));
});

test("the limit on what a compressed array unpacks to is a flag of every command that reads one", async () => {
  const logits = { shape: [60, 3, 4], data: Float64Array.from(randomTable(60, 3, 4).read(0, 60)) };
  const labels = { shape: [60], data: new Int32Array(60) };
  const arrays = encodeNpz(
    new Map<string, NpyArray>([
      ["logits", logits],
      ["labels", labels],
    ]),
  );
  writeFileSync(file("packed.npz"), zipSync(unzipSync(arrays), { level: 6 }));
  for (const command of ["calibrate", "evaluate", "report"]) {
    const said = async (...flags: string[]) => {
      const lines: string[] = [];
      await main([command, file("packed.npz"), ...flags], (line) => lines.push(line));
      return lines.join("\n");
    };
    assert.match(await said("--max-unpacked", "1000"), "the entry must unpack to at most 1000 bytes; got ", command);
    const wrong = `${command}: --max-unpacked must be a whole number of at least 1; got -1.`;
    assert.is(await said("--max-unpacked=-1"), wrong);
    assert.match(await said("--help"), "--max-unpacked N", command);
  }
  const lines: string[] = [];
  await main(["train", "--help"], (line) => lines.push(line));
  assert.match(lines.join("\n"), "--max-unpacked");
});
