// What a comparison's tables say where runs of one setting are not alike: what some have not, nobody takes for all.

import type { RunFigures } from "../../cli/compare/figures.ts";
import { comparisonText } from "../../cli/compare/page.ts";
import { accuracySheet, publishedSheet, runSheet, type Sheet, timeSheet } from "../../cli/compare/sheets.ts";
import { settingsOf } from "../../cli/compare/statistics.ts";
import { summaryOf } from "../../cli/compare/summary.ts";
import { assert, suite } from "../harness.ts";

const test = suite("cli compare: sheets");

const point = { accuracy: 0.9, cost: 0.5 };
const exit = { accuracy: 0.9, ece: 0.1, auroc: 0.8, aurc: 0.1, eefp: 0.9 };

/** A run, as far as tables look at it. */
const run = (method: string, seed: number, own: Partial<RunFigures> = {}): RunFigures => ({
  ...{ data: "d", backbone: "b", method, seed, dir: `${method}${seed}`, commit: "c", adapter: "a" },
  ...{ settings: { method: { name: "joint" }, calibration: {} } as unknown as RunFigures["settings"] },
  ...{ samples: 10, classes: 2, trainingSeconds: 1, macs: 1, exits: [exit, exit], area: 0.8 },
  ...{ curve: [{ ...point, validation: 0.9 }], atCost: [point, point, point, point], near: point },
  ...{ certified: undefined, timing: undefined, lossSize: undefined, corruptions: undefined, collapsed: [] },
  ...own,
});

/** A row by the head of its table. */
const rowOf = ({ head, rows }: Sheet, at: number) => Object.fromEntries(head.map((name, k) => [name, rows[at]![k]]));

test("a mean over the seeds that got there says how many did", () => {
  const reaching = (cost: number, validation: number) => [{ cost, validation, accuracy: validation }];
  const nowhere = { accuracy: Number.NaN, cost: Number.NaN };
  const runs = [
    run("joint", 0, { curve: reaching(0.6, 0.9) }),
    run("joint", 1, { curve: reaching(0.7, 0.9) }),
    run("kd", 0, { curve: reaching(0.4, 0.91) }),
    run("kd", 1, { curve: reaching(0.2, 0.5), atCost: [nowhere, point, point, point] }),
  ];
  const sheet = accuracySheet(settingsOf(runs), "joint");
  assert.is(rowOf(sheet, 0)["as joint"], "65.0 ± 7.1");
  assert.equal([rowOf(sheet, 1)["as joint"], rowOf(sheet, 1)["at 25 %"]], ["40.0 (1 of 2)", "90.0 (1 of 2)"]);
  assert.is(rowOf(sheet, 1)["least cost"], "50.0 ± 0.0");
});

test("a paper's rule that could be certified at some seeds says at how many", () => {
  const told = { score: "entropy", rule: "by learnThenTest", area: 0.7 };
  const decided = { accuracy: 0.9, cost: 0.4, earlyRisk: 0.02 };
  const runs = [
    run("kd", 0, { published: { ...told, decided } }),
    run("kd", 1, { published: told }),
    run("kd", 2, { area: 0.2 }),
  ];
  const row = rowOf(publishedSheet(settingsOf(runs)), 0);
  assert.equal(
    [row["accuracy"], row["cost"], row["error of early leavers"], row["area"], row["area by probability"]],
    ["90.0 (1 of 3)", "40.0 (1 of 3)", "2.0 (1 of 3)", "70.0 ± 0.0 (2 of 3)", "80.0 ± 0.0 (2 of 3)"],
  );
});

test("times are of certified cascades, beside what these promise, and not of two adapters at once", () => {
  const certified = (cost: number) => ({ accuracy: 0.9, cost, earlyRisk: 0, exitRisk: [], shares: [] });
  const timing = (cascade: number, adapter = "one") => ({ adapter, batch: 64, images: 9, whole: 2, cascade });
  const runs = [
    run("joint", 0, { certified: certified(0.6), timing: timing(1) }),
    run("joint", 1, { certified: certified(0.2) }),
    run("joint", 2, { uncertified: "calibrated in another way", timing: timing(0.1) }),
    run("kd", 0),
  ];
  const alone = timeSheet(settingsOf(runs));
  assert.match(alone.text, "(one, batch 64)");
  assert.equal(alone.rows, [["joint", "2.000", "1.000", "50.0", "60.0"]]);
  const elsewhere = run("joint", 3, { certified: certified(0.4), timing: timing(0.5, "two") });
  const apart = timeSheet(settingsOf([...runs, elsewhere]));
  assert.is(apart.head[1], "timed on");
  assert.equal(apart.rows, [
    ["joint", "one, batch 64", "2.000", "1.000", "50.0", "60.0"],
    ["joint", "two, batch 64", "2.000", "0.500", "25.0", "40.0"],
  ]);
  const [joint, kd] = summaryOf([...runs, elsewhere], "joint").settings;
  const told = joint!.times.map(({ adapter, cascade, share }) => [adapter, cascade.mean, cascade.n, share.mean]);
  assert.equal(
    [told, kd!.times],
    [
      [
        ["one", 1, 1, 0.5],
        ["two", 0.5, 1, 0.25],
      ],
      [],
    ],
  );
});

test("a reason of several lines stays in its cell of the text", () => {
  const reason = "train: it broke | twice:\n  first\r\n\r\n  second";
  const text = comparisonText({ title: "t", lines: [] }, [runSheet([], [{ name: "d-b-joint-seed1", reason }])]);
  assert.match(text, "\n| d-b-joint-seed1 | failed | - | - | - | - | - | train: it broke \\| twice: first second |\n");
});
