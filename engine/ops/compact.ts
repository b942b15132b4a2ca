// Rows that stay: which rows of a mask survive, on the GPU alone; and the grids of launches on a live row count.

import type { Kinds } from "../../base/index.ts";
import {
  COMPACT_BLOCK,
  compactSmall,
  countBlocks,
  GRID_ENTRY_WORDS,
  GRID_WORDS,
  liveGrids as liveGridsKernel,
  scanBlocks,
  writeBlocks,
} from "../../kernels/compact.ts";
import { ceilDiv, type Grid, type RowAxis } from "../../kernels/index.ts";
import { readOptions } from "../errors.ts";
import { defineOp, dispatch } from "../op.ts";
import { positional } from "../signature.ts";
import { checkTensors, empty, type Tensor } from "../tensor.ts";

const compactOp = defineOp({
  name: "compact",
  operands: { mask: "bool|u32|i32 N", "live?": "u32 1" },
  infer: ({ mask }) => ({ survivors: { shape: mask.shape, dtype: "i32" }, count: { shape: [1], dtype: "u32" } }),
  run: ({ inputs, outputs, dispatch, temporary }) => {
    const rows = inputs.mask.size;
    const spec = { live: inputs.live !== undefined };
    if (rows <= COMPACT_BLOCK) return dispatch(compactSmall, spec, { ...inputs, ...outputs }, { rows });
    const blocks = ceilDiv(rows, COMPACT_BLOCK);
    const { survivors, count } = outputs;
    const counts = temporary([blocks], "u32");
    dispatch(countBlocks, spec, { ...inputs, counts }, { rows });
    dispatch(scanBlocks, {}, { counts, count }, { blocks });
    dispatch(writeBlocks, spec, { ...inputs, counts, survivors }, { rows });
  },
});

/** What `compact` finds. */
export interface Survivors {
  /** i32[n]: the rows whose mask is set, ascending, in the first `count` places; the others hold anything. */
  readonly indices: Tensor;
  /** u32[1]: how many there are. */
  readonly count: Tensor;
}

/** Options of `compact`. */
export interface CompactOptions {
  /** u32[1]: how many rows of the mask count. */
  readonly rows?: Tensor;
}

const COMPACT: Kinds<CompactOptions> = { rows: "any" };

/** Rows of a mask [n] that are not 0; with `rows` (u32[1], on the GPU), among the first `rows` only. */
export const compact = positional("compact(mask, options)", (mask: Tensor, options: CompactOptions = {}): Survivors => {
  const { rows } = readOptions("compact", options, COMPACT);
  checkTensors("compact", { mask, "rows?": rows });
  const { survivors: indices, count } = compactOp({ mask, live: rows }, {});
  return { indices, count };
});

/** A launch that may follow the rows: its grid for all of them, and how that depends on them. @internal */
export interface LiveLaunch {
  readonly grid: Grid;
  readonly rows: RowAxis | undefined;
}

/**
 * Indirect dispatch arguments (three u32 each, at the start of the result) of `launches` on the first `count` rows
 * (u32[1]) of `capacity`. One dispatch; engine internal.
 * @internal
 */
export function liveGrids(count: Tensor, launches: readonly LiveLaunch[], capacity: number): Tensor {
  const table = launches.flatMap(({ grid, rows }) => {
    if (!rows) return [...grid, 0, 0, 0, 0, 0];
    const { axis, units, perGroup, fold = false } = rows;
    return [...grid, axis, ceilDiv(units, capacity), perGroup, Number(fold), ceilDiv(units, perGroup)];
  });
  const args = empty([launches.length * (GRID_WORDS + GRID_ENTRY_WORDS)], { dtype: "u32", device: count.device });
  // Memory of its own, written before the dispatch is recorded: a capture replays it with the table in place.
  args.device.stream.write(
    args.storage,
    Uint32Array.from([...new Array(GRID_WORDS * launches.length).fill(0), ...table]),
  );
  dispatch(count.device, "liveGrids", liveGridsKernel, {}, { count, args }, { launches: launches.length, capacity });
  return args;
}
