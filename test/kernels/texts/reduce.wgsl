// reduce(across=lines,dtype=f32,group=64,lanes=1,op=sum,shuffle=1,stage=whole,width=1)
// on gpu, cpu, plain

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
  parts: u32,
  chunk: u32,
  count: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const MAGNITUDE = 0x7fffffffu;
const INFINITY = 0x7f800000u;
const MINUS_INFINITY = 0xff800000u;
var<private> infinity_bits: u32 = INFINITY;
var<private> nan_bits: u32 = 0x7fc00000u;
const SLOTS = 64u;

struct State1 { total: f32 }
fn start1() -> State1 { return State1(f32(f32())); }
fn absorb1(s: State1, x: f32, k: u32) -> State1 {
  return State1(s.total + x);
}
fn merge1(a: State1, b: State1) -> State1 {
  return State1(a.total + b.total);
}


fn put(s: State1, at: u32) { y[at] = s.total; }
fn put_all(s: State1, line: u32, part: u32, column: u32) {
  put(s, line * u.inner + column * 1u + 0u);
}

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let slot = li % SLOTS;
  let slice = li / SLOTS;
  let columns = u.inner;
  let unit = (wid.x + wid.y * nwg.x) * SLOTS + slot;
  let exists = unit < u.outer * u.parts * columns;
  let own = select(0u, unit, exists);
  let column = own % columns;
  let part = own / columns % u.parts;
  let line = own / columns / u.parts;
  let base = line * u.len * columns + column;
  var acc = start1();
  let until = min(u.len, (part + 1u) * u.chunk);
  var k = part * (u.chunk) + slice;
  while (k < until) {
    var acc_block = start1();
    for (var chains = 0u; chains < 16u && (k < until); chains++) {
      var acc_chain = start1();
      for (var terms = 0u; terms < 16u && (k < until); terms++) { acc_chain = absorb1(acc_chain, f32(x[base + k * columns]), k); k += 1u; }
      acc_block = merge1(acc_block, acc_chain);
    }
    acc = merge1(acc, acc_block);
  }
  var s = acc;
  
  if (exists && slice == 0u) { put_all(s, line, part, column); }
}


// reduceStrided(across=lines,dtype=f32,group=64,kept=3,lanes=1,op=sum,reduced=2,shuffle=1,stage=whole,width=1)
// on gpu, cpu, plain

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
  parts: u32,
  chunk: u32,
  count: f32,
  n0: u32,
  n1: u32,
  n2: u32,
  n3: u32,
  s0: u32,
  s1: u32,
  s2: u32,
  s3: u32,
  m0: u32,
  m1: u32,
  m2: u32,
  m3: u32,
  t0: u32,
  t1: u32,
  t2: u32,
  t3: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

const MAGNITUDE = 0x7fffffffu;
const INFINITY = 0x7f800000u;
const MINUS_INFINITY = 0xff800000u;
var<private> infinity_bits: u32 = INFINITY;
var<private> nan_bits: u32 = 0x7fc00000u;
const SLOTS = 64u;

struct State1 { total: f32 }
fn start1() -> State1 { return State1(f32(f32())); }
fn absorb1(s: State1, x: f32, k: u32) -> State1 {
  return State1(s.total + x);
}
fn merge1(a: State1, b: State1) -> State1 {
  return State1(a.total + b.total);
}


fn put(s: State1, at: u32) { y[at] = s.total; }
fn put_all(s: State1, line: u32, part: u32, column: u32) {
  put(s, line * u.inner + column * 1u + 0u);
}
fn kept_offset(index: u32) -> u32 {
  var rest = index;
  var offset = 0u;
  offset += rest % u.n2 * u.s2; rest /= u.n2;
offset += rest % u.n1 * u.s1; rest /= u.n1;
  return offset + rest * u.s0;
}fn reduced_offset(index: u32) -> u32 {
  var rest = index;
  var offset = 0u;
  offset += rest % u.m1 * u.t1; rest /= u.m1;
  return offset + rest * u.t0;
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let slot = li % SLOTS;
  let slice = li / SLOTS;
  let columns = u.inner;
  let unit = (wid.x + wid.y * nwg.x) * SLOTS + slot;
  let exists = unit < u.outer * u.parts * columns;
  let own = select(0u, unit, exists);
  let column = own % columns;
  let part = own / columns % u.parts;
  let line = own / columns / u.parts;
  let base = kept_offset(line * columns + column);
  var acc = start1();
  let until = min(u.len, (part + 1u) * u.chunk);
  var k = part * (u.chunk) + slice;
  while (k < until) {
    var acc_block = start1();
    for (var chains = 0u; chains < 16u && (k < until); chains++) {
      var acc_chain = start1();
      for (var terms = 0u; terms < 16u && (k < until); terms++) { acc_chain = absorb1(acc_chain, f32(x[base + reduced_offset(k)]), k); k += 1u; }
      acc_block = merge1(acc_block, acc_chain);
    }
    acc = merge1(acc, acc_block);
  }
  var s = acc;
  
  if (exists && slice == 0u) { put_all(s, line, part, column); }
}
