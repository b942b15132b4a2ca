// adam(amsgrad=false,clip=false,decay=all,decoupled=true,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  eps: f32,
  weightDecay: f32,
  beta2: f32,
  rest2: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read> now: array<f32>;
@group(0) @binding(4) var<storage, read_write> m: array<f32>;
@group(0) @binding(5) var<storage, read_write> v: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  let end = min(first + 256u, u.n / 1u);
  let size = now[1]; let correction = now[2]; let lr = now[4]; let rest1 = now[6];
  
  for (var i = first; i < end; i += 64u) {
    var w_new = w[i];
    var m_new = m[i];
    var v_new = v[i];
    var d = g[i];
    let rate = u.weightDecay;
    w_new *= 1.0 - lr * rate;
    m_new += rest1 * (d - m_new);
    v_new = u.beta2 * v_new + u.rest2 * d * d;
    
    w_new -= size * m_new / (sqrt(v_new) / correction + u.eps);
    w[i] = w_new;
    m[i] = m_new;
    v[i] = v_new;
  }
}


// ema(width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> s: array<f32>;
@group(0) @binding(2) var<storage, read> w: array<f32>;
@group(0) @binding(3) var<storage, read> hyper: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  let end = min(first + 256u, u.n / 1u);
  let rest = hyper[2];
  for (var i = first; i < end; i += 64u) {
    var s_new = s[i];
    s_new += rest * (w[i] - s_new);
    s[i] = s_new;
  }
}


// optimAdvance
// on gpu, cpu, plain

struct Uniforms {
  dampening: f32,
  logBeta2: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> hyper: array<f32>;
@group(0) @binding(2) var<storage, read> lr: array<f32>;
@group(0) @binding(3) var<storage, read_write> step: array<u32>;
@group(0) @binding(4) var<storage, read_write> now: array<f32>;

fn minus_expm1(x: f32) -> f32 {
  if (x < -0.5) { return 1.0 - exp(x); }
  var sum = 0.0;
  for (var k = 9; k > 0; k--) { sum = (sum + 1.0) * x / f32(k); }
  return -sum;
}
@compute @workgroup_size(1) fn main() {
  step[0] += 1u;
  let t = f32(step[0]);
  now[0] = t;
  now[1] = lr[0] / minus_expm1(t * hyper[3]);
  now[2] = sqrt(minus_expm1(t * u.logBeta2));
  now[3] = select(1.0 - u.dampening, 1.0, step[0] == 1u);
  now[4] = lr[0];
  now[5] = hyper[1];
  now[6] = hyper[2];
}


// rmsprop(centered=false,clip=false,decay=none,momentum=true,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  eps: f32,
  weightDecay: f32,
  alpha: f32,
  rest: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read> lr: array<f32>;
@group(0) @binding(4) var<storage, read_write> v: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  let end = min(first + 256u, u.n / 1u);
  let step_size = lr[0]; let momentum = lr[1]; 
  for (var i = first; i < end; i += 64u) {
    var w_new = w[i];
    var v_new = v[i];
    var m_new = m[i];
    var d = g[i];
    
    
    v_new = u.alpha * v_new + u.rest * d * d;
    
    d /= sqrt(v_new) + u.eps;
    m_new = momentum * m_new + d; d = m_new;
    w_new -= step_size * d;
    w[i] = w_new;
    v[i] = v_new;
    m[i] = m_new;
  }
}


// sgd(clip=false,dampening=false,decay=all,momentum=true,nesterov=true,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  weightDecay: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> w: array<f32>;
@group(0) @binding(2) var<storage, read> g: array<f32>;
@group(0) @binding(3) var<storage, read> lr: array<f32>;
@group(0) @binding(4) var<storage, read> hyper: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  let end = min(first + 256u, u.n / 1u);
  let step_size = lr[0]; let momentum = hyper[1]; 
  
  for (var i = first; i < end; i += 64u) {
    var w_new = w[i];
    var m_new = m[i];
    var d = g[i];
    let rate = u.weightDecay;
    d += rate * w_new;
    m_new = momentum * m_new + d;
    d = d + momentum * m_new;
    w_new -= step_size * d;
    w[i] = w_new;
    m[i] = m_new;
  }
}
