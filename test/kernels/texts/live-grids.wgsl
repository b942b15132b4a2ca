// liveGrids
// on gpu, cpu, plain

struct Uniforms {
  launches: u32,
  capacity: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> count: array<u32>;
@group(0) @binding(2) var<storage, read_write> args: array<u32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + li;
  if (i >= u.launches) { return; }
  let launch = u.launches * 3u + i * 7u;
  let x = args[launch + 0u];
  let y = args[launch + 1u];
  let z = args[launch + 2u];
  let axis = args[launch + 3u];
  let units = args[launch + 4u];
  let per_group = args[launch + 5u];
  let most = args[launch + 6u];
  let live = min(count[0], u.capacity) * units;
  let groups = min(live / per_group + u32(live % per_group != 0u), most);
  var grid = vec3u(x, y, z);
  if (axis == 3u) {
    let lines = max(1u, groups / 65535u + u32(groups % 65535u != 0u));
    grid = vec3u(groups / lines + u32(groups % lines != 0u), lines, z);
  } else if (axis != 4u) {
    grid[axis] = groups;
  }
  args[i * 3u + 0u] = grid[0];
  args[i * 3u + 1u] = grid[1];
  args[i * 3u + 2u] = grid[2];
}
