// What a product is to the loops of gemm.ts: how it is cut into threads, what the adapter offers, and the kernel's
// side.

import { ceilDiv } from "../kernel.ts";

/** How a product is cut into threads; part of the spec of every kernel built here. */
export type GemmTile = {
  readonly variant: "subgroup" | "window" | "tile" | "plain";
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Threads side by side along n (1 in the subgroup variant and in a window). */
  readonly across: number;
  /**
   * Rows of C a thread owns; where A's quads lie along m a multiple of 4, and 4 in the subgroup variant. In a window
   * neighbours of a line, and of the weights' gradient channels, each with all taps of a line.
   */
  readonly rows: number;
  /** Columns of C a thread (subgroup variant and window: a subgroup) owns; a multiple of 4. */
  readonly cols: number;
  /** Subgroup size the text is made for (subgroup variant and window; 0: any). */
  readonly lanes: number;
  /** k staged at a time (tile variant); a multiple of 4. */
  readonly depth: number;
};

/** Along which axis the four values of one load lie. */
export type QuadAxis = "k" | "mn";

/** The kernel's side of the loops: WGSL that defines the functions named here. */
export interface GemmParts {
  readonly a: QuadAxis;
  readonly b: QuadAxis;
  /**
   * Declarations, among them
   * `fn a_row(m: u32) -> Row` state of row m (of rows m..m+3 where A's quads lie along m),
   * `fn a_load(run: Run, k: u32) -> vec4f` and `fn b_load(k: u32, n: u32) -> vec4f`, zero past the end of the run,
   * `fn c_row(m: u32) -> u32` where a row of C begins, `fn store(at: u32, n: u32, value: vec4f)`.
   */
  readonly functions: string;
  /** Statements that declare `m_tile`, `n_tile` (first row and column of the workgroup), `m_end` and `n_end`. */
  readonly place: string;
  /** Expression for the state of a row inside the current run of k; absent: the row itself. */
  readonly run?: (row: string) => string;
  /**
   * The loops over k around `body`, which takes `step` values from `k` on; `enter` belongs at the start of each run.
   */
  readonly loops: (enter: string, body: string, step: number) => string;
}

/** Rows of C where they lie along lines of `width`: a window's pieces of a line are of one length. */
export const rowsOf = ({ variant, rows }: GemmTile, lines: number, width: number): number =>
  lines * (variant === "window" ? ceilDiv(width, rows) * rows : width);

/** Rows and columns of C that one workgroup makes. */
export function tileSize(tile: GemmTile): { readonly m: number; readonly n: number } {
  return { m: (tile.threads / tile.across) * tile.rows, n: tile.across * tile.cols };
}

/** Sizes that the choice of a tile depends on; `parts` counts the products (batches, groups, splits) of this size. */
export interface GemmSizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly parts: number;
  /** How A's quads lie, and whether each is one load. */
  readonly a: QuadAxis;
  readonly isVec: boolean;
}
