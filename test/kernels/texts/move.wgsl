// concat(inputs=2,unit=u32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  total: u32,
  offset: u32,
  e0: u32,
  e1: u32,
  e2: u32,
  e3: u32,
  e4: u32,
  e5: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x0: array<u32>;
@group(0) @binding(2) var<storage, read> x1: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;
fn item(i: u32) {
  let r = i / u.e1;
  let j = i - r * u.e1;
  var value = u32();
  if (j < u.e0) { value = x0[r * (u.e0 - 0u) + j - 0u]; } else if (j < u.e1) { value = x1[r * (u.e1 - u.e0) + j - u.e0]; }
  y[r * u.total + u.offset + j] = value;
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.rows * u.e1;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// copy(rank=1,region=false,unit=u32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  size: u32,
  origin: u32,
  place: u32,
  n0: u32,
  n1: u32,
  n2: u32,
  n3: u32,
  n4: u32,
  n5: u32,
  n6: u32,
  n7: u32,
  s0: i32,
  s1: i32,
  s2: i32,
  s3: i32,
  s4: i32,
  s5: i32,
  s6: i32,
  s7: i32,
  t0: i32,
  t1: i32,
  t2: i32,
  t3: i32,
  t4: i32,
  t5: i32,
  t6: i32,
  t7: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;
fn item(i: u32) {
  var p = i32(u.origin);
  let q = u.place + i;
  var rest = i;
  
  p += i32(rest) * u.s0;
  y[q] = x[p];
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.size;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// place(rank=1,stepped=false,unit=u32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  size: u32,
  value: u32,
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
  lo0: i32,
  lo1: i32,
  lo2: i32,
  lo3: i32,
  lo4: i32,
  lo5: i32,
  lo6: i32,
  lo7: i32,
  step0: u32,
  step1: u32,
  step2: u32,
  step3: u32,
  step4: u32,
  step5: u32,
  step6: u32,
  step7: u32,
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
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
fn item(i: u32) {
  var p = 0u;
  var inside = true;
  var rest = i;
  
  { let d = i32(rest) - u.lo0; let k = u32(d); inside = inside && k < u.m0; p += k * u.s0; }
  y[i] = select(u32(u.value), x[select(0u, p, inside)], inside);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.size;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}


// transpose(unit=u32)
// on gpu, cpu, plain

struct Uniforms {
  batch: u32,
  rows: u32,
  cols: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<u32>>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let rows = u.rows / 4u;
  let cols = u.cols / 4u;
  let down = (rows + 7u) / 8u;
  let across = (cols + 7u) / 8u;
  let tile = (wid.x + wid.y * nwg.x);
  let b = tile / (down * across);
  let r = tile / across % down * 8u + li / 8u;
  let c = tile % across * 8u + li % 8u;
  if (b >= u.batch || r >= rows || c >= cols) { return; }
  let p = (b * u.rows + r * 4u) * cols + c;
  let q = (b * u.cols + c * 4u) * rows + r;
  let a0 = x[p + 0u * cols];
let a1 = x[p + 1u * cols];
let a2 = x[p + 2u * cols];
let a3 = x[p + 3u * cols];
  y[q + 0u * rows] = vec4<u32>(a0.x, a1.x, a2.x, a3.x);
  y[q + 1u * rows] = vec4<u32>(a0.y, a1.y, a2.y, a3.y);
  y[q + 2u * rows] = vec4<u32>(a0.z, a1.z, a2.z, a3.z);
  y[q + 3u * rows] = vec4<u32>(a0.w, a1.w, a2.w, a3.w);
}
