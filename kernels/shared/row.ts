// Rows shared by teams of threads: what softmax, cross-entropy and the norms have in common. A team is one thread, one
// subgroup or one workgroup; it walks a row in steps of `width` elements per lane, and combines its lanes' partial
// results by `team_add` / `team_max`. With `slots` > 0 each lane keeps its share of the row in that many registers, so
// that every value is read from memory once; with `slots` 0 each sweep reads the row again. Subgroup teams rely on
// subgroups being runs of consecutive local indices, and so need a fixed subgroup size.

import type { FloatStorage, RowAxis } from "../kernel.ts";
import { ceilDiv, entry, GROUP, LINEAR_GROUP, unroll } from "../kernel.ts";
import { type AdapterTraits, isNarrow } from "./adapter.ts";
import { chained, type Sum } from "./chain.ts";
import { stored, valueType } from "./storage.ts";

/** Who works on one row: one thread, one subgroup, or one workgroup (with or without subgroup operations inside). */
export type Team = "thread" | "subgroup" | "workgroup" | "workgroup-subgroups";

/** Structure of a row kernel: team, lanes per row, elements per access, register slots per lane (0: none), storage. */
export type RowSpec = {
  readonly team: Team;
  readonly lanes: number;
  readonly width: 1 | 4;
  readonly slots: number;
  readonly dtype: FloatStorage;
};

/** The lowest finite f32: the start of a running maximum (an infinity literal does not compile). */
export const LOWEST_F32 = "-3.4028234e38";

/** Declares `not_a_number()`: a NaN literal does not compile, a private variable stays out of constant evaluation. */
export const NAN_FUNCTION =
  "var<private> nan_bits: u32 = 0x7fc00000u;\nfn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }";

/** Threads per workgroup. */
function groupSize({ team, lanes }: RowSpec): number {
  return team === "thread" || team === "subgroup" ? Math.max(GROUP, lanes) : lanes;
}

/** Rows that one workgroup covers. */
export const rowsPerGroup = (spec: RowSpec): number => groupSize(spec) / spec.lanes;

/** Launch geometry of `rows` rows, each a block unless `rest` says otherwise. */
export function rowAxis(rows: number, spec: RowSpec, rest: Partial<Pick<RowAxis, "blocks" | "apart">> = {}): RowAxis {
  return { axis: 0, units: rows, perGroup: rowsPerGroup(spec), fold: true, blocks: rows, ...rest };
}

/** Sum over the components of a value. */
export const sumOf = (value: string, width: 1 | 4): string =>
  width === 4 ? `((${value}.x + ${value}.y) + (${value}.z + ${value}.w))` : value;

/** Largest component of a value. */
export const maxOf = (value: string, width: 1 | 4): string =>
  width === 4 ? `max(max(${value}.x, ${value}.y), max(${value}.z, ${value}.w))` : value;

/** Entry point with the builtins that `team` needs. */
export function rowEntry(spec: RowSpec): string {
  const subgroup =
    spec.team === "subgroup" || spec.team === "workgroup-subgroups"
      ? ", @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32"
      : "";
  return entry(groupSize(spec), subgroup);
}

/** Declares `lane` (within the team) and `team` (index of the row, unclamped). */
export function teamIndex(spec: RowSpec): string {
  const perGroup = rowsPerGroup(spec);
  switch (spec.team) {
    case "thread":
      return `let lane = 0u; let team = ${LINEAR_GROUP} * ${perGroup}u + li;`;
    case "subgroup":
      return `let lane = sg_lane; let team = ${LINEAR_GROUP} * ${perGroup}u + li / ${spec.lanes}u;`;
    default:
      return `let lane = li; let team = ${LINEAR_GROUP};`;
  }
}

/** A call of a team reduction: every lane passes its part, every lane gets the whole. */
export function teamCall(name: "team_add" | "team_add2" | "team_max", value: string, { team }: RowSpec): string {
  if (team === "thread") return `(${value})`;
  if (team === "subgroup") return `${name === "team_max" ? "subgroupMax" : "subgroupAdd"}(${value})`;
  return team === "workgroup" ? `${name}(${value}, li)` : `${name}(${value}, li, sg_lane, sg_size)`;
}

/** Declares the reductions that `teamCall` needs; `team_add2` adds two sums for the price of one. */
export function teamFunctions(spec: RowSpec, names: readonly ("team_add" | "team_add2" | "team_max")[]): string {
  if (spec.team === "thread" || spec.team === "subgroup") return "";
  return names
    .map((name) => {
      const type = name === "team_add2" ? "vec2f" : "f32";
      return spec.team === "workgroup" ? treeReduction(name, type, spec.lanes) : mixedReduction(name, type, spec.lanes);
    })
    .join("\n");
}

const combine = (name: string, a: string, b: string): string =>
  name === "team_max" ? `max(${a}, ${b})` : `${a} + ${b}`;

// The leading barrier keeps a second call from overwriting what slower threads still read of the first.
function treeReduction(name: string, type: string, lanes: number): string {
  return `
var<workgroup> ${name}_memory: array<${type}, ${lanes}>;
fn ${name}(value: ${type}, li: u32) -> ${type} {
  workgroupBarrier();
  ${name}_memory[li] = value;
  workgroupBarrier();
  for (var half = ${lanes / 2}u; half > 0u; half >>= 1u) {
    if (li < half) { ${name}_memory[li] = ${combine(name, `${name}_memory[li]`, `${name}_memory[li + half]`)}; }
    workgroupBarrier();
  }
  return ${name}_memory[0];
}`;
}

// One value per subgroup goes through workgroup memory; 4 is the smallest subgroup size that WebGPU knows.
function mixedReduction(name: string, type: string, lanes: number): string {
  return `
var<workgroup> ${name}_memory: array<${type}, ${ceilDiv(lanes, 4)}>;
fn ${name}(value: ${type}, li: u32, sg_lane: u32, sg_size: u32) -> ${type} {
  let part = ${name === "team_max" ? "subgroupMax" : "subgroupAdd"}(value);
  workgroupBarrier();
  if (sg_lane == 0u) { ${name}_memory[li / sg_size] = part; }
  workgroupBarrier();
  var whole = ${name}_memory[0];
  for (var i = 1u; i * sg_size < ${lanes}u; i++) { whole = ${combine(name, "whole", `${name}_memory[i]`)}; }
  return whole;
}`;
}

/** Loads this lane's share of the row that starts at `base` into registers `name_0 ...`; nothing when `slots` is 0. */
export function loadRow(spec: RowSpec, names: readonly string[], base = "base"): string {
  const type = valueType(spec.width);
  return unroll(spec.slots, (i) => {
    const j = `lane + ${i * spec.lanes}u`;
    const declare = names.map((name) => `var ${name}_${i} = ${type}();`).join(" ");
    const load = names.map((name) => `${name}_${i} = ${type}(${name}[${base} + ${j}]);`).join(" ");
    return `${declare} if (${j} < n) { ${load} }`;
  });
}

/** Runs `body(values, j)` for each of this lane's steps through the row of `n` steps at `base`; it adds to `sums`. */
export function sweep(
  spec: RowSpec,
  names: readonly string[],
  body: (values: readonly string[], j: string) => string,
  { base = "base", sums = [] }: { readonly base?: string; readonly sums?: readonly Sum[] } = {},
): string {
  const type = valueType(spec.width);
  if (spec.slots > 0) {
    return unroll(spec.slots, (i) => {
      const values = names.map((name) => `${name}_${i}`);
      return `if (lane + ${i * spec.lanes}u < n) { let j = lane + ${i * spec.lanes}u; ${body(values, "j")} }`;
    });
  }
  const values = names.map((name) => `${name}_j`);
  const load = names.map((name) => `let ${name}_j = ${type}(${name}[${base} + j]);`).join(" ");
  const [step, next] = [`${load}\n${body(values, "j")}`, `j += ${spec.lanes}u`];
  return sums.length > 0
    ? `{ var j = lane; ${chained(sums, "j < n", `${next};`, step)} }`
    : `for (var j = lane; j < n; ${next}) { ${step} }`;
}

/** Like `sweep`, but stores `value` of each step to `target`. */
export function sweepStore(
  spec: RowSpec,
  names: readonly string[],
  target: string,
  value: (values: readonly string[], j: string) => string,
  base = "base",
): string {
  const { dtype, width } = spec;
  return sweep(spec, names, (v, j) => `${target}[${base} + ${j}] = ${stored(value(v, j), dtype, width)};`, { base });
}

/** Longest row share that is kept in registers, in `vec4f` a lane; more spill on GPUs. */
const MAX_SLOTS = 8;

/** On CPU adapters every load in the text costs some 35 ms of compilation: two is the most by default. */
const MAX_CHEAP_SLOTS = 2;

/**
 * The online sum of exponentials: `top` so far, and the `total` of exp(x - top). `onlineFunctions` declares what it is
 * made of.
 */
export const onlineSum = (type: string): Sum => ({
  name: "line",
  start: `Online(${type}(${LOWEST_F32}), ${type}())`,
  join: "joined",
});

/** Declares `Online`, and `joined` for two of them. */
export const onlineFunctions = (type: string): string => `
struct Online { top: ${type}, total: ${type} }
fn joined(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.total * exp(a.top - top) + b.total * exp(b.top - top));
}`;

/** Statement that moves the online sum `line` on: `max` and `sum` fold `value` and `e` to the line's type. */
export const onlineStep = (value: string, max: string, sum: string): string =>
  `let higher = max(line.top, ${max}); let e = exp(${value} - higher);
    line = Online(higher, line.total * exp(line.top - higher) + ${sum});`;

/** Register slots that hold a row of `length` elements: the next power of two, 0 where the row is too long. */
function slotsFor(length: number, lanes: number, width: number): number {
  const need = ceilDiv(length, lanes * width);
  return need > MAX_SLOTS ? 0 : 2 ** Math.ceil(Math.log2(Math.max(1, need)));
}

/** Sound choices of team, best guess first, for rows of `length` contiguous elements. */
export function rowCandidates(
  { rows, length, dtype }: { readonly rows: number; readonly length: number; readonly dtype: FloatStorage },
  traits: AdapterTraits,
): RowSpec[] {
  const { subgroupSize, hasSubgroups } = traits;
  const width = length % 4 === 0 ? 4 : 1;
  const spec = (team: Team, lanes: number): RowSpec => {
    return { team, lanes, width, slots: slotsFor(length, lanes, width), dtype };
  };
  const both = (s: RowSpec): RowSpec[] => {
    const streamed = { ...s, slots: 0 };
    if (s.slots === 0) return [streamed];
    return isNarrow(traits) && s.slots > MAX_CHEAP_SLOTS ? [streamed, s] : [s, streamed];
  };
  const thread = both(spec("thread", 1));
  // Drivers with subgroups of several sizes have been known to tell another size than a kernel really has.
  const team = hasSubgroups && subgroupSize > 0 ? "workgroup-subgroups" : "workgroup";
  const group = spec(team, length >= 4096 ? 256 : 128);
  const isFixed = hasSubgroups && subgroupSize >= 4 && GROUP % subgroupSize === 0;
  const subgroup = isFixed ? both(spec("subgroup", subgroupSize)) : [];
  if (length <= 4 * Math.max(4, subgroupSize))
    return length <= 32 ? [...thread, ...subgroup] : [...subgroup, ...thread];
  if (isNarrow(traits)) return [...subgroup, { ...spec("thread", 1), slots: 0 }, group];
  return length > 2048 || rows < 64 || !isFixed ? [group, ...subgroup, ...thread] : [...subgroup, group];
}
