// A comparison as tables of text, which the page and the text of results are both made of.

import { firstOf, transposed } from "../../base/index.ts";
import { METHODS, type Method } from "../../exits/index.ts";
import { percent } from "../format.ts";
import { COSTS, certifiedOf, costToReach, LOSS, lastAccuracyOf, type RunFigures } from "./figures.ts";
import { groupsOf, pairedDifference, proxyCorrelations, type Setting, type Spread, spreadOf } from "./statistics.ts";
import { type TimedRuns, timedRunsOf } from "./timed.ts";

/** One table. */
export interface Sheet {
  readonly title: string;
  /** Plain text above it. */
  readonly text: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** A run that did not come to its end. */
export interface Failure {
  readonly name: string;
  readonly reason: string;
}

/** In percent, without the sign. */
export const points = (value: number, digits = 1): string =>
  Number.isNaN(value) ? "-" : (100 * value).toFixed(digits);

/** Mean in percent, with the deviation where there is one. */
export function spread({ mean, deviation }: Spread): string {
  return Number.isNaN(deviation) ? points(mean) : `${points(mean)} ± ${points(deviation)}`;
}

/** Of runs some of which may not have the figure; how many do is told where it is not all of them. */
function spreadOfSome(values: readonly number[]): string {
  const found = spreadOf(values);
  const isAll = found.n === 0 || found.n === values.length;
  return isAll ? spread(found) : `${spread(found)} (${found.n} of ${values.length})`;
}

/** A difference in points of percent, with the standard error of its mean. */
function difference({ mean, deviation, n }: Spread): string {
  if (n === 0) return "-";
  const sign = mean > 0 ? "+" : "";
  const error = Number.isNaN(deviation) ? "" : ` ± ${points(deviation / Math.sqrt(n), 2)}`;
  return `${sign}${points(mean, 2)}${error} (${n} ${n === 1 ? "seed" : "seeds"})`;
}

const over = ({ runs }: Setting, of: (run: RunFigures) => number): Spread => spreadOf(runs.map(of));

const exitsOf = (setting: Setting, of: (exit: RunFigures["exits"][number]) => number): string =>
  transposed(setting.runs.map(({ exits }) => exits.map(of)))
    .map((values) => points(spreadOf(values).mean))
    .join(" / ");

/** Names of what varies: columns that all settings share are left out. A method that has collapsed says so. */
export function namesOf(settings: readonly Setting[]): { readonly head: string[]; of(setting: Setting): string[] } {
  const keys = (["data", "backbone", "method"] as const).filter(
    (key) => key === "method" || new Set(settings.map((setting) => setting[key])).size > 1,
  );
  const fallen = ({ runs }: Setting) => runs.flatMap(({ seed, collapsed }) => (collapsed.length > 0 ? [seed] : []));
  const nameOf = (setting: Setting, key: (typeof keys)[number]) => {
    const seeds = key === "method" ? fallen(setting) : [];
    return seeds.length > 0 ? `${setting[key]} (collapsed at seed ${seeds.join(", ")})` : setting[key];
  };
  return { head: [...keys], of: (setting) => keys.map((key) => nameOf(setting, key)) };
}

/** What all settings reach. */
export function accuracySheet(settings: readonly Setting[], against: string): Sheet {
  const names = namesOf(settings);
  const reached = (setting: Setting): readonly number[] => {
    const reference = referenceOf(settings, setting, against);
    return setting.runs.map((run) => {
      const other = reference?.runs.find(({ seed }) => seed === run.seed);
      return (other && costToReach(run, other))?.cost ?? Number.NaN;
    });
  };
  return {
    title: "Accuracy and cost",
    text:
      `Percent of test images, means over seeds ± standard deviation of single runs. Cost is the mean share of a full pass's MACs. At ${COSTS.map(points0).join(" / ")} % of the cost: ` +
      `thresholds that meet it on validation images, and the accuracy that they have on test images; - where the first exit costs more. Least cost: thresholds within ${points(LOSS)} points of the last ` +
      `exit on validation images, cost and accuracy on test images. As ${against}: the cost of thresholds within as much of ${against}'s last exit there, the same aim for all; - where that is out of reach or not known. (1 of 2): of so many of the runs alone. Area: under accuracy against cost, one threshold for all exits, divided by the span of cost.`,
    head: [
      ...names.head,
      "seeds",
      "exits",
      ...COSTS.map((cost) => `at ${points0(cost)} %`),
      "least cost",
      "its accuracy",
      `as ${against}`,
      "area",
    ],
    rows: settings.map((setting) => [
      ...names.of(setting),
      String(setting.runs.length),
      exitsOf(setting, ({ accuracy }) => accuracy),
      ...transposed(setting.runs.map(({ atCost }) => atCost)).map((of) =>
        spreadOfSome(of.map(({ accuracy }) => accuracy)),
      ),
      spreadOfSome(setting.runs.map(({ near }) => near.cost)),
      spreadOfSome(setting.runs.map(({ near }) => near.accuracy)),
      spreadOfSome(reached(setting)),
      spread(over(setting, ({ area }) => area)),
    ]),
  };
}

const points0 = (value: number): string => points(value, 0);

/** The setting that another one is held against. */
const referenceOf = (settings: readonly Setting[], { data, backbone }: Setting, against: string): Setting | undefined =>
  settings.find((one) => one.data === data && one.backbone === backbone && one.method === against);

/** Against the reference, seed by seed. */
export function differenceSheet(settings: readonly Setting[], against: string): Sheet {
  const names = namesOf(settings);
  const rows = settings.flatMap((setting) => {
    const reference = referenceOf(settings, setting, against);
    if (!reference || reference === setting) return [];
    const of = (figure: (run: RunFigures) => number) => difference(pairedDifference(setting, reference, figure));
    return [
      [
        ...names.of(setting),
        of(({ area }) => area),
        of(({ exits }) => firstOf(exits).accuracy),
        of(lastAccuracyOf),
        of(({ atCost }) => atCost[1]!.accuracy),
      ],
    ];
  });
  return {
    title: `Against ${against}`,
    text: "Differences in points of percent between runs of one seed: their mean ± its standard error.",
    head: [...names.head, "area", "first exit", "last exit", `at ${points0(COSTS[1])} % of the cost`],
    rows,
  };
}

/** How well each exit knows when it is right. */
export function confidenceSheet(settings: readonly Setting[]): Sheet {
  const names = namesOf(settings);
  return {
    title: "Confidence of the exits",
    text: "Of each exit's largest probability on all test images, in percent, means over seeds: as trained, then after temperature scaling where the run has it. ECE and AURC: less is better; AUROC and EEFP: more.",
    head: [...names.head, "ECE as trained", "ECE", "EEFP", "AUROC", "AURC"],
    rows: settings.map((setting) => [
      ...names.of(setting),
      exitsOf(setting, ({ trainedEce = Number.NaN }) => trainedEce),
      ...(["ece", "eefp", "auroc", "aurc"] as const).map((name) => exitsOf(setting, (exit) => exit[name])),
    ]),
  };
}

/** `1 of 2`, and why others do not count. */
function certifiedCount(runs: readonly RunFigures[]): string {
  const faults = runs.flatMap(({ uncertified }) => uncertified ?? []);
  const others = [...new Set(faults)].map((fault) => `${faults.filter((one) => one === fault).length} ${fault}`);
  const count = `${runs.filter(({ certified }) => certified).length} of ${runs.length - faults.length}`;
  return others.length > 0 ? `${count}; ${others.join(", ")}` : count;
}

/** What can be promised. */
export function certifiedSheet(settings: readonly Setting[], promise: string): Sheet {
  const names = namesOf(settings);
  return {
    title: "Certified",
    text: `${promise} What these thresholds do on test images, in percent; a run for which nothing can be certified counts with its last exit and the full cost; one whose policy is another than its settings ask for does not count.`,
    head: [...names.head, "certified", "accuracy", "cost", "error of early leavers", "leave at each exit"],
    rows: settings.map((setting) => {
      const { runs } = setting;
      const certified = runs.flatMap((run) => (run.certified ? [run.certified] : []));
      const shares = transposed(certified.map((each) => each.shares)).map((of) => points(spreadOf(of).mean));
      return [
        ...names.of(setting),
        certifiedCount(runs),
        spread(over(setting, (run) => certifiedOf(run).accuracy)),
        spread(over(setting, (run) => certifiedOf(run).cost)),
        spread(spreadOf(certified.map(({ earlyRisk }) => earlyRisk))),
        shares.join(" / ") || "-",
      ];
    }),
  };
}

/** What the rules of the methods' own papers do, where they are others. */
export function publishedSheet(settings: readonly Setting[]): Sheet {
  const own = settings.flatMap((setting) => {
    const published = setting.runs.map((run) => run.published);
    const first = published.find((each) => each !== undefined);
    return first ? [{ setting, published, first }] : [];
  });
  const names = namesOf(own.map(({ setting }) => setting));
  return {
    title: "As their papers decide",
    text:
      "Methods whose papers decide otherwise: what their rule, on the score that it names, does on test images, in percent, means over seeds; a rule that is certified keeps the promise above. Area: as " +
      "above, by thresholds on this score; beside it that of the largest probability. - where nothing could be certified, or the rule wants a budget; (1 of 2): of so many of the runs alone.",
    head: [...names.head, "score", "rule", "accuracy", "cost", "error of early leavers", "area", "area by probability"],
    rows: own.map(({ setting, published, first }) => {
      const of = (key: "accuracy" | "cost" | "earlyRisk") =>
        spreadOfSome(published.map((each) => each?.decided?.[key] ?? Number.NaN));
      return [
        ...names.of(setting),
        ...[first.score, first.rule],
        ...[of("accuracy"), of("cost"), of("earlyRisk")],
        spreadOfSome(published.map((each) => each?.area ?? Number.NaN)),
        spreadOfSome(setting.runs.map(({ published: told, area }) => (told ? area : Number.NaN))),
      ];
    }),
  };
}

/** What the certified cascade takes, on each adapter by itself. */
export function timeSheet(settings: readonly Setting[]): Sheet {
  const names = namesOf(settings);
  const timed = settings.map((setting) => ({ setting, places: timedRunsOf(setting) }));
  const whereOf = ({ adapter, batch }: TimedRuns) => `${adapter}, batch ${batch}`;
  const wheres = [...new Set(timed.flatMap(({ places }) => places.map(whereOf)))];
  const isApart = wheres.length > 1;
  return {
    title: "Measured time",
    text: `Milliseconds an image, the certified cascade against every stage, medians of warm rounds that took turns${wheres.length === 1 ? ` (${wheres[0]})` : ""}; of runs that were timed and whose policy is what their settings ask for.`,
    head: [
      ...names.head,
      ...(isApart ? ["timed on"] : []),
      "whole",
      "cascade",
      "cascade of whole, %",
      "cost promises, %",
    ],
    rows: timed.flatMap(({ setting, places }) =>
      [...places]
        .sort((a, b) => wheres.indexOf(whereOf(a)) - wheres.indexOf(whereOf(b)))
        .map((place) => [
          ...names.of(setting),
          ...(isApart ? [whereOf(place)] : []),
          ...[place.whole.mean.toFixed(3), place.cascade.mean.toFixed(3)],
          ...[points(place.share.mean), points(place.promised.mean)],
        ]),
    ),
  };
}

/** Which measure goes with the area, over the runs of each data set and backbone. */
export function proxySheet(runs: readonly RunFigures[]): Sheet {
  const groups = groupsOf(runs).map(({ data, backbone, runs: of }) => ({ data, backbone, ...proxyCorrelations(of) }));
  const several = groups.filter(({ networks }) => networks > 2);
  const cell = (value = Number.NaN) => (Number.isNaN(value) ? "-" : value.toFixed(2));
  return {
    title: "What goes with the area",
    text: "Spearman's correlation, over networks, of each measure (its mean over the early exits, of probabilities as they were trained) with the area under accuracy against cost. Few networks: a hint, no proof. Runs that came to one and the same network count once; those of which not all of it is known are left out.",
    head: ["measure", ...several.map(({ data, backbone, networks }) => `${data}, ${backbone} (${networks} networks)`)],
    rows: [...(several[0]?.correlations.keys() ?? [])].map((measure) => [
      measure,
      ...several.map(({ correlations }) => cell(correlations.get(measure))),
    ]),
  };
}

function sizeOf({ lossSize }: RunFigures): string {
  if (!lossSize) return "-";
  const [first, last] = lossSize.map((size) => String(Number(size.toFixed(3)))) as [string, string];
  return first === last ? first : `${first} to ${last}`;
}

const secondsOf = ({ trainingSeconds, taken }: RunFigures): string =>
  Number.isNaN(trainingSeconds) ? "-" : `${trainingSeconds.toFixed(0)}${taken ? ` (${taken} taken over)` : ""}`;

/** Options of the method that are not its defaults: `kappa 10, anneal false`. */
function optionsOf({ settings }: RunFigures): string {
  const { name, ...given } = settings.method;
  const { options = {} }: Partial<Method> = METHODS[name] ?? {};
  const own = Object.entries(given).filter(([key, value]) => !isSame(value, options[key]?.default));
  return (
    own.map(([key, value]) => `${key} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ") || "-"
  );
}

const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Every run by itself; collapsed ones are said to be. */
export function runSheet(runs: readonly RunFigures[], failures: readonly Failure[]): Sheet {
  return {
    title: "Every run",
    text:
      "Accuracy of the exits, in percent. Collapsed is an exit that answers by chance, or more than 5 points worse than one before it or than it was itself while trained. Size of the loss: the sum of the " +
      "exit weights, in the last epoch where it moves; runs of another size differ by that alone already. Seconds of training go without a first phase that is taken over from another run. Options: those of the method that are not its defaults.",
    head: ["run", "exits", "area", "certified cost", "size of the loss", "training, s", "options", "collapsed"],
    rows: [
      ...runs.map((run) => [
        `${run.data}-${run.backbone}-${run.method}-seed${run.seed}`,
        run.exits.map(({ accuracy }) => points(accuracy)).join(" / "),
        points(run.area),
        run.certified ? percent(run.certified.cost) : (run.uncertified ?? "nothing certified"),
        sizeOf(run),
        secondsOf(run),
        optionsOf(run),
        run.collapsed.join("; ") || "no",
      ]),
      ...failures.map(({ name, reason }) => [name, "failed", "-", "-", "-", "-", "-", reason]),
    ],
  };
}
