// Live rows of a recording: which tensors hold rows of which only the first few count, which dispatches may follow that
// count, and the indirect arguments that make them.

import type { NamedBinding } from "../kernels/index.ts";
import { GRID_BYTES, type LiveLaunch, liveArguments, liveGrid, liveGrids } from "../kernels/live-grids.ts";
import type { Place, Storage } from "./buffers.ts";
import { CaptureError } from "./errors.ts";
import { dispatch } from "./op.ts";
import { keep } from "./scope.ts";
import { describe, numel } from "./shape.ts";
import { empty, type Tensor } from "./tensor.ts";
import type { Command, Work } from "./work.ts";

const mixing = (op: string): CaptureError =>
  new CaptureError(`capture: with live rows every op must treat rows independently; ${op} mixes them.`);

/** The first `count` (u32[1], on the GPU) of `capacity` rows. */
export class LiveRows {
  /** How much work there was before: the count is known by then. */
  readonly since: number;
  readonly #count: Tensor;
  readonly #capacity: number;
  /** Storages of which the first rows count, and the dispatches that cover those alone. */
  readonly #live: Set<Storage>;
  readonly #following: Command[] = [];

  /** Checks that the count is u32[1], and that the tensors have one leading extent. @throws CaptureError */
  constructor(count: Tensor, named: Readonly<Record<string, Tensor>>, since: number) {
    if (numel(count.shape) !== 1 || count.dtype !== "u32")
      throw new CaptureError(`capture: rows must be u32[1]; got ${describe(count)}.`);
    const tensors = Object.entries(named);
    const capacity = tensors[0]?.[1].shape[0];
    if (capacity === undefined)
      throw new CaptureError("capture: live rows need an input with a leading axis; got none.");
    const other = tensors.find(([, { shape }]) => shape[0] !== capacity);
    if (other) {
      throw new CaptureError(
        `capture: with live rows all inputs must have the leading extent ${capacity}; got ${describe(other[1])} for ${other[0]}.`,
      );
    }
    this.since = since;
    // A handle of its own: the step's is gone when the grids are added. The step's stands for it among the operands.
    this.#count = count.storage && keep(count.detach());
    this.#capacity = capacity;
    this.#live = new Set(tensors.map(([, { storage }]) => storage));
  }

  dispose(): void {
    this.#count.dispose();
  }

  /** Whether no dispatch follows the rows. */
  get isIdle(): boolean {
    return this.#following.length === 0;
  }

  /** Another number says from here on how many rows of these count. */
  leave(tensors: readonly Tensor[]): void {
    for (const { storage } of tensors) this.#live.delete(storage);
  }

  /**
   * Takes note of work that touches live rows: what it writes is live too, and it will cover those rows alone; whether
   * it does.
   * @throws CaptureError for work that cannot, and for such that would write what is not `owner`'s behind the rows that
   * count.
   */
  follow(work: Work, owner: object): boolean {
    if (work.kind === "copy") {
      if (this.#live.has(work.from)) throw mixing("copy");
      return false;
    }
    const { op, program, rows, storages } = work;
    if (!storages.some((storage) => this.#live.has(storage))) return false;
    const isCounted = storages.includes(this.#count.storage);
    // Who mixes rows but is given their number minds it by itself: launched whole, and what it writes is whole.
    if (!rows && isCounted) return false;
    if (!rows) throw mixing(op);
    const follows = ({ name }: NamedBinding): boolean => (rows.apart?.[name] ?? rows.blocks) % this.#capacity === 0;
    const isShared = program.bindings.some((binding, i) => this.#live.has(storages[i]!) && !follows(binding));
    if (isShared) throw mixing(op);
    checkGrid(work);
    program.bindings.forEach((binding, i) => {
      const storage = storages[i]!;
      if (binding.access === "read") return;
      // Launches cover whole workgroups: what lies behind the live rows is written too, which only private memory may
      // be.
      if (!isCounted && (storage.owner !== owner || !follows(binding))) {
        throw new CaptureError(
          `capture: with live rows only ops that are given their number may write state, or rows by index; ${op} writes them all.`,
        );
      }
      if (follows(binding)) this.#live.add(storage);
    });
    this.#following.push(work);
    return true;
  }

  /**
   * Records the dispatch that computes every following dispatch's grid from the row count; its result, and who finds
   * what where.
   */
  arguments(): { readonly args: Tensor; readonly places: (args: Place) => Map<Work, Place> } {
    const commands = this.#following;
    const args = gridsOf(commands, this.#count, this.#capacity);
    const places = ({ buffer, offset }: Place) =>
      new Map<Work, Place>(commands.map((command, i) => [command, { buffer, offset: offset + GRID_BYTES * i }]));
    return { args, places };
  }
}

/** Indirect dispatch arguments of launches on the first `count` of `capacity` rows, at the start of the result. */
function gridsOf(launches: readonly LiveLaunch[], count: Tensor, capacity: number): Tensor {
  const values = liveArguments(launches, capacity);
  const { device } = count;
  const args = empty([values.length], { dtype: "u32", device });
  // Memory of its own, written before the dispatch is recorded: a capture replays it with the table in place.
  device.stream.write(args.storage, values);
  dispatch(device, "liveGrids", liveGrids, {}, { count, args }, { launches: launches.length, capacity });
  return args;
}

/** Refuses a kernel whose `rows` do not describe its grid. */
function checkGrid({ op, grid, rows }: Command): void {
  const whole = rows ? liveGrid(grid, rows) : grid;
  if (whole.join() === grid.join()) return;
  throw new CaptureError(
    `capture: for all rows the launches of ${op} must have their grid [${grid.join(", ")}]; its kernel's rows give [${whole.join(", ")}].`,
  );
}
