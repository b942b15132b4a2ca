// conv(across=1,activation=none,bias=true,cols=8,depth=0,dtype=f32,keep=false,lanes=8,residual=none,rows=2,threads=8,variant=subgroup,vx=false,vy=true)
// on cpu

enable subgroups;
struct Uniforms {
  batch: i32,
  h: i32,
  w: i32,
  c: i32,
  oh: i32,
  ow: i32,
  o: i32,
  kh: i32,
  kw: i32,
  stride_h: i32,
  stride_w: i32,
  dilation_h: i32,
  dilation_w: i32,
  top: i32,
  left: i32,
  group_c: i32,
  group_o: i32,
  groups: i32,
  taps_x: i32,
  run: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;

struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
fn quad_x(at: i32, first: i32, last: i32) -> vec4f { return vec4f(select(0.0, f32(x[u32(at)]), first <= 0 && last > 0), select(0.0, f32(x[u32(at + 1)]), first <= 1 && last > 1), select(0.0, f32(x[u32(at + 2)]), first <= 2 && last > 2), select(0.0, f32(x[u32(at + 3)]), first <= 3 && last > 3)); }
fn quad_w(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(weight[at / 4u]), left > 0); }
fn quad_y(at: u32, left: i32, value: vec4f) {
y[at / 4u] = vec4<f32>(value);
}
alias Value = vec4f;
fn load_bias(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(bias[at / 4u]), left > 0); }
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
x += load_bias(n, left);
return x;
}
fn a_row(m: u32) -> Row {
  let line = i32(m) / u.ow;
  let b = line / u.oh;
  return Row(b * u.h * u.w * u.c + c_first, (line - b * u.oh) * u.stride_h - u.top, (i32(m) - line * u.ow) * u.stride_w - u.left);
}
fn a_run(row: Row, ty: i32, tx: i32) -> Run {
  let y = row.y + ty * u.dilation_h;
  let x = select(-0x40000000, (row.x + tx * u.dilation_w) * u.c, u32(y) < u32(u.h));
  return Run(row.image + y * u.w * u.c + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let x = run.x + i32(k);
  return quad_x(run.at + i32(k), -x, min(u.w * u.c - x, u.run - i32(k)));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(k)) * u.o + o_first) + n, 4 * (u.run - i32(k)));
}
fn c_row(m: u32) -> u32 { return m * u32(u.o) + u32(o_first); }
fn store(at: u32, n: u32, value: vec4f) {
  let left = u.group_o - i32(n);
  quad_y(at + n, left, finish(at + n, u32(o_first) + n, left, value));
}
@diagnostic(off, subgroup_uniformity)
@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) lane: u32) {

let m_end = u32(u.batch * u.oh * u.ow);
let n_end = u32(u.group_o);
let n_groups = (n_end + 7u) / 8u;
let m_tile = (wid.x + wid.y * nwg.x) * 16u;
if (m_tile >= m_end) { return; }
let n_tile = (wid.z % n_groups) * 8u;
o_first = i32(wid.z / n_groups) * u.group_o;
c_first = i32(wid.z / n_groups) * u.group_c;
let n = n_tile;
let m_first = m_tile + (li / 8u) * 16u;
if (m_first >= m_end) { return; }
let m = m_first + lane;
let row0 = a_row(m + 0u);
let row1 = a_row(m + 8u);
var acc = array<f32, 16>();

w_at = 0;
for (var ty = 0; ty < u.kh; ty++) {
for (var tx = 0; tx < u.taps_x; tx++) {
let run0 = a_run(row0, ty, tx);
let run1 = a_run(row1, ty, tx);
for (var k = 0u; k < u32(u.run); k += 4u) {
let a0 = a_load(run0, k);
let a1 = a_load(run1, k);
let s0 = b_load(k + (lane + 0u) / 2u, n + 4u * ((lane + 0u) % 2u));
let b0_0 = subgroupBroadcast(s0[0], 0u);
let b1_0 = subgroupBroadcast(s0[0], 2u);
let b2_0 = subgroupBroadcast(s0[0], 4u);
let b3_0 = subgroupBroadcast(s0[0], 6u);
acc[0] = fma(a0[3], b3_0, fma(a0[2], b2_0, fma(a0[1], b1_0, fma(a0[0], b0_0, acc[0]))));
acc[8] = fma(a1[3], b3_0, fma(a1[2], b2_0, fma(a1[1], b1_0, fma(a1[0], b0_0, acc[8]))));
let b0_1 = subgroupBroadcast(s0[1], 0u);
let b1_1 = subgroupBroadcast(s0[1], 2u);
let b2_1 = subgroupBroadcast(s0[1], 4u);
let b3_1 = subgroupBroadcast(s0[1], 6u);
acc[1] = fma(a0[3], b3_1, fma(a0[2], b2_1, fma(a0[1], b1_1, fma(a0[0], b0_1, acc[1]))));
acc[9] = fma(a1[3], b3_1, fma(a1[2], b2_1, fma(a1[1], b1_1, fma(a1[0], b0_1, acc[9]))));
let b0_2 = subgroupBroadcast(s0[2], 0u);
let b1_2 = subgroupBroadcast(s0[2], 2u);
let b2_2 = subgroupBroadcast(s0[2], 4u);
let b3_2 = subgroupBroadcast(s0[2], 6u);
acc[2] = fma(a0[3], b3_2, fma(a0[2], b2_2, fma(a0[1], b1_2, fma(a0[0], b0_2, acc[2]))));
acc[10] = fma(a1[3], b3_2, fma(a1[2], b2_2, fma(a1[1], b1_2, fma(a1[0], b0_2, acc[10]))));
let b0_3 = subgroupBroadcast(s0[3], 0u);
let b1_3 = subgroupBroadcast(s0[3], 2u);
let b2_3 = subgroupBroadcast(s0[3], 4u);
let b3_3 = subgroupBroadcast(s0[3], 6u);
acc[3] = fma(a0[3], b3_3, fma(a0[2], b2_3, fma(a0[1], b1_3, fma(a0[0], b0_3, acc[3]))));
acc[11] = fma(a1[3], b3_3, fma(a1[2], b2_3, fma(a1[1], b1_3, fma(a1[0], b0_3, acc[11]))));
let b0_4 = subgroupBroadcast(s0[0], 1u);
let b1_4 = subgroupBroadcast(s0[0], 3u);
let b2_4 = subgroupBroadcast(s0[0], 5u);
let b3_4 = subgroupBroadcast(s0[0], 7u);
acc[4] = fma(a0[3], b3_4, fma(a0[2], b2_4, fma(a0[1], b1_4, fma(a0[0], b0_4, acc[4]))));
acc[12] = fma(a1[3], b3_4, fma(a1[2], b2_4, fma(a1[1], b1_4, fma(a1[0], b0_4, acc[12]))));
let b0_5 = subgroupBroadcast(s0[1], 1u);
let b1_5 = subgroupBroadcast(s0[1], 3u);
let b2_5 = subgroupBroadcast(s0[1], 5u);
let b3_5 = subgroupBroadcast(s0[1], 7u);
acc[5] = fma(a0[3], b3_5, fma(a0[2], b2_5, fma(a0[1], b1_5, fma(a0[0], b0_5, acc[5]))));
acc[13] = fma(a1[3], b3_5, fma(a1[2], b2_5, fma(a1[1], b1_5, fma(a1[0], b0_5, acc[13]))));
let b0_6 = subgroupBroadcast(s0[2], 1u);
let b1_6 = subgroupBroadcast(s0[2], 3u);
let b2_6 = subgroupBroadcast(s0[2], 5u);
let b3_6 = subgroupBroadcast(s0[2], 7u);
acc[6] = fma(a0[3], b3_6, fma(a0[2], b2_6, fma(a0[1], b1_6, fma(a0[0], b0_6, acc[6]))));
acc[14] = fma(a1[3], b3_6, fma(a1[2], b2_6, fma(a1[1], b1_6, fma(a1[0], b0_6, acc[14]))));
let b0_7 = subgroupBroadcast(s0[3], 1u);
let b1_7 = subgroupBroadcast(s0[3], 3u);
let b2_7 = subgroupBroadcast(s0[3], 5u);
let b3_7 = subgroupBroadcast(s0[3], 7u);
acc[7] = fma(a0[3], b3_7, fma(a0[2], b2_7, fma(a0[1], b1_7, fma(a0[0], b0_7, acc[7]))));
acc[15] = fma(a1[3], b3_7, fma(a1[2], b2_7, fma(a1[1], b1_7, fma(a1[0], b0_7, acc[15]))));
}
w_at += u.run;
}
}
let quads = min(2u, (n_end - n + 3u) / 4u);
let m_last = min(m_end, m_first + 16u);
var first = 0u;
for (var r = m; r < m_last; r += 8u) {
let at = c_row(r);
for (var q = 0u; q < quads; q++) {
let e = first + 4u * q;
store(at, n + 4u * q, vec4f(acc[e], acc[e + 1u], acc[e + 2u], acc[e + 3u]));
}
first += 8u;
}
}


// conv(across=8,activation=none,bias=true,cols=4,depth=16,dtype=f32,keep=false,lanes=0,residual=none,rows=4,threads=64,variant=tile,vx=false,vy=true)
// on gpu

struct Uniforms {
  batch: i32,
  h: i32,
  w: i32,
  c: i32,
  oh: i32,
  ow: i32,
  o: i32,
  kh: i32,
  kw: i32,
  stride_h: i32,
  stride_w: i32,
  dilation_h: i32,
  dilation_w: i32,
  top: i32,
  left: i32,
  group_c: i32,
  group_o: i32,
  groups: i32,
  taps_x: i32,
  run: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;

struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
fn quad_x(at: i32, first: i32, last: i32) -> vec4f { return vec4f(select(0.0, f32(x[u32(at)]), first <= 0 && last > 0), select(0.0, f32(x[u32(at + 1)]), first <= 1 && last > 1), select(0.0, f32(x[u32(at + 2)]), first <= 2 && last > 2), select(0.0, f32(x[u32(at + 3)]), first <= 3 && last > 3)); }
fn quad_w(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(weight[at / 4u]), left > 0); }
fn quad_y(at: u32, left: i32, value: vec4f) {
y[at / 4u] = vec4<f32>(value);
}
alias Value = vec4f;
fn load_bias(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(bias[at / 4u]), left > 0); }
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
x += load_bias(n, left);
return x;
}
fn a_row(m: u32) -> Row {
  let line = i32(m) / u.ow;
  let b = line / u.oh;
  return Row(b * u.h * u.w * u.c + c_first, (line - b * u.oh) * u.stride_h - u.top, (i32(m) - line * u.ow) * u.stride_w - u.left);
}
fn a_run(row: Row, ty: i32, tx: i32) -> Run {
  let y = row.y + ty * u.dilation_h;
  let x = select(-0x40000000, (row.x + tx * u.dilation_w) * u.c, u32(y) < u32(u.h));
  return Run(row.image + y * u.w * u.c + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let x = run.x + i32(k);
  return quad_x(run.at + i32(k), -x, min(u.w * u.c - x, u.run - i32(k)));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(k)) * u.o + o_first) + n, 4 * (u.run - i32(k)));
}
fn c_row(m: u32) -> u32 { return m * u32(u.o) + u32(o_first); }
fn store(at: u32, n: u32, value: vec4f) {
  let left = u.group_o - i32(n);
  quad_y(at + n, left, finish(at + n, u32(o_first) + n, left, value));
}
var<workgroup> tile_a: array<vec4f, 160>;
var<workgroup> tile_b: array<vec4f, 128>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let m_end = u32(u.batch * u.oh * u.ow);
let n_end = u32(u.group_o);
let n_groups = (n_end + 31u) / 32u;
let m_tile = (wid.x + wid.y * nwg.x) * 32u;
if (m_tile >= m_end) { return; }
let n_tile = (wid.z % n_groups) * 32u;
o_first = i32(wid.z / n_groups) * u.group_o;
c_first = i32(wid.z / n_groups) * u.group_c;
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

w_at = 0;
for (var ty = 0; ty < u.kh; ty++) {
for (var tx = 0; tx < u.taps_x; tx++) {
let run0 = a_run(row0, ty, tx);
let run1 = a_run(row1, ty, tx);
for (var k = 0u; k < u32(u.run); k += 16u) {
workgroupBarrier();
tile_a[((li + 0u) / 4u) * 5u + (li + 0u) % 4u] = a_load(run0, k + 4u * ((li + 0u) % 4u));
tile_a[((li + 64u) / 4u) * 5u + (li + 64u) % 4u] = a_load(run1, k + 4u * ((li + 64u) % 4u));
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
w_at += u.run;
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


// conv(across=8,activation=none,bias=true,cols=8,depth=0,dtype=f32,keep=false,lanes=0,residual=none,rows=4,threads=64,variant=plain,vx=false,vy=true)
// on plain

struct Uniforms {
  batch: i32,
  h: i32,
  w: i32,
  c: i32,
  oh: i32,
  ow: i32,
  o: i32,
  kh: i32,
  kw: i32,
  stride_h: i32,
  stride_w: i32,
  dilation_h: i32,
  dilation_w: i32,
  top: i32,
  left: i32,
  group_c: i32,
  group_o: i32,
  groups: i32,
  taps_x: i32,
  run: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> bias: array<vec4<f32>>;

struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
fn quad_x(at: i32, first: i32, last: i32) -> vec4f { return vec4f(select(0.0, f32(x[u32(at)]), first <= 0 && last > 0), select(0.0, f32(x[u32(at + 1)]), first <= 1 && last > 1), select(0.0, f32(x[u32(at + 2)]), first <= 2 && last > 2), select(0.0, f32(x[u32(at + 3)]), first <= 3 && last > 3)); }
fn quad_w(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(weight[at / 4u]), left > 0); }
fn quad_y(at: u32, left: i32, value: vec4f) {
y[at / 4u] = vec4<f32>(value);
}
alias Value = vec4f;
fn load_bias(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(bias[at / 4u]), left > 0); }
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
x += load_bias(n, left);
return x;
}
fn a_row(m: u32) -> Row {
  let line = i32(m) / u.ow;
  let b = line / u.oh;
  return Row(b * u.h * u.w * u.c + c_first, (line - b * u.oh) * u.stride_h - u.top, (i32(m) - line * u.ow) * u.stride_w - u.left);
}
fn a_run(row: Row, ty: i32, tx: i32) -> Run {
  let y = row.y + ty * u.dilation_h;
  let x = select(-0x40000000, (row.x + tx * u.dilation_w) * u.c, u32(y) < u32(u.h));
  return Run(row.image + y * u.w * u.c + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let x = run.x + i32(k);
  return quad_x(run.at + i32(k), -x, min(u.w * u.c - x, u.run - i32(k)));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(k)) * u.o + o_first) + n, 4 * (u.run - i32(k)));
}
fn c_row(m: u32) -> u32 { return m * u32(u.o) + u32(o_first); }
fn store(at: u32, n: u32, value: vec4f) {
  let left = u.group_o - i32(n);
  quad_y(at + n, left, finish(at + n, u32(o_first) + n, left, value));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let m_end = u32(u.batch * u.oh * u.ow);
let n_end = u32(u.group_o);
let n_groups = (n_end + 63u) / 64u;
let m_tile = (wid.x + wid.y * nwg.x) * 32u;
if (m_tile >= m_end) { return; }
let n_tile = (wid.z % n_groups) * 64u;
o_first = i32(wid.z / n_groups) * u.group_o;
c_first = i32(wid.z / n_groups) * u.group_c;
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

w_at = 0;
for (var ty = 0; ty < u.kh; ty++) {
for (var tx = 0; tx < u.taps_x; tx++) {
let run0 = a_run(row0, ty, tx);
let run1 = a_run(row1, ty, tx);
let run2 = a_run(row2, ty, tx);
let run3 = a_run(row3, ty, tx);
for (var k = 0u; k < u32(u.run); k += 4u) {
let a0 = a_load(run0, k);
let a1 = a_load(run1, k);
let a2 = a_load(run2, k);
let a3 = a_load(run3, k);

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
w_at += u.run;
}
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
