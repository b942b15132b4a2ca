// Batches: their order, their positions, and what augmentation does to them.

import { createHash } from "node:crypto";
import { createAugmenter, drawBeta } from "../../data/augment.ts";
import { applyOperation, RAND_AUGMENT_OPERATIONS } from "../../data/augment-ops.ts";
import { createDataset, type ImageShape } from "../../data/dataset.ts";
import { type Batch, createLoader, type LoaderOptions } from "../../data/loader.ts";
import { Stream } from "../../data/random.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { pattern } from "./official.ts";

const test = suite("data loader");

const SHAPE: ImageShape = [6, 6, 3];
const data = createDataset({
  images: pattern(50 * 108),
  labels: Int32Array.from({ length: 50 }, (_, i) => i % 7),
  ids: Int32Array.from({ length: 50 }, (_, i) => 1000 + i),
  shape: SHAPE,
  classes: [..."abcdefg"],
  meta: { name: "toy", split: "train", mean: [0.2, 0.4, 0.6], std: [1, 1, 1] },
});
const FULL = {
  crop: 2,
  flip: 0.5,
  randAugment: { count: 2, magnitude: 9 },
  erase: { probability: 0.5 },
  mixup: 0.4,
} as const;

/** The batches from a position to the end of the epochs. */
function collect(
  options: LoaderOptions,
  { from = { epoch: 0, batch: 0 }, epochs = 1 }: { from?: Batch["position"]; epochs?: number } = {},
): Batch[] {
  const loader = createLoader(data, options);
  const batches: Batch[] = [];
  for (let at = from; at.epoch < epochs; at = loader.next(at)) batches.push(loader.at(at));
  return batches;
}

test("an epoch has every sample once, in an order of its own", () => {
  const batches = collect({ batch: 8 }, { epochs: 2 });
  assert.equal(
    batches.map(({ count }) => count),
    [8, 8, 8, 8, 8, 8, 2, 8, 8, 8, 8, 8, 8, 2],
  );
  const epochs = [0, 1].map((epoch) =>
    batches.filter(({ position }) => position.epoch === epoch).flatMap(({ ids }) => [...ids]),
  );
  for (const ids of epochs)
    assert.equal(
      [...ids].sort((a, b) => a - b),
      [...data.ids],
    );
  assert.not.equal(epochs[0], epochs[1]);
  for (const { ids, labels, images } of batches) {
    ids.forEach((id, i) => {
      const row = id - 1000;
      assert.is(labels[i], data.labels[row]);
      assert.equal(images.subarray(i * 108, (i + 1) * 108), data.images.subarray(row * 108, (row + 1) * 108));
    });
  }
});

test("a run resumed anywhere sees the batches of an undisturbed one", () => {
  const options = { batch: 8, seed: 3, last: "drop", augment: FULL } as const;
  const whole = collect(options, { epochs: 3 });
  assert.is(whole.length, 18);
  const loader = createLoader(data, options);
  for (const stop of [1, 5, 6, 7, 17]) {
    const from = loader.next(whole[stop - 1]!.position);
    assert.equal(collect(options, { from, epochs: 3 }), whole.slice(stop));
  }
  assert.equal(loader.at({ epoch: 2, batch: 3 }), whole[15]);
});

test("augmentation depends on seed, epoch and id, not on the batch", () => {
  const { mixup: _, ...augment } = FULL;
  const imageOf = (options: Partial<LoaderOptions>, epoch: number, id: number): number[] => {
    const loader = createLoader(data, { batch: 50, augment, ...options });
    for (let batch = 0; batch < loader.batchesPerEpoch; batch++) {
      const { ids, images } = loader.at({ epoch, batch });
      const i = ids.indexOf(id);
      if (i >= 0) return [...images.subarray(i * 108, (i + 1) * 108)];
    }
    throw new Error("no such id");
  };
  assert.equal(imageOf({}, 1, 1007), imageOf({ batch: 3, shuffle: false }, 1, 1007));
  assert.not.equal(imageOf({}, 1, 1007), imageOf({}, 2, 1007));
  assert.not.equal(imageOf({}, 1, 1007), imageOf({ seed: 2 }, 1, 1007));
});

test("a last batch is kept short, dropped or padded", () => {
  const keep = createLoader(data, { batch: 8, shuffle: false });
  assert.is(keep.batchesPerEpoch, 7);
  assert.equal([...keep.at({ epoch: 0, batch: 6 }).ids], [1048, 1049]);
  assert.is(createLoader(data, { batch: 8, last: "drop" }).batchesPerEpoch, 6);
  const padded = createLoader(data, { batch: 8, shuffle: false, last: "pad" }).at({ epoch: 0, batch: 6 });
  assert.is(padded.count, 2);
  assert.equal([...padded.ids], [1048, 1049, 1000, 1001, 1002, 1003, 1004, 1005]);
});

/** 40 of a, 9 of b, 3 of c, none of d. */
const SIZES = [40, 9, 3, 0];
const uneven = createDataset({
  images: pattern(52 * 108),
  labels: Int32Array.from(SIZES.flatMap((count, c) => new Array<number>(count).fill(c))),
  ids: Int32Array.from({ length: 52 }, (_, i) => 500 + i),
  shape: SHAPE,
  classes: [..."abcd"],
  meta: { name: "uneven", split: "train", mean: [0.2, 0.4, 0.6], std: [1, 1, 1] },
});

/** How often each image came in an epoch. */
function timesOf(classWeights: LoaderOptions["classWeights"], epoch: number): number[] {
  const loader = createLoader(uneven, { batch: 10, seed: 4, ...(classWeights && { classWeights }) });
  const times = new Array<number>(52).fill(0);
  for (let batch = 0; batch < loader.batchesPerEpoch; batch++) {
    const { ids, labels, rows, images } = loader.at({ epoch, batch });
    ids.forEach((id, i) => {
      times[id - 500]! += 1;
      assert.equal([labels[i], rows![i]], [uneven.labels[id - 500], id - 500]);
      assert.is(images[i * 108], uneven.images[(id - 500) * 108]);
    });
  }
  assert.is(
    times.reduce((a, b) => a + b, 0),
    52,
  );
  return times;
}

test("with class weights classes come in their shares, none of an image's class more often than it by two", () => {
  const perClass = (times: readonly number[]) =>
    SIZES.map((_, c) => times.reduce((sum, count, i) => sum + (uneven.labels[i] === c ? count : 0), 0));
  const mean = [0, 0, 0, 0];
  const weights = [1, 2, 0, 5];
  for (let epoch = 0; epoch < 60; epoch++) {
    const times = timesOf("balanced", epoch);
    perClass(times).forEach((count, c) => {
      mean[c]! += count / 60;
      assert.ok(Math.abs(count - (c < 3 ? 52 / 3 : 0)) < 1, `${count} of class ${c}`);
    });
    SIZES.forEach((size, c) => {
      const own = times.filter((_, i) => uneven.labels[i] === c);
      if (size > 0) assert.ok(Math.max(...own) - Math.min(...own) <= 1, `class ${c}: ${own}`);
    });
    // 40 of weight 1, 9 of weight 2, 3 of none.
    const found = perClass(timesOf(weights, epoch));
    [(52 * 40) / 58, (52 * 18) / 58, 0, 0].forEach((share, c) => {
      assert.ok(Math.abs(found[c]! - share) < 1, `${found} for ${weights}`);
    });
  }
  for (const c of [0, 1, 2]) assert.ok(Math.abs(mean[c]! - 52 / 3) < 0.2, `${mean}: chance must be fair`);
  assert.equal(timesOf("balanced", 3), timesOf("balanced", 3));
  assert.not.equal(timesOf("balanced", 3), timesOf("balanced", 4));
  assert.equal(timesOf(undefined, 2), new Array<number>(52).fill(1));
});

test("an image that comes again is augmented anew", () => {
  const { mixup: _, ...augment } = FULL;
  const loader = createLoader(uneven, { batch: 52, augment, classWeights: "balanced" });
  const { ids, images, rows } = loader.at({ epoch: 0, batch: 0 });
  assert.equal([rows, loader.hasRows], [undefined, false]);
  const same = [...ids].flatMap((id, i) => (id === 550 ? [[...images.subarray(i * 108, (i + 1) * 108)].join()] : []));
  assert.ok(same.length >= 5, `${same.length}`);
  assert.is(new Set(same).size, same.length);
  assert.equal(loader.options["classWeights"], "balanced");
});

test("class weights that do not fit are refused", async () => {
  const fails = (classWeights: unknown, message: string, more = {}) =>
    failsWith(
      () => createLoader(uneven, { batch: 8, classWeights, ...more } as LoaderOptions).at({ epoch: 0, batch: 0 }),
      "DataError",
      `createLoader: ${message}`,
    );
  const must = "classWeights must be balanced, or a number of at least 0 for each class, one of them above 0: 1,1,2.5";
  await fails([1, 2], "classWeights must be balanced, or 4 numbers, one for each class; got 2.");
  await fails([0, 0, 0, 1], "some class with a weight must have images; none of uneven/train has.");
  await fails([0, 0, 0, 0], `${must}; got [0,0,0,0].`);
  await fails("balance", `${must}; got "balance".`);
  await fails("balanced", "with classWeights the order must be drawn; got shuffle: false.", { shuffle: false });
});

test("options out of range are refused", async () => {
  const fails = (options: LoaderOptions, message: string) =>
    failsWith(() => createLoader(data, options), "DataError", message);
  await fails({ batch: 0 }, "createLoader: batch must be a whole number of at least 1; got 0.");
  await fails({ batch: 64, last: "drop" }, "createLoader: toy/train must fill a batch of 64; got 50 samples.");
  await fails({ batch: 8, augment: { flip: 2 } }, "augment: flip must be within 0 and 1; got 2.");
  await fails({ batch: 8, augment: { mixup: 0 } }, "augment: mixup must be above 0 and at most 1; got 0.");
  await fails({ batch: 8, augment: { crop: 1.5 } }, "augment: crop must be a whole number of at least 0; got 1.5.");
  await failsWith(
    () => createLoader(data, { batch: 8 }).at({ epoch: 0, batch: 7 }),
    "DataError",
    "loader: batch must be below 7; got 7.",
  );
});

test("crop and flip: every shift and both sides occur, and nothing else", () => {
  const shape: ImageShape = [3, 4, 1];
  const source = Uint8Array.from({ length: 12 }, (_, i) => i + 1);
  const expected = new Set<string>();
  for (const dy of [-1, 0, 1]) {
    for (const dx of [-1, 0, 1]) {
      for (const isFlipped of [false, true]) {
        const at = (y: number, x: number) => (y < 0 || y > 2 || x < 0 || x > 3 ? 0 : y * 4 + x + 1);
        expected.add(
          Array.from({ length: 12 }, (_, i) => {
            const [y, x] = [Math.floor(i / 4), i % 4];
            return at(y + dy, (isFlipped ? 3 - x : x) + dx);
          }).join(),
        );
      }
    }
  }
  const augment = createAugmenter({ crop: 1, flip: 0.5 }, shape, [0]);
  const seen = new Set<string>();
  const target = new Uint8Array(12);
  for (let i = 0; i < 500; i++) {
    augment(source, target, new Stream(1, "test", i));
    seen.add(target.join());
  }
  assert.equal([...seen].sort(), [...expected].sort());
});

test("erasing fills one rectangle of the area asked for with the mean colour", () => {
  const shape: ImageShape = [32, 32, 3];
  const augment = createAugmenter({ erase: { probability: 0.25, area: [0.05, 0.2] } }, shape, [0.2, 0.4, 0.6]);
  const source = new Uint8Array(32 * 32 * 3).fill(9);
  const target = new Uint8Array(source.length);
  let erased = 0;
  for (let i = 0; i < 2000; i++) {
    augment(source, target, new Stream(1, "erase", i));
    const hit = Array.from({ length: 1024 }, (_, p) => p).filter((p) => target[3 * p] !== 9);
    if (hit.length === 0) continue;
    erased++;
    const [rows, columns] = [hit.map((p) => p >> 5), hit.map((p) => p & 31)];
    const area = (Math.max(...rows) - Math.min(...rows) + 1) * (Math.max(...columns) - Math.min(...columns) + 1);
    assert.is(area, hit.length);
    // Whole pixels: sides are rounded.
    assert.ok(area > 0.03 * 1024 && area < 0.23 * 1024, `area ${area}`);
    assert.equal([...target.subarray(3 * hit[0]!, 3 * hit[0]! + 3)], [51, 102, 153]);
  }
  assert.ok(Math.abs(erased / 2000 - 0.25) < 0.04, `erased ${erased}`);
});

test("mixup blends by the share it reports", () => {
  const plain = createLoader(data, { batch: 10, seed: 5 });
  const mixing = createLoader(data, { batch: 10, seed: 5, augment: { mixup: 0.7 } });
  const position = { epoch: 1, batch: 2 };
  const [before, after] = [plain.at(position), mixing.at(position)];
  assert.equal(after.labels, before.labels);
  assert.equal([...after.mixed!.labels].sort(), [...before.labels].sort());
  after.labels.forEach((_, i) => {
    const share = after.mixed!.share[i]!;
    assert.ok(share >= 0.5 && share <= 1, `share ${share}`);
    const image = after.images.subarray(i * 108, (i + 1) * 108);
    const own = before.images.subarray(i * 108, (i + 1) * 108);
    // Some image of the batch with the partner's label explains every pixel.
    const explains = Array.from({ length: 10 }, (_, k) => k).some(
      (k) =>
        before.labels[k] === after.mixed!.labels[i] &&
        image.every((x, p) => Math.abs(x - (share * own[p]! + (1 - share) * before.images[k * 108 + p]!)) <= 0.51),
    );
    assert.ok(explains, `row ${i}`);
  });
});

test("Beta(alpha, alpha) has mean 1/2 and variance 1 / (4 (2 alpha + 1))", () => {
  for (const alpha of [0.2, 0.5, 1]) {
    const stream = new Stream(1, "beta");
    const values = Array.from({ length: 8000 }, () => drawBeta(alpha, stream));
    const mean = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
    assert.ok(Math.abs(mean - 0.5) < 0.02, `mean ${mean}`);
    assert.ok(Math.abs(variance * 4 * (2 * alpha + 1) - 1) < 0.06, `variance ${variance}`);
  }
});

/**
 * What Pillow 12.3 makes of an image by torchvision's calls (`_apply_op` with the ranges of `RandAugment`), as the
 * first eight digits of SHA-1: in colour, then in grey, each by magnitude 9 and sign +, 9 -, 30 +, 30 -.
 */
const PILLOW = `
  identity aea121aa aea121aa aea121aa aea121aa e207acfe e207acfe e207acfe e207acfe
  shearX 75426915 90383ab8 c1b7b411 97018936 b150e17b a5a960ef 4a7ef83d 40f9eed5
  shearY f10b0298 b0dad9f4 7e5ba850 8ecdaf69 32ed1dd8 80d14d12 f4adbb2b 709a3011
  translateX e0bab7bd e5daa940 551bc033 786c9077 7cf803ce ad0797d6 1704860c be4edab4
  translateY 82999ded 21be6528 771b60ad 78e48c15 c834db28 4bdabff5 506042b2 5f6447c7
  rotate 01379e81 0b4d1ee1 fa0edc8d 928afbf0 6958299b 9c0140bf 8fb26624 c6367d67
  brightness 3344272a 09b1d3d3 d4b97209 7cfcff21 1d7046bb 3afd727e 9e5520ae dd946fe1
  color 951f14d7 8c3894ef e75cccef 5df60b33 e207acfe e207acfe e207acfe e207acfe
  contrast bc40042e 5a9d5b60 1e5fa89c 308bf99d 738ffb5e b5617977 f9bf8221 ba6465ff
  sharpness cc3a9b84 ba32f29e 527f1b7a 3a19b025 a3a8aca0 46b39b80 d3314e1b b5654297
  posterize 9dfb4a21 9dfb4a21 3df09327 3df09327 958bf60d 958bf60d ac32a67f ac32a67f
  solarize bdd33075 bdd33075 ae25dc06 ae25dc06 448e80c1 448e80c1 b0b87b46 b0b87b46
  autoContrast d51e304c d51e304c d51e304c d51e304c b15b696d b15b696d b15b696d b15b696d
  equalize c6582cad c6582cad c6582cad c6582cad d166f775 d166f775 d166f775 d166f775`;

test("each RandAugment operation gives torchvision's bytes", () => {
  const [height, width] = [24, 20];
  const lines = PILLOW.trim()
    .split("\n")
    .map((line) => line.trim().split(" "));
  assert.equal(
    lines.map(([name]) => name),
    RAND_AUGMENT_OPERATIONS,
  );
  for (const [name, ...hashes] of lines) {
    const found = [3, 1].flatMap((channels) => {
      const image = Uint8Array.from({ length: height * width * channels }, (_, i) => {
        const [c, x, y] = [i % channels, Math.floor(i / channels) % width, Math.floor(i / channels / width)];
        const value = ((x * 7 + y * 13 + c * 50) ^ (x * y)) & 255;
        // Of a full range there is nothing to stretch.
        if (name === "autoContrast") return 40 + (value >> 1);
        return name === "equalize" ? Math.floor(value / 3) : value;
      });
      return [9, 30].flatMap((magnitude) =>
        [1, -1].map((sign) => {
          const changed = image.slice();
          applyOperation(name!, changed, [height, width, channels], magnitude / 30, sign);
          return createHash("sha1").update(changed).digest("hex").slice(0, 8);
        }),
      );
    });
    assert.equal(found, hashes, name);
  }
});

test("each RandAugment operation does what its name says", () => {
  const apply = (name: string, values: readonly number[], shape: ImageShape, strength: number, sign = 1): number[] => {
    const image = Uint8Array.from(values);
    applyOperation(name, image, shape, strength, sign);
    return [...image];
  };
  const row: ImageShape = [1, 4, 1];
  assert.equal(apply("identity", [1, 2, 3, 4], row, 1), [1, 2, 3, 4]);
  // Of 4 x 150 / 331 = 1.81 pixels, the whole ones.
  assert.equal(apply("translateX", [1, 2, 3, 4], row, 1), [0, 1, 2, 3]);
  assert.equal(apply("translateX", [1, 2, 3, 4], row, 1, -1), [2, 3, 4, 0]);
  assert.equal(apply("translateY", [1, 2, 3, 4], [4, 1, 1], 1), [0, 1, 2, 3]);
  assert.equal(apply("brightness", [0, 100, 200, 255], row, 1 / 0.9 / 2), [0, 150, 255, 255]);
  assert.equal(apply("brightness", [0, 100, 200, 255], row, 1 / 0.9 / 2, -1), [0, 50, 100, 127]);
  assert.equal(apply("contrast", [0, 100, 100, 200], row, 1 / 0.9 / 2, -1), [50, 100, 100, 150]);
  assert.equal(apply("color", [100, 0, 0], [1, 1, 3], 1 / 0.9, -1), [30, 30, 30]);
  assert.equal(apply("posterize", [255, 17, 16, 15], row, 1), [240, 16, 16, 0]);
  assert.equal(apply("solarize", [0, 100, 200, 255], row, 0.5), [0, 100, 55, 0]);
  assert.equal(apply("autoContrast", [50, 100, 125, 150], row, 0), [0, 127, 191, 255]);
  assert.equal(apply("autoContrast", [7, 7, 7, 7], row, 0), [7, 7, 7, 7]);
  const dot = [0, 0, 0, 0, 130, 0, 0, 0, 0];
  assert.equal(apply("sharpness", dot, [3, 3, 1], 1 / 0.9, -1), [0, 0, 0, 0, 50, 0, 0, 0, 0]);
  // 5 x 5, numbered from 1. Rotated by 30 degrees, the middle stays, and what is beside the middle of the top row comes
  // there.
  const big = Array.from({ length: 25 }, (_, i) => i + 1);
  const turned = [1, -1].map((sign) => apply("rotate", big, [5, 5, 1], 1, sign));
  assert.equal(
    turned.map((image) => [image[2], image[12]]),
    [
      [4, 13],
      [2, 13],
    ],
  );
  // Sheared about the upper left corner: the lower a row, the farther it moves.
  const sheared = apply("shearX", big, [5, 5, 1], 1);
  assert.equal(
    [sheared.slice(0, 5), sheared.slice(10, 15), sheared.slice(20)],
    [
      [1, 2, 3, 4, 5],
      [12, 13, 14, 15, 0],
      [22, 23, 24, 25, 0],
    ],
  );
  // Values of an even spread stay; a crowd of few values is spread over all.
  const even = Array.from({ length: 512 }, (_, i) => i >> 1);
  assert.equal(apply("equalize", even, [16, 32, 1], 0).slice(0, 6), [0, 0, 1, 1, 2, 2]);
  const crowd = Array.from({ length: 512 }, (_, i) => 100 + (i >> 8));
  assert.equal([...new Set(apply("equalize", crowd, [16, 32, 1], 0))], [0, 255]);
});

test("no operation changes an image at strength 0, but for contrast and histogram ones", () => {
  const image = pattern(108);
  const free = ["autoContrast", "equalize", "solarize"];
  for (const name of RAND_AUGMENT_OPERATIONS.filter((name) => !free.includes(name))) {
    const copy = image.slice();
    applyOperation(name, copy, SHAPE, 0, 1);
    assert.equal(copy, image, name);
  }
  assert.is(RAND_AUGMENT_OPERATIONS.length, 14);
});
