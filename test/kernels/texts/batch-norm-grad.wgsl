// batchNormBackwardApply(activation=none,dtype=f32,group=128,lanes=16,merge=true,residual=false,training=true,width=1)
// on gpu

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> sums_in: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>;

struct Sums { dz: f32, dz_xhat: f32 }

var<workgroup> lane_Sums: array<Sums, 128>;
fn merge_Sums(own: Sums, li: u32) -> Sums {
  lane_Sums[li] = own;
  for (var half = 64u; half >= 16u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) {
      let a = lane_Sums[li];
      let b = lane_Sums[li + half];
      lane_Sums[li] = Sums(a.dz + b.dz, a.dz_xhat + b.dz_xhat);
    }
  }
  workgroupBarrier();
  return lane_Sums[li % 16u];
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
  var own = Sums();
  for (var p = row_lane; p < u.parts; p += row_lanes) {
    
    var pair = array<f32, 2>();
    for (var k = wid.z; k < 2u; k++) { pair[k] = sums_in[(2u * p + k) * columns + c]; }
    own.dz += pair[0];
    own.dz_xhat += pair[1];
  }
  let all = merge_Sums(own, li);
  var state = array<f32, 3>();
  for (var k = wid.z; k < 3u; k++) { state[k] = sums_in[(2u * u.parts * 1u + k) * columns + c]; }
  let mean = state[0];
  let rstd = state[1];
  let offset = state[2];
  let gain = rstd * weight[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    dweight[c] = all.dz_xhat;
    dbias[c] = all.dz;
  }
  let mean_dz = all.dz / f32(u.rows);
  let slope = all.dz_xhat * rstd / f32(u.rows);
  if (inside) {
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      let centred = f32(x[at]) - mean;
let dz = f32(g[at]);
let value = gain * (dz - mean_dz - centred * slope);
      dx[at] = value;
    }
  }
}


// batchNormBackwardApply(activation=none,dtype=f32,group=8,lanes=8,merge=false,residual=false,training=true,width=1)
// on cpu, plain

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> sums_in: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(0) @binding(6) var<storage, read_write> dweight: array<f32>;
@group(0) @binding(7) var<storage, read_write> dbias: array<f32>;

struct Sums { dz: f32, dz_xhat: f32 }


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
  var own = Sums();
  for (var p = 0u; p < u.parts * 1u; p++) {
    
    var pair = array<f32, 2>();
    for (var k = wid.z; k < 2u; k++) { pair[k] = sums_in[(2u * p + k) * columns + c]; }
    own.dz += pair[0];
    own.dz_xhat += pair[1];
  }
  let all = own;
  var state = array<f32, 3>();
  for (var k = wid.z; k < 3u; k++) { state[k] = sums_in[(2u * u.parts * 1u + k) * columns + c]; }
  let mean = state[0];
  let rstd = state[1];
  let offset = state[2];
  let gain = rstd * weight[c];
  if (inside && wid.y == 0u && row_lane == 0u) {
    dweight[c] = all.dz_xhat;
    dbias[c] = all.dz;
  }
  let mean_dz = all.dz / f32(u.rows);
  let slope = all.dz_xhat * rstd / f32(u.rows);
  if (inside) {
    for (var row = first; row < last; row += row_lanes) {
      let at = row * columns + c;
      let centred = f32(x[at]) - mean;
let dz = f32(g[at]);
let value = gain * (dz - mean_dz - centred * slope);
      dx[at] = value;
    }
  }
}


// batchNormBackwardSums(activation=none,dtype=f32,group=128,lanes=16,merge=true,residual=false,training=true,width=1)
// on gpu

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> moments: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums_out: array<f32>;

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

struct Sums { dz: f32, dz_xhat: f32 }

var<workgroup> lane_Sums: array<Sums, 128>;
fn merge_Sums(own: Sums, li: u32) -> Sums {
  lane_Sums[li] = own;
  for (var half = 64u; half >= 16u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) {
      let a = lane_Sums[li];
      let b = lane_Sums[li + half];
      lane_Sums[li] = Sums(a.dz + b.dz, a.dz_xhat + b.dz_xhat);
    }
  }
  workgroupBarrier();
  return lane_Sums[li % 16u];
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
  let rstd = inverseSqrt(all.m2 / f32(u.rows) + u.eps);
  let offset = f32();
  var total = f32();
  var along = f32();
  var row = first;
  while (row < last) {
    var total_block = f32(); var along_block = f32();
    for (var chains = 0u; chains < 16u && (row < last); chains++) {
      var total_chain = f32(); var along_chain = f32();
      for (var terms = 0u; terms < 16u && (row < last); terms++) { let at = row * columns + c;
    let centred = f32(x[at]) - mean;
    let dz = f32(g[at]);
    
    total_chain += dz;
    along_chain += dz * centred; row += row_lanes; }
      total_block += total_chain; along_block += along_chain;
    }
    total += total_block; along += along_block;
  }
  var sums = Sums(total, along);
  sums = merge_Sums(sums, li);
  // One store for all five rows (see storePair): two of the part, three of the channel by the first block.
  var values = array<f32, 5>(sums.dz, sums.dz_xhat * rstd, mean, rstd, offset);
  let last_value = select(2u, 5u, part == 0u);
  for (var k = wid.z; k < last_value; k++) {
    let target_row = select(2u * part + k, 2u * u.parts * 1u + k - 2u, k >= 2u);
    if (leaves) { sums_out[target_row * columns + c] = values[k]; }
  }
}


// batchNormBackwardSums(activation=none,dtype=f32,group=8,lanes=8,merge=false,residual=false,training=true,width=1)
// on cpu, plain

struct Uniforms {
  rows: u32,
  channels: u32,
  parts: u32,
  chunk: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> moments: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums_out: array<f32>;

struct Moments { n: f32, mean: f32, m2: f32 }
fn merged(a: Moments, b: Moments) -> Moments {
  let n = a.n + b.n;
  if (n == 0.0) { return a; }
  let delta = b.mean - a.mean;
  return Moments(n, a.mean + delta * (b.n / n), a.m2 + b.m2 + delta * delta * (a.n * b.n / n));
}


struct Sums { dz: f32, dz_xhat: f32 }


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
  let rstd = inverseSqrt(all.m2 / f32(u.rows) + u.eps);
  let offset = f32();
  var total = f32();
  var along = f32();
  var row = first;
  while (row < last) {
    var total_block = f32(); var along_block = f32();
    for (var chains = 0u; chains < 16u && (row < last); chains++) {
      var total_chain = f32(); var along_chain = f32();
      for (var terms = 0u; terms < 16u && (row < last); terms++) { let at = row * columns + c;
    let centred = f32(x[at]) - mean;
    let dz = f32(g[at]);
    
    total_chain += dz;
    along_chain += dz * centred; row += row_lanes; }
      total_block += total_chain; along_block += along_chain;
    }
    total += total_block; along += along_block;
  }
  var sums = Sums(total, along);
  
  // One store for all five rows (see storePair): two of the part, three of the channel by the first block.
  var values = array<f32, 5>(sums.dz, sums.dz_xhat * rstd, mean, rstd, offset);
  let last_value = select(2u, 5u, part == 0u);
  for (var k = wid.z; k < last_value; k++) {
    let target_row = select(2u * part + k, 2u * u.parts * 1u + k - 2u, k >= 2u);
    if (leaves) { sums_out[target_row * columns + c] = values[k]; }
  }
}
