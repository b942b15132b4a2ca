// normaliseImages(flips=true)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  width: u32,
  channels: u32,
  pixels: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> bytes: array<u32>;
@group(0) @binding(2) var<storage, read> affine: array<vec2f>;
@group(0) @binding(3) var<storage, read> flips: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn source(i: u32) -> u32 {
  if (flips[i / u.pixels] == 0u) { return i; }
  let line = u.width * u.channels;
  let start = i / line * line;
  let within = i - start;
  let x = within / u.channels;
  return start + (u.width - 1u - x) * u.channels + (within - x * u.channels);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let first = ((wid.x + wid.y * nwg.x) * 64u + li) * 4u;
  for (var k = 0u; k < 4u; k++) {
    let i = first + k;
    if (i >= u.n) { return; }
    let at = source(i);
    let byte = extractBits(bytes[at >> 2u], (at & 3u) * 8u, 8u);
    let a = affine[i % u.channels];
    y[i] = fma(f32(byte), a.x, a.y);
  }
}
