// What a run tells while it runs: lines for logs, a bar on a terminal.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultReport, lineReport, type Progress } from "../../exits/index.ts";
import { Metrics } from "../../exits/run/metrics.ts";
import { assert, suite } from "../harness.ts";

const test = suite("exits: progress");

const trained = (step: number): Progress => ({
  kind: "train",
  epoch: 1,
  epochs: 2,
  step,
  steps: 80,
  loss: 0.5,
  lr: 0.1,
  exits: [{ loss: 1, accuracy: 0.25 }],
  imagesPerSecond: 20,
  secondsLeft: 65,
});

test("a terminal shows one bar in place, cut to its width, which the next line replaces", () => {
  const written: string[] = [];
  const report = lineReport({ isTTY: true, columns: 40, write: (text) => written.push(text) });
  report({ kind: "start", step: 0, steps: 80 });
  report(trained(20));
  report(trained(80));
  report({ kind: "end", step: 80, seconds: 3 });
  assert.equal(written, [
    "training: 80 steps\n",
    "\r\x1b[2K[======                  ] epoch 1/2  s",
    "\r\x1b[2K[========================] epoch 1/2  s",
    "\r\x1b[2Ktrained: 80 steps, 0:03\n",
  ]);
});

test("elsewhere rows come as lines, the first, the last, and between them one at a time", () => {
  const written: string[] = [];
  const report = lineReport({ write: (text) => written.push(text) }, { quietSeconds: 1000 });
  for (const step of [20, 40, 60, 80]) report(trained(step));
  const line = (step: number) => `epoch 1/2  step ${step}/80  loss 0.5000  exits 25.0 %  20.0 images/s  1:05 left\n`;
  assert.equal(written, [line(20), line(80)]);
});

test("by default lines go to standard output", () => {
  const { write } = process.stdout;
  const written: string[] = [];
  process.stdout.write = ((text: string) => written.push(text) > 0) as typeof write;
  try {
    defaultReport()({ kind: "end", step: 8, seconds: 61 });
  } finally {
    process.stdout.write = write;
  }
  assert.is(written.join("").replace("\r\x1b[2K", ""), "trained: 8 steps, 1:01\n");
});

test("a run of very many rows is taken up again", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sortie-rows-"));
  const [path, rows] = [join(folder, "metrics.jsonl"), 200_000];
  writeFileSync(path, Array.from({ length: rows + 5 }, (_, i) => `{"kind":"train","step":${i + 1}}\n`).join(""));
  const metrics = new Metrics(path);
  await metrics.resume(rows);
  rmSync(folder, { recursive: true });
  assert.is(metrics.rows.length, rows);
});
