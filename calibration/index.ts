/**
 * Calibration and risk control for early exits, on cached logits: numbers in, thresholds out.
 * Synchronous, float64, no GPU, no dependency. Three steps: fit (scalers) on validation samples, calibrate
 * (thresholds) on calibration samples, evaluate on test samples.
 */

export { SortieError } from "../base/index.ts";
export * from "./bootstrap.ts";
export * from "./bounds.ts";
export * from "./budgets.ts";
export { logEntropyOf, logRestOf } from "./certainty.ts";
export type { ChainProcedure } from "./chains.ts";
export * from "./control-risk.ts";
export * from "./cpm.ts";
export * from "./crc.ts";
export * from "./curves.ts";
export * from "./ece.ts";
export * from "./eefp.ts";
export { CalibrationError } from "./errors.ts";
export * from "./evaluate.ts";
export * from "./exchangeability.ts";
export * from "./explain.ts";
export * from "./failure.ts";
export * from "./fit.ts";
export { fitGate, type Gate } from "./gate.ts";
export * from "./learn-then-test.ts";
export * from "./losses.ts";
export {
  checkLevels,
  countOnGrid,
  fixedSequence,
  type GridCounts,
  harmlessReuse,
  lttPooled,
  lttThreshold,
  type PooledTest,
  type RiskLevels,
  type SurvivorThresholds,
  sequentialSurvivors,
  type ThresholdTest,
} from "./ltt.ts";
export * from "./monitor.ts";
export * from "./msdnet-budget.ts";
export * from "./multiple-testing.ts";
export * from "./nested-sets.ts";
export { checkOrigin, type Origin, type OriginHints, type PolicyOrigin, scalingDigest } from "./origin.ts";
export * from "./outcomes.ts";
export * from "./overthinking.ts";
export { countGroups, designPath, type GroupCounts, type PathControl, type PathInput } from "./path.ts";
export * from "./policies.ts";
export * from "./policy-file.ts";
export * from "./proper.ts";
export * from "./random.ts";
export { midRanks, spearman } from "./ranks.ts";
export * from "./result.ts";
export * from "./safekd.ts";
export * from "./scalers/confidence-scalers.ts";
export {
  applyLogitScaler,
  type FitOptions,
  fitLogitScaler,
  type LogitMethod,
  type LogitScaler,
} from "./scalers/logit-scalers.ts";
export * from "./scores.ts";
export {
  calibrateSets,
  predictSets,
  type SetInput,
  type SetOptions,
  type SetRule,
  setQuality,
  setRule,
  setScores,
} from "./sets.ts";
export * from "./simulation.ts";
export * from "./smooth-ece.ts";
export * from "./table.ts";
