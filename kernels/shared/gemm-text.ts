// What the ways to loop over a product have in common: rows, loads, sums and stores of one thread.

import { unroll } from "../kernel.ts";
import type { GemmTile, QuadAxis } from "./gemm-tile.ts";
import { QUAD } from "./quads.ts";

export const accumulators = (tile: GemmTile): string =>
  unroll(tile.rows, (j) => unroll(tile.cols / 4, (q) => `var c${j}_${q} = vec4f();`));

/** The value of row `j` at k + kk; A's quads are a0, a1, ... in either layout. */
export const valueOfA = (a: QuadAxis, j: number, kk: number): string =>
  a === "k" ? `a${j}[${kk}]` : `a${(j >> 2) * 4 + kk}[${j & 3}]`;

/** Four steps of k: `b(kk, q)` is the quad of columns q at k + kk. */
export function multiply(tile: GemmTile, a: QuadAxis, b: (kk: number, q: number) => string): string {
  const sum = (j: number, q: number): string =>
    QUAD.reduce((total, kk) => `fma(vec4f(${valueOfA(a, j, kk)}), b${kk}_${q}, ${total})`, `c${j}_${q}`);
  return unroll(
    tile.cols / 4,
    (q) =>
      `${unroll(4, (kk) => `let b${kk}_${q} = ${b(kk, q)};`)}\n${unroll(tile.rows, (j) => `c${j}_${q} = ${sum(j, q)};`)}`,
  );
}

/** Rows of a thread, `stride` apart (quads of rows where A's quads lie along m), from the thread's first row `m`. */
export const rowOf = (a: QuadAxis, j: number, stride: number): string =>
  a === "k" ? `m + ${j * stride}u` : `m + ${(j >> 2) * 4 * stride + (j & 3)}u`;

/** Writes what the thread owns; rows and columns past the end are dropped. */
export function writeBack(tile: GemmTile, a: QuadAxis, stride: number): string {
  const { rows, cols } = tile;
  return unroll(rows, (j) => {
    const stores = unroll(cols / 4, (q) => `if (n + ${4 * q}u < n_end) { store(at, n + ${4 * q}u, c${j}_${q}); }`);
    return `if (${rowOf(a, j, stride)} < m_end) {\nlet at = c_row(${rowOf(a, j, stride)});\n${stores}\n}`;
  });
}

/** The four values of column quad `q` at `kk`, picked out of column-wise quads along k. */
export const gather = (column: (o: number) => string, kk: number, q: number): string =>
  `vec4f(${QUAD.map((o) => `${column(4 * q + o)}[${kk}]`).join(", ")})`;
