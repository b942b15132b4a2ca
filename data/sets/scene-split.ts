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
 * not. What the shares leave of 1 takes blocks as a part does, whose pixels are in none; a part of share 0 takes none.
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
  const takers = takersOf(shares).map(({ part, share }) => {
    return { part, lack: new Counts([...totals].map(([label, total]) => [label, share * total])) };
  });
  // A class counts by its rarity, so that its few blocks are shared out with care.
  const weightOf = (held: Counts, most: (label: number, count: number) => number): number =>
    [...held].reduce((sum, [label, count]) => sum + most(label, count) / totals.of(label), 0);
  const drawn = Array.from(shuffledOrder(counts.length, new Stream(seed, "scene-blocks")), (index) => {
    const held = counts[index]!;
    return { index, held, weight: weightOf(held, (_, count) => count) };
  });
  const partOf = new Int8Array(counts.length).fill(NO_PART);
  for (const { index, held } of drawn.sort((a, b) => b.weight - a.weight)) {
    const gains = takers.map(({ lack }) => weightOf(held, (label, count) => Math.min(count, lack.of(label))));
    const { part, lack } = takers[gains.indexOf(Math.max(...gains))]!;
    partOf[index] = part;
    for (const [label, count] of held) lack.add(label, -count);
  }
  return Int8Array.from(truth, (_, p) => partOf[blockOf(p)]!);
}

/** The parts that take pixels, and what is in none if the shares leave something. */
function takersOf(shares: Shares): { readonly part: number; readonly share: number }[] {
  const rest = 1 - PART_NAMES.reduce((sum, name) => sum + shares[name], 0);
  const parts = PART_NAMES.map((name, part) => ({ part, share: shares[name] }));
  // Shares like .4 + .1 + .2 + .3 do not add up to 1 exactly.
  return [...parts, { part: NO_PART, share: rest > 1e-9 ? rest : 0 }].filter(({ share }) => share > 0);
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
