// addCount
// on gpu, cpu, plain

@group(0) @binding(1) var<storage, read> count: array<u32>;
@group(0) @binding(2) var<storage, read_write> filled: array<u32>;

@compute @workgroup_size(1) fn main() { filled[0] += count[0]; }


// appendRows(unit=u32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  inner: u32,
  size: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> survivors: array<i32>;
@group(0) @binding(2) var<storage, read> count: array<u32>;
@group(0) @binding(3) var<storage, read> ids: array<i32>;
@group(0) @binding(4) var<storage, read> filled: array<u32>;
@group(0) @binding(5) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(6) var<storage, read_write> room: array<vec4<u32>>;
@group(0) @binding(7) var<storage, read_write> entered: array<i32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let end = min(count[0], u.rows);
  for (var k = (wid.x + wid.y * nwg.x); k < end; k += nwg.x * nwg.y) {
    let src = u32(survivors[k]);
    let row = filled[0] + k;
    if (li == 0u) { entered[k] = ids[src]; }
    if (row >= u.size) { continue; }
    for (var i = li; i < u.inner; i += 64u) { room[row * u.inner + i] = x[src * u.inner + i]; }
  }
}
