// Softmax and log-softmax over one axis, and their gradients.
//   y_j = exp(x_j - m) / s,  log: y_j = x_j - m - log s,  with m = max_j x_j and s = sum_j exp(x_j - m)
//   dx_j = y_j (g_j - sum_k g_k y_k),  log: dx_j = g_j - exp(y_j) sum_k g_k
// Layout: [outer, len, inner]. inner = 1: a team per row (row.ts). inner > 1 (`strided`): a thread per line, or per 4
// neighbouring lines. Statistics in f32, max and sum in one pass (the sum is rescaled when the maximum grows). A row
// that holds NaN or +inf, or nothing but -inf, becomes NaN, as in PyTorch: 0/0 and inf - inf are left to the
// arithmetic.

import { ceilDiv, defineKernel, type FloatStorage, linearGrid, reads, writes } from "./kernel.ts";
import type { AdapterTraits } from "./shared/adapter.ts";
import { chained, type Sum, sumsOf } from "./shared/chain.ts";
import {
  LOWEST_F32,
  loadRow,
  maxOf,
  onlineFunctions,
  onlineStep,
  onlineSum,
  type RowSpec,
  rowAxis,
  rowCandidates,
  rowEntry,
  rowsPerGroup,
  sumOf,
  sweep,
  teamCall,
  teamFunctions,
  teamIndex,
} from "./shared/row.ts";
import { bufferType, stored, valueType } from "./shared/storage.ts";

/** A row kernel over `strided` lines or contiguous rows, of probabilities or of their logarithms. */
export type SoftmaxSpec = RowSpec & { readonly log: boolean; readonly strided: boolean };

const uniforms = { outer: "u32", len: "u32", inner: "u32" } as const;
type Uniform = keyof typeof uniforms;
type SoftmaxDims = Readonly<Record<Uniform, number>>;

const teams = ({ outer, inner }: SoftmaxDims, spec: SoftmaxSpec): number =>
  outer * (spec.strided ? ceilDiv(inner, spec.width) : 1);

const grid = (dims: SoftmaxDims, spec: SoftmaxSpec) => linearGrid(ceilDiv(teams(dims, spec), rowsPerGroup(spec)));
const rows = (dims: SoftmaxDims, spec: SoftmaxSpec) => rowAxis(teams(dims, spec), spec, { blocks: dims.outer });

const lines = ({ dtype, width }: SoftmaxSpec): string => bufferType(dtype, width);

// Strided lines keep one state per component; contiguous rows fold the components of a value into one state.
const fold = (spec: SoftmaxSpec) => ({
  state: spec.strided ? valueType(spec.width) : "f32",
  sum: (value: string) => (spec.strided ? value : sumOf(value, spec.width)),
  max: (value: string) => (spec.strided ? value : maxOf(value, spec.width)),
});

/** Declares the team's line: `first` element, `step` between elements, `n` steps, and whether the line `exists`. */
function line(spec: SoftmaxSpec): string {
  if (!spec.strided) {
    return `${teamIndex(spec)}
  let exists = team < u.outer;
  let n = u.len / ${spec.width}u;
  let base = min(team, u.outer - 1u) * n;`;
  }
  return `${teamIndex(spec)}
  let inner = u.inner / ${spec.width}u;
  let exists = team < u.outer * inner;
  let own = min(team, u.outer * inner - 1u);
  let n = u.len;
  let base = own / inner * n * inner + own % inner;`;
}

/** `sweep`, with the step between elements that strided lines have. */
function walk(
  spec: SoftmaxSpec,
  names: readonly string[],
  body: (values: readonly string[], at: string) => string,
  sums: readonly Sum[] = [],
): string {
  if (!spec.strided) return sweep(spec, names, (values, j) => body(values, `base + ${j}`), { sums });
  const type = valueType(spec.width);
  const load = names.map((name) => `let ${name}_j = ${type}(${name}[base + j * inner]);`).join(" ");
  const values = names.map((name) => `${name}_j`);
  const step = `${load}\n${body(values, "base + j * inner")}`;
  return sums.length > 0
    ? `{ var j = 0u; ${chained(sums, "j < n", "j++;", step)} }`
    : `for (var j = 0u; j < n; j++) { ${step} }`;
}

/** `walk` that stores `value` of each step to `target`. */
function store(
  spec: SoftmaxSpec,
  names: readonly string[],
  target: string,
  value: (values: readonly string[]) => string,
): string {
  return walk(spec, names, (values, at) => `${target}[${at}] = ${stored(value(values), spec.dtype, spec.width)};`);
}

function forwardSource(spec: SoftmaxSpec): string {
  const { state, sum, max } = fold(spec);
  const online = onlineSum(state);
  return `${teamFunctions(spec, ["team_max", "team_add"])}
${spec.slots > 0 ? "" : onlineFunctions(state)}
${rowEntry(spec)} {
  ${line(spec)}
  ${loadRow(spec, ["x"])}
  ${
    spec.slots > 0
      ? `var top = ${state}(${LOWEST_F32});
  ${walk(spec, ["x"], ([x]) => `top = max(top, ${max(`${x}`)});`)}
  top = ${teamCall("team_max", "top", spec)}; var total = ${state}();
  ${walk(spec, ["x"], ([x]) => `let e = exp(${x} - top); total += ${sum("e")}; ${spec.log ? "" : `${x} = e;`}`)}
  total = ${teamCall("team_add", "total", spec)};`
      : `var line = ${online.start};
  ${walk(spec, ["x"], ([x]) => onlineStep(`${x}`, max(`${x}`), sum("e")), [online])}
  let top = ${teamCall("team_max", "line.top", spec)};
  let total = ${teamCall("team_add", "line.total * exp(line.top - top)", spec)};`
  }
  ${spec.log ? "let shift = log(total);" : "let scale = 1.0 / total;"}
  if (exists) {
    ${store(spec, ["x"], "y", ([x]) => {
      if (spec.log) return `(${x} - top) - shift`;
      return spec.slots > 0 ? `${x} * scale` : `exp(${x} - top) * scale`;
    })}
  }
}`;
}

function backwardSource(spec: SoftmaxSpec): string {
  const { state, sum } = fold(spec);
  const { log } = spec;
  return `${teamFunctions(spec, ["team_add"])}
${rowEntry(spec)} {
  ${line(spec)}
  ${loadRow(spec, ["g", "y"])}
  var total = ${state}();
  ${walk(
    spec,
    log && spec.slots === 0 ? ["g"] : ["g", "y"],
    ([g, y]) => (log ? `total += ${sum(`${g}`)};` : `let product = ${g} * ${y}; total += ${sum("product")};`),
    sumsOf(state, "total"),
  )}
  total = ${teamCall("team_add", "total", spec)};
  if (exists) {
    ${store(spec, ["g", "y"], "dx", ([g, y]) => (log ? `${g} - exp(${y}) * total` : `${y} * (${g} - total)`))}
  }
}`;
}

/** Softmax (or log-softmax) of x [outer, len, inner] over its middle axis. */
export const softmaxForward = defineKernel({
  name: "softmax",
  bindings: (spec: SoftmaxSpec) => ({ x: reads(lines(spec)), y: writes(lines(spec)) }),
  uniforms,
  source: forwardSource,
  grid,
  rows,
});

/** Gradient of softmax (or log-softmax) from its output y and the upstream gradient g. */
export const softmaxBackward = defineKernel({
  name: "softmaxBackward",
  bindings: (spec: SoftmaxSpec) => ({ g: reads(lines(spec)), y: reads(lines(spec)), dx: writes(lines(spec)) }),
  uniforms,
  source: backwardSource,
  grid,
  rows,
});

/** Variants that fit a softmax over the middle axis of [outer, len, inner], best guess first. */
export function softmaxCandidates(
  { outer, len, inner, log, dtype }: SoftmaxDims & { readonly log: boolean; readonly dtype: FloatStorage },
  traits: AdapterTraits,
): SoftmaxSpec[] {
  if (inner === 1) {
    return rowCandidates({ rows: outer, length: len, dtype }, traits).map((spec) => ({ ...spec, log, strided: false }));
  }
  return [{ team: "thread", lanes: 1, width: inner % 4 === 0 ? 4 : 1, slots: 0, dtype, log, strided: true }];
}
