// packRows(unit=u32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> survivors: array<i32>;
@group(0) @binding(2) var<storage, read> count: array<u32>;
@group(0) @binding(3) var<storage, read> ids: array<i32>;
@group(0) @binding(4) var<storage, read_write> x: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> packed: array<i32>;

// How many of the first n survivors are below value.
fn below(value: u32, n: u32) -> u32 {
  var low = 0u;
  var high = n;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (u32(survivors[middle]) < value) { low = middle + 1u; } else { high = middle; }
  }
  return low;
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let end = min(count[0], u.rows);
  let kept = below(end, end);
  for (var row = (wid.x + wid.y * nwg.x); row < end; row += nwg.x * nwg.y) {
    let before = below(row, kept);
    var src = row;
    if (before == kept || u32(survivors[before]) != row) { src = u32(survivors[kept + row - before]); }
    if (li == 0u) { packed[row] = ids[src]; }
    if (src == row) { continue; }
    for (var i = li; i < u.inner; i += 64u) { x[row * u.inner + i] = x[src * u.inner + i]; }
  }
}
