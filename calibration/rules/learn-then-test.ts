// Thresholds with a high-probability promise on the error rate of samples that leave early, as a cascade really runs.
// Learn then Test (Angelopoulos et al. 2021) on cascade survivors.

import type { Kinds } from "../../base/index.ts";
import { check, checkNotEmpty, checkRead, readOptions } from "../errors.ts";
import { binomialPValue, hoeffdingBentkusPValue, wsrPValue } from "../numeric/bounds.ts";
import { createRandom } from "../numeric/random.ts";
import type { RiskTest } from "../numeric/sample-size.ts";
import { checkUnfitted } from "../table/fitted.ts";
import { policyOrigin } from "../table/origin.ts";
import { betweenScores, type Cascade, cascade, checkKnown, type Source } from "../table/scores.ts";
import { chainLevel, chainShare, isStrictChain, runChain } from "./chains.ts";
import { type Correction, firstLevel, rejectHypotheses } from "./multiple-testing.ts";
import { RULE_OPTIONS } from "./options.ts";
import { countGroups, designPath, groupCount, type PathControl, savedCost } from "./path.ts";
import { achieved, decide, earlyShare } from "./policies.ts";
import { type Control, promisedGroups } from "./promised-groups.ts";
import { type RefusedTests, refuse } from "./refusal.ts";
import {
  type Calibration,
  type Certified,
  complement,
  fixedBeforehand,
  type Guarantee,
  independentSamples,
  provenUnless,
  type RiskLevels,
} from "./result.ts";
import { checkLevels, harmlessReuse, harmlessStart, LEVELS } from "./selective-risk.ts";
import { LAYOUT, type LayoutOptions, separate } from "./separate.ts";

/** How exits share the failure probability. `path` is strict and the default; the others are described in chains.ts. */
export type Procedure = "path" | "sequential" | "split" | "union" | "allSamples";

/** Options of `learnThenTest`. */
export interface LearnThenTestOptions extends RiskLevels, LayoutOptions {
  /** Whose risk is promised; default each exit's. */
  readonly control?: Control;
  /** Default `path`; for control "predictedClass" it is `split`. */
  readonly procedure?: Procedure;
  readonly test?: RiskTest;
  /** `path` only: how the rows of the path are paid for. */
  readonly correction?: Correction;
  /** Threshold rows or grid points. */
  readonly steps?: number;
}

const PRESET = RULE_OPTIONS.learnThenTest;
const LEARN_THEN_TEST: Kinds<LearnThenTestOptions> = {
  ...LEVELS,
  ...LAYOUT,
  ...PRESET,
};

/**
 * Certifies thresholds: with probability at least 1 - delta over the calibration samples, the error rate of every
 * promised group of early leavers is at most alpha. `ok: false` if nothing can be certified.
 * @throws CalibrationError for levels outside (0, 1), an empty table, a single exit, or shared sample ids.
 *
 * @example
 * ```ts
 * import { createPopulation, createRandom, learnThenTest } from "sortie/calibration";
 *
 * const population = createPopulation({ size: 20_000 }); // stands for your own logits, see createTable
 * const table = population.draw(3000, createRandom(1));
 * const policy = learnThenTest(table, { alpha: 0.1, delta: 0.1 });
 * console.log(policy.ok ? policy.thresholds.length : policy.reason); // 2
 * ```
 */
export function learnThenTest(source: Source, options: LearnThenTestOptions): Calibration {
  const {
    alpha,
    delta,
    control = PRESET.control.default,
    test = PRESET.test.default,
    steps = PRESET.steps.default,
    seed = 0,
    sameSamples = false,
  } = readOptions("learnThenTest", options, LEARN_THEN_TEST);
  const { procedure = control === "predictedClass" ? "split" : "path" } = options;
  checkLevels("learnThenTest", { alpha, delta });
  const all = cascade(source, options.score);
  checkNotEmpty("learnThenTest", "the calibration set", all.samples);
  if (!sameSamples) checkUnfitted("learnThenTest", all);
  check(all.exits > 1, "learnThenTest", "the table must have an early exit", `${all.exits} exit`);
  checkCombination(control, procedure, test);
  checkRead("learnThenTest", options, ["procedure", procedure], { correction: ["path"] });
  if (control === "label") checkKnown("learnThenTest", "labels", all);
  if (control === "predictedClass") checkKnown("learnThenTest", "predictions", all);
  const { calibration, validation, used } = separate("learnThenTest", source, all, options);
  const about = {
    method: `learn then test (${procedure}, ${test})`,
    guarantee: provenUnless(sameSamples, describe(procedure, control, all.exits, { alpha, delta })),
  };
  const shared = { calibration, validation, steps, alpha, delta };
  let thresholds: Float64Array | undefined;
  let testing: Pick<RefusedTests, "levelAt" | "share">;
  if (procedure === "path") {
    const path =
      validation.samples > 0 && control !== "predictedClass"
        ? designPath({ ...shared, control, n: calibration.samples }).map(betweenScores(validation))
        : [];
    if (control !== "predictedClass") thresholds = testPath(calibration, path, { ...options, control, test });
    testing = { levelAt: () => firstLevel(delta, path.length || steps, options.correction), share: 1 };
  } else {
    const isByClass = control === "predictedClass";
    const chain = { ...shared, procedure, isByClass, random: createRandom(seed + 1) };
    if (validation.samples > 0) thresholds = runChain(chain);
    if (thresholds?.every((t) => t === Number.POSITIVE_INFINITY)) thresholds = undefined;
    testing = { levelAt: (exit) => chainLevel(chain, exit), share: chainShare(chain) };
  }
  if (!thresholds) {
    const tests = { alpha, delta, control, test, ...testing };
    const sets = { given: all.samples, tested: calibration.samples, layout: validation.samples };
    return refuse(calibration, tests, about, sets);
  }
  return certify(calibration, thresholds, {
    ...about,
    alpha,
    delta,
    control,
    ...used,
  });
}

/**
 * Tests row after row. A row's null hypothesis is "some group is above alpha"; it is rejected when every group's own
 * test is (intersection-union), so groups cost nothing. Among the rejected rows the cheapest on these samples is taken.
 */
function testPath(
  calibration: Cascade,
  path: readonly Float64Array[],
  options: LearnThenTestOptions & { readonly control: PathControl; readonly test: RiskTest },
): Float64Array | undefined {
  const { alpha, delta, control, test, correction = "fixedSequence" } = options;
  const tested: { readonly row: Float64Array; readonly p: number; readonly saving: number }[] = [];
  for (const row of path) {
    const { p, saving } = testRow(calibration, row, control, test, { alpha, delta });
    tested.push({ row, p, saving });
    if (correction === "fixedSequence" && p > delta) break;
  }
  const pValues = tested.map(({ p }) => p);
  const isRejected = rejectHypotheses(pValues, delta, correction);
  let best: Float64Array | undefined;
  let most = 0;
  for (const { row, saving } of tested.filter((_, g) => isRejected[g] === 1)) {
    if (saving < most) continue;
    best = row;
    most = saving;
  }
  return best;
}

/** The largest p-value over groups, and the cost saved. A closed exit passes: nothing is promised of it. */
function testRow(
  calibration: Cascade,
  row: Float64Array,
  control: PathControl,
  test: RiskTest,
  { alpha, delta }: RiskLevels,
): { readonly p: number; readonly saving: number } {
  const sequences = Array.from({ length: groupCount(control, calibration) }, (): number[] => []);
  const visit = test === "wsr" ? (group: number, error: number) => sequences[group]?.push(error) : undefined;
  const { accepted, errors, left } = countGroups(calibration, row, control, visit);
  let worst = 0;
  accepted.forEach((n, group) => {
    if (control === "exit" && row[group] === Number.POSITIVE_INFINITY) return;
    let p = 1;
    const wrong = errors[group]!;
    if (test === "binomial") p = binomialPValue(wrong, n, alpha);
    else if (test === "hoeffdingBentkus") p = hoeffdingBentkusPValue({ errors: wrong }, n, alpha);
    else if (n > 0) p = wsrPValue(sequences[group]!, alpha, delta);
    worst = Math.max(worst, p);
  });
  return { p: worst, saving: savedCost(left, calibration.costs) };
}

function checkCombination(control: Control, procedure: Procedure, test: RiskTest): void {
  const op = "learnThenTest";
  if (procedure === "path") {
    check(control !== "predictedClass", op, "predictedClass needs procedure split or sequential", procedure);
    return;
  }
  check(test === "binomial", op, "procedures other than path use the binomial test", test);
  const isClassChain = control === "predictedClass" && (procedure === "split" || procedure === "sequential");
  check(control === "exit" || isClassChain, op, `procedure ${procedure} must control "exit"`, control);
}

function certify(
  calibration: Cascade,
  thresholds: Float64Array,
  about: Pick<Certified, "method" | "guarantee" | "alpha" | "ids" | "marks"> & {
    readonly delta: number;
    readonly control: Control;
  },
): Certified {
  const { control, ...rest } = about;
  const exits = decide(calibration, thresholds);
  const { cost, fractions } = achieved(calibration, exits);
  const tests = promisedGroups(calibration, exits, control).map((group) => ({
    ...group,
    pValue: binomialPValue(group.errors, group.accepted, about.alpha),
  }));
  return {
    ok: true,
    ...rest,
    n: calibration.samples,
    score: calibration.score,
    origin: policyOrigin(calibration),
    thresholds,
    risk: tests.reduce((worst, { errors, accepted }) => Math.max(worst, errors / accepted), 0),
    coverage: earlyShare(fractions),
    cost,
    tests,
  };
}

function describe(procedure: Procedure, control: Control, exits: number, { alpha, delta }: RiskLevels): Guarantee {
  const isStrict = procedure === "path" || isStrictChain(procedure, exits);
  const few = `at most ${alpha} of`;
  const wrong = {
    exit: `for each early exit, ${few} the samples that really leave there are answered wrongly in the long run`,
    early: `${few} the samples that leave early are answered wrongly in the long run`,
    label: `for each label, ${few} its samples that leave early are answered wrongly in the long run`,
    predictedClass: `for each early exit and each class, ${few} the samples that really leave there with this answer are answered wrongly in the long run`,
  }[control];
  const chance = `With probability at least ${complement(delta)} over the calibration samples`;
  if (procedure === "allSamples" && !isStrict) {
    return {
      kind: "none",
      promise: `${chance.toLowerCase()}, each exit used alone would err on at most ${alpha} of the samples it accepts, but behind other exits it sees harder ones.`,
      assumptions: [independentSamples, fixedBeforehand],
    };
  }
  return {
    kind: "with probability 1 - delta",
    promise: `${chance}, ${wrong}.`,
    assumptions: [independentSamples, fixedBeforehand, ...(isStrict ? [] : [harmlessStart, harmlessReuse])],
  };
}
