// Reductions of x [outer, len, inner] over its middle axis, or over scattered axes of a strided tensor.
//   sum, mean, max, min, var, logsumexp -> f32 or the stored type;  argmax, argmin -> i32
// A unit of work is one part (`chunk` steps) of one line of `len` elements; `lanes` threads share it and merge their
// states in a fixed order, so results are equal bit for bit from run to run. Lanes run along the line (`across:
// "line"`) or over neighbouring lines (`"lines"`). Few long lines are cut into parts: stage `partial` writes states,
// `final` merges them. What a state is, and its numerics: states.ts.

import {
  ceilDiv,
  defineKernel,
  entry,
  LINEAR_GROUP,
  linearGrid,
  type RowAxis,
  reads,
  type StorageType,
  unroll,
  writes,
} from "../kernel.ts";
import { chained } from "../shared/chain.ts";
import {
  isSum,
  REDUCTION_CONSTANTS,
  type ReduceOp,
  type RegisterType,
  reduction,
  registerType,
  stateWords,
} from "./states.ts";

/** Structure of a reduction: what, on which type, and who shares a line. */
export type ReduceSpec = {
  readonly op: ReduceOp;
  readonly dtype: StorageType;
  /** `whole`: elements to results. `partial`: elements to states. `final`: states to results. */
  readonly stage: "whole" | "partial" | "final";
  /** Neighbouring lanes read along one line, or the same step of neighbouring lines. */
  readonly across: "line" | "lines";
  /** Threads per workgroup, threads per unit, and how many of these merge by subgroup shuffles (1: none). */
  readonly group: number;
  readonly lanes: number;
  readonly shuffle: number;
  /** Elements per load: along the line, or over neighbouring lines. */
  readonly width: 1 | 4;
};

/** A reduction over scattered axes: numbers of kept and of reduced axes, at most four each. */
export type StridedReduceSpec = ReduceSpec & { readonly kept: number; readonly reduced: number };

/** `count` divides: the number of elements for mean, less the correction for var. */
const uniforms = {
  outer: "u32",
  len: "u32",
  inner: "u32",
  parts: "u32",
  chunk: "u32",
  count: "f32",
} as const;
export type ReduceUniform = keyof typeof uniforms;
export type ReduceDims = Readonly<Record<ReduceUniform, number>>;

/** Output type of a reduction over elements of `dtype`. */
const reduceOutput = (op: ReduceOp, dtype: StorageType): StorageType =>
  op === "argmax" || op === "argmin" ? "i32" : dtype;

const stateBuffer = ({ op, dtype }: ReduceSpec): string => {
  const words = stateWords(op, dtype);
  return words === 1 ? "array<u32>" : `array<vec${words}<u32>>`;
};

function buffers(spec: ReduceSpec) {
  const { op, dtype, stage, width } = spec;
  const elements = width === 4 ? `array<vec4<${dtype}>>` : `array<${dtype}>`;
  return {
    x: reads(stage === "final" ? stateBuffer(spec) : elements),
    y: writes(stage === "partial" ? stateBuffer(spec) : `array<${reduceOutput(op, dtype)}>`),
  };
}

/** Units of work: parts of lines, or of `width` neighbouring lines. */
const units = ({ outer, inner, parts }: ReduceDims, { across, width }: ReduceSpec): number =>
  outer * parts * (across === "lines" ? inner / width : inner);

const unitsPerGroup = ({ group, lanes }: ReduceSpec): number => group / lanes;

const grid = (dims: ReduceDims, spec: ReduceSpec) => linearGrid(ceilDiv(units(dims, spec), unitsPerGroup(spec)));

/** @param rows Extent of x's leading axis if that is kept, else 0. */
const rowAxis = (dims: ReduceDims, spec: ReduceSpec, rows: number): RowAxis | undefined =>
  rows > 0 ? { axis: 0, units: units(dims, spec), perGroup: unitsPerGroup(spec), fold: true, blocks: rows } : undefined;

/** The state type for `width` lines at once, with `start`, `absorb` and `merge`; names end in the width. */
function stateFunctions({ op, dtype }: ReduceSpec, width: 1 | 4): string {
  const { fields, absorb, merge } = reduction(op, dtype);
  const v = (type: RegisterType): string => (width === 4 ? `vec4<${type}>` : type);
  const name = `State${width}`;
  return `
struct ${name} { ${fields.map((field) => `${field.name}: ${v(field.type)}`).join(", ")} }
fn start${width}() -> ${name} { return ${name}(${fields.map(({ type, start }) => `${v(type)}(${start})`).join(", ")}); }
fn absorb${width}(s: ${name}, x: ${v(registerType(dtype))}, k: ${v("u32")}) -> ${name} {
  return ${name}(${absorb(v).join(",\n    ")});
}
fn merge${width}(a: ${name}, b: ${name}) -> ${name} {
  return ${name}(${merge(v).join(",\n    ")});
}`;
}

/** The scalar states that `state` holds. */
function components({ op, dtype }: ReduceSpec, state: string, width: 1 | 4): string[] {
  if (width === 1) return [state];
  const { fields } = reduction(op, dtype);
  return ["x", "y", "z", "w"].map((c) => `State1(${fields.map(({ name }) => `${state}.${name}.${c}`).join(", ")})`);
}

/** Merges the states of a unit's lanes: by shuffles, then by a tree through workgroup memory. Lane 0 gets the whole. */
function mergeLanes(spec: ReduceSpec, width: 1 | 4): { declare: string; run: string } {
  const { op, dtype, across, group, lanes, shuffle } = spec;
  const { fields } = reduction(op, dtype);
  const shuffles = unroll(Math.log2(shuffle), (i) => {
    const other = fields.map(({ name }) => `subgroupShuffleXor(s.${name}, ${2 ** i}u)`).join(", ");
    return `s = merge${width}(s, State${width}(${other}));`;
  });
  const left = lanes / shuffle;
  if (left === 1) return { declare: "", run: shuffles };
  // Tree slots of a unit lie `apart`, so that neighbouring threads touch neighbouring slots.
  const [own, apart] =
    across === "line" ? [`slot * ${left}u + slice / ${shuffle}u`, 1] : ["slice * SLOTS + slot", unitsPerGroup(spec)];
  return {
    declare: `var<workgroup> states: array<State${width}, ${group / shuffle}>;`,
    run: `${shuffles}
  let seat = ${own};
  if (slice % ${shuffle}u == 0u) { states[seat] = s; }
  workgroupBarrier();
  for (var half = ${left / 2}u; half > 0u; half >>= 1u) {
    if (slice % ${shuffle}u == 0u && slice / ${shuffle}u < half) {
      s = merge${width}(s, states[seat + half * ${apart}u]);
      states[seat] = s;
    }
    workgroupBarrier();
  }`,
  };
}

/** Where elements lie: `base` of a unit, from `line` and `column`, and the `step` from there to position `k`. */
interface Address {
  readonly base: string;
  readonly step: string;
}

/** Stores the states `s` of a unit: as results, or packed. */
function put(spec: ReduceSpec, width: 1 | 4): string {
  const { op, dtype, stage } = spec;
  const { fields, finish } = reduction(op, dtype);
  const words = stateWords(op, dtype);
  const packed = Array.from({ length: words }, (_, i) => {
    const field = fields[i];
    return field ? `bitcast<u32>(s.${field.name})` : "0u";
  });
  const state = words === 1 ? packed.join("") : `vec${words}<u32>(${packed.join(", ")})`;
  const result = dtype === "f16" && reduceOutput(op, dtype) === "f16" ? `f16(${finish})` : finish;
  const at = stage === "partial" ? "(line * u.parts + part) * u.inner" : "line * u.inner";
  return `fn put(s: State1, at: u32) { y[at] = ${stage === "partial" ? state : result}; }
fn put_all(s: State${width}, line: u32, part: u32, column: u32) {
  ${components(spec, "s", width)
    .map((s, i) => `put(${s}, ${at} + column * ${width}u + ${i}u);`)
    .join("\n  ")}
}`;
}

/** The loop over a unit's elements or states, into `acc`. */
function walk(spec: ReduceSpec, { step }: Address): string {
  const { op, dtype, stage, across, width } = spec;
  if (stage === "final") {
    const words = stateWords(op, dtype);
    const other = reduction(op, dtype).fields.map(
      ({ type }, i) => `bitcast<${type}>(word${words === 1 ? "" : `.${"xyzw"[i]}`})`,
    );
    return `let until = u.len;
  var k = slice;
  ${loop(spec, 1, `let word = x[base + ${step}]; acc = merge1(acc, State1(${other.join(", ")}));`)}`;
  }
  const isWideLine = width === 4 && across === "line";
  const position = isWideLine ? "vec4<u32>(k * 4u) + vec4<u32>(0u, 1u, 2u, 3u)" : width === 4 ? "vec4<u32>(k)" : "k";
  const scale = isWideLine ? " / 4u" : "";
  const type = registerType(dtype);
  return `let until = min(u.len, (part + 1u) * u.chunk)${scale};
  var k = part * (u.chunk${scale}) + slice;
  ${loop(spec, width, `acc = absorb${width}(acc, ${width === 4 ? `vec4<${type}>` : type}(x[base + ${step}]), ${position});`)}`;
}

/**
 * The loop over every k of a lane up to `until` whose `body` moves the state `acc` on; sums go through short chains.
 */
function loop({ op, dtype, lanes }: ReduceSpec, width: 1 | 4, body: string): string {
  const next = `k += ${lanes}u;`;
  return isSum(op, dtype)
    ? chained([{ name: "acc", start: `start${width}()`, join: `merge${width}` }], "k < until", next, body)
    : `while (k < until) { ${body} ${next} }`;
}

function source(spec: ReduceSpec, address: Address, functions = ""): string {
  const { across, group, lanes, width } = spec;
  const isWideLine = width === 4 && across === "line";
  const rest = isWideLine ? 1 : width;
  const merge = mergeLanes(spec, rest);
  const [slot, slice] = across === "line" ? [`li / ${lanes}u`, `li % ${lanes}u`] : ["li % SLOTS", "li / SLOTS"];
  const [c0, c1, c2, c3] = components(spec, "acc", 4);
  return `${REDUCTION_CONSTANTS}
const SLOTS = ${unitsPerGroup(spec)}u;
${stateFunctions(spec, 1)}
${width === 4 ? stateFunctions(spec, 4) : ""}
${merge.declare}
${put(spec, rest)}
${functions}
${entry(group)} {
  let slot = ${slot};
  let slice = ${slice};
  let columns = u.inner${across === "lines" && width === 4 ? " / 4u" : ""};
  let unit = ${LINEAR_GROUP} * SLOTS + slot;
  let exists = unit < u.outer * u.parts * columns;
  let own = select(0u, unit, exists);
  let column = own % columns;
  let part = own / columns % u.parts;
  let line = own / columns / u.parts;
  let base = ${address.base};
  var acc = start${width}();
  ${walk(spec, address)}
  var s = ${isWideLine ? `merge1(merge1(${c0}, ${c1}), merge1(${c2}, ${c3}))` : "acc"};
  ${merge.run}
  if (exists && slice == 0u) { put_all(s, line, part, column); }
}`;
}

/** Reduction of x [outer, len, inner] over the middle axis: y [outer, inner], or states [outer, parts, inner]. */
export const reduceLines = defineKernel({
  name: "reduce",
  bindings: buffers,
  uniforms,
  source: (spec) =>
    source(
      spec,
      spec.across === "line" && spec.width === 4
        ? { base: "line * (u.len / 4u)", step: "k" }
        : { base: "line * u.len * columns + column", step: "k * columns" },
    ),
  grid,
  rows: rowAxis,
});

/** Most axes that are kept, and most that are reduced, by `reduceAxes`. */
export const MAX_STRIDED_AXES = 4;

// Kept axes have extents n0.. and strides s0.., reduced ones m0.. and t0..
const axisUniforms = {
  n0: "u32",
  n1: "u32",
  n2: "u32",
  n3: "u32",
  s0: "u32",
  s1: "u32",
  s2: "u32",
  s3: "u32",
  m0: "u32",
  m1: "u32",
  m2: "u32",
  m3: "u32",
  t0: "u32",
  t1: "u32",
  t2: "u32",
  t3: "u32",
} as const;
const stridedUniforms = { ...uniforms, ...axisUniforms } as const;
export type StridedReduceUniform = keyof typeof stridedUniforms;
export type StridedReduceDims = Readonly<Record<StridedReduceUniform, number>>;

/** A function from a row-major index over `rank` axes to its offset. */
function offsetFunction(name: string, extent: string, stride: string, rank: number): string {
  const steps = unroll(Math.max(0, rank - 1), (i) => {
    const axis = rank - 1 - i;
    return `offset += rest % u.${extent}${axis} * u.${stride}${axis}; rest /= u.${extent}${axis};`;
  });
  return `fn ${name}(index: u32) -> u32 {
  var rest = index;
  var offset = 0u;
  ${steps}
  return offset${rank > 0 ? ` + rest * u.${stride}0` : ""};
}`;
}

/** Reduction over scattered axes. Kept axes together are outer x inner lines, reduced axes together `len`; width 1. */
export const reduceAxes = defineKernel({
  name: "reduceStrided",
  bindings: (spec: StridedReduceSpec) => buffers(spec),
  uniforms: stridedUniforms,
  source: (spec) =>
    source(
      spec,
      { base: "kept_offset(line * columns + column)", step: "reduced_offset(k)" },
      offsetFunction("kept_offset", "n", "s", spec.kept) + offsetFunction("reduced_offset", "m", "t", spec.reduced),
    ),
  grid,
  // The lines of the first rows must be a prefix of the units.
  rows: (dims, spec, rows) => (dims.outer > 1 || dims.parts === 1 ? rowAxis(dims, spec, rows) : undefined),
});
