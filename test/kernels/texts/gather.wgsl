// gatherElements(rank=1,unit=u32)
// on gpu, cpu, plain

struct Uniforms {
  size: u32,
  rows: u32,
  stride: u32,
  missing: u32,
  n0: u32,
  n1: u32,
  n2: u32,
  n3: u32,
  n4: u32,
  n5: u32,
  n6: u32,
  n7: u32,
  s0: u32,
  s1: u32,
  s2: u32,
  s3: u32,
  s4: u32,
  s5: u32,
  s6: u32,
  s7: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
fn item(i: u32) {
  var p = 0u;
  var rest = i;
  
  p += rest * u.s0;
  let row = u32(index[i]);
  y[i] = select(u.missing, x[select(0u, p + row * u.stride, row < u.rows)], row < u.rows);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.size;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// gatherRows(unit=u32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  outer: u32,
  rows: u32,
  count: u32,
  inner: u32,
  missing: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<u32>>;
fn item(i: u32) {
  let column = i % u.inner;
  let line = i / u.inner;
  let row = u32(index[line % u.count]);
  let p = (line / u.count * u.rows + row) * u.inner + column;
  y[i] = select(vec4<u32>(u.missing), x[select(0u, p, row < u.rows)], row < u.rows);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.outer * u.count * u.inner;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// linkRows
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  count: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read> ends: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> next: array<u32>;
fn item(i: u32) {
  let row = index[i];
  let last = select(0u, ends[u32(row)].y, u32(row) < u.rows);
  var k = i + 1u;
  while (k < last && index[k] != row) { k++; }
  next[i] = k;
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.count;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// markRows
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  count: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> ends: array<atomic<u32>>;
fn item(i: u32) {
  let row = u32(index[i]);
  if (row >= u.rows) { return; }
  atomicMax(&ends[2u * row], u.count - i);
  atomicMax(&ends[2u * row + 1u], i + 1u);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.count;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// oneHot
// on gpu, cpu, plain

struct Uniforms {
  count: u32,
  classes: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> index: array<i32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
fn item(i: u32) {
  y[i] = select(0.0, 1.0, u32(index[i / u.classes]) == i % u.classes);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.count * u.classes;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// scatterRows(live=false,unit=u32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  count: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<u32>>;
fn item(i: u32) {
  let row = u32(index[i / u.inner]);
  if (row < u.rows) { y[row * u.inner + i % u.inner] = x[i]; }
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.count * u.inner;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// sumElements(dtype=f32,rank=2)
// on gpu, cpu, plain

struct Uniforms {
  size: u32,
  count: u32,
  stride: u32,
  axis: u32,
  n0: u32,
  n1: u32,
  n2: u32,
  n3: u32,
  n4: u32,
  n5: u32,
  n6: u32,
  n7: u32,
  m0: u32,
  m1: u32,
  m2: u32,
  m3: u32,
  m4: u32,
  m5: u32,
  m6: u32,
  m7: u32,
  s0: u32,
  s1: u32,
  s2: u32,
  s3: u32,
  s4: u32,
  s5: u32,
  s6: u32,
  s7: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
fn item(i: u32) {
  var p = 0u;
  var own = 0u;
  var inside = true;
  var rest = i;
  { let outer = rest / u.n1; let at = rest - outer * u.n1; if (u.axis == 1u) { own = at; } else { inside = inside && at < u.m1; p += at * u.s1; } rest = outer; }
  if (u.axis == 0u) { own = rest; } else { inside = inside && rest < u.m0; p += rest * u.s0; }
  var total = 0.0;
  if (inside) {
    for (var k = 0u; k < u.count; k++) {
      let q = p + k * u.stride;
      if (u32(index[q]) == own) { total += f32(g[q]); }
    }
  }
  dx[i] = f32(total);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.size;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// sumRowsLinked(dtype=f32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  outer: u32,
  rows: u32,
  count: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> ends: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read> next: array<u32>;
@group(0) @binding(4) var<storage, read_write> dx: array<f32>;
fn item(i: u32) {
  let column = i % u.inner;
  let row = i / u.inner % u.rows;
  let first = i / u.inner / u.rows * u.count * u.inner + column;
  var total = f32();
  let end = ends[row];
  var k = u.count - end.x;
  while (k < end.y) { total += f32(g[first + k * u.inner]); k = next[k]; }
  dx[i] = f32(total);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.outer * u.rows * u.inner;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// sumRowsScanned(dtype=f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  outer: u32,
  rows: u32,
  count: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> index: array<i32>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;
fn item(i: u32) {
  let column = i % u.inner;
  let row = i / u.inner % u.rows;
  let first = i / u.inner / u.rows * u.count * u.inner + column;
  var total = vec4f();
  for (var k = 0u; k < u.count; k++) { if (u32(index[k]) == row) { total += vec4f(g[first + k * u.inner]); } }
  dx[i] = vec4<f32>(total);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.outer * u.rows * u.inner;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}
