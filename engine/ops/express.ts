// Derivatives of derivatives of pointwise functions: the WGSL line of a derivative, read as ops on tensors, which have
// derivatives themselves. Only names that stand here are known; what uses others has no second derivative.

import { isFloat } from "../dtype.ts";
import type { KnownFunctions } from "../graph.ts";
import type { Tensor } from "../tensor.ts";
import { elementwise } from "./elementwise.ts";
import * as p from "./pointwise.ts";
import { cast } from "./view.ts";

type Value = Tensor | number | boolean;
type Real = Tensor | number;

const unary =
  (op: (x: Tensor) => Tensor, number: (x: number) => number) =>
  (x: Real): Real =>
    typeof x === "number" ? number(x) : op(x);
const binary =
  (op: (a: Real, b: Real) => Tensor, number: (a: number, b: number) => number) =>
  (a: Real, b: Real): Real =>
    typeof a === "number" && typeof b === "number" ? number(a, b) : op(a, b);
const compared =
  (op: (a: Real, b: Real) => Tensor, number: (a: number, b: number) => boolean) =>
  (a: Real, b: Real): Value =>
    typeof a === "number" && typeof b === "number" ? number(a, b) : op(a, b);

const add = binary(p.add, (a, b) => a + b);
const sub = binary(p.sub, (a, b) => a - b);
const mul = binary(p.mul, (a, b) => a * b);
const div = binary(p.div, (a, b) => a / b);
const exp = unary(p.exp, Math.exp);
const log = unary(p.log, Math.log);
const tanh = unary(p.tanh, Math.tanh);
const sigmoid = unary(p.sigmoid, (x) => 1 / (1 + Math.exp(-x)));
const neg = (x: Real): Real => mul(-1, x);
const lt = compared(p.lt, (a, b) => a < b);
const le = compared(p.le, (a, b) => a <= b);
const eq = compared(p.eq, (a, b) => a === b);

function select(otherwise: Real, chosen: Real, cond: Value): Real {
  if (typeof cond === "boolean") return cond ? chosen : otherwise;
  const value = p.where(cond as Tensor, chosen, otherwise);
  // Of whole numbers it makes integers.
  return isFloat(value.dtype) ? value : cast(value, "f32");
}

const not = (a: Value): Value => (typeof a === "object" ? p.eq(a, 0) : !a);
const both = (a: Value, b: Value): Value =>
  typeof a === "boolean" ? a && b : typeof b === "boolean" ? b && a : p.mul(a as Tensor, b as Tensor);

/** Functions that are no ops of their own: differences to 1 of those that are would lose what small values have. */
const derived = (name: string, grad: string): ((x: Real) => Real) =>
  elementwise({ name, operands: ["x"], y: `${name}(x)`, grads: { x: grad } });
const phi = derived("phi", "g * density(x)");
const sechSquared = derived("sech_squared", "T(-2.0) * g * exact_tanh(x) * sech_squared(x)");
const density = (x: Real): Real => mul(0.3989422804014327, exp(mul(-0.5, mul(x, x))));
const maximum = binary(p.maximum, Math.max);
const minimum = binary(p.minimum, Math.min);

/** The functions of kernels/pointwise.ts that derivatives use. */
const FUNCTIONS: Readonly<Record<string, (...args: never[]) => Value>> = {
  T: (x: Value) => x,
  select,
  lt,
  le,
  eq,
  exp,
  exact_exp: exp,
  log,
  exact_log: log,
  tanh,
  safe_tanh: tanh,
  exact_tanh: tanh,
  sigmoid,
  sqrt: unary(p.sqrt, Math.sqrt),
  inverseSqrt: unary(p.rsqrt, (x) => 1 / Math.sqrt(x)),
  abs: unary(p.abs, Math.abs),
  sign: (x: Real) => sub(select(0, 1, lt(0, x)), select(0, 1, lt(x, 0))),
  softplus: unary(p.softplus, (x) => Math.log1p(Math.exp(x))),
  max: maximum,
  highest: maximum,
  min: minimum,
  lowest: minimum,
  any_nan: (x: Value) => x,
  density,
  passes: (x: Real) => not(le(x, 0)),
  phi,
  sech_squared: sechSquared,
  gelu_inner: (x: Real) => mul(1.5957691216057308, add(x, mul(0.044715, mul(x, mul(x, x))))),
  gelu_slope: (x: Real) => mul(1.5957691216057308, add(1, mul(0.134145, mul(x, x)))),
};

/** Binary operators by how tightly they bind, loosest first. */
const OPERATORS: readonly Readonly<Record<string, (a: never, b: never) => Value>>[] = [
  { "&": both },
  {
    "==": eq,
    "!=": compared(p.ne, (a, b) => a !== b),
    "<": lt,
    "<=": le,
    ">": (a: Real, b: Real) => lt(b, a),
    ">=": (a: Real, b: Real) => le(b, a),
  },
  { "+": add, "-": sub },
  { "*": mul, "/": div },
];

/**
 * The expression `text` in the given operands, of which `g` is one; undefined if it uses what is known neither here nor
 * to the caller.
 * @internal
 */
export function express(
  text: string,
  operands: Readonly<Record<string, Real>>,
  own: KnownFunctions = {},
): Tensor | undefined {
  const functions = { ...FUNCTIONS, ...own } as Readonly<Record<string, (...args: Value[]) => Value>>;
  const tokens = text.match(/[\d.]+(?:e[+-]?\d+)?|\w+|[=!<>]=|\S/g) ?? [];
  if (
    tokens.some(
      (word, i) => /^[a-z]/i.test(word) && !(word in operands) && !(tokens[i + 1] === "(" && word in functions),
    )
  )
    return undefined;
  let at = 0;
  const term = (): Value => {
    const token = tokens[at++]!;
    if (token === "-") return neg(term() as Real);
    if (token === "(") {
      const value = level(0);
      at += 1;
      return value;
    }
    if (tokens[at] === "(" && token in functions) {
      const args: Value[] = [];
      while (tokens[at] === "(" || tokens[at] === ",") {
        at += 1;
        args.push(level(0));
      }
      at += 1;
      return functions[token]!(...args);
    }
    return operands[token] ?? Number(token);
  };
  const level = (i: number): Value => {
    const known = OPERATORS[i];
    if (!known) return term();
    let value = level(i + 1);
    for (let op = known[tokens[at]!]; op; op = known[tokens[at]!]) {
      at += 1;
      value = op(value as never, level(i + 1) as never);
    }
    return value;
  };
  const value = level(0);
  // Where an exponent decides, a derivative can be a number: 0.
  return typeof value === "object" ? value : p.mul(operands.g as Tensor, Number(value));
}
