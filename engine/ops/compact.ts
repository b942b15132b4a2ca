// Rows that stay: which rows of a mask survive, on the GPU alone.

import type { Kinds } from "../../base/index.ts";
import { COMPACT_BLOCK, compactSmall, countBlocks, scanBlocks, writeBlocks } from "../../kernels/compact.ts";
import { ceilDiv } from "../../kernels/index.ts";
import { readOptions } from "../errors.ts";
import { defineOp } from "../op.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";

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
