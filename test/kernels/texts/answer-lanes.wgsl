// exitAnswerLanes(across=4,byClass=false,classRoom=16,dtype=f32,isLast=false,lanes=8,live=false,masked=false,normed=false,quads=1,rows=1,score=maxLogit,width=4)
// on cpu

enable subgroups;
struct Uniforms {
  n: u32,
  classes: u32,
  exit: i32,
  sharpness: f32,
  slack: f32,
  threshold: f32,
  channels: u32,
  positions: u32,
  used: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> tail: array<f32>;
@group(0) @binding(3) var<storage, read> ids: array<i32>;
@group(0) @binding(4) var<storage, read_write> stays: array<u32>;
@group(0) @binding(5) var<storage, read_write> answers: array<i32>;
@group(0) @binding(6) var<storage, read_write> exits: array<i32>;
@group(0) @binding(7) var<storage, read_write> scores: array<f32>;
@diagnostic(off, subgroup_uniformity)

fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn log1p_over(x: f32) -> f32 {
  if (x > 1.0) { return log(1.0 + x) / x; }
  let y = x / (2.0 + x);
  let q = y * y;
  return (2.0 / (2.0 + x)) * (1.0 + q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * (0.11111111 + q * (0.09090909 + q * 0.07692308))))));
}
fn quad(first: u32, step: u32, q: u32) -> vec4f {
  let at = first + 4u * q * step;
  return vec4f(tail[at], tail[at + step], tail[at + 2u * step], tail[at + 3u * step]);
}
@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let first = (wid.x + wid.y * nwg.x) * 1u;
  let end = u.n;
  let items = u.channels / 4u;
  let q = lane % 4u;
  var logits = array<f32, 16>();
  for (var i = 0u; i < 1u; i++) {
    let r = first + i;
    if (r >= end) { break; }
    
    var v0 = vec4f();
    if (q + 0u < items) {
      for (var p = lane / 4u; p < u.used; p += 2u) { v0 += vec4f(x[(r * u.positions + p) * items + q + 0u]); }
    }
    v0 += subgroupShuffleXor(v0, 4u);
    v0 /= f32(u.used);
    
    
    for (var k = 0u; k < u.classes; k++) {
      var own = 0.0;
      if (lane < 4u && q + 0u < items) { own += dot(v0, quad(k, u.classes, q + 0u)); }
      let z = subgroupAdd(own) + tail[u.channels * u.classes + k];
      if (lane == i) { logits[k] = z; }
    }
  }
  let r = first + lane;
  if (lane >= 1u || r >= u.n) { return; }
  
  
  
  var top = logits[0u];
  var second = -3.0e38;
  var least = top;
  var best = 0u;
  for (var c = 1u; c < u.classes; c++) {
    let z = logits[c];
    if (z > top) { second = top; top = z; best = c; } else { second = max(second, z); }
    least = min(least, z);
  }
  let gap = select((second - top) * u.sharpness, -1.0e30, u.classes == 1u);
  var rest = select(0.0, 1.0, u.classes == 1u);
  var mass = 0.0;
  for (var c = 0u; c < u.classes; c++) {
    if (c == best) { continue; }
    let z = logits[c];
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
  let s = top * u.sharpness;
  let level = s;
  let nan = total + level;
  let size = u.sharpness * max(top, -least);
  let leaves = is_nan(nan) || level >= u.threshold + u.slack * size;
  stays[r] = select(1u, 0u, leaves);
  if (!leaves) { return; }
  let at = ids[r];
  answers[at] = i32(best);
  exits[at] = u.exit;
  scores[at] = select(s, nan, is_nan(nan));
}
