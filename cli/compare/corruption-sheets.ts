// What corrupted images do to every setting, as tables: from severity to severity, and in one number.

import { lastOf, transposed } from "../../base/index.ts";
import { bySeverity, type CorruptionFindings, countedOf } from "../commands/corruptions.ts";
import { namesOf, points, type Sheet, spread } from "./sheets.ts";
import { type Setting, spreadOf } from "./statistics.ts";

/** A setting's runs of which it was looked at. */
const foundOf = ({ runs }: Setting): readonly CorruptionFindings[] =>
  runs.flatMap(({ corruptions }) => corruptions ?? []);

/** Error of the last exit under each corruption that counts, over its severities. */
function errorsOf({ rows }: CorruptionFindings): ReadonlyMap<string, number> {
  const errors = new Map<string, number[]>();
  for (const { name, exits } of countedOf(rows))
    errors.set(name, [...(errors.get(name) ?? []), 1 - lastOf(exits).accuracy]);
  return new Map([...errors].map(([name, of]) => [name, of.reduce((sum, error) => sum + error, 0) / of.length]));
}

/**
 * Mean corruption error (Hendrycks and Dietterich, ICLR 2019): each corruption's error over that of a reference, then
 * their mean; NaN where the reference does not have them all.
 */
export function relativeError(found: CorruptionFindings, reference: CorruptionFindings): number {
  const [own, other] = [errorsOf(found), errorsOf(reference)];
  const ratios = [...own].map(([name, error]) => error / (other.get(name) ?? Number.NaN));
  return ratios.reduce((sum, ratio) => sum + ratio, 0) / ratios.length;
}

/** What the first table says of itself. */
function introductionOf({ images, samples, synthetic, rows }: CorruptionFindings, severities: number, against: string) {
  const from =
    images === "official"
      ? "Published images"
      : "Images corrupted by code, with the steps and parameters of the public code of CIFAR-10-C";
  const notes = Object.entries(synthetic).map(([name, why]) => `${name} (synthetic): ${why}.`);
  return (
    `${from}; ${samples} of each of ${countedOf(rows).length / severities} corruptions that count. In percent, means over seeds: the last exit's error over ` +
    `corruptions and severities; the same over ${against}'s, corruption by corruption (mCE); the certified policy's accuracy; how many images leave elsewhere than clean ` +
    `ones do; in how many cases the risk that was promised for clean images is exceeded. ${notes.join(" ")}`
  );
}

type Means = ReturnType<typeof bySeverity>[number];

const alongSeverities = (setting: Setting, of: (means: Means) => number) =>
  transposed(foundOf(setting).map((found) => bySeverity(found).map(of))).map((all) => points(spreadOf(all).mean));

/** The tables; empty where nothing was corrupted. */
export function corruptionSheets(settings: readonly Setting[], against: string): readonly Sheet[] {
  const looked = settings.filter((setting) => foundOf(setting).length > 0);
  const [some] = looked.flatMap(foundOf);
  if (!some) return [];
  const names = namesOf(settings);
  const severities = bySeverity(some).map(({ severity }) => severity);
  const over = (setting: Setting, of: (found: CorruptionFindings) => number) =>
    spread(spreadOf(foundOf(setting).map(of)));
  const head = severities.map((severity) => (severity === 0 ? "clean" : `severity ${severity}`));
  const bySeveritySheet = (title: string, text: string, of: (means: Means) => number) => ({
    ...{ title, text, head: [...names.head, ...head] },
    rows: looked.map((setting) => [...names.of(setting), ...alongSeverities(setting, of)]),
  });
  return [
    {
      title: "Corrupted images",
      text: introductionOf(some, severities.length - 1, against),
      head: [...names.head, "mean error", "mCE", "policy", "leave elsewhere", "promise broken"],
      rows: looked.map((setting) => {
        const reference = looked.find(
          ({ data, backbone, method }) => data === setting.data && backbone === setting.backbone && method === against,
        );
        const of = reference && foundOf(reference)[0];
        const policies = foundOf(setting).flatMap(({ rows }) => countedOf(rows).flatMap(({ policy }) => policy ?? []));
        const mean = (pick: (policy: (typeof policies)[number]) => number) => points(spreadOf(policies.map(pick)).mean);
        return [
          ...names.of(setting),
          over(setting, ({ meanError }) => lastOf(meanError.exits)),
          over(setting, (found) => (of ? relativeError(found, of) : Number.NaN)),
          mean(({ accuracy }) => accuracy),
          mean(({ shift }) => shift),
          `${policies.filter(({ isBroken }) => isBroken).length} of ${policies.length}`,
        ];
      }),
    },
    bySeveritySheet(
      "Accuracy under corruption",
      "Of the last exit, in percent, from severity to severity.",
      ({ accuracy }) => accuracy,
    ),
    bySeveritySheet("ECE under corruption", "Of the last exit, in percent.", ({ ece }) => ece),
    bySeveritySheet(
      "Where corrupted images leave",
      "Percent of images that leave elsewhere than clean ones do: half the sum of the shares' differences.",
      ({ policy }) => policy?.shift ?? Number.NaN,
    ),
    bySeveritySheet(
      "Promised risk under corruption",
      "The risk that the policy promises for clean images, as observed, in percent.",
      ({ policy }) => policy?.risk ?? Number.NaN,
    ),
  ];
}
