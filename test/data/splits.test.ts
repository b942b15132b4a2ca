// Data sets in memory and their parts.

import * as fc from "fast-check";
import {
  channelStatistics,
  countClasses,
  createDataset,
  head,
  imageAt,
  normalize,
  subset,
} from "../../data/dataset.ts";
import { checkSplits, splitIndices, splitOfficial } from "../../data/splits.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { pattern } from "./official.ts";

const test = suite("data splits");

const make = (size: number, firstId = 0) =>
  createDataset({
    images: pattern(size * 4, firstId),
    labels: Int32Array.from({ length: size }, (_, i) => i % 3),
    ids: Int32Array.from({ length: size }, (_, i) => firstId + i),
    columns: { difficulty: Float32Array.from({ length: size }, (_, i) => i / size) },
    shape: [2, 2, 1],
    classes: ["a", "b", "c"],
    meta: { name: "toy", split: "train", mean: [0.5], std: [0.25] },
  });

test("a subset keeps images, labels, ids and columns together", () => {
  const data = make(10);
  for (const indices of [Int32Array.of(7, 2, 2), Int32Array.of(3, 4, 5)]) {
    const part = subset(data, indices, "part");
    assert.is(part.size, 3);
    assert.is(part.meta.split, "part");
    indices.forEach((index, i) => {
      assert.equal([...imageAt(part, i)], [...imageAt(data, index)]);
      assert.is(part.labels[i], index % 3);
      assert.is(part.ids[i], index);
      assert.is(part.columns["difficulty"]![i], Math.fround(index / 10));
    });
  }
  assert.is(head(data, 4).size, 4);
  assert.is(head(data, 40).size, 10);
});

test("statistics: counts, means, deviations, and their use", () => {
  const data = make(10);
  assert.equal([...countClasses(data)], [4, 3, 3]);
  const { mean, std } = channelStatistics(data);
  const values = normalize(data.images, { mean, std });
  const average = values.reduce((a, b) => a + b) / values.length;
  const variance = values.reduce((a, b) => a + b * b, 0) / values.length;
  assert.ok(Math.abs(average) < 1e-6 && Math.abs(variance - 1) < 1e-6, `${average} ${variance}`);
});

test("parts that do not fit each other are refused", async () => {
  const data = make(2);
  const { size: _, ...parts } = data;
  const fails = (change: object, message: string) =>
    failsWith(() => createDataset({ ...parts, ...change }), "DataError", `createDataset: toy/train: ${message}`);
  await fails({ images: pattern(7) }, "images must hold [2, 2, 2, 1] bytes; got 7 (2 labels).");
  await fails({ labels: Int32Array.of(0, 3) }, "labels must be within 0 and 2; got 3 at sample 1.");
  await fails({ shape: [2, 0, 1] }, "height, width and channels must be positive integers; got [2, 0, 1].");
  await fails({ ids: Int32Array.of(1) }, "ids must have 2 entries; got 1.");
  await fails({ meta: { ...data.meta, std: [0] } }, "std must have 1 positive numbers; got [0].");
  await failsWith(() => subset(data, Int32Array.of(2)), "DataError", "subset: indices must be within 0 and 1; got 2.");
});

test("parts never overlap, have the sizes asked for, and depend on the seed alone", () => {
  const counts = fc.record({
    train: fc.nat(40),
    validation: fc.nat(30),
    calibration: fc.nat(30),
    order: fc.constantFrom("file" as const, "shuffled" as const),
    seed: fc.nat(1000),
  });
  fc.assert(
    fc.property(counts, (options) => {
      const splits = splitOfficial("toy", make(100), make(20, 100), options);
      const ids = [splits.train, splits.validation, splits.calibration, splits.test].map((part) => [...part.ids]);
      assert.equal(
        ids.map((part) => part.length),
        [options.train, options.validation, options.calibration, 20],
      );
      assert.is(new Set(ids.flat()).size, ids.flat().length);
      const again = splitOfficial("toy", make(100), make(20, 100), options);
      assert.equal([...again.validation.ids], ids[1]);
    }),
    { numRuns: 50 },
  );
});

test("file order trains on the first samples; the default train part is what the others leave", () => {
  const splits = splitOfficial("toy", make(100), make(20, 100), { validation: 10, calibration: 20, order: "file" });
  assert.equal(
    [...splits.train.ids],
    Array.from({ length: 70 }, (_, i) => i),
  );
  assert.is(splits.validation.ids[0], 70);
  assert.is(splits.calibration.ids[0], 80);
  assert.is(
    splits.protocol,
    "70 train, 10 validation and 20 calibration samples of the official training set (in file order), 20 official test samples",
  );
  const shuffled = splitOfficial("toy", make(100), make(20, 100), { validation: 10, calibration: 20, seed: 2 });
  assert.not.equal([...shuffled.validation.ids], [...splits.validation.ids]);
});

test("a part may be a share of the official training set", () => {
  const splits = splitOfficial("toy", make(50), make(20, 100), { validation: 0.1, calibration: 0.25, train: 0.5 });
  const { train, validation, calibration } = splits;
  assert.equal([train.size, validation.size, calibration.size], [25, 5, 13]);
  assert.is(splitOfficial("toy", make(50), make(20, 100), { validation: 0.1, calibration: 4 }).train.size, 41);
});

test("asking for too much, or for what is no count, is refused", async () => {
  await failsWith(
    () => splitIndices("toy", 10, { train: 8, validation: 3 }, { order: "file", seed: 1 }),
    "DataError",
    "toy: the parts must have at most 10 samples together; got train 8 + validation 3 = 11.",
  );
  await failsWith(
    () => splitOfficial("toy", make(10), make(2, 10), { train: -1, validation: 1, calibration: 1 }),
    "DataError",
    "toy: train must be a whole number of at least 0, or a share below 1; got -1.",
  );
  await failsWith(
    () => splitOfficial("toy", make(10), make(2, 10), { validation: 1, calibration: 1, order: "random" as "file" }),
    "DataError",
    'toy: order must be one of shuffled, file; got "random".',
  );
});

test("a sample in two parts is found", () => {
  const splits = {
    ...splitOfficial("toy", make(10), make(2, 10), { validation: 1, calibration: 1 }),
    test: make(1, 5),
  };
  return failsWith(() => checkSplits("toy", splits), "DataError", sharedMessage(splits.train.ids.includes(5), splits));
});

function sharedMessage(isInTrain: boolean, { validation }: { validation: { ids: Int32Array } }): string {
  const other = isInTrain ? "train" : validation.ids.includes(5) ? "validation" : "calibration";
  return `toy: parts must not share a sample; got id 5 in ${other} and in test.`;
}
