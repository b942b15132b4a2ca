// What a comparison tells of corrupted images: seed by seed, and under the same corruptions.

import { corruptionSheets } from "../../cli/compare/corruption-sheets.ts";
import type { RunFigures } from "../../cli/compare/figures.ts";
import { settingsOf } from "../../cli/compare/statistics.ts";
import { summaryOf } from "../../cli/compare/summary.ts";
import type { CorruptionFindings } from "../../cli/findings/corruptions.ts";
import { assert, suite } from "../harness.ts";

const test = suite("cli compare: corruptions");

/** What corruptions may have done to a run: the error of its last exit under each, at every severity. */
function corrupted(errors: Readonly<Record<string, number>>): CorruptionFindings {
  const row = (name: string, severity: number, error: number) => ({
    ...{ name, severity, exits: [{ accuracy: 1 - error, ece: 0.1 }] },
  });
  const rows = Object.entries(errors).flatMap(([name, error]) => [1, 2, 3, 4, 5].map((s) => row(name, s, error)));
  const about = {
    weights: "w",
    policy: "none",
    samples: 10,
    of: 10,
    images: "made",
    names: ["only"],
    synthetic: {},
  } as const;
  return { ...about, clean: row("clean", 0, 0.1), rows, meanError: { exits: [0] } };
}

const run = (method: string, seed: number, corruptions: CorruptionFindings, backbone = "b") =>
  ({
    ...{ data: "d", backbone, method, seed, atCost: [{}, {}, {}, {}], near: {} },
    ...{ exits: [{ accuracy: 0.9 }], corruptions, collapsed: [] },
  }) as unknown as RunFigures;

test("errors under corruption are held against the reference's of the same seed, under what all runs have", () => {
  const runs = [
    run("joint", 0, corrupted({ fog: 0.4, frost: 0.9 })),
    run("joint", 1, corrupted({ fog: 0.6 })),
    run("kd", 0, corrupted({ fog: 0.3 })),
    run("kd", 1, corrupted({ fog: 0.5, snow: 0.1 })),
    run("kd", 2, corrupted({ fog: 0.5 })),
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

test("images of another kind or number than the reference's are not held against its own", () => {
  const published = { ...corrupted({ fog: 0.8 }), images: "official" } as const;
  const few = { ...corrupted({ fog: 0.7 }), samples: 3 };
  const runs = [
    run("first", 0, published),
    run("joint", 0, corrupted({ fog: 0.4 })),
    run("joint", 1, corrupted({ fog: 0.4 })),
    run("kd", 0, corrupted({ fog: 0.2 })),
    run("kd", 1, few),
    run("joint", 0, few, "other"),
  ];
  const settings = settingsOf(runs);
  const [all, accuracy, relative] = corruptionSheets(settings, "joint");
  assert.equal(
    all!.rows.map(([, , error, mce]) => [error, mce]),
    [
      ["-", "-"],
      ["40.0 ± 0.0", "100.0 ± 0.0"],
      ["20.0", "50.0"],
      ["70.0", "100.0"],
    ],
  );
  assert.match(all!.text, /^Images corrupted by code.*; 10 or 3 of each of 1 corruptions\. .*Left out: 2 of 6 runs, /);
  for (const sheet of [accuracy!, relative!]) assert.equal(sheet.rows[0]!.slice(2), new Array(6).fill("-"));

  const { settings: summed } = summaryOf(runs, "joint");
  assert.equal(
    summed.map(({ measures }) => measures["corruptedError"]!.n),
    [0, 2, 1, 1],
  );
});

test("what the reference never gets wrong is left out; a promise counts where one set of images can tell", () => {
  const promised = (isBroken: readonly (boolean | undefined)[]): CorruptionFindings => {
    const found = corrupted({ fog: 0.2, snow: 0.3 });
    const policy = { accuracy: 0.8, cost: 0.5, fractions: [1], shift: 0, earlyRisk: 0.1 };
    const rows = found.rows.map((row, i) => {
      const broken = isBroken[i % isBroken.length];
      return { ...row, policy: { ...policy, ...(broken !== undefined && { isBroken: broken }) } };
    });
    return { ...found, clean: { ...found.clean, policy }, rows };
  };
  const runs = [
    run("joint", 0, corrupted({ fog: 0.4, snow: 0 })),
    run("some", 0, promised([true, false, undefined])),
    run("average", 0, promised([undefined])),
  ];
  const [all, ...others] = corruptionSheets(settingsOf(runs), "joint");
  const cells = Object.fromEntries(all!.rows.map((row) => [row[0], row]));
  assert.equal([cells["joint"]![2], cells["some"]![2]], ["100.0", "50.0"]);
  assert.equal(
    ["some", "average"].map((name) => cells[name]!.at(-1)),
    ["4 of 7", "-"],
  );
  assert.equal(
    others.at(-1)!.rows.map((row) => row.at(-1)),
    ["-", "1 of 2", "-"],
  );
});

test("the summary holds errors under the same corruptions against each other", () => {
  const runs = [run("joint", 0, corrupted({ fog: 0.4, snow: 0.8 })), run("kd", 0, corrupted({ fog: 0.3 }))];
  const [joint, kd] = summaryOf(runs, "joint").settings;
  assert.ok(Math.abs(joint!.measures["corruptedError"]!.mean - 0.4) < 1e-12);
  assert.ok(Math.abs(kd!.differences!["corruptedError"]!.mean + 0.1) < 1e-12);
});
