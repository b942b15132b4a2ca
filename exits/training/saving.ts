// What a run keeps on disk while it goes on: checkpoints, and how to go on from them.

import { diskFull, isDiskFull, what } from "../../base/index.ts";
import { ArgumentError, DeviceError, type Tensor } from "../../engine/functions.ts";
import { TrainingError } from "../errors.ts";
import { type CheckpointPlace, type CheckpointStore, type Position, saveCheckpoint } from "../run/checkpoint.ts";
import type { RunOptions } from "../run/identity.ts";
import { inFolder, RUN_FILES } from "../run/run.ts";

/** Where a run keeps its checkpoints: a folder (Node), a store, or nowhere. */
interface Keeping {
  readonly dir?: string | undefined;
  readonly store?: CheckpointStore | undefined;
}

/** @throws ArgumentError for a store that is none, or stands beside a folder. */
export function checkStore({ store, dir }: Keeping): void {
  if (store === undefined) return;
  if (typeof store?.read !== "function" || typeof store.write !== "function")
    throw new ArgumentError(`train: store must have read(name) and write(name, file); got ${what(store)}.`);
  if (dir !== undefined)
    throw new ArgumentError(`train: checkpoints must lie in one place; got dir and store. Leave out one of them.`);
}

/** Where a checkpoint lies; undefined where none are kept. */
export function checkpointPlace({ dir, store }: Keeping, which: "last" | "best"): CheckpointPlace | undefined {
  const name = RUN_FILES[which];
  return dir !== undefined ? inFolder(dir, name) : store && { store, name };
}

/** Checkpoints of one run; without a folder or a store it keeps nothing. */
export class Saver {
  readonly #dir: string | undefined;
  readonly #store: CheckpointStore | undefined;
  readonly #identity: RunOptions;
  /** The step of the checkpoint that a resumed run starts from; 0 while there is none. */
  #saved: number;

  /** @param saved The step that a resumed run starts from. */
  constructor({ dir, store }: Keeping, identity: RunOptions, saved = 0) {
    this.#dir = dir;
    this.#store = store;
    this.#identity = identity;
    this.#saved = saved;
  }

  /** Saves everything that a step reads and changes, by name; false, with nothing written, if a value is not finite. */
  async save(which: "last" | "best", position: Position, tensors: ReadonlyMap<string, Tensor>): Promise<boolean> {
    const place = this.#placeOf(which);
    if (place === undefined) return true;
    const isSaved = await saveCheckpoint(place, tensors, { position, run: this.#identity });
    if (isSaved && which === "last") this.#saved = position.step;
    return isSaved;
  }

  /** A sentence about the last checkpoint, if there is one. */
  get last(): string {
    return this.#saved > 0 ? ` The last checkpoint is from step ${this.#saved}.` : "";
  }

  /** A sentence on how to go on, if there is a folder or a store. */
  get howToResume(): string {
    const where = this.#where;
    if (where === undefined) return "";
    const how =
      this.#saved > 0
        ? `resume at step ${this.#saved} from ${where}`
        : `start over in ${where}: there is no checkpoint yet`;
    return ` Run the same again to ${how}.`;
  }

  get #where(): string | undefined {
    return this.#dir ?? (this.#store && "its checkpoints");
  }

  #placeOf(which: "last" | "best"): CheckpointPlace | undefined {
    return checkpointPlace({ dir: this.#dir, store: this.#store }, which);
  }

  /** The error as the user is to see it. */
  explain(error: unknown): unknown {
    if (error instanceof DeviceError) return new DeviceError(`${error.message}${this.howToResume}`, { cause: error });
    if (!isDiskFull(error)) return error;
    return new TrainingError(`train: ${diskFull(`${this.#where}`, "the run")}.${this.howToResume}`, { cause: error });
  }
}
