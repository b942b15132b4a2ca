// The section about time: what early exits were measured to save, beside what is promised.

import { savingCells } from "../../bench/show.ts";
import { escapeHtml, section, table } from "../html.ts";
import type { Content } from "./content.ts";

/** Promised and measured saving, and where the rest goes. Of runs that sortie bench timed. */
export function timeSection({ run }: Content): string {
  if (!run?.bench) return "";
  const { costs, rows } = run.bench;
  const { head, body } = savingCells(rows);
  return section(
    "Time saved",
    `Shares of the whole network's time, measured on ${escapeHtml(costs.adapter)}: what MACs promise, what the times of stages promise, what was
saved, and what lies between. Losses below zero are gains.`,
    `<div class="wide">${table(head, body)}</div>`,
  );
}
