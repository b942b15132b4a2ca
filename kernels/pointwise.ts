// y = f(operands), element by element, with NumPy broadcasting. One text per function, dtypes and stride pattern. A
// thread computes ITEMS groups of `width` neighbouring elements, so loads are vec4 wherever every operand's inner
// stride is 1 (contiguous) or 0 (one value for the whole inner axis). Numerics: f16 is widened, all float arithmetic is
// f32. NaN and infinity are told by their bits, since WGSL lets a compiler assume they do not occur.

import {
  type Binding,
  type ByName,
  ceilDiv,
  type Dims,
  entry,
  GROUP,
  type Kernel,
  LINEAR_GROUP,
  linearGrid,
  type RowAxis,
  reads,
  type Spec,
  type UniformType,
  unroll,
  updates,
  writes,
} from "./kernel.ts";
import { calledFunctions, mathTypes } from "./shared/functions.ts";
import { MATH } from "./shared/math.ts";

export { ELEMENTARY } from "./shared/elementary.ts";
export { MATH } from "./shared/math.ts";
export { POWERS } from "./shared/power.ts";

/** A function of named operands; names are WGSL identifiers of one or more letters that `expr` uses. */
export interface PointwiseFunction {
  readonly name: string;
  readonly operands: readonly string[];
  /** WGSL in the operands' names, valid for f32 and vec4f alike: constants as `T(0.5)`. */
  readonly expr: string;
  /** WGSL functions of T by name that the expression may call, beside those of math.ts. */
  readonly functions?: Readonly<Record<string, string>>;
  /** The expression is a truth value (bool or vec4<bool>), stored as 0 or 1. */
  readonly isTruth?: boolean;
  /** The result replaces what is there, which the expression may use as `y`. */
  readonly inPlace?: boolean;
}

/** Dtypes and layout of one call. */
export interface PointwiseSpec extends Spec {
  /** Storage dtypes of the operands, comma-separated, e.g. `f32,bool`. */
  readonly types: string;
  /** Dtype in which the expression is computed, and of the numbers among the operands. */
  readonly compute: UniformType;
  /** Dtype of the result; bool holds 1 for all but 0. */
  readonly out: string;
  /** Per operand: `1` contiguous inner axis, `0` constant along it, `s` a number in the uniforms. */
  readonly inner: string;
  readonly width: 1 | 4;
}

const ITEMS = 4;
const PER_GROUP = GROUP * ITEMS;

const stored = (type: string): string => (type === "bool" ? "u32" : type);
const wide = (type: string, width: number): string => (width === 4 ? `vec4<${type}>` : type);

/** n (groups of `width`), the collapsed extents d0.., per operand its strides (`a_0`..) and its number (`num_a`). */
export type PointwiseUniform = "n" | `d${number}` | `num_${string}` | `${string}_${number}`;

/** The operands that are tensors, and the result. */
export type PointwiseBinding = `in_${string}?` | "out";

export type PointwiseKernel = Kernel<PointwiseSpec, PointwiseUniform, PointwiseBinding>;

/** How an operand's stored value enters the expression. */
function loaded(value: string, type: string, spec: PointwiseSpec): string {
  if (type === "bool" && spec.compute !== "u32") return `select(T(0), T(1), ${value} != U(0u))`;
  return stored(type) === spec.compute ? value : `T(${value})`;
}

/** The operands with what a spec says of each. */
function operandsOf({ operands }: PointwiseFunction, spec: PointwiseSpec) {
  const types = spec.types.split(",");
  return operands.map((name, k) => ({ name, type: types[k] ?? "", inner: spec.inner[k] }));
}

function uniformsOf({ operands }: PointwiseFunction, rank: number, compute: UniformType) {
  const uniforms: Record<PointwiseUniform, UniformType> = { n: "u32" };
  for (let i = 0; i < rank; i++) uniforms[`d${i}`] = "u32";
  for (const operand of operands) {
    uniforms[`num_${operand}`] = compute;
    for (let i = 0; i < rank; i++) uniforms[`${operand}_${i}`] = "u32";
  }
  return uniforms;
}

function buffersOf(fn: PointwiseFunction, spec: PointwiseSpec): ByName<PointwiseBinding, Binding> {
  const result = `array<${wide(stored(spec.out), spec.width)}>`;
  const operands = operandsOf(fn, spec)
    .filter(({ inner }) => inner !== "s")
    .map(({ name, type, inner }) => {
      return [`in_${name}`, reads(`array<${inner === "1" ? wide(stored(type), spec.width) : stored(type)}>`)];
    });
  return { ...Object.fromEntries(operands), out: fn.inPlace ? updates(result) : writes(result) };
}

/** Statements that declare `c0`.., the coordinates of group `i`, innermost first. */
function coordinates(rank: number, width: 1 | 4): string {
  return unroll(rank, (j) => {
    const axis = rank - 1 - j;
    const extent = j === 0 && width === 4 ? `(u.d${axis} / 4u)` : `u.d${axis}`;
    return axis === 0 ? "let c0 = rest;" : `let c${axis} = rest % ${extent}; rest = rest / ${extent};`;
  });
}

/** Where group `i` finds an operand whose inner axis is contiguous, or constant. */
function place(operand: string, isContiguous: boolean, rank: number, width: 1 | 4): string {
  if (rank === 0) return isContiguous ? "i" : "0u";
  const scale = isContiguous && width === 4 ? " / 4u" : "";
  const outer = Array.from({ length: rank - 1 }, (_, i) => `c${i} * u.${operand}_${i}${scale}`);
  return [...outer, ...(isContiguous ? [`c${rank - 1}`] : [])].join(" + ") || "0u";
}

function source(fn: PointwiseFunction, rank: number, spec: PointwiseSpec): string {
  const { width, out } = spec;
  const loads = operandsOf(fn, spec).map(({ name, type, inner }) => {
    if (inner === "s") return `let ${name} = T(u.num_${name});`;
    const value = `in_${name}[${place(name, inner === "1", rank, width)}]`;
    return `let ${name} = ${loaded(inner === "1" ? value : `${wide(stored(type), width)}(${value})`, type, spec)};`;
  });
  const kept = out === "bool" ? "min(result, U(1u))" : `${wide(stored(out), width)}(result)`;
  return `
${mathTypes(width, spec.compute)}
${calledFunctions(fn.expr, fn.functions ?? {}).join("\n")}
fn compute(i: u32) {
  ${rank > 0 ? "var rest = i;" : ""}
  ${coordinates(rank, width)}
  ${loads.join("\n")}
  ${fn.inPlace ? `let y = ${loaded("out[i]", out, spec)};` : ""}
  let result = ${fn.expr};
  out[i] = ${fn.isTruth ? "select(U(0u), U(1u), result)" : kept};
}
${entry()} {
  let first = ${LINEAR_GROUP} * ${PER_GROUP}u + li;
  ${unroll(ITEMS, (j) => `if (first + ${j * GROUP}u < u.n) { compute(first + ${j * GROUP}u); }`)}
}`;
}

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1);

function rowsOf(fn: PointwiseFunction, rank: number, dims: Dims<PointwiseUniform>, spec: PointwiseSpec): RowAxis {
  const extents = Array.from({ length: rank }, (_, i) => dims[`d${i}`] ?? 1);
  // An operand goes along with the result as far as the first axis that it is broadcast over.
  const apart = operandsOf(fn, spec).flatMap(({ name, inner }) => {
    if (rank === 0) return inner === "0" ? [[`in_${name}`, 1]] : [];
    const first = extents.findIndex((_, i) => (i === rank - 1 ? inner === "0" : dims[`${name}_${i}`] === 0));
    return first < 0 ? [] : [[`in_${name}`, product(extents.slice(0, first))]];
  });
  const blocks = rank > 0 ? product(extents) : dims.n * spec.width;
  return { axis: 0, units: dims.n, perGroup: PER_GROUP, fold: true, blocks, apart: Object.fromEntries(apart) };
}

const kernels = new Map<string, PointwiseKernel>();

/**
 * The kernel of `fn` over `rank` broadcast axes (0: all operands are contiguous or one value), computed in `compute`.
 */
export const pointwiseKernel = (fn: PointwiseFunction, rank: number, compute: UniformType): PointwiseKernel =>
  plainKernel({ ...fn, functions: { ...MATH, ...fn.functions } }, rank, compute);

/** The same of an expression that calls no function but its own, not even of math.ts. */
export function plainKernel(fn: PointwiseFunction, rank: number, compute: UniformType): PointwiseKernel {
  const { name, operands, expr, isTruth = false, inPlace = false } = fn;
  const id = `${compute}/${name}/${operands.join()}/${rank}/${isTruth}/${inPlace}: ${expr}`;
  const known = kernels.get(id);
  if (known) return known;
  const kernel: PointwiseKernel = {
    name: rank === 0 ? name : `${name}.broadcast${rank}`,
    uniforms: uniformsOf(fn, rank, compute),
    bindings: (spec) => buffersOf(fn, spec),
    source: (spec) => source(fn, rank, spec),
    grid: ({ n }) => linearGrid(ceilDiv(n, PER_GROUP)),
    rows: (dims, spec) => rowsOf(fn, rank, dims, spec),
  };
  kernels.set(id, kernel);
  return kernel;
}
