// exitGates(mode=hard,normalise=false)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  exits: u32,
  classes: u32,
  tau: f32,
  kappa: f32,
  leak: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> labels: array<i32>;
@group(0) @binding(3) var<storage, read> exit_weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<storage, read_write> eligibility: array<f32>;

fn residual(row: u32, label: u32) -> f32 {
  var top = logits[row];
  var best = 0u;
  for (var c = 1u; c < u.classes; c++) {
    let z = logits[row + c];
    if (z > top) { top = z; best = c; }
  }
  var total = 0.0;
  for (var c = 0u; c < u.classes; c++) { total += exp(logits[row + c] - top); }
  let true_logit = logits[row + min(label, u.classes - 1u)];
  return select(1.0, 0.0, best == label && 1.0 / total >= u.tau);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + li;
  if (i >= u.n) { return; }
  let label = u32(labels[i]);
  let first = i * u.exits;
  var eligible = 1.0;
  var sum = 0.0;
  for (var e = 0u; e < u.exits; e++) {
    let weight = exit_weights[e] * eligible + u.leak;
    eligibility[first + e] = eligible;
    weights[first + e] = weight;
    sum += weight;
    if (e + 1u < u.exits) { eligible *= residual((first + e) * u.classes, label); }
  }
  
}
