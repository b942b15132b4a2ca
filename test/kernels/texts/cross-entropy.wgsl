// crossEntropy(dtype=f32,lanes=1,slots=0,smooth=false,target=labels,team=thread,weighted=false,width=1)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> saved: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }

struct Online { top: f32, total: f32 }
fn joined(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.total * exp(a.top - top) + b.total * exp(b.top - top));
}

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  
  var line = Online(f32(-3.4028234e38), f32());
  var linear = 0.0; var mass = 0.0; var plain = 0.0;
  { var j = lane; while (j < n) {
    var line_block = Online(f32(-3.4028234e38), f32());
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var line_chain = Online(f32(-3.4028234e38), f32());
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let z_j = f32(z[base + j]);
let higher = max(line_chain.top, z_j); let e = exp(z_j - higher);
    line_chain = Online(higher, line_chain.total * exp(line_chain.top - higher) + e);
    
     j += 1u; }
      line_block = joined(line_block, line_chain);
    }
    line = joined(line, line_block);
  } }
  let top = (line.top);
  let total = (line.total * exp(line.top - top));
  
  
  if (exists && lane == 0u) {
    let log_total = log(total);
    let label = labels[sample];
    let at = u32(clamp(label, 0, i32(u.len) - 1));
    let picked = f32(z[row * u.len + at]);
    mass = 1.0;
    var value = ((top - picked) + log_total);
    
    loss[row] = select(value, not_a_number(), label < 0 || label >= i32(u.len));
    saved[row] = top;
    saved[u.rows + row] = 1.0 / total;
    saved[2u * u.rows + row] = mass;
  }
}


// crossEntropy(dtype=f32,lanes=128,slots=4,smooth=false,target=labels,team=workgroup-subgroups,weighted=false,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> saved: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }

struct Online { top: f32, total: f32 }
fn joined(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.total * exp(a.top - top) + b.total * exp(b.top - top));
}

var<workgroup> team_max_memory: array<f32, 32>;
fn team_max(value: f32, li: u32, sg_lane: u32, sg_size: u32) -> f32 {
  let part = subgroupMax(value);
  workgroupBarrier();
  if (sg_lane == 0u) { team_max_memory[li / sg_size] = part; }
  workgroupBarrier();
  var whole = team_max_memory[0];
  for (var i = 1u; i * sg_size < 128u; i++) { whole = max(whole, team_max_memory[i]); }
  return whole;
}

var<workgroup> team_add_memory: array<f32, 32>;
fn team_add(value: f32, li: u32, sg_lane: u32, sg_size: u32) -> f32 {
  let part = subgroupAdd(value);
  workgroupBarrier();
  if (sg_lane == 0u) { team_add_memory[li / sg_size] = part; }
  workgroupBarrier();
  var whole = team_add_memory[0];
  for (var i = 1u; i * sg_size < 128u; i++) { whole = whole + team_add_memory[i]; }
  return whole;
}

var<workgroup> team_add2_memory: array<vec2f, 32>;
fn team_add2(value: vec2f, li: u32, sg_lane: u32, sg_size: u32) -> vec2f {
  let part = subgroupAdd(value);
  workgroupBarrier();
  if (sg_lane == 0u) { team_add2_memory[li / sg_size] = part; }
  workgroupBarrier();
  var whole = team_add2_memory[0];
  for (var i = 1u; i * sg_size < 128u; i++) { whole = whole + team_add2_memory[i]; }
  return whole;
}
@compute @workgroup_size(128) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = li; let team = (wid.x + wid.y * nwg.x);
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  var z_0 = f32(); if (lane + 0u < n) { z_0 = f32(z[base + lane + 0u]); }
var z_1 = f32(); if (lane + 128u < n) { z_1 = f32(z[base + lane + 128u]); }
var z_2 = f32(); if (lane + 256u < n) { z_2 = f32(z[base + lane + 256u]); }
var z_3 = f32(); if (lane + 384u < n) { z_3 = f32(z[base + lane + 384u]); }
  var line = Online(f32(-3.4028234e38), f32());
  var linear = 0.0; var mass = 0.0; var plain = 0.0;
  if (lane + 0u < n) { let j = lane + 0u; let higher = max(line.top, z_0); let e = exp(z_0 - higher);
    line = Online(higher, line.total * exp(line.top - higher) + e);
    
     }
if (lane + 128u < n) { let j = lane + 128u; let higher = max(line.top, z_1); let e = exp(z_1 - higher);
    line = Online(higher, line.total * exp(line.top - higher) + e);
    
     }
if (lane + 256u < n) { let j = lane + 256u; let higher = max(line.top, z_2); let e = exp(z_2 - higher);
    line = Online(higher, line.total * exp(line.top - higher) + e);
    
     }
if (lane + 384u < n) { let j = lane + 384u; let higher = max(line.top, z_3); let e = exp(z_3 - higher);
    line = Online(higher, line.total * exp(line.top - higher) + e);
    
     }
  let top = team_max(line.top, li, sg_lane, sg_size);
  let total = team_add(line.total * exp(line.top - top), li, sg_lane, sg_size);
  
  
  if (exists && lane == 0u) {
    let log_total = log(total);
    let label = labels[sample];
    let at = u32(clamp(label, 0, i32(u.len) - 1));
    let picked = f32(z[row * u.len + at]);
    mass = 1.0;
    var value = ((top - picked) + log_total);
    
    loss[row] = select(value, not_a_number(), label < 0 || label >= i32(u.len));
    saved[row] = top;
    saved[u.rows + row] = 1.0 / total;
    saved[2u * u.rows + row] = mass;
  }
}


// crossEntropy(dtype=f32,lanes=32,slots=2,smooth=false,target=labels,team=subgroup,weighted=false,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> saved: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }

struct Online { top: f32, total: f32 }
fn joined(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.total * exp(a.top - top) + b.total * exp(b.top - top));
}

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 2u + li / 32u;
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  var z_0 = f32(); if (lane + 0u < n) { z_0 = f32(z[base + lane + 0u]); }
var z_1 = f32(); if (lane + 32u < n) { z_1 = f32(z[base + lane + 32u]); }
  var line = Online(f32(-3.4028234e38), f32());
  var linear = 0.0; var mass = 0.0; var plain = 0.0;
  if (lane + 0u < n) { let j = lane + 0u; let higher = max(line.top, z_0); let e = exp(z_0 - higher);
    line = Online(higher, line.total * exp(line.top - higher) + e);
    
     }
if (lane + 32u < n) { let j = lane + 32u; let higher = max(line.top, z_1); let e = exp(z_1 - higher);
    line = Online(higher, line.total * exp(line.top - higher) + e);
    
     }
  let top = subgroupMax(line.top);
  let total = subgroupAdd(line.total * exp(line.top - top));
  
  
  if (exists && lane == 0u) {
    let log_total = log(total);
    let label = labels[sample];
    let at = u32(clamp(label, 0, i32(u.len) - 1));
    let picked = f32(z[row * u.len + at]);
    mass = 1.0;
    var value = ((top - picked) + log_total);
    
    loss[row] = select(value, not_a_number(), label < 0 || label >= i32(u.len));
    saved[row] = top;
    saved[u.rows + row] = 1.0 / total;
    saved[2u * u.rows + row] = mass;
  }
}


// crossEntropy(dtype=f32,lanes=8,slots=0,smooth=false,target=labels,team=subgroup,weighted=false,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read_write> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> saved: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }

struct Online { top: f32, total: f32 }
fn joined(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.total * exp(a.top - top) + b.total * exp(b.top - top));
}

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 8u + li / 8u;
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  
  var line = Online(f32(-3.4028234e38), f32());
  var linear = 0.0; var mass = 0.0; var plain = 0.0;
  { var j = lane; while (j < n) {
    var line_block = Online(f32(-3.4028234e38), f32());
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var line_chain = Online(f32(-3.4028234e38), f32());
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let z_j = f32(z[base + j]);
let higher = max(line_chain.top, z_j); let e = exp(z_j - higher);
    line_chain = Online(higher, line_chain.total * exp(line_chain.top - higher) + e);
    
     j += 8u; }
      line_block = joined(line_block, line_chain);
    }
    line = joined(line, line_block);
  } }
  let top = subgroupMax(line.top);
  let total = subgroupAdd(line.total * exp(line.top - top));
  
  
  if (exists && lane == 0u) {
    let log_total = log(total);
    let label = labels[sample];
    let at = u32(clamp(label, 0, i32(u.len) - 1));
    let picked = f32(z[row * u.len + at]);
    mass = 1.0;
    var value = ((top - picked) + log_total);
    
    loss[row] = select(value, not_a_number(), label < 0 || label >= i32(u.len));
    saved[row] = top;
    saved[u.rows + row] = 1.0 / total;
    saved[2u * u.rows + row] = mass;
  }
}


// crossEntropyBackward(dtype=f32,lanes=1,slots=0,smooth=false,target=labels,team=thread,upstream=scalar,weighted=false,width=1)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<i32>;
@group(0) @binding(4) var<storage, read> saved: array<f32>;
@group(0) @binding(5) var<storage, read_write> dz: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  let factor = g[0] * u.scale;
  let label = labels[sample]; let is_none = label < 0 || label >= i32(u.len);
  let top = saved[row];
  let gain = saved[u.rows + row] * 1.0;
  
  if (exists) {
    for (var j = lane; j < n; j += 1u) { let z_j = f32(z[base + j]);
dz[base + j] = select(factor * (gain * exp(z_j - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
  }
}


// crossEntropyBackward(dtype=f32,lanes=128,slots=4,smooth=false,target=labels,team=workgroup-subgroups,upstream=row,weighted=false,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<i32>;
@group(0) @binding(4) var<storage, read> saved: array<f32>;
@group(0) @binding(5) var<storage, read_write> dz: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }
@compute @workgroup_size(128) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = li; let team = (wid.x + wid.y * nwg.x);
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  let factor = g[row] * u.scale;
  let label = labels[sample]; let is_none = label < 0 || label >= i32(u.len);
  let top = saved[row];
  let gain = saved[u.rows + row] * 1.0;
  var z_0 = f32(); if (lane + 0u < n) { z_0 = f32(z[base + lane + 0u]); }
var z_1 = f32(); if (lane + 128u < n) { z_1 = f32(z[base + lane + 128u]); }
var z_2 = f32(); if (lane + 256u < n) { z_2 = f32(z[base + lane + 256u]); }
var z_3 = f32(); if (lane + 384u < n) { z_3 = f32(z[base + lane + 384u]); }
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; dz[base + j] = select(factor * (gain * exp(z_0 - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
if (lane + 128u < n) { let j = lane + 128u; dz[base + j] = select(factor * (gain * exp(z_1 - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
if (lane + 256u < n) { let j = lane + 256u; dz[base + j] = select(factor * (gain * exp(z_2 - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
if (lane + 384u < n) { let j = lane + 384u; dz[base + j] = select(factor * (gain * exp(z_3 - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
  }
}


// crossEntropyBackward(dtype=f32,lanes=32,slots=2,smooth=false,target=labels,team=subgroup,upstream=row,weighted=false,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<i32>;
@group(0) @binding(4) var<storage, read> saved: array<f32>;
@group(0) @binding(5) var<storage, read_write> dz: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 2u + li / 32u;
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  let factor = g[row] * u.scale;
  let label = labels[sample]; let is_none = label < 0 || label >= i32(u.len);
  let top = saved[row];
  let gain = saved[u.rows + row] * 1.0;
  var z_0 = f32(); if (lane + 0u < n) { z_0 = f32(z[base + lane + 0u]); }
var z_1 = f32(); if (lane + 32u < n) { z_1 = f32(z[base + lane + 32u]); }
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; dz[base + j] = select(factor * (gain * exp(z_0 - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
if (lane + 32u < n) { let j = lane + 32u; dz[base + j] = select(factor * (gain * exp(z_1 - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
  }
}


// crossEntropyBackward(dtype=f32,lanes=8,slots=0,smooth=false,target=labels,team=subgroup,upstream=row,weighted=false,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  exits: u32,
  smoothing: f32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read> labels: array<i32>;
@group(0) @binding(4) var<storage, read> saved: array<f32>;
@group(0) @binding(5) var<storage, read_write> dz: array<f32>;
var<private> nan_bits: u32 = 0x7fc00000u;
fn not_a_number() -> f32 { return bitcast<f32>(nan_bits); }
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 8u + li / 8u;
  let exists = team < u.rows;
  let row = min(team, u.rows - 1u);
  let n = u.len / 1u;
  let base = row * n;
  let sample = row / u.exits;
  let factor = g[row] * u.scale;
  let label = labels[sample]; let is_none = label < 0 || label >= i32(u.len);
  let top = saved[row];
  let gain = saved[u.rows + row] * 1.0;
  
  if (exists) {
    for (var j = lane; j < n; j += 8u) { let z_j = f32(z[base + j]);
dz[base + j] = select(factor * (gain * exp(z_j - top) - select(f32(), f32(1.0), label == i32(j))), f32(not_a_number()), is_none); }
  }
}
