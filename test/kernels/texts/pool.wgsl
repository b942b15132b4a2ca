// avgPool2d(adaptive=false,dtype=f32,split=1,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  h: u32,
  w: u32,
  c: u32,
  oh: u32,
  ow: u32,
  kh: u32,
  kw: u32,
  sh: u32,
  sw: u32,
  pt: u32,
  pl: u32,
  includePad: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let own = (wid.x + wid.y * nwg.x) * 64u + li % 64u;
  let part = li / 64u;
  let end = u.n * u.oh * u.ow * (u.c / 4u);
  let i = min(own, end - 1u);
  
  let channels = u.c / 4u;
  let ch = i % channels;
  let pixel = i / channels;
  let xx = pixel % u.ow;
  let line = pixel / u.ow;
  let yy = line % u.oh;
  let b = line / u.oh;
  let y0 = (max(yy * u.sh, u.pt) - u.pt); let y1 = min(max(yy * u.sh + u.kh, u.pt) - u.pt, u.h);
  let x0 = (max(xx * u.sw, u.pl) - u.pl); let x1 = min(max(xx * u.sw + u.kw, u.pl) - u.pl, u.w);
  let across = x1 - x0;
  var total = vec4f();
  for (var row = y0; row < y1; row++) {
    for (var at = (b * u.h + row) * u.w + x0; at < (b * u.h + row) * u.w + x1; at++) { total += vec4f(x[at * channels + ch]); }
  }
  if (own < end && part == 0u) { let mean = total / f32(select((y1 - y0) * (x1 - x0), min(u.kh, u.h + 2u * u.pt - yy * u.sh) * min(u.kw, u.w + 2u * u.pl - xx * u.sw), u.includePad != 0u)); y[i] = mean; }
}


// avgPool2dBackward(adaptive=false,dtype=f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  h: u32,
  w: u32,
  c: u32,
  oh: u32,
  ow: u32,
  kh: u32,
  kw: u32,
  sh: u32,
  sw: u32,
  pt: u32,
  pl: u32,
  includePad: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + li;
  let channels = u.c / 4u;
  if (i >= u.n * u.h * channels) { return; }
  let ch = i % channels;
  let line = i / channels;
  let yy = line % u.h;
  let b = line / u.h;
  let oy0 = ((max(yy + u.pt + u.sh, u.kh) - u.kh) / u.sh);
  let oy1 = min((yy + u.pt) / u.sh + 1u, u.oh);
  var ox0 = 0u;
  var ox1 = 0u;
  for (var xx = 0u; xx < u.w; xx++) {
    while (ox1 < u.ow && (max(ox1 * u.sw, u.pl) - u.pl) <= xx) { ox1++; }
    while (ox0 < ox1 && min(max(ox0 * u.sw + u.kw, u.pl) - u.pl, u.w) <= xx) { ox0++; }
    var total = vec4f();
    for (var oy = oy0; oy < oy1; oy++) {
      let y0 = (max(oy * u.sh, u.pt) - u.pt); let y1 = min(max(oy * u.sh + u.kh, u.pt) - u.pt, u.h);
      for (var ox = ox0; ox < ox1; ox++) {
        let o = ((b * u.oh + oy) * u.ow + ox) * channels + ch;
        let x0 = (max(ox * u.sw, u.pl) - u.pl); let x1 = min(max(ox * u.sw + u.kw, u.pl) - u.pl, u.w);
        total += vec4f(g[o]) / f32(select((y1 - y0) * (x1 - x0), min(u.kh, u.h + 2u * u.pt - oy * u.sh) * min(u.kw, u.w + 2u * u.pl - ox * u.sw), u.includePad != 0u));
      }
    }
    dx[(line * u.w + xx) * channels + ch] = total;
  }
}


// maxPool2d(dilated=false,dtype=f32,places=true,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  h: u32,
  w: u32,
  c: u32,
  oh: u32,
  ow: u32,
  kh: u32,
  kw: u32,
  sh: u32,
  sw: u32,
  pt: u32,
  pl: u32,
  dh: u32,
  dw: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> places: array<u32>;
var<private> lowest_bits: u32 = 0xff800000u;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  
  let i = (wid.x + wid.y * nwg.x) * 64u + li;
  if (i >= u.n * u.oh * u.ow * (u.c / 4u)) { return; }
  
  let channels = u.c / 4u;
  let ch = i % channels;
  let pixel = i / channels;
  let xx = pixel % u.ow;
  let line = pixel / u.ow;
  let yy = line % u.oh;
  let b = line / u.oh;
  let top = yy * u.sh;
  let left = xx * u.sw;
  let y0 = (max(top, u.pt) - top + 1u - 1u) / 1u; let y1 = min((max(u.h + u.pt, top) - top + 1u - 1u) / 1u, u.kh);
  let x0 = (max(left, u.pl) - left + 1u - 1u) / 1u; let x1 = min((max(u.w + u.pl, left) - left + 1u - 1u) / 1u, u.kw);
  var best = vec4f(bitcast<f32>(lowest_bits));
  // Whether best is NaN: a comparison with it may say anything.
  var odd = vec4<bool>();
  var place = vec4u(y0 * u.kw + x0);
  for (var ky = y0; ky < y1; ky++) {
    let line_start = (b * u.h + top + ky * 1u - u.pt) * u.w + left - u.pl;
    for (var kx = x0; kx < x1; kx++) {
      let v = vec4f(x[(line_start + kx * 1u) * channels + ch]);
      let is_nan = (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
      let takes = ((v > best) & !odd) | is_nan;
      odd = odd | is_nan;
      best = select(best, v, takes);
      place = select(place, vec4u(ky * u.kw + kx), takes);
    }
  }
  y[i] = best;
  places[i] = place.x | (place.y << 8u) | (place.z << 16u) | (place.w << 24u);
}


// maxPool2dBackward(dilated=false,dtype=f32,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  h: u32,
  w: u32,
  c: u32,
  oh: u32,
  ow: u32,
  kh: u32,
  kw: u32,
  sh: u32,
  sw: u32,
  pt: u32,
  pl: u32,
  dh: u32,
  dw: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> places: array<u32>;
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>;

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let i = (wid.x + wid.y * nwg.x) * 64u + li;
  let channels = u.c / 4u;
  if (i >= u.n * u.h * channels) { return; }
  let ch = i % channels;
  let line = i / channels;
  let yy = line % u.h;
  let b = line / u.h;
  let oy0 = ((max(yy + u.pt + u.sh, u.kh) - u.kh) / u.sh);
  let oy1 = min((yy + u.pt) / u.sh + 1u, u.oh);
  var ox0 = 0u;
  var ox1 = 0u;
  for (var xx = 0u; xx < u.w; xx++) {
    while (ox1 < u.ow && (max(ox1 * u.sw, u.pl) - u.pl) <= xx) { ox1++; }
    while (ox0 < ox1 && min(max(ox0 * u.sw + u.kw, u.pl) - u.pl, u.w) <= xx) { ox0++; }
    var total = vec4f();
    for (var oy = oy0; oy < oy1; oy++) {
      let row = (yy + u.pt - oy * u.sh) * u.kw + u.pl;
      for (var ox = ox0; ox < ox1; ox++) {
        let o = ((b * u.oh + oy) * u.ow + ox) * channels + ch;
        let mine = row + xx - ox * u.sw;
        total += select(vec4f(), vec4f(g[o]), ((vec4u(places[o]) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u)) == vec4u(mine));
      }
    }
    dx[(line * u.w + xx) * channels + ch] = total;
  }
}
