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
  unroll,
  wgsl,
} from "./kernel.ts";

/** A function of named operands; names are WGSL identifiers of one or more letters that `expr` uses. */
export interface PointwiseFunction {
  readonly name: string;
  readonly operands: readonly string[];
  /** WGSL in the operands' names, valid for f32 and vec4f alike: constants as `T(0.5)`. */
  readonly expr: string;
  /** The expression is a truth value (bool or vec4<bool>), stored as 0 or 1. */
  readonly isTruth?: boolean;
  /** The result replaces what is there, which the expression may use as `y`. */
  readonly inPlace?: boolean;
}

/** Dtypes and layout of one call. */
export interface PointwiseSpec extends Spec {
  /** Storage dtypes of the operands, comma-separated, e.g. `f32,bool`. */
  readonly types: string;
  /** Dtype in which the expression is computed: f32, i32 or u32. */
  readonly compute: string;
  /** Dtype of the result. */
  readonly out: string;
  /** Per operand: `1` contiguous inner axis, `0` constant along it, `s` a number in the uniforms. */
  readonly inner: string;
  readonly width: 1 | 4;
}

const WORKGROUP = 64;
const ITEMS = 4;

/** Functions that expressions may call; written for T, so that they serve vectors and scalars. */
const HELPERS: Readonly<Record<string, string>> = {
  is_nan: "fn is_nan(x: T) -> B { return (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u); }",
  any_nan: "fn any_nan(a: T, b: T) -> T { return select(a, b, is_nan(b)); }",
  // Taylor series where it converges fast; beyond, Chebyshev fit of erfc (relative error 1.2e-7, W. H. Press et al.).
  erf: `fn erf(x: T) -> T {
  let a = abs(x);
  let s = x * x;
  var q = T(1.646211e-6);
  q = T(-1.4925650e-5) + s * q;
  q = T(1.2055333e-4) + s * q;
  q = T(-8.5483270e-4) + s * q;
  q = T(5.2239776e-3) + s * q;
  q = T(-2.6866171e-2) + s * q;
  q = T(0.11283792) + s * q;
  q = T(-0.37612639) + s * q;
  let small = x * (T(1.1283792) + s * q);
  let t = T(1.0) / (T(1.0) + T(0.5) * a);
  var p = T(-0.82215223) + t * T(0.17087277);
  p = T(1.48851587) + t * p;
  p = T(-1.13520398) + t * p;
  p = T(0.27886807) + t * p;
  p = T(-0.18628806) + t * p;
  p = T(0.09678418) + t * p;
  p = T(0.37409196) + t * p;
  p = T(1.00002368) + t * p;
  p = T(-1.26551223) + t * p;
  let tail = T(1.0) - t * exp(p - s);
  return select(sign(x) * tail, small, a < T(0.9));
}`,
  // tanh by exp overflows to NaN in some drivers; beyond 10 it is 1 in f32.
  safe_tanh: "fn safe_tanh(x: T) -> T { return tanh(clamp(x, T(-15.0), T(15.0))); }",
  sigmoid: "fn sigmoid(x: T) -> T { let e = exp(-abs(x)); return select(e, T(1.0), x >= T(0.0)) / (T(1.0) + e); }",
  // log(1 + e) = 2 atanh(e / (2 + e)): no cancellation for small e.
  softplus: `fn softplus(x: T) -> T {
  let e = exp(-abs(x));
  let z = e / (T(2.0) + e);
  let q = z * z;
  let series = T(1.0) + q * (T(1.0 / 3.0) + q * (T(1.0 / 5.0) + q * (T(1.0 / 7.0) + q * (T(1.0 / 9.0) + q * (T(1.0 / 11.0) + q * T(1.0 / 13.0))))));
  return max(x, T(0.0)) + T(2.0) * z * series;
}`,
  // |a|^b with the sign of an odd integral exponent; NaN for a fractional power of a negative base, as in C's pow.
  power: `var<private> nan_bits: u32 = 0x7fc00000u;
fn power(a: T, b: T) -> T {
  let whole = floor(b) == b;
  let odd = whole & (floor(b * T(0.5)) * T(2.0) != b);
  let m = abs(a);
  // Small integral exponents by multiplication: exact where exp2(b log2 a) is off by many ulps.
  let n = abs(b);
  var small = select(T(1.0), m, (n == T(1.0)) | (n == T(3.0)) | (n == T(5.0)) | (n == T(7.0)));
  small = small * select(T(1.0), m * m, (n == T(2.0)) | (n == T(3.0)) | (n == T(6.0)) | (n == T(7.0)));
  small = small * select(T(1.0), m * m * m * m, (n >= T(4.0)) & (n <= T(7.0)));
  small = select(small, T(1.0) / small, b < T(0.0));
  let other = select(exp2(b * log2(m)), T(1.0), b == T(0.0));
  let size = select(other, small, whole & (n <= T(7.0)));
  let signed = select(size, -size, odd & (a < T(0.0)));
  let result = select(signed, T(bitcast<f32>(nan_bits)), !whole & (a < T(0.0)));
  return select(any_nan(any_nan(result, a), b), T(1.0), (b == T(0.0)) | (a == T(1.0)));
}`,
  phi: "fn phi(x: T) -> T { return T(0.5) * (T(1.0) + erf(x * T(0.7071067811865476))); }",
};
const HELPER_NEEDS: Readonly<Record<string, readonly string[]>> = {
  any_nan: ["is_nan"],
  phi: ["erf"],
  power: ["is_nan", "any_nan"],
};

const uses = (expr: string, name: string): boolean => new RegExp(`\\b${name}\\b`).test(expr);

function helpersFor(expr: string): string[] {
  const names = new Set<string>();
  const add = (name: string) => {
    for (const need of HELPER_NEEDS[name] ?? []) add(need);
    names.add(name);
  };
  for (const name of Object.keys(HELPERS)) if (uses(expr, name)) add(name);
  return [...names].map((name) => HELPERS[name] as string);
}

const stored = (type: string): string => (type === "bool" ? "u32" : type);
const wide = (type: string, width: number): string => (width === 4 ? `vec4<${type}>` : type);

/** How an operand's stored value enters the expression. */
function loaded(value: string, type: string, spec: PointwiseSpec): string {
  if (type === "bool" && spec.compute !== "u32") return `select(T(0), T(1), ${value} != U(0u))`;
  return stored(type) === spec.compute ? value : `T(${value})`;
}

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1);

const kernels = new Map<string, Kernel<PointwiseSpec, string>>();

/** Uniforms: n (groups of `width`), the collapsed extents d0.., per operand its strides (`a0`..) or its number (`a`). */
export function pointwiseKernel(
  { name, operands, expr, isTruth = false, inPlace = false }: PointwiseFunction,
  rank: number,
): Kernel<PointwiseSpec, string> {
  const id = `${name}/${operands.join()}/${rank}/${isTruth}/${inPlace}: ${expr}`;
  const known = kernels.get(id);
  if (known) return known;
  const uniforms: Record<string, "u32" | "f32"> = { n: "u32" };
  for (let i = 0; i < rank; i++) uniforms[`d${i}`] = "u32";
  for (const operand of operands) {
    uniforms[`num_${operand}`] = "f32";
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
        if (inner === "s") return `let ${operand} = T(${compute === "f32" ? "" : compute}(u.num_${operand}));`;
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
      const result = isTruth ? "select(U(0u), U(1u), result)" : `${wide(stored(spec.out), width)}(result)`;
      return wgsl`
alias T = ${wide(compute, width)};
alias U = ${wide("u32", width)};
alias B = ${wide("bool", width)};
${helpersFor(expr)}
fn compute(i: u32) {
  ${rank > 0 ? "var rest = i;" : ""}
  ${coordinates}
  ${loads}
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
