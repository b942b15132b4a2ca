// cumsum(dtype=f32,reversed=false)
// on gpu, cpu, plain

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
var<workgroup> sums: array<f32, 64>;
fn place(line: u32, j: u32) -> u32 {
  let at = j;
  return (line / u.inner * u.len + at) * u.inner + line % u.inner;
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let line = (wid.x + wid.y * nwg.x);
  if (line >= u.outer * u.inner) { return; }
  var before = f32(0);
  for (var first = 0u; first < u.len; first += 256u) {
    var own: array<f32, 4>;
    var total = f32(0);
    for (var k = 0u; k < 4u; k++) {
      let j = first + li * 4u + k;
      if (j < u.len) { total += f32(x[place(line, j)]); }
      own[k] = total;
    }
    sums[li] = total;
    workgroupBarrier();
    for (var step = 1u; step < 64u; step *= 2u) {
      var left = f32(0);
      if (li >= step) { left = sums[li - step]; }
      workgroupBarrier();
      sums[li] += left;
      workgroupBarrier();
    }
    var left = before;
    if (li > 0u) { left += sums[li - 1u]; }
    for (var k = 0u; k < 4u; k++) {
      let j = first + li * 4u + k;
      if (j < u.len) { y[place(line, j)] = f32(left + own[k]); }
    }
    before += sums[63u];
    workgroupBarrier();
  }
}


// order(descending=false,dtype=f32)
// on gpu, cpu, plain

struct Uniforms {
  outer: u32,
  len: u32,
  inner: u32,
  count: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> index: array<i32>;
alias T = f32;
alias U = u32;
alias I = i32;
alias B = bool;
fn magnitude(x: T) -> U { return bitcast<U>(x) & U(0x7fffffffu); }
fn order(x: T) -> I {
  let m = bitcast<I>(magnitude(x));
  return select(m, -m, bitcast<I>(x) < I(0));
}
fn is_nan(x: T) -> B { return magnitude(x) > U(0x7f800000u); }
fn key(i: u32) -> i32 { let v = f32(x[i]); return select(order(v), 0x7fffffff, is_nan(v)); }
fn item(i: u32) {
  let line = i / (u.len * u.inner);
  let column = i % u.inner;
  let own = i / u.inner % u.len;
  let base = line * u.len * u.inner + column;
  let mine = key(i);
  var rank = 0u;
  for (var j = 0u; j < u.len; j++) {
    let other = key(base + j * u.inner);
    rank += select(0u, 1u, (other < mine) | ((other == mine) & (j < own)));
  }
  if (rank < u.count) { index[(line * u.count + rank) * u.inner + column] = i32(own); }
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let count = u.outer * u.len * u.inner;
  let first = (wid.x + wid.y * nwg.x) * 512u + li;
  for (var i = first; i < min(first + 512u, count); i += 64u) { item(i); }
}
