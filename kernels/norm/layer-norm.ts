// Layer norm of rows x [rows, len] with optional weight and bias [len].
//   y = (x - mean) rstd w + b
//   dx = rstd (h - mean(h) - xhat mean(h xhat)) with h = g w,  dw = sum g xhat,  db = sum g
// A team (row.ts) takes `span` consecutive rows; where a row fits its registers (`slots`) x is read once, weight and
// bias once per span, and the backward pass keeps its share of dw and db in registers: [teams, 2, len] partial sums,
// which `columnSums` adds up. Longer rows are streamed and dw, db come from `layerNormParameterSums`. Numerics: f32;
// deviations from the row's first element, then two passes (registers) or Welford and Chan (streamed): neither large
// means nor constant rows lose digits. `stats` holds (mean, rstd) per row.

import {
  ceilDiv,
  defineKernel,
  entry,
  type FloatStorage,
  GROUP,
  type Grid,
  linearGrid,
  type RowAxis,
  reads,
  unroll,
  writes,
} from "../kernel.ts";
import { type AdapterTraits, isNarrow } from "../shared/adapter.ts";
import { chained, sumsOf } from "../shared/chain.ts";
import {
  loadRow,
  type RowSpec,
  rowCandidates,
  rowEntry,
  rowsPerGroup,
  sumOf,
  sweep,
  sweepStore,
  teamCall,
  teamFunctions,
  teamIndex,
} from "../shared/row.ts";
import { bufferType, valueType } from "../shared/storage.ts";

/** A row kernel whose teams take `span` rows each, with or without affine parameters. */
export type LayerNormSpec = RowSpec & { readonly affine: "none" | "weight" | "both"; readonly span: number };

const forwardUniforms = { rows: "u32", len: "u32", eps: "f32" } as const;
const backwardUniforms = { rows: "u32", len: "u32" } as const;

const rowsPerTeamGroup = (spec: LayerNormSpec): number => rowsPerGroup(spec) * spec.span;
const grid = ({ rows }: { readonly rows: number }, spec: LayerNormSpec): Grid =>
  linearGrid(ceilDiv(rows, rowsPerTeamGroup(spec)));
const rows = (dims: { readonly rows: number }, spec: LayerNormSpec): RowAxis => {
  const apart = { weight: 1, bias: 1 };
  return { axis: 0, units: dims.rows, perGroup: rowsPerTeamGroup(spec), fold: true, blocks: dims.rows, apart };
};

const activations = ({ dtype, width }: RowSpec): string => bufferType(dtype, width);
const parameters = ({ width }: RowSpec): string => bufferType("f32", width);

/** Opens the loop over the team's rows: `row` (clamped), `exists`, `base`. */
const eachRow = (spec: LayerNormSpec): string => `for (var k = 0u; k < ${spec.span}u; k++) {
    let exists = team * ${spec.span}u + k < u.rows;
    let row = min(team * ${spec.span}u + k, u.rows - 1u);
    let base = row * n;`;

/**
 * Loads this lane's share of a parameter, once for all rows, into `name_i`; streamed rows load it where they use it.
 */
const loadParameter = (spec: LayerNormSpec, name: string): string => loadRow(spec, [name], "0u");

/** Value of a parameter at step `j` of the row, in the i-th register if registers are in use. */
const parameter = (spec: LayerNormSpec, name: string, value: string, j: string): string =>
  spec.slots > 0 ? `${name}_${value.slice(value.lastIndexOf("_") + 1)}` : `${name}[${j}]`;

/**
 * Mean `mean` and `rstd` of a row in registers, which afterwards holds deviations from `shift`; `offset` = mean -
 * shift.
 */
function momentsInRegisters(spec: LayerNormSpec): string {
  const { width } = spec;
  return `var total = 0.0;
    ${sweep(spec, ["x"], ([x]) => `${x} -= shift; total += ${sumOf(`${x}`, width)};`)}
    let offset = ${teamCall("team_add", "total", spec)} / f32(u.len);
    var squares = 0.0;
    ${sweep(spec, ["x"], ([x]) => `let d = ${x} - offset; let dd = d * d; squares += ${sumOf("dd", width)};`)}
    let rstd = inverseSqrt(${teamCall("team_add", "squares", spec)} / f32(u.len) + u.eps);`;
}

// Lanes hold running means per component; the second reduction adds what their distance from the common mean is worth.
function momentsStreamed(spec: LayerNormSpec): string {
  const { width } = spec;
  const type = valueType(width);
  return `var count = 0.0; var running = ${type}(); var m2 = ${type}();
    ${sweep(
      spec,
      ["x"],
      ([x]) => `count += 1.0; let d = ${x} - shift; let delta = d - running;
    running += delta * (1.0 / count); m2 += delta * (d - running);`,
      { sums: sumsOf(type, "m2") },
    )}
    let offset = ${teamCall("team_add", `count * ${sumOf("running", width)}`, spec)} / f32(u.len);
    let gap = running - offset;
    let deviation = m2 + count * gap * gap;
    let rstd = inverseSqrt(${teamCall("team_add", sumOf("deviation", width), spec)} / f32(u.len) + u.eps);`;
}

function forwardSource(spec: LayerNormSpec): string {
  const { slots, width, affine } = spec;
  const hasWeight = affine !== "none";
  return `${teamFunctions(spec, ["team_add"])}
${rowEntry(spec)} {
  ${teamIndex(spec)}
  let n = u.len / ${width}u;
  ${hasWeight ? loadParameter(spec, "weight") : ""}
  ${affine === "both" ? loadParameter(spec, "bias") : ""}
  ${eachRow(spec)}
    let shift = f32(x[base]${width === 4 ? ".x" : ""});
    ${loadRow(spec, ["x"])}
    ${slots > 0 ? momentsInRegisters(spec) : momentsStreamed(spec)}
    if (exists) {
      ${sweepStore(spec, ["x"], "y", ([x], j) => {
        const centred = slots > 0 ? `(${x} - offset)` : `(${x} - shift - offset)`;
        const scaled = hasWeight
          ? `${centred} * (rstd * ${parameter(spec, "weight", `${x}`, j)})`
          : `${centred} * rstd`;
        return affine === "both" ? `${scaled} + ${parameter(spec, "bias", `${x}`, j)}` : scaled;
      })}
      if (lane == 0u) { stats[row] = vec2f(shift + offset, rstd); }
    }
  }
}`;
}

/** Whether the backward kernel leaves partial sums of dw and db. */
export const layerNormHasPartials = (spec: LayerNormSpec): boolean => spec.slots > 0 && spec.affine !== "none";

function backwardSource(spec: LayerNormSpec): string {
  const { slots, width, affine, lanes } = spec;
  const hasWeight = affine !== "none";
  const isPartial = layerNormHasPartials(spec);
  const type = valueType(width);
  const weighted = (g: string, j: string) => (hasWeight ? `${g} * ${parameter(spec, "weight", g, j)}` : g);
  const both = (x: string, g: string, j: string) =>
    `let h = ${weighted(g, j)}; let xhat = (${x} - moments.x) * moments.y;`;
  return `${teamFunctions(spec, ["team_add2"])}
${rowEntry(spec)} {
  ${teamIndex(spec)}
  let n = u.len / ${width}u;
  ${hasWeight ? loadParameter(spec, "weight") : ""}
  ${isPartial ? unroll(slots, (i) => `var dw_${i} = ${type}(); var db_${i} = ${type}();`) : ""}
  ${eachRow(spec)}
    let moments = stats[row];
    ${loadRow(spec, ["x", "g"])}
    var sums = vec2f();
    ${sweep(
      spec,
      ["x", "g"],
      ([x, g], j) => {
        const keep = `if (exists) { dw_${`${x}`.slice(2)} += ${g} * xhat; db_${`${x}`.slice(2)} += ${g}; }`;
        return `${both(`${x}`, `${g}`, j)} let hx = h * xhat;
    sums += vec2f(${sumOf("h", width)}, ${sumOf("hx", width)}); ${isPartial ? keep : ""}`;
      },
      { sums: sumsOf("vec2f", "sums") },
    )}
    sums = ${teamCall("team_add2", "sums", spec)} / f32(u.len);
    if (exists) {
      ${sweepStore(spec, ["x", "g"], "dx", ([x, g], j) => {
        const xhat = `(${x} - moments.x) * moments.y`;
        return `moments.y * (${weighted(`${g}`, j)} - sums.x - ${xhat} * sums.y)`;
      })}
    }
  }
  ${
    isPartial
      ? `if (team * ${spec.span}u < u.rows) {
    ${unroll(slots, (i) => {
      const j = `lane + ${i * lanes}u`;
      return `if (${j} < n) { partials[2u * team * n + ${j}] = dw_${i}; partials[(2u * team + 1u) * n + ${j}] = db_${i}; }`;
    })}
  }`
      : ""
  }
}`;
}

/** y and (mean, rstd) per row. */
export const layerNormForward = defineKernel({
  name: "layerNorm",
  bindings: (spec: LayerNormSpec) => ({
    x: reads(activations(spec)),
    weight: spec.affine !== "none" ? reads(parameters(spec)) : undefined,
    bias: spec.affine === "both" ? reads(parameters(spec)) : undefined,
    y: writes(activations(spec)),
    stats: writes("array<vec2f>"),
  }),
  uniforms: forwardUniforms,
  source: forwardSource,
  grid,
  rows,
});

/** dx and, where rows fit registers, partial sums of dw and db per team. */
export const layerNormBackward = defineKernel({
  name: "layerNormBackward",
  bindings: (spec: LayerNormSpec) => ({
    g: reads(activations(spec)),
    x: reads(activations(spec)),
    stats: reads("array<vec2f>"),
    weight: spec.affine !== "none" ? reads(parameters(spec)) : undefined,
    dx: writes(activations(spec)),
    partials: layerNormHasPartials(spec) ? writes(parameters(spec)) : undefined,
  }),
  uniforms: backwardUniforms,
  source: backwardSource,
  grid,
});

/** Partial rows [2, len] that the backward kernel leaves for `columnSums`: one per team. */
export const layerNormTeams = (rowCount: number, spec: LayerNormSpec): number => ceilDiv(rowCount, spec.span);

/** Structure of the parameter sums: elements per access and storage. */
export type ParameterSumsSpec = { readonly width: 1 | 4; readonly dtype: FloatStorage };

/** Partial sums of dw and db for long rows: a thread per column and block of `chunk` rows, into [parts, 2, len]. */
export const layerNormParameterSums = defineKernel({
  name: "layerNormParameterSums",
  bindings: ({ width, dtype }: ParameterSumsSpec) => ({
    g: reads(bufferType(dtype, width)),
    x: reads(bufferType(dtype, width)),
    stats: reads("array<vec2f>"),
    partials: writes(bufferType("f32", width)),
  }),
  uniforms: { rows: "u32", len: "u32", parts: "u32", chunk: "u32" },
  source: ({ width }) => `
${entry()} {
  let n = u.len / ${width}u;
  let column = wid.x * ${GROUP}u + li;
  if (column >= n) { return; }
  var dw = ${valueType(width)}();
  var db = ${valueType(width)}();
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  var row = wid.y * u.chunk;
  ${chained(
    sumsOf(valueType(width), "dw", "db"),
    "row < last",
    "row++;",
    `let g_j = ${valueType(width)}(g[row * n + column]);
    dw += g_j * (${valueType(width)}(x[row * n + column]) - stats[row].x) * stats[row].y;
    db += g_j;`,
  )}
  partials[2u * wid.y * n + column] = dw;
  partials[(2u * wid.y + 1u) * n + column] = db;
}`,
  grid: ({ len, parts }, { width }) => [ceilDiv(len, GROUP * width), parts, 1],
});

/** Variants for `rowCount` rows of `len`, best guess first; spans leave each adapter enough teams to fill it. */
export function layerNormCandidates(
  { rows: rowCount, len, dtype }: { readonly rows: number; readonly len: number; readonly dtype: FloatStorage },
  affine: LayerNormSpec["affine"],
  traits: AdapterTraits,
): LayerNormSpec[] {
  return rowCandidates({ rows: rowCount, length: len, dtype }, traits).map((spec) => {
    const teams = isNarrow(traits) ? 128 : 4096;
    const span = spec.slots === 0 ? 1 : 2 ** Math.floor(Math.log2(Math.max(1, Math.min(32, rowCount / teams))));
    return { ...spec, affine, span };
  });
}
