// compact(live=false)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> survivors: array<i32>;
@group(0) @binding(3) var<storage, read_write> count: array<u32>;

var<workgroup> sums: array<u32, 64>;
// Sum of the values of threads 0..li (Hillis and Steele, 1986); afterwards the last is the total.
fn inclusive_scan(value: u32, li: u32) -> u32 {
  workgroupBarrier();
  sums[li] = value;
  workgroupBarrier();
  for (var step = 1u; step < 64u; step <<= 1u) {
    let before = select(0u, sums[max(li, step) - step], li >= step);
    workgroupBarrier();
    sums[li] += before;
    workgroupBarrier();
  }
  return sums[li];
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  
  let rows = u.rows;
  let first = 0u * 1024u + li * 16u;
  var sum = vec4<u32>();
  let at0 = first + 0u;
  let exists0 = vec4<u32>(at0) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays0 = vec4<u32>((mask[min(at0, u.rows - 1u) / 4u] != vec4<u32>()) & exists0);
  sum += stays0;
let at1 = first + 4u;
  let exists1 = vec4<u32>(at1) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays1 = vec4<u32>((mask[min(at1, u.rows - 1u) / 4u] != vec4<u32>()) & exists1);
  sum += stays1;
let at2 = first + 8u;
  let exists2 = vec4<u32>(at2) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays2 = vec4<u32>((mask[min(at2, u.rows - 1u) / 4u] != vec4<u32>()) & exists2);
  sum += stays2;
let at3 = first + 12u;
  let exists3 = vec4<u32>(at3) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays3 = vec4<u32>((mask[min(at3, u.rows - 1u) / 4u] != vec4<u32>()) & exists3);
  sum += stays3;
  let kept = sum.x + sum.y + sum.z + sum.w;
  var at = inclusive_scan(kept, li) - kept;
  if (li == 0u) { count[0] = sums[63]; }
  if (stays0[0] != 0u) { survivors[at] = i32(first + 0u); at++; }
  if (stays0[1] != 0u) { survivors[at] = i32(first + 1u); at++; }
  if (stays0[2] != 0u) { survivors[at] = i32(first + 2u); at++; }
  if (stays0[3] != 0u) { survivors[at] = i32(first + 3u); at++; }
  if (stays1[0] != 0u) { survivors[at] = i32(first + 4u); at++; }
  if (stays1[1] != 0u) { survivors[at] = i32(first + 5u); at++; }
  if (stays1[2] != 0u) { survivors[at] = i32(first + 6u); at++; }
  if (stays1[3] != 0u) { survivors[at] = i32(first + 7u); at++; }
  if (stays2[0] != 0u) { survivors[at] = i32(first + 8u); at++; }
  if (stays2[1] != 0u) { survivors[at] = i32(first + 9u); at++; }
  if (stays2[2] != 0u) { survivors[at] = i32(first + 10u); at++; }
  if (stays2[3] != 0u) { survivors[at] = i32(first + 11u); at++; }
  if (stays3[0] != 0u) { survivors[at] = i32(first + 12u); at++; }
  if (stays3[1] != 0u) { survivors[at] = i32(first + 13u); at++; }
  if (stays3[2] != 0u) { survivors[at] = i32(first + 14u); at++; }
  if (stays3[3] != 0u) { survivors[at] = i32(first + 15u); at++; }
}


// compactCount(live=false)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;

var<workgroup> sums: array<u32, 64>;
// Sum of the values of threads 0..li (Hillis and Steele, 1986); afterwards the last is the total.
fn inclusive_scan(value: u32, li: u32) -> u32 {
  workgroupBarrier();
  sums[li] = value;
  workgroupBarrier();
  for (var step = 1u; step < 64u; step <<= 1u) {
    let before = select(0u, sums[max(li, step) - step], li >= step);
    workgroupBarrier();
    sums[li] += before;
    workgroupBarrier();
  }
  return sums[li];
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let block = (wid.x + wid.y * nwg.x);
  
  let rows = u.rows;
  let first = block * 1024u + li * 16u;
  var sum = vec4<u32>();
  let at0 = first + 0u;
  let exists0 = vec4<u32>(at0) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays0 = vec4<u32>((mask[min(at0, u.rows - 1u) / 4u] != vec4<u32>()) & exists0);
  sum += stays0;
let at1 = first + 4u;
  let exists1 = vec4<u32>(at1) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays1 = vec4<u32>((mask[min(at1, u.rows - 1u) / 4u] != vec4<u32>()) & exists1);
  sum += stays1;
let at2 = first + 8u;
  let exists2 = vec4<u32>(at2) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays2 = vec4<u32>((mask[min(at2, u.rows - 1u) / 4u] != vec4<u32>()) & exists2);
  sum += stays2;
let at3 = first + 12u;
  let exists3 = vec4<u32>(at3) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays3 = vec4<u32>((mask[min(at3, u.rows - 1u) / 4u] != vec4<u32>()) & exists3);
  sum += stays3;
  let kept = sum.x + sum.y + sum.z + sum.w;
  let total = inclusive_scan(kept, li);
  if (li == 63u && block * 1024u < u.rows) { counts[block] = total; }
}


// compactScan
// on gpu, cpu, plain

struct Uniforms {
  blocks: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read_write> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> count: array<u32>;

var<workgroup> sums: array<u32, 64>;
// Sum of the values of threads 0..li (Hillis and Steele, 1986); afterwards the last is the total.
fn inclusive_scan(value: u32, li: u32) -> u32 {
  workgroupBarrier();
  sums[li] = value;
  workgroupBarrier();
  for (var step = 1u; step < 64u; step <<= 1u) {
    let before = select(0u, sums[max(li, step) - step], li >= step);
    workgroupBarrier();
    sums[li] += before;
    workgroupBarrier();
  }
  return sums[li];
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  var before = 0u;
  for (var start = 0u; start < u.blocks; start += 64u) {
    let i = start + li;
    let value = select(0u, counts[min(i, u.blocks - 1u)], i < u.blocks);
    let upto = inclusive_scan(value, li);
    if (i < u.blocks) { counts[i] = before + upto - value; }
    before += sums[63];
  }
  if (li == 0u) { count[0] = before; }
}


// compactWrite(live=false)
// on gpu, cpu, plain

struct Uniforms {
  rows: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> mask: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> survivors: array<i32>;

var<workgroup> sums: array<u32, 64>;
// Sum of the values of threads 0..li (Hillis and Steele, 1986); afterwards the last is the total.
fn inclusive_scan(value: u32, li: u32) -> u32 {
  workgroupBarrier();
  sums[li] = value;
  workgroupBarrier();
  for (var step = 1u; step < 64u; step <<= 1u) {
    let before = select(0u, sums[max(li, step) - step], li >= step);
    workgroupBarrier();
    sums[li] += before;
    workgroupBarrier();
  }
  return sums[li];
}
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let block = (wid.x + wid.y * nwg.x);
  
  let rows = u.rows;
  let first = block * 1024u + li * 16u;
  var sum = vec4<u32>();
  let at0 = first + 0u;
  let exists0 = vec4<u32>(at0) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays0 = vec4<u32>((mask[min(at0, u.rows - 1u) / 4u] != vec4<u32>()) & exists0);
  sum += stays0;
let at1 = first + 4u;
  let exists1 = vec4<u32>(at1) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays1 = vec4<u32>((mask[min(at1, u.rows - 1u) / 4u] != vec4<u32>()) & exists1);
  sum += stays1;
let at2 = first + 8u;
  let exists2 = vec4<u32>(at2) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays2 = vec4<u32>((mask[min(at2, u.rows - 1u) / 4u] != vec4<u32>()) & exists2);
  sum += stays2;
let at3 = first + 12u;
  let exists3 = vec4<u32>(at3) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(rows);
  let stays3 = vec4<u32>((mask[min(at3, u.rows - 1u) / 4u] != vec4<u32>()) & exists3);
  sum += stays3;
  let kept = sum.x + sum.y + sum.z + sum.w;
  let rank = inclusive_scan(kept, li) - kept;
  if (block * 1024u >= u.rows) { return; }
  var at = counts[block] + rank;
  if (stays0[0] != 0u) { survivors[at] = i32(first + 0u); at++; }
  if (stays0[1] != 0u) { survivors[at] = i32(first + 1u); at++; }
  if (stays0[2] != 0u) { survivors[at] = i32(first + 2u); at++; }
  if (stays0[3] != 0u) { survivors[at] = i32(first + 3u); at++; }
  if (stays1[0] != 0u) { survivors[at] = i32(first + 4u); at++; }
  if (stays1[1] != 0u) { survivors[at] = i32(first + 5u); at++; }
  if (stays1[2] != 0u) { survivors[at] = i32(first + 6u); at++; }
  if (stays1[3] != 0u) { survivors[at] = i32(first + 7u); at++; }
  if (stays2[0] != 0u) { survivors[at] = i32(first + 8u); at++; }
  if (stays2[1] != 0u) { survivors[at] = i32(first + 9u); at++; }
  if (stays2[2] != 0u) { survivors[at] = i32(first + 10u); at++; }
  if (stays2[3] != 0u) { survivors[at] = i32(first + 11u); at++; }
  if (stays3[0] != 0u) { survivors[at] = i32(first + 12u); at++; }
  if (stays3[1] != 0u) { survivors[at] = i32(first + 13u); at++; }
  if (stays3[2] != 0u) { survivors[at] = i32(first + 14u); at++; }
  if (stays3[3] != 0u) { survivors[at] = i32(first + 15u); at++; }
}
