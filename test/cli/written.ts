// A comparison as it was written.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RunFigures } from "../../cli/compare/figures.ts";
import type { ComparisonSummary } from "../../cli/compare/summary.ts";

/** What is in `comparison.json`. */
export interface Written {
  readonly against: string;
  readonly runs: readonly RunFigures[];
  readonly failures: readonly unknown[];
  readonly settings: ComparisonSummary["settings"];
  readonly proxies: ComparisonSummary["proxies"];
}

/** That of a folder. */
export const written = (dir: string): Written =>
  JSON.parse(readFileSync(join(dir, "comparison.json"), "utf8")) as Written;
