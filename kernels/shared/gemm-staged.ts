// The way of GPUs: a workgroup stages `depth` k of both operands in workgroup memory; a thread owns rows x cols.

import { ceilDiv, entry, unroll } from "../kernel.ts";
import { accumulators, gather, multiply, writeBack } from "./gemm-text.ts";
import { type GemmParts, type GemmSizes, type GemmTile, type QuadAxis, tileSize } from "./gemm-tile.ts";

export function stagedMain(tile: GemmTile, parts: GemmParts): string {
  const { across, rows, cols, threads, depth } = tile;
  const down = threads / across;
  const size = tileSize(tile);
  const deep = depth / 4;
  // A quad's place: along k, rows of depth/4 quads and one of padding against bank conflicts; along m or n, one row per
  // k.
  const stageA = stage(threads, size.m, depth, parts.a);
  const stageB = stage(threads, size.n, depth, parts.b);
  const run = parts.run;
  const state = run ? "run" : "row";
  const setup = unroll(stageA.slots, (i) => `let row${i} = a_row(m_tile + ${stageA.mn(i)});`);
  const enter = run ? unroll(stageA.slots, (i) => `let run${i} = ${run(`row${i}`)};`) : "";
  const fill = [
    unroll(stageA.slots, (i) => stageA.guard(i, `tile_a[${stageA.at(i)}] = a_load(${state}${i}, k + ${stageA.k(i)});`)),
    unroll(stageB.slots, (i) =>
      stageB.guard(i, `tile_b[${stageB.at(i)}] = b_load(k + ${stageB.k(i)}, n_tile + ${stageB.mn(i)});`),
    ),
  ].join("\n");
  const loadA =
    parts.a === "k"
      ? unroll(rows, (j) => `let a${j} = tile_a[(y + ${j * down}u) * ${deep + 1}u + kq];`)
      : unroll(rows, (i) => `let a${i} = tile_a[(4u * kq + ${i & 3}u) * ${size.m / 4}u + y + ${(i >> 2) * down}u];`);
  const columns =
    parts.b === "k" ? unroll(cols, (o) => `let t${o} = tile_b[(x * ${cols}u + ${o}u) * ${deep + 1}u + kq];`) : "";
  const b = (kk: number, q: number): string =>
    parts.b === "mn"
      ? `tile_b[(4u * kq + ${kk}u) * ${size.n / 4}u + x * ${cols / 4}u + ${q}u]`
      : gather((o) => `t${o}`, kk, q);
  return `var<workgroup> tile_a: array<vec4f, ${stageA.quads}>;
var<workgroup> tile_b: array<vec4f, ${stageB.quads}>;
${entry(threads)} {
${parts.place}
let x = li % ${across}u;
let y = li / ${across}u;
let n = n_tile + x * ${cols}u;
let m = m_tile + y${parts.a === "k" ? "" : " * 4u"};
${setup}
${accumulators(tile)}
${parts.loops(
  enter,
  `workgroupBarrier();
${fill}
workgroupBarrier();
for (var kq = 0u; kq < ${deep}u; kq++) {
${loadA}
${columns}
${multiply(tile, parts.a, b)}
}`,
  depth,
)}
${writeBack(tile, parts.a, down)}
}`;
}

/** How `threads` threads carry `depth` x `extent` values into workgroup memory, one quad each at a time. */
function stage(threads: number, extent: number, depth: number, axis: QuadAxis) {
  const total = (extent * depth) / 4;
  const deep = depth / 4;
  const index = (i: number): string => `(li + ${i * threads}u)`;
  const wide = extent / 4;
  return {
    slots: ceilDiv(total, threads),
    quads: axis === "k" ? extent * (deep + 1) : total,
    mn: (i: number): string => (axis === "k" ? `${index(i)} / ${deep}u` : `4u * (${index(i)} % ${wide}u)`),
    k: (i: number): string => (axis === "k" ? `4u * (${index(i)} % ${deep}u)` : `${index(i)} / ${wide}u`),
    at: (i: number): string =>
      axis === "k" ? `(${index(i)} / ${deep}u) * ${deep + 1}u + ${index(i)} % ${deep}u` : index(i),
    guard: (i: number, statement: string): string =>
      (i + 1) * threads > total ? `if (${index(i)} < ${total}u) { ${statement} }` : statement,
  };
}

// Workgroup memory stays within the 16 KiB that every adapter has, padding included.
export function stagedTiles({ m, n, parts }: GemmSizes): readonly GemmTile[] {
  const square = (threads: number, each: number, depth: number): GemmTile => {
    const across = Math.sqrt(threads);
    return { variant: "tile", threads, across, rows: each, cols: each, lanes: 0, depth };
  };
  const [small, middle, large] = [square(64, 4, 16), square(64, 8, 16), square(256, 8, 8)];
  const groups = ceilDiv(m, 64) * ceilDiv(n, 64) * parts;
  return groups < 128 ? [small, middle] : [middle, large, small];
}
