// dropout(dtype=f32,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  call: u32,
  threshold: u32,
  scale: f32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn high_product(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu; let a1 = a >> 16u;
  let b0 = b & 0xffffu; let b1 = b >> 16u;
  let cross = a1 * b0 + ((a0 * b0) >> 16u);
  let carry = a0 * b1 + (cross & 0xffffu);
  return a1 * b1 + (cross >> 16u) + (carry >> 16u);
}
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0; round < 10; round++) {
    let high0 = high_product(0xd2511f53u, c.x);
    let high1 = high_product(0xcd9e8d57u, c.z);
    c = vec4u(high1 ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high0 ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
fn draw(block: u32) -> vec4u {
  return philox(vec4u(block, u.call, state[2], state[3]), vec2u(state[0], state[1]));
}

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let block = (wid.x + wid.y * nwg.x) * 64u + li;
  if (block >= (u.n + 3u) / 4u) { return; }
  let words = draw(block);
  let keeps = (words >> vec4u(8u)) >= vec4u(u.threshold);
  for (var k = 0u; k < min(4u, u.n - 4u * block); k++) {
    let at = 4u * block + k; let value = select(f32(), f32(x[at]) * u.scale, keeps[k]); y[at] = value;
  }
}


// random(kind=uniform,width=1)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  call: u32,
  low: i32,
  span: u32,
  threshold: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

fn high_product(a: u32, b: u32) -> u32 {
  let a0 = a & 0xffffu; let a1 = a >> 16u;
  let b0 = b & 0xffffu; let b1 = b >> 16u;
  let cross = a1 * b0 + ((a0 * b0) >> 16u);
  let carry = a0 * b1 + (cross & 0xffffu);
  return a1 * b1 + (cross >> 16u) + (carry >> 16u);
}
fn philox(counter: vec4u, key: vec2u) -> vec4u {
  var c = counter;
  var k = key;
  for (var round = 0; round < 10; round++) {
    let high0 = high_product(0xd2511f53u, c.x);
    let high1 = high_product(0xcd9e8d57u, c.z);
    c = vec4u(high1 ^ c.y ^ k.x, 0xcd9e8d57u * c.z, high0 ^ c.w ^ k.y, 0xd2511f53u * c.x);
    k += vec2u(0x9e3779b9u, 0xbb67ae85u);
  }
  return c;
}
fn draw(block: u32) -> vec4u {
  return philox(vec4u(block, u.call, state[2], state[3]), vec2u(state[0], state[1]));
}


@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let block = (wid.x + wid.y * nwg.x) * 64u + li;
  if (block >= (u.n + 3u) / 4u) { return; }
  let words = draw(block);
  let values = vec4f(words >> vec4u(8u)) * 5.9604644775390625e-8;
  for (var k = 0u; k < min(4u, u.n - 4u * block); k++) { y[4u * block + k] = values[k]; }
}


// randomAdvance
// on gpu, cpu, plain

@group(0) @binding(1) var<storage, read_write> state: array<u32>;
@compute @workgroup_size(1) fn main() { state[2] += 1u; }
