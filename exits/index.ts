// Public entry of exits: multi-exit networks, training objectives and other methods' losses, training.

export { type BoostLosses, type BoostOptions, boostedLogits, boostLosses } from "./boost.ts";
export { type CalexnetLosses, type CalexnetOptions, calexnetLosses } from "./calexnet.ts";
export { firstDifference, loadWeights } from "./checkpoint.ts";
export { type Answers, Classifier, type ClassifyOptions, type DeployOptions, deploy } from "./deploy.ts";
export { type DkdOptions, dkd, entropy, kd } from "./distill.ts";
export { type ErdeOptions, erdeLosses } from "./erde.ts";
export { CheckpointError, TrainingError } from "./errors.ts";
export { type Anneal, annealed, confidenceGated, type GatedOptions, scheduleOnly } from "./gated.ts";
export type { Images, Picture } from "./given-images.ts";
export { type Equilibrium, gradientEquilibrium } from "./gradient-equilibrium.ts";
export { Head, type HeadFactory, type HeadKind, type HeadSite } from "./heads.ts";
export type { BatchSource, ImageBatch, ImageSet, ImageSplits, Split } from "./images.ts";
export { type ExitGates, exitStatistics, type JeiDnnLosses, type JeiDnnOptions, jeiDnnLosses } from "./jei-dnn.ts";
export { type JointOptions, jointCrossEntropy, type LinearWeights, type SdnWeights } from "./joint.ts";
export { type FolderLock, lockFolder } from "./lock.ts";
export { type CachedLogits, readLogits, toTable, writeLogits } from "./logits.ts";
export type { EvaluationRow, ExitScore, MetricsRow, TrainingRow } from "./metrics.ts";
export { type ExitInfo, MultiExit, type MultiExitOptions, multiExit } from "./multi-exit.ts";
export type { Epoch, ExitBatch, ExitLosses, Objective } from "./objective.ts";
export type { ExitPolicy } from "./policy.ts";
export {
  clock,
  defaultReport,
  describeProgress,
  type LineStream,
  lineReport,
  type Progress,
  type Report,
} from "./progress.ts";
export { type PteeLoss, type PteeOptions, pteeLoss } from "./ptee.ts";
export type { OptimizerRecipe, Recipe, ScheduleRecipe } from "./recipe.ts";
export { RUN_FILES, Run, type RunParts } from "./run.ts";
export { type SafeKdOptions, safeKd } from "./safe-kd.ts";
export { SEAL, type SealedTensor, sealedText } from "./seal.ts";
export { type SelfDistillation, type SelfDistillationOptions, selfDistillation } from "./self-distill.ts";
export { Evaluator } from "./step.ts";
export { type TrainOptions, train } from "./train.ts";
export { type ZtwHeadParameters, ztwEnsemble, ztwHead } from "./ztw.ts";
