// y = f(operands), element by element, with NumPy broadcasting.
// One text per function, dtypes and stride pattern. A thread computes ITEMS groups of `width` neighbouring elements, so loads
// are vec4 wherever every operand's inner stride is 1 (contiguous) or 0 (one value for the whole inner axis).
// Numerics: f16 is widened, all float arithmetic is f32. NaN and infinity are told by their bits, since WGSL lets a
// compiler assume they do not occur.

import {
  ceilDiv,
  type Dims,
  ENTRY,
  type Kernel,
  LINEAR_GROUP,
  linearGrid,
  type RowAxis,
  type Spec,
  type UniformType,
  unroll,
} from "./kernel.ts";
import { mathFunctions, mathTypes } from "./shared/math.ts";

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

const WORKGROUP = 64;
const ITEMS = 4;

const stored = (type: string): string => (type === "bool" ? "u32" : type);
const wide = (type: string, width: number): string => (width === 4 ? `vec4<${type}>` : type);

/** How an operand's stored value enters the expression. */
function loaded(value: string, type: string, spec: PointwiseSpec): string {
  if (type === "bool" && spec.compute !== "u32") return `select(T(0), T(1), ${value} != U(0u))`;
  return stored(type) === spec.compute ? value : `T(${value})`;
}

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1);

const kernels = new Map<string, Kernel<PointwiseSpec, string>>();

/** Text for a `compute` dtype. Uniforms: n (groups of `width`), the collapsed extents d0.., per operand its strides (`a0`..) or its number (`a`). */
export function pointwiseKernel(
  { name, operands, expr, functions, isTruth = false, inPlace = false }: PointwiseFunction,
  rank: number,
  compute: UniformType,
): Kernel<PointwiseSpec, string> {
  const id = `${compute}/${name}/${operands.join()}/${rank}/${isTruth}/${inPlace}: ${expr}`;
  const known = kernels.get(id);
  if (known) return known;
  const uniforms: Record<string, UniformType> = { n: "u32" };
  for (let i = 0; i < rank; i++) uniforms[`d${i}`] = "u32";
  for (const operand of operands) {
    uniforms[`num_${operand}`] = compute;
    for (let i = 0; i < rank; i++) uniforms[`${operand}_${i}`] = "u32";
  }
  const types = (spec: PointwiseSpec) => spec.types.split(",");
  const kernel: Kernel<PointwiseSpec, string> = {
    name: rank === 0 ? name : `${name}.broadcast${rank}`,
    uniforms,
    features: (spec) => (`${spec.types},${spec.out}`.includes("f16") ? ["f16"] : []),
    bindings: (spec) => [
      ...operands.flatMap((operand, k) => {
        const inner = spec.inner[k];
        if (inner === "s") return [];
        const type = stored(types(spec)[k] as string);
        return [
          {
            name: `in_${operand}`,
            access: "read" as const,
            type: `array<${inner === "1" ? wide(type, spec.width) : type}>`,
          },
        ];
      }),
      { name: "out", access: inPlace ? "update" : "write", type: `array<${wide(stored(spec.out), spec.width)}>` },
    ],
    source: (spec) => {
      const { compute, width } = spec;
      const position = (i: number) => `c${i}`;
      const coordinates = Array.from({ length: rank }, (_, j) => rank - 1 - j).map((i) => {
        const extent = i === rank - 1 && width === 4 ? `(u.d${i} / 4u)` : `u.d${i}`;
        return i === 0 ? `let c0 = rest;` : `let ${position(i)} = rest % ${extent}; rest = rest / ${extent};`;
      });
      const loads = operands.map((operand, k) => {
        const type = types(spec)[k] as string;
        const inner = spec.inner[k];
        if (inner === "s") return `let ${operand} = T(u.num_${operand});`;
        const terms = Array.from({ length: rank }, (_, i) =>
          i === rank - 1
            ? inner === "1"
              ? position(i)
              : ""
            : `${position(i)} * u.${operand}_${i}${width === 4 && inner === "1" ? " / 4u" : ""}`,
        ).filter((term) => term !== "");
        const index = rank === 0 ? (inner === "1" ? "i" : "0u") : terms.join(" + ") || "0u";
        const value =
          inner === "1" ? `in_${operand}[${index}]` : `${wide(stored(type), width)}(in_${operand}[${index}])`;
        return `let ${operand} = ${loaded(value, type, spec)};`;
      });
      const isBool = spec.out === "bool";
      const kept = isBool ? "min(result, U(1u))" : `${wide(stored(spec.out), width)}(result)`;
      const result = isTruth ? "select(U(0u), U(1u), result)" : kept;
      return `
${mathTypes(width, compute)}
${mathFunctions(expr, functions).join("\n")}
fn compute(i: u32) {
  ${rank > 0 ? "var rest = i;" : ""}
  ${coordinates.join("\n")}
  ${loads.join("\n")}
  ${inPlace ? `let y = ${loaded("out[i]", spec.out, spec)};` : ""}
  let result = ${expr};
  out[i] = ${result};
}
@compute @workgroup_size(${WORKGROUP}) fn main(${ENTRY}) {
  let first = ${LINEAR_GROUP} * ${WORKGROUP * ITEMS}u + li;
  ${unroll(ITEMS, (j) => `if (first + ${j * WORKGROUP}u < u.n) { compute(first + ${j * WORKGROUP}u); }`)}
}`;
    },
    grid: (dims: Dims) => linearGrid(ceilDiv(dims.n as number, WORKGROUP * ITEMS)),
    rows: (dims, spec) => {
      const extents = Array.from({ length: rank }, (_, i) => dims[`d${i}`] as number);
      const blocks = rank > 0 ? product(extents) : (dims.n as number) * spec.width;
      // An operand goes along with the result as far as the first axis that it is broadcast over.
      const apart = operands.flatMap((operand, k) => {
        const inner = rank - 1;
        const first = extents.findIndex((_, i) =>
          i === inner ? spec.inner[k] === "0" : dims[`${operand}_${i}`] === 0,
        );
        if (rank === 0) return spec.inner[k] === "0" ? [[`in_${operand}`, 1]] : [];
        return first < 0 ? [] : [[`in_${operand}`, product(extents.slice(0, first))]];
      });
      const axis: RowAxis = { axis: 0, units: dims.n as number, perGroup: WORKGROUP * ITEMS, fold: true, blocks };
      return { ...axis, apart: Object.fromEntries(apart) };
    },
  };
  kernels.set(id, kernel);
  return kernel;
}
