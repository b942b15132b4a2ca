// exitDecide(byClass=false,isLast=false,live=false,masked=false,score=maxProb)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  classes: u32,
  exit: i32,
  sharpness: f32,
  slack: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> ids: array<i32>;
@group(0) @binding(3) var<storage, read> thresholds: array<f32>;
@group(0) @binding(4) var<storage, read_write> stays: array<u32>;
@group(0) @binding(5) var<storage, read_write> answers: array<i32>;
@group(0) @binding(6) var<storage, read_write> exits: array<i32>;
@group(0) @binding(7) var<storage, read_write> scores: array<f32>;

fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn log1p_over(x: f32) -> f32 {
  if (x > 1.0) { return log(1.0 + x) / x; }
  let y = x / (2.0 + x);
  let q = y * y;
  return (2.0 / (2.0 + x)) * (1.0 + q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * (0.11111111 + q * (0.09090909 + q * 0.07692308))))));
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let r = (wid.x + wid.y * nwg.x) * 64u + li;
  if (r >= u.n) { return; }
  
  
  let row = r * u.classes;
  var top = logits[row + 0u];
  var second = -3.0e38;
  var least = top;
  var best = 0u;
  for (var c = 1u; c < u.classes; c++) {
    let z = logits[row + c];
    if (z > top) { second = top; top = z; best = c; } else { second = max(second, z); }
    least = min(least, z);
  }
  let gap = select((second - top) * u.sharpness, -1.0e30, u.classes == 1u);
  var rest = select(0.0, 1.0, u.classes == 1u);
  var mass = 0.0;
  for (var c = 0u; c < u.classes; c++) {
    if (c == best) { continue; }
    let z = logits[row + c];
    let e = exp((z - second) * u.sharpness);
    rest += e;
    mass += e * ((top - z) * u.sharpness);
  }
  let second_share = exp(gap);
  let odds = second_share * rest;
  let total = 1.0 + odds;
  let per_odds = log1p_over(odds);
  let log_total = odds * per_odds;
  let spread = rest * per_odds + mass / total;
  let s = 1.0 / total;
  let level = -gap - log(rest);
  let nan = total + level;
  let size = u.sharpness * max(top, -least);
  let leaves = is_nan(nan) || level >= thresholds[0] + u.slack * size;
  stays[r] = select(1u, 0u, leaves);
  if (!leaves) { return; }
  let at = ids[r];
  answers[at] = i32(best);
  exits[at] = u.exit;
  scores[at] = select(s, nan, is_nan(nan));
}
