// Tells by content whether two sets hold the same samples, where no ids do. A few marks stand for a set: the smallest
// hashes of its rows, which two sets have in common as often as they have rows in common.

import { fail } from "../errors.ts";
import type { Cascade } from "./scores.ts";
import { checkDisjoint } from "./table.ts";

/** What is kept of a set. */
export interface SampleMarks {
  /** The smallest distinct hashes of rows (answers, whether right, and scores), ascending, at most 256. */
  readonly marks: readonly number[];
  /**
   * Share of rows with such hashes that occur more than once in the set itself: near 1 where scores take few values.
   */
  readonly repeated: number;
}

const MARKS = 256;

/** The marks of a set. */
export function markSamples(cascade: Cascade): SampleMarks {
  const rows = hashRows(cascade).sort();
  const marks = [...new Set(rows)].slice(0, MARKS);
  const largest = marks.at(-1);
  const marked = rows.filter((row) => largest !== undefined && row <= largest);
  const repeated = marked.filter((row, at) => row === marked[at - 1] || row === marked[at + 1]).length;
  return { marks, repeated: repeated / marked.length };
}

/**
 * Refuses samples that are already in a marked set: more of them than chance repeats within that set. Few distinct
 * scores tell nothing, and pass. Sets that both know their ids are compared by those.
 */
export function checkFresh(
  op: string,
  used: { readonly ids?: Cascade["ids"]; readonly marks?: readonly SampleMarks[] },
  fresh: Cascade,
  names: readonly [used: string, fresh: string],
): void {
  checkDisjoint(op, { ids: used.ids }, fresh, names);
  if (used.ids && fresh.ids) return;
  const rows = hashRows(fresh);
  for (const { marks, repeated } of used.marks ?? []) {
    const isMark = new Set(marks);
    const largest = marks.length < MARKS ? Number.POSITIVE_INFINITY : Math.max(...marks);
    let [within, shared] = [0, 0];
    for (const row of rows) {
      if (row > largest) continue;
      within++;
      if (isMark.has(row)) shared++;
    }
    const expected = repeated * within;
    // both counts vary by chance, the expected one by pairs: four deviations and a hundredth of the samples are granted
    if (shared <= expected + 4 * Math.sqrt(shared + 2 * expected + 1) + 0.01 * within) continue;
    const share = `${Math.round((100 * shared) / within)} % of the ${names[1]} samples`;
    fail(
      op,
      `${names[0]} and ${names[1]} samples must differ`,
      `${share} with the answers and scores of ${names[0]} ones`,
      SAME,
    );
  }
}

const SAME =
  "A guarantee holds only for samples that were not used to choose the thresholds; with sameSamples: true (--same-samples) it is done all the same.";

/**
 * A number below 2^53 for every row; scores to single precision, as the last digits of float64 differ between machines.
 */
function hashRows({ samples, exits, errors, predictions, scores }: Cascade): Float64Array {
  const bits = new Uint32Array(Float32Array.from(scores).buffer);
  return Float64Array.from({ length: samples }, (_, i) => {
    let [a, b] = [0x9e3779b9, 0x85ebca6b];
    const add = (word: number) => {
      a = Math.imul(a ^ word, 0xcc9e2d51);
      a ^= a >>> 15;
      b = Math.imul(b + word, 0x1b873593);
      b ^= b >>> 13;
    };
    for (let at = i * exits; at < (i + 1) * exits; at++) {
      add(2 * predictions[at]! + errors[at]!);
      add(bits[at]!);
    }
    add(a ^ (b >>> 7));
    return (a >>> 0) * 2 ** 21 + (b >>> 11);
  });
}
