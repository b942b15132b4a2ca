// The same numbers, to the last bit, as when the figures beside this file were written: weights, logits and policy of
// every training method. A change of structure must keep them; a change of numbers rewrites them (UPDATE=1) and says
// why in its commit. Bits depend on the driver and on the processor it compiles for, so figures are kept for each pair
// of them.

import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { learnThenTest } from "../calibration/index.ts";
import { glyphs } from "../data/index.ts";
import {
  adapterName,
  confidenceCgt,
  hardCgt,
  joint,
  multiExit,
  safeKd,
  scheduleOnly,
  softCgt,
  type TrainingPlan,
  train,
} from "../exits/index.ts";
import { resnet } from "../nn/index.ts";
import { device, gpuSuite } from "./gpu.ts";
import { assert } from "./harness.ts";

type Figures = Readonly<Record<"weights" | "logits" | "policy", string>>;

const METHODS: Readonly<Record<string, () => TrainingPlan>> = {
  joint: () => joint.with({ exitWeights: 0.5 }),
  "soft-cgt": () => softCgt.with({ tau: 0.2 }),
  "hard-cgt": () => hardCgt.with({ tau: 0.2 }),
  "confidence-cgt": () => confidenceCgt.with(),
  "schedule-only": () => scheduleOnly.with(),
  "safe-kd": () => safeKd.with(),
};

const path = fileURLToPath(new URL("./bit-equal.json", import.meta.url));
const kept = (existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {}) as Record<
  string,
  Record<string, Figures>
>;
const test = gpuSuite("bit-equality");

const hash = (parts: Iterable<string | Uint8Array>): string => {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(part);
  return sum.digest("hex").slice(0, 16);
};

/**
 * What a short run of a method leaves: wide enough for several column tiles, and batch norm, mirroring and a teacher
 * take part.
 */
async function figuresOf(method: TrainingPlan): Promise<Figures> {
  const data = glyphs({ train: 192, validation: 64, calibration: 400, test: 16, seed: 3 });
  const net = multiExit(resnet({ depth: 8, classes: 10, input: data.train.shape, widths: [8, 24, 40], seed: 5 }), {
    after: ["stage1", "stage2"],
    head: "gap-linear",
    seed: 5,
  });
  try {
    using run = await train(net, data, {
      method,
      epochs: 4,
      batch: 32,
      flip: 0.5,
      seed: 7,
      report: () => {},
    });
    const table = await run.logits("calibration");
    const bytes = await Promise.all(
      [...net.state().values()].map(async (tensor) => new Uint8Array((await tensor.read()).buffer)),
    );
    // Marks are of the samples, by which these are known again, and words of the promise: no part of what was found.
    const {
      marks: _,
      guarantee: __,
      ...policy
    } = learnThenTest(table, { alpha: 0.6, delta: 0.2 }) as ReturnType<typeof learnThenTest> & {
      readonly marks?: unknown;
    };
    return {
      weights: hash(bytes),
      logits: hash([Float64Array.from(table.read(0, table.samples)).toString()]),
      policy: hash([JSON.stringify(policy)]),
    };
  } finally {
    net.dispose();
  }
}

for (const [name, method] of Object.entries(METHODS)) {
  test(`${name}: weights, logits and policy are those of before`, async () => {
    const key = `${adapterName(device().info)} on ${cpus()[0]?.model ?? "an unnamed processor"}`;
    const found = await figuresOf(method());
    if (process.env["UPDATE"]) {
      kept[key] = { ...kept[key], [name]: found };
      writeFileSync(path, `${JSON.stringify(kept, null, 2)}\n`);
    }
    assert.equal(found, kept[key]?.[name] ?? (await figuresOf(method())), key);
  });
}
