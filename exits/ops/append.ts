// Rows that stay, put behind those that wait already; whoever launches it sees to it that there is room.
//   row filled + k of `room` [size, ..] = row survivors[k] of x [n, ..], for k < count; dropped from `size` on
//   filled += count
// A workgroup owns rows, its threads share out the elements.

import { firstOf } from "../../base/index.ts";
import {
  defineOp,
  describe,
  positional,
  ShapeError,
  type Survivors,
  single,
  type Tensor,
} from "../../engine/functions.ts";
import { defineKernel, entry, GROUP, LINEAR_GROUP, reads, updates, writes } from "../../kernels/index.ts";
import { MOST_GROUPS, type PackSpec, packUnit } from "./pack.ts";

export const appendRowsKernel = defineKernel({
  name: "appendRows",
  uniforms: { rows: "u32", inner: "u32", size: "u32" },
  bindings: ({ unit, width }: PackSpec) => {
    const type = `array<${width === 4 ? `vec4<${unit}>` : unit}>`;
    return {
      survivors: reads("array<i32>"),
      count: reads("array<u32>"),
      ids: reads("array<i32>"),
      filled: reads("array<u32>"),
      x: reads(type),
      room: updates(type),
      entered: writes("array<i32>"),
    };
  },
  source: () => `
${entry()} {
  let end = min(count[0], u.rows);
  for (var k = ${LINEAR_GROUP}; k < end; k += nwg.x * nwg.y) {
    let src = u32(survivors[k]);
    let row = filled[0] + k;
    if (li == 0u) { entered[k] = ids[src]; }
    if (row >= u.size) { continue; }
    for (var i = li; i < u.inner; i += ${GROUP}u) { room[row * u.inner + i] = x[src * u.inner + i]; }
  }
}`,
  grid: ({ rows }) => [Math.min(rows, MOST_GROUPS), 1, 1],
});

export const addCountKernel = defineKernel({
  name: "addCount",
  uniforms: {},
  bindings: () => ({ count: reads("array<u32>"), filled: updates("array<u32>") }),
  source: () => `
@compute @workgroup_size(1) fn main() { filled[0] += count[0]; }`,
  grid: () => [1, 1, 1],
});

const append = single(
  defineOp({
    name: "appendRows",
    operands: {
      x: "float N ...",
      survivors: "i32 N",
      count: "u32",
      ids: "i32 N",
      room: "float M ...",
      filled: "u32",
    },
    infer: ({ x, room, count, filled }, _: Record<string, never>, { N }) => {
      for (const one of [count, filled])
        if (one.size !== 1) throw new ShapeError(`appendRows: counts must be u32[1]; got ${describe(one)}.`);
      const isFit = room.dtype === x.dtype && room.shape.slice(1).join() === x.shape.slice(1).join();
      if (!isFit)
        throw new ShapeError(`appendRows: room must hold rows of x; got ${describe(room)} for ${describe(x)}.`);
      return { entered: { shape: [N], dtype: "i32" } };
    },
    run: ({ inputs, outputs, sizes: { N: rows, M: size }, dispatch }) => {
      if (rows === 0) return;
      const { inner, ...spec } = packUnit(inputs.x.bytes / rows);
      dispatch(appendRowsKernel, spec, { ...inputs, ...outputs }, { rows, inner, size });
    },
  }),
);

const count = defineOp({
  name: "addCount",
  operands: { count: "u32", filled: "u32" },
  infer: () => ({}),
  run: ({ inputs, dispatch }) => dispatch(addCountKernel, {}, inputs, {}),
});

/** Where rows wait: tensors [size, ..] in pairs with those that they come from, and how many rows wait, u32[1]. */
export interface Waiting {
  readonly rooms: readonly (readonly [x: Tensor, room: Tensor])[];
  readonly filled: Tensor;
}

/**
 * Puts the surviving rows of each x [n, ..] behind the rows that wait in its room, by what `compact` found, and raises
 * their number. The ids of these rows in their order, i32 [n], from `ids` (i32 [n]); what lies behind the count is
 * undefined.
 */
export const appendRows = positional(
  "appendRows(on, survivors, ids)",
  ({ rooms, filled }: Waiting, survivors: Survivors, ids: Tensor): Tensor => {
    const entered = rooms.map(([x, room]) =>
      append({ x, survivors: survivors.indices, count: survivors.count, ids, room, filled }, {}),
    );
    count({ count: survivors.count, filled }, {});
    return firstOf(entered);
  },
);
