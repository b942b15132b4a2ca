// The dtype rules (docs/dtypes.md): every op on every pair of dtypes and on numbers of every kind, against a table and
// host arithmetic in BigInt and float64 that know nothing of engine/promote.ts.

import * as s from "../../engine/index.ts";
import { type DType, read, SortieError, type Tensor, tensor, trace } from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { DTYPES, dtypes, isFloat, NUMBERS, TENSORS } from "./dtype-table.ts";

/** Elements of each dtype: what it holds exactly, at its edges, and beyond 2^24. */
const VALUES: Readonly<Record<DType, readonly number[]>> = {
  bool: [0, 1, 1, 0, 1, 0, 0, 1],
  u32: [0, 1, 2, 3, 16777217, 2147483647, 2147483648, 4294967295],
  i32: [0, 1, -1, 5, -7, 16777217, 2147483647, -2147483648],
  f16: [0, 1, -1, 0.5, -2.25, 7, 0.0999755859375, 300],
  f32: [0, 1, -1, 0.5, -2.25, 7, 16777216, 3e9],
};

const isSigned = (dtype: DType): boolean => dtype === "i32";

type Arithmetic = (a: number, b: number) => number;
type Exact = (a: bigint, b: bigint) => bigint;
/**
 * One op of two operands: its formulas in float64 and BigInt, and the dtype that it makes of the common one (undefined:
 * refused).
 */
interface Rule {
  readonly op: "add" | "sub" | "mul" | "div" | "pow" | "maximum" | "minimum" | "eq" | "ne" | "lt" | "le" | "gt" | "ge";
  readonly float: Arithmetic;
  readonly exact?: Exact;
  readonly result: (met: DType) => DType | undefined;
}

const same = (met: DType): DType => met;
const noBool = (met: DType): DType | undefined => (met === "bool" ? undefined : met);
const toFloat = (met: DType): DType => (isFloat(met) ? met : "f32");
const exactPower: Exact = (a, b) => {
  if (b < 0n) return a === 1n ? 1n : a === -1n ? (b % 2n === 0n ? 1n : -1n) : 0n;
  let [result, base, rest] = [1n, a, b];
  for (; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = BigInt.asUintN(32, result * base);
    base = BigInt.asUintN(32, base * base);
  }
  return result;
};
const RULES: readonly Rule[] = [
  { op: "add", float: (a, b) => a + b, exact: (a, b) => a + b, result: same },
  { op: "sub", float: (a, b) => a - b, exact: (a, b) => a - b, result: noBool },
  { op: "mul", float: (a, b) => a * b, exact: (a, b) => a * b, result: same },
  { op: "div", float: (a, b) => a / b, result: toFloat },
  { op: "pow", float: (a, b) => a ** b, exact: exactPower, result: noBool },
  { op: "maximum", float: Math.max, exact: (a, b) => (a > b ? a : b), result: same },
  { op: "minimum", float: Math.min, exact: (a, b) => (a < b ? a : b), result: same },
];
const COMPARISONS: readonly (readonly [Rule["op"], (a: number | bigint, b: number | bigint) => boolean])[] = [
  ["eq", (a, b) => a === b],
  ["ne", (a, b) => a !== b],
  ["lt", (a, b) => a < b],
  ["le", (a, b) => a <= b],
  ["gt", (a, b) => a > b],
  ["ge", (a, b) => a >= b],
];

/** The number as an element of `dtype`: integers modulo 2^32, bool as 0 and 1, floats rounded. */
function stored(value: number | bigint, dtype: DType): number {
  if (dtype === "bool") return value ? 1 : 0;
  if (isFloat(dtype)) return Math.fround(Number(value));
  return Number(isSigned(dtype) ? BigInt.asIntN(32, BigInt(value)) : BigInt.asUintN(32, BigInt(value)));
}

const half = (x: number): number => {
  const bits = new Float32Array([x]);
  const [word] = new Uint32Array(bits.buffer);
  // Rounding to ten bits of fraction by the addition that makes the rest fall off; the values compared are no
  // subnormals.
  const rounded = (word as number) + 0x0fff + (((word as number) >>> 13) & 1);
  if (!Number.isFinite(x)) return x;
  const value = new Float32Array(new Uint32Array([rounded & 0xffffe000]).buffer)[0] as number;
  return Math.abs(value) > 65504 ? Math.sign(value) * Number.POSITIVE_INFINITY : value;
};

/** One thing to try: the call, and what must come of it. */
interface Trial {
  readonly label: string;
  readonly sides: readonly [Side, Side];
  /** On n elements: all pairs of the sides' elements, over and over. */
  readonly call: (n: number) => Tensor;
  readonly dtype: DType | undefined;
  readonly want: readonly number[];
}

type Side = { readonly dtype: DType; readonly values: readonly number[] } | number;

/** All pairs of elements of two sides; a number is beside every element. */
function pairs(a: Side, b: Side): (readonly [number, number])[] {
  const list = (side: Side): readonly number[] => (typeof side === "number" ? [side] : side.values);
  return list(a).flatMap((x) => list(b).map((y) => [x, y] as const));
}

const operand = (side: Side, at: 0 | 1, all: readonly (readonly [number, number])[], n: number): Tensor | number =>
  typeof side === "number"
    ? side
    : tensor(
        Float64Array.from({ length: n }, (_, i) => all[i % all.length]![at]),
        { dtype: side.dtype },
      );

const nameOf = (side: Side): string => (typeof side === "number" ? String(side) : side.dtype);

const isMixed = (a: Side, b: Side): boolean => [nameOf(a), nameOf(b)].sort().join() === "i32,u32";

const call = (op: Rule["op"], a: Side, b: Side, all: readonly (readonly [number, number])[]) => ({
  label: `${op}(${nameOf(a)}, ${nameOf(b)})`,
  sides: [a, b] as const,
  call: (n: number): Tensor => s[op](operand(a, 0, all, n) as Tensor, operand(b, 1, all, n)),
});

/** The trial of an arithmetic op on two sides that meet in `met`. */
function arithmetic({ op, float, exact, result }: Rule, a: Side, b: Side, met: DType | undefined): Trial {
  const all = pairs(a, b);
  // Only the exponent of a power may not be negative.
  const isRoot = op === "pow" && typeof b === "number" && b < 0 && met !== undefined && !isFloat(met);
  const dtype = met === undefined || isRoot ? undefined : result(met);
  const want = all.map(([x, y]) => {
    if (dtype === undefined) return 0;
    if (!isFloat(dtype) && exact) {
      const integer = dtype === "bool" ? "u32" : dtype;
      const value = exact(BigInt(stored(x, integer)), BigInt(stored(y, integer)));
      return stored(value, dtype);
    }
    const value = Math.fround(float(Math.fround(x), Math.fround(y)));
    return dtype === "f16" ? half(value) : value;
  });
  return { ...call(op, a, b, all), dtype, want };
}

/** The trial of a comparison: exact among integers, whatever their dtypes. */
function comparison([op, compare]: (typeof COMPARISONS)[number], a: Side, b: Side, met: DType | undefined): Trial {
  const all = pairs(a, b);
  const isBeyond = [a, b].some((side) => typeof side === "number" && (side < -(2 ** 31) || side >= 2 ** 32));
  const as = (x: number): number => (met === "f16" ? half(Math.fround(x)) : met === "f32" ? Math.fround(x) : x);
  return {
    ...call(op, a, b, all),
    dtype: met === undefined && isBeyond ? undefined : "bool",
    want: all.map(([x, y]) => Number(compare(as(x), as(y)))),
  };
}

/** Dtypes and refusals of trials, of which nothing runs: their kernels are made, and must be valid. */
function checkDTypes(trials: readonly Trial[]): void {
  trace(device(), () => {
    for (const { label, call, dtype } of trials) {
      if (dtype !== undefined) assert.is(call(64).dtype, dtype, label);
      else
        assert.throws(
          () => call(64),
          (error: unknown) => error instanceof SortieError,
          `${label} is not refused`,
        );
    }
  });
}

/** Elements of trials, with one wait. */
async function checkValues(trials: readonly Trial[]): Promise<void> {
  const kept = trials.filter(({ dtype }) => dtype !== undefined);
  // 65 elements keep to scalar kernels, which compile in a third of the time of those of four.
  const all = await read(kept.map(({ call }) => call(65)));
  for (const [k, { label, want, dtype }] of kept.entries()) {
    const tolerance = dtype === "f32" ? 4e-7 : dtype === "f16" ? 1e-3 : 0;
    const least = dtype === "f16" ? 2 ** -24 : 0;
    assert.is(all[k]!.length, 65);
    all[k]!.forEach((got, i) => {
      const w = want[i % want.length] as number;
      const isRight =
        got === w || (Number.isNaN(got) && Number.isNaN(w)) || Math.abs(got - w) <= tolerance * Math.abs(w) + least;
      if (!isRight) throw new Error(`${label}, element ${i}: got ${got}, want ${w}`);
    });
  }
}

const side = (dtype: DType): Side => ({ dtype, values: VALUES[dtype] });
type Make = (a: Side, b: Side, met: DType | undefined) => Trial;

/** The cases of `make` over all pairs of dtypes. */
const ofTensors = (make: Make): Trial[] =>
  dtypes().flatMap((a) => dtypes().map((b) => make(side(a), side(b), TENSORS[DTYPES.indexOf(a)]![DTYPES.indexOf(b)])));

/** The cases of `make` over all dtypes and numbers, on both sides. */
const ofNumbers = (make: Make): Trial[] =>
  dtypes().flatMap((a) =>
    NUMBERS.flatMap(([number, met]) => [
      make(side(a), number, met[DTYPES.indexOf(a)]),
      make(number, side(a), met[DTYPES.indexOf(a)]),
    ]),
  );

const test = gpuSuite("dtype rules", { timeout: 120_000 });
const MAKERS: readonly (readonly [Rule["op"], Make])[] = [
  ...RULES.map((rule) => [rule.op, (a: Side, b: Side, met: DType | undefined) => arithmetic(rule, a, b, met)] as const),
  ...COMPARISONS.map(
    (rule) => [rule[0], (a: Side, b: Side, met: DType | undefined) => comparison(rule, a, b, met)] as const,
  ),
];

test("every op on every pair of dtypes, and on every number", () => {
  for (const [, make] of MAKERS) checkDTypes([...ofTensors(make), ...ofNumbers(make)]);
});

for (const [op, make] of MAKERS) {
  test(`elements of ${op}`, async () => {
    // How operands are read and numbers travel is common to all ops: two of them try it all, the others each
    // computation.
    const isThorough = op === "add" || op === "lt";
    const own = ([...ofTensors(make), ...ofNumbers(make)] as const).filter(
      ({ sides: [a, b] }) =>
        isThorough ||
        nameOf(a) === nameOf(b) ||
        (typeof b === "number" && [3, 16777217, -1, 0.1].includes(b)) ||
        isMixed(a, b),
    );
    await checkValues(own);
  });
}
