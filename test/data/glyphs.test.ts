// The embedded data set: the same from its seed everywhere, and as hard as it says.

import { createHash } from "node:crypto";
import { channelStatistics, countClasses, head, imageAt } from "../../data/dataset.ts";
import { drawGlyph, GLYPH_CLASSES, GLYPH_FACTORS, glyphs } from "../../data/glyphs.ts";
import { Stream } from "../../data/random.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("data glyphs");

const sizes = { train: 60, validation: 20, calibration: 20, test: 30 };
const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

test("the images of seed 1 are these, on any platform", () => {
  const { train, test } = glyphs(sizes);
  assert.equal([hash(train.images), hash(test.images)], ["229deed4e2ebb54f", "91a7588e0d095f3a"]);
  assert.not.equal(hash(glyphs({ ...sizes, seed: 2 }).train.images), hash(train.images));
});

test("asking for more adds samples and changes none, in no part", () => {
  const few = glyphs(sizes);
  const more = glyphs({ ...sizes, train: 90, test: 31 });
  assert.equal(head(more.train, 60).images, few.train.images);
  assert.equal(head(more.test, 30).images, few.test.images);
  assert.equal(more.calibration.images, few.calibration.images);
});

test("ids are unique over the parts, classes are balanced, factors are kept", () => {
  const splits = glyphs(sizes);
  const parts = [splits.train, splits.validation, splits.calibration, splits.test];
  const ids = parts.flatMap((part) => [...part.ids]);
  assert.is(new Set(ids).size, 130);
  for (const part of parts) {
    assert.equal(part.classes, GLYPH_CLASSES);
    assert.is(new Set(countClasses(part)).size, 1);
    assert.equal(Object.keys(part.columns), [...GLYPH_FACTORS]);
    for (let i = 0; i < part.size; i++) {
      const [difficulty, ...others] = GLYPH_FACTORS.map((name) => part.columns[name]![i]!);
      assert.ok(difficulty! >= 0 && difficulty! < 1);
      for (const other of others) assert.ok(other >= 0.49 * difficulty! && other <= difficulty!);
    }
  }
});

test("difficulty stays in the range asked for", () => {
  const { train } = glyphs({ ...sizes, difficulty: [0.2, 0.3] });
  for (const difficulty of train.columns["difficulty"]!) assert.ok(difficulty >= 0.2 && difficulty < 0.3001);
});

test("the constants for normalisation are those of the images", () => {
  const { train } = glyphs({ ...sizes, train: 1000 });
  const { mean, std } = channelStatistics(train);
  assert.ok(Math.abs(mean[0]! - train.meta.mean[0]!) < 0.01, `mean ${mean}`);
  assert.ok(Math.abs(std[0]! - train.meta.std[0]!) < 0.01, `std ${std}`);
});

test("the harder, the farther from the class's clean picture", () => {
  const distance = (difficulty: number): number => {
    let sum = 0;
    for (let label = 0; label < 10; label++) {
      const clean = drawGlyph(label, 0, new Stream(5, "clean", label)).image;
      for (let i = 0; i < 10; i++) {
        const { image } = drawGlyph(label, difficulty, new Stream(5, "drawn", label, i));
        sum += Math.sqrt(image.reduce((total, x, p) => total + (x - clean[p]!) ** 2, 0));
      }
    }
    return sum / 100;
  };
  const distances = [0, 0.25, 0.5, 0.75, 1].map(distance);
  for (let i = 1; i < distances.length; i++) assert.ok(distances[i]! > distances[i - 1]!, distances.join(" "));
});

test("easy samples are told apart by the nearest clean picture, hard ones are not", () => {
  const clean = GLYPH_CLASSES.map((_, label) => drawGlyph(label, 0, new Stream(9, "clean", label)).image);
  const accuracy = (difficulty: [number, number]): number => {
    const { test } = glyphs({ train: 0, validation: 0, calibration: 0, test: 200, difficulty });
    let right = 0;
    for (let i = 0; i < test.size; i++) {
      const image = imageAt(test, i);
      const far = clean.map((other) => other.reduce((sum, x, p) => sum + (x - image[p]!) ** 2, 0));
      if (far.indexOf(Math.min(...far)) === test.labels[i]) right++;
    }
    return right / test.size;
  };
  const [easy, hard] = [accuracy([0, 0.1]), accuracy([0.8, 1])];
  assert.ok(easy > 0.9, `easy ${easy}`);
  assert.ok(hard < 0.6, `hard ${hard}`);
});

test("counts and difficulties out of range are refused", async () => {
  await failsWith(
    () => glyphs({ train: 1.5 }),
    "DataError",
    "glyphs: train must be a whole number of at least 0; got 1.5.",
  );
  await failsWith(
    () => glyphs({ difficulty: [0.5, 1.2] }),
    "DataError",
    "glyphs: difficulty must be two numbers within 0 and 1; got [0.5,1.2].",
  );
  await failsWith(
    () => glyphs({ difficulty: [0.5, 0.2] }),
    "DataError",
    "glyphs: the hardest difficulty must be within 0.5 and 1; got 0.2.",
  );
});
