// Group norm of x [N, S, C] (NHWC, S = H W): statistics per sample and group of C / groups consecutive channels, affine
// parameters per channel.
//   y = (x - mean) rstd w + b
//   dx = rstd (h - mean(h) - xhat mean(h xhat)) with h = g w,  dw = sum g xhat,  db = sum g
// Forward: a team (row.ts) per sample and group; it walks the group's S rows of channels with an incremental index (no
// division per element), twice. Backward: sums of g and g xhat per channel and block of samples, [parts, 2, C]; then a
// team per sample and group folds its channels' sums (or, where blocks hold several samples, walks its elements) and
// writes dx; `columnSums` over the parts gives dw and db. Numerics: f32; Welford on deviations from the group's first
// element, Chan's merge.

import {
  ceilDiv,
  defineKernel,
  entry,
  type FloatStorage,
  GROUP,
  LINEAR_GROUP,
  linearGrid,
  type RowAxis,
  reads,
  writes,
} from "../kernel.ts";
import type { AdapterTraits } from "../shared/adapter.ts";
import { chained, type Sum, sumsOf } from "../shared/chain.ts";
import {
  type RowSpec,
  rowAxis,
  rowCandidates,
  rowEntry,
  rowsPerGroup,
  sumOf,
  teamCall,
  teamFunctions,
  teamIndex,
} from "../shared/row.ts";
import { bufferType, stored, valueType } from "../shared/storage.ts";

const sizes = { samples: "u32", positions: "u32", channels: "u32", groups: "u32" } as const;
const forwardUniforms = { ...sizes, eps: "f32" } as const;
type Size = keyof typeof sizes;
/** Extents of a group norm. */
export type GroupNormSizes = Readonly<Record<Size, number>>;

const activations = ({ dtype, width }: GroupNormSumsSpec): string => bufferType(dtype, width);

const grid = ({ samples, groups }: GroupNormSizes, spec: RowSpec) =>
  linearGrid(ceilDiv(samples * groups, rowsPerGroup(spec)));
const rows = ({ samples, groups }: GroupNormSizes, spec: RowSpec): RowAxis =>
  rowAxis(samples * groups, spec, { blocks: samples, apart: { weight: 1, bias: 1 } });

/**
 * Declares the team's group: `columns` per group, `first` = its first element's index, `channel` = its first column.
 */
const place = (spec: RowSpec): string => `${teamIndex(spec)}
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / ${spec.width}u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * ${spec.width}u);
  let column_step = ${spec.lanes}u % columns;
  let row_step = ${spec.lanes}u / columns;`;

/**
 * Walks the group: `at` is the element's index, `column` its channel column within the group; `body` adds to `sums`.
 */
const walk = (body: string, sums: readonly Sum[] = []): string => {
  const more = "position < u.positions";
  const step = `let at = first + position * row_length + column; ${body}`;
  const next = `column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; }`;
  return `{
    var column = lane % columns;
    var position = lane / columns;
    ${sums.length > 0 ? chained(sums, more, next, step) : `while (${more}) { ${step} ${next} }`}
  }`;
};

/** `walk` that stores the `value` which `body` declares. */
const walkStore = (spec: RowSpec, target: string, body: string): string =>
  `if (exists) ${walk(`${body} ${target}[at] = ${stored("value", spec.dtype, spec.width)};`)}`;

function forwardSource(spec: RowSpec): string {
  const { width } = spec;
  const type = valueType(width);
  return `${teamFunctions(spec, ["team_add"])}
${rowEntry(spec)} {
  ${place(spec)}
  let shift = f32(x[first]${width === 4 ? ".x" : ""});
  var n = 0.0;
  var running = ${type}();
  var m2 = ${type}();
  ${walk(
    `n += 1.0; let d = ${type}(x[at]) - shift; let delta = d - running;
      running += delta * (1.0 / n); m2 += delta * (d - running);`,
    sumsOf(type, "m2"),
  )}
  let offset = ${teamCall("team_add", `n * ${sumOf("running", width)}`, spec)} / count;
  let gap = running - offset;
  let deviation = m2 + n * gap * gap;
  let rstd = inverseSqrt(${teamCall("team_add", sumOf("deviation", width), spec)} / count + u.eps);
  ${walkStore(
    spec,
    "y",
    `let value = (${type}(x[at]) - shift - offset) * (rstd * weight[channel + column]) + bias[channel + column];`,
  )}
  if (exists && lane == 0u) { stats[own] = vec2f(shift + offset, rstd); }
}`;
}

/** y and (mean, rstd) per sample and group. */
export const groupNormForward = defineKernel({
  name: "groupNorm",
  bindings: (spec: RowSpec) => ({
    x: reads(activations(spec)),
    weight: reads(bufferType("f32", spec.width)),
    bias: reads(bufferType("f32", spec.width)),
    y: writes(activations(spec)),
    stats: writes("array<vec2f>"),
  }),
  uniforms: forwardUniforms,
  source: forwardSource,
  grid,
  rows,
});

/** Elements per access and storage of the per-channel sums. */
export type GroupNormSumsSpec = { readonly width: 1 | 4; readonly dtype: FloatStorage };

/**
 * Samples that share a row of sums: one where the sums per sample, which dx needs, are small beside x; else so many
 * that 64 rows hold all, and dx takes its own.
 */
export const groupNormChunk = ({ samples, positions }: Pick<GroupNormSizes, "samples" | "positions">): number =>
  positions >= 8 || samples <= 64 ? 1 : ceilDiv(samples, 64);

/**
 * Sums of g xhat and of g per channel and block of `chunk` samples: [parts, 2, C]. A thread per channel column; vec4
 * columns lie in one group.
 */
export const groupNormBackwardSums = defineKernel({
  name: "groupNormBackwardSums",
  bindings: (spec: GroupNormSumsSpec) => ({
    g: reads(activations(spec)),
    x: reads(activations(spec)),
    stats: reads("array<vec2f>"),
    sums: writes(bufferType("f32", spec.width)),
  }),
  uniforms: { ...sizes, parts: "u32", chunk: "u32" },
  source: ({ width }) => `
${entry()} {
  let row_length = u.channels / ${width}u;
  let own = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (own >= u.parts * row_length) { return; }
  let part = own / row_length;
  let column = own % row_length;
  let group = column / (row_length / u.groups);
  var dw = ${valueType(width)}();
  var db = ${valueType(width)}();
  let last = min((part + 1u) * u.chunk, u.samples) * u.positions;
  var row = part * u.chunk * u.positions;
  ${chained(
    sumsOf(valueType(width), "dw", "db"),
    "row < last",
    "row++;",
    `let moments = stats[row / u.positions * u.groups + group];
    let at = row * row_length + column;
    let g_at = ${valueType(width)}(g[at]);
    dw += g_at * (${valueType(width)}(x[at]) - moments.x) * moments.y;
    db += g_at;`,
  )}
  sums[2u * part * row_length + column] = dw;
  sums[(2u * part + 1u) * row_length + column] = db;
}`,
  grid: ({ parts, channels }, { width }) => linearGrid(ceilDiv(parts * (channels / width), GROUP)),
});

/** `own`: a group's totals are taken from g and x, not from the sums of its sample. */
export type GroupNormBackwardSpec = RowSpec & { readonly own: boolean };

/** Declares the group's `total`: sums of h and of h xhat. */
function groupTotals(spec: GroupNormBackwardSpec): string {
  const { width, lanes } = spec;
  const type = valueType(width);
  const add = `total += vec2f(${sumOf("h", width)}, ${sumOf("hx", width)});`;
  if (spec.own) {
    return `var total = vec2f();
  ${walk(
    `let h = ${type}(g[at]) * weight[channel + column];
    let hx = h * (${type}(x[at]) - moments.x) * moments.y; ${add}`,
    sumsOf("vec2f", "total"),
  )}`;
  }
  return `let sample = own / u.groups;
  var total = vec2f();
  for (var c = channel + lane; c < channel + columns; c += ${lanes}u) {
    let hx = weight[c] * sums[2u * sample * row_length + c];
    let h = weight[c] * sums[(2u * sample + 1u) * row_length + c];
    ${add}
  }`;
}

/** dx from g, x and, unless `own`, the sums per sample and channel. */
export const groupNormBackward = defineKernel({
  name: "groupNormBackward",
  bindings: (spec: GroupNormBackwardSpec) => ({
    g: reads(activations(spec)),
    x: reads(activations(spec)),
    stats: reads("array<vec2f>"),
    weight: reads(bufferType("f32", spec.width)),
    sums: spec.own ? undefined : reads(bufferType("f32", spec.width)),
    dx: writes(activations(spec)),
  }),
  uniforms: sizes,
  source: (spec) => {
    const type = valueType(spec.width);
    return `${teamFunctions(spec, ["team_add2"])}
${rowEntry(spec)} {
  ${place(spec)}
  let moments = stats[own];
  ${groupTotals(spec)}
  let mean = ${teamCall("team_add2", "total", spec)} / count;
  ${walkStore(
    spec,
    "dx",
    `let xhat = (${type}(x[at]) - moments.x) * moments.y;
      let value = moments.y * (${type}(g[at]) * weight[channel + column] - mean.x - xhat * mean.y);`,
  )}
}`;
  },
  grid,
});

/** Variants for groups of `size` elements in `channels / groups` channels, best guess first. */
export function groupNormCandidates(
  { samples, positions, channels, groups, dtype }: GroupNormSizes & { readonly dtype: FloatStorage },
  traits: AdapterTraits,
): RowSpec[] {
  const perGroup = channels / groups;
  const specs = rowCandidates({ rows: samples * groups, length: positions * perGroup, dtype }, traits);
  const width = perGroup % 4 === 0 ? 4 : 1;
  const streamed = specs.map((spec): RowSpec => ({ ...spec, width, slots: 0 }));
  return streamed.filter(
    (spec, i) => streamed.findIndex((other) => other.team === spec.team && other.lanes === spec.lanes) === i,
  );
}
