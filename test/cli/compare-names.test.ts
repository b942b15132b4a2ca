// What runs are called that are compared as they lie.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Config } from "../../cli/settings/config.ts";
import { assert, suite } from "../harness.ts";
import { run as sortie } from "./command-line.ts";
import { readConfig } from "./read-config.ts";
import { writeRun } from "./synthetic-run.ts";
import { written } from "./written.ts";

const test = suite("cli compare: names");

test("runs of other data and backbones are told apart, and other recipes said", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-apart-"));
  try {
    const made = (name: string, more: (config: Config) => object) => {
      const { config } = readConfig("train", ["--data.test", "400", "--alpha", "0.2"]);
      return writeRun(join(dir, name), { config: { ...config, ...more(config) } });
    };
    const folders = [
      made("a", () => ({})),
      made("b", ({ model }) => ({ model: { ...model, widths: [8, 8, 8] } })),
      made("c", ({ model }) => ({ model: { ...model, widths: [8, 8, 8] }, method: { name: "joint" } })),
      made("d", ({ train }) => ({ train: { ...train, epochs: 2 }, method: { name: "sdn" } })),
      made("d2", ({ train }) => ({ train: { ...train, epochs: 2 }, method: { name: "sdn" }, seed: 2 })),
      made("e", ({ data }) => ({ data: { ...data, train: 50 } })),
    ];
    const { code, text } = await sortie("compare", ...folders, "--no-timing", "--out", dir);
    assert.is(code, 0, text);
    assert.equal(
      written(dir).runs.map(({ data, backbone, method }) => [data, backbone, method].join(" | ")),
      [
        "glyphs | resnet | soft-cgt",
        "glyphs | resnet (model.widths [8,8,8]) | soft-cgt",
        "glyphs | resnet (model.widths [8,8,8]) | joint",
        "glyphs | resnet | sdn (train.epochs 2)",
        "glyphs | resnet | sdn (train.epochs 2)",
        "glyphs (data.train 50) | resnet | soft-cgt",
      ],
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});
