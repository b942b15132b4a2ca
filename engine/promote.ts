// The dtype rules, all of them: in which dtype operands meet, and what an op makes of it. PyTorch's type promotion for
// the dtypes of this engine; docs/dtypes.md shows it as tables, and test/engine/dtypes.test.ts tries every op on every
// pair of dtypes.

import { type DType, isFloat } from "./dtype.ts";
import { DTypeError } from "./errors.ts";
import type { Described } from "./shape.ts";

/** What takes part in a promotion: a tensor, or a number beside tensors. */
export type Joining = Described | number;

/**
 * What an op makes of the dtype in which its operands meet: `any` keeps it, `numeric` refuses bool, `counting` takes
 * bool as i32, `float` takes bool and integers as f32.
 */
export type DTypeRule = "any" | "numeric" | "counting" | "float";

const ORDER: readonly DType[] = ["bool", "u32", "i32", "f16", "f32"];
const MAX_I32 = 2 ** 31 - 1;
/** The numbers that an integer dtype holds. */
const RANGES: Partial<Record<DType, readonly [number, number]>> = {
  i32: [-(2 ** 31), MAX_I32],
  u32: [0, 2 ** 32 - 1],
};

const kind = (dtype: DType): number => (isFloat(dtype) ? 2 : dtype === "bool" ? 0 : 1);

const higher = (a: DType | undefined, b: DType): DType =>
  a !== undefined && ORDER.indexOf(a) > ORDER.indexOf(b) ? a : b;

/**
 * The dtype in which `operands` meet: the highest of bool < u32 < i32 < f16 < f32 among the tensors with axes. Scalar
 * tensors, and after them numbers, raise it only where they are of a higher kind (bool < integer < float), a number
 * with a fraction to f32 and a whole one to i32. Beside u32 a negative number asks for i32; where numbers alone ask for
 * an integer, one from 2^31 on asks for u32.
 * @throws DTypeError for a whole number that the integer dtype does not hold.
 */
export function promote(op: string, operands: readonly Joining[]): DType {
  // The highest of all, and by far the commonest.
  if (operands.some((x) => typeof x !== "number" && x.dtype === "f32" && x.shape.length > 0)) return "f32";
  let axes: DType | undefined;
  let scalars: DType | undefined;
  let numbers: DType | undefined;
  let [least, most] = [0, 0];
  for (const operand of operands) {
    if (typeof operand !== "number") {
      if (operand.shape.length > 0) axes = higher(axes, operand.dtype);
      else scalars = higher(scalars, operand.dtype);
    } else if (Number.isInteger(operand)) {
      numbers = higher(numbers, "i32");
      [least, most] = [Math.min(least, operand), Math.max(most, operand)];
    } else numbers = "f32";
  }
  let dtype: DType = "bool";
  for (const next of [axes, scalars, numbers]) if (next && kind(next) > kind(dtype)) dtype = next;
  if (dtype === "u32" && least < 0) dtype = "i32";
  const ofNumbers = !operands.some((operand) => typeof operand !== "number" && kind(operand.dtype) === 1);
  if (dtype === "i32" && ofNumbers && least === 0 && most > MAX_I32) dtype = "u32";
  checkNumber(op, least, dtype);
  checkNumber(op, most, dtype);
  return dtype;
}

/** `dtype` by the op's rule. @throws DTypeError for a bool that the op does not take. */
export function ruled(op: string, rule: DTypeRule, dtype: DType): DType {
  if (rule === "numeric" && dtype === "bool")
    throw new DTypeError(`${op}: the dtype must not be bool; got bool. Use cast(), or where() and eq() for masks.`);
  if (rule === "float" && !isFloat(dtype)) return "f32";
  return rule === "counting" && dtype === "bool" ? "i32" : dtype;
}

/** Checks that an element of `dtype` can hold `value`, cut towards zero for integers. @throws DTypeError */
export function checkNumber(op: string, value: number, dtype: DType): void {
  const range = RANGES[dtype];
  if (range && !(Math.trunc(value) >= range[0] && Math.trunc(value) <= range[1]))
    throw new DTypeError(`${op}: a number among ${dtype} must lie in ${range[0]}..${range[1]}; got ${value}. Use f32.`);
}

/**
 * The operand (its place) that may be negative where another may exceed 2^31 - 1, so that neither i32 nor u32 holds
 * both; -1 for none.
 * @throws DTypeError for a whole number beyond both.
 */
export function mixedSign(op: string, operands: readonly Joining[]): number {
  const is = (operand: Joining, dtype: DType, number: (value: number) => boolean): boolean =>
    typeof operand === "number" ? number(operand) : operand.dtype === dtype;
  const isWhole = operands.every((o) => (typeof o === "number" ? Number.isInteger(o) : !isFloat(o.dtype)));
  if (!isWhole || !operands.some((o) => is(o, "u32", (value) => value > MAX_I32))) return -1;
  const at = operands.findIndex((o) => is(o, "i32", (value) => value < 0));
  if (at >= 0) for (const o of operands) if (typeof o === "number") checkNumber(op, o, o < 0 ? "i32" : "u32");
  return at;
}
