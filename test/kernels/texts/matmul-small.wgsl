// matmulSmall(activation=none,bias=false,dtype=f32,keep=false,residual=none)
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

alias Value = f32;
fn finish(at: u32, n: u32, left: i32, value: Value) -> Value {
var x = value;
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
