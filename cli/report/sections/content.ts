// What the sections of the report are made from.

import type { Findings } from "../../findings/findings.ts";
import type { RunDetails } from "../run-details.ts";

/** See the file's header. */
export interface Content {
  readonly found: Findings;
  readonly run: RunDetails | undefined;
  /** Exit of each test sample: the policy's, or the last where it refuses or there is none. */
  readonly taken: Int32Array;
}

/**
 * What costs are counted in: time where it was measured; a file of logits may count what it likes, or depth where it
 * says nothing.
 */
export const unitOf = ({ found, run }: Content): string =>
  found.scored.costUnit === "milliseconds" ? "time" : run ? "MACs" : "cost";

/** Why all samples run to the end where no policy says otherwise; undefined where one does. */
export function whyAllStay({ file, policy }: Findings): string | undefined {
  if (policy) return undefined;
  return file ? "The policy refuses: nothing could be certified." : "There is no policy.";
}
