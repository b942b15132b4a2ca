// Assigns the pixels of one labelled scene to the four parts: one by one, or by blocks.

import { Stream, shuffledOrder } from "../random.ts";

/** The parts in the order of their numbers. */
export const PART_NAMES = ["train", "validation", "calibration", "test"] as const;

/** The share of labelled pixels that each part gets. */
export type Shares = Readonly<Record<(typeof PART_NAMES)[number], number>>;

/** Of a pixel that is in no part. */
const NO_PART = -1;

/** Draws each class's pixels into the parts by their shares; pixels without a label are in no part. */
export function assignRandom(truth: Int32Array, shares: Shares, seed: number): Int8Array {
  const parts = new Int8Array(truth.length).fill(NO_PART);
  const classes = [...new Set(truth)].filter((label) => label > 0).sort((a, b) => a - b);
  for (const label of classes) {
    const pixels = Int32Array.from(truth.keys()).filter((p) => truth[p] === label);
    const order = shuffledOrder(pixels.length, new Stream(seed, "scene-random", label));
    let start = 0;
    let share = 0;
    for (const [part, name] of PART_NAMES.entries()) {
      share += shares[name];
      const end = Math.min(pixels.length, Math.round(share * pixels.length));
      for (const i of order.subarray(start, end)) parts[pixels[i]!] = part;
      start = end;
    }
  }
  return parts;
}

/**
 * Gives whole blocks, largest content first, to the part that still lacks most of what the block holds, counted per
 * class, so that rare classes are not lost to one part by bad luck. All pixels of a block are in its part, labelled or
 * not.
 */
export function assignBlocks(
  truth: Int32Array,
  height: number,
  width: number,
  block: number,
  shares: Shares,
  seed: number,
): Int8Array {
  const columns = Math.ceil(width / block);
  const blockOf = (p: number): number =>
    Math.floor(Math.floor(p / width) / block) * columns + Math.floor((p % width) / block);
  const counts = Array.from({ length: Math.ceil(height / block) * columns }, () => new Counts());
  const totals = new Counts();
  truth.forEach((label, p) => {
    if (label === 0) return;
    counts[blockOf(p)]!.add(label, 1);
    totals.add(label, 1);
  });
  const lacking = PART_NAMES.map(
    (name) => new Counts([...totals].map(([label, total]) => [label, shares[name] * total])),
  );
  // A class counts by its rarity, so that its few blocks are shared out with care.
  const weightOf = (held: Counts, most: (label: number, count: number) => number): number =>
    [...held].reduce((sum, [label, count]) => sum + most(label, count) / totals.of(label), 0);
  const drawn = Array.from(shuffledOrder(counts.length, new Stream(seed, "scene-blocks")), (index) => {
    const held = counts[index]!;
    return { index, held, weight: weightOf(held, (_, count) => count) };
  });
  const partOf = new Int8Array(counts.length).fill(NO_PART);
  for (const { index, held } of drawn.sort((a, b) => b.weight - a.weight)) {
    const gains = lacking.map((lack) => weightOf(held, (label, count) => Math.min(count, lack.of(label))));
    const part = gains.indexOf(Math.max(...gains));
    partOf[index] = part;
    for (const [label, count] of held) lacking[part]!.add(label, -count);
  }
  return Int8Array.from(truth, (_, p) => partOf[blockOf(p)]!);
}

/** How many pixels each class has; 0 where nothing was counted. */
class Counts extends Map<number, number> {
  of(label: number): number {
    return this.get(label) ?? 0;
  }

  add(label: number, n: number): void {
    this.set(label, this.of(label) + n);
  }
}
