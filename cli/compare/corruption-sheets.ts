// What corrupted images do to every setting, as tables: from severity to severity, and in one number.

import { lastOf, transposed, zip } from "../../base/index.ts";
import { SEVERITIES } from "../../data/index.ts";
import { brokenText, bySeverity, type CorruptionFindings, countedOf, promisesOf } from "../findings/corruptions.ts";
import { withAlikeCorruptions } from "./corruptions-alike.ts";
import { namesOf, points, type Sheet, spread } from "./sheets.ts";
import { type Setting, spreadOf } from "./statistics.ts";

/** What was found of a run. */
interface Found {
  readonly seed: number;
  readonly found: CorruptionFindings;
}

/** A setting with what was found of its runs. */
interface Looked extends Setting {
  readonly seeds: readonly Found[];
}

/** Error of the last exit under each corruption that counts, over its severities, or at one of them. */
function errorsOf({ rows }: CorruptionFindings, at?: number): ReadonlyMap<string, number> {
  const errors = new Map<string, number[]>();
  for (const { name, severity, exits } of countedOf(rows)) {
    if (at !== undefined && severity !== at) continue;
    errors.set(name, [...(errors.get(name) ?? []), 1 - lastOf(exits).accuracy]);
  }
  return new Map([...errors].map(([name, of]) => [name, of.reduce((sum, error) => sum + error, 0) / of.length]));
}

/**
 * Mean corruption error (Hendrycks and Dietterich, ICLR 2019): each corruption's error over that of a reference, then
 * their mean; NaN where the reference does not have them all. Those under which the reference makes no error are left
 * out. Over all severities, or at one.
 */
export function relativeError(found: CorruptionFindings, reference: CorruptionFindings, severity?: number): number {
  const [own, other] = [errorsOf(found, severity), errorsOf(reference, severity)];
  const ratios = [...own].flatMap(([name, error]) => {
    const base = other.get(name) ?? Number.NaN;
    return base === 0 ? [] : [error / base];
  });
  return ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
}

/** Where corrupted images come from. */
const FROM: Readonly<Record<CorruptionFindings["images"], string>> = {
  official: "Published images",
  made: "Images corrupted by code, with the steps and parameters of the public code of CIFAR-10-C",
};

/** What the first table says of itself. */
function introductionOf(settings: readonly Setting[], looked: readonly Looked[], against: string): string {
  const shown = looked.flatMap(({ seeds }) => seeds.map((one) => one.found));
  const all = settings.flatMap(({ runs }) => runs.flatMap(({ corruptions }) => corruptions ?? []));
  const names = new Set(shown.flatMap(({ rows }) => rows.map(({ name }) => name)));
  const from = [...new Set(shown.map(({ images }) => FROM[images]))].join("; or, of other data: ");
  const samples = [...new Set(shown.map(({ samples }) => samples))].join(" or ");
  const synthetic = Object.entries(Object.assign({}, ...shown.map((each) => each.synthetic)) as Record<string, string>);
  const notes = synthetic.filter(([name]) => names.has(name)).map(([name, why]) => `${name} (synthetic): ${why}.`);
  const left = [...new Set(all.flatMap(({ rows }) => rows.map(({ name }) => name)))].filter((name) => !names.has(name));
  const others = all.length - shown.length;
  const rest =
    others > 0
      ? [`Left out: ${others} of ${all.length} runs, of images of another kind or number than ${against}'s.`]
      : [];
  return (
    `${from}; ${samples} of each of ${names.size} corruptions${left.length > 0 ? ` that all runs were looked at under (not all: ${left.join(", ")})` : ""}. In percent, means over seeds: the last exit's error over ` +
    `corruptions that count and severities; the same over ${against}'s of the same seed, corruption by corruption (mCE; without those under which that one makes no error); the policy's accuracy; how many images leave elsewhere than clean ` +
    `ones do; in how many cases the risk that was promised for clean images is exceeded by more than chance. ${[...notes, ...rest].join(" ")}`
  );
}

/** Settings of which it was looked at, all under the corruptions that they have in common. */
function lookedAt(settings: readonly Setting[], against: string): readonly Looked[] {
  const runs = settings.flatMap((setting) => setting.runs);
  const alike = new Map(zip(runs, withAlikeCorruptions(runs, against)));
  const looked = settings.filter(({ runs }) => runs.some(({ corruptions }) => corruptions));
  return looked.map((setting) => ({
    ...setting,
    seeds: setting.runs.flatMap((run) => {
      const found = alike.get(run)?.corruptions;
      return found ? [{ seed: run.seed, found }] : [];
    }),
  }));
}

type Means = ReturnType<typeof bySeverity>[number];

/** The tables; empty where nothing was corrupted. */
export function corruptionSheets(settings: readonly Setting[], against: string): readonly Sheet[] {
  const looked = lookedAt(settings, against);
  if (looked.every(({ seeds }) => seeds.length === 0)) return [];
  const names = namesOf(settings);
  const head = [0, ...SEVERITIES].map((severity) => (severity === 0 ? "clean" : `severity ${severity}`));
  const mean = (values: readonly number[]) => points(spreadOf(values).mean);
  const bySeveritySheet = (title: string, text: string, cell: (setting: Looked, all: readonly Means[]) => string) => ({
    ...{ title, text, head: [...names.head, ...head] },
    rows: looked.map((setting) => {
      const along = setting.seeds.map((one) => bySeverity(one.found));
      const cells = along.length > 0 ? transposed(along).map((all) => cell(setting, all)) : head.map(() => "-");
      return [...names.of(setting), ...cells];
    }),
  });
  /** mCE of each run whose seed the reference has, too. */
  const relative = (setting: Looked, severity?: number): readonly number[] => {
    const reference = looked.find(
      ({ data, backbone, method }) => data === setting.data && backbone === setting.backbone && method === against,
    );
    return setting.seeds.flatMap(({ seed, found: own }) => {
      const other = reference?.seeds.find((one) => one.seed === seed);
      return other ? [relativeError(own, other.found, severity)] : [];
    });
  };
  return [
    {
      title: "Corrupted images",
      text: introductionOf(settings, looked, against),
      head: [...names.head, "mean error", "mCE", "policy", "leave elsewhere", "promise broken"],
      rows: looked.map((setting) => {
        const counted = setting.seeds.flatMap((one) => countedOf(one.found.rows));
        const policies = counted.flatMap(({ policy }) => policy ?? []);
        return [
          ...names.of(setting),
          spread(spreadOf(setting.seeds.map((one) => lastOf(one.found.meanError.exits)))),
          spread(spreadOf(relative(setting))),
          mean(policies.map(({ accuracy }) => accuracy)),
          mean(policies.map(({ shift }) => shift)),
          brokenText(promisesOf(counted)),
        ];
      }),
    },
    bySeveritySheet("Accuracy under corruption", "Of the last exit, in percent, from severity to severity.", (_, all) =>
      mean(all.map(({ accuracy }) => accuracy)),
    ),
    bySeveritySheet(
      "Mean corruption error",
      `The last exit's error over ${against}'s of the same seed at that severity, corruption by corruption, in percent.`,
      (setting, [first]) => mean(first?.severity === 0 ? [] : relative(setting, first?.severity)),
    ),
    bySeveritySheet("ECE under corruption", "Of the last exit, in percent.", (_, all) =>
      mean(all.map(({ ece }) => ece)),
    ),
    bySeveritySheet(
      "Where corrupted images leave",
      "Percent of images that leave elsewhere than clean ones do: half the sum of the shares' differences.",
      (_, all) => mean(all.map(({ policy }) => policy?.shift ?? Number.NaN)),
    ),
    bySeveritySheet(
      "Promised risk under corruption",
      "The risk that the policy promises for clean images, as observed, in percent.",
      (_, all) => mean(all.map(({ policy }) => policy?.risk ?? Number.NaN)),
    ),
    bySeveritySheet(
      "Promises broken under corruption",
      "Under how many corruptions, over seeds, the promised risk is exceeded by more than chance.",
      (_, all) => brokenText(all.flatMap(({ policy }) => policy?.promises ?? [])),
    ),
  ];
}
