// attention(causal=false,depth=4,dtype=f32,group=64,rows=1,share=none,step=1,width=4)
// on plain

struct Uniforms {
  units: u32,
  heads: u32,
  queries: u32,
  keys: u32,
  dim: u32,
  scale: f32,
  q_offset: u32,
  q_batch: u32,
  q_head: u32,
  q_row: u32,
  k_offset: u32,
  k_batch: u32,
  k_head: u32,
  k_row: u32,
  v_offset: u32,
  v_batch: u32,
  v_head: u32,
  v_row: u32,
  o_offset: u32,
  o_batch: u32,
  o_head: u32,
  o_row: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.queries + 63u) / 64u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 64u;
  let exists = block + li < u.queries;
  let own = min(block + li, u.queries - 1u);
  let q_at = (u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (own) * u.q_row) / 4u;
  var q_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { q_row[d] = load_q(q_at, d); }
  let q_0 = q_row[0];
let q_1 = q_row[1];
let q_2 = q_row[2];
let q_3 = q_row[3];
  var acc_0 = vec4f();
var acc_1 = vec4f();
var acc_2 = vec4f();
var acc_3 = vec4f();
  var top = -3.4028234e38;
  var total = 0.0;
  let end = u.keys;
  for (var start = 0u; start < end; start += 1u) {
    
    let k0_at = (u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (min(start + 0u, u.keys - 1u)) * u.k_row) / 4u;
    let k0_0 = load_k(k0_at, 0u);
let k0_1 = load_k(k0_at, 1u);
let k0_2 = load_k(k0_at, 2u);
let k0_3 = load_k(k0_at, 3u);
let v0_at = (u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (min(start + 0u, u.keys - 1u)) * u.v_row) / 4u;
    let v0_0 = load_v(v0_at, 0u);
let v0_1 = load_v(v0_at, 1u);
let v0_2 = load_v(v0_at, 2u);
let v0_3 = load_v(v0_at, 3u);
    let s0 = select(-3.4028234e38, (dot(q_0, k0_0) + dot(q_1, k0_1) + dot(q_2, k0_2) + dot(q_3, k0_3)) * u.scale, (start + 0u < u.keys));
    var higher = top;
    higher = max(higher, s0);
    let fade = exp(top - higher);
    top = higher;
    let p0 = select(0.0, exp(s0 - top), (start + 0u < u.keys));
    total = total * fade + p0;
    acc_0 = acc_0 * fade + p0 * v0_0;
acc_1 = acc_1 * fade + p0 * v0_1;
acc_2 = acc_2 * fade + p0 * v0_2;
acc_3 = acc_3 * fade + p0 * v0_3;
  }
  if (exists) {
    let o_at = (u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (own) * u.o_row) / 4u;
    let scale = 1.0 / total;
    var o_at_row: array<vec4f, 4>;
    o_at_row[0] = acc_0 * scale;
o_at_row[1] = acc_1 * scale;
o_at_row[2] = acc_2 * scale;
o_at_row[3] = acc_3 * scale;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { o[o_at + d] = o_at_row[d]; }
    lse[unit * u.queries + own] = top + log(total);
  }
}


// attention(causal=false,depth=4,dtype=f32,group=64,rows=32,share=workgroup,step=4,width=4)
// on gpu

struct Uniforms {
  units: u32,
  heads: u32,
  queries: u32,
  keys: u32,
  dim: u32,
  scale: f32,
  q_offset: u32,
  q_batch: u32,
  q_head: u32,
  q_row: u32,
  k_offset: u32,
  k_batch: u32,
  k_head: u32,
  k_row: u32,
  v_offset: u32,
  v_batch: u32,
  v_head: u32,
  v_row: u32,
  o_offset: u32,
  o_batch: u32,
  o_head: u32,
  o_row: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }
var<workgroup> k_tile: array<vec4f, 128>;
var<workgroup> v_tile: array<vec4f, 128>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.queries + 63u) / 64u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 64u;
  let exists = block + li < u.queries;
  let own = min(block + li, u.queries - 1u);
  let q_at = (u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (own) * u.q_row) / 4u;
  let q_0 = load_q(q_at, 0u);
let q_1 = load_q(q_at, 1u);
let q_2 = load_q(q_at, 2u);
let q_3 = load_q(q_at, 3u);
  var acc_0 = vec4f();
var acc_1 = vec4f();
var acc_2 = vec4f();
var acc_3 = vec4f();
  var top = -3.4028234e38;
  var total = 0.0;
  let end = u.keys;
  for (var start = 0u; start < end; start += 32u) {
    workgroupBarrier();
    for (var i = li; i < 128u; i += 64u) { k_tile[i] = load_k((u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (min(start + i / 4u, u.keys - 1u)) * u.k_row) / 4u, i % 4u); v_tile[i] = load_v((u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (min(start + i / 4u, u.keys - 1u)) * u.v_row) / 4u, i % 4u); }
    
    workgroupBarrier();
    for (var t = 0u; t < 32u && start + t < end; t += 4u) {
      
    let k0_0 = k_tile[(t + 0u) * 4u + 0u];
let k0_1 = k_tile[(t + 0u) * 4u + 1u];
let k0_2 = k_tile[(t + 0u) * 4u + 2u];
let k0_3 = k_tile[(t + 0u) * 4u + 3u];
let v0_0 = v_tile[(t + 0u) * 4u + 0u];
let v0_1 = v_tile[(t + 0u) * 4u + 1u];
let v0_2 = v_tile[(t + 0u) * 4u + 2u];
let v0_3 = v_tile[(t + 0u) * 4u + 3u];
    let s0 = select(-3.4028234e38, (dot(q_0, k0_0) + dot(q_1, k0_1) + dot(q_2, k0_2) + dot(q_3, k0_3)) * u.scale, ((start + t) + 0u < u.keys));
let k1_0 = k_tile[(t + 1u) * 4u + 0u];
let k1_1 = k_tile[(t + 1u) * 4u + 1u];
let k1_2 = k_tile[(t + 1u) * 4u + 2u];
let k1_3 = k_tile[(t + 1u) * 4u + 3u];
let v1_0 = v_tile[(t + 1u) * 4u + 0u];
let v1_1 = v_tile[(t + 1u) * 4u + 1u];
let v1_2 = v_tile[(t + 1u) * 4u + 2u];
let v1_3 = v_tile[(t + 1u) * 4u + 3u];
    let s1 = select(-3.4028234e38, (dot(q_0, k1_0) + dot(q_1, k1_1) + dot(q_2, k1_2) + dot(q_3, k1_3)) * u.scale, ((start + t) + 1u < u.keys));
let k2_0 = k_tile[(t + 2u) * 4u + 0u];
let k2_1 = k_tile[(t + 2u) * 4u + 1u];
let k2_2 = k_tile[(t + 2u) * 4u + 2u];
let k2_3 = k_tile[(t + 2u) * 4u + 3u];
let v2_0 = v_tile[(t + 2u) * 4u + 0u];
let v2_1 = v_tile[(t + 2u) * 4u + 1u];
let v2_2 = v_tile[(t + 2u) * 4u + 2u];
let v2_3 = v_tile[(t + 2u) * 4u + 3u];
    let s2 = select(-3.4028234e38, (dot(q_0, k2_0) + dot(q_1, k2_1) + dot(q_2, k2_2) + dot(q_3, k2_3)) * u.scale, ((start + t) + 2u < u.keys));
let k3_0 = k_tile[(t + 3u) * 4u + 0u];
let k3_1 = k_tile[(t + 3u) * 4u + 1u];
let k3_2 = k_tile[(t + 3u) * 4u + 2u];
let k3_3 = k_tile[(t + 3u) * 4u + 3u];
let v3_0 = v_tile[(t + 3u) * 4u + 0u];
let v3_1 = v_tile[(t + 3u) * 4u + 1u];
let v3_2 = v_tile[(t + 3u) * 4u + 2u];
let v3_3 = v_tile[(t + 3u) * 4u + 3u];
    let s3 = select(-3.4028234e38, (dot(q_0, k3_0) + dot(q_1, k3_1) + dot(q_2, k3_2) + dot(q_3, k3_3)) * u.scale, ((start + t) + 3u < u.keys));
    var higher = top;
    higher = max(higher, s0);
higher = max(higher, s1);
higher = max(higher, s2);
higher = max(higher, s3);
    let fade = exp(top - higher);
    top = higher;
    let p0 = select(0.0, exp(s0 - top), ((start + t) + 0u < u.keys));
let p1 = select(0.0, exp(s1 - top), ((start + t) + 1u < u.keys));
let p2 = select(0.0, exp(s2 - top), ((start + t) + 2u < u.keys));
let p3 = select(0.0, exp(s3 - top), ((start + t) + 3u < u.keys));
    total = total * fade + p0 + p1 + p2 + p3;
    acc_0 = acc_0 * fade + p0 * v0_0 + p1 * v1_0 + p2 * v2_0 + p3 * v3_0;
acc_1 = acc_1 * fade + p0 * v0_1 + p1 * v1_1 + p2 * v2_1 + p3 * v3_1;
acc_2 = acc_2 * fade + p0 * v0_2 + p1 * v1_2 + p2 * v2_2 + p3 * v3_2;
acc_3 = acc_3 * fade + p0 * v0_3 + p1 * v1_3 + p2 * v2_3 + p3 * v3_3;
    }
  }
  if (exists) {
    let o_at = (u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (own) * u.o_row) / 4u;
    let scale = 1.0 / total;
    { o[o_at + 0u] = acc_0 * scale; }
{ o[o_at + 1u] = acc_1 * scale; }
{ o[o_at + 2u] = acc_2 * scale; }
{ o[o_at + 3u] = acc_3 * scale; }
    lse[unit * u.queries + own] = top + log(total);
  }
}


// attention(causal=false,depth=4,dtype=f32,group=8,rows=4,share=subgroup,step=4,width=4)
// on cpu

enable subgroups;
struct Uniforms {
  units: u32,
  heads: u32,
  queries: u32,
  keys: u32,
  dim: u32,
  scale: f32,
  q_offset: u32,
  q_batch: u32,
  q_head: u32,
  q_row: u32,
  k_offset: u32,
  k_batch: u32,
  k_head: u32,
  k_row: u32,
  v_offset: u32,
  v_batch: u32,
  v_head: u32,
  v_row: u32,
  o_offset: u32,
  o_batch: u32,
  o_head: u32,
  o_row: u32,
}
@group(0) @binding(0) var<uniform> u: Uniforms;
@group(0) @binding(1) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> lse: array<f32>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }

@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.queries + 7u) / 8u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 8u;
  let exists = block + li < u.queries;
  let own = min(block + li, u.queries - 1u);
  let q_at = (u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (own) * u.q_row) / 4u;
  var q_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { q_row[d] = load_q(q_at, d); }
  let q_0 = q_row[0];
let q_1 = q_row[1];
let q_2 = q_row[2];
let q_3 = q_row[3];
  var acc_0 = vec4f();
var acc_1 = vec4f();
var acc_2 = vec4f();
var acc_3 = vec4f();
  var top = -3.4028234e38;
  var total = 0.0;
  let end = u.keys;
  for (var start = 0u; start < end; start += 4u) {
    let k_r0 = load_k((u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (min(start + (0u + li) / 4u, u.keys - 1u)) * u.k_row) / 4u, (0u + li) % 4u);
let k_r1 = load_k((u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (min(start + (8u + li) / 4u, u.keys - 1u)) * u.k_row) / 4u, (8u + li) % 4u);
let v_r0 = load_v((u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (min(start + (0u + li) / 4u, u.keys - 1u)) * u.v_row) / 4u, (0u + li) % 4u);
let v_r1 = load_v((u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (min(start + (8u + li) / 4u, u.keys - 1u)) * u.v_row) / 4u, (8u + li) % 4u);
    
    
    let k0_0 = subgroupBroadcast(k_r0, 0u);
let k0_1 = subgroupBroadcast(k_r0, 1u);
let k0_2 = subgroupBroadcast(k_r0, 2u);
let k0_3 = subgroupBroadcast(k_r0, 3u);
let v0_0 = subgroupBroadcast(v_r0, 0u);
let v0_1 = subgroupBroadcast(v_r0, 1u);
let v0_2 = subgroupBroadcast(v_r0, 2u);
let v0_3 = subgroupBroadcast(v_r0, 3u);
    let s0 = select(-3.4028234e38, (dot(q_0, k0_0) + dot(q_1, k0_1) + dot(q_2, k0_2) + dot(q_3, k0_3)) * u.scale, (start + 0u < u.keys));
let k1_0 = subgroupBroadcast(k_r0, 4u);
let k1_1 = subgroupBroadcast(k_r0, 5u);
let k1_2 = subgroupBroadcast(k_r0, 6u);
let k1_3 = subgroupBroadcast(k_r0, 7u);
let v1_0 = subgroupBroadcast(v_r0, 4u);
let v1_1 = subgroupBroadcast(v_r0, 5u);
let v1_2 = subgroupBroadcast(v_r0, 6u);
let v1_3 = subgroupBroadcast(v_r0, 7u);
    let s1 = select(-3.4028234e38, (dot(q_0, k1_0) + dot(q_1, k1_1) + dot(q_2, k1_2) + dot(q_3, k1_3)) * u.scale, (start + 1u < u.keys));
let k2_0 = subgroupBroadcast(k_r1, 0u);
let k2_1 = subgroupBroadcast(k_r1, 1u);
let k2_2 = subgroupBroadcast(k_r1, 2u);
let k2_3 = subgroupBroadcast(k_r1, 3u);
let v2_0 = subgroupBroadcast(v_r1, 0u);
let v2_1 = subgroupBroadcast(v_r1, 1u);
let v2_2 = subgroupBroadcast(v_r1, 2u);
let v2_3 = subgroupBroadcast(v_r1, 3u);
    let s2 = select(-3.4028234e38, (dot(q_0, k2_0) + dot(q_1, k2_1) + dot(q_2, k2_2) + dot(q_3, k2_3)) * u.scale, (start + 2u < u.keys));
let k3_0 = subgroupBroadcast(k_r1, 4u);
let k3_1 = subgroupBroadcast(k_r1, 5u);
let k3_2 = subgroupBroadcast(k_r1, 6u);
let k3_3 = subgroupBroadcast(k_r1, 7u);
let v3_0 = subgroupBroadcast(v_r1, 4u);
let v3_1 = subgroupBroadcast(v_r1, 5u);
let v3_2 = subgroupBroadcast(v_r1, 6u);
let v3_3 = subgroupBroadcast(v_r1, 7u);
    let s3 = select(-3.4028234e38, (dot(q_0, k3_0) + dot(q_1, k3_1) + dot(q_2, k3_2) + dot(q_3, k3_3)) * u.scale, (start + 3u < u.keys));
    var higher = top;
    higher = max(higher, s0);
higher = max(higher, s1);
higher = max(higher, s2);
higher = max(higher, s3);
    let fade = exp(top - higher);
    top = higher;
    let p0 = select(0.0, exp(s0 - top), (start + 0u < u.keys));
let p1 = select(0.0, exp(s1 - top), (start + 1u < u.keys));
let p2 = select(0.0, exp(s2 - top), (start + 2u < u.keys));
let p3 = select(0.0, exp(s3 - top), (start + 3u < u.keys));
    total = total * fade + p0 + p1 + p2 + p3;
    acc_0 = acc_0 * fade + p0 * v0_0 + p1 * v1_0 + p2 * v2_0 + p3 * v3_0;
acc_1 = acc_1 * fade + p0 * v0_1 + p1 * v1_1 + p2 * v2_1 + p3 * v3_1;
acc_2 = acc_2 * fade + p0 * v0_2 + p1 * v1_2 + p2 * v2_2 + p3 * v3_2;
acc_3 = acc_3 * fade + p0 * v0_3 + p1 * v1_3 + p2 * v2_3 + p3 * v3_3;
  }
  if (exists) {
    let o_at = (u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (own) * u.o_row) / 4u;
    let scale = 1.0 / total;
    var o_at_row: array<vec4f, 4>;
    o_at_row[0] = acc_0 * scale;
o_at_row[1] = acc_1 * scale;
o_at_row[2] = acc_2 * scale;
o_at_row[3] = acc_3 * scale;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { o[o_at + d] = o_at_row[d]; }
    lse[unit * u.queries + own] = top + log(total);
  }
}
