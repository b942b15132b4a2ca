// The section about time: what early exits were measured to save, beside what is promised.

import { savingCells } from "../../bench/show.ts";
import { changedSince } from "../../files/stamp.ts";
import { escapeHtml, section, table } from "../html.ts";
import type { Content } from "./content.ts";

/** Promised and measured saving, and where the rest goes. Of runs that sortie bench timed. */
export function timeSection({ run }: Content): string {
  if (!run?.bench) return "";
  const { costs, rows, stamp } = run.bench;
  const changed = stamp && changedSince(stamp, run.stamp);
  const notes = {
    weights: " Measured with other weights than those of this page: run sortie bench again.",
    policy: " Measured with another policy than that of this page: run sortie bench again.",
    unknown: " The file does not say of which weights and policy it is: run sortie bench again.",
  };
  const note = stamp ? (changed ? notes[changed] : "") : notes.unknown;
  const { head, body } = savingCells(rows);
  return section(
    "Time saved",
    `Shares of the whole network's time, measured on ${escapeHtml(costs.adapter)}: what MACs promise, what the times of stages promise, what was
saved, and what lies between. Losses below zero are gains.${note}`,
    `<div class="wide">${table(head, body)}</div>`,
  );
}
