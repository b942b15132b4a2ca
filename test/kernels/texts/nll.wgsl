// nllLoss(dtype=f32)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  len: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let row = (wid.x + wid.y * nwg.x) * 64u + li;
  if (row >= u.rows) { return; }
  let label = labels[row];
  let is_class = label >= 0 && label < i32(u.len);
  loss[row] = select(not_a_number(), -f32(p[row * u.len + u32(select(0, label, is_class))]), is_class);
}


// nllLossBackward(dtype=f32,upstream=scalar)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  len: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> dp: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let at = (wid.x + wid.y * nwg.x) * 64u + li;
  if (at >= u.rows * u.len) { return; }
  let row = at / u.len;
  let label = labels[row];
  let is_class = label >= 0 && label < i32(u.len);
  let hit = select(0.0, -g[0] * u.scale, i32(at % u.len) == label);
  dp[at] = select(not_a_number(), hit, is_class);
}
