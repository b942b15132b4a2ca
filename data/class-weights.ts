// How often the images of each class are drawn: a set of classes of different size is learnt as if they were of one, or
// in other shares that are wanted. What is drawn more often is drawn whole times before any image comes once more, so
// no image is left out for chance alone; and losses, gates and teachers of every method see the shares, not only a
// cross-entropy.

import type { Option } from "../base/index.ts";
import type { Dataset } from "./dataset.ts";
import { ensure } from "./errors.ts";
import { type Stream, shuffledOrder } from "./random.ts";

/** All classes alike, or for each how often its images are drawn beside those of a class with 1. */
export type ClassWeights = "balanced" | readonly number[];

const fits = (value: unknown): boolean =>
  value === "balanced" ||
  (Array.isArray(value) &&
    value.every((x) => typeof x === "number" && x >= 0 && Number.isFinite(x)) &&
    value.some((x) => x > 0));

function parse(text: string): unknown {
  const items = text.split(",").map((item) => item.trim());
  return text === "balanced" || items.some((item) => item === "") ? text : items.map(Number);
}

/** The option of that name. */
export const CLASS_WEIGHTS: Option<ClassWeights | undefined> = {
  kind: "parsed",
  about: "how often images of each class are drawn: all classes alike, or a number for each",
  default: undefined,
  must: "balanced, or a number of at least 0 for each class, one of them above 0: 1,1,2.5",
  fits,
  parse,
};

/** Rows of an epoch, and how often each was drawn before in it. */
export interface Order {
  readonly rows: Int32Array;
  readonly turns?: Int32Array;
}

/**
 * As many rows as the set has, those of each class in its share, in an order that is drawn. Shares that are no whole
 * numbers are rounded by chance, so that they are right over the epochs.
 */
export function weightedOrder(
  op: string,
  { labels, classes, size, meta }: Pick<Dataset<never>, "labels" | "classes" | "size" | "meta">,
  weights: ClassWeights,
  stream: Stream,
): Order {
  const rows = classes.map((): number[] => []);
  for (const [row, label] of labels.entries()) rows[label]?.push(row);
  ensure(
    weights === "balanced" || weights.length === classes.length,
    () =>
      `${op}: classWeights must be balanced, or ${classes.length} numbers, one for each class; got ${weights.length}.`,
  );
  const shares = rows.map((own, c) => (weights === "balanced" ? Math.min(1, own.length) : own.length * weights[c]!));
  const all = shares.reduce((sum, share) => sum + share, 0);
  const where = `${meta.name}/${meta.split}`;
  ensure(all > 0, () => `${op}: some class with a weight must have images; none of ${where} has.`);
  const start = stream.uniform();
  let reached = 0;
  const drawn: number[] = [];
  const turns: number[] = [];
  rows.forEach((own, c) => {
    const before = Math.floor(start + (size * reached) / all);
    reached += shares[c]!;
    const count = Math.floor(start + (size * reached) / all) - before;
    const order = shuffledOrder(own.length, stream);
    for (let i = 0; i < count; i++) {
      drawn.push(own[order[i % own.length]!]!);
      turns.push(Math.floor(i / own.length));
    }
  });
  const order = shuffledOrder(drawn.length, stream);
  return { rows: order.map((i) => drawn[i]!), turns: order.map((i) => turns[i]!) };
}
