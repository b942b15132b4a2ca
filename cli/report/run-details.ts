// What a report about a run shows besides its test logits: curves, targets, images, difficulty; read from the run
// folder.

import { existsSync } from "node:fs";
import { inColumns, messageOf, SortieError } from "../../base/index.ts";
import {
  applyScaling,
  type Cascade,
  outcomes,
  type PolicyFile,
  type Source,
  type Table,
} from "../../calibration/index.ts";
import type { Dataset, ImageBytes } from "../../data/index.ts";
import type { MetricsRow } from "../../exits/index.ts";
import { type BenchFile, readBench } from "../files/costs-file.ts";
import { readLogits } from "../files/logits-file.ts";
import type { RunFolder, RunRecord } from "../files/run-folder.ts";
import { type Stamp, stampOf } from "../files/stamp.ts";
import { readText } from "../files/whole.ts";
import type { CorruptionFindings } from "../findings/corruptions.ts";
import type { Config } from "../settings/config.ts";
import { loadData } from "../settings/model.ts";
import type { Departures } from "./examples.ts";
import { readCorruptions } from "./sections/corruptions.ts";
import { sweepTargets, type TargetSweep } from "./targets.ts";

/** See the file's header. */
export interface RunDetails {
  readonly dir: string;
  readonly config: Config;
  readonly record: RunRecord;
  readonly history: readonly MetricsRow[];
  /** The policy's rule under other targets, or why there is none. */
  readonly targets: TargetSweep | string;
  /** What corrupted images do, if that was asked. */
  readonly corruptions: CorruptionFindings | undefined;
  /** The test images, or why they cannot be shown. */
  readonly images: Dataset<ImageBytes> | string;
  /** What sortie bench measured, if it did. */
  readonly bench: BenchFile | undefined;
  /** What the policy and weights that are told of go by. */
  readonly stamp: Stamp;
}

/** Reads everything. Images that are no longer there leave a reason instead of an error. */
export async function readDetails(
  folder: RunFolder,
  { file, source, raw }: { readonly file: PolicyFile | undefined; readonly source: Source; readonly raw: Table },
): Promise<RunDetails> {
  const config = folder.config();
  const scaled = (path: string) => {
    const table = readLogits(path);
    return file?.scaling ? applyScaling(table, file.scaling) : table;
  };
  const [validation, calibration] = [scaled(folder.logits("validation")), scaled(folder.logits("calibration"))];
  return {
    dir: folder.dir,
    config,
    record: folder.record(),
    history: readHistory(folder.metrics, source.exits),
    targets: sweepTargets(file, { validation, calibration, test: source }),
    corruptions: readCorruptions(folder, { raw: source, file }),
    images: await testImages(config, source),
    stamp: stampOf(raw, file),
    bench: existsSync(folder.path("bench")) ? readBench(folder.path("bench")) : undefined,
  };
}

/**
 * The rows of metrics.jsonl; of a run that still trains, what is no whole line yet is none. @throws Error that names
 * the file and the line.
 */
export function readHistory(path: string, exits: number, isTraining = false): readonly MetricsRow[] {
  const text = readText(path);
  return (isTraining ? text.slice(0, text.lastIndexOf("\n") + 1) : text).split("\n").flatMap((line, i) => {
    if (line === "") return [];
    const row = parsed(line) as Partial<MetricsRow> | null | undefined;
    const isKind = row?.kind === "train" || row?.kind === "evaluation";
    if (isKind && typeof row.step === "number" && row.exits?.length === exits) return [row as MetricsRow];
    const shown = line.length > 60 ? `${line.slice(0, 60)}...` : line;
    throw new SortieError(`${path}, line ${i + 1} must be a row of measurements of ${exits} exits; got ${shown}`);
  });
}

/** Undefined for what is no JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The test images in the order of the logits, or a sentence why there are none. */
export async function testImages(config: Config, test: Source): Promise<Dataset<ImageBytes> | string> {
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
    return messageOf(error);
  }
}

/** Everything about single samples that figures need, for samples that leave at `exits`. */
export function departures(source: Source, scored: Cascade, exits: Int32Array): SampleDepartures {
  const at = (values: ArrayLike<number>) => inColumns(values, scored.exits, exits);
  const alone = (exit: number) =>
    inColumns(
      scored.errors,
      scored.exits,
      exits.map(() => exit),
    );
  const { predictions, errors } = scored;
  return { exits, answers: at(predictions), confidences: at(probabilities(source, scored)), wrong: at(errors), alone };
}

/** What leaves where, with its errors. */
export interface SampleDepartures extends Departures {
  /** 1 where the answer is wrong. */
  readonly wrong: ArrayLike<number>;
  /** The same if every sample left at one exit. */
  alone(exit: number): ArrayLike<number>;
}

/** How sure an exit was, as a probability: the policy's score if it is one, else the exit's own largest. */
function probabilities(source: Source, { score, scores }: Cascade): Float64Array {
  const isProbability =
    typeof score === "string" && (score === "maxProb" || /Ensemble$|^productOfExperts$/.test(score));
  if (isProbability || "scores" in source) return scores;
  return "read" in source ? outcomes(source).maxProb : source.maxProb;
}
