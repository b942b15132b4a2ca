// The folder of a run that was never trained: glyphs, and random logits whose deeper exits know the label better.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Table } from "../../calibration/index.ts";
import type { RunRecord } from "../../cli/files/run-folder.ts";
import { toJson } from "../../cli/files/whole.ts";
import type { Config } from "../../cli/settings/config.ts";
import { type Dataset, glyphs } from "../../data/index.ts";
import { encodeSafetensors, type StoredTensor } from "../../engine/index.ts";
import type { MetricsRow } from "../../exits/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { readConfig } from "./read-config.ts";

const MACS = [200, 300, 400];
const STAGES = ["stage1", "stage2", "stage3"];

/** A table as PyTorch would save it: float32 logits, int64 labels and ids. */
export function saveTable(
  path: string,
  { samples, exits, classes, labels, read }: Table,
  ids: Int32Array,
  weights?: string,
): void {
  const integers = (values: Int32Array): StoredTensor => ({
    dtype: "I64",
    shape: [values.length],
    data: BigInt64Array.from(values, BigInt),
  });
  const floats = (values: ArrayLike<number>, shape: number[]): StoredTensor => ({
    dtype: "F32",
    shape,
    data: Float32Array.from(values),
  });
  const tensors: readonly (readonly [string, StoredTensor])[] = [
    ["logits", floats(read(0, samples), [samples, exits, classes])],
    ["labels", integers(labels)],
    ["ids", integers(ids)],
    ["macs", floats(MACS.slice(0, exits), [exits])],
  ];
  const bytes = encodeSafetensors(tensors, weights === undefined ? {} : { weights });
  writeFileSync(path, bytes);
}

const TEST = 400;
const OWN = readConfig("train", ["--data.test", String(TEST), "--alpha", "0.2"]).config;

/** The test images of all such runs, drawn once. */
let drawn: Dataset | undefined;

/**
 * Writes what `sortie train` would leave: settings, record, measurements, logits. Its report shows the glyphs of the
 * test set.
 */
export function writeRun(
  dir: string,
  { config = OWN, ...options }: { readonly skill?: number; readonly config?: Config } = {},
): string {
  mkdirSync(dir, { recursive: true });
  drawn ??= glyphs({ train: 0, validation: 0, calibration: 0, test: TEST, seed: OWN.seed }).test;
  const test = drawn;
  const counted = (count: number, first: number) => Int32Array.from({ length: count }, (_, i) => first + i);
  const put = (split: string, table: Table, ids: Int32Array) =>
    saveTable(join(dir, `logits.${split}.safetensors`), table, ids);
  put("validation", randomTable(800, 3, 10, { seed: 2, ...options }), counted(800, 1_000_000));
  put("calibration", randomTable(2000, 3, 10, { seed: 3, ...options }), counted(2000, 2_000_000));
  put(
    "test",
    randomTable(TEST, 3, 10, { seed: 4, labels: Int32Array.from(test.labels), ...options }),
    Int32Array.from(test.ids),
  );
  const record: RunRecord = {
    made: { sortie: "0.1.0", adapter: "none" },
    protocol: "drawn for a test",
    classes: test.classes,
    samples: { train: 1, validation: 800, calibration: 2000, test: TEST },
    parameters: 1,
    exits: STAGES.map((stage, j) => ({ stage, macs: MACS[j]! * 1000 })),
    started: "2026-01-01T00:00:00.000Z",
    finished: "2026-01-01T00:01:00.000Z",
  };
  writeFileSync(join(dir, "config.json"), toJson(config));
  writeFileSync(join(dir, "run.json"), toJson(record));
  writeFileSync(join(dir, "metrics.jsonl"), history.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return dir;
}

const scores = (loss: number) => STAGES.map((_, j) => ({ loss: loss - j / 10, accuracy: 0.5 + j / 10 }));
const history: readonly MetricsRow[] = [
  { kind: "train", step: 1, epoch: 1, loss: 3, lr: 0.1, exits: scores(2), imagesPerSecond: 1 },
  { kind: "train", step: 20, epoch: 1, loss: 2, lr: 0.1, exits: scores(1), imagesPerSecond: 1 },
  { kind: "evaluation", step: 20, epoch: 1, exits: scores(1.1), isBest: true },
];
