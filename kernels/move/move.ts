// Data movement: elements go from one place to another, bit for bit, whatever they stand for.
//   copy       y[o + sum i_d t_d] = x[p + sum i_d s_d]: permute, slice, flip, expand, and writing a region of y
//   place      y[i] = x[(i_d - lo_d) / step_d] where that is a whole index of x, else `value`: pad; slice backwards
//   transpose  y[b, c, r] = x[b, r, c] in 4 x 4 blocks kept in registers
//   concat     y[r, offset + j] = x_k[r, j - start_k]: up to six inputs side by side in one launch
// A thread per element, or per four neighbours (`width` 4: offsets and strides then count vec4s). Four-byte types
// travel as u32, so that NaN payloads and denormals survive.

import {
  type Binding,
  ceilDiv,
  type Dims,
  defineKernel,
  entry,
  LINEAR_GROUP,
  linearGrid,
  reads,
  unroll,
  writes,
} from "../kernel.ts";
import { eachAxis, itemGrid, itemLoop, itemRows, type MoveUnit, numbered } from "../shared/items.ts";
import { bufferType, elementType } from "../shared/storage.ts";

const pair = ({ unit, width }: { readonly unit: MoveUnit; readonly width: 1 | 4 }) => ({
  x: reads(bufferType(unit, width)),
  y: writes(bufferType(unit, width)),
});

/** `region`: y is addressed by strides too, else it is contiguous. `rank` axes. */
export type CopySpec = {
  readonly unit: MoveUnit;
  readonly width: 1 | 4;
  readonly rank: number;
  readonly region: boolean;
};

const copyUniforms = {
  size: "u32",
  origin: "u32",
  place: "u32",
  ...numbered("n", "u32"),
  ...numbered("s", "i32"),
  ...numbered("t", "i32"),
} as const;
export type CopyUniform = keyof typeof copyUniforms;

/**
 * Strided copy of `size` items over axes n (row-major) from x at `origin` with strides s to y at `place` with strides
 * t.
 */
export const stridedCopy = defineKernel({
  name: "copy",
  bindings: (spec: CopySpec) => pair(spec),
  uniforms: copyUniforms,
  source: ({ rank, region }) =>
    itemLoop(
      "u.size",
      `var p = i32(u.origin);
  ${region ? "var q = i32(u.place);" : "let q = u.place + i;"}
  ${eachAxis(rank, (axis, index) => `p += i32(${index}) * u.s${axis};${region ? ` q += i32(${index}) * u.t${axis};` : ""}`)}
  y[q] = x[p];`,
    ),
  grid: ({ size }) => itemGrid(size),
  rows: ({ size }, _, rows) => itemRows(size, rows),
});

/** `stepped`: some step is not 1. */
export type PlaceSpec = {
  readonly unit: MoveUnit;
  readonly width: 1 | 4;
  readonly rank: number;
  readonly stepped: boolean;
};

const placeUniforms = {
  size: "u32",
  value: "u32",
  ...numbered("n", "u32"),
  ...numbered("m", "u32"),
  ...numbered("lo", "i32"),
  ...numbered("step", "u32"),
  ...numbered("s", "u32"),
} as const;
export type PlaceUniform = keyof typeof placeUniforms;

/**
 * x [m0, ...] (strides s) laid into y [n0, ...] at `lo`, every `step`; the rest of y is `value`, given by its bits (for
 * f16, by those of the f32). With negative `lo`, x is cut.
 */
export const stridedPlace = defineKernel({
  name: "place",
  bindings: (spec: PlaceSpec) => pair(spec),
  uniforms: placeUniforms,
  source: ({ unit, width, rank, stepped }) => {
    const visit = (axis: number, index: string): string => {
      const within = stepped
        ? `let k = u32(d) / u.step${axis}; inside = inside && d >= 0 && k * u.step${axis} == u32(d) && k < u.m${axis};`
        : `let k = u32(d); inside = inside && k < u.m${axis};`;
      return `{ let d = i32(${index}) - u.lo${axis}; ${within} p += k * u.s${axis}; }`;
    };
    const value = unit === "f16" ? "f16(bitcast<f32>(u.value))" : "u.value";
    return itemLoop(
      "u.size",
      `var p = 0u;
  var inside = true;
  ${eachAxis(rank, visit)}
  y[i] = select(${elementType(unit, width)}(${value}), x[select(0u, p, inside)], inside);`,
    );
  },
  grid: ({ size }) => itemGrid(size),
  rows: ({ size }, _, rows) => itemRows(size, rows),
});

export type TransposeUniform = "batch" | "rows" | "cols";
export type TransposeSpec = { readonly unit: MoveUnit };

/** Threads of a workgroup form a square of 8 x 8 blocks, so that reads and writes both touch runs of eight vec4s. */
const SIDE = 8;
const transposeTiles = ({ batch, rows, cols }: Dims<"batch" | "rows" | "cols">): number =>
  batch * ceilDiv(rows, 4 * SIDE) * ceilDiv(cols, 4 * SIDE);

/** y [batch, cols, rows] = x [batch, rows, cols] transposed; rows and cols are multiples of 4. */
export const blockTranspose = defineKernel({
  name: "transpose",
  bindings: ({ unit }: TransposeSpec) => pair({ unit, width: 4 }),
  uniforms: { batch: "u32", rows: "u32", cols: "u32" },
  source: ({ unit }) => {
    const column = (c: string): string => `vec4<${unit}>(a0.${c}, a1.${c}, a2.${c}, a3.${c})`;
    return `${entry(SIDE * SIDE)} {
  let rows = u.rows / 4u;
  let cols = u.cols / 4u;
  let down = (rows + ${SIDE - 1}u) / ${SIDE}u;
  let across = (cols + ${SIDE - 1}u) / ${SIDE}u;
  let tile = ${LINEAR_GROUP};
  let b = tile / (down * across);
  let r = tile / across % down * ${SIDE}u + li / ${SIDE}u;
  let c = tile % across * ${SIDE}u + li % ${SIDE}u;
  if (b >= u.batch || r >= rows || c >= cols) { return; }
  let p = (b * u.rows + r * 4u) * cols + c;
  let q = (b * u.cols + c * 4u) * rows + r;
  ${unroll(4, (k) => `let a${k} = x[p + ${k}u * cols];`)}
  ${["x", "y", "z", "w"].map((c, k) => `y[q + ${k}u * rows] = ${column(c)};`).join("\n  ")}
}`;
  },
  grid: (dims) => linearGrid(transposeTiles(dims)),
  rows: (dims, _, rows) => {
    return rows > 0 ? { axis: 0, units: transposeTiles(dims), perGroup: 1, fold: true, blocks: rows } : undefined;
  },
});

/**
 * Most inputs of one concat launch: with the output, seven of the eight storage buffers that every adapter has.
 * @internal
 */
export const MAX_CONCAT = 6;

/** `inputs` lie side by side in one launch. */
export type ConcatSpec = { readonly unit: MoveUnit; readonly width: 1 | 4; readonly inputs: number };

const concatUniforms = {
  rows: "u32",
  total: "u32",
  offset: "u32",
  e0: "u32",
  e1: "u32",
  e2: "u32",
  e3: "u32",
  e4: "u32",
  e5: "u32",
} as const;
export type ConcatUniform = keyof typeof concatUniforms;

const concatItems = (dims: Dims<ConcatUniform>, { inputs }: ConcatSpec): number =>
  dims.rows * dims[`e${inputs - 1}` as ConcatUniform];

/** Rows of x0, x1, ... side by side, into columns `offset` on of y [rows, total]; input k ends at `offset + e_k`. */
export const concatRows = defineKernel({
  name: "concat",
  bindings: ({ unit, width, inputs }: ConcatSpec) => {
    const type = bufferType(unit, width);
    const x = (k: number): Binding | undefined => (k < inputs ? reads(type) : undefined);
    return { x0: reads(type), x1: x(1), x2: x(2), x3: x(3), x4: x(4), x5: x(5), y: writes(type) };
  },
  uniforms: concatUniforms,
  source: ({ unit, width, inputs }) => {
    const branch = (k: number): string => {
      const start = k === 0 ? "0u" : `u.e${k - 1}`;
      return `if (j < u.e${k}) { value = x${k}[r * (u.e${k} - ${start}) + j - ${start}]; }`;
    };
    const span = `u.e${inputs - 1}`;
    return itemLoop(
      `u.rows * ${span}`,
      `let r = i / ${span};
  let j = i - r * ${span};
  var value = ${elementType(unit, width)}();
  ${Array.from({ length: inputs }, (_, k) => branch(k)).join(" else ")}
  y[r * u.total + u.offset + j] = value;`,
    );
  },
  grid: (dims, spec) => itemGrid(concatItems(dims, spec)),
  rows: (dims, spec, rows) => itemRows(concatItems(dims, spec), rows),
});
