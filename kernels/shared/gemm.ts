// The inner loops shared by every matrix product, convolutions included: C[m, n] = sum over k of A[m, k] B[k, n]. An
// operand is known by its loads alone: WGSL functions that the kernel writes and the loops here call. A load brings a
// quad, four neighbours along k ("k") or along m or n ("mn"), so no operand is ever transposed or unfolded in memory.
// Sums are f32 and run upwards in k whatever the storage type. GPUs need the staged way alone (gemm-staged.ts); the
// others (gemm-unstaged.ts) are loaded where an adapter runs on the CPU, or variants are measured.

import type { AdapterTraits } from "./adapter.ts";
import { stagedMain, stagedTiles } from "./gemm-staged.ts";
import type { GemmParts, GemmSizes, GemmTile } from "./gemm-tile.ts";

/** What was loaded by `loadUnstaged`. */
let unstaged: typeof import("./gemm-unstaged.ts") | undefined;

/**
 * Loads the texts of products that CPU adapters and tuning choose among. Until then the tiles of products are those of
 * GPUs.
 */
export async function loadUnstaged(): Promise<void> {
  unstaged ??= await import("./gemm-unstaged.ts");
}

/** WGSL functions, bindings and entry point of one product. */
export function gemm(tile: GemmTile, parts: GemmParts): string {
  const main = tile.variant === "tile" ? stagedMain : unstaged?.MAINS[tile.variant];
  // A text that the driver refuses, and that says why.
  return `${parts.functions}\n${main?.(tile, parts) ?? "loadUnstaged() must come first"}`;
}

/** Tiles for a convolution, or its gradient by the input, that are better than those of `gemmTiles`, if it has any. */
export const windowTiles: typeof import("./gemm-window.ts").windowTiles = (...of) => unstaged?.windowTiles(...of) ?? [];

/** How many shares of a convolution's outputs stay in a CPU's cache; 1 elsewhere. */
export const cachedShares: typeof import("./gemm-window-weight.ts").cachedShares = (...of) =>
  unstaged?.cachedShares(...of) ?? 1;

/**
 * Whether the loops never ask for what lies behind the end of a run, given that runs are multiples of 4: all variants
 * but `tile` go four k at a time.
 */
export const staysInside = ({ variant }: Pick<GemmTile, "variant">, isRunByQuads: boolean): boolean =>
  variant !== "tile" && isRunByQuads;

/** Tiles fit for a product on an adapter, the default first. */
export function gemmTiles(sizes: GemmSizes, adapter: AdapterTraits): readonly GemmTile[] {
  const others = unstaged?.unstagedTiles(sizes, adapter) ?? [];
  return adapter.isSoftware && unstaged ? others : [...stagedTiles(sizes), ...others];
}
