// Example images of a report: for each exit, some that leave there, as small PNG pictures in the page itself.

import { type Dataset, encodePng, type ImageBytes, imageAt } from "../../data/index.ts";

/** A picture with what the network said about it. */
export interface Example {
  /** `data:image/png;base64,...` */
  readonly picture: string;
  readonly label: string;
  readonly answer: string;
  readonly confidence: number;
}

/** What leaves where: per sample the exit it takes, the class it is given there, and how sure that exit was. */
export interface Departures {
  readonly exits: ArrayLike<number>;
  readonly answers: ArrayLike<number>;
  readonly confidences: ArrayLike<number>;
}

/**
 * For each exit `count` images: at the first those it was surest of, in between those in the middle of its range, at
 * the last those it was least sure of, which are the hardest of all. Classes take turns, so that no class fills the
 * row.
 */
export function examplesPerExit(
  data: Dataset<ImageBytes>,
  left: Departures,
  nExits: number,
  count: number,
): readonly Example[][] {
  return Array.from({ length: nExits }, (_, j) => {
    const there = Array.from(left.exits).flatMap((exit, i) => (exit === j ? [i] : []));
    there.sort((a, b) => left.confidences[b]! - left.confidences[a]! || a - b);
    return mixed(part(there, j, nExits, count), data, count).map((i) => ({
      picture: pictureOf(data, i),
      label: data.classes[data.labels[i]!]!,
      answer: data.classes[left.answers[i]!]!,
      confidence: left.confidences[i]!,
    }));
  });
}

/**
 * The half of the surest at the first exit, the middle half in between, the half of the least sure at the last, from
 * its end.
 */
function part(order: readonly number[], exit: number, nExits: number, count: number): readonly number[] {
  const half = Math.max(count, Math.ceil(order.length / 2));
  if (exit === nExits - 1) return order.slice(-half).reverse();
  const from = exit === 0 ? 0 : Math.max(0, (order.length - half) >> 1);
  return order.slice(from, from + half);
}

/** The first `count` of an order, going round the classes. */
function mixed(order: readonly number[], data: Dataset<ImageBytes>, count: number): readonly number[] {
  const queues = new Map<number, number[]>();
  for (const i of order) {
    const label = data.labels[i]!;
    queues.set(label, [...(queues.get(label) ?? []), i]);
  }
  const picked: number[] = [];
  for (let round = 0; picked.length < Math.min(count, order.length); round++) {
    for (const queue of queues.values()) {
      const next = queue[round];
      if (next !== undefined && picked.length < count) picked.push(next);
    }
  }
  return picked;
}

/** One image as PNG: grey, colour, or three of many bands. */
function pictureOf(set: Dataset<ImageBytes>, index: number): string {
  const [height, width, channels] = set.shape;
  const bytes = imageAt(set, index);
  const bands = channels < 3 ? [0] : [0, 1, 2].map((band) => Math.floor((band * (channels - 1)) / 2));
  const data = Uint8Array.from(
    { length: height * width * bands.length },
    (_, i) => bytes[Math.floor(i / bands.length) * channels + bands[i % bands.length]!]!,
  );
  const png = encodePng({ width, height, channels: bands.length === 1 ? 1 : 3, data });
  return `data:image/png;base64,${Buffer.from(png).toString("base64")}`;
}
