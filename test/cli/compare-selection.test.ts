// Nothing that a comparison chooses looks at test labels: others change what is right, and no threshold.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunFigures } from "../../cli/compare/figures.ts";
import { readSafetensors, writeSafetensors } from "../../engine/index.ts";
import { assert, suite } from "../harness.ts";
import { run as sortie } from "./command-line.ts";
import { writeRun } from "./synthetic-run.ts";
import { written } from "./written.ts";

const test = suite("cli compare: selection");

test("no threshold is chosen on test samples", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-chosen-"));
  try {
    const [own, other] = ["own", "other"].map((name) => writeRun(join(dir, name))) as [string, string];
    const path = join(other, "logits.test.safetensors");
    const { tensors, metadata } = await readSafetensors(path);
    const labels = tensors.get("labels")!;
    const values = labels.data as BigInt64Array;
    values.set(values.map((label) => (label + 1n) % 10n));
    await writeSafetensors(path, tensors, metadata);
    for (const folder of [own, other]) assert.is((await sortie("calibrate", folder)).code, 0);
    assert.is((await sortie("compare", own, other, "--no-timing", "--out", dir)).code, 0);
    const [a, b] = written(dir).runs;
    const costs = (run: RunFigures) => [run.near.cost, run.certified!.cost, ...run.atCost.map(({ cost }) => cost)];
    assert.equal(costs(a!), costs(b!));
    assert.equal(
      a!.curve.map(({ cost, validation }) => [cost, validation]),
      b!.curve.map(({ cost, validation }) => [cost, validation]),
    );
    assert.ok(a!.area > b!.area + 0.2, "the answers are wrong now");
  } finally {
    rmSync(dir, { recursive: true });
  }
});
