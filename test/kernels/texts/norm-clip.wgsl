// clipCoefficient(norm=2,width=4)
// on gpu, cpu, plain

struct Uniforms {
  count: u32,
  maxNorm: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> clip: array<f32>;
var<workgroup> shares: array<f32, 64>;
@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) li: u32) {
  var part = 0.0;
  for (var i = li; i < u.count; i += 64u) { part = part + partials[i]; }
  
  shares[li] = part;
  for (var step = 32u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (li < step) { shares[li] = shares[li] + shares[li + step]; }
  }
  if (li == 0u) {
    let norm = sqrt(shares[0]);
    let bits = bitcast<u32>(norm);
    clip[0] = norm;
    if (bits > 0x7f800000u) { clip[1] = norm; }
    else if (bits == 0x7f800000u) { clip[1] = 0.0; }
    else { clip[1] = min(1.0, u.maxNorm / (norm + 1e-6)); }
  }
}


// normPartials(norm=2,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  at: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> partials: array<f32>;
var<workgroup> shares: array<f32, 64>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  var sum = vec4f();
  let count = u.n / 4u;
  var i = wid.x * 64u + li;
  while (i < count) {
    var sum_block = vec4f();
    for (var chains = 0u; chains < 16u && (i < count); chains++) {
      var sum_chain = vec4f();
      for (var terms = 0u; terms < 16u && (i < count); terms++) { let v = g[i]; sum_chain += v * v; i += nwg.x * 64u; }
      sum_block += sum_chain;
    }
    sum += sum_block;
  }
  let part = (sum.x + sum.y) + (sum.z + sum.w);
  
  shares[li] = part;
  for (var step = 32u; step > 0u; step >>= 1u) {
    workgroupBarrier();
    if (li < step) { shares[li] = shares[li] + shares[li + step]; }
  }
  if (li == 0u) { partials[u.at + wid.x] = shares[0]; }
}


// scaleByClip(width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> g: array<f32>;
@group(0) @binding(2) var<storage, read> clip: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + li;
  if (i < u.n / 1u) { g[i] *= clip[1]; }
}
