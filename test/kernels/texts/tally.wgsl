// exitTally(loss=true)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  exits: u32,
  classes: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read> loss: array<f32>;
@group(0) @binding(4) var<storage, read_write> totals: array<f32>;

var<workgroup> parts: array<vec3f, 64>;
// The bits go through a number that no compiler knows to be 0: it would take the rounding, too, for 0.
fn add(at: u32, x: f32) {
  let rounding = at + 4u + 2u * u.exits;
  let before = totals[at];
  let term = x - totals[rounding];
  let after = bitcast<f32>(bitcast<u32>(before + term) ^ (u.n >> 31u));
  totals[at] = after;
  let moved = bitcast<f32>(bitcast<u32>(after - before) ^ (u.n >> 31u));
  totals[rounding] = moved - term;
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let exit = wid.x;
  var mine = vec3f(0.0);
  for (var i = li; i < u.n; i += 64u) {
    let label = labels[i];
    if (label < 0) { continue; }
    let row = (i * u.exits + exit) * u.classes;
    var top = logits[row];
    var best = 0;
    for (var c = 1u; c < u.classes; c++) {
      let z = logits[row + c];
      if (z > top) { top = z; best = i32(c); }
    }
    var sum = 0.0;
    for (var c = 0u; c < u.classes; c++) { sum += exp(logits[row + c] - top); }
    let own = logits[row + min(u32(label), u.classes - 1u)];
    mine += vec3f(log(sum) + top - own, select(0.0, 1.0, best == label), 1.0);
  }
  parts[li] = mine;
  for (var half = 32u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (li < half) { parts[li] += parts[li + half]; }
  }
  if (li > 0u) { return; }
  add(4u + 2u * exit, parts[0].x);
  add(5u + 2u * exit, parts[0].y);
  if (exit > 0u) { return; }
  add(0u, parts[0].z);
  add(2u, 1.0);
  let value = loss[0];
  let is_finite = (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
  if (is_finite) { add(1u, value); }
  if (!is_finite && totals[3] == 0.0) { totals[3] = totals[2]; }
}
