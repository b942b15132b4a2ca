// Where a cell of one axis lies on another, in WGSL.

/**
 * Declares `quotient(a, b, c, d)`, floor((a b + c) / d), for a, b >= 0 < d, |c| < 2^29 and a b < 2^50: more than a word
 * holds. What a quotient in floats leaves over is small, so it is right however the products wrap.
 */
export const QUOTIENT = `
fn quotient(a: i32, b: i32, c: i32, d: i32) -> i32 {
  let near = i32(f32(a) * f32(b) / f32(d));
  let rest = a * b + c - near * d;
  return near + (rest - select(0, d - 1, rest < 0)) / d;
}`;
