// Public entry of exits: multi-exit networks, training objectives and other methods' losses, training.

export { type Given, type Option, type OptionSet, type OptionValues, option } from "../base/index.ts";
export type { CascadeAbout, CascadeScore, Runtime as OnnxRuntime, Session as OnnxSession } from "../onnx/index.ts";
export { adapterName } from "./deploy/adapter-name.ts";
export { type Answers, type ClassifyOptions, joinAnswers, type StreamOptions } from "./deploy/answers.ts";
export { Classifier } from "./deploy/classifier.ts";
export { type MeasureOptions, measureCosts, ROUNDS } from "./deploy/costs.ts";
export { CLASSIFY_BATCH, type DeployOptions, deploy } from "./deploy/deploy.ts";
export type { Images, Normalisation, PixelImages } from "./deploy/images.ts";
export type { Plan, TriedRoute } from "./deploy/plan.ts";
export { type Decisions, type ExitPolicy, type PolicyOptions, readPolicy } from "./deploy/policy.ts";
export type { Precision } from "./deploy/prepared.ts";
export type { Behind } from "./deploy/route.ts";
export { CheckpointError, ModelError, TrainingError } from "./errors.ts";
export { cascadeOf } from "./file/cascade.ts";
export { CLASSIFY_RUNTIME, type LoadedClassifier, type LoadOptions, load } from "./file/load.ts";
export {
  encodeModel,
  type ModelAbout,
  type ModelFile,
  type ModelRecord,
  readModel,
  saveModel,
} from "./file/model-file.ts";
export { networkOf } from "./file/network.ts";
export { type OnnxFilesOptions, onnxFiles } from "./file/onnx.ts";
export type { ModelSource, ReadModelOptions } from "./file/source.ts";
export { adaloss } from "./methods/adaloss.ts";
export { beem } from "./methods/beem.ts";
export { type BoostLosses, type BoostOptions, boost, boostedLogits, boostLosses } from "./methods/boost.ts";
export { branchynet } from "./methods/branchynet.ts";
export {
  type CalexnetLosses,
  type CalexnetOptions,
  calexnet,
  calexnetLosses,
  calexnetReference,
} from "./methods/calexnet.ts";
export { certifiedCgt } from "./methods/certified-cgt.ts";
export {
  type Anneal,
  annealed,
  confidenceCgt,
  hardCgt,
  plainCgt,
  scheduleOnly,
  shuffledCgt,
  softCgt,
} from "./methods/confidence-gated.ts";
export { disjoint } from "./methods/disjoint.ts";
export { type DeeperExits, deeperExitsLoss, distilLast, distilLater, distilNext } from "./methods/distil-exits.ts";
export { type DkdOptions, dkd, entropy, kd, softCrossEntropy } from "./methods/distill.ts";
export { decoupledDistillation } from "./methods/dkd.ts";
export { balancedGateLoss, confidenceLosses, failurePrediction, type GateTargets } from "./methods/eefp.ts";
export { eefpCgt } from "./methods/eefp-cgt.ts";
export { eenet } from "./methods/eenet.ts";
export { type ErdeOptions, erde, erdeLosses } from "./methods/erde.ts";
export { type ExitTargetOptions, exitTargets } from "./methods/exit-targets.ts";
export type { ExitWeights, LinearWeights, SdnWeights } from "./methods/exit-weights.ts";
export { type Equilibrium, gradientEquilibrium } from "./methods/gradient-equilibrium.ts";
export { imta } from "./methods/imta.ts";
export { METHODS } from "./methods/index.ts";
export {
  type ExitGates,
  type JeiDnnLosses,
  type JeiDnnOptions,
  jeiDnn,
  jeiDnnLosses,
} from "./methods/jei-dnn.ts";
export { joint } from "./methods/joint.ts";
export { knowledgeDistillation } from "./methods/kd.ts";
export { l2wDen } from "./methods/l2w-den.ts";
export { layerWise } from "./methods/layer-wise.ts";
export { linearWeights } from "./methods/linear.ts";
export {
  earlyExits,
  exitCrossEntropy,
  exitMeans,
  labelSmoothing,
  lastExit,
  weighExits,
  weightedCrossEntropy,
} from "./methods/losses.ts";
export {
  type Attack,
  type Blend,
  CERTIFIED,
  defineMethod,
  type Epoch,
  type Fits,
  type Loss,
  type Method,
  type MethodRecord,
  type Numbers,
  type Paper,
  type ParameterPlace,
  type Part,
  type Phase,
  type PhaseSite,
  type PolicyPlan,
  type Seen,
  type Skipping,
  type SoFar,
  type Teacher,
  type Track,
  type TrainingPlan,
} from "./methods/method.ts";
export { mixed } from "./methods/mixed.ts";
export { type AttackedLogits, neighbourLosses, neoKd, orthogonalLosses } from "./methods/neo-kd.ts";
export { branchCrossEntropy, branches, headAt, once, only, plainBackbone, trunk, without } from "./methods/parts.ts";
export { phuongLampert } from "./methods/phuong-lampert.ts";
export { type PteeLoss, type PteeOptions, ptee, pteeLoss } from "./methods/ptee.ts";
export { safeKd } from "./methods/safe-kd.ts";
export { sdn } from "./methods/sdn.ts";
export { type SelectiveOptions, selectiveLosses, selectiveNet } from "./methods/selective-net.ts";
export { byot, type SelfDistillation, type SelfDistillationOptions, selfDistillation } from "./methods/self-distill.ts";
export { exitStatistics, failureStatistics } from "./methods/statistics.ts";
export { type ZtwHeadParameters, ztw, ztwEnsemble, ztwHead } from "./methods/ztw.ts";
export { buildNetwork } from "./network/architecture.ts";
export { type HeadChoice, type MultiExitOptions, multiExit } from "./network/attach.ts";
export { additive } from "./network/heads/additive.ts";
export { cascaded } from "./network/heads/cascaded.ts";
export { confident } from "./network/heads/confident.ts";
export { ensembled } from "./network/heads/ensembled.ts";
export { experts } from "./network/heads/experts.ts";
export { failureGated, gated } from "./network/heads/gated.ts";
export {
  type ExitRecord,
  Head,
  type HeadFactory,
  type HeadRecord,
  type HeadSite,
  type HeadWrap,
  LinearHead,
  type RecordPass,
  WrappedHead,
  type WrapSite,
} from "./network/heads/head.ts";
export { hinted } from "./network/heads/hinted.ts";
export { HEADS, type HeadKind } from "./network/heads/index.ts";
export { inline } from "./network/heads/inline.ts";
export type { TailKind } from "./network/heads/tails.ts";
export { type ExitInfo, MultiExit, type PassOptions } from "./network/multi-exit.ts";
export { type Architecture, architectureOf, type BuildOptions } from "./network/origin.ts";
export { type ExitOutput, stackRecords } from "./network/output.ts";
export { type DecideOptions, decideError, type ExitResults, exitDecide, OWN_SCORES } from "./ops/decide.ts";
export { exitGates, type GateMode, type GateOptions } from "./ops/gate.ts";
export { exitTally, readTally, type Tally, tallySize } from "./ops/tally.ts";
export { type LoadRecordedOptions, loadRecorded, type RecordedClassifier } from "./recorded/classifier.ts";
export type { RecordedModel } from "./recorded/form.ts";
export { type RecordOptions, recordModel } from "./recorded/record.ts";
export { type CheckpointStore, checkpointRun, firstDifference, loadWeights, saveWeights } from "./run/checkpoint.ts";
export { digest as weightsDigest } from "./run/digest.ts";
export { type FolderLock, lockFolder, lockIfFree } from "./run/lock.ts";
export { type CachedLogits, readLogits, toTable, writeLogits } from "./run/logits.ts";
export type { EvaluationRow, ExitFigures, MetricsRow, TrainingRow } from "./run/metrics.ts";
export { RUN_FILES, Run, type RunParts } from "./run/run.ts";
export { SEAL, type SealedTensor, sealedText } from "./run/seal.ts";
export type { RuntimeName, RuntimePlan } from "./runtime/plan.ts";
export { Evaluator, type ExitAnswers } from "./training/evaluator.ts";
export type { BatchSource, ImageBatch, ImageSet, ImageSplits, Split } from "./training/images.ts";
export { OPTIMIZERS, type OptimizerRecipe } from "./training/optimizers.ts";
export {
  clock,
  defaultReport,
  describeProgress,
  type LineStream,
  lineReport,
  type Progress,
  type Report,
  type RunStart,
} from "./training/progress.ts";
export { RECIPE_OPTIONS, type Recipe } from "./training/recipe.ts";
export { SCHEDULES, type ScheduleRecipe } from "./training/schedules.ts";
export type { TakenPhase } from "./training/shared-phase.ts";
export { START_OPTIONS, type Start } from "./training/start.ts";
export type { StartReport } from "./training/start-file.ts";
export { train } from "./training/train.ts";
export { CADENCE, RUN_SEED, type TrainOptions } from "./training/train-options.ts";
export { FINE_TUNING, isBeginning, type RateFactors } from "./training/tuning-options.ts";
export { VARIANT_OPTIONS, type Variants } from "./training/variants.ts";
