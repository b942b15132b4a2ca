// What corrupted images do to a run: accuracy and calibration of every exit, where images leave then, and whether what
// was promised on clean images still holds.

import { firstOf, lastOf, type OptionValues, option, SortieError, zip } from "../../base/index.ts";
import {
  applyScaling,
  evaluate,
  evaluatePolicy,
  type PolicyFile,
  type Source,
  type Table,
} from "../../calibration/index.ts";
import {
  CORRUPTIONS,
  corrupt,
  corruptionOf,
  type Dataset,
  type ImageBytes,
  readCorrupted,
  SEVERITIES,
  subset,
} from "../../data/index.ts";
import { Evaluator, type MultiExit, toTable } from "../../exits/index.ts";
import { type Stamp, stampOf } from "../files/stamp.ts";
import { number, percent } from "../format.ts";
import { promisedRisk } from "../report/targets.ts";
import { path } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";

/** Flags of `sortie evaluate` about corruptions. */
export const CORRUPTION_FLAGS = {
  corruptions: option.toggle(
    false,
    "corrupt the test images of a run, 15 + 4 ways at 5 severities, and say what comes of it",
  ),
  corruptionNames: option.words(undefined, "only these corruptions", "names with commas"),
  corruptionDir: path("folder of CIFAR-10-C or CIFAR-100-C as published, in place of corruptions made here"),
  corruptionSamples: option.whole(undefined, "only so many test images, spread over all of them", { min: 1 }),
} as const;

/** What one corruption at one severity does. */
export interface CorruptionRow {
  readonly name: string;
  /** 0: the images as they are. */
  readonly severity: number;
  readonly exits: readonly { readonly accuracy: number; readonly ece: number }[];
  /** Only with a policy that lets images leave. */
  readonly policy?: {
    readonly accuracy: number;
    readonly cost: number;
    /** Shares of images that leave at each exit. */
    readonly fractions: readonly number[];
    /** How many images leave elsewhere than clean ones do: half the sum of the shares' differences. */
    readonly shift: number;
    readonly earlyRisk: number;
    /** The risk that the policy promises, as observed; absent where nothing leaves early, or none is promised. */
    readonly risk?: number;
    /** Whether that is above the promise by more than chance explains; absent where one set of images cannot tell. */
    readonly isBroken?: boolean;
  };
}

/** What all of them do. */
export interface CorruptionFindings extends Stamp {
  readonly samples: number;
  /** Of how many test images, over which they are spread. */
  readonly of: number;
  /** `official`: the published files; `made`: drawn here, by their parameters. */
  readonly images: "official" | "made";
  readonly names: readonly string[];
  /** What is not as published, by corruption. */
  readonly synthetic: Readonly<Record<string, string>>;
  readonly alpha?: number;
  readonly clean: CorruptionRow;
  readonly rows: readonly CorruptionRow[];
  /**
   * Of each exit, and of the policy: the mean error over the corruptions that count (over all, where only others were
   * asked for) and all severities, not divided by that of another network.
   */
  readonly meanError: { readonly exits: readonly number[]; readonly policy?: number };
}

/** The run's logits and its policy. */
interface Looked {
  readonly file: PolicyFile | undefined;
  /** Whether the policy is of another network or scaling: then it promises nothing here. */
  readonly isForeign: boolean;
  readonly raw: Pick<Table, "origin">;
  /** Of the exits. */
  readonly names: readonly string[];
}

/** What is asked for. */
export interface CorruptionRequest {
  readonly names: readonly string[];
  readonly dir?: string | undefined;
  readonly samples?: number | undefined;
  readonly seed: number;
}

/** What flags ask for, if they do. @throws SortieError for flags about corruptions without `--corruptions`. */
export function corruptionRequest(
  op: string,
  {
    corruptions,
    corruptionNames: names,
    corruptionDir: dir,
    corruptionSamples: samples,
  }: OptionValues<typeof CORRUPTION_FLAGS>,
): Omit<CorruptionRequest, "seed"> | undefined {
  if (corruptions) return { names: corruptionNames(names), dir, samples };
  if ([names, dir, samples].every((given) => given === undefined)) return undefined;
  throw new SortieError(`${op}: --corruptions must be there for flags about corruptions; got none.`);
}

/** The corruptions that are asked for. @throws DataError for a name that is none. */
const corruptionNames = (names: readonly string[] | undefined): readonly string[] =>
  names ? [...new Set(names.map((name) => corruptionOf(name).name))] : Object.keys(CORRUPTIONS);

/** Evaluates a network on corrupted test images, one corruption after the other. */
export async function corruptionFindings(
  net: MultiExit,
  test: Dataset<ImageBytes>,
  found: Looked,
  request: CorruptionRequest,
  print: Print = () => {},
): Promise<CorruptionFindings> {
  const names = corruptionNames(request.names);
  const weights = found.raw.origin?.weights;
  if (weights === undefined)
    throw new SortieError("evaluate: the logits must say of which weights they are; got none.");
  // Sets may be sorted by class: the first images would be of one.
  const samples = Math.min(request.samples ?? test.size, test.size);
  const rowsUsed = Int32Array.from({ length: samples }, (_, i) => Math.floor((i * test.size) / samples));
  const images = subset(test, rowsUsed);
  using evaluator = await Evaluator.record(net, images);
  const rowOf = async (
    set: Dataset<ImageBytes>,
    name: string,
    severity: number,
    clean?: CorruptionRow,
  ): Promise<CorruptionRow> => {
    const { size, labels, ids } = set;
    const answers = await evaluator.answers(set);
    const shape = [size, net.exits, net.classes] as const;
    const table = toTable({ shape, ...answers, labels, ids, macs: net.macs(), weights });
    return { name, severity, ...figuresOf(table, found, clean) };
  };
  const clean = await rowOf(images, "clean", 0);
  const rows: CorruptionRow[] = [];
  for (const name of names) {
    const official = request.dir === undefined ? undefined : await readCorrupted(request.dir, name, test);
    const held = official ? firstOf(official).size : test.size;
    if (held < test.size)
      throw new SortieError(
        `evaluate: ${request.dir} must hold each of the ${test.size} test images at every severity; got ${held} of ${name}.`,
      );
    for (const severity of SEVERITIES) {
      const set = official
        ? subset(official[severity - 1]!, rowsUsed)
        : corrupt(images, { name, severity, seed: request.seed });
      rows.push(await rowOf(set, name, severity, clean));
    }
    print(rowLine(name, rows.slice(-SEVERITIES.length)));
  }
  const stamp = stampOf(found.raw, found.file);
  const isOfficial = request.dir !== undefined;
  return summary({ stamp, samples, of: test.size, names: found.names, clean, rows, found, isOfficial });
}

/** All that is told of the logits of some images. */
function figuresOf(
  table: Table,
  { file, isForeign }: Pick<Looked, "file" | "isForeign">,
  clean: CorruptionRow | undefined,
): Pick<CorruptionRow, "exits" | "policy"> {
  const { result, scaling, request } = file ?? {};
  const { exits } = evaluate(table, { resamples: 0, ...(scaling && { scaling }) });
  const about = { exits: exits.map(({ accuracy, ece }) => ({ accuracy, ece })) };
  if (!result?.ok) return about;
  const source: Source = scaling ? applyScaling(table, scaling) : table;
  const policy = evaluatePolicy(source, result, { anyOrigin: true, sameSamples: true });
  const fractions = Array.from(policy.fractions);
  const before = clean?.policy?.fractions ?? fractions;
  const shift = zip(fractions, before).reduce((sum, [share, clean]) => sum + Math.abs(share - clean), 0) / 2;
  const promised = request && "alpha" in result && !isForeign ? promisedRisk(request, source) : undefined;
  const risk = promised?.observe(policy.exits) ?? Number.NaN;
  const isBroken = "alpha" in result ? promised?.isBroken?.(policy.exits, result) : undefined;
  const { accuracy, cost, earlyRisk } = policy;
  const promise = { ...(!Number.isNaN(risk) && { risk }), ...(isBroken !== undefined && { isBroken }) };
  return { ...about, policy: { accuracy, cost, fractions, shift, earlyRisk, ...promise } };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Those of the fifteen, or all, where none of them was asked for. */
export function countedOf(rows: readonly CorruptionRow[]): readonly CorruptionRow[] {
  const main = rows.filter(({ name }) => !CORRUPTIONS[name]?.isExtra);
  return main.length > 0 ? main : rows;
}

/** Of each exit, and of the policy, over the corruptions that count and all severities. */
function meanErrorOf({ clean, rows }: Pick<CorruptionFindings, "clean" | "rows">): CorruptionFindings["meanError"] {
  const counted = countedOf(rows);
  const error = (of: (row: CorruptionRow) => number) => mean(counted.map((row) => 1 - of(row)));
  return {
    exits: clean.exits.map((_, j) => error(({ exits }) => exits[j]!.accuracy)),
    ...(clean.policy && { policy: error(({ policy }) => policy?.accuracy ?? Number.NaN) }),
  };
}

/** The same findings with other rows. */
const withRows = (found: CorruptionFindings, rows: readonly CorruptionRow[]): CorruptionFindings => ({
  ...found,
  rows,
  meanError: meanErrorOf({ clean: found.clean, rows }),
});

/** Of some corruptions alone. */
export const amongCorruptions = (found: CorruptionFindings, names: ReadonlySet<string>): CorruptionFindings =>
  withRows(
    found,
    found.rows.filter(({ name }) => names.has(name)),
  );

/**
 * Whether both are of the same images: those corrupted here are others than published ones, and many others than a few.
 */
export const areAlike = (a: CorruptionFindings, b: CorruptionFindings): boolean =>
  a.images === b.images && a.samples === b.samples && a.of === b.of;

/** What was found before, and now of further corruptions of the same images; now alone where those are others. */
export function joinedFindings(before: CorruptionFindings | undefined, now: CorruptionFindings): CorruptionFindings {
  if (!before || !areAlike(before, now)) return now;
  const isNew = new Set(now.rows.map(({ name }) => name));
  const rows = [...before.rows.filter(({ name }) => !isNew.has(name)), ...now.rows];
  const order = Object.keys(CORRUPTIONS);
  const sorted = rows.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name) || a.severity - b.severity);
  return withRows({ ...now, synthetic: { ...before.synthetic, ...now.synthetic } }, sorted);
}

function summary({ stamp, samples, of, names, clean, rows, found, isOfficial }: Summed): CorruptionFindings {
  const used = new Set(rows.map(({ name }) => name));
  const synthetic = Object.entries(CORRUPTIONS).flatMap(([name, { synthetic }]) =>
    !isOfficial && used.has(name) && synthetic !== undefined ? [[name, synthetic] as const] : [],
  );
  const result = found.file?.result;
  return {
    ...stamp,
    ...{ samples, of },
    images: isOfficial ? "official" : "made",
    names,
    synthetic: Object.fromEntries(synthetic),
    ...(result?.ok && "alpha" in result && { alpha: result.alpha }),
    clean,
    rows,
    meanError: meanErrorOf({ clean, rows }),
  };
}

interface Summed extends Pick<CorruptionFindings, "samples" | "of" | "names" | "clean" | "rows"> {
  readonly stamp: Stamp;
  readonly found: Pick<Looked, "file">;
  readonly isOfficial: boolean;
}

/** Means over the corruptions that count, at one severity. */
export interface SeverityMeans {
  readonly severity: number;
  /** Of the last exit. */
  readonly accuracy: number;
  readonly ece: number;
  /** Only with a policy that lets images leave. */
  readonly policy?: {
    readonly accuracy: number;
    readonly cost: number;
    readonly shift: number;
    /** The promised risk, as observed; NaN where nothing leaves early, or none is promised. */
    readonly risk: number;
    /** Whether the promise is broken, under each corruption where that can be told. */
    readonly promises: readonly boolean[];
  };
  readonly corruptions: number;
}

/** Whether a promise was broken, of those where that can be told. */
export const promisesOf = (rows: readonly CorruptionRow[]): readonly boolean[] =>
  rows.flatMap(({ policy }) => policy?.isBroken ?? []);

/** How many of them are broken: `3 of 75`; "-" where none can be told. */
export const brokenText = (promises: readonly boolean[]): string =>
  promises.length === 0 ? "-" : `${promises.filter(Boolean).length} of ${promises.length}`;

/** What becomes of a run from severity to severity, clean images first. */
export function bySeverity({ clean, rows }: Pick<CorruptionFindings, "clean" | "rows">): readonly SeverityMeans[] {
  const counted = countedOf(rows);
  return [0, ...SEVERITIES].map((severity) => {
    const of = severity === 0 ? [clean] : counted.filter((row) => row.severity === severity);
    const policies = of.flatMap(({ policy }) => policy ?? []);
    const risks = policies.flatMap(({ risk }) => risk ?? []);
    return {
      severity,
      accuracy: mean(of.map(({ exits }) => lastOf(exits).accuracy)),
      ece: mean(of.map(({ exits }) => lastOf(exits).ece)),
      ...(policies.length > 0 && {
        policy: {
          accuracy: mean(policies.map(({ accuracy }) => accuracy)),
          cost: mean(policies.map(({ cost }) => cost)),
          shift: mean(policies.map(({ shift }) => shift)),
          risk: mean(risks),
          promises: promisesOf(of),
        },
      }),
      corruptions: of.length,
    };
  });
}

/** `fog: last exit 84.1 / 80.2 / ... %` */
function rowLine(name: string, rows: readonly CorruptionRow[]): string {
  const last = rows.map(({ exits }) => percent(lastOf(exits).accuracy)).join(" / ");
  const policies = rows.flatMap(({ policy }) => policy ?? []);
  if (policies.length === 0) return `${name}: last exit ${last}`;
  const all = (of: (policy: NonNullable<CorruptionRow["policy"]>) => number) =>
    policies.map((policy) => percent(of(policy))).join(" / ");
  const promises = promisesOf(rows);
  const promise = promises.includes(true) ? `; promise broken at ${brokenText(promises)}` : "";
  return `${name}: last exit ${last}; policy ${all(({ accuracy }) => accuracy)}; leave elsewhere ${all(({ shift }) => shift)}${promise}`;
}

/** What is left to say behind the lines of all corruptions. */
export function corruptionLines(found: CorruptionFindings): readonly string[] {
  const { meanError, names, images, synthetic, rows, alpha } = found;
  const promises = promisesOf(rows);
  const errors = zip(names, meanError.exits).map(([name, error]) => `${name} ${percent(error)}`);
  const policy = meanError.policy === undefined ? [] : [`policy ${percent(meanError.policy)}`];
  return [
    `mean corruption error (${images === "official" ? "published images" : "images corrupted here"}, not divided by another network's): ${[...errors, ...policy].join(", ")}`,
    ...(alpha === undefined || promises.length === 0
      ? []
      : [
          `the promised risk of at most ${number(alpha)} is exceeded by more than chance in ${brokenText(promises)} cases; it was promised for clean images`,
        ]),
    ...Object.entries(synthetic).map(([name, why]) => `note: ${name}: ${why}`),
  ];
}
