// linear(across=1,activation=gelu,bias=true,cols=16,depth=0,dtype=f32,keep=true,lanes=8,out=f32,residual=after,rows=2,ta=false,tb=false,threads=32,va=true,variant=subgroup,vb=true,vc=true)
// on cpu

enable subgroups;
struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batch: u32,
  middle: u32,
  inner: u32,
  splits: u32,
  k_part: u32,
  a_outer: u32,
  a_middle: u32,
  a_inner: u32,
  b_outer: u32,
  b_middle: u32,
  b_inner: u32,
  a_first: u32,
  b_first: u32,
  c_first: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> pre: array<vec4<f32>>;

var<private> a_base: u32;
var<private> b_base: u32;
var<private> c_base: u32;
var<private> k_end: i32;

fn quad_a(at: u32, left: i32) -> vec4f { return vec4f(a[at / 4u]); }
fn quad_b(at: u32, left: i32) -> vec4f { return vec4f(b[at / 4u]); }
fn a_row(m: u32) -> u32 { return a_base + m * u.k; }
fn a_load(row: u32, k: u32) -> vec4f { return quad_a(row + k, k_end - i32(k)); }
fn b_load(k: u32, n: u32) -> vec4f { return quad_b(b_base + k * u.n + n, 4 * (k_end - i32(k))); }
fn quad_c(at: u32, left: i32, value: vec4f) {
c[at / 4u] = vec4<f32>(value);
}
alias Value = vec4f;
alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;
fn magnitude(x: T) -> U { return bitcast<U>(x) & U(0x7fffffffu); }
fn is_nan(x: T) -> B { return magnitude(x) > U(0x7f800000u); }
fn any_nan(a: T, b: T) -> T { return select(a, b, is_nan(b)); }
fn scale(x: T, n: T) -> T {
  let half = I(n) >> U(1u);
  return x * bitcast<T>((half + I(127)) << U(23u)) * bitcast<T>((I(n) - half + I(127)) << U(23u));
}
fn exact_exp(x: T) -> T {
  let inside = clamp(x, T(-104.0), T(89.0));
  let n = round(inside * T(1.44269504));
  // The clamp changes nothing, and keeps the two parts of log 2 from being added to each other.
  let r = clamp(inside - n * T(0.693145752), T(-1.0), T(1.0)) - n * T(1.42860677e-6);
  let p = (((((T(0.000198756915) * r + T(0.00139819995)) * r + T(0.00833345191)) * r + T(0.0416657959)) * r + T(0.166666655)) * r + T(0.5));
  return any_nan(scale(T(1.0) + (r + r * r * p), n), x);
}
fn erfc(a: T) -> T {
  let t = T(1.0) / (T(1.0) + T(0.5) * a);
  let p = (((((((((T(0.17087277) * t + T(-0.82215223)) * t + T(1.48851587)) * t + T(-1.13520398)) * t + T(0.27886807)) * t + T(-0.18628806)) * t + T(0.09678418)) * t + T(0.37409196)) * t + T(1.00002368)) * t + T(-1.26551223));
  return t * exact_exp(p - min(a, T(20.0)) * min(a, T(20.0)));
}
fn phi(x: T) -> T {
  let tail = T(0.5) * erfc(abs(x) * T(0.7071067811865476));
  return select(T(1.0) - tail, tail, x < T(0.0));
}
fn load_bias(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(bias[at / 4u]), left > 0); }
fn load_residual(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(residual[at / 4u]), left > 0); }
fn put_pre(at: u32, left: i32, value: vec4f) {
pre[at / 4u] = vec4<f32>(value);
}
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
x += load_bias(n, left);
put_pre(at, left, x);
x = x * phi(x);
x += load_residual(at, left);
return x;
}
fn c_row(m: u32) -> u32 { return c_base + m * u.n; }
fn store(at: u32, n: u32, value: vec4f) {
  let left = i32(u.n) - i32(n);
  quad_c(at + n, left, finish(at + n, n, left, value));
}
@diagnostic(off, subgroup_uniformity)
@compute @workgroup_size(32) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) lane: u32) {

let m_end = u.m;
let n_end = u.n;
let n_groups = (u.n + 15u) / 16u;
let m_groups = (u.m + 63u) / 64u;
let group = (wid.x + wid.y * nwg.x);
let part = (group / m_groups) * (nwg.z / n_groups) + wid.z / n_groups;
if (part >= u.batch * u.splits) { return; }
let m_tile = (group % m_groups) * 64u;
let n_tile = (wid.z % n_groups) * 16u;
let batch = part % u.batch;
let split = part / u.batch;
let k_first = split * u.k_part;
let k_last = min(u.k, k_first + u.k_part);
let i = batch % u.inner;
let j = (batch / u.inner) % u.middle;
let o = batch / (u.inner * u.middle);
k_end = i32(k_last);
a_base = u.a_first + o * u.a_outer + j * u.a_middle + i * u.a_inner;
b_base = u.b_first + o * u.b_outer + j * u.b_middle + i * u.b_inner;
c_base = u.c_first + part * u.m * u.n;
let n = n_tile;
let m_first = m_tile + (li / 8u) * 16u;
if (m_first >= m_end) { return; }
let m = m_first + lane;
let row0 = a_row(m + 0u);
let row1 = a_row(m + 8u);
var acc = array<f32, 32>();

for (var k = k_first; k < k_last; k += 4u) {
let a0 = a_load(row0, k);
let a1 = a_load(row1, k);
let s0 = b_load(k + (lane + 0u) / 4u, n + 4u * ((lane + 0u) % 4u));
let s1 = b_load(k + (lane + 8u) / 4u, n + 4u * ((lane + 8u) % 4u));
let b0_0 = subgroupBroadcast(s0[0], 0u);
let b1_0 = subgroupBroadcast(s0[0], 4u);
let b2_0 = subgroupBroadcast(s1[0], 0u);
let b3_0 = subgroupBroadcast(s1[0], 4u);
acc[0] = fma(a0[3], b3_0, fma(a0[2], b2_0, fma(a0[1], b1_0, fma(a0[0], b0_0, acc[0]))));
acc[16] = fma(a1[3], b3_0, fma(a1[2], b2_0, fma(a1[1], b1_0, fma(a1[0], b0_0, acc[16]))));
let b0_1 = subgroupBroadcast(s0[1], 0u);
let b1_1 = subgroupBroadcast(s0[1], 4u);
let b2_1 = subgroupBroadcast(s1[1], 0u);
let b3_1 = subgroupBroadcast(s1[1], 4u);
acc[1] = fma(a0[3], b3_1, fma(a0[2], b2_1, fma(a0[1], b1_1, fma(a0[0], b0_1, acc[1]))));
acc[17] = fma(a1[3], b3_1, fma(a1[2], b2_1, fma(a1[1], b1_1, fma(a1[0], b0_1, acc[17]))));
let b0_2 = subgroupBroadcast(s0[2], 0u);
let b1_2 = subgroupBroadcast(s0[2], 4u);
let b2_2 = subgroupBroadcast(s1[2], 0u);
let b3_2 = subgroupBroadcast(s1[2], 4u);
acc[2] = fma(a0[3], b3_2, fma(a0[2], b2_2, fma(a0[1], b1_2, fma(a0[0], b0_2, acc[2]))));
acc[18] = fma(a1[3], b3_2, fma(a1[2], b2_2, fma(a1[1], b1_2, fma(a1[0], b0_2, acc[18]))));
let b0_3 = subgroupBroadcast(s0[3], 0u);
let b1_3 = subgroupBroadcast(s0[3], 4u);
let b2_3 = subgroupBroadcast(s1[3], 0u);
let b3_3 = subgroupBroadcast(s1[3], 4u);
acc[3] = fma(a0[3], b3_3, fma(a0[2], b2_3, fma(a0[1], b1_3, fma(a0[0], b0_3, acc[3]))));
acc[19] = fma(a1[3], b3_3, fma(a1[2], b2_3, fma(a1[1], b1_3, fma(a1[0], b0_3, acc[19]))));
let b0_4 = subgroupBroadcast(s0[0], 1u);
let b1_4 = subgroupBroadcast(s0[0], 5u);
let b2_4 = subgroupBroadcast(s1[0], 1u);
let b3_4 = subgroupBroadcast(s1[0], 5u);
acc[4] = fma(a0[3], b3_4, fma(a0[2], b2_4, fma(a0[1], b1_4, fma(a0[0], b0_4, acc[4]))));
acc[20] = fma(a1[3], b3_4, fma(a1[2], b2_4, fma(a1[1], b1_4, fma(a1[0], b0_4, acc[20]))));
let b0_5 = subgroupBroadcast(s0[1], 1u);
let b1_5 = subgroupBroadcast(s0[1], 5u);
let b2_5 = subgroupBroadcast(s1[1], 1u);
let b3_5 = subgroupBroadcast(s1[1], 5u);
acc[5] = fma(a0[3], b3_5, fma(a0[2], b2_5, fma(a0[1], b1_5, fma(a0[0], b0_5, acc[5]))));
acc[21] = fma(a1[3], b3_5, fma(a1[2], b2_5, fma(a1[1], b1_5, fma(a1[0], b0_5, acc[21]))));
let b0_6 = subgroupBroadcast(s0[2], 1u);
let b1_6 = subgroupBroadcast(s0[2], 5u);
let b2_6 = subgroupBroadcast(s1[2], 1u);
let b3_6 = subgroupBroadcast(s1[2], 5u);
acc[6] = fma(a0[3], b3_6, fma(a0[2], b2_6, fma(a0[1], b1_6, fma(a0[0], b0_6, acc[6]))));
acc[22] = fma(a1[3], b3_6, fma(a1[2], b2_6, fma(a1[1], b1_6, fma(a1[0], b0_6, acc[22]))));
let b0_7 = subgroupBroadcast(s0[3], 1u);
let b1_7 = subgroupBroadcast(s0[3], 5u);
let b2_7 = subgroupBroadcast(s1[3], 1u);
let b3_7 = subgroupBroadcast(s1[3], 5u);
acc[7] = fma(a0[3], b3_7, fma(a0[2], b2_7, fma(a0[1], b1_7, fma(a0[0], b0_7, acc[7]))));
acc[23] = fma(a1[3], b3_7, fma(a1[2], b2_7, fma(a1[1], b1_7, fma(a1[0], b0_7, acc[23]))));
let b0_8 = subgroupBroadcast(s0[0], 2u);
let b1_8 = subgroupBroadcast(s0[0], 6u);
let b2_8 = subgroupBroadcast(s1[0], 2u);
let b3_8 = subgroupBroadcast(s1[0], 6u);
acc[8] = fma(a0[3], b3_8, fma(a0[2], b2_8, fma(a0[1], b1_8, fma(a0[0], b0_8, acc[8]))));
acc[24] = fma(a1[3], b3_8, fma(a1[2], b2_8, fma(a1[1], b1_8, fma(a1[0], b0_8, acc[24]))));
let b0_9 = subgroupBroadcast(s0[1], 2u);
let b1_9 = subgroupBroadcast(s0[1], 6u);
let b2_9 = subgroupBroadcast(s1[1], 2u);
let b3_9 = subgroupBroadcast(s1[1], 6u);
acc[9] = fma(a0[3], b3_9, fma(a0[2], b2_9, fma(a0[1], b1_9, fma(a0[0], b0_9, acc[9]))));
acc[25] = fma(a1[3], b3_9, fma(a1[2], b2_9, fma(a1[1], b1_9, fma(a1[0], b0_9, acc[25]))));
let b0_10 = subgroupBroadcast(s0[2], 2u);
let b1_10 = subgroupBroadcast(s0[2], 6u);
let b2_10 = subgroupBroadcast(s1[2], 2u);
let b3_10 = subgroupBroadcast(s1[2], 6u);
acc[10] = fma(a0[3], b3_10, fma(a0[2], b2_10, fma(a0[1], b1_10, fma(a0[0], b0_10, acc[10]))));
acc[26] = fma(a1[3], b3_10, fma(a1[2], b2_10, fma(a1[1], b1_10, fma(a1[0], b0_10, acc[26]))));
let b0_11 = subgroupBroadcast(s0[3], 2u);
let b1_11 = subgroupBroadcast(s0[3], 6u);
let b2_11 = subgroupBroadcast(s1[3], 2u);
let b3_11 = subgroupBroadcast(s1[3], 6u);
acc[11] = fma(a0[3], b3_11, fma(a0[2], b2_11, fma(a0[1], b1_11, fma(a0[0], b0_11, acc[11]))));
acc[27] = fma(a1[3], b3_11, fma(a1[2], b2_11, fma(a1[1], b1_11, fma(a1[0], b0_11, acc[27]))));
let b0_12 = subgroupBroadcast(s0[0], 3u);
let b1_12 = subgroupBroadcast(s0[0], 7u);
let b2_12 = subgroupBroadcast(s1[0], 3u);
let b3_12 = subgroupBroadcast(s1[0], 7u);
acc[12] = fma(a0[3], b3_12, fma(a0[2], b2_12, fma(a0[1], b1_12, fma(a0[0], b0_12, acc[12]))));
acc[28] = fma(a1[3], b3_12, fma(a1[2], b2_12, fma(a1[1], b1_12, fma(a1[0], b0_12, acc[28]))));
let b0_13 = subgroupBroadcast(s0[1], 3u);
let b1_13 = subgroupBroadcast(s0[1], 7u);
let b2_13 = subgroupBroadcast(s1[1], 3u);
let b3_13 = subgroupBroadcast(s1[1], 7u);
acc[13] = fma(a0[3], b3_13, fma(a0[2], b2_13, fma(a0[1], b1_13, fma(a0[0], b0_13, acc[13]))));
acc[29] = fma(a1[3], b3_13, fma(a1[2], b2_13, fma(a1[1], b1_13, fma(a1[0], b0_13, acc[29]))));
let b0_14 = subgroupBroadcast(s0[2], 3u);
let b1_14 = subgroupBroadcast(s0[2], 7u);
let b2_14 = subgroupBroadcast(s1[2], 3u);
let b3_14 = subgroupBroadcast(s1[2], 7u);
acc[14] = fma(a0[3], b3_14, fma(a0[2], b2_14, fma(a0[1], b1_14, fma(a0[0], b0_14, acc[14]))));
acc[30] = fma(a1[3], b3_14, fma(a1[2], b2_14, fma(a1[1], b1_14, fma(a1[0], b0_14, acc[30]))));
let b0_15 = subgroupBroadcast(s0[3], 3u);
let b1_15 = subgroupBroadcast(s0[3], 7u);
let b2_15 = subgroupBroadcast(s1[3], 3u);
let b3_15 = subgroupBroadcast(s1[3], 7u);
acc[15] = fma(a0[3], b3_15, fma(a0[2], b2_15, fma(a0[1], b1_15, fma(a0[0], b0_15, acc[15]))));
acc[31] = fma(a1[3], b3_15, fma(a1[2], b2_15, fma(a1[1], b1_15, fma(a1[0], b0_15, acc[31]))));
}
let quads = min(4u, (n_end - n + 3u) / 4u);
let m_last = min(m_end, m_first + 16u);
var first = 0u;
for (var r = m; r < m_last; r += 8u) {
let at = c_row(r);
for (var q = 0u; q < quads; q++) {
let e = first + 4u * q;
store(at, n + 4u * q, vec4f(acc[e], acc[e + 1u], acc[e + 2u], acc[e + 3u]));
}
first += 16u;
}
}


// linear(across=8,activation=gelu,bias=true,cols=4,depth=16,dtype=f32,keep=true,lanes=0,out=f32,residual=after,rows=4,ta=false,tb=false,threads=64,va=true,variant=tile,vb=true,vc=true)
// on gpu

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batch: u32,
  middle: u32,
  inner: u32,
  splits: u32,
  k_part: u32,
  a_outer: u32,
  a_middle: u32,
  a_inner: u32,
  b_outer: u32,
  b_middle: u32,
  b_inner: u32,
  a_first: u32,
  b_first: u32,
  c_first: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> pre: array<vec4<f32>>;

var<private> a_base: u32;
var<private> b_base: u32;
var<private> c_base: u32;
var<private> k_end: i32;

fn quad_a(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(a[at / 4u]), left > 0); }
fn quad_b(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(b[at / 4u]), left > 0); }
fn a_row(m: u32) -> u32 { return a_base + m * u.k; }
fn a_load(row: u32, k: u32) -> vec4f { return quad_a(row + k, k_end - i32(k)); }
fn b_load(k: u32, n: u32) -> vec4f { return quad_b(b_base + k * u.n + n, 4 * (k_end - i32(k))); }
fn quad_c(at: u32, left: i32, value: vec4f) {
c[at / 4u] = vec4<f32>(value);
}
alias Value = vec4f;
alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;
fn magnitude(x: T) -> U { return bitcast<U>(x) & U(0x7fffffffu); }
fn is_nan(x: T) -> B { return magnitude(x) > U(0x7f800000u); }
fn any_nan(a: T, b: T) -> T { return select(a, b, is_nan(b)); }
fn scale(x: T, n: T) -> T {
  let half = I(n) >> U(1u);
  return x * bitcast<T>((half + I(127)) << U(23u)) * bitcast<T>((I(n) - half + I(127)) << U(23u));
}
fn exact_exp(x: T) -> T {
  let inside = clamp(x, T(-104.0), T(89.0));
  let n = round(inside * T(1.44269504));
  // The clamp changes nothing, and keeps the two parts of log 2 from being added to each other.
  let r = clamp(inside - n * T(0.693145752), T(-1.0), T(1.0)) - n * T(1.42860677e-6);
  let p = (((((T(0.000198756915) * r + T(0.00139819995)) * r + T(0.00833345191)) * r + T(0.0416657959)) * r + T(0.166666655)) * r + T(0.5));
  return any_nan(scale(T(1.0) + (r + r * r * p), n), x);
}
fn erfc(a: T) -> T {
  let t = T(1.0) / (T(1.0) + T(0.5) * a);
  let p = (((((((((T(0.17087277) * t + T(-0.82215223)) * t + T(1.48851587)) * t + T(-1.13520398)) * t + T(0.27886807)) * t + T(-0.18628806)) * t + T(0.09678418)) * t + T(0.37409196)) * t + T(1.00002368)) * t + T(-1.26551223));
  return t * exact_exp(p - min(a, T(20.0)) * min(a, T(20.0)));
}
fn phi(x: T) -> T {
  let tail = T(0.5) * erfc(abs(x) * T(0.7071067811865476));
  return select(T(1.0) - tail, tail, x < T(0.0));
}
fn load_bias(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(bias[at / 4u]), left > 0); }
fn load_residual(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(residual[at / 4u]), left > 0); }
fn put_pre(at: u32, left: i32, value: vec4f) {
pre[at / 4u] = vec4<f32>(value);
}
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
x += load_bias(n, left);
put_pre(at, left, x);
x = x * phi(x);
x += load_residual(at, left);
return x;
}
fn c_row(m: u32) -> u32 { return c_base + m * u.n; }
fn store(at: u32, n: u32, value: vec4f) {
  let left = i32(u.n) - i32(n);
  quad_c(at + n, left, finish(at + n, n, left, value));
}
var<workgroup> tile_a: array<vec4f, 160>;
var<workgroup> tile_b: array<vec4f, 128>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let m_end = u.m;
let n_end = u.n;
let n_groups = (u.n + 31u) / 32u;
let m_groups = (u.m + 31u) / 32u;
let group = (wid.x + wid.y * nwg.x);
let part = (group / m_groups) * (nwg.z / n_groups) + wid.z / n_groups;
if (part >= u.batch * u.splits) { return; }
let m_tile = (group % m_groups) * 32u;
let n_tile = (wid.z % n_groups) * 32u;
let batch = part % u.batch;
let split = part / u.batch;
let k_first = split * u.k_part;
let k_last = min(u.k, k_first + u.k_part);
let i = batch % u.inner;
let j = (batch / u.inner) % u.middle;
let o = batch / (u.inner * u.middle);
k_end = i32(k_last);
a_base = u.a_first + o * u.a_outer + j * u.a_middle + i * u.a_inner;
b_base = u.b_first + o * u.b_outer + j * u.b_middle + i * u.b_inner;
c_base = u.c_first + part * u.m * u.n;
let x = li % 8u;
let y = li / 8u;
let n = n_tile + x * 4u;
let m = m_tile + y;
let row0 = a_row(m_tile + (li + 0u) / 4u);
let row1 = a_row(m_tile + (li + 64u) / 4u);
var c0_0 = vec4f();
var c1_0 = vec4f();
var c2_0 = vec4f();
var c3_0 = vec4f();

for (var k = k_first; k < k_last; k += 16u) {
workgroupBarrier();
tile_a[((li + 0u) / 4u) * 5u + (li + 0u) % 4u] = a_load(row0, k + 4u * ((li + 0u) % 4u));
tile_a[((li + 64u) / 4u) * 5u + (li + 64u) % 4u] = a_load(row1, k + 4u * ((li + 64u) % 4u));
tile_b[(li + 0u)] = b_load(k + (li + 0u) / 8u, n_tile + 4u * ((li + 0u) % 8u));
tile_b[(li + 64u)] = b_load(k + (li + 64u) / 8u, n_tile + 4u * ((li + 64u) % 8u));
workgroupBarrier();
for (var kq = 0u; kq < 4u; kq++) {
let a0 = tile_a[(y + 0u) * 5u + kq];
let a1 = tile_a[(y + 8u) * 5u + kq];
let a2 = tile_a[(y + 16u) * 5u + kq];
let a3 = tile_a[(y + 24u) * 5u + kq];

let b0_0 = tile_b[(4u * kq + 0u) * 8u + x * 1u + 0u];
let b1_0 = tile_b[(4u * kq + 1u) * 8u + x * 1u + 0u];
let b2_0 = tile_b[(4u * kq + 2u) * 8u + x * 1u + 0u];
let b3_0 = tile_b[(4u * kq + 3u) * 8u + x * 1u + 0u];
c0_0 = fma(vec4f(a0[3]), b3_0, fma(vec4f(a0[2]), b2_0, fma(vec4f(a0[1]), b1_0, fma(vec4f(a0[0]), b0_0, c0_0))));
c1_0 = fma(vec4f(a1[3]), b3_0, fma(vec4f(a1[2]), b2_0, fma(vec4f(a1[1]), b1_0, fma(vec4f(a1[0]), b0_0, c1_0))));
c2_0 = fma(vec4f(a2[3]), b3_0, fma(vec4f(a2[2]), b2_0, fma(vec4f(a2[1]), b1_0, fma(vec4f(a2[0]), b0_0, c2_0))));
c3_0 = fma(vec4f(a3[3]), b3_0, fma(vec4f(a3[2]), b2_0, fma(vec4f(a3[1]), b1_0, fma(vec4f(a3[0]), b0_0, c3_0))));
}
}
if (m + 0u < m_end) {
let at = c_row(m + 0u);
if (n + 0u < n_end) { store(at, n + 0u, c0_0); }
}
if (m + 8u < m_end) {
let at = c_row(m + 8u);
if (n + 0u < n_end) { store(at, n + 0u, c1_0); }
}
if (m + 16u < m_end) {
let at = c_row(m + 16u);
if (n + 0u < n_end) { store(at, n + 0u, c2_0); }
}
if (m + 24u < m_end) {
let at = c_row(m + 24u);
if (n + 0u < n_end) { store(at, n + 0u, c3_0); }
}
}


// linear(across=8,activation=gelu,bias=true,cols=8,depth=0,dtype=f32,keep=true,lanes=0,out=f32,residual=after,rows=4,ta=false,tb=false,threads=64,va=true,variant=plain,vb=true,vc=true)
// on plain

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batch: u32,
  middle: u32,
  inner: u32,
  splits: u32,
  k_part: u32,
  a_outer: u32,
  a_middle: u32,
  a_inner: u32,
  b_outer: u32,
  b_middle: u32,
  b_inner: u32,
  a_first: u32,
  b_first: u32,
  c_first: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> residual: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> pre: array<vec4<f32>>;

var<private> a_base: u32;
var<private> b_base: u32;
var<private> c_base: u32;
var<private> k_end: i32;

fn quad_a(at: u32, left: i32) -> vec4f { return vec4f(a[at / 4u]); }
fn quad_b(at: u32, left: i32) -> vec4f { return vec4f(b[at / 4u]); }
fn a_row(m: u32) -> u32 { return a_base + m * u.k; }
fn a_load(row: u32, k: u32) -> vec4f { return quad_a(row + k, k_end - i32(k)); }
fn b_load(k: u32, n: u32) -> vec4f { return quad_b(b_base + k * u.n + n, 4 * (k_end - i32(k))); }
fn quad_c(at: u32, left: i32, value: vec4f) {
c[at / 4u] = vec4<f32>(value);
}
alias Value = vec4f;
alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;
fn magnitude(x: T) -> U { return bitcast<U>(x) & U(0x7fffffffu); }
fn is_nan(x: T) -> B { return magnitude(x) > U(0x7f800000u); }
fn any_nan(a: T, b: T) -> T { return select(a, b, is_nan(b)); }
fn scale(x: T, n: T) -> T {
  let half = I(n) >> U(1u);
  return x * bitcast<T>((half + I(127)) << U(23u)) * bitcast<T>((I(n) - half + I(127)) << U(23u));
}
fn exact_exp(x: T) -> T {
  let inside = clamp(x, T(-104.0), T(89.0));
  let n = round(inside * T(1.44269504));
  // The clamp changes nothing, and keeps the two parts of log 2 from being added to each other.
  let r = clamp(inside - n * T(0.693145752), T(-1.0), T(1.0)) - n * T(1.42860677e-6);
  let p = (((((T(0.000198756915) * r + T(0.00139819995)) * r + T(0.00833345191)) * r + T(0.0416657959)) * r + T(0.166666655)) * r + T(0.5));
  return any_nan(scale(T(1.0) + (r + r * r * p), n), x);
}
fn erfc(a: T) -> T {
  let t = T(1.0) / (T(1.0) + T(0.5) * a);
  let p = (((((((((T(0.17087277) * t + T(-0.82215223)) * t + T(1.48851587)) * t + T(-1.13520398)) * t + T(0.27886807)) * t + T(-0.18628806)) * t + T(0.09678418)) * t + T(0.37409196)) * t + T(1.00002368)) * t + T(-1.26551223));
  return t * exact_exp(p - min(a, T(20.0)) * min(a, T(20.0)));
}
fn phi(x: T) -> T {
  let tail = T(0.5) * erfc(abs(x) * T(0.7071067811865476));
  return select(T(1.0) - tail, tail, x < T(0.0));
}
fn load_bias(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(bias[at / 4u]), left > 0); }
fn load_residual(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(residual[at / 4u]), left > 0); }
fn put_pre(at: u32, left: i32, value: vec4f) {
pre[at / 4u] = vec4<f32>(value);
}
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
x += load_bias(n, left);
put_pre(at, left, x);
x = x * phi(x);
x += load_residual(at, left);
return x;
}
fn c_row(m: u32) -> u32 { return c_base + m * u.n; }
fn store(at: u32, n: u32, value: vec4f) {
  let left = i32(u.n) - i32(n);
  quad_c(at + n, left, finish(at + n, n, left, value));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let m_end = u.m;
let n_end = u.n;
let n_groups = (u.n + 63u) / 64u;
let m_groups = (u.m + 31u) / 32u;
let group = (wid.x + wid.y * nwg.x);
let part = (group / m_groups) * (nwg.z / n_groups) + wid.z / n_groups;
if (part >= u.batch * u.splits) { return; }
let m_tile = (group % m_groups) * 32u;
let n_tile = (wid.z % n_groups) * 64u;
let batch = part % u.batch;
let split = part / u.batch;
let k_first = split * u.k_part;
let k_last = min(u.k, k_first + u.k_part);
let i = batch % u.inner;
let j = (batch / u.inner) % u.middle;
let o = batch / (u.inner * u.middle);
k_end = i32(k_last);
a_base = u.a_first + o * u.a_outer + j * u.a_middle + i * u.a_inner;
b_base = u.b_first + o * u.b_outer + j * u.b_middle + i * u.b_inner;
c_base = u.c_first + part * u.m * u.n;
let n = n_tile + (li % 8u) * 8u;
let m = m_tile + (li / 8u);
if (m >= m_end || n >= n_end) { return; }
let row0 = a_row(m + 0u);
let row1 = a_row(m + 8u);
let row2 = a_row(m + 16u);
let row3 = a_row(m + 24u);
var c0_0 = vec4f();
var c0_1 = vec4f();
var c1_0 = vec4f();
var c1_1 = vec4f();
var c2_0 = vec4f();
var c2_1 = vec4f();
var c3_0 = vec4f();
var c3_1 = vec4f();

for (var k = k_first; k < k_last; k += 4u) {
let a0 = a_load(row0, k);
let a1 = a_load(row1, k);
let a2 = a_load(row2, k);
let a3 = a_load(row3, k);

let b0_0 = b_load(k + 0u, n + 0u);
let b1_0 = b_load(k + 1u, n + 0u);
let b2_0 = b_load(k + 2u, n + 0u);
let b3_0 = b_load(k + 3u, n + 0u);
c0_0 = fma(vec4f(a0[3]), b3_0, fma(vec4f(a0[2]), b2_0, fma(vec4f(a0[1]), b1_0, fma(vec4f(a0[0]), b0_0, c0_0))));
c1_0 = fma(vec4f(a1[3]), b3_0, fma(vec4f(a1[2]), b2_0, fma(vec4f(a1[1]), b1_0, fma(vec4f(a1[0]), b0_0, c1_0))));
c2_0 = fma(vec4f(a2[3]), b3_0, fma(vec4f(a2[2]), b2_0, fma(vec4f(a2[1]), b1_0, fma(vec4f(a2[0]), b0_0, c2_0))));
c3_0 = fma(vec4f(a3[3]), b3_0, fma(vec4f(a3[2]), b2_0, fma(vec4f(a3[1]), b1_0, fma(vec4f(a3[0]), b0_0, c3_0))));
let b0_1 = b_load(k + 0u, n + 4u);
let b1_1 = b_load(k + 1u, n + 4u);
let b2_1 = b_load(k + 2u, n + 4u);
let b3_1 = b_load(k + 3u, n + 4u);
c0_1 = fma(vec4f(a0[3]), b3_1, fma(vec4f(a0[2]), b2_1, fma(vec4f(a0[1]), b1_1, fma(vec4f(a0[0]), b0_1, c0_1))));
c1_1 = fma(vec4f(a1[3]), b3_1, fma(vec4f(a1[2]), b2_1, fma(vec4f(a1[1]), b1_1, fma(vec4f(a1[0]), b0_1, c1_1))));
c2_1 = fma(vec4f(a2[3]), b3_1, fma(vec4f(a2[2]), b2_1, fma(vec4f(a2[1]), b1_1, fma(vec4f(a2[0]), b0_1, c2_1))));
c3_1 = fma(vec4f(a3[3]), b3_1, fma(vec4f(a3[2]), b2_1, fma(vec4f(a3[1]), b1_1, fma(vec4f(a3[0]), b0_1, c3_1))));
}
if (m + 0u < m_end) {
let at = c_row(m + 0u);
if (n + 0u < n_end) { store(at, n + 0u, c0_0); }
if (n + 4u < n_end) { store(at, n + 4u, c0_1); }
}
if (m + 8u < m_end) {
let at = c_row(m + 8u);
if (n + 0u < n_end) { store(at, n + 0u, c1_0); }
if (n + 4u < n_end) { store(at, n + 4u, c1_1); }
}
if (m + 16u < m_end) {
let at = c_row(m + 16u);
if (n + 0u < n_end) { store(at, n + 0u, c2_0); }
if (n + 4u < n_end) { store(at, n + 4u, c2_1); }
}
if (m + 24u < m_end) {
let at = c_row(m + 24u);
if (n + 0u < n_end) { store(at, n + 0u, c3_0); }
if (n + 4u < n_end) { store(at, n + 4u, c3_1); }
}
}


// linearSmall(activation=none,bias=true,dtype=f32,keep=false,residual=none)
// on gpu, cpu, plain

struct Uniforms {
  m: u32,
  n: u32,
  k: u32,
  batch: u32,
  middle: u32,
  inner: u32,
  a_outer: u32,
  a_middle: u32,
  a_inner: u32,
  b_outer: u32,
  b_middle: u32,
  b_inner: u32,
  a_first: u32,
  b_first: u32,
  c_first: u32,
  a_m: u32,
  a_k: u32,
  b_k: u32,
  b_n: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> c: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;

alias Value = f32;
fn load_bias(at: u32, left: i32) -> f32 { return f32(bias[at]); }
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
x += load_bias(n, left);
return x;
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
let at = (wid.x + wid.y * nwg.x) * 64u + li;
let n = at % u.n;
let row = at / u.n;
let batch = row / u.m;
if (batch >= u.batch) { return; }
let i = batch % u.inner;
let j = (batch / u.inner) % u.middle;
let o = batch / (u.inner * u.middle);
var a_at = u.a_first + o * u.a_outer + j * u.a_middle + i * u.a_inner + (row % u.m) * u.a_m;
var b_at = u.b_first + o * u.b_outer + j * u.b_middle + i * u.b_inner + n * u.b_n;
var sum = 0.0;
for (var k = 0u; k < u.k; k++) {
sum = fma(f32(a[a_at]), f32(b[b_at]), sum);
a_at += u.a_k;
b_at += u.b_k;
}
c[u.c_first + at] = f32(finish(u.c_first + at, n, 1, sum));
}
