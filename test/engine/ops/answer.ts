// Rows of an exit's answer in one dispatch, and of survivors moved together in place.

import * as s from "../../../engine/index.ts";
import { type AnswerTail, answerTail, exitAnswer, loadLanes } from "../../../exits/ops/answer.ts";
import { appendRows } from "../../../exits/ops/append.ts";
import { packRows } from "../../../exits/ops/pack.ts";
import type { Tail } from "../../../nn/index.ts";
import { mulberry } from "./check.ts";
import { type OpCase, type OpRow, type Ref, ref } from "./row.ts";

await loadLanes({ info: { isSoftware: true } } as s.Device);

const drawn = (n: number, seed: number): Float32Array => {
  const random = mulberry(seed);
  return Float32Array.from({ length: n }, () => 2 * random() - 1);
};

interface Options {
  readonly vector?: Tail["vector"];
  readonly normed?: boolean;
  readonly isLast?: boolean;
  readonly dtype?: "f32" | "f16";
  /** Rows that exist; the others must write nothing. */
  readonly live?: number;
  /** Every third row has left before. */
  readonly masked?: boolean;
  /** The threshold is given for each class. */
  readonly byClass?: boolean;
  /** A workgroup a row, as on GPUs, whatever the adapter would take. */
  readonly isGroup?: boolean;
}

/** A tail with values of its own, and these values. */
function tailOf(channels: number, classes: number, { vector = "mean", normed = false }: Options) {
  const values = {
    weight: drawn(channels * classes, 2),
    bias: drawn(classes, 3),
    gain: drawn(channels, 4),
    offset: drawn(channels, 5),
  };
  const tail = (): AnswerTail => {
    const linear = { weight: s.tensor(values.weight, { shape: [channels, classes] }), bias: s.tensor(values.bias) };
    const norm = { weight: s.tensor(values.gain), bias: s.tensor(values.offset), eps: 1e-5 };
    return answerTail({ vector, linear, ...(normed && { norm }) } as unknown as Tail);
  };
  return { values, tail };
}

/** Logits of one sample's features [positions, channels]: their mean, normed if asked for, through the linear layer. */
function logitsOf(features: Float64Array, values: ReturnType<typeof tailOf>["values"], normed: boolean): number[] {
  const channels = values.gain.length;
  const used = features.length / channels;
  let v = Array.from({ length: channels }, (_, c) => {
    let sum = 0;
    for (let p = 0; p < used; p++) sum += features[p * channels + c]!;
    return sum / used;
  });
  if (normed) {
    const mean = v.reduce((sum, y) => sum + y, 0) / channels;
    const variance = v.reduce((sum, y) => sum + (y - mean) ** 2, 0) / channels;
    v = v.map((y, c) => ((y - mean) / Math.sqrt(variance + 1e-5)) * values.gain[c]! + values.offset[c]!);
  }
  const classes = values.bias.length;
  return Array.from({ length: classes }, (_, k) =>
    v.reduce((sum, y, c) => sum + y * values.weight[c * classes + k]!, values.bias[k]!),
  );
}

/** Features [n, positions, channels] decided by the largest logit at threshold 0.4. */
function answer(n: number, positions: number, channels: number, classes: number, options: Options = {}): OpCase {
  const {
    vector = "mean",
    normed = false,
    isLast = false,
    dtype = "f32",
    live = n,
    masked = false,
    byClass = false,
    isGroup = false,
  } = options;
  const { values, tail } = tailOf(channels, classes, options);
  const left = (i: number): boolean => masked && i % 3 === 0;
  return {
    label: `[${n}, ${positions}, ${channels}] to ${classes} ${JSON.stringify(options)}`,
    inputs: { x: { shape: [n, positions, channels], dtype, range: [-2, 3] } },
    call: ({ x }) => {
      const results = {
        answers: s.full([n], -1, { dtype: "i32" }),
        exits: s.full([n], -1, { dtype: "i32" }),
        scores: s.full([n], -1),
      };
      const ids = s.tensor(Int32Array.from({ length: n }, (_, i) => n - 1 - i));
      const stays = s.tensor(Uint32Array.from({ length: n }, (_, i) => Number(!left(i))));
      const rows = live < n ? s.tensor(Uint32Array.of(live)) : undefined;
      const places = {
        ids,
        thresholds: byClass ? s.tensor(new Float32Array(classes).fill(0.4)) : 0.4,
        stays,
        ...results,
      };
      const { tuner } = (x as s.Tensor).device;
      const { choose } = tuner;
      if (isGroup) tuner.choose = (_key, specs) => specs.at(-1)!;
      exitAnswer(x as s.Tensor, tail(), places, { exit: 1, isLast, score: "maxLogit", masked, rows });
      tuner.choose = choose;
      return [stays, results.answers, results.exits, results.scores];
    },
    oracle: ({ x }) => {
      const stays = new Float64Array(n);
      const [answers, exits, scores] = [0, 1, 2].map(() => new Float64Array(n).fill(-1));
      for (let i = 0; i < live; i++) {
        const own = (x as Ref).data.subarray(i * positions * channels, (i + 1) * positions * channels);
        const used = vector === "first" ? 1 : positions;
        const z = logitsOf(own.subarray(0, used * channels), values, normed);
        if (left(i)) continue;
        const best = z.indexOf(Math.max(...z));
        stays[i] = isLast || z[best]! >= 0.4 ? 0 : 1;
        if (stays[i] === 1) continue;
        const at = n - 1 - i;
        answers![at] = best;
        exits![at] = 1;
        scores![at] = z[best]!;
      }
      return [stays, answers!, exits!, scores!].map((all) => ref([n], (i) => all[i]!));
    },
    // The oracle's features are not rounded to halves.
    ...(dtype === "f16" && { atol: 5e-3 }),
  };
}

/** Survivors by a mask, moved together; rows behind their number are nobody's. */
function pack(mask: readonly number[], inner: readonly number[], dtype: "f32" | "f16" = "f32"): OpCase {
  const n = mask.length;
  const kept = [...mask.keys()].filter((i) => mask[i]);
  const count = kept.length;
  const moved = kept.filter((i) => i >= count);
  const order = Array.from({ length: count }, (_, k) => (mask[k] ? k : moved.shift()!));
  const size = inner.reduce((all, extent) => all * extent, 1);
  return {
    label: `${count} of ${n} rows of [${inner}] ${dtype}`,
    inputs: { x: { shape: [n, ...inner], dtype } },
    call: ({ x }) => {
      const own = s.add(x as s.Tensor, s.zeros([1], { dtype }));
      const survivors = s.compact(s.tensor(Uint32Array.from(mask)));
      const ids = packRows(own, survivors, s.tensor(Int32Array.from({ length: n }, (_, i) => 3 * i)));
      const first = (y: s.Tensor) =>
        s.slice(y, { starts: y.shape.map(() => 0), ends: y.shape.map((extent, i) => (i === 0 ? count : extent)) });
      return [first(own), first(ids)];
    },
    oracle: ({ x }) => [
      ref([count, ...inner], (i) => (x as Ref).data[order[Math.floor(i / size)]! * size + (i % size)]!),
      ref([count], (k) => 3 * order[k]!),
    ],
    ...(dtype === "f16" && { atol: 1e-3 }),
  };
}

/** Survivors of two batches, put behind each other in a room of `size` rows. */
function append(masks: readonly (readonly number[])[], inner: readonly number[], size: number): OpCase {
  const n = masks[0]!.length;
  const kept = masks.flatMap((mask) => [...mask.keys()].filter((i) => mask[i]));
  const length = inner.reduce((all, extent) => all * extent, 1);
  const rows = Math.min(size, kept.length);
  const last = kept.slice(masks.slice(0, -1).flat().filter(Boolean).length);
  return {
    label: `${kept.length} of ${masks.length} x ${n} rows of [${inner}] into ${size}`,
    inputs: { x: { shape: [n, ...inner] } },
    call: ({ x }) => {
      const room = s.zeros([size, ...inner]);
      const filled = s.tensor(Uint32Array.of(0));
      const ids = s.tensor(Int32Array.from({ length: n }, (_, i) => 3 * i));
      let entered: s.Tensor | undefined;
      for (const mask of masks) {
        const survivors = s.compact(s.tensor(Uint32Array.from(mask)));
        entered = appendRows({ rooms: [[x as s.Tensor, room]], filled }, survivors, ids);
      }
      const first = (y: s.Tensor, count: number) =>
        s.slice(y, { starts: y.shape.map(() => 0), ends: y.shape.map((extent, i) => (i === 0 ? count : extent)) });
      return [first(room, rows), first(entered as s.Tensor, last.length), s.cast(filled, "f32")];
    },
    oracle: ({ x }) => [
      ref([rows, ...inner], (i) => (x as Ref).data[kept[Math.floor(i / length)]! * length + (i % length)]!),
      ref([last.length], (k) => 3 * last[k]!),
      ref([1], () => kept.length),
    ],
  };
}

const every = (n: number, stays: (i: number) => boolean): number[] =>
  Array.from({ length: n }, (_, i) => Number(stays(i)));

export const rows: readonly OpRow[] = [
  {
    op: "exitAnswer",
    live: "refused",
    cases: [
      ...[true, false].flatMap((isGroup) => [
        answer(5, 17, 12, 10, { isGroup }),
        answer(37, 40, 16, 10, { isGroup }),
        answer(23, 9, 200, 33, { isGroup, normed: true, live: 19 }),
        answer(33, 1, 48, 1, { isGroup, vector: "first", masked: true }),
        answer(20, 6, 4, 5, { isGroup, byClass: true, dtype: "f16" }),
      ]),
      answer(3, 64, 64, 5, { normed: true }),
      answer(67, 3, 5, 3),
      answer(4, 9, 520, 70, { vector: "first", normed: true, isLast: true }),
      answer(4, 1, 40, 130, { isLast: true }),
      answer(9, 10, 16, 4, { live: 6, byClass: true }),
      answer(9, 10, 16, 4, { live: 7, masked: true }),
      answer(6, 10, 16, 4, { dtype: "f16", normed: true }),
      answer(2, 4, 300, 3, { dtype: "f16", vector: "first" }),
    ],
  },
  {
    op: "appendRows",
    live: "refused",
    cases: [
      append([every(33, (i) => i % 3 === 1), every(33, (i) => i > 20)], [4, 4], 70),
      append([every(65, () => true), every(65, () => false), every(65, (i) => i % 2 === 0)], [3, 5], 80),
      append([every(300, (i) => i % 7 > 0)], [130], 300),
    ],
  },
  {
    op: "packRows",
    live: "refused",
    cases: [
      pack(
        every(33, (i) => i % 3 === 1),
        [4, 4],
      ),
      pack(
        every(65, (i) => i > 40),
        [3, 5],
      ),
      pack(
        every(64, (i) => i < 30 || i === 63),
        [130],
      ),
      pack(
        every(9, () => true),
        [8],
      ),
      pack(
        every(7, () => false),
        [8],
      ),
      pack(
        every(600, (i) => (i * 7) % 11 < 5),
        [12],
      ),
      pack(
        every(13, (i) => i % 2 === 1),
        [3],
        "f16",
      ),
      pack(
        every(13, (i) => i % 2 === 1),
        [16],
        "f16",
      ),
    ],
  },
];
