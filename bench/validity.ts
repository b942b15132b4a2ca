// Do the guarantees hold? Repeated calibrations on cascades whose true risk is known exactly; a table of violation
// rates and of power. Rules that promise too much are in the table too, and must fail the same check.
// `npm run validity` writes bench/results/validity.md; `--repeats 200` for a quick look. A killed run goes on.

import { writeFileSync } from "node:fs";
import { createPopulation, createRandom, type Population, type Truth } from "../calibration/index.ts";
import { readFlags } from "./flags.ts";
import { Settled } from "./settled.ts";
import { lossRows } from "./validity-losses.ts";
import { monitorRows, setRows } from "./validity-others.ts";
import {
  exitRules,
  firstAndLast,
  otherRules,
  type Rule,
  type Samples,
  type Setting,
  wrongRules,
} from "./validity-rules.ts";

/** What repetition showed. */
interface Row {
  readonly rule: Rule;
  readonly setting: Setting;
  readonly refused: number;
  readonly violations: number;
  readonly meanRisk: number;
  readonly coverage: number;
  readonly saved: number;
  readonly accuracy: number;
  readonly isKept: boolean;
}

const { values: flags } = readFlags(import.meta.url, {
  options: {
    repeats: { type: "string", default: "2000" },
    out: { type: "string", default: "bench/results/validity.md" },
  },
});
const repeats = Number(flags.repeats);
const settled = new Settled("runs/validity.jsonl", {
  of: `${repeats} calibrations`,
  sources: ["base/", "calibration/", "bench/validity"],
});

/** The true value of what a rule claims to control; 0 where nobody is concerned. */
function claimedRisk(truth: Truth, claims: Rule["claims"]): number {
  const value = {
    exit: Math.max(0, ...truth.exitRisk.filter((risk) => !Number.isNaN(risk))),
    early: truth.earlyRisk,
    label: truth.labelRisk,
    class: truth.classRisk,
    acceptedAndWrong: truth.acceptedAndWrong,
    disagreement: truth.disagreement,
    gap: truth.gap,
  }[claims];
  return Number.isNaN(value) ? 0 : value;
}

/** Sums over repetitions of one rule in one setting. */
interface Sums {
  refused: number;
  violations: number;
  risk: number;
  square: number;
  coverage: number;
  saved: number;
  accuracy: number;
}

/** Thresholds of nobody; exits that a setting leaves out stay so. */
const CLOSED = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as const;

/** All rules of a setting see the same draws, so their powers compare pair by pair. */
function repeat(setting: Setting, rules: readonly Rule[]): readonly Sums[] {
  const population = populations[setting.population]!;
  const random = createRandom(17);
  const sums = rules.map(
    (): Sums => ({ refused: 0, violations: 0, risk: 0, square: 0, coverage: 0, saved: 0, accuracy: 0 }),
  );
  for (let r = 0; r < repeats; r++) {
    const draw = (n: number): Samples => {
      const all = population.draw(n, random);
      return setting.earlyExits === 1 ? firstAndLast(all) : all;
    };
    const calibration = draw(setting.n);
    const validation = setting.validation > 0 ? draw(setting.validation) : undefined;
    rules.forEach((rule, k) => {
      const thresholds = rule.run(calibration, validation, setting, r);
      const truth = population.truth([...Array.from(thresholds ?? []), ...CLOSED].slice(0, CLOSED.length));
      const risk = claimedRisk(truth, rule.claims);
      const sum = sums[k]!;
      if (!thresholds) sum.refused++;
      if (risk > setting.alpha) sum.violations++;
      sum.risk += risk;
      sum.square += risk * risk;
      sum.coverage += truth.coverage;
      sum.saved += 1 - truth.cost;
      sum.accuracy += truth.accuracy;
    });
  }
  return sums;
}

function toRow(rule: Rule, setting: Setting, sum: Sums): Row {
  const { alpha, delta } = setting;
  const meanRisk = sum.risk / repeats;
  const meanRiskError = Math.sqrt(Math.max(0, sum.square / repeats - meanRisk ** 2) / repeats);
  const violations = sum.violations / repeats;
  const isKept =
    rule.kind === "mean"
      ? meanRisk <= alpha + 3 * meanRiskError
      : violations <= delta + 3 * Math.sqrt((delta * (1 - delta)) / repeats);
  return {
    rule,
    setting,
    refused: sum.refused / repeats,
    violations,
    meanRisk,
    coverage: sum.coverage / repeats,
    saved: sum.saved / repeats,
    accuracy: sum.accuracy / repeats,
    isKept,
  };
}

/**
 * Cascades like small networks on CIFAR; one whose exit 2 is hardly better; one where every promise at alpha is false.
 */
const populations: Readonly<Record<string, Population>> = {
  typical: createPopulation(),
  "hard survivors": createPopulation({ seed: 2, strength: [1.6, 1.8, 3], noise: 0.3, errorCorrelation: 0.9 }),
  "flat 0.052": createPopulation({ seed: 3, flatError: 0.052 }),
  "flat 0.105": createPopulation({ seed: 4, flatError: 0.105 }),
  easy: createPopulation({ seed: 6, strength: [3, 4, 5] }),
  "typical, 8 scores": createPopulation({ levels: 8 }),
  "hard survivors, 5 scores": createPopulation({
    seed: 2,
    strength: [1.6, 1.8, 3],
    noise: 0.3,
    errorCorrelation: 0.9,
    levels: 5,
  }),
  "flat 0.105, 4 scores": createPopulation({ seed: 4, flatError: 0.105, levels: 4 }),
};

const exitSettings: readonly Setting[] = [
  { population: "typical", alpha: 0.1, delta: 0.1, n: 1000, validation: 1000 },
  { population: "typical", alpha: 0.05, delta: 0.1, n: 2000, validation: 2000 },
  { population: "typical", alpha: 0.05, delta: 0.05, n: 2000, validation: 0 },
  { population: "hard survivors", alpha: 0.1, delta: 0.1, n: 2000, validation: 1000 },
  { population: "flat 0.105", alpha: 0.1, delta: 0.1, n: 1000, validation: 500 },
];
const sharpSettings: readonly Setting[] = [
  ...exitSettings,
  { population: "typical", alpha: 0.05, delta: 0.1, n: 4000, validation: 1000 },
  { population: "flat 0.052", alpha: 0.05, delta: 0.1, n: 2000, validation: 500 },
];
/**
 * Where a default could lose what another strict rule certifies: few distinct scores, one early exit, small levels, few
 * samples.
 */
const powerSettings: readonly Setting[] = [
  { population: "typical, 8 scores", alpha: 0.1, delta: 0.1, n: 1000, validation: 500 },
  { population: "typical, 8 scores", alpha: 0.2, delta: 0.1, n: 1000, validation: 500 },
  { population: "hard survivors, 5 scores", alpha: 0.1, delta: 0.1, n: 1000, validation: 500 },
  { population: "flat 0.105, 4 scores", alpha: 0.1, delta: 0.1, n: 1000, validation: 500 },
  { population: "typical", alpha: 0.1, delta: 0.1, n: 200, validation: 200 },
  { population: "hard survivors", alpha: 0.05, delta: 0.1, n: 500, validation: 200, earlyExits: 1 },
  { population: "easy", alpha: 0.01, delta: 0.1, n: 500, validation: 500, earlyExits: 1 },
  { population: "easy", alpha: 0.01, delta: 0.1, n: 1000, validation: 1000, earlyExits: 1 },
  { population: "easy", alpha: 0.01, delta: 0.1, n: 2000, validation: 2000, earlyExits: 1 },
  { population: "flat 0.105", alpha: 0.1, delta: 0.1, n: 300, validation: 100, earlyExits: 1 },
];
const fewSettings = [exitSettings[0]!, exitSettings[3]!, exitSettings[4]!];
const variantSettings = [exitSettings[0]!, exitSettings[4]!];
const classSettings: readonly Setting[] = [
  { population: "typical", alpha: 0.1, delta: 0.1, n: 2000, validation: 1000 },
  { population: "flat 0.105", alpha: 0.1, delta: 0.1, n: 2000, validation: 500 },
];
const meanSettings: readonly Setting[] = [
  { population: "typical", alpha: 0.1, delta: 0.1, n: 200, validation: 200 },
  { population: "typical", alpha: 0.05, delta: 0.1, n: 500, validation: 200 },
  { population: "hard survivors", alpha: 0.02, delta: 0.1, n: 500, validation: 200 },
];

function settingsOf(rule: Rule): readonly Setting[] {
  if (rule.claims === "exit") {
    if (rule.isWrong) return fewSettings;
    return rule.isEverywhere ? [...sharpSettings, ...powerSettings] : variantSettings;
  }
  if (rule.claims === "early") return exitSettings;
  return rule.claims === "label" || rule.claims === "class" ? classSettings : meanSettings;
}

const nameOf = ({ population, earlyExits }: Setting) => (earlyExits === 1 ? `${population}, exit 1 alone` : population);

const percent = (x: number) => (100 * x).toFixed(1);

function describe({ rule, setting, refused, violations, meanRisk, coverage, saved, accuracy, isKept }: Row): string {
  const { alpha, delta, n, validation } = setting;
  const population = nameOf(setting);
  const level = rule.kind === "mean" ? "mean" : String(delta);
  const cells = [
    rule.name,
    rule.claims,
    population,
    alpha,
    level,
    validation > 0 ? `${n} + ${validation}` : n,
    percent(violations),
    meanRisk.toFixed(4),
    percent(coverage),
    percent(saved),
    percent(accuracy),
    percent(refused),
    isKept ? "kept" : "**BROKEN**",
  ];
  return `| ${cells.join(" | ")} |`;
}

const everyRule = [...exitRules, ...wrongRules, ...otherRules];
const rows: Row[] = [];
for (const setting of new Set(everyRule.flatMap(settingsOf))) {
  const rules = everyRule.filter((rule) => settingsOf(rule).includes(setting));
  const name = JSON.stringify([setting, rules.map(({ name, claims }) => [name, claims])]);
  const sums = settled.part(name, () => repeat(setting, rules));
  const found = rules.map((rule, k) => toRow(rule, setting, sums[k]!));
  rows.push(...found);
  for (const row of found) console.log(describe(row));
}
const others = [
  ...settled.part("losses", () => lossRows(repeats)),
  ...settled.part("sets", () => setRows(repeats)),
  ...settled.part("monitors", () => monitorRows(repeats)),
];
for (const other of others) console.log(other.line);

const broken = rows.filter((row) => !row.rule.isWrong && !row.isKept);
const unbroken = wrongRules.filter((rule) => rows.every((row) => row.rule !== rule || row.isKept));
const isSound = broken.length === 0 && unbroken.length === 0 && others.every((other) => other.isKept);
const header = `| rule | controls | cascade | alpha | delta | n + validation | violations % | mean risk | early % | cost saved % | accuracy % | refused % | promise |
|---|---|---|---|---|---|---|---|---|---|---|---|---|`;
const section = (title: string, of: readonly Rule[]) =>
  `## ${title}\n\n${header}\n${rows
    .filter((row) => of.includes(row.rule))
    .map(describe)
    .join("\n")}\n`;

writeFileSync(
  flags.out,
  `# Do the guarantees hold?

Written by \`npm run validity\` (${repeats} calibrations a row, ${settled.seconds.toFixed(0)} s, one core at most). Each row draws calibration sets from a
three-exit cascade of 1,000,000 samples and looks the true risk of the chosen thresholds up in that table.

- *violations*: share of calibrations whose true risk is above alpha; kept if at most delta plus three binomial standard errors.
- *mean* rules promise the average only; kept if the mean risk is at most alpha plus three standard errors.
- *controls*: \`exit\` = error rate among those that leave at each early exit, the worst; \`early\` = all early leavers together;
  \`label\`, \`class\` = the worst label / exit and answered class; the others are means over all samples.
- *cost saved*: against the full network; exits cost 0.3, 0.6 and 1. In *flat* cascades early exits err a little more often than alpha
  whatever their confidence, so every certificate is a violation: the hardest case for a level. *k scores* are as many distinct
  confidences of an exit; *exit 1 alone* is the cascade without exit 2. *n + validation*: labelled
  validation samples lay out the thresholds to try; without them a third of n is set aside.

${section("Risk of each exit in operation, high probability", exitRules)}
${section("Rules that promise too much (must be broken somewhere)", wrongRules)}
${section("Other promises", otherRules)}
## Losses of probabilities, prediction sets, monitors

| rule | setting | promised at most | observed | power | promise |
|---|---|---|---|---|---|
${others.map((other) => other.line).join("\n")}

${conclusion()}
`,
);
console.log(
  isSound
    ? "sound"
    : `NOT SOUND: ${[...broken.map((row) => describe(row)), ...unbroken.map((rule) => rule.name)].join("\n")}`,
);
process.exitCode = isSound ? 0 : 1;

/** The argument for the default, from the rows themselves. */
function conclusion(): string {
  const rank = (rules: readonly Rule[], settings: readonly Setting[]) =>
    settings
      .filter((setting) => !setting.population.startsWith("flat"))
      .map((setting) => {
        const saved = rules
          .map((rule) => rows.find((row) => row.rule === rule && row.setting === setting))
          .filter((row) => row !== undefined)
          .sort((a, b) => b.saved - a.saved);
        const { alpha, delta, n, validation } = setting;
        const population = nameOf(setting);
        const ranking = saved.map((row) => `${row.rule.name} ${percent(row.saved)}`).join(", ");
        return `- ${population}, alpha ${alpha}, delta ${delta}, n ${n} + ${validation}: ${ranking}.`;
      })
      .join("\n");
  const strict = exitRules.filter((rule) => !rule.name.includes("not strict"));
  const means = otherRules.filter((rule) => rule.claims === "acceptedAndWrong" && rule.kind === "high probability");
  return `## Why these are the defaults

Percent of cost saved by the rules with the same strict promise (risk of each exit in operation, probability 1 - delta), best first:

${rank(strict, [...sharpSettings, ...powerSettings])}

The path needs no share of delta per exit (a row is rejected only if all its exits pass, an intersection-union test), uses every
calibration sample at every exit, and is laid out on labelled samples that are never tested. The sequential rule divides delta by
K-1 and tests exit 2 on samples chosen with labels it uses again: it held its level in every row above, but no proof says it must.

The same for the mean of "leaves early and is wrong" over all samples, a loss of 0 or 1:

${rank(means, meanSettings)}

The exact bound is the default for such losses; for losses between 0 and 1 it does not exist, and betting is.`;
}
