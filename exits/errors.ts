// Errors of training and its files, in the engine's grammar: `op: what must hold; got what. Hint.`

import { SortieError } from "../engine/functions.ts";

/** A training run that cannot go on: a loss that is not finite, an interruption, a lost device. */
export class TrainingError extends SortieError {
  override readonly name = "TrainingError";
}

/** A checkpoint or cached file that does not belong to the run at hand. */
export class CheckpointError extends SortieError {
  override readonly name = "CheckpointError";
}

/** A file that is not a model, is damaged, is of a newer version, or did not arrive. */
export class ModelError extends SortieError {
  override readonly name = "ModelError";
}
