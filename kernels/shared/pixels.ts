// A thread for each value, or each `width` channels, of images [n, h, w, c] that others of [n, oh, ow, c] are made of.

import { ceilDiv, GROUP, type Grid, LINEAR_GROUP, linearGrid, type RowAxis } from "../kernel.ts";

/** Uniforms with the extents of both. */
export const IMAGE_PAIR = { n: "u32", h: "u32", w: "u32", c: "u32", oh: "u32", ow: "u32" } as const;

/** Declares batch `b`, position (`yy`, `xx`) and channel `ch` of element `i` of an image of `height` x `across`. */
export const locate = (height: string, across: string, width: 1 | 4): string => `
  let channels = u.c / ${width}u;
  let ch = i % channels;
  let pixel = i / channels;
  let xx = pixel % ${across};
  let line = pixel / ${across};
  let yy = line % ${height};
  let b = line / ${height};`;

/** The same of a thread's own element, which is declared, too; threads past the last have left. */
export const locateOwn = (height: string, across: string, width: 1 | 4): string => `
  let i = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (i >= u.n * ${height} * ${across} * (u.c / ${width}u)) { return; }
  ${locate(height, across, width)}`;

/** Workgroups for so many threads. */
export const threadGrid = (threads: number, perGroup: number = GROUP): Grid => linearGrid(ceilDiv(threads, perGroup));

/** How they follow the number of images. */
export const imageRows = ({ n }: { readonly n: number }, units: number, perGroup: number = GROUP): RowAxis => {
  return { axis: 0, units, perGroup, fold: true, blocks: n };
};
