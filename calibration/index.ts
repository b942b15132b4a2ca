// Calibration and risk control for early exits, on cached logits: numbers in, thresholds out.
// Synchronous, float64, no GPU, no dependency. Three steps: fit (scalers) on validation samples, calibrate
// (thresholds) on calibration samples, evaluate on test samples.

export { SortieError } from "../base/index.ts";
export { CalibrationError } from "./errors.ts";
export * from "./metrics/bootstrap.ts";
export * from "./metrics/curves.ts";
export * from "./metrics/ece.ts";
export * from "./metrics/eefp.ts";
export * from "./metrics/evaluate.ts";
export * from "./metrics/failure.ts";
export * from "./metrics/overthinking.ts";
export * from "./metrics/proper.ts";
export * from "./metrics/smooth-ece.ts";
export {
  createExchangeabilityMonitor,
  type ExchangeabilityMonitor,
  type ExchangeabilityState,
  type ExchangeabilityTest,
  testExchangeability,
} from "./monitoring/exchangeability.ts";
export * from "./monitoring/monitor.ts";
export { column } from "./numeric/arrays.ts";
export * from "./numeric/bounds.ts";
export { logEntropyOf, logOddsOf, logRestOf } from "./numeric/certainty.ts";
export { createRandom, type Random, randomOrder } from "./numeric/random.ts";
export { midRanks, spearman } from "./numeric/ranks.ts";
export type { RiskTest } from "./numeric/sample-size.ts";
export * from "./rules/budgets.ts";
export type { ChainProcedure } from "./rules/chains.ts";
export * from "./rules/class-precision-margin.ts";
export * from "./rules/conformal-risk-control.ts";
export * from "./rules/control-risk.ts";
export * from "./rules/explain.ts";
export * from "./rules/learn-then-test.ts";
export * from "./rules/losses.ts";
export * from "./rules/msdnet-budget.ts";
export { type Correction, rejectHypotheses } from "./rules/multiple-testing.ts";
export {
  ANY_VALUES,
  BUDGET_GOAL,
  COSTED,
  EVALUATION,
  RULE_OPTIONS,
  SAME_SAMPLES,
  SCALING_METHOD,
  SCORE,
} from "./rules/options.ts";
export { countGroups, designPath, type GroupCounts, type PathControl, type PathInput } from "./rules/path.ts";
export * from "./rules/policies.ts";
export * from "./rules/policy-file.ts";
export * from "./rules/promised-groups.ts";
export * from "./rules/published.ts";
export * from "./rules/result.ts";
export * from "./rules/safe-kd.ts";
export {
  checkLevels,
  countOnGrid,
  fixedSequence,
  type GridCounts,
  harmlessReuse,
  harmlessStart,
  lttPooled,
  lttThreshold,
  type PooledTest,
  type SurvivorThresholds,
  sequentialSurvivors,
  type ThresholdTest,
} from "./rules/selective-risk.ts";
export * from "./scalers/confidence-scalers.ts";
export * from "./scalers/fit.ts";
export { fitGate, type Gate } from "./scalers/learned-gate.ts";
export {
  applyLogitScaler,
  type FitOptions,
  fitLogitScaler,
  type LogitMethod,
  type LogitScaler,
} from "./scalers/logit-scalers.ts";
export {
  type CalibrateSetOptions,
  calibrateSets,
  predictSets,
  type SetInput,
  type SetOptions,
  type SetRule,
  setQuality,
  setRule,
  setScores,
} from "./sets/conformal-sets.ts";
export * from "./sets/nested-sets.ts";
export * from "./simulation.ts";
export * from "./table/measured-costs.ts";
export {
  checkOrigin,
  type Origin,
  type OriginHints,
  type PolicyOrigin,
  type Scalers,
  type ScalerValues,
  type Sourced,
  scalingDigest,
} from "./table/origin.ts";
export * from "./table/outcomes.ts";
export type { SampleMarks } from "./table/same-samples.ts";
export * from "./table/scores.ts";
export * from "./table/table.ts";
