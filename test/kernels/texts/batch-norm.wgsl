// batchNormApply(activation=none,dtype=f32,group=128,lanes=16,merge=true,residual=false,width=1)
// on gpu

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
  eps: f32,
  momentum: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

struct Moments { n: f32, mean: f32, m2: f32 }
fn merged(a: Moments, b: Moments) -> Moments {
  let n = a.n + b.n;
  if (n == 0.0) { return a; }
  let delta = b.mean - a.mean;
  return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n));
}

var<workgroup> lane_Moments: array<Moments, 128>;
fn merge_Moments(own: Moments, li: u32) -> Moments {
  lane_Moments[li] = own;
  for (var half = 64u; half >= 16u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) {
      let a = lane_Moments[li];
      let b = lane_Moments[li + half];
      lane_Moments[li] = merged(a, b);
    }
  }
  workgroupBarrier();
  return lane_Moments[li % 16u];
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_lanes = 8u;
  let columns = u.channels / 1u;
  let inside = wid.x * 16u + li % 16u < columns;
  let c = min(wid.x * 16u + li % 16u, columns - 1u);
  let row_lane = li / 16u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  let part = wid.y;
  let leaves = inside && row_lane == 0u;
  var own = Moments();
  for (var p = row_lane; p < u.parts; p += row_lanes) {
    let block = p / 1u;
    
    var pair = array<f32, 2>();
    for (var k = wid.z; k < 2u; k++) { pair[k] = moments[(2u * p + k) * columns + c]; }
    own = merged(own, Moments(f32(min(u.chunk, u.rows - block * u.chunk)), pair[0], pair[1]));
  }
  let all = merge_Moments(own, li);
  let mean = f32(x[c]) + all.mean;
  let gain = inverseSqrt(all.m2 / f32(u.rows) + u.eps) * weight[c];
  let offset = bias[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    let variance = all.m2 / max(f32(u.rows) - 1.0, 1.0);
    running_mean[c] = running_mean[c] * (1.0 - u.momentum) + mean * u.momentum;
    running_var[c] = running_var[c] * (1.0 - u.momentum) + variance * u.momentum;
  }
  if (inside) {
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      let value = (f32(x[at]) - mean) * gain + offset;
      y[at] = value;
    }
  }
}


// batchNormApply(activation=none,dtype=f32,group=8,lanes=8,merge=false,residual=false,width=1)
// on cpu, plain

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
  eps: f32,
  momentum: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> moments: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read> bias: array<f32>;
@group(0) @binding(5) var<storage, read_write> running_mean: array<f32>;
@group(0) @binding(6) var<storage, read_write> running_var: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

struct Moments { n: f32, mean: f32, m2: f32 }
fn merged(a: Moments, b: Moments) -> Moments {
  let n = a.n + b.n;
  if (n == 0.0) { return a; }
  let delta = b.mean - a.mean;
  return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n));
}


@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_lanes = 1u;
  let columns = u.channels / 1u;
  let inside = wid.x * 8u + li % 8u < columns;
  let c = min(wid.x * 8u + li % 8u, columns - 1u);
  let row_lane = li / 8u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  let part = wid.y * row_lanes + row_lane;
  let leaves = inside;
  var own = Moments();
  for (var p = 0u; p < u.parts * 1u; p++) {
    let block = p / 1u;
    
    var pair = array<f32, 2>();
    for (var k = wid.z; k < 2u; k++) { pair[k] = moments[(2u * p + k) * columns + c]; }
    own = merged(own, Moments(f32((min(u.chunk, u.rows - block * u.chunk) + 0u - p % 1u) / 1u), pair[0], pair[1]));
  }
  let all = own;
  let mean = f32(x[c]) + all.mean;
  let gain = inverseSqrt(all.m2 / f32(u.rows) + u.eps) * weight[c];
  let offset = bias[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    let variance = all.m2 / max(f32(u.rows) - 1.0, 1.0);
    running_mean[c] = running_mean[c] * (1.0 - u.momentum) + mean * u.momentum;
    running_var[c] = running_var[c] * (1.0 - u.momentum) + variance * u.momentum;
  }
  if (inside) {
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      let value = (f32(x[at]) - mean) * gain + offset;
      y[at] = value;
    }
  }
}


// batchNormInference(activation=none,dtype=f32,group=128,keeps=true,lanes=2,merge=true,residual=false,width=4)
// on gpu

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> running_mean: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> running_var: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> moments: array<vec4<f32>>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_lanes = 64u;
  let columns = u.channels / 4u;
  let inside = wid.x * 2u + li % 2u < columns;
  let c = min(wid.x * 2u + li % 2u, columns - 1u);
  let row_lane = li / 2u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  let part = wid.y;
  let leaves = inside && row_lane == 0u;
  let mean = running_mean[c];
  let rstd = inverseSqrt(running_var[c] + u.eps);
  let gain = rstd * weight[c];
  let offset = bias[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    moments[c] = mean;
    moments[columns + c] = rstd;
  }
  if (inside) {
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      let value = (vec4f(x[at]) - mean) * gain + offset;
      y[at] = value;
    }
  }
}


// batchNormInference(activation=none,dtype=f32,group=8,keeps=true,lanes=2,merge=false,residual=false,width=4)
// on cpu, plain

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read> running_mean: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> running_var: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> moments: array<vec4<f32>>;

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_lanes = 4u;
  let columns = u.channels / 4u;
  let inside = wid.x * 2u + li % 2u < columns;
  let c = min(wid.x * 2u + li % 2u, columns - 1u);
  let row_lane = li / 2u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  let part = wid.y * row_lanes + row_lane;
  let leaves = inside;
  let mean = running_mean[c];
  let rstd = inverseSqrt(running_var[c] + u.eps);
  let gain = rstd * weight[c];
  let offset = bias[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    moments[c] = mean;
    moments[columns + c] = rstd;
  }
  if (inside) {
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      let value = (vec4f(x[at]) - mean) * gain + offset;
      y[at] = value;
    }
  }
}


// batchNormStatistics(dtype=f32,group=128,lanes=16,merge=true,width=1)
// on gpu

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> moments: array<f32>;

struct Moments { n: f32, mean: f32, m2: f32 }
fn merged(a: Moments, b: Moments) -> Moments {
  let n = a.n + b.n;
  if (n == 0.0) { return a; }
  let delta = b.mean - a.mean;
  return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n));
}

var<workgroup> lane_Moments: array<Moments, 128>;
fn merge_Moments(own: Moments, li: u32) -> Moments {
  lane_Moments[li] = own;
  for (var half = 64u; half >= 16u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) {
      let a = lane_Moments[li];
      let b = lane_Moments[li + half];
      lane_Moments[li] = merged(a, b);
    }
  }
  workgroupBarrier();
  return lane_Moments[li % 16u];
}
@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_lanes = 8u;
  let columns = u.channels / 1u;
  let inside = wid.x * 16u + li % 16u < columns;
  let c = min(wid.x * 16u + li % 16u, columns - 1u);
  let row_lane = li / 16u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  let part = wid.y;
  let leaves = inside && row_lane == 0u;
  let shift = f32(x[c]);
  var count = 0.0;
  var mean = f32();
  var m2 = f32();
  var row = first;
  while (row < last) {
    var m2_block = f32();
    for (var chains = 0u; chains < 16u && (row < last); chains++) {
      var m2_chain = f32();
      for (var terms = 0u; terms < 16u && (row < last); terms++) { let d = f32(x[row * columns + c]) - shift;
    count += 1.0;
    let delta = d - mean;
    mean += delta * (1.0 / count);
    m2_chain += delta * (d - mean); row += row_lanes; }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  }
  var own = Moments(count, mean, m2);
  own = merge_Moments(own, li);
  
  var pair = array<f32, 2>(own.mean, own.m2);
  for (var k = wid.z; k < 2u; k++) {
    if (leaves) { moments[(2u * part + k) * columns + c] = pair[k]; }
  }
}


// batchNormStatistics(dtype=f32,group=8,lanes=8,merge=false,width=1)
// on cpu, plain

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> moments: array<f32>;

struct Moments { n: f32, mean: f32, m2: f32 }
fn merged(a: Moments, b: Moments) -> Moments {
  let n = a.n + b.n;
  if (n == 0.0) { return a; }
  let delta = b.mean - a.mean;
  return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n));
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let row_lanes = 1u;
  let columns = u.channels / 1u;
  let inside = wid.x * 8u + li % 8u < columns;
  let c = min(wid.x * 8u + li % 8u, columns - 1u);
  let row_lane = li / 8u;
  let first = wid.y * u.chunk + row_lane;
  let last = min(wid.y * u.chunk + u.chunk, u.rows);
  let part = wid.y * row_lanes + row_lane;
  let leaves = inside;
  let shift = f32(x[c]);
  var count = 0.0;
  var mean = f32();
  var m2 = f32();
  var row = first;
  while (row < last) {
    var m2_block = f32();
    for (var chains = 0u; chains < 16u && (row < last); chains++) {
      var m2_chain = f32();
      for (var terms = 0u; terms < 16u && (row < last); terms++) { let d = f32(x[row * columns + c]) - shift;
    count += 1.0;
    let delta = d - mean;
    mean += delta * (1.0 / count);
    m2_chain += delta * (d - mean); row += row_lanes; }
      m2_block += m2_chain;
    }
    m2 += m2_block;
  }
  var own = Moments(count, mean, m2);
  
  
  var pair = array<f32, 2>(own.mean, own.m2);
  for (var k = wid.z; k < 2u; k++) {
    if (leaves) { moments[(2u * part + k) * columns + c] = pair[k]; }
  }
}
