// softmax(dtype=f32,lanes=1,log=false,slots=0,strided=false,team=thread,width=1)
// on cpu, plain

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;


struct Online { top: f32, total: f32 }
fn joined(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.total * exp(a.top - top) + b.total * exp(b.top - top));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  
  var line = Online(f32(-3.4028234e38), f32());
  { var j = lane; while (j < n) {
    var line_block = Online(f32(-3.4028234e38), f32());
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var line_chain = Online(f32(-3.4028234e38), f32());
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let x_j = f32(x[base + j]);
let higher = max(line_chain.top, x_j); let e = exp(x_j - higher);
    line_chain = Online(higher, line_chain.total * exp(line_chain.top - higher) + e); j += 1u; }
      line_block = joined(line_block, line_chain);
    }
    line = joined(line, line_block);
  } }
  let top = (line.top);
  let total = (line.total * exp(line.top - top));
  let scale = 1.0 / total;
  if (exists) {
    for (var j = lane; j < n; j += 1u) { let x_j = f32(x[base + j]);
y[base + j] = exp(x_j - top) * scale; }
  }
}


// softmax(dtype=f32,lanes=1,log=false,slots=8,strided=false,team=thread,width=1)
// on gpu

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;


@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  var x_0 = f32(); if (lane + 0u < n) { x_0 = f32(x[base + lane + 0u]); }
var x_1 = f32(); if (lane + 1u < n) { x_1 = f32(x[base + lane + 1u]); }
var x_2 = f32(); if (lane + 2u < n) { x_2 = f32(x[base + lane + 2u]); }
var x_3 = f32(); if (lane + 3u < n) { x_3 = f32(x[base + lane + 3u]); }
var x_4 = f32(); if (lane + 4u < n) { x_4 = f32(x[base + lane + 4u]); }
var x_5 = f32(); if (lane + 5u < n) { x_5 = f32(x[base + lane + 5u]); }
var x_6 = f32(); if (lane + 6u < n) { x_6 = f32(x[base + lane + 6u]); }
var x_7 = f32(); if (lane + 7u < n) { x_7 = f32(x[base + lane + 7u]); }
  var top = f32(-3.4028234e38);
  if (lane + 0u < n) { let j = lane + 0u; top = max(top, x_0); }
if (lane + 1u < n) { let j = lane + 1u; top = max(top, x_1); }
if (lane + 2u < n) { let j = lane + 2u; top = max(top, x_2); }
if (lane + 3u < n) { let j = lane + 3u; top = max(top, x_3); }
if (lane + 4u < n) { let j = lane + 4u; top = max(top, x_4); }
if (lane + 5u < n) { let j = lane + 5u; top = max(top, x_5); }
if (lane + 6u < n) { let j = lane + 6u; top = max(top, x_6); }
if (lane + 7u < n) { let j = lane + 7u; top = max(top, x_7); }
  top = (top); var total = f32();
  if (lane + 0u < n) { let j = lane + 0u; let e = exp(x_0 - top); total += e; x_0 = e; }
if (lane + 1u < n) { let j = lane + 1u; let e = exp(x_1 - top); total += e; x_1 = e; }
if (lane + 2u < n) { let j = lane + 2u; let e = exp(x_2 - top); total += e; x_2 = e; }
if (lane + 3u < n) { let j = lane + 3u; let e = exp(x_3 - top); total += e; x_3 = e; }
if (lane + 4u < n) { let j = lane + 4u; let e = exp(x_4 - top); total += e; x_4 = e; }
if (lane + 5u < n) { let j = lane + 5u; let e = exp(x_5 - top); total += e; x_5 = e; }
if (lane + 6u < n) { let j = lane + 6u; let e = exp(x_6 - top); total += e; x_6 = e; }
if (lane + 7u < n) { let j = lane + 7u; let e = exp(x_7 - top); total += e; x_7 = e; }
  total = (total);
  let scale = 1.0 / total;
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; y[base + j] = x_0 * scale; }
if (lane + 1u < n) { let j = lane + 1u; y[base + j] = x_1 * scale; }
if (lane + 2u < n) { let j = lane + 2u; y[base + j] = x_2 * scale; }
if (lane + 3u < n) { let j = lane + 3u; y[base + j] = x_3 * scale; }
if (lane + 4u < n) { let j = lane + 4u; y[base + j] = x_4 * scale; }
if (lane + 5u < n) { let j = lane + 5u; y[base + j] = x_5 * scale; }
if (lane + 6u < n) { let j = lane + 6u; y[base + j] = x_6 * scale; }
if (lane + 7u < n) { let j = lane + 7u; y[base + j] = x_7 * scale; }
  }
}


// softmax(dtype=f32,lanes=128,log=false,slots=4,strided=false,team=workgroup-subgroups,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

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

@compute @workgroup_size(128) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = li; let team = (wid.x + wid.y * nwg.x);
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  var x_0 = f32(); if (lane + 0u < n) { x_0 = f32(x[base + lane + 0u]); }
var x_1 = f32(); if (lane + 128u < n) { x_1 = f32(x[base + lane + 128u]); }
var x_2 = f32(); if (lane + 256u < n) { x_2 = f32(x[base + lane + 256u]); }
var x_3 = f32(); if (lane + 384u < n) { x_3 = f32(x[base + lane + 384u]); }
  var top = f32(-3.4028234e38);
  if (lane + 0u < n) { let j = lane + 0u; top = max(top, x_0); }
if (lane + 128u < n) { let j = lane + 128u; top = max(top, x_1); }
if (lane + 256u < n) { let j = lane + 256u; top = max(top, x_2); }
if (lane + 384u < n) { let j = lane + 384u; top = max(top, x_3); }
  top = team_max(top, li, sg_lane, sg_size); var total = f32();
  if (lane + 0u < n) { let j = lane + 0u; let e = exp(x_0 - top); total += e; x_0 = e; }
if (lane + 128u < n) { let j = lane + 128u; let e = exp(x_1 - top); total += e; x_1 = e; }
if (lane + 256u < n) { let j = lane + 256u; let e = exp(x_2 - top); total += e; x_2 = e; }
if (lane + 384u < n) { let j = lane + 384u; let e = exp(x_3 - top); total += e; x_3 = e; }
  total = team_add(total, li, sg_lane, sg_size);
  let scale = 1.0 / total;
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; y[base + j] = x_0 * scale; }
if (lane + 128u < n) { let j = lane + 128u; y[base + j] = x_1 * scale; }
if (lane + 256u < n) { let j = lane + 256u; y[base + j] = x_2 * scale; }
if (lane + 384u < n) { let j = lane + 384u; y[base + j] = x_3 * scale; }
  }
}


// softmax(dtype=f32,lanes=32,log=false,slots=2,strided=false,team=subgroup,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;


@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 2u + li / 32u;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  var x_0 = f32(); if (lane + 0u < n) { x_0 = f32(x[base + lane + 0u]); }
var x_1 = f32(); if (lane + 32u < n) { x_1 = f32(x[base + lane + 32u]); }
  var top = f32(-3.4028234e38);
  if (lane + 0u < n) { let j = lane + 0u; top = max(top, x_0); }
if (lane + 32u < n) { let j = lane + 32u; top = max(top, x_1); }
  top = subgroupMax(top); var total = f32();
  if (lane + 0u < n) { let j = lane + 0u; let e = exp(x_0 - top); total += e; x_0 = e; }
if (lane + 32u < n) { let j = lane + 32u; let e = exp(x_1 - top); total += e; x_1 = e; }
  total = subgroupAdd(total);
  let scale = 1.0 / total;
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; y[base + j] = x_0 * scale; }
if (lane + 32u < n) { let j = lane + 32u; y[base + j] = x_1 * scale; }
  }
}


// softmax(dtype=f32,lanes=8,log=false,slots=0,strided=false,team=subgroup,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;


struct Online { top: f32, total: f32 }
fn joined(a: Online, b: Online) -> Online {
  let top = max(a.top, b.top);
  return Online(top, a.total * exp(a.top - top) + b.total * exp(b.top - top));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 8u + li / 8u;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  
  var line = Online(f32(-3.4028234e38), f32());
  { var j = lane; while (j < n) {
    var line_block = Online(f32(-3.4028234e38), f32());
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var line_chain = Online(f32(-3.4028234e38), f32());
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let x_j = f32(x[base + j]);
let higher = max(line_chain.top, x_j); let e = exp(x_j - higher);
    line_chain = Online(higher, line_chain.total * exp(line_chain.top - higher) + e); j += 8u; }
      line_block = joined(line_block, line_chain);
    }
    line = joined(line, line_block);
  } }
  let top = subgroupMax(line.top);
  let total = subgroupAdd(line.total * exp(line.top - top));
  let scale = 1.0 / total;
  if (exists) {
    for (var j = lane; j < n; j += 8u) { let x_j = f32(x[base + j]);
y[base + j] = exp(x_j - top) * scale; }
  }
}


// softmaxBackward(dtype=f32,lanes=1,log=false,slots=0,strided=false,team=thread,width=1)
// on cpu, plain

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  
  var total = f32();
  { var j = lane; while (j < n) {
    var total_block = f32();
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var total_chain = f32();
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let g_j = f32(g[base + j]); let y_j = f32(y[base + j]);
let product = g_j * y_j; total_chain += product; j += 1u; }
      total_block += total_chain;
    }
    total += total_block;
  } }
  total = (total);
  if (exists) {
    for (var j = lane; j < n; j += 1u) { let g_j = f32(g[base + j]); let y_j = f32(y[base + j]);
dx[base + j] = y_j * (g_j - total); }
  }
}


// softmaxBackward(dtype=f32,lanes=1,log=false,slots=8,strided=false,team=thread,width=1)
// on gpu

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  var g_0 = f32(); var y_0 = f32(); if (lane + 0u < n) { g_0 = f32(g[base + lane + 0u]); y_0 = f32(y[base + lane + 0u]); }
var g_1 = f32(); var y_1 = f32(); if (lane + 1u < n) { g_1 = f32(g[base + lane + 1u]); y_1 = f32(y[base + lane + 1u]); }
var g_2 = f32(); var y_2 = f32(); if (lane + 2u < n) { g_2 = f32(g[base + lane + 2u]); y_2 = f32(y[base + lane + 2u]); }
var g_3 = f32(); var y_3 = f32(); if (lane + 3u < n) { g_3 = f32(g[base + lane + 3u]); y_3 = f32(y[base + lane + 3u]); }
var g_4 = f32(); var y_4 = f32(); if (lane + 4u < n) { g_4 = f32(g[base + lane + 4u]); y_4 = f32(y[base + lane + 4u]); }
var g_5 = f32(); var y_5 = f32(); if (lane + 5u < n) { g_5 = f32(g[base + lane + 5u]); y_5 = f32(y[base + lane + 5u]); }
var g_6 = f32(); var y_6 = f32(); if (lane + 6u < n) { g_6 = f32(g[base + lane + 6u]); y_6 = f32(y[base + lane + 6u]); }
var g_7 = f32(); var y_7 = f32(); if (lane + 7u < n) { g_7 = f32(g[base + lane + 7u]); y_7 = f32(y[base + lane + 7u]); }
  var total = f32();
  if (lane + 0u < n) { let j = lane + 0u; let product = g_0 * y_0; total += product; }
if (lane + 1u < n) { let j = lane + 1u; let product = g_1 * y_1; total += product; }
if (lane + 2u < n) { let j = lane + 2u; let product = g_2 * y_2; total += product; }
if (lane + 3u < n) { let j = lane + 3u; let product = g_3 * y_3; total += product; }
if (lane + 4u < n) { let j = lane + 4u; let product = g_4 * y_4; total += product; }
if (lane + 5u < n) { let j = lane + 5u; let product = g_5 * y_5; total += product; }
if (lane + 6u < n) { let j = lane + 6u; let product = g_6 * y_6; total += product; }
if (lane + 7u < n) { let j = lane + 7u; let product = g_7 * y_7; total += product; }
  total = (total);
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; dx[base + j] = y_0 * (g_0 - total); }
if (lane + 1u < n) { let j = lane + 1u; dx[base + j] = y_1 * (g_1 - total); }
if (lane + 2u < n) { let j = lane + 2u; dx[base + j] = y_2 * (g_2 - total); }
if (lane + 3u < n) { let j = lane + 3u; dx[base + j] = y_3 * (g_3 - total); }
if (lane + 4u < n) { let j = lane + 4u; dx[base + j] = y_4 * (g_4 - total); }
if (lane + 5u < n) { let j = lane + 5u; dx[base + j] = y_5 * (g_5 - total); }
if (lane + 6u < n) { let j = lane + 6u; dx[base + j] = y_6 * (g_6 - total); }
if (lane + 7u < n) { let j = lane + 7u; dx[base + j] = y_7 * (g_7 - total); }
  }
}


// softmaxBackward(dtype=f32,lanes=128,log=false,slots=4,strided=false,team=workgroup-subgroups,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

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
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  var g_0 = f32(); var y_0 = f32(); if (lane + 0u < n) { g_0 = f32(g[base + lane + 0u]); y_0 = f32(y[base + lane + 0u]); }
var g_1 = f32(); var y_1 = f32(); if (lane + 128u < n) { g_1 = f32(g[base + lane + 128u]); y_1 = f32(y[base + lane + 128u]); }
var g_2 = f32(); var y_2 = f32(); if (lane + 256u < n) { g_2 = f32(g[base + lane + 256u]); y_2 = f32(y[base + lane + 256u]); }
var g_3 = f32(); var y_3 = f32(); if (lane + 384u < n) { g_3 = f32(g[base + lane + 384u]); y_3 = f32(y[base + lane + 384u]); }
  var total = f32();
  if (lane + 0u < n) { let j = lane + 0u; let product = g_0 * y_0; total += product; }
if (lane + 128u < n) { let j = lane + 128u; let product = g_1 * y_1; total += product; }
if (lane + 256u < n) { let j = lane + 256u; let product = g_2 * y_2; total += product; }
if (lane + 384u < n) { let j = lane + 384u; let product = g_3 * y_3; total += product; }
  total = team_add(total, li, sg_lane, sg_size);
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; dx[base + j] = y_0 * (g_0 - total); }
if (lane + 128u < n) { let j = lane + 128u; dx[base + j] = y_1 * (g_1 - total); }
if (lane + 256u < n) { let j = lane + 256u; dx[base + j] = y_2 * (g_2 - total); }
if (lane + 384u < n) { let j = lane + 384u; dx[base + j] = y_3 * (g_3 - total); }
  }
}


// softmaxBackward(dtype=f32,lanes=32,log=false,slots=2,strided=false,team=subgroup,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 2u + li / 32u;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  var g_0 = f32(); var y_0 = f32(); if (lane + 0u < n) { g_0 = f32(g[base + lane + 0u]); y_0 = f32(y[base + lane + 0u]); }
var g_1 = f32(); var y_1 = f32(); if (lane + 32u < n) { g_1 = f32(g[base + lane + 32u]); y_1 = f32(y[base + lane + 32u]); }
  var total = f32();
  if (lane + 0u < n) { let j = lane + 0u; let product = g_0 * y_0; total += product; }
if (lane + 32u < n) { let j = lane + 32u; let product = g_1 * y_1; total += product; }
  total = subgroupAdd(total);
  if (exists) {
    if (lane + 0u < n) { let j = lane + 0u; dx[base + j] = y_0 * (g_0 - total); }
if (lane + 32u < n) { let j = lane + 32u; dx[base + j] = y_1 * (g_1 - total); }
  }
}


// softmaxBackward(dtype=f32,lanes=8,log=false,slots=0,strided=false,team=subgroup,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 8u + li / 8u;
  let exists = team < u.outer;
  let n = u.len / 1u;
  let base = min(team, u.outer - 1u) * n;
  
  var total = f32();
  { var j = lane; while (j < n) {
    var total_block = f32();
    for (var chains = 0u; chains < 16u && (j < n); chains++) {
      var total_chain = f32();
      for (var terms = 0u; terms < 16u && (j < n); terms++) { let g_j = f32(g[base + j]); let y_j = f32(y[base + j]);
let product = g_j * y_j; total_chain += product; j += 8u; }
      total_block += total_chain;
    }
    total += total_block;
  } }
  total = subgroupAdd(total);
  if (exists) {
    for (var j = lane; j < n; j += 8u) { let g_j = f32(g[base + j]); let y_j = f32(y[base + j]);
dx[base + j] = y_j * (g_j - total); }
  }
}
