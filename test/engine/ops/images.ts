// Rows of the ops at both ends of a training step: images as bytes on the way in, running totals on the way out.

import type { Tensor } from "../../../engine/index.ts";
import * as s from "../../../engine/index.ts";
import { exitTally, tallySize } from "../../../exits/index.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

/** Images [B, H, W, C] of bytes; `flips` mirrors some of them; into a tensor that is there, if wanted. */
function images(shape: readonly [number, number, number, number], flips: boolean, isInto = false): OpCase {
  const [batch, height, width, channels] = shape;
  const mean = [0.286, 0.4, 0.1].slice(0, channels);
  const std = [0.353, 0.2, 0.5].slice(0, channels);
  const words = s.packedWords(shape);
  return {
    label: `[${shape}]${flips ? " mirrored" : ""}${isInto ? " into a tensor" : ""}`,
    inputs: {
      bytes: { shape: [words, 4], dtype: "u32", range: [0, 256] },
      ...(flips && { flips: { shape: [batch], dtype: "bool" } }),
    },
    call: ({ bytes, flips: mirrored }) => {
      // Powers of two, so that a sum of products packs four bytes exactly.
      const places = s.tensor(Uint32Array.of(1, 256, 65536, 16777216));
      const packed = s.sum(s.mul(bytes as Tensor, places), { dim: 1 });
      return s.normaliseImages(packed, { shape, mean, std, flips: mirrored, into: isInto ? s.ones(shape) : undefined });
    },
    oracle: ({ bytes, flips: mirrored }) =>
      ref(shape, (i) => {
        const c = i % channels;
        const x = Math.floor(i / channels) % width;
        const image = Math.floor(i / (height * width * channels));
        const from = mirrored?.data[image] ? i + (width - 1 - 2 * x) * channels : i;
        return ((bytes as Ref).data[from]! / 255 - mean[c]!) / std[c]!;
      }),
  };
}

/** Two batches tallied one after the other; labels go down to -1, which counts nothing. */
function tally(n: number, exits: number, classes: number): OpCase {
  return {
    label: `[${n}, ${exits}, ${classes}]`,
    inputs: {
      z: { shape: [n, exits, classes], range: [-3, 3] },
      y: { shape: [n], dtype: "i32", range: [-1, classes] },
    },
    call: ({ z, y }) => {
      const totals = s.zeros([tallySize(exits)]);
      exitTally(z as Tensor, y as Tensor, totals, { loss: s.full([], 0.5) });
      exitTally(z as Tensor, y as Tensor, totals, { loss: s.full([], 0.25) });
      exitTally(z as Tensor, y as Tensor, totals);
      return s.slice(totals, { ends: [totals.size / 2] });
    },
    oracle: ({ z, y }) => {
      const [logits, labels] = [(z as Ref).data, (y as Ref).data];
      const counted = [...labels.keys()].filter((i) => labels[i]! >= 0);
      const rowOf = (i: number, k: number) => [
        ...logits.slice((i * exits + k) * classes, (i * exits + k + 1) * classes),
      ];
      const loss = (i: number, k: number) => {
        const row = rowOf(i, k);
        return Math.log(row.reduce((a, b) => a + Math.exp(b), 0)) - row[labels[i]!]!;
      };
      const isRight = (i: number, k: number) => (rowOf(i, k).indexOf(Math.max(...rowOf(i, k))) === labels[i] ? 1 : 0);
      const over = (f: (i: number) => number) => counted.reduce((sum, i) => sum + f(i), 0);
      const perExit = Array.from({ length: exits }, (_, k) => [over((i) => loss(i, k)), over((i) => isRight(i, k))]);
      const totals = [3 * counted.length, 0.75, 3, 0, ...perExit.flat().map((x) => 3 * x)];
      return ref([totals.length], (i) => totals[i]!);
    },
    atol: 1e-3,
  };
}

export const rows: readonly OpRow[] = [
  {
    op: "normaliseImages",
    live: "refused",
    cases: [
      images([2, 3, 5, 3], true),
      images([3, 4, 4, 1], false),
      images([1, 1, 1, 1], true),
      images([0, 2, 2, 1], false),
      images([33, 2, 4, 1], true),
      images([3, 3, 5, 2], true, true),
      images([33, 3, 4, 1], false, true),
    ],
  },
  { op: "exitTally", live: "refused", cases: [tally(65, 3, 5), tally(1, 1, 1), tally(200, 2, 10)] },
];
