// Augmentation that flags ask for: random resized crops, colours, rectangles of other images; each drawn from seed,
// epoch and sample alone.

import { createAugmenter } from "../../data/augment.ts";
import { turnHues } from "../../data/augment-ops.ts";
import {
  AUGMENTATION,
  augmentationOf,
  createDataset,
  createLoader,
  type ImageShape,
  type LoaderOptions,
  resize,
  Stream,
} from "../../data/index.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("data: augmentation");
const SHAPE: ImageShape = [24, 20, 3];
const PIXELS = 24 * 20 * 3;

const image = (seed: number) => {
  const stream = new Stream(seed, "image");
  return Uint8Array.from({ length: PIXELS }, () => 40 + stream.integer(170));
};

const data = createDataset({
  images: Uint8Array.from({ length: 40 * PIXELS }, (_, i) => (7 * (i % PIXELS) + 31 * Math.floor(i / PIXELS)) % 251),
  labels: Int32Array.from({ length: 40 }, (_, i) => i % 5),
  shape: SHAPE,
  classes: [..."abcde"],
  meta: { name: "toy", split: "train", mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2] },
});

test("a random resized crop is a part of the image, of torchvision's areas and aspects, resized as Pillow does", () => {
  const source = image(1).subarray(0, 12 * 10 * 3);
  const augment = createAugmenter({ zoom: 0.3 }, [12, 10, 3], [0, 0, 0]);
  const target = new Uint8Array(12 * 10 * 3);
  const found = new Set<string>();
  for (let i = 0; i < 10; i++) {
    augment(source, target, new Stream(1, "test", i));
    let place = "";
    for (let h = 1; h <= 12 && !place; h++) {
      for (let w = 1; w <= 10 && !place; w++) {
        // Rounded sides may exceed the bounds a little.
        const [area, aspect] = [(h * w) / 120, h / w];
        if (area < 0.2 || aspect < 0.6 || aspect > 1.7) continue;
        for (let top = 0; top + h <= 12 && !place; top++) {
          for (let left = 0; left + w <= 10 && !place; left++) {
            const part = cut(source, top, left, h, w);
            const made = resize({ height: h, width: w, channels: 3, data: part }, 12, 10).data;
            if (made[0] === target[0] && made.every((value, k) => value === target[k]))
              place = [h, w, top, left].join();
          }
        }
      }
    }
    assert.ok(place, `image ${i} is no part`);
    found.add(place);
  }
  assert.ok(found.size > 6, [...found].join(" "));
});

function cut(source: Uint8Array, top: number, left: number, h: number, w: number): Uint8Array {
  return Uint8Array.from(
    { length: h * w * 3 },
    (_, i) => source[((top + Math.floor(i / 3 / w)) * 10 + left + (Math.floor(i / 3) % w)) * 3 + (i % 3)]!,
  );
}

test("colour jitter changes what it is told to, within its bounds", () => {
  const source = image(2);
  const changes = (jitter: readonly number[]) => {
    const augment = createAugmenter({ jitter }, SHAPE, [0, 0, 0]);
    return Array.from({ length: 40 }, (_, i) => {
      const target = new Uint8Array(PIXELS);
      augment(source, target, new Stream(1, "test", i));
      return target;
    });
  };
  const ratios = changes([0.2, 0, 0]).map((target) => {
    const sum = (values: Uint8Array) => values.reduce((a, b) => a + b, 0);
    return sum(target) / sum(source);
  });
  assert.ok(Math.min(...ratios) > 0.79 && Math.max(...ratios) < 1.21, ratios.join(" "));
  assert.ok(Math.min(...ratios) < 0.87 && Math.max(...ratios) > 1.13, ratios.join(" "));
  for (const jitter of [
    [0, 0.4, 0],
    [0, 0, 0.4],
    [0.4, 0.4, 0.4],
  ])
    assert.ok(new Set(changes(jitter).map(String)).size > 30, jitter.join());
  for (const target of changes([0, 0, 0])) assert.equal(target, source);
});

test("hues turn as Python's colorsys turns them, and jitter turns them no further than it is told to", async () => {
  const turned = (colour: readonly number[], turn: number) => {
    const image = Uint8Array.from(colour);
    turnHues(image, [1, 1, 3], turn);
    return [...image];
  };
  for (const [colour, turn, expected] of [
    [[255, 0, 0], 1 / 3, [0, 255, 0]],
    [[255, 0, 0], -1 / 3, [0, 0, 255]],
    [[90, 90, 90], 0.3, [90, 90, 90]],
    [[200, 120, 40], 0.1, [184, 200, 40]],
    [[10, 180, 220], -0.3, [138, 220, 10]],
    [[91, 90, 250], 0.5, [249, 250, 90]],
    [[250, 249, 3], 0.01, [236, 250, 3]],
  ] as const)
    assert.equal(turned(colour, turn), [...expected], colour.join());

  const source = image(2);
  const target = new Uint8Array(PIXELS);
  createAugmenter({ jitter: [0, 0, 0, 0.1] }, SHAPE, [0, 0, 0])(source, target, new Stream(1, "test", 3));
  assert.not.equal(target, source);
  for (let i = 0; i < PIXELS; i += 3) {
    const [before, after] = [source.subarray(i, i + 3), target.subarray(i, i + 3)];
    assert.is(Math.max(...after), Math.max(...before), "values stay");
    assert.is(Math.min(...after), Math.min(...before), "saturation stays");
    const turns = [-60, 60].map((step) =>
      Math.min(
        ...Array.from({ length: 61 }, (_, k) => {
          const there = turned([...before], (0.1 * k) / step);
          return Math.max(...there.map((value, c) => Math.abs(value - after[c]!)));
        }),
      ),
    );
    assert.ok(Math.min(...turns) <= 3, `${before} becomes ${after}`);
  }
  await failsWith(
    () => createAugmenter({ jitter: [0, 0, 0, 0.6] }, SHAPE, [0, 0, 0]),
    "DataError",
    "augment: the fourth of jitter, for hue, must be within 0 and 0.5; got 0.6.",
  );
});

test("cutmix shows a rectangle of another image, and says by its area how much of the own is left", () => {
  const plain = createLoader(data, { batch: 10, seed: 5 });
  const mixing = createLoader(data, { batch: 10, seed: 5, augment: { cutmix: 1 } });
  assert.is(mixing.isMixed, true);
  const shares: number[] = [];
  for (let batch = 0; batch < 4; batch++) {
    const [before, after] = [plain.at({ epoch: 1, batch }), mixing.at({ epoch: 1, batch })];
    after.labels.forEach((_, i) => {
      const own = before.images.subarray(i * PIXELS, (i + 1) * PIXELS);
      const seen = after.images.subarray(i * PIXELS, (i + 1) * PIXELS);
      const partner = [...before.labels.keys()].find((k) => {
        const other = before.images.subarray(k * PIXELS, (k + 1) * PIXELS);
        return (
          before.labels[k] === after.mixed!.labels[i] &&
          seen.every((value, p) => value === own[p] || value === other[p])
        );
      });
      assert.ok(partner !== undefined, `row ${i}`);
      const changed = Array.from({ length: 480 }, (_, p) => p).filter((p) =>
        [0, 1, 2].some((c) => seen[3 * p + c] !== own[3 * p + c]),
      );
      const share = after.mixed!.share[i]!;
      // Pixels may be alike by chance; none outside of the rectangle changes.
      assert.ok(1 - changed.length / 480 >= share - 1e-6, `share ${share}, ${changed.length} changed`);
      shares.push(share);
    });
  }
  assert.ok(new Set(shares).size > 15, shares.join(" "));
  // As published, the other image may be seen more than the own one.
  assert.ok(Math.min(...shares) < 0.4 && Math.max(...shares) > 0.9, shares.join(" "));
});

test("what flags ask for is a function of seed, epoch and sample: a resumed run sees the same", async () => {
  const augment = augmentationOf({
    zoom: 0.2,
    jitter: [0.4, 0.4, 0.4],
    randAugment: [2, 9],
    erase: 0.5,
    mixup: 0.4,
    cutmix: 1,
  });
  assert.equal(augment, {
    ...{ zoom: 0.2, jitter: [0.4, 0.4, 0.4], mixup: 0.4, cutmix: 1 },
    ...{ randAugment: { count: 2, magnitude: 9 }, erase: { probability: 0.5 } },
  });
  const loader = (options: Partial<LoaderOptions> = {}) => createLoader(data, { batch: 8, augment, ...options });
  const first = loader();
  const run = Array.from({ length: 10 }, (_, t) => first.at({ epoch: Math.floor(t / 5), batch: t % 5 }));
  assert.equal(loader().at({ epoch: 1, batch: 3 }), run[8]);
  assert.not.equal(loader({ seed: 2 }).at({ epoch: 1, batch: 3 }).images, run[8]!.images);
  assert.equal(loader().options["augment"], augment);
  assert.equal(augmentationOf({}), {});
  assert.equal(Object.keys(AUGMENTATION), ["crop", "zoom", "jitter", "randAugment", "erase", "mixup", "cutmix"]);
  await failsWith(
    () => loader({ augment: { zoom: 0.5, crop: 2 } }),
    "DataError",
    "augment: zoom and crop must not both be given, as each cuts out; got 0.5 and 2.",
  );
  const [height, width] = data.shape;
  const side = Math.min(height, width);
  loader({ augment: { crop: side } }).at({ epoch: 0, batch: 0 });
  await failsWith(
    () => loader({ augment: { crop: side + 1 } }),
    "DataError",
    `augment: crop must be at most the side of images of ${height} x ${width}; got ${side + 1}.`,
  );
});
