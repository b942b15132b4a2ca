// Draws the parts of a set of pictures: every class alike in each, by seed, and pictures that are there more than once
// in one part only.

import { firstOf } from "../../base/index.ts";
import { Stream, shuffledOrder } from "../random.ts";

/** The parts that are drawn, in the order in which they take. */
export type Drawn = "test" | "calibration" | "validation";

/** What is drawn from: rows, and for all rows of the set their class, and a text that equal pictures share. */
export interface Pool {
  readonly rows: readonly number[];
  readonly labels: ArrayLike<number>;
  readonly digests: readonly string[];
}

/**
 * Draws so many pictures of a pool for each part that is named, or a few more where copies would be torn apart; the
 * rest is for training.
 */
export function drawParts(
  { rows, labels, digests }: Pool,
  counts: Readonly<Partial<Record<Drawn, number>>>,
  seed: number,
): Record<Drawn | "train", Int32Array> {
  const copies = new Map<string, number[]>();
  for (const row of rows) {
    const same = copies.get(digests[row]!);
    if (same) same.push(row);
    else copies.set(digests[row]!, [row]);
  }
  const groups = alike([...copies.values()], labels, seed);
  let at = 0;
  const take = (count: number): Int32Array => {
    const taken: number[] = [];
    while (taken.length < count && at < groups.length) for (const row of groups[at++]!) taken.push(row);
    return Int32Array.from(taken);
  };
  const { test = 0, calibration = 0, validation = 0 } = counts;
  return {
    test: take(test),
    calibration: take(calibration),
    validation: take(validation),
    train: take(Number.POSITIVE_INFINITY),
  };
}

/** Groups in an order of which every stretch has each class in proportion: each class shuffled, and evenly spread. */
function alike(groups: readonly number[][], labels: ArrayLike<number>, seed: number): number[][] {
  const byClass = new Map<number, number[][]>();
  for (const group of groups) {
    const label = labels[firstOf(group)]!;
    const same = byClass.get(label);
    if (same) same.push(group);
    else byClass.set(label, [group]);
  }
  const placed = [...byClass].flatMap(([label, all]) => {
    const order = shuffledOrder(all.length, new Stream(seed, "pictures", label));
    // Classes begin at places of their own, so that small ones do not all fall into the same part.
    const offset = new Stream(seed, "pictures-offset", label).uniform();
    return Array.from(order, (i, place) => ({ group: all[i]!, at: (place + offset) / all.length }));
  });
  return placed.sort((a, b) => a.at - b.at).map(({ group }) => group);
}
