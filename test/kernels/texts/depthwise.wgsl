// depthwise(activation=none,bias=false,dtype=f32,isFlipped=true,isVec=true,keep=false,residual=none,stride=1,width=3)
// on gpu, cpu, plain

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
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn channels() -> i32 { return u.c / 4; }
fn load_x(base: i32, column: i32, width: i32, q: i32) -> vec4f {
  return select(vec4f(), vec4f(x[u32((base + column) * channels() + q)]), u32(column) < u32(width));
}
alias Value = vec4f;
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
return x;
}
fn store(pixel: i32, q: i32, value: Value) {
  let at = u32(pixel * channels() + q);
  y[at] = vec4<f32>(finish(at * 4u, u32(q) * 4u, 1, value));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {

let strips = (u.ow + 3) / 4;
let id = i32((wid.x + wid.y * nwg.x) * 64u + li);
let q = id % channels();
let block = id / channels();
let line = block / strips;
let first = (block - line * strips) * 4;
if (line >= u.batch * u.oh) { return; }
let b = line / u.oh;
let top = (line - b * u.oh) * u.stride_h - u.top;
let left = first * u.stride_w - u.left;
var c0 = vec4f();
var c1 = vec4f();
var c2 = vec4f();
var c3 = vec4f();
for (var ty = 0; ty < u.kh; ty++) {
let row = top + ty * u.dilation_h;
let base = (b * u.h + row) * u.w;
let width = select(0, u.w, u32(row) < u32(u.h));
let w0 = vec4f(weight[u32((u.kh * 3 - 1 - (ty * 3 + 0)) * channels() + q)]);
let w1 = vec4f(weight[u32((u.kh * 3 - 1 - (ty * 3 + 1)) * channels() + q)]);
let w2 = vec4f(weight[u32((u.kh * 3 - 1 - (ty * 3 + 2)) * channels() + q)]);
let x0 = load_x(base, left + 0, width, q);
let x1 = load_x(base, left + 1, width, q);
let x2 = load_x(base, left + 2, width, q);
let x3 = load_x(base, left + 3, width, q);
let x4 = load_x(base, left + 4, width, q);
let x5 = load_x(base, left + 5, width, q);
c0 = fma(x0, w0, c0);
c0 = fma(x1, w1, c0);
c0 = fma(x2, w2, c0);
c1 = fma(x1, w0, c1);
c1 = fma(x2, w1, c1);
c1 = fma(x3, w2, c1);
c2 = fma(x2, w0, c2);
c2 = fma(x3, w1, c2);
c2 = fma(x4, w2, c2);
c3 = fma(x3, w0, c3);
c3 = fma(x4, w1, c3);
c3 = fma(x5, w2, c3);
}
let at = line * u.ow + first;
if (first + 0 < u.ow) { store(at + 0, q, c0); }
if (first + 1 < u.ow) { store(at + 1, q, c1); }
if (first + 2 < u.ow) { store(at + 2, q, c2); }
if (first + 3 < u.ow) { store(at + 3, q, c3); }
}


// depthwiseInput(dtype=f32,isVec=true,stride=2,width=3)
// on gpu, cpu, plain

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
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

fn channels() -> i32 { return u.c / 4; }
fn load_g(base: i32, column: i32, width: i32, q: i32) -> vec4f {
  return select(vec4f(), vec4f(g[u32((base + column) * channels() + q)]), u32(column) < u32(width));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
let phase = vec2i(i32(wid.z) % u.stride_w, i32(wid.z) / u.stride_w);
let size = (vec2i(u.w, u.h) - phase + vec2i(u.stride_w, u.stride_h) - 1) / vec2i(u.stride_w, u.stride_h);
if (size.x == 0 || size.y == 0) { return; }

let strips = (size.x + 3) / 4;
let id = i32((wid.x + wid.y * nwg.x) * 64u + li);
let q = id % channels();
let block = id / channels();
let line = block / strips;
let first = (block - line * strips) * 4;
if (line >= u.batch * size.y) { return; }
let b = line / size.y;
let row = line - b * size.y;
var c0 = vec4f();
var c1 = vec4f();
var c2 = vec4f();
var c3 = vec4f();

let stride = vec2i(u.stride_w, u.stride_h);
let reach = phase + vec2i(u.left, u.top);
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

let y = row + shift_y;
let base = (b * u.oh + y) * u.ow;
let width = select(0, u.ow, u32(y) < u32(u.oh));
let w = vec4f(weight[u32((ty * u.kw + tx) * channels() + q)]);
c0 = fma(load_g(base, first + 0 + shift_x, width, q), w, c0);
c1 = fma(load_g(base, first + 1 + shift_x, width, q), w, c1);
c2 = fma(load_g(base, first + 2 + shift_x, width, q), w, c2);
c3 = fma(load_g(base, first + 3 + shift_x, width, q), w, c3);
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
let at = (b * u.h + row * u.stride_h + phase.y) * u.w + phase.x;
if (first + 0 < size.x) { dx[u32((at + (first + 0) * u.stride_w) * channels() + q)] = vec4<f32>(c0); }
if (first + 1 < size.x) { dx[u32((at + (first + 1) * u.stride_w) * channels() + q)] = vec4<f32>(c1); }
if (first + 2 < size.x) { dx[u32((at + (first + 2) * u.stride_w) * channels() + q)] = vec4<f32>(c2); }
if (first + 3 < size.x) { dx[u32((at + (first + 3) * u.stride_w) * channels() + q)] = vec4<f32>(c3); }
}


// depthwiseWeight(dtype=f32,isVec=true,out=f32,stride=1,width=3)
// on gpu, cpu, plain

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
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> dw: array<vec4<f32>>;

fn channels() -> i32 { return u.c / 4; }
fn load_x(base: i32, column: i32, width: i32, q: i32) -> vec4f {
  return select(vec4f(), vec4f(x[u32((base + column) * channels() + q)]), u32(column) < u32(width));
}
fn load_g(base: i32, column: i32, width: i32, q: i32) -> vec4f {
  return select(vec4f(), vec4f(g[u32((base + column) * channels() + q)]), u32(column) < u32(width));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
let id = i32((wid.x + wid.y * nwg.x) * 64u + li);
let q = id % channels();
let across = 1;
let taps = u.kh * across;
let tap = (id / channels()) % taps;
let split = id / (channels() * taps);
if (split >= u.splits) { return; }
let ty = tap / across;
let tx = tap - ty * across;
var c0 = vec4f();
var c1 = vec4f();
var c2 = vec4f();
for (var line = split * u.share; line < min(u.batch * u.oh, (split + 1) * u.share); line++) {
let b = line / u.oh;
let y = (line - b * u.oh) * u.stride_h - u.top + ty * u.dilation_h;
let base = (b * u.h + y) * u.w;
let width = select(0, u.w, u32(y) < u32(u.h));
for (var i = 0; i < u.ow; i += 4) {
let g0 = load_g(line * u.ow, i + 0, u.ow, q);
let g1 = load_g(line * u.ow, i + 1, u.ow, q);
let g2 = load_g(line * u.ow, i + 2, u.ow, q);
let g3 = load_g(line * u.ow, i + 3, u.ow, q);
let x0 = load_x(base, i * 1 + 0 - u.left, width, q);
let x1 = load_x(base, i * 1 + 1 - u.left, width, q);
let x2 = load_x(base, i * 1 + 2 - u.left, width, q);
let x3 = load_x(base, i * 1 + 3 - u.left, width, q);
let x4 = load_x(base, i * 1 + 4 - u.left, width, q);
let x5 = load_x(base, i * 1 + 5 - u.left, width, q);
c0 = fma(x0, g0, c0);
c0 = fma(x1, g1, c0);
c0 = fma(x2, g2, c0);
c0 = fma(x3, g3, c0);
c1 = fma(x1, g0, c1);
c1 = fma(x2, g1, c1);
c1 = fma(x3, g2, c1);
c1 = fma(x4, g3, c1);
c2 = fma(x2, g0, c2);
c2 = fma(x3, g1, c2);
c2 = fma(x4, g2, c2);
c2 = fma(x5, g3, c2);
}
}
let at = ((split * u.kh + ty) * u.kw + tx) * channels() + q;
dw[u32(at + 0 * channels())] = vec4<f32>(c0);
dw[u32(at + 1 * channels())] = vec4<f32>(c1);
dw[u32(at + 2 * channels())] = vec4<f32>(c2);
}
