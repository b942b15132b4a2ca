// The examples that are one file each: they run as a user's programs do, and print what is said here.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { missingLines, runProgram } from "../blocks.ts";
import { writeRun } from "../cli/synthetic-run.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { lackOfPython, PYTHON } from "../python.ts";

const folder = fileURLToPath(new URL("../../examples/", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "sortie-examples-"));
const test = gpuSuite("examples", { timeout: 120_000 });

/** Lines that a file prints, as in guides: numbers may be others. */
const PRINTS: Readonly<Record<string, string>> = {
  "tensors.ts": `
row sums 6,15
x times its transpose 14,32,32,77
gradient 0.667 -1.333 2.000
found 2.00 -1.00`,
  "own-op.ts": `
bump 0.3679 1.0000 0.0183
energy 12.5 1
both gradients are right`,
  "train-and-deploy.ts": `
By learn then test (path, binomial) on 512 samples: with probability at least 0.9 over the calibration samples, ...
200 of 256 test images are answered rightly, 100 left early`,
  "calibrate-numpy.ts": `
6000 samples, 3 exits, 10 classes
By learn then test (path, binomial) on 2000 samples: with probability at least 0.9 over the calibration samples, ...
new samples: 80.0 % leave early, 3.0 % of them wrongly, at 60.0 % of the cost`,
  "notebook.mjs": `
## A population whose truth is known
3000 samples, 3 exits
## The more risk is allowed, the more leave early
alpha 0.02: ...
alpha 0.2: 80 % leave early
## The same as a chart
wrote risk.svg`,
};
/** Of these the numbers are the same everywhere. */
const EXACT = ["tensors.ts", "own-op.ts"];

for (const [file, said] of Object.entries(PRINTS))
  test(`${file} prints what it should`, async () => {
    const args = file === "notebook.mjs" ? [work] : [];
    const printed = await runProgram(readFileSync(join(folder, file), "utf8"), args);
    assert.equal(missingLines(said, printed), [], printed);
    if (EXACT.includes(file)) assert.is(printed, said.trim());
    if (file === "train-and-deploy.ts") {
      const [, right] = /(\d+) of 256 test images/.exec(printed) ?? [];
      assert.ok(Number(right) > 192, printed);
    }
    if (file === "notebook.mjs") assert.is(readFileSync(join(work, "risk.svg"), "utf8").split("<circle").length, 5);
  });
test.after(() => rmSync(work, { recursive: true }));

const others = suite("examples, the rest");

others("read_run.py reads a run folder by Python alone", () => {
  const lacking = lackOfPython(["json"]);
  if (lacking !== undefined) return console.log(`read_run.py is not run: ${lacking}`);
  const run = mkdtempSync(join(tmpdir(), "sortie-run-"));
  try {
    writeRun(run);
    const { status, stdout, stderr } = spawnSync(PYTHON, [join(folder, "read_run.py"), run], { encoding: "utf8" });
    assert.is(status, 0, stderr);
    const lines = stdout.trim().split("\n");
    assert.is(lines[0], "epoch 1: validation accuracy of the exits 50.0 / 60.0 / 70.0 %");
    assert.is(lines[1], "400 test samples, 3 exits, 10 classes");
    const right = lines.slice(2).map((line) => Number(/: ([\d.]+) % right/.exec(line)?.[1]));
    assert.ok(right.length === 3 && right[0]! < right[1]! && right[1]! < right[2]!, stdout);
  } finally {
    rmSync(run, { recursive: true });
  }
});

others("every file is listed, and run", () => {
  const files = readdirSync(folder).filter((name) => /\.(ts|mjs|py)$/.test(name));
  const readme = readFileSync(join(folder, "README.md"), "utf8");
  assert.equal(
    files.filter((file) => !readme.includes(`[${file}](${file})`)),
    [],
  );
  assert.equal(files.sort(), [...Object.keys(PRINTS), "read_run.py"].sort());
});
