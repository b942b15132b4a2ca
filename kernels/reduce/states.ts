// The arithmetic of reductions: the state each keeps, how it absorbs an element, merges with another and ends.
// Texts hold for scalars and for vec4 (four lines, or four interleaved parts of one). Numerics: f32 states; var merges
// (n, mean, m2) as Chan et al. (1983); logsumexp keeps a running maximum; NaN and infinity are found by their bits, for
// WGSL lets compilers assume that there are none, and literals of them do not compile.

import type { StorageType } from "../kernel.ts";

export type ReduceOp = "sum" | "mean" | "max" | "min" | "var" | "logsumexp" | "argmax" | "argmin";

/** Whether a reduction adds floats up, so that the order matters. @internal */
export const isSum = (op: ReduceOp, dtype: StorageType): boolean =>
  isFloat(dtype) && (op === "sum" || op === "mean" || op === "var" || op === "logsumexp");

/** WGSL types of registers. @internal */
export type RegisterType = "f32" | "i32" | "u32";

/** One 32-bit word of a state, and its value before any element. */
interface Field {
  readonly name: string;
  readonly type: RegisterType;
  readonly start: string;
}

/** `T`, or a vec4 of it: the type that texts are written for. */
type Widen = (type: RegisterType) => string;

/** A reduction's state and arithmetic, as WGSL expressions, one per field. @internal */
export interface Reduction {
  readonly fields: readonly Field[];
  /** The state `s` after the element `x` at position `k`. */
  readonly absorb: (v: Widen) => readonly string[];
  /** The states `a` and `b` together. */
  readonly merge: (v: Widen) => readonly string[];
  /** The result of the scalar state `s`; `u.count` is the divisor. */
  readonly finish: string;
}

/** Type of an element in registers. @internal */
export const registerType = (dtype: StorageType): RegisterType => (dtype === "f16" ? "f32" : dtype);

/** 32-bit words that a state takes in memory: a power of two. @internal */
export function stateWords(op: ReduceOp, dtype: StorageType): 1 | 2 | 4 {
  const n = reduction(op, dtype).fields.length;
  return n > 2 ? 4 : n === 2 ? 2 : 1;
}

/**
 * Declarations that the texts below refer to. Infinities and NaN come from variables: constants of them do not compile.
 * @internal
 */
export const REDUCTION_CONSTANTS = `
const MAGNITUDE = 0x7fffffffu;
const INFINITY = 0x7f800000u;
const MINUS_INFINITY = 0xff800000u;
var<private> infinity_bits: u32 = INFINITY;
var<private> nan_bits: u32 = 0x7fc00000u;`;

const LARGEST = "3.4028234e38";
const NAN = "bitcast<f32>(nan_bits)";

const isFloat = (dtype: StorageType): boolean => dtype === "f32" || dtype === "f16";

function sum(dtype: StorageType, finish: string): Reduction {
  const type = registerType(dtype);
  return {
    fields: [{ name: "total", type, start: `${type}()` }],
    absorb: () => ["s.total + x"],
    merge: () => ["a.total + b.total"],
    finish,
  };
}

// `odd` gathers the bits of the largest magnitude: NaN stands above infinity there.
function extreme(dtype: StorageType, pick: "max" | "min"): Reduction {
  const type = registerType(dtype);
  const start = {
    f32: `bitcast<f32>(infinity_bits${pick === "max" ? " | ~MAGNITUDE" : ""})`,
    i32: pick === "max" ? "i32(-2147483647 - 1)" : "2147483647i",
    u32: pick === "max" ? "0u" : "4294967295u",
  }[type];
  const best: Field = { name: "best", type, start };
  if (!isFloat(dtype)) {
    return {
      fields: [best],
      absorb: () => [`${pick}(s.best, x)`],
      merge: () => [`${pick}(a.best, b.best)`],
      finish: "s.best",
    };
  }
  return {
    fields: [best, { name: "odd", type: "u32", start: "0u" }],
    absorb: (v) => [`${pick}(s.best, x)`, `max(s.odd, bitcast<${v("u32")}>(x) & ${v("u32")}(MAGNITUDE))`],
    merge: () => [`${pick}(a.best, b.best)`, "max(a.odd, b.odd)"],
    finish: `select(s.best, ${NAN}, s.odd > INFINITY)`,
  };
}

const variance: Reduction = {
  fields: [
    { name: "n", type: "f32", start: "0.0" },
    { name: "mean", type: "f32", start: "0.0" },
    { name: "m2", type: "f32", start: "0.0" },
  ],
  absorb: () => [
    "s.n + 1.0",
    "s.mean + (x - s.mean) / (s.n + 1.0)",
    "s.m2 + (x - s.mean) * (x - (s.mean + (x - s.mean) / (s.n + 1.0)))",
  ],
  merge: (v) => {
    const share = `(b.n / max(a.n + b.n, ${v("f32")}(1.0)))`;
    const delta = "(b.mean - a.mean)";
    return ["a.n + b.n", `a.mean + ${delta} * ${share}`, `a.m2 + b.m2 + ${delta} * (${delta} * (a.n * ${share}))`];
  },
  finish: `select(${NAN}, s.m2 / max(u.count, 1.0), u.count > 0.0)`,
};

// The sum is of exp(x - top). `odd` holds the bits of an infinity or NaN that was met; -inf adds nothing and is none.
const logSumExp: Reduction = {
  fields: [
    { name: "top", type: "f32", start: `-${LARGEST}` },
    { name: "total", type: "f32", start: "0.0" },
    { name: "odd", type: "u32", start: "0u" },
  ],
  absorb: (v) => {
    const finite = `min(x, ${v("f32")}(${LARGEST}))`;
    const e = `exp(-abs(${finite} - s.top))`;
    const bits = `bitcast<${v("u32")}>(x)`;
    return [
      `max(s.top, ${finite})`,
      `select(s.total + ${e}, s.total * ${e} + 1.0, ${finite} > s.top)`,
      `max(s.odd, select(${bits}, ${v("u32")}(0u), ${bits} == ${v("u32")}(MINUS_INFINITY)) & ${v("u32")}(MAGNITUDE))`,
    ];
  },
  merge: () => [
    "max(a.top, b.top)",
    "a.total * exp(a.top - max(a.top, b.top)) + b.total * exp(b.top - max(a.top, b.top))",
    "max(a.odd, b.odd)",
  ],
  finish: "select(log(s.total) + s.top, bitcast<f32>(s.odd), s.odd >= INFINITY)",
};

// Keys are integers in the order of the numbers, with NaN on top and one key for both zeros; argmin reverses the order.
function argument(dtype: StorageType, op: "argmax" | "argmin"): Reduction {
  const ordered = (v: Widen): string => {
    const reversed = op === "argmin" ? "~" : "";
    const whole = v("i32");
    if (dtype === "i32") return `${reversed}x`;
    if (dtype === "u32") return `${reversed}bitcast<${whole}>(x ^ ${v("u32")}(~MAGNITUDE))`;
    const bits = `bitcast<${whole}>(x)`;
    const magnitude = `(${bits} & ${whole}(0x7fffffff))`;
    const signed = `select(${magnitude}, -${magnitude}, ${bits} < ${whole}(0))`;
    return `select(${reversed}(${signed}), ${whole}(2147483647), ${magnitude} > ${whole}(0x7f800000))`;
  };
  const better = "(b.key > a.key) | ((b.key == a.key) & (b.at < a.at))";
  return {
    fields: [
      { name: "key", type: "i32", start: "i32(-2147483647 - 1)" },
      { name: "at", type: "u32", start: "4294967295u" },
    ],
    absorb: (v) => {
      const key = ordered(v);
      const wins = `(${key} > s.key) | ((${key} == s.key) & (k < s.at))`;
      return [`select(s.key, ${key}, ${wins})`, `select(s.at, k, ${wins})`];
    },
    merge: () => [`select(a.key, b.key, ${better})`, `select(a.at, b.at, ${better})`],
    finish: "i32(s.at)",
  };
}

/** The arithmetic of `op` on elements of `dtype`. @internal */
export function reduction(op: ReduceOp, dtype: StorageType): Reduction {
  switch (op) {
    case "sum":
      return sum(dtype, "s.total");
    case "mean":
      return sum(dtype, `select(${NAN}, s.total / u.count, u.count > 0.0)`);
    case "max":
    case "min":
      return extreme(dtype, op);
    case "var":
      return variance;
    case "logsumexp":
      return logSumExp;
    default:
      return argument(dtype, op);
  }
}
