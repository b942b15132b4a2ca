// Functions for pointwise expressions beside those of math.ts: log1p, expm1, sine, cosine and the angle of a point.
// WGSL's sine is off by 5e-4 and more, and only holds near 0. Here the argument is reduced by Payne and Hanek's method:
// a window of the bits of 2/pi, times the significand, is exact for every f32. Source of the polynomials: S. Moshier,
// Cephes (sinf, cosf, atanf).

import { polynomial } from "./math.ts";

/** The bits of 2/pi behind the point, in words, and 32 zeros in front. */
const WORDS = [0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab];

/** The functions by name, for `functions` of a pointwise function. */
export const ELEMENTARY: Readonly<Record<string, string>> = {
  // log(1 + x) = 2 atanh(x / (2 + x)) near 0.
  exact_log1p: `fn exact_log1p(x: T) -> T {
  let z = x / (T(2.0) + x);
  let q = z * z;
  let series = ${polynomial("q", [1 / 13, 1 / 11, 1 / 9, 1 / 7, 1 / 5, 1 / 3])};
  let near = T(2.0) * z + T(2.0) * z * q * series;
  return select(exact_log(T(1.0) + x), near, (abs(x) < T(0.5)) & !is_nan(x));
}`,
  exact_expm1: `fn exact_expm1(x: T) -> T {
  let p = ${polynomial("x", [1.98756915e-4, 1.39819995e-3, 8.33345191e-3, 4.16657959e-2, 0.166666655, 0.5])};
  return select(exact_exp(x) - T(1.0), x + x * x * p, (abs(x) < T(0.34)) & !is_nan(x));
}`,
  two_over_pi: `fn two_over_pi(i: U) -> U {
  var word = U(0u);
  ${WORDS.map((word, i) => (word === 0 ? "" : `word = select(word, U(${word}u), i == U(${i}u));`)).join("\n  ")}
  return word;
}`,
  // 32 bits of 2/pi, from bit p on.
  window: `fn window(p: U) -> U {
  let i = p >> U(5u);
  let s = p & U(31u);
  return (two_over_pi(i) << s) | ((two_over_pi(i + U(1u)) >> U(1u)) >> (U(31u) - s));
}`,
  // The upper word of a product of two words.
  upper_product: `fn upper_product(a: U, b: U) -> U {
  let low = U(0xffffu);
  let middle = (a >> U(16u)) * (b & low) + (((a & low) * (b & low)) >> U(16u));
  let other = (a & low) * (b >> U(16u)) + (middle & low);
  return (a >> U(16u)) * (b >> U(16u)) + (middle >> U(16u)) + (other >> U(16u));
}`,
  // |x| = (quarters + rest) pi / 2: the product modulo 4 as 2 bits and a signed fraction of 64 bits, of which the rest
  // is made.
  turned: `struct Turned { quarters: U, angle: T }
fn turned(x: T) -> Turned {
  let bits = magnitude(x);
  let m = (bits & U(0x007fffffu)) | U(0x00800000u);
  let p = max(bits >> U(23u), U(120u)) - U(120u);
  let low = m * window(p + U(32u));
  let middle = low + upper_product(m, window(p + U(64u)));
  let top = m * window(p) + upper_product(m, window(p + U(32u))) + select(U(0u), U(1u), middle < low);
  let fraction = bitcast<I>((top << U(2u)) | (middle >> U(30u)));
  let r = T(fraction) + T(middle << U(2u)) * T(2.3283064365386963e-10);
  let near = bits < U(0x3f490fdbu);
  let quarters = (top >> U(30u)) + select(U(0u), U(1u), fraction < I(0));
  let angle = select(r * T(3.657295198167899e-10), abs(x), near);
  return Turned(select(quarters, U(0u), near), any_nan(angle, select(x, special(0x400000u), bits == U(0x7f800000u))));
}`,
  // The sine of so many quarters and an angle of at most pi / 4.
  sine_of: `fn sine_of(quarters: U, a: T) -> T {
  let s = a * a;
  let sine = a + a * s * ${polynomial("s", [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1])};
  let cosine = T(1.0) - T(0.5) * s + s * s * ${polynomial("s", [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2])};
  let y = select(sine, cosine, (quarters & U(1u)) != U(0u));
  return any_nan(select(y, -y, (quarters & U(2u)) != U(0u)), a);
}`,
  sine: `fn sine(x: T) -> T {
  let t = turned(x);
  let y = sine_of(t.quarters, t.angle);
  return select(y, -y, bitcast<I>(x) < I(0));
}`,
  cosine: `fn cosine(x: T) -> T {
  let t = turned(x);
  return sine_of(t.quarters + U(1u), t.angle);
}`,
  // The angle of the point (b, a), from -pi to pi; signs of zeros count, as in C's atan2.
  angle_of: `fn angle_of(a: T, b: T) -> T {
  let m = abs(a);
  let n = abs(b);
  let most = max(m, n);
  let equal = magnitude(a) == magnitude(b);
  let t = select(min(m, n) / most, select(T(1.0), T(0.0), most == T(0.0)), equal);
  let far = t > T(0.4142135623730950);
  let x = select(t, (t - T(1.0)) / (t + T(1.0)), far);
  let s = x * x;
  let part = x + x * s * ${polynomial("s", [8.05374449538e-2, -1.38776856032e-1, 1.99777106478e-1, -3.33329491539e-1])};
  let eighth = select(part, T(0.7853981633974483) + part, far);
  let quarter = select(eighth, T(1.5707963267948966) - eighth, m > n);
  let half = select(quarter, T(3.141592653589793) - quarter, bitcast<I>(b) < I(0));
  return any_nan(any_nan(select(half, -half, bitcast<I>(a) < I(0)), a), b);
}`,
};
