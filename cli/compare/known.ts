// Runs that a comparison has told of before, here or on another machine: their figures, by all that decides them. What
// is known is not made again, and its folder need not be there.

import { json } from "../../base/index.ts";
import { decisive, runId } from "../files/run-folder.ts";
import { readJson } from "../files/whole.ts";
import { asCorruptionFindings } from "../report/sections/corruptions.ts";
import { completeConfig } from "../settings/config.ts";
import { inFile } from "../settings/settings.ts";
import type { RunFigures } from "./figures.ts";
import type { RunKey } from "./plan.ts";
import { TIMING } from "./timing.ts";

const numbers = json.list(json.number);
const NUMBERS = { accuracy: json.number, cost: json.number } as const;
const POINT = json.record(NUMBERS);

const EXIT = {
  ...{ trainedEce: json.optional(json.number), trainedAuroc: json.optional(json.number) },
  ...{ trainedAurc: json.optional(json.number), trainedEefp: json.optional(json.number) },
  ...{ accuracy: json.number, ece: json.number, auroc: json.number, aurc: json.number, eefp: json.number },
} as const;

const PUBLISHED = {
  ...{ score: json.text, rule: json.text, area: json.number },
  decided: json.optional(json.record({ ...NUMBERS, earlyRisk: json.number })),
} as const;

/** What is asked of a run in the JSON of a comparison; data, backbone, method and seed are those of the plan. */
const RUN = {
  settings: json.object,
  dir: json.text,
  commit: json.text,
  adapter: json.text,
  samples: json.count,
  classes: json.count,
  trainingSeconds: json.number,
  taken: json.optional(json.text),
  macs: json.finite,
  exits: json.filled(json.record(EXIT)),
  curve: json.filled(json.record({ ...NUMBERS, validation: json.optional(json.number) })),
  area: json.number,
  atCost: json.list(POINT),
  near: POINT,
  certified: json.optional(json.record({ ...NUMBERS, earlyRisk: json.number, exitRisk: numbers, shares: numbers })),
  uncertified: json.optional(json.text),
  published: json.optional(json.record(PUBLISHED)),
  timing: json.optional(json.record(TIMING)),
  lossSize: json.optional(json.pair(json.number)),
  collapsed: json.list(json.text),
} as const;

/** Figures by the id of their run. */
export type Known = ReadonlyMap<string, Omit<RunFigures, keyof RunKey>>;

/** What is asked of all runs, and not told of some that are known: a line each. */
export function untold(
  known: readonly RunFigures[],
  asked: { readonly isTimed: boolean; readonly corruptions: unknown },
): readonly string[] {
  const line = (what: string, runs: readonly RunFigures[]): string[] =>
    runs.length === 0 ? [] : [`known without ${what}, shown as -: ${runs.map(({ dir }) => dir).join(", ")}`];
  return [
    ...line(
      "a policy as asked for",
      known.filter(({ uncertified }) => uncertified !== undefined),
    ),
    ...(asked.isTimed
      ? line(
          "measured times",
          known.filter(({ timing }) => !timing),
        )
      : []),
    ...(asked.corruptions
      ? line(
          "corruptions",
          known.filter(({ corruptions }) => !corruptions),
        )
      : []),
  ];
}

/** The runs of a comparison's JSON. @throws SortieError that names file and key. */
export function readKnown(path: string): Known {
  const { runs } = json.parts(readJson(path), path, { runs: json.list(json.record(RUN)) });
  return new Map(
    runs.map(({ certified, timing, lossSize, ...run }) => {
      // Complete as of today: a setting that came later is preset to what was before it.
      const config = completeConfig(inFile(path), run.settings);
      const corruptions = asCorruptionFindings(run["corruptions"]);
      return [runId(config), { ...run, settings: decisive(config), certified, timing, lossSize, corruptions }];
    }),
  );
}
