// What the attention kernels share: the spec, strided addresses, and the tile of rows that passes by a thread's own
// row. A tile is `rows` rows of two operands (keys and values, or queries and output gradients), shared in one of three
// ways:
//   subgroup   a workgroup is one subgroup; its lanes load the tile, `subgroupBroadcast` spreads it: CPU adapters
//   workgroup  the workgroup loads the tile into workgroup memory: GPUs
//   none       every thread loads every row itself: no subgroups
// A row of D elements is `depth` vec4f; D that is no multiple of 4, or unaligned strides, are read element by element
// and padded with zeros. Rows past the end are clamped; the caller masks their effect.

import { type Dims, entry, type FloatStorage, type UniformType, uniformsOf, unroll } from "../kernel.ts";
import { stored } from "../shared/storage.ts";

/**
 * Structure of an attention kernel: sharing, threads per workgroup, rows per tile, rows per unrolled step, vec4s per
 * row.
 */
export type AttentionSpec = {
  readonly share: "subgroup" | "workgroup" | "none";
  readonly group: number;
  readonly rows: number;
  readonly step: number;
  readonly depth: number;
  readonly width: 1 | 4;
  readonly causal: boolean;
  readonly dtype: FloatStorage;
};

type Layout = "q" | "k" | "v" | "o";
type Size = "units" | "heads" | "queries" | "keys" | "dim";

/** `units` = batch * heads; strides and offsets in elements. @hidden */
export type AttentionUniform = Size | "scale" | `${Layout}_${"offset" | "batch" | "head" | "row"}`;

const strides = <L extends Layout>(layout: L) =>
  uniformsOf("u32", [`${layout}_offset`, `${layout}_batch`, `${layout}_head`, `${layout}_row`] as const);

/** The uniforms of all attention kernels. @internal */
export const attentionUniforms: Readonly<Record<AttentionUniform, UniformType>> = {
  units: "u32",
  heads: "u32",
  queries: "u32",
  keys: "u32",
  dim: "u32",
  scale: "f32",
  ...strides("q"),
  ...strides("k"),
  ...strides("v"),
  ...strides("o"),
};

export type AttentionDims = Dims<AttentionUniform>;

/** Entry point of `group` threads. @internal */
export const attentionEntry = ({ group }: AttentionSpec): string => entry(group);

/** Address, in accesses of `width`, of row `row` of the operand laid out as `layout` (q, k, v or o). @internal */
export const rowAddress = ({ width }: AttentionSpec, layout: string, row: string): string =>
  `(u.${layout}_offset + unit / u.heads * u.${layout}_batch + unit % u.heads * u.${layout}_head + (${row}) * u.${layout}_row) / ${width}u`;

/** Declares `load_NAME(at, d)`: the d-th vec4f of the row at `at` of the binding NAME. @internal */
export function loadFunction({ width }: AttentionSpec, name: string): string {
  if (width === 4) return `fn load_${name}(at: u32, d: u32) -> vec4f { return vec4f(${name}[at + d]); }`;
  return `fn load_${name}(at: u32, d: u32) -> vec4f {
  var row = vec4f();
  for (var c = 0u; c < 4u && 4u * d + c < u.dim; c++) { row[c] = f32(${name}[at + 4u * d + c]); }
  return row;
}`;
}

// CPU adapters spend tens of milliseconds of compilation on every load or store in the text. There, rows go through a
// private array and a loop whose trip count the compiler cannot know, so that a row of any depth is one load.
const isLooped = ({ share, depth }: AttentionSpec): boolean => share !== "workgroup" && depth > 1;

const eachVector = (body: string): string => `for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { ${body} }`;

/** Declares `AS_0, AS_1 ...`: the row at `at` of the binding `name`. @internal */
export function ownRow(spec: AttentionSpec, name: string, at: string, as = name): string {
  const { depth } = spec;
  if (!isLooped(spec)) return unroll(depth, (d) => `let ${as}_${d} = load_${name}(${at}, ${d}u);`);
  return `var ${as}_row: array<vec4f, ${depth}>;
  ${eachVector(`${as}_row[d] = load_${name}(${at}, d);`)}
  ${unroll(depth, (d) => `let ${as}_${d} = ${as}_row[${d}];`)}`;
}

/** Writes a row of values to the binding `name` at address `at`. @internal */
export function storeRow(spec: AttentionSpec, name: string, at: string, value: (d: number) => string): string {
  const { depth, width, dtype } = spec;
  const put = (d: string, row: string) =>
    width === 4
      ? `${name}[${at} + ${d}] = ${stored(row, dtype, 4)};`
      : `let row = ${row};
    for (var c = 0u; c < 4u && 4u * ${d} + c < u.dim; c++) { ${name}[${at} + 4u * ${d} + c] = ${stored("row[c]", dtype, 1)}; }`;
  if (!isLooped(spec)) return unroll(depth, (d) => `{ ${put(`${d}u`, value(d))} }`);
  return `var ${at}_row: array<vec4f, ${depth}>;
    ${unroll(depth, (d) => `${at}_row[${d}] = ${value(d)};`)}
    ${eachVector(put("d", `${at}_row[d]`))}`;
}

/**
 * The two operands of a tile by binding name, how each is laid out, the number of rows, and scalars per row, if any.
 * @internal
 */
export interface TileOperands {
  readonly first: string;
  readonly second: string;
  /** Layouts (q, k, v or o); default the operands' names. */
  readonly layouts?: readonly [string, string];
  readonly len: string;
  /** Bindings of one f32 per row, addressed by unit * len + row. */
  readonly scalars?: readonly string[];
}

/** The text of a tile in pieces. @internal */
export interface Tile {
  /** Module-scope declarations. */
  readonly declare: string;
  /**
   * Loop over the rows begin..end, whose body gets the row of step entry j within the tile and the step's first index.
   */
  readonly loop: (begin: string, end: string, body: (row: (j: number) => string, index: string) => string) => string;
  /** Binds `FIRSTj_d`, `SECONDj_d` and `SCALARj` for the row of step entry j. */
  readonly read: (row: string, j: number) => string;
}

/** The tile of a variant. @internal */
export function tile(spec: AttentionSpec, operands: TileOperands): Tile {
  switch (spec.share) {
    case "subgroup":
      return subgroupTile(spec, operands);
    case "workgroup":
      return workgroupTile(spec, operands);
    case "none":
      return plainTile(spec, operands);
  }
}

const layoutsOf = ({ first, second, layouts }: TileOperands): readonly (readonly [string, string])[] => [
  [first, layouts?.[0] ?? first],
  [second, layouts?.[1] ?? second],
];

const names = ({ first, second }: TileOperands): readonly string[] => [first, second];

// Flat vec4 number f of the tile lies in register f / group of lane f % group.
function subgroupTile(spec: AttentionSpec, operands: TileOperands): Tile {
  const { depth, group, rows } = spec;
  const { len, scalars = [] } = operands;
  const registers = Math.ceil((rows * depth) / group);
  const load = (name: string, layout: string) =>
    unroll(registers, (r) => {
      const flat = `(${r * group}u + li)`;
      const row = `min(start + ${flat} / ${depth}u, ${len} - 1u)`;
      return `let ${name}_r${r} = load_${name}(${rowAddress(spec, layout, row)}, ${flat} % ${depth}u);`;
    });
  return {
    declare: "",
    loop: (begin, end, body) => `for (var start = ${begin}; start < ${end}; start += ${rows}u) {
    ${layoutsOf(operands)
      .map(([name, layout]) => load(name, layout))
      .join("\n")}
    ${scalars.map((name) => `let ${name}_r = ${name}[unit * ${len} + min(start + li, ${len} - 1u)];`).join(" ")}
    ${body((j) => String(j), "start")}
  }`,
    read: (row, j) => {
      const spread = (name: string) =>
        unroll(depth, (d) => {
          const flat = Number(row) * depth + d;
          return `let ${name}${j}_${d} = subgroupBroadcast(${name}_r${Math.floor(flat / group)}, ${flat % group}u);`;
        });
      const scalar = scalars.map((name) => `let ${name}${j} = subgroupBroadcast(${name}_r, ${row}u);`);
      return [...names(operands).map(spread), ...scalar].join("\n");
    },
  };
}

function workgroupTile(spec: AttentionSpec, operands: TileOperands): Tile {
  const { depth, group, rows, step } = spec;
  const { len, scalars = [] } = operands;
  const fill = layoutsOf(operands).map(
    ([name, layout]) =>
      `${name}_tile[i] = load_${name}(${rowAddress(spec, layout, `min(start + i / ${depth}u, ${len} - 1u)`)}, i % ${depth}u);`,
  );
  const fillScalars = scalars.map((name) => `${name}_tile[i] = ${name}[unit * ${len} + min(start + i, ${len} - 1u)];`);
  return {
    declare: [
      ...names(operands).map((name) => `var<workgroup> ${name}_tile: array<vec4f, ${rows * depth}>;`),
      ...scalars.map((name) => `var<workgroup> ${name}_tile: array<f32, ${rows}>;`),
    ].join("\n"),
    loop: (begin, end, body) => `for (var start = ${begin}; start < ${end}; start += ${rows}u) {
    workgroupBarrier();
    for (var i = li; i < ${rows * depth}u; i += ${group}u) { ${fill.join(" ")} }
    ${scalars.length > 0 ? `for (var i = li; i < ${rows}u; i += ${group}u) { ${fillScalars.join(" ")} }` : ""}
    workgroupBarrier();
    for (var t = 0u; t < ${rows}u && start + t < ${end}; t += ${step}u) {
      ${body((j) => `(t + ${j}u)`, "(start + t)")}
    }
  }`,
    read: (row, j) =>
      [
        ...names(operands).map((name) =>
          unroll(depth, (d) => `let ${name}${j}_${d} = ${name}_tile[${row} * ${depth}u + ${d}u];`),
        ),
        ...scalars.map((name) => `let ${name}${j} = ${name}_tile[${row}];`),
      ].join("\n"),
  };
}

function plainTile(spec: AttentionSpec, operands: TileOperands): Tile {
  const { depth, step } = spec;
  const { len, scalars = [] } = operands;
  return {
    declare: "",
    loop: (begin, end, body) => `for (var start = ${begin}; start < ${end}; start += ${step}u) {
    ${body((j) => `min(start + ${j}u, ${len} - 1u)`, "start")}
  }`,
    read: (row, j) =>
      [
        ...layoutsOf(operands).map(
          ([name, layout]) => `let ${name}${j}_at = ${rowAddress(spec, layout, row)};
    ${unroll(depth, (d) => `let ${name}${j}_${d} = load_${name}(${name}${j}_at, ${d}u);`)}`,
        ),
        ...scalars.map((name) => `let ${name}${j} = ${name}[unit * ${len} + ${row}];`),
      ].join("\n"),
  };
}
