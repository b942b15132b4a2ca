// What a comparison tells of corrupted images: seed by seed, and under the same corruptions.

import type { CorruptionFindings } from "../../cli/commands/corruptions.ts";
import { corruptionSheets } from "../../cli/compare/corruption-sheets.ts";
import type { RunFigures } from "../../cli/compare/figures.ts";
import { settingsOf } from "../../cli/compare/statistics.ts";
import { assert, suite } from "../harness.ts";

const test = suite("cli compare: corruptions");

/** What corruptions may have done to a run: the error of its last exit under each, at every severity. */
function corrupted(errors: Readonly<Record<string, number>>): CorruptionFindings {
  const row = (name: string, severity: number, error: number) => ({
    ...{ name, severity, exits: [{ accuracy: 1 - error, ece: 0.1 }] },
  });
  const rows = Object.entries(errors).flatMap(([name, error]) => [1, 2, 3, 4, 5].map((s) => row(name, s, error)));
  const about = { weights: "w", policy: "none", samples: 10, images: "made", names: ["only"], synthetic: {} } as const;
  return { ...about, clean: row("clean", 0, 0.1), rows, meanError: { exits: [0] } };
}

test("errors under corruption are held against the reference's of the same seed, under what all runs have", () => {
  const run = (method: string, seed: number, errors: Readonly<Record<string, number>>) =>
    ({
      data: "d",
      backbone: "b",
      method,
      seed,
      exits: [],
      corruptions: corrupted(errors),
      collapsed: [],
    }) as unknown as RunFigures;
  const runs = [
    run("joint", 0, { fog: 0.4, frost: 0.9 }),
    run("joint", 1, { fog: 0.6 }),
    run("kd", 0, { fog: 0.3 }),
    run("kd", 1, { fog: 0.5, snow: 0.1 }),
    run("kd", 2, { fog: 0.5 }),
  ];
  const [all, , relative, , , , promises] = corruptionSheets(settingsOf(runs), "joint");
  assert.equal(
    all!.rows.map(([, error, mce]) => [error, mce]),
    [
      ["50.0 ± 14.1", "100.0 ± 0.0"],
      ["43.3 ± 11.5", "79.2 ± 5.9"],
    ],
  );
  assert.match(all!.text, "each of 1 corruptions that all runs were looked at under (not all: frost, snow)");
  assert.equal(relative!.rows[1]!.slice(1), ["-", "79.2", "79.2", "79.2", "79.2", "79.2"]);
  assert.equal(promises!.rows[0]!.slice(1), new Array(6).fill("-"), "no policy, no promise");
});
