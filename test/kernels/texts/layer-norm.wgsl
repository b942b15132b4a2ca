// layerNorm(affine=both,dtype=f32,lanes=1,slots=0,span=1,team=thread,width=1)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  len: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let n = u.len / 1u;
  
  
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let shift = f32(x[base]);
    
    var count = 0.0; var running = f32(); var m2 = f32();
    { var j = lane; while (j < n) {
    var m2_block = f32();
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var m2_chain = f32();
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let x_j = f32(x[base + j]);
count += 1.0; let d = x_j - shift; let delta = d - running;
    running += delta * (1.0 / count); m2_chain += delta * (d - running); j += 1u; }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  } }
    let offset = (count * running) / f32(u.len);
    let gap = running - offset;
    let deviation = m2 + count * gap * gap;
    let rstd = inverseSqrt((deviation) / f32(u.len) + u.eps);
    if (exists) {
      for (var j = lane; j < n; j += 1u) { let x_j = f32(x[base + j]);
y[base + j] = (x_j - shift - offset) * (rstd * weight[j]) + bias[j]; }
      if (lane == 0u) { stats[row] = vec2f(shift + offset, rstd); }
    }
  }
}


// layerNorm(affine=both,dtype=f32,lanes=128,slots=4,span=1,team=workgroup-subgroups,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

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
@compute @workgroup_size(128) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = li; let team = (wid.x + wid.y * nwg.x);
  let n = u.len / 1u;
  var weight_0 = f32(); if (lane + 0u < n) { weight_0 = f32(weight[0u + lane + 0u]); }
var weight_1 = f32(); if (lane + 128u < n) { weight_1 = f32(weight[0u + lane + 128u]); }
var weight_2 = f32(); if (lane + 256u < n) { weight_2 = f32(weight[0u + lane + 256u]); }
var weight_3 = f32(); if (lane + 384u < n) { weight_3 = f32(weight[0u + lane + 384u]); }
  var bias_0 = f32(); if (lane + 0u < n) { bias_0 = f32(bias[0u + lane + 0u]); }
var bias_1 = f32(); if (lane + 128u < n) { bias_1 = f32(bias[0u + lane + 128u]); }
var bias_2 = f32(); if (lane + 256u < n) { bias_2 = f32(bias[0u + lane + 256u]); }
var bias_3 = f32(); if (lane + 384u < n) { bias_3 = f32(bias[0u + lane + 384u]); }
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let shift = f32(x[base]);
    var x_0 = f32(); if (lane + 0u < n) { x_0 = f32(x[base + lane + 0u]); }
var x_1 = f32(); if (lane + 128u < n) { x_1 = f32(x[base + lane + 128u]); }
var x_2 = f32(); if (lane + 256u < n) { x_2 = f32(x[base + lane + 256u]); }
var x_3 = f32(); if (lane + 384u < n) { x_3 = f32(x[base + lane + 384u]); }
    var total = 0.0;
    if (lane + 0u < n) { let j = lane + 0u; x_0 -= shift; total += x_0; }
if (lane + 128u < n) { let j = lane + 128u; x_1 -= shift; total += x_1; }
if (lane + 256u < n) { let j = lane + 256u; x_2 -= shift; total += x_2; }
if (lane + 384u < n) { let j = lane + 384u; x_3 -= shift; total += x_3; }
    let offset = team_add(total, li, sg_lane, sg_size) / f32(u.len);
    var squares = 0.0;
    if (lane + 0u < n) { let j = lane + 0u; let d = x_0 - offset; let dd = d * d; squares += dd; }
if (lane + 128u < n) { let j = lane + 128u; let d = x_1 - offset; let dd = d * d; squares += dd; }
if (lane + 256u < n) { let j = lane + 256u; let d = x_2 - offset; let dd = d * d; squares += dd; }
if (lane + 384u < n) { let j = lane + 384u; let d = x_3 - offset; let dd = d * d; squares += dd; }
    let rstd = inverseSqrt(team_add(squares, li, sg_lane, sg_size) / f32(u.len) + u.eps);
    if (exists) {
      if (lane + 0u < n) { let j = lane + 0u; y[base + j] = (x_0 - offset) * (rstd * weight_0) + bias_0; }
if (lane + 128u < n) { let j = lane + 128u; y[base + j] = (x_1 - offset) * (rstd * weight_1) + bias_1; }
if (lane + 256u < n) { let j = lane + 256u; y[base + j] = (x_2 - offset) * (rstd * weight_2) + bias_2; }
if (lane + 384u < n) { let j = lane + 384u; y[base + j] = (x_3 - offset) * (rstd * weight_3) + bias_3; }
      if (lane == 0u) { stats[row] = vec2f(shift + offset, rstd); }
    }
  }
}


// layerNorm(affine=both,dtype=f32,lanes=32,slots=2,span=1,team=subgroup,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 2u + li / 32u;
  let n = u.len / 1u;
  var weight_0 = f32(); if (lane + 0u < n) { weight_0 = f32(weight[0u + lane + 0u]); }
var weight_1 = f32(); if (lane + 32u < n) { weight_1 = f32(weight[0u + lane + 32u]); }
  var bias_0 = f32(); if (lane + 0u < n) { bias_0 = f32(bias[0u + lane + 0u]); }
var bias_1 = f32(); if (lane + 32u < n) { bias_1 = f32(bias[0u + lane + 32u]); }
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let shift = f32(x[base]);
    var x_0 = f32(); if (lane + 0u < n) { x_0 = f32(x[base + lane + 0u]); }
var x_1 = f32(); if (lane + 32u < n) { x_1 = f32(x[base + lane + 32u]); }
    var total = 0.0;
    if (lane + 0u < n) { let j = lane + 0u; x_0 -= shift; total += x_0; }
if (lane + 32u < n) { let j = lane + 32u; x_1 -= shift; total += x_1; }
    let offset = subgroupAdd(total) / f32(u.len);
    var squares = 0.0;
    if (lane + 0u < n) { let j = lane + 0u; let d = x_0 - offset; let dd = d * d; squares += dd; }
if (lane + 32u < n) { let j = lane + 32u; let d = x_1 - offset; let dd = d * d; squares += dd; }
    let rstd = inverseSqrt(subgroupAdd(squares) / f32(u.len) + u.eps);
    if (exists) {
      if (lane + 0u < n) { let j = lane + 0u; y[base + j] = (x_0 - offset) * (rstd * weight_0) + bias_0; }
if (lane + 32u < n) { let j = lane + 32u; y[base + j] = (x_1 - offset) * (rstd * weight_1) + bias_1; }
      if (lane == 0u) { stats[row] = vec2f(shift + offset, rstd); }
    }
  }
}


// layerNorm(affine=both,dtype=f32,lanes=8,slots=0,span=1,team=subgroup,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 8u + li / 8u;
  let n = u.len / 1u;
  
  
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let shift = f32(x[base]);
    
    var count = 0.0; var running = f32(); var m2 = f32();
    { var j = lane; while (j < n) {
    var m2_block = f32();
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var m2_chain = f32();
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let x_j = f32(x[base + j]);
count += 1.0; let d = x_j - shift; let delta = d - running;
    running += delta * (1.0 / count); m2_chain += delta * (d - running); j += 8u; }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  } }
    let offset = subgroupAdd(count * running) / f32(u.len);
    let gap = running - offset;
    let deviation = m2 + count * gap * gap;
    let rstd = inverseSqrt(subgroupAdd(deviation) / f32(u.len) + u.eps);
    if (exists) {
      for (var j = lane; j < n; j += 8u) { let x_j = f32(x[base + j]);
y[base + j] = (x_j - shift - offset) * (rstd * weight[j]) + bias[j]; }
      if (lane == 0u) { stats[row] = vec2f(shift + offset, rstd); }
    }
  }
}


// layerNormBackward(affine=both,dtype=f32,lanes=1,slots=0,span=1,team=thread,width=1)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  len: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let n = u.len / 1u;
  
  
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let moments = stats[row];
    
    var sums = vec2f();
    { var j = lane; while (j < n) {
    var sums_block = vec2f();
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var sums_chain = vec2f();
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let x_j = f32(x[base + j]); let g_j = f32(g[base + j]);
let h = g_j * weight[j]; let xhat = (x_j - moments.x) * moments.y; let hx = h * xhat;
    sums_chain += vec2f(h, hx);  j += 1u; }
      sums_block += sums_chain;
    }
    sums += sums_block;
  } }
    sums = (sums) / f32(u.len);
    if (exists) {
      for (var j = lane; j < n; j += 1u) { let x_j = f32(x[base + j]); let g_j = f32(g[base + j]);
dx[base + j] = moments.y * (g_j * weight[j] - sums.x - (x_j - moments.x) * moments.y * sums.y); }
    }
  }
  
}


// layerNormBackward(affine=both,dtype=f32,lanes=128,slots=4,span=1,team=workgroup-subgroups,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

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
  let n = u.len / 1u;
  var weight_0 = f32(); if (lane + 0u < n) { weight_0 = f32(weight[0u + lane + 0u]); }
var weight_1 = f32(); if (lane + 128u < n) { weight_1 = f32(weight[0u + lane + 128u]); }
var weight_2 = f32(); if (lane + 256u < n) { weight_2 = f32(weight[0u + lane + 256u]); }
var weight_3 = f32(); if (lane + 384u < n) { weight_3 = f32(weight[0u + lane + 384u]); }
  var dw_0 = f32(); var db_0 = f32();
var dw_1 = f32(); var db_1 = f32();
var dw_2 = f32(); var db_2 = f32();
var dw_3 = f32(); var db_3 = f32();
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let moments = stats[row];
    var x_0 = f32(); var g_0 = f32(); if (lane + 0u < n) { x_0 = f32(x[base + lane + 0u]); g_0 = f32(g[base + lane + 0u]); }
var x_1 = f32(); var g_1 = f32(); if (lane + 128u < n) { x_1 = f32(x[base + lane + 128u]); g_1 = f32(g[base + lane + 128u]); }
var x_2 = f32(); var g_2 = f32(); if (lane + 256u < n) { x_2 = f32(x[base + lane + 256u]); g_2 = f32(g[base + lane + 256u]); }
var x_3 = f32(); var g_3 = f32(); if (lane + 384u < n) { x_3 = f32(x[base + lane + 384u]); g_3 = f32(g[base + lane + 384u]); }
    var sums = vec2f();
    if (lane + 0u < n) { let j = lane + 0u; let h = g_0 * weight_0; let xhat = (x_0 - moments.x) * moments.y; let hx = h * xhat;
    sums += vec2f(h, hx); if (exists) { dw_0 += g_0 * xhat; db_0 += g_0; } }
if (lane + 128u < n) { let j = lane + 128u; let h = g_1 * weight_1; let xhat = (x_1 - moments.x) * moments.y; let hx = h * xhat;
    sums += vec2f(h, hx); if (exists) { dw_1 += g_1 * xhat; db_1 += g_1; } }
if (lane + 256u < n) { let j = lane + 256u; let h = g_2 * weight_2; let xhat = (x_2 - moments.x) * moments.y; let hx = h * xhat;
    sums += vec2f(h, hx); if (exists) { dw_2 += g_2 * xhat; db_2 += g_2; } }
if (lane + 384u < n) { let j = lane + 384u; let h = g_3 * weight_3; let xhat = (x_3 - moments.x) * moments.y; let hx = h * xhat;
    sums += vec2f(h, hx); if (exists) { dw_3 += g_3 * xhat; db_3 += g_3; } }
    sums = team_add2(sums, li, sg_lane, sg_size) / f32(u.len);
    if (exists) {
      if (lane + 0u < n) { let j = lane + 0u; dx[base + j] = moments.y * (g_0 * weight_0 - sums.x - (x_0 - moments.x) * moments.y * sums.y); }
if (lane + 128u < n) { let j = lane + 128u; dx[base + j] = moments.y * (g_1 * weight_1 - sums.x - (x_1 - moments.x) * moments.y * sums.y); }
if (lane + 256u < n) { let j = lane + 256u; dx[base + j] = moments.y * (g_2 * weight_2 - sums.x - (x_2 - moments.x) * moments.y * sums.y); }
if (lane + 384u < n) { let j = lane + 384u; dx[base + j] = moments.y * (g_3 * weight_3 - sums.x - (x_3 - moments.x) * moments.y * sums.y); }
    }
  }
  if (team * 1u < u.rows) {
    if (lane + 0u < n) { partials[2u * team * n + lane + 0u] = dw_0; partials[(2u * team + 1u) * n + lane + 0u] = db_0; }
if (lane + 128u < n) { partials[2u * team * n + lane + 128u] = dw_1; partials[(2u * team + 1u) * n + lane + 128u] = db_1; }
if (lane + 256u < n) { partials[2u * team * n + lane + 256u] = dw_2; partials[(2u * team + 1u) * n + lane + 256u] = db_2; }
if (lane + 384u < n) { partials[2u * team * n + lane + 384u] = dw_3; partials[(2u * team + 1u) * n + lane + 384u] = db_3; }
  }
}


// layerNormBackward(affine=both,dtype=f32,lanes=32,slots=2,span=1,team=subgroup,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 2u + li / 32u;
  let n = u.len / 1u;
  var weight_0 = f32(); if (lane + 0u < n) { weight_0 = f32(weight[0u + lane + 0u]); }
var weight_1 = f32(); if (lane + 32u < n) { weight_1 = f32(weight[0u + lane + 32u]); }
  var dw_0 = f32(); var db_0 = f32();
var dw_1 = f32(); var db_1 = f32();
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let moments = stats[row];
    var x_0 = f32(); var g_0 = f32(); if (lane + 0u < n) { x_0 = f32(x[base + lane + 0u]); g_0 = f32(g[base + lane + 0u]); }
var x_1 = f32(); var g_1 = f32(); if (lane + 32u < n) { x_1 = f32(x[base + lane + 32u]); g_1 = f32(g[base + lane + 32u]); }
    var sums = vec2f();
    if (lane + 0u < n) { let j = lane + 0u; let h = g_0 * weight_0; let xhat = (x_0 - moments.x) * moments.y; let hx = h * xhat;
    sums += vec2f(h, hx); if (exists) { dw_0 += g_0 * xhat; db_0 += g_0; } }
if (lane + 32u < n) { let j = lane + 32u; let h = g_1 * weight_1; let xhat = (x_1 - moments.x) * moments.y; let hx = h * xhat;
    sums += vec2f(h, hx); if (exists) { dw_1 += g_1 * xhat; db_1 += g_1; } }
    sums = subgroupAdd(sums) / f32(u.len);
    if (exists) {
      if (lane + 0u < n) { let j = lane + 0u; dx[base + j] = moments.y * (g_0 * weight_0 - sums.x - (x_0 - moments.x) * moments.y * sums.y); }
if (lane + 32u < n) { let j = lane + 32u; dx[base + j] = moments.y * (g_1 * weight_1 - sums.x - (x_1 - moments.x) * moments.y * sums.y); }
    }
  }
  if (team * 1u < u.rows) {
    if (lane + 0u < n) { partials[2u * team * n + lane + 0u] = dw_0; partials[(2u * team + 1u) * n + lane + 0u] = db_0; }
if (lane + 32u < n) { partials[2u * team * n + lane + 32u] = dw_1; partials[(2u * team + 1u) * n + lane + 32u] = db_1; }
  }
}


// layerNormBackward(affine=both,dtype=f32,lanes=8,slots=0,span=1,team=subgroup,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  rows: u32,
  len: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 8u + li / 8u;
  let n = u.len / 1u;
  
  
  for (var k = 0u; k < 1u; k++) {
    let exists = team * 1u + k < u.rows;
    let row = min(team * 1u + k, u.rows - 1u);
    let base = row * n;
    let moments = stats[row];
    
    var sums = vec2f();
    { var j = lane; while (j < n) {
    var sums_block = vec2f();
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var sums_chain = vec2f();
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let x_j = f32(x[base + j]); let g_j = f32(g[base + j]);
let h = g_j * weight[j]; let xhat = (x_j - moments.x) * moments.y; let hx = h * xhat;
    sums_chain += vec2f(h, hx);  j += 8u; }
      sums_block += sums_chain;
    }
    sums += sums_block;
  } }
    sums = subgroupAdd(sums) / f32(u.len);
    if (exists) {
      for (var j = lane; j < n; j += 8u) { let x_j = f32(x[base + j]); let g_j = f32(g[base + j]);
dx[base + j] = moments.y * (g_j * weight[j] - sums.x - (x_j - moments.x) * moments.y * sums.y); }
    }
  }
  
}


// layerNormParameterSums(affine=both,dtype=f32,lanes=1,slots=0,span=1,team=thread,width=1)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  len: u32,
  parts: u32,
  chunk: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let n = u.len / 1u;
  let column = wid.x * 64u + li;
  if (column >= n) { return; }
  var dw = f32();
  var db = f32();
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  var row = wid.y * u.chunk;
  while (row < last) {
    var dw_block = f32(); var db_block = f32();
    for (var chains = 0u; chains < 16u && (row < last); chains++) {
      var dw_chain = f32(); var db_chain = f32();
      for (var terms = 0u; terms < 16u && (row < last); terms++) { let g_j = f32(g[row * n + column]);
    dw_chain += g_j * (f32(x[row * n + column]) - stats[row].x) * stats[row].y;
    db_chain += g_j; row++; }
      dw_block += dw_chain; db_block += db_chain;
    }
    dw += dw_block; db += db_block;
  }
  partials[2u * wid.y * n + column] = dw;
  partials[(2u * wid.y + 1u) * n + column] = db;
}


// layerNormParameterSums(affine=both,dtype=f32,lanes=8,slots=0,span=1,team=subgroup,width=1)
// on cpu

struct Uniforms {
  rows: u32,
  len: u32,
  parts: u32,
  chunk: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let n = u.len / 1u;
  let column = wid.x * 64u + li;
  if (column >= n) { return; }
  var dw = f32();
  var db = f32();
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  var row = wid.y * u.chunk;
  while (row < last) {
    var dw_block = f32(); var db_block = f32();
    for (var chains = 0u; chains < 16u && (row < last); chains++) {
      var dw_chain = f32(); var db_chain = f32();
      for (var terms = 0u; terms < 16u && (row < last); terms++) { let g_j = f32(g[row * n + column]);
    dw_chain += g_j * (f32(x[row * n + column]) - stats[row].x) * stats[row].y;
    db_chain += g_j; row++; }
      dw_block += dw_chain; db_block += db_chain;
    }
    dw += dw_block; db += db_block;
  }
  partials[2u * wid.y * n + column] = dw;
  partials[(2u * wid.y + 1u) * n + column] = db;
}
