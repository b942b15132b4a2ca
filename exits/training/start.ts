// Where the weights of a run start: drawn from the seed, or from another run or a file, which start-file.ts reads.

import { codeOf, type Given, option } from "../../base/index.ts";
import { ArgumentError } from "../../engine/functions.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { inFolder, RUN_FILES } from "../run/run.ts";
import type { StartReport } from "./start-file.ts";

/** Options of where weights start; without any they are drawn from the seed. */
export const START_OPTIONS = {
  weights: option.text(
    undefined,
    "safetensors file to start from: a checkpoint, a model file, or weights by torchvision's, timm's or MSDNet's own names",
  ),
  from: option.text(undefined, "folder of a run to start from, by its last weights"),
} as const;

/** Where weights start. */
export type Start = Given<typeof START_OPTIONS>;

/** What a run starts from. */
export interface Started {
  /** Of the weights. */
  readonly digest: string;
  /** Absent where they are gone, and a checkpoint has taken their place. */
  readonly report?: StartReport;
}

/**
 * Reads what a run starts from into the network, if anything is asked for. Where that is gone, `digestBefore` is asked
 * what a checkpoint of the run started from, for the run needs it no longer. @throws ArgumentError for two places;
 * TrainingError for a file that does not serve.
 */
export async function loadStart(
  net: MultiExit,
  { weights, from }: Start,
  digestBefore: () => string | undefined,
): Promise<Started | undefined> {
  if (weights !== undefined && from !== undefined)
    throw new ArgumentError(`train: weights must start from a file or from a run; got ${weights} and ${from}.`);
  const path = weights ?? (from === undefined ? undefined : inFolder(from, RUN_FILES.last));
  if (path === undefined) return undefined;
  const { readStart } = await import("./start-file.ts");
  try {
    const report = await readStart(net, path);
    return { digest: report.digest, report };
  } catch (error) {
    const digest = codeOf((error as Error).cause) === "ENOENT" ? digestBefore() : undefined;
    if (digest === undefined) throw error;
    return { digest };
  }
}
