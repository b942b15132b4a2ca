// columnSums(merge=false,width=1)
// on cpu, plain

struct Uniforms {
  parts: u32,
  len: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;

@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let n = u.len / 1u;
  let column = (wid.x + wid.y * nwg.x) * 8u + li % 8u;
  let at = min(column, 2u * n - 1u);
  var own = f32();
  var part = li / 8u;
  while (part < u.parts) {
    var own_block = f32();
    for (var chains = 0u; chains < 16u && (part < u.parts); chains++) {
      var own_chain = f32();
      for (var terms = 0u; terms < 16u && (part < u.parts); terms++) { own_chain += partials[2u * part * n + at]; part += 1u; }
      own_block += own_chain;
    }
    own += own_block;
  }
  
  if (li < 8u && column < n) { first[column] = own; }
  if (li < 8u && column >= n && column < 2u * n) { second[column - n] = own; }
}


// columnSums(merge=true,width=1)
// on gpu

struct Uniforms {
  parts: u32,
  len: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> partials: array<f32>;
@group(0) @binding(2) var<storage, read_write> first: array<f32>;
@group(0) @binding(3) var<storage, read_write> second: array<f32>;
var<workgroup> totals: array<f32, 64>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let n = u.len / 1u;
  let column = (wid.x + wid.y * nwg.x) * 8u + li % 8u;
  let at = min(column, 2u * n - 1u);
  var own = f32();
  var part = li / 8u;
  while (part < u.parts) {
    var own_block = f32();
    for (var chains = 0u; chains < 16u && (part < u.parts); chains++) {
      var own_chain = f32();
      for (var terms = 0u; terms < 16u && (part < u.parts); terms++) { own_chain += partials[2u * part * n + at]; part += 8u; }
      own_block += own_chain;
    }
    own += own_block;
  }
  totals[li] = own;
  for (var half = 32u; half >= 8u; half >>= 1u) {
    workgroupBarrier();
    if (li < half) { totals[li] += totals[li + half]; }
  }
  own = totals[li];
  if (li < 8u && column < n) { first[column] = own; }
  if (li < 8u && column >= n && column < 2u * n) { second[column - n] = own; }
}
