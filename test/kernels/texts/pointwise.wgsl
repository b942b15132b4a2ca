// add(compute=f32,inner=10,out=f32,types=f32,f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  num_a: f32,
  num_b: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> in_b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;

fn compute(i: u32) {
  
  
  let a = in_a[i];
let b = vec4<f32>(in_b[0u]);
  
  let result = a + b;
  out[i] = vec4<f32>(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// atan2.broadcast3(compute=f32,inner=10,out=f32,types=f32,f32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  d0: u32,
  d1: u32,
  d2: u32,
  num_a: f32,
  a_0: u32,
  a_1: u32,
  a_2: u32,
  num_b: f32,
  b_0: u32,
  b_1: u32,
  b_2: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_a: array<f32>;
@group(0) @binding(2) var<storage, read> in_b: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

alias T = f32;
alias U = u32;
alias I = i32;
alias B = bool;
fn magnitude(x: T) -> U { return bitcast<U>(x) & U(0x7fffffffu); }
fn is_nan(x: T) -> B { return magnitude(x) > U(0x7f800000u); }
fn any_nan(a: T, b: T) -> T { return select(a, b, is_nan(b)); }
fn angle_of(a: T, b: T) -> T {
  let m = abs(a);
  let n = abs(b);
  let most = max(m, n);
  let equal = magnitude(a) == magnitude(b);
  let t = select(min(m, n) / most, select(T(1.0), T(0.0), most == T(0.0)), equal);
  let far = t > T(0.4142135623730950);
  let x = select(t, (t - T(1.0)) / (t + T(1.0)), far);
  let s = x * x;
  let part = x + x * s * (((T(0.0805374449538) * s + T(-0.138776856032)) * s + T(0.199777106478)) * s + T(-0.333329491539));
  let eighth = select(part, T(0.7853981633974483) + part, far);
  let quarter = select(eighth, T(1.5707963267948966) - eighth, m > n);
  let half = select(quarter, T(3.141592653589793) - quarter, bitcast<I>(b) < I(0));
  return any_nan(any_nan(select(half, -half, bitcast<I>(a) < I(0)), a), b);
}
fn compute(i: u32) {
  var rest = i;
  let c2 = rest % u.d2; rest = rest / u.d2;
let c1 = rest % u.d1; rest = rest / u.d1;
let c0 = rest;
  let a = in_a[c0 * u.a_0 + c1 * u.a_1 + c2];
let b = f32(in_b[c0 * u.b_0 + c1 * u.b_1]);
  
  let result = angle_of(a, b);
  out[i] = f32(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// atan2.broadcast5(compute=f32,inner=11,out=f32,types=f32,f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  d0: u32,
  d1: u32,
  d2: u32,
  d3: u32,
  d4: u32,
  num_a: f32,
  a_0: u32,
  a_1: u32,
  a_2: u32,
  a_3: u32,
  a_4: u32,
  num_b: f32,
  b_0: u32,
  b_1: u32,
  b_2: u32,
  b_3: u32,
  b_4: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_a: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> in_b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;
fn magnitude(x: T) -> U { return bitcast<U>(x) & U(0x7fffffffu); }
fn is_nan(x: T) -> B { return magnitude(x) > U(0x7f800000u); }
fn any_nan(a: T, b: T) -> T { return select(a, b, is_nan(b)); }
fn angle_of(a: T, b: T) -> T {
  let m = abs(a);
  let n = abs(b);
  let most = max(m, n);
  let equal = magnitude(a) == magnitude(b);
  let t = select(min(m, n) / most, select(T(1.0), T(0.0), most == T(0.0)), equal);
  let far = t > T(0.4142135623730950);
  let x = select(t, (t - T(1.0)) / (t + T(1.0)), far);
  let s = x * x;
  let part = x + x * s * (((T(0.0805374449538) * s + T(-0.138776856032)) * s + T(0.199777106478)) * s + T(-0.333329491539));
  let eighth = select(part, T(0.7853981633974483) + part, far);
  let quarter = select(eighth, T(1.5707963267948966) - eighth, m > n);
  let half = select(quarter, T(3.141592653589793) - quarter, bitcast<I>(b) < I(0));
  return any_nan(any_nan(select(half, -half, bitcast<I>(a) < I(0)), a), b);
}
fn compute(i: u32) {
  var rest = i;
  let c4 = rest % (u.d4 / 4u); rest = rest / (u.d4 / 4u);
let c3 = rest % u.d3; rest = rest / u.d3;
let c2 = rest % u.d2; rest = rest / u.d2;
let c1 = rest % u.d1; rest = rest / u.d1;
let c0 = rest;
  let a = in_a[c0 * u.a_0 / 4u + c1 * u.a_1 / 4u + c2 * u.a_2 / 4u + c3 * u.a_3 / 4u + c4];
let b = in_b[c0 * u.b_0 / 4u + c1 * u.b_1 / 4u + c2 * u.b_2 / 4u + c3 * u.b_3 / 4u + c4];
  
  let result = angle_of(a, b);
  out[i] = vec4<f32>(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// cast(compute=f32,inner=1,out=f32,types=u32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  num_x: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_x: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

alias T = f32;
alias U = u32;
alias I = i32;
alias B = bool;

fn compute(i: u32) {
  
  
  let x = T(in_x[i]);
  
  let result = x;
  out[i] = f32(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// full(compute=i32,inner=s,out=i32,types=number,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  num_value: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> out: array<i32>;

alias T = i32;
alias U = u32;
alias I = i32;
alias B = bool;

fn compute(i: u32) {
  
  
  let value = T(u.num_value);
  
  let result = value;
  out[i] = i32(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// full(compute=i32,inner=s,out=i32,types=number,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  num_value: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<i32>>;

alias T = vec4<i32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;

fn compute(i: u32) {
  
  
  let value = T(u.num_value);
  
  let result = value;
  out[i] = vec4<i32>(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// mul.da.broadcast4(compute=f32,inner=11,out=f32,types=f32,f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  d0: u32,
  d1: u32,
  d2: u32,
  d3: u32,
  num_g: f32,
  g_0: u32,
  g_1: u32,
  g_2: u32,
  g_3: u32,
  num_b: f32,
  b_0: u32,
  b_1: u32,
  b_2: u32,
  b_3: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> in_b: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;

alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;

fn compute(i: u32) {
  var rest = i;
  let c3 = rest % (u.d3 / 4u); rest = rest / (u.d3 / 4u);
let c2 = rest % u.d2; rest = rest / u.d2;
let c1 = rest % u.d1; rest = rest / u.d1;
let c0 = rest;
  let g = in_g[c0 * u.g_0 / 4u + c1 * u.g_1 / 4u + c2 * u.g_2 / 4u + c3];
let b = in_b[c0 * u.b_0 / 4u + c1 * u.b_1 / 4u + c2 * u.b_2 / 4u + c3];
  
  let result = g * b;
  out[i] = vec4<f32>(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// sum.dx.broadcast2(compute=f32,inner=1,out=f32,types=f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  d0: u32,
  d1: u32,
  num_g: f32,
  g_0: u32,
  g_1: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;

fn compute(i: u32) {
  var rest = i;
  let c1 = rest % (u.d1 / 4u); rest = rest / (u.d1 / 4u);
let c0 = rest;
  let g = in_g[c0 * u.g_0 / 4u + c1];
  
  let result = g;
  out[i] = vec4<f32>(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// sum.dx.broadcast4(compute=f32,inner=0,out=f32,types=f32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  d0: u32,
  d1: u32,
  d2: u32,
  d3: u32,
  num_g: f32,
  g_0: u32,
  g_1: u32,
  g_2: u32,
  g_3: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_g: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

alias T = f32;
alias U = u32;
alias I = i32;
alias B = bool;

fn compute(i: u32) {
  var rest = i;
  let c3 = rest % u.d3; rest = rest / u.d3;
let c2 = rest % u.d2; rest = rest / u.d2;
let c1 = rest % u.d1; rest = rest / u.d1;
let c0 = rest;
  let g = f32(in_g[c0 * u.g_0 + c1 * u.g_1 + c2 * u.g_2]);
  
  let result = g;
  out[i] = f32(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// where.broadcast2(compute=f32,inner=11s,out=f32,types=bool,f32,number,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  d0: u32,
  d1: u32,
  num_cond: f32,
  cond_0: u32,
  cond_1: u32,
  num_a: f32,
  a_0: u32,
  a_1: u32,
  num_b: f32,
  b_0: u32,
  b_1: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_cond: array<u32>;
@group(0) @binding(2) var<storage, read> in_a: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

alias T = f32;
alias U = u32;
alias I = i32;
alias B = bool;

fn compute(i: u32) {
  var rest = i;
  let c1 = rest % u.d1; rest = rest / u.d1;
let c0 = rest;
  let cond = select(T(0), T(1), in_cond[c0 * u.cond_0 + c1] != U(0u));
let a = in_a[c0 * u.a_0 + c1];
let b = T(u.num_b);
  
  let result = select(b, a, cond != T(0));
  out[i] = f32(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}


// where.broadcast3(compute=f32,inner=011,out=f32,types=bool,f32,f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  d0: u32,
  d1: u32,
  d2: u32,
  num_cond: f32,
  cond_0: u32,
  cond_1: u32,
  cond_2: u32,
  num_a: f32,
  a_0: u32,
  a_1: u32,
  a_2: u32,
  num_b: f32,
  b_0: u32,
  b_1: u32,
  b_2: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> in_cond: array<u32>;
@group(0) @binding(2) var<storage, read> in_a: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> in_b: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

alias T = vec4<f32>;
alias U = vec4<u32>;
alias I = vec4<i32>;
alias B = vec4<bool>;

fn compute(i: u32) {
  var rest = i;
  let c2 = rest % (u.d2 / 4u); rest = rest / (u.d2 / 4u);
let c1 = rest % u.d1; rest = rest / u.d1;
let c0 = rest;
  let cond = select(T(0), T(1), vec4<u32>(in_cond[c0 * u.cond_0 + c1 * u.cond_1]) != U(0u));
let a = in_a[c0 * u.a_0 / 4u + c1 * u.a_1 / 4u + c2];
let b = in_b[c0 * u.b_0 / 4u + c1 * u.b_1 / 4u + c2];
  
  let result = select(b, a, cond != T(0));
  out[i] = vec4<f32>(result);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = (wid.x + wid.y * nwg.x) * 256u + li;
  if (first + 0u < u.n) { compute(first + 0u); }
if (first + 64u < u.n) { compute(first + 64u); }
if (first + 128u < u.n) { compute(first + 128u); }
if (first + 192u < u.n) { compute(first + 192u); }
}
