// Elementary functions and comparisons for kernels' expressions, written for T (f32 or vec4f), so that they do not
// depend on a driver: WGSL lets exp, log and tanh be off by many units in the last place, and lets a compiler assume
// that no NaN or infinity occurs. So values are told by their bits, and functions are made of products and sums. Worst
// errors: bench/results/accuracy-*.md. Sources: exp, log, tanh: S. Moshier, Cephes (expf, logf, tanhf). erf: Taylor
// series where it converges fast; erfc: Chebyshev fit, relative error 1.2e-7 (W. H. Press et al., Numerical Recipes).

import { calledFunctions } from "./functions.ts";

/** `c0 + x (c1 + x (c2 ...))` for coefficients from the highest down. */
export const polynomial = (x: string, [first, ...rest]: readonly number[]): string =>
  rest.reduce((sum, c) => `(${sum} * ${x} + T(${c}))`, `T(${first})`);

/** The functions by name. */
export const MATH: Readonly<Record<string, string>> = {
  // Infinity and NaN come from a variable, since constants of them do not compile.
  special: `var<private> infinity_bits: u32 = 0x7f800000u;
fn special(more: u32) -> T { return T(bitcast<f32>(infinity_bits | more)); }`,
  magnitude: "fn magnitude(x: T) -> U { return bitcast<U>(x) & U(0x7fffffffu); }",
  is_nan: "fn is_nan(x: T) -> B { return magnitude(x) > U(0x7f800000u); }",
  any_nan: "fn any_nan(a: T, b: T) -> T { return select(a, b, is_nan(b)); }",
  // Integers in the order of the numbers; both zeros are 0.
  order: `fn order(x: T) -> I {
  let m = bitcast<I>(magnitude(x));
  return select(m, -m, bitcast<I>(x) < I(0));
}`,
  eq: "fn eq(a: T, b: T) -> B { return (order(a) == order(b)) & !(is_nan(a) | is_nan(b)); }",
  lt: "fn lt(a: T, b: T) -> B { return (order(a) < order(b)) & !(is_nan(a) | is_nan(b)); }",
  le: "fn le(a: T, b: T) -> B { return (order(a) <= order(b)) & !(is_nan(a) | is_nan(b)); }",
  highest: "fn highest(a: T, b: T) -> T { return any_nan(any_nan(max(a, b), a), b); }",
  lowest: "fn lowest(a: T, b: T) -> T { return any_nan(any_nan(min(a, b), a), b); }",
  rectified: "fn rectified(x: T) -> T { return any_nan(max(x, T(0.0)), x); }",
  // Where relu lets gradients through: above 0, and at NaN as in PyTorch.
  passes: "fn passes(x: T) -> B { return (bitcast<I>(x) > I(0)) | is_nan(x); }",
  // x 2^n in two steps, so that results may be subnormal or overflow; |n| < 254.
  scale: `fn scale(x: T, n: T) -> T {
  let half = I(n) >> U(1u);
  return x * bitcast<T>((half + I(127)) << U(23u)) * bitcast<T>((I(n) - half + I(127)) << U(23u));
}`,
  exact_exp: `fn exact_exp(x: T) -> T {
  let inside = clamp(x, T(-104.0), T(89.0));
  let n = round(inside * T(1.44269504));
  // The clamp changes nothing, and keeps the two parts of log 2 from being added to each other.
  let r = clamp(inside - n * T(0.693145752), T(-1.0), T(1.0)) - n * T(1.42860677e-6);
  let p = ${polynomial("r", [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 0.166666655, 0.5])};
  return any_nan(scale(T(1.0) + (r + r * r * p), n), x);
}`,
  exact_log: `fn exact_log(x: T) -> T {
  let small = magnitude(x) < U(0x00800000u);
  let bits = bitcast<I>(select(x, x * T(16777216.0), small));
  // m in [sqrt(1/2), sqrt(2)), x = m 2^e.
  let e = (bits - I(0x3f3504f3)) >> U(23u);
  let f = bitcast<T>(bits - (e << U(23u))) - T(1.0);
  let k = T(e) - select(T(0.0), T(24.0), small);
  let s = f * f;
  let p = ${polynomial("f", [7.03768363e-2, -0.115146103, 0.116769987, -0.124201408, 0.142493228, -0.166680577, 0.200007148, -0.249999939, 0.333333312])};
  let y = (f + ((f * s * p - k * T(2.12194440e-4)) - T(0.5) * s)) + k * T(0.693359375);
  let word = bitcast<U>(x);
  let odd = select(y, x, (word >= U(0x7f800000u)) & (word < U(0x80000000u)));
  return select(select(odd, special(0x400000u), word > U(0x80000000u)), special(0x80000000u), magnitude(x) == U(0u));
}`,
  exact_tanh: `fn exact_tanh(x: T) -> T {
  let a = min(abs(x), T(10.0));
  let s = a * a;
  let p = ${polynomial("s", [-5.70498873e-3, 2.06390888e-2, -5.37397156e-2, 0.133314422, -0.333332819])};
  let tail = T(1.0) - T(2.0) / (exact_exp(T(2.0) * a) + T(1.0));
  let y = select(tail, a + a * s * p, a < T(0.625));
  return any_nan(select(y, -y, x < T(0.0)), x);
}`,
  sigmoid: `fn sigmoid(x: T) -> T {
  let e = exact_exp(-abs(x));
  return select(e, T(1.0), x >= T(0.0)) / (T(1.0) + e);
}`,
  // The derivative of tanh, 4 e / (1 + e)^2 with e = exp(-2 |x|): 1 - tanh(x)^2 cancels where tanh is near 1.
  sech_squared: `fn sech_squared(x: T) -> T {
  let e = exact_exp(T(-2.0) * abs(x));
  return T(4.0) * e / ((T(1.0) + e) * (T(1.0) + e));
}`,
  // log(1 + e) = 2 atanh(e / (2 + e)): no cancellation for small e.
  softplus: `fn softplus(x: T) -> T {
  let e = exact_exp(-abs(x));
  let z = e / (T(2.0) + e);
  let q = z * z;
  let series = ${polynomial("q", [1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3, 1])};
  return max(x, T(0.0)) + T(2.0) * z * series;
}`,
  // erfc of a >= 0.
  erfc: `fn erfc(a: T) -> T {
  let t = T(1.0) / (T(1.0) + T(0.5) * a);
  let p = ${polynomial("t", [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223])};
  return t * exact_exp(p - min(a, T(20.0)) * min(a, T(20.0)));
}`,
  erf: `fn erf(x: T) -> T {
  let a = abs(x);
  let s = x * x;
  let small = x * ${polynomial("s", [1.646211e-6, -1.492565e-5, 1.2055333e-4, -8.548327e-4, 5.2239776e-3, -2.6866171e-2, 0.11283792, -0.37612639, 1.1283792])};
  let tail = T(1.0) - erfc(a);
  return any_nan(select(select(tail, -tail, x < T(0.0)), small, a < T(0.9)), x);
}`,
  // The normal distribution function: its lower tail is half an erfc, not a difference to 1.
  phi: `fn phi(x: T) -> T {
  let tail = T(0.5) * erfc(abs(x) * T(0.7071067811865476));
  return select(T(1.0) - tail, tail, x < T(0.0));
}`,
  density: "fn density(x: T) -> T { return T(0.3989422804014327) * exact_exp(T(-0.5) * x * x); }",
  // The argument 2 u of the sigmoid that geluTanh is, since (1 + tanh u) / 2 = sigmoid(2 u), and its derivative.
  gelu_inner: "fn gelu_inner(x: T) -> T { return T(1.5957691216057308) * (x + T(0.044715) * x * x * x); }",
  gelu_slope: "fn gelu_slope(x: T) -> T { return T(1.5957691216057308) * (T(1.0) + T(0.134145) * x * x); }",
};

/** Declarations of the functions of the table that `expr` calls, and of those that they call, in order. */
export const mathFunctions = (expr: string): string[] => calledFunctions(expr, MATH);
