// Live rows of a recording: which tensors hold rows of which only the first few count, which dispatches may follow that count, and
// the indirect arguments that make them.

import { liveGrid, type NamedBinding } from "../kernels/index.ts";
import type { Place, Storage } from "./buffers.ts";
import { CaptureError } from "./errors.ts";
import { liveGrids } from "./ops/compact.ts";
import { describe, numel } from "./shape.ts";
import type { Tensor } from "./tensor.ts";
import type { Command, Work } from "./work.ts";

const mixing = (op: string): CaptureError =>
  new CaptureError(`capture: with live rows every op must treat rows independently; ${op} mixes them.`);

/** The first `count` (u32[1], on the GPU) of `capacity` rows. */
export class LiveRows {
  readonly #count: Tensor;
  readonly #capacity: number;
  /** Storages of which the first rows count, and the dispatches that cover those alone. */
  readonly #live: Set<Storage>;
  readonly #following: Command[] = [];

  /** Throws CaptureError if the count is no u32[1], or the inputs have no leading extent in common. */
  constructor(count: Tensor, inputs: readonly (readonly [string, Tensor])[]) {
    if (numel(count.shape) !== 1 || count.dtype !== "u32")
      throw new CaptureError(`capture: rows must be u32[1]; got ${describe(count)}.`);
    const capacity = inputs[0]?.[1].shape[0];
    if (capacity === undefined)
      throw new CaptureError("capture: live rows need an input with a leading axis; got none.");
    const other = inputs.find(([, { shape }]) => shape[0] !== capacity);
    if (other) {
      throw new CaptureError(
        `capture: with live rows all inputs must have the leading extent ${capacity}; got ${describe(other[1])} for ${other[0]}.`,
      );
    }
    this.#count = count;
    this.#capacity = capacity;
    this.#live = new Set(inputs.map(([, { storage }]) => storage));
  }

  /**
   * Takes note of work that touches live rows: what it writes is live too, and it will cover those rows alone. Throws CaptureError
   * for work that cannot, and for such that would write what is not `owner`'s behind the rows that count.
   */
  follow(work: Work, owner: object): void {
    if (work.kind === "copy") {
      if (this.#live.has(work.from)) throw mixing("copy");
      return;
    }
    const { op, program, rows, storages } = work;
    if (!storages.some((storage) => this.#live.has(storage))) return;
    if (!rows) throw mixing(op);
    const follows = ({ name }: NamedBinding): boolean => (rows.apart?.[name] ?? rows.blocks) % this.#capacity === 0;
    const isShared = program.bindings.some((binding, i) => this.#live.has(storages[i]!) && !follows(binding));
    if (isShared) throw mixing(op);
    checkGrid(work);
    const isCounted = storages.includes(this.#count.storage);
    program.bindings.forEach((binding, i) => {
      const storage = storages[i]!;
      if (binding.access === "read") return;
      // Launches cover whole workgroups: what lies behind the live rows is written too, which only private memory may be.
      if (!isCounted && (storage.owner !== owner || !follows(binding))) {
        throw new CaptureError(
          `capture: with live rows only ops that are given their number may write state, or rows by index; ${op} writes them all.`,
        );
      }
      if (follows(binding)) this.#live.add(storage);
    });
    this.#following.push(work);
  }

  /** Records the dispatch that computes every following dispatch's grid from the row count; its result, and who finds what where. */
  arguments(): { readonly args: Tensor; readonly places: (args: Place) => Map<Work, Place> } {
    const commands = this.#following;
    const args = liveGrids(this.#count, commands, this.#capacity);
    const places = ({ buffer, offset }: Place) =>
      new Map<Work, Place>(commands.map((command, i) => [command, { buffer, offset: offset + 12 * i }]));
    return { args, places };
  }
}

/** Refuses a kernel whose `rows` do not describe its grid. */
function checkGrid({ op, grid, rows }: Command): void {
  const whole = rows ? liveGrid(grid, rows) : grid;
  if (whole.join() === grid.join()) return;
  throw new CaptureError(
    `capture: for all rows the launches of ${op} must have their grid [${grid.join(", ")}]; its kernel's rows give [${whole.join(", ")}].`,
  );
}
