// The whole op table: the rows of all families in test/ops.

import { readdirSync } from "node:fs";
import type { OpRow } from "./ops/row.ts";

const NO_FAMILIES = ["row.ts", "check.ts"];

/** All rows, family by family. */
export async function opRows(): Promise<OpRow[]> {
  const folder = new URL("./ops/", import.meta.url);
  const rows: OpRow[] = [];
  for (const file of readdirSync(folder).sort()) {
    if (NO_FAMILIES.includes(file)) continue;
    rows.push(...((await import(new URL(file, folder).href)) as { rows: OpRow[] }).rows);
  }
  return rows;
}
