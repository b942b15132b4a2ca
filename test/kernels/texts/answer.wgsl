// exitAnswer(byClass=false,classRoom=64,dtype=f32,isLast=false,live=false,masked=false,normed=false,room=64,score=maxLogit,width=4)
// on gpu, cpu, plain

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

fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn log1p_over(x: f32) -> f32 {
  if (x > 1.0) { return log(1.0 + x) / x; }
  let y = x / (2.0 + x);
  let q = y * y;
  return (2.0 / (2.0 + x)) * (1.0 + q * (0.33333333 + q * (0.2 + q * (0.14285714 + q * (0.11111111 + q * (0.09090909 + q * 0.07692308))))));
}
var<workgroup> shares: array<vec4f, 64>;
var<workgroup> pooled: array<f32, 64>;
var<workgroup> sums: array<f32, 64>;
var<workgroup> logits: array<f32, 64>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let r = (wid.x + wid.y * nwg.x);
  if (r >= u.n) { return; }
  
  
  let items = u.channels / 4u;
  let across = min(items, 64u);
  let parts = 64u / across;
  let part = li / across;
  for (var first = 0u; first < items; first += across) {
    let q = first + li % across;
    var sum = vec4f();
    if (part < parts && q < items) {
      for (var p = part; p < u.used; p += parts) { sum += vec4f(x[(r * u.positions + p) * items + q]); }
    }
    shares[li] = sum;
    workgroupBarrier();
    if (part == 0u && q < items) {
      for (var k = 1u; k < parts; k++) { sum += shares[k * across + li]; }
      let whole = sum / f32(u.used);
      pooled[4u * q + 0u] = whole[0]; pooled[4u * q + 1u] = whole[1]; pooled[4u * q + 2u] = whole[2]; pooled[4u * q + 3u] = whole[3];
    }
    workgroupBarrier();
  }
  
  
  let beside = min(u.classes, 64u);
  let splits = 64u / beside;
  let split = li / beside;
  for (var first = 0u; first < u.classes; first += beside) {
    let k = first + li % beside;
    var sum = 0.0;
    if (split < splits && k < u.classes) {
      for (var c = split; c < u.channels; c += splits) { sum += pooled[c] * tail[c * u.classes + k]; }
    }
    sums[li] = sum;
    workgroupBarrier();
    if (split == 0u && k < u.classes) {
      for (var s = 1u; s < splits; s++) { sum += sums[s * beside + li]; }
      logits[k] = sum + tail[u.channels * u.classes + k];
    }
    workgroupBarrier();
  }
  if (li > 0u) { return; }
  
  
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
