// One finished run in the figures that methods are compared by. Every threshold is chosen on validation samples, or
// certified on calibration samples; test samples are looked at once, with thresholds that are fixed.

import { basename } from "node:path";
import { lastOf, zip } from "../../base/index.ts";
import {
  accuracyAtCost,
  achieved,
  areaUnderCurve,
  type Cascade,
  cascade,
  decide,
  evaluate,
  meetBudget,
  sweepThresholds,
  type Table,
  thresholdCurve,
} from "../../calibration/index.ts";
import type { MetricsRow } from "../../exits/index.ts";
import { readLogits } from "../files/logits-file.ts";
import { type Decisive, decisive, type RunFolder } from "../files/run-folder.ts";
import { stampOf } from "../files/stamp.ts";
import type { CorruptionFindings } from "../findings/corruptions.ts";
import { findings } from "../findings/findings.ts";
import { decidedBy, isUsual, ruleName } from "../published.ts";
import { readHistory } from "../report/run-details.ts";
import { readCorruptions } from "../report/sections/corruptions.ts";
import type { Config } from "../settings/config.ts";
import { makePlan } from "../settings/model.ts";
import { policyFault } from "./asked-policy.ts";
import { type LossSize, lossSize } from "./loss-size.ts";
import type { RunKey } from "./plan.ts";
import { readTiming, type Timing } from "./timing.ts";

/** Shares of the full cost at which accuracies are told. */
export const COSTS = [0.25, 0.5, 0.6, 0.75] as const;

/** What may be lost on the last exit's accuracy. */
export const LOSS = 0.003;

/** An accuracy and what it cost, of test samples. */
export interface Point {
  readonly accuracy: number;
  /** In full passes. */
  readonly cost: number;
}

interface CurvePoint extends Point {
  /** Accuracy under the same threshold on validation samples; absent in comparisons that did not tell it yet. */
  readonly validation?: number | undefined;
}

/** One run. */
export interface RunFigures extends RunKey {
  /** The name of its folder; where that lies concerns nobody whom the figures are given to. */
  readonly dir: string;
  /** All that decides what comes out of it. */
  readonly settings: Decisive;
  readonly commit: string;
  readonly adapter: string;
  readonly samples: number;
  readonly classes: number;
  readonly trainingSeconds: number;
  /** A first phase that another run had done, whose seconds are not among these. */
  readonly taken?: string | undefined;
  /** Million MACs of a full pass. */
  readonly macs: number;
  /** Of each exit, on all test samples. */
  readonly exits: readonly ExitFigures[];
  /** By one threshold for all exits, from everybody at the last exit to everybody at the first. */
  readonly curve: readonly CurvePoint[];
  /** Under that curve, by its span of cost. */
  readonly area: number;
  /** At `COSTS`; the cost is the one met on test samples. NaN where the first exit costs more already. */
  readonly atCost: readonly Point[];
  /** The least cost within `LOSS` of the last exit. */
  readonly near: Point;
  /** Absent: nothing could be certified, unless `uncertified` says otherwise. */
  readonly certified: Certified | undefined;
  /** Why the run's policy says nothing of what can be certified by its settings. */
  readonly uncertified?: string | undefined;
  /** Absent for methods whose papers decide by nothing else, and in comparisons that did not tell it yet. */
  readonly published?: PublishedFigures | undefined;
  readonly timing: Timing | undefined;
  /** Absent for losses that are not weighed by exit. */
  readonly lossSize: LossSize | undefined;
  /** What corrupted images do to it, where that was looked at. */
  readonly corruptions: CorruptionFindings | undefined;
  /** Exits that answer by chance, or clearly worse than one before them or than they did before, in words. */
  readonly collapsed: readonly string[];
}

/**
 * Of one exit on all test samples; confidences are those after the run's scaling, and beside them of the probabilities
 * as they were trained, which the curve is of; these are absent in comparisons that did not tell them yet.
 */
interface ExitFigures {
  readonly accuracy: number;
  readonly trainedEce?: number | undefined;
  readonly trainedAuroc?: number | undefined;
  readonly trainedAurc?: number | undefined;
  /** NaN at the last exit. */
  readonly trainedEefp?: number | undefined;
  readonly ece: number;
  readonly auroc: number;
  readonly aurc: number;
  /** NaN at the last exit. */
  readonly eefp: number;
}

/** What certified thresholds do. */
interface Certified extends Point {
  readonly earlyRisk: number;
  readonly exitRisk: readonly number[];
  /** Shares that leave at each exit. */
  readonly shares: readonly number[];
}

/** What the rule of a method's paper does, on the score that it names. */
interface PublishedFigures {
  readonly score: string;
  /** In words: "from 0.5 on". */
  readonly rule: string;
  /** As the area of the run, by thresholds on this score. */
  readonly area: number;
  /** Absent where nothing could be certified, and for a budget, which wants a goal. */
  readonly decided?: (Point & Pick<Certified, "earlyRisk">) | undefined;
}

/** How much worse than an exit before it, or than it was itself, an exit may be without being called collapsed. */
const SETBACK = 0.05;

/** What is known of an exit that may have collapsed. */
interface Standing {
  /** On test samples. */
  readonly accuracy: number;
  /** On validation samples, with the weights that were kept; none: not known. */
  readonly validation?: number;
  /** There, the best that it reached while the network was trained. */
  readonly best?: number;
}

/** The share of the most frequent label: what an exit is right in that always answers alike. */
function chanceOf({ labels, classes }: Pick<Table, "labels" | "classes">): number {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label]! += 1;
  return Math.max(...counts) / labels.length;
}

/** Which exits have collapsed, where whoever always answers alike is right in a share `chance`. */
export function collapseOf(exits: readonly Standing[], chance: number): readonly string[] {
  // Above it by less than half of it, and than a twentieth of what there is to gain.
  const little = chance + Math.min(chance / 2, (1 - chance) / 20);
  return exits.flatMap(({ accuracy, validation = 0, best = 0 }, j) => {
    const said = `exit ${j + 1} at ${points1(accuracy)} %`;
    if (accuracy < little) return [`${said}, by chance`];
    const before = Math.max(Number.NEGATIVE_INFINITY, ...exits.slice(0, j).map((exit) => exit.accuracy));
    if (accuracy < before - SETBACK) return [`${said}, below an earlier exit`];
    if (validation >= best - SETBACK) return [];
    return [`${said}, fell from ${points1(best)} to ${points1(validation)} % of the validation images while trained`];
  });
}

const points1 = (value: number): string => (100 * value).toFixed(1);

/** The best accuracy of each exit at any evaluation of the run. */
function bestOf(history: readonly MetricsRow[], exits: number): readonly number[] {
  const rows = history.filter(({ kind }) => kind === "evaluation");
  return Array.from({ length: exits }, (_, j) => Math.max(0, ...rows.map((row) => row.exits[j]!.accuracy)));
}

const NOWHERE: Point = { accuracy: Number.NaN, cost: Number.NaN };

/** What thresholds that meet a goal on validation samples do on test samples. */
function met(validation: Cascade, test: Cascade, goal: Parameters<typeof meetBudget>[1]): Point {
  // A plain network has nothing to choose: it takes its whole cost, and reaches what it reaches.
  if (test.exits === 1) return "accuracy" in goal ? { accuracy: accuracyAt(test, 0), cost: 1 } : NOWHERE;
  const choice = meetBudget(validation, goal);
  if (!choice.ok) return NOWHERE;
  const { accuracy, cost } = achieved(test, decide(test, choice.thresholds));
  return { accuracy, cost };
}

/** Accuracy against cost by one threshold for all exits; the thresholds are laid out on validation samples. */
function curveOf(validation: Cascade, test: Cascade): readonly CurvePoint[] {
  const thresholds = [...sweepThresholds(validation, 100), Number.NEGATIVE_INFINITY];
  const curves = [test, validation].map((samples) => thresholdCurve(samples, thresholds)) as [Curve, Curve];
  return zip(...curves).map(([{ accuracy, cost }, looked]) => ({ accuracy, cost, validation: looked.accuracy }));
}

function areaOf(curve: readonly Point[]): number {
  return areaUnderCurve(
    curve.map(({ cost }) => cost),
    curve.map(({ accuracy }) => accuracy),
  );
}

function publishedFigures(config: Config, tables: Parameters<typeof decidedBy>[2]): PublishedFigures | undefined {
  const { policy } = makePlan(config);
  if (isUsual(policy) || tables.test.exits === 1) return undefined;
  const { score } = policy;
  const decided = decidedBy(policy, config.calibration, tables);
  return {
    score,
    rule: ruleName(policy),
    area: areaOf(curveOf(cascade(tables.validation, score), cascade(tables.test, score))),
    decided: decided && { accuracy: decided.accuracy, cost: decided.cost, earlyRisk: decided.earlyRisk },
  };
}

type Curve = ReturnType<typeof thresholdCurve>;

const accuracyAt = ({ errors, exits, samples }: Cascade, exit: number): number =>
  1 - errors.reduce((sum, error, at) => (at % exits === exit ? sum + error : sum), 0) / samples;

/**
 * The figures of a finished run, whose policy must be what its settings, or those given, ask for. @throws Error for
 * what is missing in its folder, by name.
 */
export function figuresOf(
  folder: RunFolder,
  key: RunKey,
  { calibration }: Pick<Config, "calibration"> = folder.config(),
): RunFigures {
  const config: Config = { ...folder.config(), calibration };
  const uncertified = policyFault(folder, config);
  const { policy: found, metrics, raw, file, isForeign } = findings(folder.dir, undefined, { anyOrigin: true });
  const policy = uncertified === undefined ? found : undefined;
  const record = folder.record();
  const { made, exits, classes, seconds } = record;
  const split = (name: "validation" | "calibration"): Table => readLogits(folder.logits(name));
  const tables = { validation: split("validation"), calibration: split("calibration"), test: raw };
  const [validation, test] = [cascade(tables.validation), cascade(raw)];
  const curve = curveOf(validation, test);
  const trained = evaluate(raw).exits;
  // The scaling of other weights says nothing of these.
  const scaled = isForeign ? trained : metrics.exits;
  const best = bestOf(readHistory(folder.metrics, test.exits), test.exits);
  return {
    ...key,
    dir: basename(folder.dir),
    settings: decisive(config),
    commit: made["commit"] ?? "unknown",
    adapter: made["adapter"] ?? "unknown",
    samples: test.samples,
    classes: classes.length,
    trainingSeconds: seconds?.["training"] ?? Number.NaN,
    taken: record.taken?.name,
    macs: lastOf(exits).macs / 1e6,
    exits: zip(scaled, trained).map(([{ accuracy, ece, auroc, aurc, eefp }, before]) => ({
      ...{ accuracy, ece, auroc, aurc, eefp },
      ...{ trainedEce: before.ece, trainedAuroc: before.auroc },
      ...{ trainedAurc: before.aurc, trainedEefp: before.eefp },
    })),
    curve,
    area: areaOf(curve),
    atCost: COSTS.map((cost) => met(validation, test, { cost })),
    near: met(validation, test, { accuracy: Math.max(0, accuracyAt(validation, validation.exits - 1) - LOSS) }),
    uncertified,
    certified: policy && {
      accuracy: policy.accuracy,
      cost: policy.cost,
      earlyRisk: policy.earlyRisk,
      exitRisk: [...policy.exitRisk],
      shares: [...policy.fractions],
    },
    published: publishedFigures(config, tables),
    timing: readTiming(folder, stampOf(raw, file)),
    lossSize: lossSize(config, record),
    corruptions: readCorruptions(folder, { raw, file }),
    collapsed: collapseOf(
      scaled.map(({ accuracy }, j) => ({ accuracy, validation: accuracyAt(validation, j), best: best[j]! })),
      chanceOf(raw),
    ),
  };
}

/** Accuracy of a run's curve at a cost. */
export const accuracyOfCurve = ({ curve }: Pick<RunFigures, "curve">, cost: number): number =>
  accuracyAtCost(
    curve.map((point) => point.cost),
    curve.map((point) => point.accuracy),
    cost,
  );

/**
 * The least cost, of the thresholds of its curve, at which a run is within `LOSS` of another's last exit on validation
 * samples; undefined where that is out of reach, or not told.
 */
export function costToReach(run: Pick<RunFigures, "curve">, reference: Pick<RunFigures, "curve">): Point | undefined {
  const target = (reference.curve[0]?.validation ?? Number.NaN) - LOSS;
  const within = run.curve.filter(({ validation = Number.NaN }) => validation >= target);
  return within.length === 0 ? undefined : within.reduce((a, b) => (b.cost < a.cost ? b : a));
}

/**
 * What certified thresholds do: with nothing certified everybody runs to the end; NaN where the run's policy is not
 * what its settings ask for.
 */
export function certifiedOf(run: Pick<RunFigures, "certified" | "uncertified" | "exits">): Point {
  if (run.certified) return run.certified;
  return run.uncertified === undefined ? { accuracy: lastAccuracyOf(run), cost: 1 } : NOWHERE;
}

/** Of the last exit, on all test samples. */
export const lastAccuracyOf = ({ exits }: Pick<RunFigures, "exits">): number => lastOf(exits).accuracy;
