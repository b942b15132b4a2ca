// Costs by measured time, for commands that read logits: what `sortie bench` wrote, put in the place of MACs.

import { existsSync } from "node:fs";
import { json, type OptionValues, preset, SortieError } from "../../base/index.ts";
import {
  CalibrationError,
  COSTED,
  type MeasuredCosts,
  readCosts,
  type Saving,
  type Source,
  withCosts,
} from "../../calibration/index.ts";
import { path } from "../settings/command.ts";
import type { RunFolder } from "./run-folder.ts";
import { STAMP, type Stamp } from "./stamp.ts";
import { readJson } from "./whole.ts";

/** Flags of commands that choose, or tell, by cost. */
export const COST_FLAGS = {
  costs: preset(COSTED.costs, "macs"),
  times: path("milliseconds: what sortie bench wrote (for a run: its own)"),
  batch: COSTED.batch,
} as const;

/** What those flags say. */
export type CostChoice = OptionValues<typeof COST_FLAGS>;

/** What `sortie bench` wrote, as far as others read it. */
export interface BenchFile {
  /** Of which weights and policy it is; undefined in files of earlier versions. */
  readonly stamp: Stamp | undefined;
  readonly costs: MeasuredCosts;
  readonly rows: readonly { readonly batch: number; readonly policy: string; readonly saving: Saving }[];
}

const ROW = { batch: json.count, policy: json.text, saving: json.optional(json.byName(json.finite)) } as const;
const ROWS = json.list(json.record(ROW));

/** Reads a file of `sortie bench`. @throws Error that names it. */
export function readBench(file: string): BenchFile {
  const found = readJson(file);
  try {
    const { costs, rows, weights, policy } = json.object(found, "the file");
    const told = ROWS(rows, "rows").filter((row) => row["saving"] !== undefined);
    const stamp = weights === undefined ? undefined : json.parts({ weights, policy }, "the file", STAMP);
    return { stamp, costs: readCosts(costs), rows: told as unknown as BenchFile["rows"] };
  } catch (cause) {
    if (!(cause instanceof SortieError)) throw cause;
    const hint = "Make it by sortie bench.";
    throw new CalibrationError(`${file} must be what sortie bench wrote; ${cause.message} ${hint}`, { cause });
  }
}

/**
 * The same samples with the costs that were asked for. @throws Error where no times are there, or none of that size.
 */
export function costed<S extends Source>(
  command: string,
  source: S,
  { costs, times, batch }: CostChoice,
  folder: RunFolder | undefined,
): S {
  if (costs === "macs") {
    const stray = times !== undefined ? "times" : batch !== undefined ? "batch" : undefined;
    if (stray === undefined) return source;
    throw new SortieError(`${command}: --${stray} goes with --costs milliseconds; got --costs macs.`);
  }
  const file = times ?? folder?.path("bench");
  if (file === undefined || !existsSync(file)) {
    const got = file === undefined ? "none" : `${file}, which is not there`;
    throw new SortieError(`${command}: --costs milliseconds needs --times, a file of sortie bench; got ${got}.`);
  }
  return withCosts(source, { measured: readBench(file).costs, ...(batch !== undefined && { batch }) });
}
