// resize(dtype=f32,mode=nearest,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  h: u32,
  w: u32,
  c: u32,
  oh: u32,
  ow: u32,
  stepH: i32,
  offsetH: i32,
  unitH: i32,
  stepW: i32,
  offsetW: i32,
  unitW: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;

fn quotient(a: i32, b: i32, c: i32, d: i32) -> i32 {
  let near = i32(f32(a) * f32(b) / f32(d));
  let rest = a * b + c - near * d;
  return near + (rest - select(0, d - 1, rest < 0)) / d;
}
struct Tap { cell: i32, next: i32, share: f32 }
fn tap(o: i32, size: i32, step: i32, offset: i32, unit: i32) -> Tap {
  let whole = quotient(o, step, offset, unit);
  let cell = clamp(whole, 0, size - 1);
  let share = f32(o * step + offset - whole * unit) / f32(unit);
  return Tap(cell, min(cell + 1, size - 1), select(share, 0.0, whole < 0));
}
fn tap_h(o: i32) -> Tap { return tap(o, i32(u.h), u.stepH, u.offsetH, u.unitH); }
fn tap_w(o: i32) -> Tap { return tap(o, i32(u.w), u.stepW, u.offsetW, u.unitW); }
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
  let r = tap_h(i32(yy));
  let s = tap_w(i32(xx));
  let result = vec4f(x[((b * u.h + u32(r.cell)) * u.w + u32(s.cell)) * channels + ch]);
  y[i] = result;
}


// resizeBackward(dtype=f32,mode=nearest,width=4)
// on gpu, cpu, plain

struct Uniforms {
  n: u32,
  h: u32,
  w: u32,
  c: u32,
  oh: u32,
  ow: u32,
  stepH: i32,
  offsetH: i32,
  unitH: i32,
  stepW: i32,
  offsetW: i32,
  unitW: i32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> dx: array<vec4<f32>>;

fn quotient(a: i32, b: i32, c: i32, d: i32) -> i32 {
  let near = i32(f32(a) * f32(b) / f32(d));
  let rest = a * b + c - near * d;
  return near + (rest - select(0, d - 1, rest < 0)) / d;
}
struct Tap { cell: i32, next: i32, share: f32 }
fn tap(o: i32, size: i32, step: i32, offset: i32, unit: i32) -> Tap {
  let whole = quotient(o, step, offset, unit);
  let cell = clamp(whole, 0, size - 1);
  let share = f32(o * step + offset - whole * unit) / f32(unit);
  return Tap(cell, min(cell + 1, size - 1), select(share, 0.0, whole < 0));
}
fn tap_h(o: i32) -> Tap { return tap(o, i32(u.h), u.stepH, u.offsetH, u.unitH); }
fn tap_w(o: i32) -> Tap { return tap(o, i32(u.w), u.stepW, u.offsetW, u.unitW); }

fn weight(t: Tap, i: i32) -> f32 { return select(0.0, 1.0, t.cell == i); }
fn first_reader(i: i32, step: i32, offset: i32, unit: i32) -> i32 {
  if (i == 0 || step == 0) { return 0; }
  return max(quotient(i, unit, -offset, step), 0);
}
fn end_of_readers(i: i32, size: i32, out: i32, step: i32, offset: i32, unit: i32) -> i32 {
  if (i == size - 1 || step == 0) { return out; }
  return min(quotient(i + 1, unit, -offset, step) + 1, out);
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  
  let i = (wid.x + wid.y * nwg.x) * 64u + li;
  if (i >= u.n * u.h * u.w * (u.c / 4u)) { return; }
  
  let channels = u.c / 4u;
  let ch = i % channels;
  let pixel = i / channels;
  let xx = pixel % u.w;
  let line = pixel / u.w;
  let yy = line % u.h;
  let b = line / u.h;
  let oy0 = first_reader(i32(yy), u.stepH, u.offsetH, u.unitH);
  let oy1 = end_of_readers(i32(yy), i32(u.h), i32(u.oh), u.stepH, u.offsetH, u.unitH);
  let ox0 = first_reader(i32(xx), u.stepW, u.offsetW, u.unitW);
  let ox1 = end_of_readers(i32(xx), i32(u.w), i32(u.ow), u.stepW, u.offsetW, u.unitW);
  var total = vec4f();
  for (var oy = oy0; oy < oy1; oy++) {
    let wy = weight(tap_h(oy), i32(yy));
    if (wy == 0.0) { continue; }
    for (var ox = ox0; ox < ox1; ox++) {
      let wx = weight(tap_w(ox), i32(xx));
      if (wx == 0.0) { continue; }
      total += wy * wx * vec4f(g[((b * u.oh + u32(oy)) * u.ow + u32(ox)) * channels + ch]);
    }
  }
  dx[i] = total;
}
