// What was timed, for people: tables in Markdown, and one figure.

import type { TopLevelSpec } from "vega-lite";
import { firstOf, lastOf } from "../../base/index.ts";
import type { MeasuredCosts, Saving } from "../../calibration/index.ts";
import { percent } from "../format.ts";
import { WHOLE } from "../report/figures/parts.ts";
import { COLOURS } from "../report/plots.ts";
import type { CascadeTime, ColdStart, Latency } from "./measure.ts";

const ms = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(value < 100 ? 1 : 0));
const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] => [
  row(head),
  row(head.map(() => "---")),
  ...rows.map(row),
];

/** The whole network against cascades. */
export function cascadeTable(rows: readonly CascadeTime[]): readonly string[] {
  const head = [
    "batch",
    "policy",
    "leave early",
    "whole, ms",
    "cascade, ms",
    "time",
    "MACs",
    "of the promise by times",
    "by MACs",
  ];
  return table(
    head,
    rows.map(({ batch, policy, fractions, whole, cascade, macs, saving }) => {
      const early = 1 - lastOf(fractions);
      const [time, byMacs] = [cascade / whole, 1 - macs];
      const kept = (promised: number): string => (promised > 0 ? percent((1 - time) / promised) : "-");
      const shares = [percent(time), percent(macs), saving ? kept(saving.byTimes) : "-", kept(byMacs)];
      return [String(batch), policy, percent(early), ms(whole), ms(cascade), ...shares];
    }),
  );
}

const LOSSES = {
  byMacs: "promised by MACs",
  decisions: "decisions",
  stages: "stages that take more than their MACs",
  byTimes: "promised by stage times",
  launches: "launches",
  filling: "badly filled batches",
  compaction: "compaction",
  rest: "moving rows, and the rest",
  measured: "measured",
} as const satisfies Readonly<Record<keyof Saving, string>>;

/** Promised and measured saving side by side, and where the rest goes: shares of the whole network's time. */
export function savingCells(
  rows: readonly { readonly batch: number; readonly policy: string; readonly saving: Saving | undefined }[],
): { readonly head: readonly string[]; readonly body: readonly (readonly string[])[] } {
  const keys = Object.keys(LOSSES) as (keyof Saving)[];
  const body = rows.flatMap(({ batch, policy, saving }) =>
    saving ? [[String(batch), policy, ...keys.map((key) => percent(saving[key]))]] : [],
  );
  return { head: ["batch", "policy", ...keys.map((key) => LOSSES[key])], body };
}

/** The same as a table. */
export function savingTable(rows: readonly CascadeTime[]): readonly string[] {
  const { head, body } = savingCells(rows);
  return table(head, body);
}

/** Milliseconds up to each exit. */
export function stageTable({ times }: MeasuredCosts, names: readonly string[]): readonly string[] {
  return table(
    ["batch", ...names.map((name) => `to ${name}, ms`), "whole network, ms", "empty, ms", "compaction, ms"],
    times.map(({ batch, passing, alone, rows, compaction }) => {
      const full = passing.map((each) => ms(lastOf(each)));
      const empty = rows[0] === 0 ? ms(firstOf(lastOf(passing))) : "-";
      return [String(batch), ...full, ms(lastOf(alone)), empty, ms(compaction)];
    }),
  );
}

/** Single images. */
export function latencyTable(rows: readonly Latency[], starts: readonly ColdStart[]): readonly string[] {
  return table(
    ["policy", "p50, ms", "p99, ms", "first answer, cold, ms", "first answer, compiled, ms", "compiling, ms"],
    rows.map(({ policy, p50, p99 }) => {
      const start = starts.find((one) => one.policy === policy);
      const first = start ? [ms(start.cold), ms(start.warm), ms(start.compile)] : ["-", "-", "-"];
      return [policy, ms(p50), ms(p99), ...first];
    }),
  );
}

/**
 * Where a cascade begins to pay: size of batches across, its time as a share of the whole network's upwards, a line for
 * each share that leaves.
 */
export function crossover(rows: readonly CascadeTime[]): TopLevelSpec {
  const values = rows.map(({ batch, cascade, whole, fractions }) => {
    return { batch, share: cascade / whole, leave: percent(1 - lastOf(fractions)) };
  });
  const batches = [...new Set(values.map(({ batch }) => batch))];
  const x = { field: "batch", type: "quantitative" as const, title: "batch", axis: { values: batches } };
  const scaled = { ...x, scale: { type: "log" as const, base: 2 } };
  const axis = { title: "time of the cascade, share of the whole network's", format: ".0%" };
  const y = { field: "share", type: "quantitative" as const, axis };
  return {
    ...WHOLE,
    layer: [
      {
        data: { values: [{ share: 1 }] },
        mark: { type: "rule", color: COLOURS.accent, strokeDash: [5, 4] },
        encoding: { y },
      },
      {
        data: { values },
        mark: { type: "line", point: { filled: true, size: 45 }, strokeWidth: 2 },
        encoding: {
          x: scaled,
          y,
          color: { field: "leave", type: "ordinal", title: "leave early", scale: { scheme: "blues" } },
        },
      },
    ],
  };
}
