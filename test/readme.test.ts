// The README's TypeScript blocks are one program, and it runs; its lines of shell are commands that there are. Those
// for own pictures run in `test/cli/pictures.test.ts`.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blocksOf, runProgram } from "./blocks.ts";
import { gpuSuite } from "./gpu.ts";
import { assert, suite } from "./harness.ts";
import { linesOf, readLine, saveLogits, walk } from "./walk.ts";

const blocks = blocksOf(readFileSync(new URL("../README.md", import.meta.url), "utf8"));
const test = gpuSuite("README", { timeout: 120_000 });

test("its code runs and prints what it says", async () => {
  const program = blocks.flatMap(({ language, text }) => (language === "ts" ? [text] : [])).join("\n");
  assert.ok(program.length > 1000);
  const output = await runProgram(program);
  assert.match(output, /ShapeError: matmul: inner dimensions must match; got f32\[2, 3\] x f32\[2, 3\] \(3 != 2\)\./);
  // Ten classes: chance is 51.
  const [, right, all] = /(\d+) of (\d+) test images are answered rightly/.exec(output) ?? [];
  assert.is(all, "512", output);
  assert.ok(Number(right) > 384, `${right} of ${all} test images are answered rightly`);
  const [clear, foggy] = ["clear", "foggy"].map((name) =>
    Number(new RegExp(`${name}: (\\d+) right`).exec(output)?.[1]),
  );
  assert.ok(foggy! < clear! && clear! === Number(right), `${foggy} right in fog, ${clear} without`);
  assert.match(output, "ice drawn by code");
  const losses = [...output.matchAll(/loss (\d\.\d+)/g)].map(([, loss]) => Number(loss));
  assert.is(losses.length, 4);
  assert.ok((losses[3] as number) < 0.25, `the last loss is ${losses[3]}`);
  const [, points] = /([\d.]+) % of the points/.exec(output) ?? [];
  assert.ok(Number(points) > 95, `the training loop answers ${points} % of the points`);
  assert.match(output, /\d+ of 256 rows went on/);
});

const shell = suite("README: shell");

shell("every command takes what it is given", () => {
  const lines = blocks.flatMap(({ language, text }) => (language === "sh" ? linesOf(text) : []));
  assert.ok(lines.length > 10);
  for (const line of lines) readLine(line);
});

shell("logits that Python saved are calibrated, evaluated and shown", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sortie-readme-"));
  try {
    saveLogits(folder, ["validation", "calibration", "test"]);
    const own = blocks.filter(({ language, text }) => language === "sh" && text.includes("calibration.npz"));
    const [step] = await walk(own, folder);
    assert.match(step?.printed ?? "", /^promised: worst exit at most 5 %; on these samples [\d.]+ %$/m);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
