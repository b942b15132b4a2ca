// Powers, for pointwise expressions (math.ts): power(a, b) of floats, int_power(a, b) of i32 or u32. Source: FreeBSD's
// e_powf.c (Cygnus, Sun Microsystems): log2 |a| as a sum of two numbers, its product with b, 2 to that power. Halves
// are split off by masking bits, which no compiler takes apart. Error below 0.7 units in the last place; whole results
// are exact.

import { polynomial } from "./math.ts";

/** The functions by name, for `functions` of a pointwise function. */
export const POWERS: Readonly<Record<string, string>> = {
  // The upper half of the digits.
  upper: `fn upper(x: T) -> T { return bitcast<T>(bitcast<U>(x) & U(0xfffff000u)); }`,
  // |a|^b for finite a that is not 0. |a| = x 2^e with x in [sqrt(3)/2, sqrt(3)), near 1 or 3/2;
  // s = (x - near) / (x + near) in two parts, log2(x / near) = 2 / ln 2 (s + s^3 / 3 + ...) in two parts, lh + ll the
  // whole logarithm, head + rest its product with b.
  power_of: `fn power_of(a: T, b: T) -> T {
  let small = magnitude(a) < U(0x00800000u);
  let bits = bitcast<I>(select(abs(a), abs(a) * T(16777216.0), small));
  let fraction = bits & I(0x007fffff);
  let up = fraction >= I(0x5db3d7);
  let mid = (fraction > I(0x1cc471)) & !up;
  let e = T((bits >> U(23u)) - I(127) + select(I(0), I(1), up)) - select(T(0.0), T(24.0), small);
  let x = bitcast<T>(fraction | select(I(0x3f800000), I(0x3f000000), up));
  let near = select(T(1.0), T(1.5), mid);
  let u = x - near;
  let v = T(1.0) / (x + near);
  let s = u * v;
  let sh = upper(s);
  let th = upper(x + near);
  let sl = v * ((u - sh * th) - sh * (x - (th - near)));
  let s2 = s * s;
  let r = s2 * s2 * ${polynomial("s2", [0.206975013, 0.2306607515, 0.2727281153, 0.3333333433, 0.4285714328, 0.6])} + sl * (sh + s);
  let sh2 = sh * sh;
  let wh = upper(T(3.0) + sh2 + r);
  let wl = r - ((wh - T(3.0)) - sh2);
  let q = sh * wh;
  let ql = sl * wh + wl * s;
  let ph = upper(q + ql);
  let pl = ql - (ph - q);
  let zh = T(0.96191406250) * ph;
  let zl = T(-1.1736857402e-4) * ph + pl * T(0.96179670095) + select(T(0.0), T(1.56322085e-6), mid);
  let dh = select(T(0.0), T(0.584960938), mid);
  let lh = upper(((zh + zl) + dh) + e);
  let ll = zl - (((lh - e) - dh) - zh);
  let y = clamp(b, T(-1.0e10), T(1.0e10));
  let yh = upper(y);
  let rest = clamp((y - yh) * lh + y * ll, T(-1.0), T(1.0));
  let head = clamp(yh * lh, T(-200.0), T(200.0));
  let n = round(head + rest);
  let left = head - n;
  let t = bitcast<T>(bitcast<U>(rest + left) & U(0xffff8000u));
  let m = t * T(0.693145752);
  let ml = (rest - (t - left)) * T(0.693147182) + t * T(1.42860654e-6);
  let z = m + ml;
  let w = ml - (z - m);
  let z2 = z * z;
  let c = z - z2 * ${polynomial("z2", [4.1381369442e-8, -1.6533901999e-6, 6.613755977e-5, -2.777777845e-3, 0.16666667163])};
  return scale(T(1.0) - (((z * c) / (c - T(2.0)) - (w + z * w)) - z), n);
}`,
  // |a|^b with the sign of an odd integral exponent; NaN for a fractional power of a negative base, as in C's pow.
  power: `fn power(a: T, b: T) -> T {
  let m = abs(a);
  let whole = floor(b) == b;
  let odd = whole & (floor(b * T(0.5)) * T(2.0) != b) & (abs(b) < T(16777216.0));
  let one = magnitude(a) == U(0x3f800000u);
  let edge = (magnitude(a) == U(0u)) | (magnitude(a) == U(0x7f800000u)) | (magnitude(b) == U(0x7f800000u));
  let extreme = select(select(T(0.0), special(0u), (m > T(1.0)) == (b > T(0.0))), T(1.0), one);
  let size = select(power_of(a, b), extreme, edge);
  let negative = bitcast<I>(a) < I(0);
  let result = select(select(size, -size, odd & negative), special(0x400000u), !whole & (a < T(0.0)) & !edge);
  return select(any_nan(any_nan(result, a), b), T(1.0), (magnitude(b) == U(0u)) | (one & !negative));
}`,
  // Square and multiply, modulo 2^32; a negative exponent leaves only the bases 1 and -1.
  int_power: `fn int_power(a: T, b: T) -> T {
  var base = a;
  var rest = b;
  var whole = T(1);
  for (var bit = 0; bit < 32; bit++) {
    whole = select(whole, whole * base, (rest & T(1)) != T(0));
    base = base * base;
    rest = rest >> U(1u);
  }
  let unit = select(T(1), a, (b & T(1)) != T(0));
  return select(whole, select(T(0), unit, (a == T(1)) | (a == ~T(0))), b < T(0));
}`,
};
