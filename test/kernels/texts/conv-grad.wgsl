// convInput(across=1,cols=8,depth=0,dtype=f32,lanes=8,rows=2,threads=8,variant=subgroup,vx=false,vy=true)
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
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, left: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
var<private> phase: vec2i;
var<private> size: vec2i;
fn quad_g(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(g[at / 4u]), left > 0); }
fn quad_w(at: u32, left: i32) -> vec4f { return vec4f(weight[at / 4u]); }
fn quad_dx(at: u32, left: i32, value: vec4f) {
if (left > 0) { dx[at + 0u] = f32(value[0]); }
if (left > 1) { dx[at + 1u] = f32(value[1]); }
if (left > 2) { dx[at + 2u] = f32(value[2]); }
if (left > 3) { dx[at + 3u] = f32(value[3]); }
}
fn a_row(m: u32) -> Row {
  let line = i32(m) / size.x;
  let b = line / size.y;
  return Row(b * u.oh * u.ow, line - b * size.y, i32(m) - line * size.x);
}
fn a_run(row: Row, shift_y: i32, shift_x: i32) -> Run {
  let y = row.y + shift_y;
  let x = row.x + shift_x;
  let is_inside = u32(y) < u32(u.oh) && u32(x) < u32(u.ow);
  return Run((row.image + y * u.ow + x) * u.o + o_first, select(0, u.group_o, is_inside));
}
fn a_load(run: Run, k: u32) -> vec4f { return quad_g(u32(run.at) + k, run.left - i32(k)); }
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(n)) * u.o + o_first) + k, u.group_o - i32(k));
}
fn c_row(m: u32) -> u32 {
  let line = i32(m) / size.x;
  let b = line / size.y;
  let y = (line - b * size.y) * u.stride_h + phase.y;
  let x = (i32(m) - line * size.x) * u.stride_w + phase.x;
  return u32(((b * u.h + y) * u.w + x) * u.c + c_first);
}
fn store(at: u32, n: u32, value: vec4f) { quad_dx(at + n, u.group_c - i32(n), value); }
@diagnostic(off, subgroup_uniformity)
@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) lane: u32) {

let n_end = u32(u.group_c);
let n_groups = (n_end + 7u) / 8u;
let n_tile = (wid.z % n_groups) * 8u;
let product = i32(wid.z / n_groups);
let group = product % u.groups;
o_first = group * u.group_o;
c_first = group * u.group_c;
let this_phase = vec2i((product / u.groups) % u.stride_w, product / (u.groups * u.stride_w));
let this_size = (vec2i(u.w, u.h) - this_phase + vec2i(u.stride_w, u.stride_h) - 1) / vec2i(u.stride_w, u.stride_h);
// The loops go by the local values: a barrier may not depend on a private variable, which counts as non-uniform.
phase = this_phase;
size = this_size;
let m_end = u32(u.batch * this_size.y * this_size.x);
let m_tile = (wid.x + wid.y * nwg.x) * 16u;
if (m_tile >= m_end) { return; }
let n = n_tile;
let m_first = m_tile + (li / 8u) * 16u;
if (m_first >= m_end) { return; }
let m = m_first + lane;
let row0 = a_row(m + 0u);
let row1 = a_row(m + 8u);
var acc = array<f32, 16>();

let stride = vec2i(u.stride_w, u.stride_h);
let reach = this_phase + vec2i(u.left, u.top);
let whole = vec2i(u.dilation_w, u.dilation_h) / stride;
let part = vec2i(u.dilation_w, u.dilation_h) - whole * stride;
var shift_y = reach.y / stride.y;
var rest_y = reach.y - shift_y * stride.y;
for (var ty = 0; ty < u.kh; ty++) {
if (rest_y == 0) {
var shift_x = reach.x / stride.x;
var rest_x = reach.x - shift_x * stride.x;
for (var tx = 0; tx < u.kw; tx++) {
if (rest_x == 0) {
w_at = (ty * u.kw + tx) * u.group_c;
let run0 = a_run(row0, shift_y, shift_x);
let run1 = a_run(row1, shift_y, shift_x);
for (var k = 0u; k < u32(u.group_o); k += 4u) {
let a0 = a_load(run0, k);
let a1 = a_load(run1, k);
let s0 = b_load(k, n + (lane + 0u));
let b0_0 = subgroupBroadcast(s0[0], 0u);
let b1_0 = subgroupBroadcast(s0[1], 0u);
let b2_0 = subgroupBroadcast(s0[2], 0u);
let b3_0 = subgroupBroadcast(s0[3], 0u);
acc[0] = fma(a0[3], b3_0, fma(a0[2], b2_0, fma(a0[1], b1_0, fma(a0[0], b0_0, acc[0]))));
acc[8] = fma(a1[3], b3_0, fma(a1[2], b2_0, fma(a1[1], b1_0, fma(a1[0], b0_0, acc[8]))));
let b0_1 = subgroupBroadcast(s0[0], 1u);
let b1_1 = subgroupBroadcast(s0[1], 1u);
let b2_1 = subgroupBroadcast(s0[2], 1u);
let b3_1 = subgroupBroadcast(s0[3], 1u);
acc[1] = fma(a0[3], b3_1, fma(a0[2], b2_1, fma(a0[1], b1_1, fma(a0[0], b0_1, acc[1]))));
acc[9] = fma(a1[3], b3_1, fma(a1[2], b2_1, fma(a1[1], b1_1, fma(a1[0], b0_1, acc[9]))));
let b0_2 = subgroupBroadcast(s0[0], 2u);
let b1_2 = subgroupBroadcast(s0[1], 2u);
let b2_2 = subgroupBroadcast(s0[2], 2u);
let b3_2 = subgroupBroadcast(s0[3], 2u);
acc[2] = fma(a0[3], b3_2, fma(a0[2], b2_2, fma(a0[1], b1_2, fma(a0[0], b0_2, acc[2]))));
acc[10] = fma(a1[3], b3_2, fma(a1[2], b2_2, fma(a1[1], b1_2, fma(a1[0], b0_2, acc[10]))));
let b0_3 = subgroupBroadcast(s0[0], 3u);
let b1_3 = subgroupBroadcast(s0[1], 3u);
let b2_3 = subgroupBroadcast(s0[2], 3u);
let b3_3 = subgroupBroadcast(s0[3], 3u);
acc[3] = fma(a0[3], b3_3, fma(a0[2], b2_3, fma(a0[1], b1_3, fma(a0[0], b0_3, acc[3]))));
acc[11] = fma(a1[3], b3_3, fma(a1[2], b2_3, fma(a1[1], b1_3, fma(a1[0], b0_3, acc[11]))));
let b0_4 = subgroupBroadcast(s0[0], 4u);
let b1_4 = subgroupBroadcast(s0[1], 4u);
let b2_4 = subgroupBroadcast(s0[2], 4u);
let b3_4 = subgroupBroadcast(s0[3], 4u);
acc[4] = fma(a0[3], b3_4, fma(a0[2], b2_4, fma(a0[1], b1_4, fma(a0[0], b0_4, acc[4]))));
acc[12] = fma(a1[3], b3_4, fma(a1[2], b2_4, fma(a1[1], b1_4, fma(a1[0], b0_4, acc[12]))));
let b0_5 = subgroupBroadcast(s0[0], 5u);
let b1_5 = subgroupBroadcast(s0[1], 5u);
let b2_5 = subgroupBroadcast(s0[2], 5u);
let b3_5 = subgroupBroadcast(s0[3], 5u);
acc[5] = fma(a0[3], b3_5, fma(a0[2], b2_5, fma(a0[1], b1_5, fma(a0[0], b0_5, acc[5]))));
acc[13] = fma(a1[3], b3_5, fma(a1[2], b2_5, fma(a1[1], b1_5, fma(a1[0], b0_5, acc[13]))));
let b0_6 = subgroupBroadcast(s0[0], 6u);
let b1_6 = subgroupBroadcast(s0[1], 6u);
let b2_6 = subgroupBroadcast(s0[2], 6u);
let b3_6 = subgroupBroadcast(s0[3], 6u);
acc[6] = fma(a0[3], b3_6, fma(a0[2], b2_6, fma(a0[1], b1_6, fma(a0[0], b0_6, acc[6]))));
acc[14] = fma(a1[3], b3_6, fma(a1[2], b2_6, fma(a1[1], b1_6, fma(a1[0], b0_6, acc[14]))));
let b0_7 = subgroupBroadcast(s0[0], 7u);
let b1_7 = subgroupBroadcast(s0[1], 7u);
let b2_7 = subgroupBroadcast(s0[2], 7u);
let b3_7 = subgroupBroadcast(s0[3], 7u);
acc[7] = fma(a0[3], b3_7, fma(a0[2], b2_7, fma(a0[1], b1_7, fma(a0[0], b0_7, acc[7]))));
acc[15] = fma(a1[3], b3_7, fma(a1[2], b2_7, fma(a1[1], b1_7, fma(a1[0], b0_7, acc[15]))));
}
}
rest_x -= part.x;
shift_x -= whole.x;
if (rest_x < 0) { rest_x += stride.x; shift_x -= 1; }
}
}
rest_y -= part.y;
shift_y -= whole.y;
if (rest_y < 0) { rest_y += stride.y; shift_y -= 1; }
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


// convInput(across=8,cols=4,depth=16,dtype=f32,lanes=0,rows=4,threads=64,variant=tile,vx=false,vy=true)
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
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, left: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
var<private> phase: vec2i;
var<private> size: vec2i;
fn quad_g(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(g[at / 4u]), left > 0); }
fn quad_w(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(weight[at / 4u]), left > 0); }
fn quad_dx(at: u32, left: i32, value: vec4f) {
if (left > 0) { dx[at + 0u] = f32(value[0]); }
if (left > 1) { dx[at + 1u] = f32(value[1]); }
if (left > 2) { dx[at + 2u] = f32(value[2]); }
if (left > 3) { dx[at + 3u] = f32(value[3]); }
}
fn a_row(m: u32) -> Row {
  let line = i32(m) / size.x;
  let b = line / size.y;
  return Row(b * u.oh * u.ow, line - b * size.y, i32(m) - line * size.x);
}
fn a_run(row: Row, shift_y: i32, shift_x: i32) -> Run {
  let y = row.y + shift_y;
  let x = row.x + shift_x;
  let is_inside = u32(y) < u32(u.oh) && u32(x) < u32(u.ow);
  return Run((row.image + y * u.ow + x) * u.o + o_first, select(0, u.group_o, is_inside));
}
fn a_load(run: Run, k: u32) -> vec4f { return quad_g(u32(run.at) + k, run.left - i32(k)); }
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(n)) * u.o + o_first) + k, u.group_o - i32(k));
}
fn c_row(m: u32) -> u32 {
  let line = i32(m) / size.x;
  let b = line / size.y;
  let y = (line - b * size.y) * u.stride_h + phase.y;
  let x = (i32(m) - line * size.x) * u.stride_w + phase.x;
  return u32(((b * u.h + y) * u.w + x) * u.c + c_first);
}
fn store(at: u32, n: u32, value: vec4f) { quad_dx(at + n, u.group_c - i32(n), value); }
var<workgroup> tile_a: array<vec4f, 160>;
var<workgroup> tile_b: array<vec4f, 160>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let n_end = u32(u.group_c);
let n_groups = (n_end + 31u) / 32u;
let n_tile = (wid.z % n_groups) * 32u;
let product = i32(wid.z / n_groups);
let group = product % u.groups;
o_first = group * u.group_o;
c_first = group * u.group_c;
let this_phase = vec2i((product / u.groups) % u.stride_w, product / (u.groups * u.stride_w));
let this_size = (vec2i(u.w, u.h) - this_phase + vec2i(u.stride_w, u.stride_h) - 1) / vec2i(u.stride_w, u.stride_h);
// The loops go by the local values: a barrier may not depend on a private variable, which counts as non-uniform.
phase = this_phase;
size = this_size;
let m_end = u32(u.batch * this_size.y * this_size.x);
let m_tile = (wid.x + wid.y * nwg.x) * 32u;
if (m_tile >= m_end) { return; }
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

let stride = vec2i(u.stride_w, u.stride_h);
let reach = this_phase + vec2i(u.left, u.top);
let whole = vec2i(u.dilation_w, u.dilation_h) / stride;
let part = vec2i(u.dilation_w, u.dilation_h) - whole * stride;
var shift_y = reach.y / stride.y;
var rest_y = reach.y - shift_y * stride.y;
for (var ty = 0; ty < u.kh; ty++) {
if (rest_y == 0) {
var shift_x = reach.x / stride.x;
var rest_x = reach.x - shift_x * stride.x;
for (var tx = 0; tx < u.kw; tx++) {
if (rest_x == 0) {
w_at = (ty * u.kw + tx) * u.group_c;
let run0 = a_run(row0, shift_y, shift_x);
let run1 = a_run(row1, shift_y, shift_x);
for (var k = 0u; k < u32(u.group_o); k += 16u) {
workgroupBarrier();
tile_a[((li + 0u) / 4u) * 5u + (li + 0u) % 4u] = a_load(run0, k + 4u * ((li + 0u) % 4u));
tile_a[((li + 64u) / 4u) * 5u + (li + 64u) % 4u] = a_load(run1, k + 4u * ((li + 64u) % 4u));
tile_b[((li + 0u) / 4u) * 5u + (li + 0u) % 4u] = b_load(k + 4u * ((li + 0u) % 4u), n_tile + (li + 0u) / 4u);
tile_b[((li + 64u) / 4u) * 5u + (li + 64u) % 4u] = b_load(k + 4u * ((li + 64u) % 4u), n_tile + (li + 64u) / 4u);
workgroupBarrier();
for (var kq = 0u; kq < 4u; kq++) {
let a0 = tile_a[(y + 0u) * 5u + kq];
let a1 = tile_a[(y + 8u) * 5u + kq];
let a2 = tile_a[(y + 16u) * 5u + kq];
let a3 = tile_a[(y + 24u) * 5u + kq];
let t0 = tile_b[(x * 4u + 0u) * 5u + kq];
let t1 = tile_b[(x * 4u + 1u) * 5u + kq];
let t2 = tile_b[(x * 4u + 2u) * 5u + kq];
let t3 = tile_b[(x * 4u + 3u) * 5u + kq];
let b0_0 = vec4f(t0[0], t1[0], t2[0], t3[0]);
let b1_0 = vec4f(t0[1], t1[1], t2[1], t3[1]);
let b2_0 = vec4f(t0[2], t1[2], t2[2], t3[2]);
let b3_0 = vec4f(t0[3], t1[3], t2[3], t3[3]);
c0_0 = fma(vec4f(a0[3]), b3_0, fma(vec4f(a0[2]), b2_0, fma(vec4f(a0[1]), b1_0, fma(vec4f(a0[0]), b0_0, c0_0))));
c1_0 = fma(vec4f(a1[3]), b3_0, fma(vec4f(a1[2]), b2_0, fma(vec4f(a1[1]), b1_0, fma(vec4f(a1[0]), b0_0, c1_0))));
c2_0 = fma(vec4f(a2[3]), b3_0, fma(vec4f(a2[2]), b2_0, fma(vec4f(a2[1]), b1_0, fma(vec4f(a2[0]), b0_0, c2_0))));
c3_0 = fma(vec4f(a3[3]), b3_0, fma(vec4f(a3[2]), b2_0, fma(vec4f(a3[1]), b1_0, fma(vec4f(a3[0]), b0_0, c3_0))));
}
}
}
rest_x -= part.x;
shift_x -= whole.x;
if (rest_x < 0) { rest_x += stride.x; shift_x -= 1; }
}
}
rest_y -= part.y;
shift_y -= whole.y;
if (rest_y < 0) { rest_y += stride.y; shift_y -= 1; }
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


// convInput(across=8,cols=8,depth=0,dtype=f32,lanes=0,rows=4,threads=64,variant=plain,vx=false,vy=true)
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
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

struct Row { image: i32, y: i32, x: i32 }
struct Run { at: i32, left: i32 }
var<private> w_at: i32;
var<private> o_first: i32;
var<private> c_first: i32;
var<private> phase: vec2i;
var<private> size: vec2i;
fn quad_g(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(g[at / 4u]), left > 0); }
fn quad_w(at: u32, left: i32) -> vec4f { return vec4f(weight[at / 4u]); }
fn quad_dx(at: u32, left: i32, value: vec4f) {
if (left > 0) { dx[at + 0u] = f32(value[0]); }
if (left > 1) { dx[at + 1u] = f32(value[1]); }
if (left > 2) { dx[at + 2u] = f32(value[2]); }
if (left > 3) { dx[at + 3u] = f32(value[3]); }
}
fn a_row(m: u32) -> Row {
  let line = i32(m) / size.x;
  let b = line / size.y;
  return Row(b * u.oh * u.ow, line - b * size.y, i32(m) - line * size.x);
}
fn a_run(row: Row, shift_y: i32, shift_x: i32) -> Run {
  let y = row.y + shift_y;
  let x = row.x + shift_x;
  let is_inside = u32(y) < u32(u.oh) && u32(x) < u32(u.ow);
  return Run((row.image + y * u.ow + x) * u.o + o_first, select(0, u.group_o, is_inside));
}
fn a_load(run: Run, k: u32) -> vec4f { return quad_g(u32(run.at) + k, run.left - i32(k)); }
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_w(u32((w_at + i32(n)) * u.o + o_first) + k, u.group_o - i32(k));
}
fn c_row(m: u32) -> u32 {
  let line = i32(m) / size.x;
  let b = line / size.y;
  let y = (line - b * size.y) * u.stride_h + phase.y;
  let x = (i32(m) - line * size.x) * u.stride_w + phase.x;
  return u32(((b * u.h + y) * u.w + x) * u.c + c_first);
}
fn store(at: u32, n: u32, value: vec4f) { quad_dx(at + n, u.group_c - i32(n), value); }
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let n_end = u32(u.group_c);
let n_groups = (n_end + 63u) / 64u;
let n_tile = (wid.z % n_groups) * 64u;
let product = i32(wid.z / n_groups);
let group = product % u.groups;
o_first = group * u.group_o;
c_first = group * u.group_c;
let this_phase = vec2i((product / u.groups) % u.stride_w, product / (u.groups * u.stride_w));
let this_size = (vec2i(u.w, u.h) - this_phase + vec2i(u.stride_w, u.stride_h) - 1) / vec2i(u.stride_w, u.stride_h);
// The loops go by the local values: a barrier may not depend on a private variable, which counts as non-uniform.
phase = this_phase;
size = this_size;
let m_end = u32(u.batch * this_size.y * this_size.x);
let m_tile = (wid.x + wid.y * nwg.x) * 32u;
if (m_tile >= m_end) { return; }
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

let stride = vec2i(u.stride_w, u.stride_h);
let reach = this_phase + vec2i(u.left, u.top);
let whole = vec2i(u.dilation_w, u.dilation_h) / stride;
let part = vec2i(u.dilation_w, u.dilation_h) - whole * stride;
var shift_y = reach.y / stride.y;
var rest_y = reach.y - shift_y * stride.y;
for (var ty = 0; ty < u.kh; ty++) {
if (rest_y == 0) {
var shift_x = reach.x / stride.x;
var rest_x = reach.x - shift_x * stride.x;
for (var tx = 0; tx < u.kw; tx++) {
if (rest_x == 0) {
w_at = (ty * u.kw + tx) * u.group_c;
let run0 = a_run(row0, shift_y, shift_x);
let run1 = a_run(row1, shift_y, shift_x);
let run2 = a_run(row2, shift_y, shift_x);
let run3 = a_run(row3, shift_y, shift_x);
for (var k = 0u; k < u32(u.group_o); k += 4u) {
let a0 = a_load(run0, k);
let a1 = a_load(run1, k);
let a2 = a_load(run2, k);
let a3 = a_load(run3, k);
let t0 = b_load(k, n + 0u);
let t1 = b_load(k, n + 1u);
let t2 = b_load(k, n + 2u);
let t3 = b_load(k, n + 3u);
let t4 = b_load(k, n + 4u);
let t5 = b_load(k, n + 5u);
let t6 = b_load(k, n + 6u);
let t7 = b_load(k, n + 7u);
let b0_0 = vec4f(t0[0], t1[0], t2[0], t3[0]);
let b1_0 = vec4f(t0[1], t1[1], t2[1], t3[1]);
let b2_0 = vec4f(t0[2], t1[2], t2[2], t3[2]);
let b3_0 = vec4f(t0[3], t1[3], t2[3], t3[3]);
c0_0 = fma(vec4f(a0[3]), b3_0, fma(vec4f(a0[2]), b2_0, fma(vec4f(a0[1]), b1_0, fma(vec4f(a0[0]), b0_0, c0_0))));
c1_0 = fma(vec4f(a1[3]), b3_0, fma(vec4f(a1[2]), b2_0, fma(vec4f(a1[1]), b1_0, fma(vec4f(a1[0]), b0_0, c1_0))));
c2_0 = fma(vec4f(a2[3]), b3_0, fma(vec4f(a2[2]), b2_0, fma(vec4f(a2[1]), b1_0, fma(vec4f(a2[0]), b0_0, c2_0))));
c3_0 = fma(vec4f(a3[3]), b3_0, fma(vec4f(a3[2]), b2_0, fma(vec4f(a3[1]), b1_0, fma(vec4f(a3[0]), b0_0, c3_0))));
let b0_1 = vec4f(t4[0], t5[0], t6[0], t7[0]);
let b1_1 = vec4f(t4[1], t5[1], t6[1], t7[1]);
let b2_1 = vec4f(t4[2], t5[2], t6[2], t7[2]);
let b3_1 = vec4f(t4[3], t5[3], t6[3], t7[3]);
c0_1 = fma(vec4f(a0[3]), b3_1, fma(vec4f(a0[2]), b2_1, fma(vec4f(a0[1]), b1_1, fma(vec4f(a0[0]), b0_1, c0_1))));
c1_1 = fma(vec4f(a1[3]), b3_1, fma(vec4f(a1[2]), b2_1, fma(vec4f(a1[1]), b1_1, fma(vec4f(a1[0]), b0_1, c1_1))));
c2_1 = fma(vec4f(a2[3]), b3_1, fma(vec4f(a2[2]), b2_1, fma(vec4f(a2[1]), b1_1, fma(vec4f(a2[0]), b0_1, c2_1))));
c3_1 = fma(vec4f(a3[3]), b3_1, fma(vec4f(a3[2]), b2_1, fma(vec4f(a3[1]), b1_1, fma(vec4f(a3[0]), b0_1, c3_1))));
}
}
rest_x -= part.x;
shift_x -= whole.x;
if (rest_x < 0) { rest_x += stride.x; shift_x -= 1; }
}
}
rest_y -= part.y;
shift_y -= whole.y;
if (rest_y < 0) { rest_y += stride.y; shift_y -= 1; }
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


// convWeight(across=1,cols=8,depth=0,dtype=f32,lanes=8,out=f32,rows=4,threads=8,variant=subgroup,vx=false,vy=true)
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
  splits: i32,
  share: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;

struct Row { y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> o_first: i32;
var<private> c_first: i32;
var<private> g_at: i32;
var<private> part: u32;
fn quad_x(at: i32, first: i32, last: i32) -> vec4f { return vec4f(select(0.0, f32(x[u32(at)]), first <= 0 && last > 0), select(0.0, f32(x[u32(at + 1)]), first <= 1 && last > 1), select(0.0, f32(x[u32(at + 2)]), first <= 2 && last > 2), select(0.0, f32(x[u32(at + 3)]), first <= 3 && last > 3)); }
fn quad_g(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(g[at / 4u]), left > 0); }
fn quad_dw(at: u32, left: i32, value: vec4f) {
dw[at / 4u] = vec4<f32>(value);
}
fn padded() -> i32 { return (u.run + 3) / 4 * 4; }
fn a_row(m: u32) -> Row {
  let tap = i32(m) / padded();
  let ty = tap / u.taps_x;
  let tx = tap - ty * u.taps_x;
  return Row(ty * u.dilation_h - u.top, (tx * u.dilation_w - u.left) * u.c + i32(m) - tap * padded());
}
fn a_run(row: Row, b: i32, oy: i32) -> Run {
  let y = oy * u.stride_h + row.y;
  let x = select(-0x40000000, row.x, u32(y) < u32(u.h));
  return Run((b * u.h + y) * u.w * u.c + c_first + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let step = i32(k) * u.stride_w * u.c;
  let x = run.x + step;
  return quad_x(run.at + step, -x, select(0, u.w * u.c - x, i32(k) < u.ow));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_g(u32((g_at + i32(k)) * u.o + o_first) + n, 4 * (u.ow - i32(k)));
}
fn c_row(m: u32) -> u32 {
  let tap = i32(m) / padded();
  let j = i32(m) - tap * padded();
  return select(0xffffffffu, part + u32((tap * u.run + j) * u.o + o_first), j < u.run);
}
fn store(at: u32, n: u32, value: vec4f) {
  if (at != 0xffffffffu) { quad_dw(at + n, u.group_o - i32(n), value); }
}
@diagnostic(off, subgroup_uniformity)
@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) lane: u32) {

let n_end = u32(u.group_o);
let m_end = u32(u.kh * u.taps_x * padded());
let n_groups = (n_end + 7u) / 8u;
let m_tile = wid.x * 32u;
let n_tile = (wid.y % n_groups) * 8u;
let group = i32(wid.y / n_groups);
o_first = group * u.group_o;
c_first = group * u.group_c;
part = wid.z * u32(u.kh * u.kw * u.group_c * u.o);
let line_first = i32(wid.z) * u.share;
let line_last = min(u.batch * u.oh, line_first + u.share);
let n = n_tile;
let m_first = m_tile + (li / 8u) * 32u;
if (m_first >= m_end) { return; }
let m = m_first + 4u * lane;
let row0 = a_row(m + 0u);
var acc = array<f32, 32>();

var b = line_first / u.oh;
var oy = line_first - b * u.oh;
for (var line = line_first; line < line_last; line++) {
g_at = line * u.ow;
let run0 = a_run(row0, b, oy);
for (var k = 0u; k < u32(u.ow); k += 4u) {
let a0 = a_load(run0, k + 0u);
let a1 = a_load(run0, k + 1u);
let a2 = a_load(run0, k + 2u);
let a3 = a_load(run0, k + 3u);
let s0 = b_load(k + (lane + 0u) / 2u, n + 4u * ((lane + 0u) % 2u));
let b0_0 = subgroupBroadcast(s0[0], 0u);
let b1_0 = subgroupBroadcast(s0[0], 2u);
let b2_0 = subgroupBroadcast(s0[0], 4u);
let b3_0 = subgroupBroadcast(s0[0], 6u);
acc[0] = fma(a3[0], b3_0, fma(a2[0], b2_0, fma(a1[0], b1_0, fma(a0[0], b0_0, acc[0]))));
acc[8] = fma(a3[1], b3_0, fma(a2[1], b2_0, fma(a1[1], b1_0, fma(a0[1], b0_0, acc[8]))));
acc[16] = fma(a3[2], b3_0, fma(a2[2], b2_0, fma(a1[2], b1_0, fma(a0[2], b0_0, acc[16]))));
acc[24] = fma(a3[3], b3_0, fma(a2[3], b2_0, fma(a1[3], b1_0, fma(a0[3], b0_0, acc[24]))));
let b0_1 = subgroupBroadcast(s0[1], 0u);
let b1_1 = subgroupBroadcast(s0[1], 2u);
let b2_1 = subgroupBroadcast(s0[1], 4u);
let b3_1 = subgroupBroadcast(s0[1], 6u);
acc[1] = fma(a3[0], b3_1, fma(a2[0], b2_1, fma(a1[0], b1_1, fma(a0[0], b0_1, acc[1]))));
acc[9] = fma(a3[1], b3_1, fma(a2[1], b2_1, fma(a1[1], b1_1, fma(a0[1], b0_1, acc[9]))));
acc[17] = fma(a3[2], b3_1, fma(a2[2], b2_1, fma(a1[2], b1_1, fma(a0[2], b0_1, acc[17]))));
acc[25] = fma(a3[3], b3_1, fma(a2[3], b2_1, fma(a1[3], b1_1, fma(a0[3], b0_1, acc[25]))));
let b0_2 = subgroupBroadcast(s0[2], 0u);
let b1_2 = subgroupBroadcast(s0[2], 2u);
let b2_2 = subgroupBroadcast(s0[2], 4u);
let b3_2 = subgroupBroadcast(s0[2], 6u);
acc[2] = fma(a3[0], b3_2, fma(a2[0], b2_2, fma(a1[0], b1_2, fma(a0[0], b0_2, acc[2]))));
acc[10] = fma(a3[1], b3_2, fma(a2[1], b2_2, fma(a1[1], b1_2, fma(a0[1], b0_2, acc[10]))));
acc[18] = fma(a3[2], b3_2, fma(a2[2], b2_2, fma(a1[2], b1_2, fma(a0[2], b0_2, acc[18]))));
acc[26] = fma(a3[3], b3_2, fma(a2[3], b2_2, fma(a1[3], b1_2, fma(a0[3], b0_2, acc[26]))));
let b0_3 = subgroupBroadcast(s0[3], 0u);
let b1_3 = subgroupBroadcast(s0[3], 2u);
let b2_3 = subgroupBroadcast(s0[3], 4u);
let b3_3 = subgroupBroadcast(s0[3], 6u);
acc[3] = fma(a3[0], b3_3, fma(a2[0], b2_3, fma(a1[0], b1_3, fma(a0[0], b0_3, acc[3]))));
acc[11] = fma(a3[1], b3_3, fma(a2[1], b2_3, fma(a1[1], b1_3, fma(a0[1], b0_3, acc[11]))));
acc[19] = fma(a3[2], b3_3, fma(a2[2], b2_3, fma(a1[2], b1_3, fma(a0[2], b0_3, acc[19]))));
acc[27] = fma(a3[3], b3_3, fma(a2[3], b2_3, fma(a1[3], b1_3, fma(a0[3], b0_3, acc[27]))));
let b0_4 = subgroupBroadcast(s0[0], 1u);
let b1_4 = subgroupBroadcast(s0[0], 3u);
let b2_4 = subgroupBroadcast(s0[0], 5u);
let b3_4 = subgroupBroadcast(s0[0], 7u);
acc[4] = fma(a3[0], b3_4, fma(a2[0], b2_4, fma(a1[0], b1_4, fma(a0[0], b0_4, acc[4]))));
acc[12] = fma(a3[1], b3_4, fma(a2[1], b2_4, fma(a1[1], b1_4, fma(a0[1], b0_4, acc[12]))));
acc[20] = fma(a3[2], b3_4, fma(a2[2], b2_4, fma(a1[2], b1_4, fma(a0[2], b0_4, acc[20]))));
acc[28] = fma(a3[3], b3_4, fma(a2[3], b2_4, fma(a1[3], b1_4, fma(a0[3], b0_4, acc[28]))));
let b0_5 = subgroupBroadcast(s0[1], 1u);
let b1_5 = subgroupBroadcast(s0[1], 3u);
let b2_5 = subgroupBroadcast(s0[1], 5u);
let b3_5 = subgroupBroadcast(s0[1], 7u);
acc[5] = fma(a3[0], b3_5, fma(a2[0], b2_5, fma(a1[0], b1_5, fma(a0[0], b0_5, acc[5]))));
acc[13] = fma(a3[1], b3_5, fma(a2[1], b2_5, fma(a1[1], b1_5, fma(a0[1], b0_5, acc[13]))));
acc[21] = fma(a3[2], b3_5, fma(a2[2], b2_5, fma(a1[2], b1_5, fma(a0[2], b0_5, acc[21]))));
acc[29] = fma(a3[3], b3_5, fma(a2[3], b2_5, fma(a1[3], b1_5, fma(a0[3], b0_5, acc[29]))));
let b0_6 = subgroupBroadcast(s0[2], 1u);
let b1_6 = subgroupBroadcast(s0[2], 3u);
let b2_6 = subgroupBroadcast(s0[2], 5u);
let b3_6 = subgroupBroadcast(s0[2], 7u);
acc[6] = fma(a3[0], b3_6, fma(a2[0], b2_6, fma(a1[0], b1_6, fma(a0[0], b0_6, acc[6]))));
acc[14] = fma(a3[1], b3_6, fma(a2[1], b2_6, fma(a1[1], b1_6, fma(a0[1], b0_6, acc[14]))));
acc[22] = fma(a3[2], b3_6, fma(a2[2], b2_6, fma(a1[2], b1_6, fma(a0[2], b0_6, acc[22]))));
acc[30] = fma(a3[3], b3_6, fma(a2[3], b2_6, fma(a1[3], b1_6, fma(a0[3], b0_6, acc[30]))));
let b0_7 = subgroupBroadcast(s0[3], 1u);
let b1_7 = subgroupBroadcast(s0[3], 3u);
let b2_7 = subgroupBroadcast(s0[3], 5u);
let b3_7 = subgroupBroadcast(s0[3], 7u);
acc[7] = fma(a3[0], b3_7, fma(a2[0], b2_7, fma(a1[0], b1_7, fma(a0[0], b0_7, acc[7]))));
acc[15] = fma(a3[1], b3_7, fma(a2[1], b2_7, fma(a1[1], b1_7, fma(a0[1], b0_7, acc[15]))));
acc[23] = fma(a3[2], b3_7, fma(a2[2], b2_7, fma(a1[2], b1_7, fma(a0[2], b0_7, acc[23]))));
acc[31] = fma(a3[3], b3_7, fma(a2[3], b2_7, fma(a1[3], b1_7, fma(a0[3], b0_7, acc[31]))));
}
oy += 1;
if (oy == u.oh) { oy = 0; b += 1; }
}
let quads = min(2u, (n_end - n + 3u) / 4u);
let m_last = min(m_end, m + 4u);
var first = 0u;
for (var r = m; r < m_last; r += 1u) {
let at = c_row(r);
for (var q = 0u; q < quads; q++) {
let e = first + 4u * q;
store(at, n + 4u * q, vec4f(acc[e], acc[e + 1u], acc[e + 2u], acc[e + 3u]));
}
first += 8u;
}
}


// convWeight(across=8,cols=4,depth=16,dtype=f32,lanes=0,out=f32,rows=4,threads=64,variant=tile,vx=false,vy=true)
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
  splits: i32,
  share: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;

struct Row { y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> o_first: i32;
var<private> c_first: i32;
var<private> g_at: i32;
var<private> part: u32;
fn quad_x(at: i32, first: i32, last: i32) -> vec4f { return vec4f(select(0.0, f32(x[u32(at)]), first <= 0 && last > 0), select(0.0, f32(x[u32(at + 1)]), first <= 1 && last > 1), select(0.0, f32(x[u32(at + 2)]), first <= 2 && last > 2), select(0.0, f32(x[u32(at + 3)]), first <= 3 && last > 3)); }
fn quad_g(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(g[at / 4u]), left > 0); }
fn quad_dw(at: u32, left: i32, value: vec4f) {
dw[at / 4u] = vec4<f32>(value);
}
fn padded() -> i32 { return (u.run + 3) / 4 * 4; }
fn a_row(m: u32) -> Row {
  let tap = i32(m) / padded();
  let ty = tap / u.taps_x;
  let tx = tap - ty * u.taps_x;
  return Row(ty * u.dilation_h - u.top, (tx * u.dilation_w - u.left) * u.c + i32(m) - tap * padded());
}
fn a_run(row: Row, b: i32, oy: i32) -> Run {
  let y = oy * u.stride_h + row.y;
  let x = select(-0x40000000, row.x, u32(y) < u32(u.h));
  return Run((b * u.h + y) * u.w * u.c + c_first + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let step = i32(k) * u.stride_w * u.c;
  let x = run.x + step;
  return quad_x(run.at + step, -x, select(0, u.w * u.c - x, i32(k) < u.ow));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_g(u32((g_at + i32(k)) * u.o + o_first) + n, 4 * (u.ow - i32(k)));
}
fn c_row(m: u32) -> u32 {
  let tap = i32(m) / padded();
  let j = i32(m) - tap * padded();
  return select(0xffffffffu, part + u32((tap * u.run + j) * u.o + o_first), j < u.run);
}
fn store(at: u32, n: u32, value: vec4f) {
  if (at != 0xffffffffu) { quad_dw(at + n, u.group_o - i32(n), value); }
}
var<workgroup> tile_a: array<vec4f, 128>;
var<workgroup> tile_b: array<vec4f, 128>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let n_end = u32(u.group_o);
let m_end = u32(u.kh * u.taps_x * padded());
let n_groups = (n_end + 31u) / 32u;
let m_tile = wid.x * 32u;
let n_tile = (wid.y % n_groups) * 32u;
let group = i32(wid.y / n_groups);
o_first = group * u.group_o;
c_first = group * u.group_c;
part = wid.z * u32(u.kh * u.kw * u.group_c * u.o);
let line_first = i32(wid.z) * u.share;
let line_last = min(u.batch * u.oh, line_first + u.share);
let x = li % 8u;
let y = li / 8u;
let n = n_tile + x * 4u;
let m = m_tile + y * 4u;
let row0 = a_row(m_tile + 4u * ((li + 0u) % 8u));
let row1 = a_row(m_tile + 4u * ((li + 64u) % 8u));
var c0_0 = vec4f();
var c1_0 = vec4f();
var c2_0 = vec4f();
var c3_0 = vec4f();

var b = line_first / u.oh;
var oy = line_first - b * u.oh;
for (var line = line_first; line < line_last; line++) {
g_at = line * u.ow;
let run0 = a_run(row0, b, oy);
let run1 = a_run(row1, b, oy);
for (var k = 0u; k < u32(u.ow); k += 16u) {
workgroupBarrier();
tile_a[(li + 0u)] = a_load(run0, k + (li + 0u) / 8u);
tile_a[(li + 64u)] = a_load(run1, k + (li + 64u) / 8u);
tile_b[(li + 0u)] = b_load(k + (li + 0u) / 8u, n_tile + 4u * ((li + 0u) % 8u));
tile_b[(li + 64u)] = b_load(k + (li + 64u) / 8u, n_tile + 4u * ((li + 64u) % 8u));
workgroupBarrier();
for (var kq = 0u; kq < 4u; kq++) {
let a0 = tile_a[(4u * kq + 0u) * 8u + y + 0u];
let a1 = tile_a[(4u * kq + 1u) * 8u + y + 0u];
let a2 = tile_a[(4u * kq + 2u) * 8u + y + 0u];
let a3 = tile_a[(4u * kq + 3u) * 8u + y + 0u];

let b0_0 = tile_b[(4u * kq + 0u) * 8u + x * 1u + 0u];
let b1_0 = tile_b[(4u * kq + 1u) * 8u + x * 1u + 0u];
let b2_0 = tile_b[(4u * kq + 2u) * 8u + x * 1u + 0u];
let b3_0 = tile_b[(4u * kq + 3u) * 8u + x * 1u + 0u];
c0_0 = fma(vec4f(a3[0]), b3_0, fma(vec4f(a2[0]), b2_0, fma(vec4f(a1[0]), b1_0, fma(vec4f(a0[0]), b0_0, c0_0))));
c1_0 = fma(vec4f(a3[1]), b3_0, fma(vec4f(a2[1]), b2_0, fma(vec4f(a1[1]), b1_0, fma(vec4f(a0[1]), b0_0, c1_0))));
c2_0 = fma(vec4f(a3[2]), b3_0, fma(vec4f(a2[2]), b2_0, fma(vec4f(a1[2]), b1_0, fma(vec4f(a0[2]), b0_0, c2_0))));
c3_0 = fma(vec4f(a3[3]), b3_0, fma(vec4f(a2[3]), b2_0, fma(vec4f(a1[3]), b1_0, fma(vec4f(a0[3]), b0_0, c3_0))));
}
}
oy += 1;
if (oy == u.oh) { oy = 0; b += 1; }
}
if (m + 0u < m_end) {
let at = c_row(m + 0u);
if (n + 0u < n_end) { store(at, n + 0u, c0_0); }
}
if (m + 1u < m_end) {
let at = c_row(m + 1u);
if (n + 0u < n_end) { store(at, n + 0u, c1_0); }
}
if (m + 2u < m_end) {
let at = c_row(m + 2u);
if (n + 0u < n_end) { store(at, n + 0u, c2_0); }
}
if (m + 3u < m_end) {
let at = c_row(m + 3u);
if (n + 0u < n_end) { store(at, n + 0u, c3_0); }
}
}


// convWeight(across=8,cols=8,depth=0,dtype=f32,lanes=0,out=f32,rows=4,threads=64,variant=plain,vx=false,vy=true)
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
  splits: i32,
  share: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;

struct Row { y: i32, x: i32 }
struct Run { at: i32, x: i32 }
var<private> o_first: i32;
var<private> c_first: i32;
var<private> g_at: i32;
var<private> part: u32;
fn quad_x(at: i32, first: i32, last: i32) -> vec4f { return vec4f(select(0.0, f32(x[u32(at)]), first <= 0 && last > 0), select(0.0, f32(x[u32(at + 1)]), first <= 1 && last > 1), select(0.0, f32(x[u32(at + 2)]), first <= 2 && last > 2), select(0.0, f32(x[u32(at + 3)]), first <= 3 && last > 3)); }
fn quad_g(at: u32, left: i32) -> vec4f { return select(vec4f(), vec4f(g[at / 4u]), left > 0); }
fn quad_dw(at: u32, left: i32, value: vec4f) {
dw[at / 4u] = vec4<f32>(value);
}
fn padded() -> i32 { return (u.run + 3) / 4 * 4; }
fn a_row(m: u32) -> Row {
  let tap = i32(m) / padded();
  let ty = tap / u.taps_x;
  let tx = tap - ty * u.taps_x;
  return Row(ty * u.dilation_h - u.top, (tx * u.dilation_w - u.left) * u.c + i32(m) - tap * padded());
}
fn a_run(row: Row, b: i32, oy: i32) -> Run {
  let y = oy * u.stride_h + row.y;
  let x = select(-0x40000000, row.x, u32(y) < u32(u.h));
  return Run((b * u.h + y) * u.w * u.c + c_first + x, x);
}
fn a_load(run: Run, k: u32) -> vec4f {
  let step = i32(k) * u.stride_w * u.c;
  let x = run.x + step;
  return quad_x(run.at + step, -x, select(0, u.w * u.c - x, i32(k) < u.ow));
}
fn b_load(k: u32, n: u32) -> vec4f {
  return quad_g(u32((g_at + i32(k)) * u.o + o_first) + n, 4 * (u.ow - i32(k)));
}
fn c_row(m: u32) -> u32 {
  let tap = i32(m) / padded();
  let j = i32(m) - tap * padded();
  return select(0xffffffffu, part + u32((tap * u.run + j) * u.o + o_first), j < u.run);
}
fn store(at: u32, n: u32, value: vec4f) {
  if (at != 0xffffffffu) { quad_dw(at + n, u.group_o - i32(n), value); }
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let n_end = u32(u.group_o);
let m_end = u32(u.kh * u.taps_x * padded());
let n_groups = (n_end + 63u) / 64u;
let m_tile = wid.x * 32u;
let n_tile = (wid.y % n_groups) * 64u;
let group = i32(wid.y / n_groups);
o_first = group * u.group_o;
c_first = group * u.group_c;
part = wid.z * u32(u.kh * u.kw * u.group_c * u.o);
let line_first = i32(wid.z) * u.share;
let line_last = min(u.batch * u.oh, line_first + u.share);
let n = n_tile + (li % 8u) * 8u;
let m = m_tile + (li / 8u) * 4u;
if (m >= m_end || n >= n_end) { return; }
let row0 = a_row(m + 0u);
var c0_0 = vec4f();
var c0_1 = vec4f();
var c1_0 = vec4f();
var c1_1 = vec4f();
var c2_0 = vec4f();
var c2_1 = vec4f();
var c3_0 = vec4f();
var c3_1 = vec4f();

var b = line_first / u.oh;
var oy = line_first - b * u.oh;
for (var line = line_first; line < line_last; line++) {
g_at = line * u.ow;
let run0 = a_run(row0, b, oy);
for (var k = 0u; k < u32(u.ow); k += 4u) {
let a0 = a_load(run0, k + 0u);
let a1 = a_load(run0, k + 1u);
let a2 = a_load(run0, k + 2u);
let a3 = a_load(run0, k + 3u);

let b0_0 = b_load(k + 0u, n + 0u);
let b1_0 = b_load(k + 1u, n + 0u);
let b2_0 = b_load(k + 2u, n + 0u);
let b3_0 = b_load(k + 3u, n + 0u);
c0_0 = fma(vec4f(a3[0]), b3_0, fma(vec4f(a2[0]), b2_0, fma(vec4f(a1[0]), b1_0, fma(vec4f(a0[0]), b0_0, c0_0))));
c1_0 = fma(vec4f(a3[1]), b3_0, fma(vec4f(a2[1]), b2_0, fma(vec4f(a1[1]), b1_0, fma(vec4f(a0[1]), b0_0, c1_0))));
c2_0 = fma(vec4f(a3[2]), b3_0, fma(vec4f(a2[2]), b2_0, fma(vec4f(a1[2]), b1_0, fma(vec4f(a0[2]), b0_0, c2_0))));
c3_0 = fma(vec4f(a3[3]), b3_0, fma(vec4f(a2[3]), b2_0, fma(vec4f(a1[3]), b1_0, fma(vec4f(a0[3]), b0_0, c3_0))));
let b0_1 = b_load(k + 0u, n + 4u);
let b1_1 = b_load(k + 1u, n + 4u);
let b2_1 = b_load(k + 2u, n + 4u);
let b3_1 = b_load(k + 3u, n + 4u);
c0_1 = fma(vec4f(a3[0]), b3_1, fma(vec4f(a2[0]), b2_1, fma(vec4f(a1[0]), b1_1, fma(vec4f(a0[0]), b0_1, c0_1))));
c1_1 = fma(vec4f(a3[1]), b3_1, fma(vec4f(a2[1]), b2_1, fma(vec4f(a1[1]), b1_1, fma(vec4f(a0[1]), b0_1, c1_1))));
c2_1 = fma(vec4f(a3[2]), b3_1, fma(vec4f(a2[2]), b2_1, fma(vec4f(a1[2]), b1_1, fma(vec4f(a0[2]), b0_1, c2_1))));
c3_1 = fma(vec4f(a3[3]), b3_1, fma(vec4f(a2[3]), b2_1, fma(vec4f(a1[3]), b1_1, fma(vec4f(a0[3]), b0_1, c3_1))));
}
oy += 1;
if (oy == u.oh) { oy = 0; b += 1; }
}
if (m + 0u < m_end) {
let at = c_row(m + 0u);
if (n + 0u < n_end) { store(at, n + 0u, c0_0); }
if (n + 4u < n_end) { store(at, n + 4u, c0_1); }
}
if (m + 1u < m_end) {
let at = c_row(m + 1u);
if (n + 0u < n_end) { store(at, n + 0u, c1_0); }
if (n + 4u < n_end) { store(at, n + 4u, c1_1); }
}
if (m + 2u < m_end) {
let at = c_row(m + 2u);
if (n + 0u < n_end) { store(at, n + 0u, c2_0); }
if (n + 4u < n_end) { store(at, n + 4u, c2_1); }
}
if (m + 3u < m_end) {
let at = c_row(m + 3u);
if (n + 0u < n_end) { store(at, n + 0u, c3_0); }
if (n + 4u < n_end) { store(at, n + 4u, c3_1); }
}
}
