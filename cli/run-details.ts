/** What a report about a run shows besides its test logits: curves, targets, images, difficulty; read from the run folder. */

import { readFileSync } from "node:fs";
import {
  type Control,
  decide,
  learnThenTest,
  outcomes,
  type PolicyFile,
  scaleLogits,
  type Table,
  cascade as toCascade,
} from "../calibration/index.ts";
import type { Dataset } from "../data/index.ts";
import type { Config } from "./config.ts";
import type { HistoryRow, TargetPoint } from "./figures.ts";
import { readLogits } from "./logits-file.ts";
import { loadData } from "./model.ts";
import type { RunFolder, RunRecord } from "./run-folder.ts";

/** See the file's header. */
export interface RunDetails {
  readonly dir: string;
  readonly config: Config;
  readonly record: RunRecord;
  readonly history: readonly HistoryRow[];
  readonly targets: readonly TargetPoint[];
  /** The test images, or why they cannot be shown. */
  readonly images: Dataset | string;
}

/** Reads everything. Images that are no longer there leave a reason instead of an error. */
export async function readDetails(folder: RunFolder, file: PolicyFile | undefined): Promise<RunDetails> {
  const config = folder.config();
  const scaled = (path: string) => {
    const table = readLogits(path);
    return file?.scaling ? scaleLogits(table, file.scaling) : table;
  };
  const tables = {
    validation: scaled(folder.logits("validation")),
    calibration: scaled(folder.logits("calibration")),
    test: scaled(folder.logits("test")),
  };
  return {
    dir: folder.dir,
    config,
    record: folder.record(),
    history: readHistory(folder.metrics),
    targets: sweepTargets(tables, config.calibration),
    images: await testImages(config, tables.test),
  };
}

/** Lines of metrics.jsonl. */
function readHistory(path: string): readonly HistoryRow[] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as HistoryRow);
}

/** Targets that are tried: dense where they are hard to keep. */
const TARGETS = [0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.125, 0.15];

/** Calibrates for each of many targets, and looks what each policy does on the test images. */
function sweepTargets(
  tables: Readonly<Record<"validation" | "calibration" | "test", Table>>,
  { delta, control }: { readonly delta: number; readonly control: Control },
): readonly TargetPoint[] {
  const test = toCascade(tables.test);
  return TARGETS.map((alpha) => {
    const result = learnThenTest(tables.calibration, { alpha, delta, control, validation: tables.validation });
    const exits = decide(test, result.ok ? result.thresholds : Number.POSITIVE_INFINITY);
    const last = test.exits - 1;
    const risks = Array.from({ length: last }, (_, j) =>
      riskAmong(test.errors, exits, test.exits, (exit) => exit === j),
    );
    const seen = risks.filter((risk) => !Number.isNaN(risk));
    return {
      alpha,
      ok: result.ok,
      worst: seen.length > 0 ? Math.max(...seen) : Number.NaN,
      early: riskAmong(test.errors, exits, test.exits, (exit) => exit < last),
      cost: exits.reduce((sum, exit) => sum + test.costs[exit]!, 0) / exits.length,
    };
  });
}

/** Error rate of the samples that leave at some exits; NaN if there are none. */
function riskAmong(errors: Uint8Array, exits: Int32Array, nExits: number, isMeant: (exit: number) => boolean): number {
  let [n, wrong] = [0, 0];
  exits.forEach((exit, i) => {
    if (!isMeant(exit)) return;
    n += 1;
    wrong += errors[i * nExits + exit]!;
  });
  return wrong / n;
}

/** The test images in the order of the logits, or a sentence why there are none. */
async function testImages(config: Config, test: Table): Promise<Dataset | string> {
  // Drawn glyphs take time, and those of other parts are not shown.
  const isDrawn = config.data.name === "glyphs";
  const parts = isDrawn ? { train: 0, validation: 0, calibration: 0 } : {};
  try {
    const { test: images } = await loadData(
      { ...config, data: { ...config.data, ...parts, download: false } },
      () => {},
    );
    const isSame = images.size === test.samples && test.ids?.every((id, i) => id === images.ids[i]);
    return isSame ? images : "The data set at hand is not the one of this run.";
  } catch (error) {
    return (error as Error).message;
  }
}

/** Everything about single samples that figures need. */
export function departures(table: Table, exits: Int32Array) {
  const { predictions, maxProb, errors } = outcomes(table);
  const at = <T extends Int32Array | Float64Array | Uint8Array>(values: T) =>
    Array.from(exits, (exit, i) => values[i * table.exits + exit]!);
  const alone = (exit: number) => Array.from(exits, (_, i) => errors[i * table.exits + exit]!);
  return { exits, answers: at(predictions), confidences: at(maxProb), wrong: at(errors), alone };
}
