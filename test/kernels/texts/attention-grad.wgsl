// attentionBackwardKey(causal=false,depth=4,dtype=f32,group=64,packed=false,rows=1,share=none,step=1,width=4)
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
@group(0) @binding(4) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }
fn load_g(at: u32, d: u32) -> vec4f { return vec4f(g[at + d]); }

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.keys + 63u) / 64u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 64u;
  let exists = block + li < u.keys;
  let own = min(block + li, u.keys - 1u);
  let k_at = (u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (own) * u.k_row) / 4u;
  let v_at = (u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (own) * u.v_row) / 4u;
  var k_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { k_row[d] = load_k(k_at, d); }
  let k_0 = k_row[0];
let k_1 = k_row[1];
let k_2 = k_row[2];
let k_3 = k_row[3];
  var v_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { v_row[d] = load_v(v_at, d); }
  let v_0 = v_row[0];
let v_1 = v_row[1];
let v_2 = v_row[2];
let v_3 = v_row[3];
  var dk_0 = vec4f(); var dv_0 = vec4f();
var dk_1 = vec4f(); var dv_1 = vec4f();
var dk_2 = vec4f(); var dv_2 = vec4f();
var dk_3 = vec4f(); var dv_3 = vec4f();
  for (var start = 0u; start < u.queries; start += 1u) {
    {
      let q0_at = (u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (min(start + 0u, u.queries - 1u)) * u.q_row) / 4u;
    let q0_0 = load_q(q0_at, 0u);
let q0_1 = load_q(q0_at, 1u);
let q0_2 = load_q(q0_at, 2u);
let q0_3 = load_q(q0_at, 3u);
let g0_at = (u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (min(start + 0u, u.queries - 1u)) * u.o_row) / 4u;
    let g0_0 = load_g(g0_at, 0u);
let g0_1 = load_g(g0_at, 1u);
let g0_2 = load_g(g0_at, 2u);
let g0_3 = load_g(g0_at, 3u);
let lse0 = lse[unit * u.queries + min(start + 0u, u.queries - 1u)];
let delta0 = delta[unit * u.queries + min(start + 0u, u.queries - 1u)];
      let p = select(0.0, exp((dot(k_0, q0_0) + dot(k_1, q0_1) + dot(k_2, q0_2) + dot(k_3, q0_3)) * u.scale - lse0), start + 0u < u.queries);
      let ds = p * ((dot(v_0, g0_0) + dot(v_1, g0_1) + dot(v_2, g0_2) + dot(v_3, g0_3)) - delta0) * u.scale;
      dk_0 += ds * q0_0; dv_0 += p * g0_0;
dk_1 += ds * q0_1; dv_1 += p * g0_1;
dk_2 += ds * q0_2; dv_2 += p * g0_2;
dk_3 += ds * q0_3; dv_3 += p * g0_3;
    }
  }
  if (exists) {
    var k_at_row: array<vec4f, 4>;
    k_at_row[0] = dk_0;
k_at_row[1] = dk_1;
k_at_row[2] = dk_2;
k_at_row[3] = dk_3;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { dk[k_at + d] = k_at_row[d]; }
    var v_at_row: array<vec4f, 4>;
    v_at_row[0] = dv_0;
v_at_row[1] = dv_1;
v_at_row[2] = dv_2;
v_at_row[3] = dv_3;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { dv[v_at + d] = v_at_row[d]; }
  }
}


// attentionBackwardKey(causal=false,depth=4,dtype=f32,group=64,packed=false,rows=32,share=workgroup,step=4,width=4)
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
@group(0) @binding(4) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }
fn load_g(at: u32, d: u32) -> vec4f { return vec4f(g[at + d]); }
var<workgroup> q_tile: array<vec4f, 128>;
var<workgroup> g_tile: array<vec4f, 128>;
var<workgroup> lse_tile: array<f32, 32>;
var<workgroup> delta_tile: array<f32, 32>;
@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.keys + 63u) / 64u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 64u;
  let exists = block + li < u.keys;
  let own = min(block + li, u.keys - 1u);
  let k_at = (u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (own) * u.k_row) / 4u;
  let v_at = (u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (own) * u.v_row) / 4u;
  let k_0 = load_k(k_at, 0u);
let k_1 = load_k(k_at, 1u);
let k_2 = load_k(k_at, 2u);
let k_3 = load_k(k_at, 3u);
  let v_0 = load_v(v_at, 0u);
let v_1 = load_v(v_at, 1u);
let v_2 = load_v(v_at, 2u);
let v_3 = load_v(v_at, 3u);
  var dk_0 = vec4f(); var dv_0 = vec4f();
var dk_1 = vec4f(); var dv_1 = vec4f();
var dk_2 = vec4f(); var dv_2 = vec4f();
var dk_3 = vec4f(); var dv_3 = vec4f();
  for (var start = 0u; start < u.queries; start += 32u) {
    workgroupBarrier();
    for (var i = li; i < 128u; i += 64u) { q_tile[i] = load_q((u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (min(start + i / 4u, u.queries - 1u)) * u.q_row) / 4u, i % 4u); g_tile[i] = load_g((u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (min(start + i / 4u, u.queries - 1u)) * u.o_row) / 4u, i % 4u); }
    for (var i = li; i < 32u; i += 64u) { lse_tile[i] = lse[unit * u.queries + min(start + i, u.queries - 1u)]; delta_tile[i] = delta[unit * u.queries + min(start + i, u.queries - 1u)]; }
    workgroupBarrier();
    for (var t = 0u; t < 32u && start + t < u.queries; t += 4u) {
      {
      let q0_0 = q_tile[(t + 0u) * 4u + 0u];
let q0_1 = q_tile[(t + 0u) * 4u + 1u];
let q0_2 = q_tile[(t + 0u) * 4u + 2u];
let q0_3 = q_tile[(t + 0u) * 4u + 3u];
let g0_0 = g_tile[(t + 0u) * 4u + 0u];
let g0_1 = g_tile[(t + 0u) * 4u + 1u];
let g0_2 = g_tile[(t + 0u) * 4u + 2u];
let g0_3 = g_tile[(t + 0u) * 4u + 3u];
let lse0 = lse_tile[(t + 0u)];
let delta0 = delta_tile[(t + 0u)];
      let p = select(0.0, exp((dot(k_0, q0_0) + dot(k_1, q0_1) + dot(k_2, q0_2) + dot(k_3, q0_3)) * u.scale - lse0), (start + t) + 0u < u.queries);
      let ds = p * ((dot(v_0, g0_0) + dot(v_1, g0_1) + dot(v_2, g0_2) + dot(v_3, g0_3)) - delta0) * u.scale;
      dk_0 += ds * q0_0; dv_0 += p * g0_0;
dk_1 += ds * q0_1; dv_1 += p * g0_1;
dk_2 += ds * q0_2; dv_2 += p * g0_2;
dk_3 += ds * q0_3; dv_3 += p * g0_3;
    }
{
      let q1_0 = q_tile[(t + 1u) * 4u + 0u];
let q1_1 = q_tile[(t + 1u) * 4u + 1u];
let q1_2 = q_tile[(t + 1u) * 4u + 2u];
let q1_3 = q_tile[(t + 1u) * 4u + 3u];
let g1_0 = g_tile[(t + 1u) * 4u + 0u];
let g1_1 = g_tile[(t + 1u) * 4u + 1u];
let g1_2 = g_tile[(t + 1u) * 4u + 2u];
let g1_3 = g_tile[(t + 1u) * 4u + 3u];
let lse1 = lse_tile[(t + 1u)];
let delta1 = delta_tile[(t + 1u)];
      let p = select(0.0, exp((dot(k_0, q1_0) + dot(k_1, q1_1) + dot(k_2, q1_2) + dot(k_3, q1_3)) * u.scale - lse1), (start + t) + 1u < u.queries);
      let ds = p * ((dot(v_0, g1_0) + dot(v_1, g1_1) + dot(v_2, g1_2) + dot(v_3, g1_3)) - delta1) * u.scale;
      dk_0 += ds * q1_0; dv_0 += p * g1_0;
dk_1 += ds * q1_1; dv_1 += p * g1_1;
dk_2 += ds * q1_2; dv_2 += p * g1_2;
dk_3 += ds * q1_3; dv_3 += p * g1_3;
    }
{
      let q2_0 = q_tile[(t + 2u) * 4u + 0u];
let q2_1 = q_tile[(t + 2u) * 4u + 1u];
let q2_2 = q_tile[(t + 2u) * 4u + 2u];
let q2_3 = q_tile[(t + 2u) * 4u + 3u];
let g2_0 = g_tile[(t + 2u) * 4u + 0u];
let g2_1 = g_tile[(t + 2u) * 4u + 1u];
let g2_2 = g_tile[(t + 2u) * 4u + 2u];
let g2_3 = g_tile[(t + 2u) * 4u + 3u];
let lse2 = lse_tile[(t + 2u)];
let delta2 = delta_tile[(t + 2u)];
      let p = select(0.0, exp((dot(k_0, q2_0) + dot(k_1, q2_1) + dot(k_2, q2_2) + dot(k_3, q2_3)) * u.scale - lse2), (start + t) + 2u < u.queries);
      let ds = p * ((dot(v_0, g2_0) + dot(v_1, g2_1) + dot(v_2, g2_2) + dot(v_3, g2_3)) - delta2) * u.scale;
      dk_0 += ds * q2_0; dv_0 += p * g2_0;
dk_1 += ds * q2_1; dv_1 += p * g2_1;
dk_2 += ds * q2_2; dv_2 += p * g2_2;
dk_3 += ds * q2_3; dv_3 += p * g2_3;
    }
{
      let q3_0 = q_tile[(t + 3u) * 4u + 0u];
let q3_1 = q_tile[(t + 3u) * 4u + 1u];
let q3_2 = q_tile[(t + 3u) * 4u + 2u];
let q3_3 = q_tile[(t + 3u) * 4u + 3u];
let g3_0 = g_tile[(t + 3u) * 4u + 0u];
let g3_1 = g_tile[(t + 3u) * 4u + 1u];
let g3_2 = g_tile[(t + 3u) * 4u + 2u];
let g3_3 = g_tile[(t + 3u) * 4u + 3u];
let lse3 = lse_tile[(t + 3u)];
let delta3 = delta_tile[(t + 3u)];
      let p = select(0.0, exp((dot(k_0, q3_0) + dot(k_1, q3_1) + dot(k_2, q3_2) + dot(k_3, q3_3)) * u.scale - lse3), (start + t) + 3u < u.queries);
      let ds = p * ((dot(v_0, g3_0) + dot(v_1, g3_1) + dot(v_2, g3_2) + dot(v_3, g3_3)) - delta3) * u.scale;
      dk_0 += ds * q3_0; dv_0 += p * g3_0;
dk_1 += ds * q3_1; dv_1 += p * g3_1;
dk_2 += ds * q3_2; dv_2 += p * g3_2;
dk_3 += ds * q3_3; dv_3 += p * g3_3;
    }
    }
  }
  if (exists) {
    { dk[k_at + 0u] = dk_0; }
{ dk[k_at + 1u] = dk_1; }
{ dk[k_at + 2u] = dk_2; }
{ dk[k_at + 3u] = dk_3; }
    { dv[v_at + 0u] = dv_0; }
{ dv[v_at + 1u] = dv_1; }
{ dv[v_at + 2u] = dv_2; }
{ dv[v_at + 3u] = dv_3; }
  }
}


// attentionBackwardKey(causal=false,depth=4,dtype=f32,group=8,packed=false,rows=2,share=subgroup,step=2,width=4)
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
@group(0) @binding(4) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> lse: array<f32>;
@group(0) @binding(6) var<storage, read> delta: array<f32>;
@group(0) @binding(7) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> dv: array<vec4<f32>>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }
fn load_g(at: u32, d: u32) -> vec4f { return vec4f(g[at + d]); }

@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.keys + 7u) / 8u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 8u;
  let exists = block + li < u.keys;
  let own = min(block + li, u.keys - 1u);
  let k_at = (u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (own) * u.k_row) / 4u;
  let v_at = (u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (own) * u.v_row) / 4u;
  var k_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { k_row[d] = load_k(k_at, d); }
  let k_0 = k_row[0];
let k_1 = k_row[1];
let k_2 = k_row[2];
let k_3 = k_row[3];
  var v_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { v_row[d] = load_v(v_at, d); }
  let v_0 = v_row[0];
let v_1 = v_row[1];
let v_2 = v_row[2];
let v_3 = v_row[3];
  var dk_0 = vec4f(); var dv_0 = vec4f();
var dk_1 = vec4f(); var dv_1 = vec4f();
var dk_2 = vec4f(); var dv_2 = vec4f();
var dk_3 = vec4f(); var dv_3 = vec4f();
  for (var start = 0u; start < u.queries; start += 2u) {
    let q_r0 = load_q((u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (min(start + (0u + li) / 4u, u.queries - 1u)) * u.q_row) / 4u, (0u + li) % 4u);
let g_r0 = load_g((u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (min(start + (0u + li) / 4u, u.queries - 1u)) * u.o_row) / 4u, (0u + li) % 4u);
    let lse_r = lse[unit * u.queries + min(start + li, u.queries - 1u)]; let delta_r = delta[unit * u.queries + min(start + li, u.queries - 1u)];
    {
      let q0_0 = subgroupBroadcast(q_r0, 0u);
let q0_1 = subgroupBroadcast(q_r0, 1u);
let q0_2 = subgroupBroadcast(q_r0, 2u);
let q0_3 = subgroupBroadcast(q_r0, 3u);
let g0_0 = subgroupBroadcast(g_r0, 0u);
let g0_1 = subgroupBroadcast(g_r0, 1u);
let g0_2 = subgroupBroadcast(g_r0, 2u);
let g0_3 = subgroupBroadcast(g_r0, 3u);
let lse0 = subgroupBroadcast(lse_r, 0u);
let delta0 = subgroupBroadcast(delta_r, 0u);
      let p = select(0.0, exp((dot(k_0, q0_0) + dot(k_1, q0_1) + dot(k_2, q0_2) + dot(k_3, q0_3)) * u.scale - lse0), start + 0u < u.queries);
      let ds = p * ((dot(v_0, g0_0) + dot(v_1, g0_1) + dot(v_2, g0_2) + dot(v_3, g0_3)) - delta0) * u.scale;
      dk_0 += ds * q0_0; dv_0 += p * g0_0;
dk_1 += ds * q0_1; dv_1 += p * g0_1;
dk_2 += ds * q0_2; dv_2 += p * g0_2;
dk_3 += ds * q0_3; dv_3 += p * g0_3;
    }
{
      let q1_0 = subgroupBroadcast(q_r0, 4u);
let q1_1 = subgroupBroadcast(q_r0, 5u);
let q1_2 = subgroupBroadcast(q_r0, 6u);
let q1_3 = subgroupBroadcast(q_r0, 7u);
let g1_0 = subgroupBroadcast(g_r0, 4u);
let g1_1 = subgroupBroadcast(g_r0, 5u);
let g1_2 = subgroupBroadcast(g_r0, 6u);
let g1_3 = subgroupBroadcast(g_r0, 7u);
let lse1 = subgroupBroadcast(lse_r, 1u);
let delta1 = subgroupBroadcast(delta_r, 1u);
      let p = select(0.0, exp((dot(k_0, q1_0) + dot(k_1, q1_1) + dot(k_2, q1_2) + dot(k_3, q1_3)) * u.scale - lse1), start + 1u < u.queries);
      let ds = p * ((dot(v_0, g1_0) + dot(v_1, g1_1) + dot(v_2, g1_2) + dot(v_3, g1_3)) - delta1) * u.scale;
      dk_0 += ds * q1_0; dv_0 += p * g1_0;
dk_1 += ds * q1_1; dv_1 += p * g1_1;
dk_2 += ds * q1_2; dv_2 += p * g1_2;
dk_3 += ds * q1_3; dv_3 += p * g1_3;
    }
  }
  if (exists) {
    var k_at_row: array<vec4f, 4>;
    k_at_row[0] = dk_0;
k_at_row[1] = dk_1;
k_at_row[2] = dk_2;
k_at_row[3] = dk_3;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { dk[k_at + d] = k_at_row[d]; }
    var v_at_row: array<vec4f, 4>;
    v_at_row[0] = dv_0;
v_at_row[1] = dv_1;
v_at_row[2] = dv_2;
v_at_row[3] = dv_3;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { dv[v_at + d] = v_at_row[d]; }
  }
}


// attentionBackwardQuery(causal=false,depth=4,dtype=f32,group=64,rows=1,share=none,step=1,width=4)
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
@group(0) @binding(4) var<storage, read> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> lse: array<f32>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> delta: array<f32>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }
fn load_o(at: u32, d: u32) -> vec4f { return vec4f(o[at + d]); }
fn load_g(at: u32, d: u32) -> vec4f { return vec4f(g[at + d]); }

@compute @workgroup_size(64) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.queries + 63u) / 64u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 64u;
  let exists = block + li < u.queries;
  let own = min(block + li, u.queries - 1u);
  let q_at = (u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (own) * u.q_row) / 4u;
  let o_at = (u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (own) * u.o_row) / 4u;
  var own_delta = 0.0;
  var q_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { q_row[d] = load_q(q_at, d); }
  let q_0 = q_row[0];
let q_1 = q_row[1];
let q_2 = q_row[2];
let q_3 = q_row[3];
  var g_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { g_row[d] = load_g(o_at, d); }
  let g_0 = g_row[0];
let g_1 = g_row[1];
let g_2 = g_row[2];
let g_3 = g_row[3];
  var out_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { out_row[d] = load_o(o_at, d); }
  let out_0 = out_row[0];
let out_1 = out_row[1];
let out_2 = out_row[2];
let out_3 = out_row[3];
  own_delta += dot(g_0, out_0); var dq_0 = vec4f();
own_delta += dot(g_1, out_1); var dq_1 = vec4f();
own_delta += dot(g_2, out_2); var dq_2 = vec4f();
own_delta += dot(g_3, out_3); var dq_3 = vec4f();
  let own_lse = lse[unit * u.queries + own];
  let end = u.keys;
  for (var start = 0u; start < end; start += 1u) {
    {
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
      let p = select(0.0, exp((dot(q_0, k0_0) + dot(q_1, k0_1) + dot(q_2, k0_2) + dot(q_3, k0_3)) * u.scale - own_lse), start + 0u < u.keys);
      let ds = p * ((dot(g_0, v0_0) + dot(g_1, v0_1) + dot(g_2, v0_2) + dot(g_3, v0_3)) - own_delta) * u.scale;
      dq_0 += ds * k0_0;
dq_1 += ds * k0_1;
dq_2 += ds * k0_2;
dq_3 += ds * k0_3;
    }
  }
  if (exists) {
    var q_at_row: array<vec4f, 4>;
    q_at_row[0] = dq_0;
q_at_row[1] = dq_1;
q_at_row[2] = dq_2;
q_at_row[3] = dq_3;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { dq[q_at + d] = q_at_row[d]; }
    delta[unit * u.queries + own] = own_delta;
  }
}


// attentionBackwardQuery(causal=false,depth=4,dtype=f32,group=64,rows=32,share=workgroup,step=4,width=4)
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
@group(0) @binding(4) var<storage, read> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> lse: array<f32>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> delta: array<f32>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }
fn load_o(at: u32, d: u32) -> vec4f { return vec4f(o[at + d]); }
fn load_g(at: u32, d: u32) -> vec4f { return vec4f(g[at + d]); }
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
  let o_at = (u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (own) * u.o_row) / 4u;
  var own_delta = 0.0;
  let q_0 = load_q(q_at, 0u);
let q_1 = load_q(q_at, 1u);
let q_2 = load_q(q_at, 2u);
let q_3 = load_q(q_at, 3u);
  let g_0 = load_g(o_at, 0u);
let g_1 = load_g(o_at, 1u);
let g_2 = load_g(o_at, 2u);
let g_3 = load_g(o_at, 3u);
  let out_0 = load_o(o_at, 0u);
let out_1 = load_o(o_at, 1u);
let out_2 = load_o(o_at, 2u);
let out_3 = load_o(o_at, 3u);
  own_delta += dot(g_0, out_0); var dq_0 = vec4f();
own_delta += dot(g_1, out_1); var dq_1 = vec4f();
own_delta += dot(g_2, out_2); var dq_2 = vec4f();
own_delta += dot(g_3, out_3); var dq_3 = vec4f();
  let own_lse = lse[unit * u.queries + own];
  let end = u.keys;
  for (var start = 0u; start < end; start += 32u) {
    workgroupBarrier();
    for (var i = li; i < 128u; i += 64u) { k_tile[i] = load_k((u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (min(start + i / 4u, u.keys - 1u)) * u.k_row) / 4u, i % 4u); v_tile[i] = load_v((u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (min(start + i / 4u, u.keys - 1u)) * u.v_row) / 4u, i % 4u); }
    
    workgroupBarrier();
    for (var t = 0u; t < 32u && start + t < end; t += 4u) {
      {
      let k0_0 = k_tile[(t + 0u) * 4u + 0u];
let k0_1 = k_tile[(t + 0u) * 4u + 1u];
let k0_2 = k_tile[(t + 0u) * 4u + 2u];
let k0_3 = k_tile[(t + 0u) * 4u + 3u];
let v0_0 = v_tile[(t + 0u) * 4u + 0u];
let v0_1 = v_tile[(t + 0u) * 4u + 1u];
let v0_2 = v_tile[(t + 0u) * 4u + 2u];
let v0_3 = v_tile[(t + 0u) * 4u + 3u];
      let p = select(0.0, exp((dot(q_0, k0_0) + dot(q_1, k0_1) + dot(q_2, k0_2) + dot(q_3, k0_3)) * u.scale - own_lse), (start + t) + 0u < u.keys);
      let ds = p * ((dot(g_0, v0_0) + dot(g_1, v0_1) + dot(g_2, v0_2) + dot(g_3, v0_3)) - own_delta) * u.scale;
      dq_0 += ds * k0_0;
dq_1 += ds * k0_1;
dq_2 += ds * k0_2;
dq_3 += ds * k0_3;
    }
{
      let k1_0 = k_tile[(t + 1u) * 4u + 0u];
let k1_1 = k_tile[(t + 1u) * 4u + 1u];
let k1_2 = k_tile[(t + 1u) * 4u + 2u];
let k1_3 = k_tile[(t + 1u) * 4u + 3u];
let v1_0 = v_tile[(t + 1u) * 4u + 0u];
let v1_1 = v_tile[(t + 1u) * 4u + 1u];
let v1_2 = v_tile[(t + 1u) * 4u + 2u];
let v1_3 = v_tile[(t + 1u) * 4u + 3u];
      let p = select(0.0, exp((dot(q_0, k1_0) + dot(q_1, k1_1) + dot(q_2, k1_2) + dot(q_3, k1_3)) * u.scale - own_lse), (start + t) + 1u < u.keys);
      let ds = p * ((dot(g_0, v1_0) + dot(g_1, v1_1) + dot(g_2, v1_2) + dot(g_3, v1_3)) - own_delta) * u.scale;
      dq_0 += ds * k1_0;
dq_1 += ds * k1_1;
dq_2 += ds * k1_2;
dq_3 += ds * k1_3;
    }
{
      let k2_0 = k_tile[(t + 2u) * 4u + 0u];
let k2_1 = k_tile[(t + 2u) * 4u + 1u];
let k2_2 = k_tile[(t + 2u) * 4u + 2u];
let k2_3 = k_tile[(t + 2u) * 4u + 3u];
let v2_0 = v_tile[(t + 2u) * 4u + 0u];
let v2_1 = v_tile[(t + 2u) * 4u + 1u];
let v2_2 = v_tile[(t + 2u) * 4u + 2u];
let v2_3 = v_tile[(t + 2u) * 4u + 3u];
      let p = select(0.0, exp((dot(q_0, k2_0) + dot(q_1, k2_1) + dot(q_2, k2_2) + dot(q_3, k2_3)) * u.scale - own_lse), (start + t) + 2u < u.keys);
      let ds = p * ((dot(g_0, v2_0) + dot(g_1, v2_1) + dot(g_2, v2_2) + dot(g_3, v2_3)) - own_delta) * u.scale;
      dq_0 += ds * k2_0;
dq_1 += ds * k2_1;
dq_2 += ds * k2_2;
dq_3 += ds * k2_3;
    }
{
      let k3_0 = k_tile[(t + 3u) * 4u + 0u];
let k3_1 = k_tile[(t + 3u) * 4u + 1u];
let k3_2 = k_tile[(t + 3u) * 4u + 2u];
let k3_3 = k_tile[(t + 3u) * 4u + 3u];
let v3_0 = v_tile[(t + 3u) * 4u + 0u];
let v3_1 = v_tile[(t + 3u) * 4u + 1u];
let v3_2 = v_tile[(t + 3u) * 4u + 2u];
let v3_3 = v_tile[(t + 3u) * 4u + 3u];
      let p = select(0.0, exp((dot(q_0, k3_0) + dot(q_1, k3_1) + dot(q_2, k3_2) + dot(q_3, k3_3)) * u.scale - own_lse), (start + t) + 3u < u.keys);
      let ds = p * ((dot(g_0, v3_0) + dot(g_1, v3_1) + dot(g_2, v3_2) + dot(g_3, v3_3)) - own_delta) * u.scale;
      dq_0 += ds * k3_0;
dq_1 += ds * k3_1;
dq_2 += ds * k3_2;
dq_3 += ds * k3_3;
    }
    }
  }
  if (exists) {
    { dq[q_at + 0u] = dq_0; }
{ dq[q_at + 1u] = dq_1; }
{ dq[q_at + 2u] = dq_2; }
{ dq[q_at + 3u] = dq_3; }
    delta[unit * u.queries + own] = own_delta;
  }
}


// attentionBackwardQuery(causal=false,depth=4,dtype=f32,group=8,rows=2,share=subgroup,step=2,width=4)
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
@group(0) @binding(4) var<storage, read> o: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> g: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read> lse: array<f32>;
@group(0) @binding(7) var<storage, read_write> dq: array<vec4<f32>>;
@group(0) @binding(8) var<storage, read_write> delta: array<f32>;
fn load_q(at: u32, d: u32) -> vec4f { return vec4f(q[at + d]); }
fn load_k(at: u32, d: u32) -> vec4f { return vec4f(k[at + d]); }
fn load_v(at: u32, d: u32) -> vec4f { return vec4f(v[at + d]); }
fn load_o(at: u32, d: u32) -> vec4f { return vec4f(o[at + d]); }
fn load_g(at: u32, d: u32) -> vec4f { return vec4f(g[at + d]); }

@compute @workgroup_size(8) fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, @builtin(local_invocation_index) li: u32) {
  let blocks = (u.queries + 7u) / 8u;
  let at = (wid.x + wid.y * nwg.x);
  if (at >= u.units * blocks) { return; }
  let unit = at / blocks;
  let block = at % blocks * 8u;
  let exists = block + li < u.queries;
  let own = min(block + li, u.queries - 1u);
  let q_at = (u.q_offset + unit / u.heads * u.q_batch + unit % u.heads * u.q_head + (own) * u.q_row) / 4u;
  let o_at = (u.o_offset + unit / u.heads * u.o_batch + unit % u.heads * u.o_head + (own) * u.o_row) / 4u;
  var own_delta = 0.0;
  var q_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { q_row[d] = load_q(q_at, d); }
  let q_0 = q_row[0];
let q_1 = q_row[1];
let q_2 = q_row[2];
let q_3 = q_row[3];
  var g_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { g_row[d] = load_g(o_at, d); }
  let g_0 = g_row[0];
let g_1 = g_row[1];
let g_2 = g_row[2];
let g_3 = g_row[3];
  var out_row: array<vec4f, 4>;
  for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { out_row[d] = load_o(o_at, d); }
  let out_0 = out_row[0];
let out_1 = out_row[1];
let out_2 = out_row[2];
let out_3 = out_row[3];
  own_delta += dot(g_0, out_0); var dq_0 = vec4f();
own_delta += dot(g_1, out_1); var dq_1 = vec4f();
own_delta += dot(g_2, out_2); var dq_2 = vec4f();
own_delta += dot(g_3, out_3); var dq_3 = vec4f();
  let own_lse = lse[unit * u.queries + own];
  let end = u.keys;
  for (var start = 0u; start < end; start += 2u) {
    let k_r0 = load_k((u.k_offset + unit / u.heads * u.k_batch + unit % u.heads * u.k_head + (min(start + (0u + li) / 4u, u.keys - 1u)) * u.k_row) / 4u, (0u + li) % 4u);
let v_r0 = load_v((u.v_offset + unit / u.heads * u.v_batch + unit % u.heads * u.v_head + (min(start + (0u + li) / 4u, u.keys - 1u)) * u.v_row) / 4u, (0u + li) % 4u);
    
    {
      let k0_0 = subgroupBroadcast(k_r0, 0u);
let k0_1 = subgroupBroadcast(k_r0, 1u);
let k0_2 = subgroupBroadcast(k_r0, 2u);
let k0_3 = subgroupBroadcast(k_r0, 3u);
let v0_0 = subgroupBroadcast(v_r0, 0u);
let v0_1 = subgroupBroadcast(v_r0, 1u);
let v0_2 = subgroupBroadcast(v_r0, 2u);
let v0_3 = subgroupBroadcast(v_r0, 3u);
      let p = select(0.0, exp((dot(q_0, k0_0) + dot(q_1, k0_1) + dot(q_2, k0_2) + dot(q_3, k0_3)) * u.scale - own_lse), start + 0u < u.keys);
      let ds = p * ((dot(g_0, v0_0) + dot(g_1, v0_1) + dot(g_2, v0_2) + dot(g_3, v0_3)) - own_delta) * u.scale;
      dq_0 += ds * k0_0;
dq_1 += ds * k0_1;
dq_2 += ds * k0_2;
dq_3 += ds * k0_3;
    }
{
      let k1_0 = subgroupBroadcast(k_r0, 4u);
let k1_1 = subgroupBroadcast(k_r0, 5u);
let k1_2 = subgroupBroadcast(k_r0, 6u);
let k1_3 = subgroupBroadcast(k_r0, 7u);
let v1_0 = subgroupBroadcast(v_r0, 4u);
let v1_1 = subgroupBroadcast(v_r0, 5u);
let v1_2 = subgroupBroadcast(v_r0, 6u);
let v1_3 = subgroupBroadcast(v_r0, 7u);
      let p = select(0.0, exp((dot(q_0, k1_0) + dot(q_1, k1_1) + dot(q_2, k1_2) + dot(q_3, k1_3)) * u.scale - own_lse), start + 1u < u.keys);
      let ds = p * ((dot(g_0, v1_0) + dot(g_1, v1_1) + dot(g_2, v1_2) + dot(g_3, v1_3)) - own_delta) * u.scale;
      dq_0 += ds * k1_0;
dq_1 += ds * k1_1;
dq_2 += ds * k1_2;
dq_3 += ds * k1_3;
    }
  }
  if (exists) {
    var q_at_row: array<vec4f, 4>;
    q_at_row[0] = dq_0;
q_at_row[1] = dq_1;
q_at_row[2] = dq_2;
q_at_row[3] = dq_3;
    for (var d = 0u; d < (u.dim + 3u) / 4u; d++) { dq[q_at + d] = q_at_row[d]; }
    delta[unit * u.queries + own] = own_delta;
  }
}
