// Tells by content whether two sets hold the same samples, or one set each of them several times, where no ids do. A
// few marks stand for a set: the smallest hashes of its rows, which two sets have in common as often as they have rows.

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
  /** The set knows its ids: another that knows its own is compared by those. */
  readonly named?: boolean;
}

const MARKS = 256;

/** What tells samples apart. */
type Rows = Pick<Cascade, "samples" | "exits" | "errors" | "predictions" | "scores" | "ids">;

/** The marks of a set. */
function markSamples(cascade: Cascade): SampleMarks {
  const rows = hashRows(cascade).sort();
  const marks = [...new Set(rows)].slice(0, MARKS);
  const largest = marks.at(-1);
  const marked = rows.filter((row) => largest !== undefined && row <= largest);
  const repeated = marked.filter((row, at) => row === marked[at - 1] || row === marked[at + 1]).length;
  return { marks, repeated: repeated / marked.length, ...(cascade.ids && { named: true }) };
}

/** What is known of all samples that shaped a result, none of which may test it. */
export interface UsedSamples {
  readonly ids: Cascade["ids"];
  readonly marks: readonly SampleMarks[];
}

/** The ids of some sets, and marks of each. */
export function usedSamples(sets: readonly Cascade[]): UsedSamples {
  const ids = sets.flatMap((set) => set.ids ?? []);
  return { ids: ids.length > 0 ? ids : undefined, marks: sets.map(markSamples) };
}

/**
 * Refuses a set that holds samples several times: by ids, or without by rows that are equal at all exits (answers,
 * whether right, scores to single precision). Independent draws, from however few values, leave counts f_k of rows that
 * occur k times with f_k^2 <= (k + 1) / k f_(k-1) f_(k+1) in the mean (Cauchy and Schwarz, as every count is Poisson):
 * saturated scores and constant heads keep to that, a copied set does not. What lies beyond must be more than four
 * deviations, and a twentieth of the samples.
 */
export function checkDistinct(op: string, set: Rows, name: string): void {
  const requirement = `${name} samples must differ`;
  if (set.ids) {
    const distinct = new Set(set.ids.map(String)).size;
    if (distinct < set.samples) fail(op, `ids of ${requirement}`, `${distinct} ids for ${set.samples} samples`, SAME);
    return;
  }
  const counts = multiplicities(hashRows(set).sort());
  const often = (k: number) => counts.get(k) ?? 0;
  const atMost = (count: number) => count + 4 + 4 * Math.sqrt(count + 1);
  let copied = 0;
  for (const [times, rows] of counts) {
    if (times === 1) continue;
    const expected = Math.sqrt(((times + 1) / times) * atMost(often(times - 1)) * atMost(often(times + 1)));
    if (rows > expected + 4 * Math.sqrt(rows + 1)) copied += times * rows;
  }
  if (copied <= set.samples / 20) return;
  const share = Math.round((100 * copied) / set.samples);
  fail(op, requirement, `${share} % with the answers and scores of another one, which chance does not explain`, SAME);
}

/** `checkDistinct` of samples of which only logits `[N, C]` and labels are known. */
export function checkDistinctLogits(op: string, logits: ArrayLike<number>, labels: ArrayLike<number>): void {
  const classes = logits.length / labels.length;
  const predictions = new Int32Array(logits.length);
  for (let i = 0; i < labels.length; i++) predictions.fill(labels[i]!, i * classes, (i + 1) * classes);
  const errors = new Uint8Array(logits.length);
  const rows = { samples: labels.length, exits: classes, errors, predictions, scores: Float64Array.from(logits) };
  checkDistinct(op, { ...rows, ids: undefined }, "calibration");
}

/** How many values occur how many times, among ascending ones. */
function multiplicities(ascending: Float64Array): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  let first = 0;
  for (let at = 1; at <= ascending.length; at++) {
    if (ascending[at] === ascending[first]) continue;
    counts.set(at - first, (counts.get(at - first) ?? 0) + 1);
    first = at;
  }
  return counts;
}

/**
 * Refuses samples that are already in a marked set: more of them than chance repeats within that set. Few distinct
 * scores tell nothing, and pass. Two sets that know their ids are compared by those.
 */
export function checkFresh(
  op: string,
  used: { readonly ids?: Cascade["ids"]; readonly marks?: readonly SampleMarks[] },
  fresh: Cascade,
  names: readonly [used: string, fresh: string],
): void {
  checkDisjoint(op, { ids: used.ids }, fresh, names);
  const others = (used.marks ?? []).filter(({ named }) => !(named && fresh.ids));
  if (others.length === 0) return;
  const rows = hashRows(fresh);
  for (const { marks, repeated } of others) {
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
function hashRows({ samples, exits, errors, predictions, scores }: Rows): Float64Array {
  const bits = new Uint32Array(Float32Array.from(scores).buffer);
  const hashes = new Float64Array(samples);
  for (let i = 0; i < samples; i++) {
    let [a, b] = [0x9e3779b9, 0x85ebca6b];
    // Two words for each exit, and what both have become by them.
    for (let k = 0; k <= 2 * exits; k++) {
      const at = i * exits + (k >> 1);
      const answer = 2 * predictions[at]! + errors[at]!;
      const word = k === 2 * exits ? a ^ (b >>> 7) : k % 2 === 0 ? answer : bits[at]!;
      a = Math.imul(a ^ word, 0xcc9e2d51);
      a ^= a >>> 15;
      b = Math.imul(b + word, 0x1b873593);
      b ^= b >>> 13;
    }
    hashes[i] = (a >>> 0) * 2 ** 21 + (b >>> 11);
  }
  return hashes;
}
