// What a run keeps on disk while it goes on: checkpoints, and how to go on from them.

import { diskFull, isDiskFull, leftovers } from "../../base/index.ts";
import { DeviceError, type Tensor } from "../../engine/functions.ts";
import { TrainingError } from "../errors.ts";
import { type Extent, type Found, type Position, readCheckpoint, saveCheckpoint } from "../run/checkpoint.ts";
import { fileSystem } from "../run/files.ts";
import type { RunOptions } from "../run/identity.ts";
import { inFolder, RUN_FILES } from "../run/run.ts";

/** Makes the run folder, and removes what a killed process left half-written there. */
export async function prepareFolder(dir: string): Promise<void> {
  const fs = fileSystem("train");
  await fs.mkdir(dir, { recursive: true });
  for (const name of [RUN_FILES.last, RUN_FILES.best, RUN_FILES.metrics]) {
    for (const left of await leftovers(inFolder(dir, name))) await fs.rm(left, { force: true });
  }
}

/** Checkpoints of one run; without a folder it keeps nothing. */
export class Saver {
  readonly #dir: string | undefined;
  readonly #identity: RunOptions;
  /** The step of the checkpoint that a resumed run starts from; 0 while there is none. */
  #saved = 0;

  constructor(dir: string | undefined, identity: RunOptions) {
    this.#dir = dir;
    this.#identity = identity;
  }

  /** The last checkpoint of a run of that length, if there is one; `net` are the network's tensors. */
  async find(extent: Extent, net: ReadonlyMap<string, Tensor>): Promise<Found | undefined> {
    if (this.#dir === undefined) return undefined;
    const found = await readCheckpoint(inFolder(this.#dir, RUN_FILES.last), this.#identity, extent, net);
    this.#saved = found?.position.step ?? 0;
    return found;
  }

  /** Saves everything that a step reads and changes, by name; false, with nothing written, if a value is not finite. */
  async save(which: "last" | "best", position: Position, tensors: ReadonlyMap<string, Tensor>): Promise<boolean> {
    if (this.#dir === undefined) return true;
    const state = { position, run: this.#identity };
    const isSaved = await saveCheckpoint(inFolder(this.#dir, RUN_FILES[which]), tensors, state);
    if (isSaved && which === "last") this.#saved = position.step;
    return isSaved;
  }

  /** A sentence about the last checkpoint, if there is one. */
  get last(): string {
    return this.#saved > 0 ? ` The last checkpoint is from step ${this.#saved}.` : "";
  }

  /** A sentence on how to go on, if there is a folder. */
  get howToResume(): string {
    if (this.#dir === undefined) return "";
    const where =
      this.#saved > 0
        ? `resume at step ${this.#saved} from ${this.#dir}`
        : `start over in ${this.#dir}: there is no checkpoint yet`;
    return ` Run the same again to ${where}.`;
  }

  /** The error as the user is to see it. */
  explain(error: unknown): unknown {
    if (error instanceof DeviceError) return new DeviceError(`${error.message}${this.howToResume}`, { cause: error });
    if (!isDiskFull(error)) return error;
    return new TrainingError(`train: ${diskFull(`${this.#dir}`, "the run")}.${this.howToResume}`, { cause: error });
  }
}
