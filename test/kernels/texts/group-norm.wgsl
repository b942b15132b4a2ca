// groupNorm(dtype=f32,lanes=1,slots=0,team=thread,width=1)
// on gpu, cpu, plain

struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
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
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 1u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 1u);
  let column_step = 1u % columns;
  let row_step = 1u / columns;
  let shift = f32(x[first]);
  var n = 0.0;
  var running = f32();
  var m2 = f32();
  {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) {
    var m2_block = f32();
    for (var chains = 0u; chains < 16u && (position < u.positions); chains++) {
      var m2_chain = f32();
      for (var terms = 0u; terms < 16u && (position < u.positions); terms++) { let at = first + position * row_length + column; n += 1.0; let d = f32(x[at]) - shift; let delta = d - running;
      running += delta * (1.0 / n); m2_chain += delta * (d - running); column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  }
  }
  let offset = (n * running) / count;
  let gap = running - offset;
  let deviation = m2 + n * gap * gap;
  let rstd = inverseSqrt((deviation) / count + u.eps);
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let value = (f32(x[at]) - shift - offset) * (rstd * weight[channel + column]) + bias[channel + column]; y[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
  if (exists && lane == 0u) { stats[own] = vec2f(shift + offset, rstd); }
}


// groupNorm(dtype=f32,lanes=128,slots=0,team=workgroup-subgroups,width=4)
// on gpu

enable subgroups;
struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f32>>;
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
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 4u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 4u);
  let column_step = 128u % columns;
  let row_step = 128u / columns;
  let shift = f32(x[first].x);
  var n = 0.0;
  var running = vec4f();
  var m2 = vec4f();
  {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) {
    var m2_block = vec4f();
    for (var chains = 0u; chains < 16u && (position < u.positions); chains++) {
      var m2_chain = vec4f();
      for (var terms = 0u; terms < 16u && (position < u.positions); terms++) { let at = first + position * row_length + column; n += 1.0; let d = vec4f(x[at]) - shift; let delta = d - running;
      running += delta * (1.0 / n); m2_chain += delta * (d - running); column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  }
  }
  let offset = team_add(n * ((running.x + running.y) + (running.z + running.w)), li, sg_lane, sg_size) / count;
  let gap = running - offset;
  let deviation = m2 + n * gap * gap;
  let rstd = inverseSqrt(team_add(((deviation.x + deviation.y) + (deviation.z + deviation.w)), li, sg_lane, sg_size) / count + u.eps);
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let value = (vec4f(x[at]) - shift - offset) * (rstd * weight[channel + column]) + bias[channel + column]; y[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
  if (exists && lane == 0u) { stats[own] = vec2f(shift + offset, rstd); }
}


// groupNorm(dtype=f32,lanes=32,slots=0,team=subgroup,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
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
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 1u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 1u);
  let column_step = 32u % columns;
  let row_step = 32u / columns;
  let shift = f32(x[first]);
  var n = 0.0;
  var running = f32();
  var m2 = f32();
  {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) {
    var m2_block = f32();
    for (var chains = 0u; chains < 16u && (position < u.positions); chains++) {
      var m2_chain = f32();
      for (var terms = 0u; terms < 16u && (position < u.positions); terms++) { let at = first + position * row_length + column; n += 1.0; let d = f32(x[at]) - shift; let delta = d - running;
      running += delta * (1.0 / n); m2_chain += delta * (d - running); column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  }
  }
  let offset = subgroupAdd(n * running) / count;
  let gap = running - offset;
  let deviation = m2 + n * gap * gap;
  let rstd = inverseSqrt(subgroupAdd(deviation) / count + u.eps);
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let value = (f32(x[at]) - shift - offset) * (rstd * weight[channel + column]) + bias[channel + column]; y[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
  if (exists && lane == 0u) { stats[own] = vec2f(shift + offset, rstd); }
}


// groupNorm(dtype=f32,lanes=8,slots=0,team=subgroup,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
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
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 1u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 1u);
  let column_step = 8u % columns;
  let row_step = 8u / columns;
  let shift = f32(x[first]);
  var n = 0.0;
  var running = f32();
  var m2 = f32();
  {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) {
    var m2_block = f32();
    for (var chains = 0u; chains < 16u && (position < u.positions); chains++) {
      var m2_chain = f32();
      for (var terms = 0u; terms < 16u && (position < u.positions); terms++) { let at = first + position * row_length + column; n += 1.0; let d = f32(x[at]) - shift; let delta = d - running;
      running += delta * (1.0 / n); m2_chain += delta * (d - running); column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  }
  }
  let offset = subgroupAdd(n * running) / count;
  let gap = running - offset;
  let deviation = m2 + n * gap * gap;
  let rstd = inverseSqrt(subgroupAdd(deviation) / count + u.eps);
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let value = (f32(x[at]) - shift - offset) * (rstd * weight[channel + column]) + bias[channel + column]; y[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
  if (exists && lane == 0u) { stats[own] = vec2f(shift + offset, rstd); }
}


// groupNormBackward(dtype=f32,lanes=1,own=false,slots=0,team=thread,width=1)
// on gpu, cpu, plain

struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let lane = 0u; let team = (wid.x + wid.y * nwg.x) * 64u + li;
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 1u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 1u);
  let column_step = 1u % columns;
  let row_step = 1u / columns;
  let moments = stats[own];
  let sample = own / u.groups;
  var total = vec2f();
  for (var c = channel + lane; c < channel + columns; c += 1u) {
    let hx = weight[c] * sums[2u * sample * row_length + c];
    let h = weight[c] * sums[(2u * sample + 1u) * row_length + c];
    total += vec2f(h, hx);
  }
  let mean = (total) / count;
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let xhat = (f32(x[at]) - moments.x) * moments.y;
      let value = moments.y * (f32(g[at]) * weight[channel + column] - mean.x - xhat * mean.y); dx[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
}


// groupNormBackward(dtype=f32,lanes=128,own=false,slots=0,team=workgroup-subgroups,width=4)
// on gpu

enable subgroups;
struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> sums: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dx: array<vec4<f32>>;

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
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 4u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 4u);
  let column_step = 128u % columns;
  let row_step = 128u / columns;
  let moments = stats[own];
  let sample = own / u.groups;
  var total = vec2f();
  for (var c = channel + lane; c < channel + columns; c += 128u) {
    let hx = weight[c] * sums[2u * sample * row_length + c];
    let h = weight[c] * sums[(2u * sample + 1u) * row_length + c];
    total += vec2f(((h.x + h.y) + (h.z + h.w)), ((hx.x + hx.y) + (hx.z + hx.w)));
  }
  let mean = team_add2(total, li, sg_lane, sg_size) / count;
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let xhat = (vec4f(x[at]) - moments.x) * moments.y;
      let value = moments.y * (vec4f(g[at]) * weight[channel + column] - mean.x - xhat * mean.y); dx[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
}


// groupNormBackward(dtype=f32,lanes=32,own=false,slots=0,team=subgroup,width=1)
// on gpu

enable subgroups;
struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 2u + li / 32u;
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 1u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 1u);
  let column_step = 32u % columns;
  let row_step = 32u / columns;
  let moments = stats[own];
  let sample = own / u.groups;
  var total = vec2f();
  for (var c = channel + lane; c < channel + columns; c += 32u) {
    let hx = weight[c] * sums[2u * sample * row_length + c];
    let h = weight[c] * sums[(2u * sample + 1u) * row_length + c];
    total += vec2f(h, hx);
  }
  let mean = subgroupAdd(total) / count;
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let xhat = (f32(x[at]) - moments.x) * moments.y;
      let value = moments.y * (f32(g[at]) * weight[channel + column] - mean.x - xhat * mean.y); dx[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
}


// groupNormBackward(dtype=f32,lanes=8,own=false,slots=0,team=subgroup,width=1)
// on cpu

enable subgroups;
struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read> sums: array<f32>;
@group(0) @binding(6) var<storage, read_write> dx: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) sg_lane: u32, @builtin(subgroup_size) sg_size: u32) {
  let lane = sg_lane; let team = (wid.x + wid.y * nwg.x) * 8u + li / 8u;
  let exists = team < u.samples * u.groups;
  let own = min(team, u.samples * u.groups - 1u);
  let row_length = u.channels / 1u;
  let columns = row_length / u.groups;
  let channel = own % u.groups * columns;
  let first = own / u.groups * u.positions * row_length + channel;
  let count = f32(u.positions * columns * 1u);
  let column_step = 8u % columns;
  let row_step = 8u / columns;
  let moments = stats[own];
  let sample = own / u.groups;
  var total = vec2f();
  for (var c = channel + lane; c < channel + columns; c += 8u) {
    let hx = weight[c] * sums[2u * sample * row_length + c];
    let h = weight[c] * sums[(2u * sample + 1u) * row_length + c];
    total += vec2f(h, hx);
  }
  let mean = subgroupAdd(total) / count;
  if (exists) {
    var column = lane % columns;
    var position = lane / columns;
    while (position < u.positions) { let at = first + position * row_length + column; let xhat = (f32(x[at]) - moments.x) * moments.y;
      let value = moments.y * (f32(g[at]) * weight[channel + column] - mean.x - xhat * mean.y); dx[at] = value; column += column_step; position += row_step;
      if (column >= columns) { column -= columns; position += 1u; } }
  }
}


// groupNormBackwardSums(dtype=f32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  samples: u32,
  positions: u32,
  channels: u32,
  groups: u32,
  parts: u32,
  chunk: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> stats: array<vec2f>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_length = u.channels / 1u;
  let own = (wid.x + wid.y * nwg.x) * 64u + li;
  if (own >= u.parts * row_length) { return; }
  let part = own / row_length;
  let column = own % row_length;
  let group = column / (row_length / u.groups);
  var dw = f32();
  var db = f32();
  let last = min((part + 1u) * u.chunk, u.samples) * u.positions;
  var row = part * u.chunk * u.positions;
  while (row < last) {
    var dw_block = f32(); var db_block = f32();
    for (var chains = 0u; chains < 16u && (row < last); chains++) {
      var dw_chain = f32(); var db_chain = f32();
      for (var terms = 0u; terms < 16u && (row < last); terms++) { let moments = stats[row / u.positions * u.groups + group];
    let at = row * row_length + column;
    let g_at = f32(g[at]);
    dw_chain += g_at * (f32(x[at]) - moments.x) * moments.y;
    db_chain += g_at; row++; }
      dw_block += dw_chain; db_block += db_chain;
    }
    dw += dw_block; db += db_block;
  }
  sums[2u * part * row_length + column] = dw;
  sums[(2u * part + 1u) * row_length + column] = db;
}
