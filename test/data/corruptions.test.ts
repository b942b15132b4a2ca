// Corruptions against their formulas, their statistics and each other; and the published folders' layout.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jpegQuantised } from "../../data/corruptions/jpeg.ts";
import { poisson } from "../../data/corruptions/noise.ts";
import { boxResized, disk, gaussian, type Pixels, rounded, sample, zoomed } from "../../data/corruptions/pixels.ts";
import { plasma } from "../../data/corruptions/weather.ts";
import {
  CORRUPTIONS,
  corrupt,
  createDataset,
  type Dataset,
  encodeNpy,
  readCorrupted,
  SEVERITIES,
  Stream,
  subset,
} from "../../data/index.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("data: corruptions");
const folder = mkdtempSync(join(tmpdir(), "sortie-corruptions-"));
test.after(() => rmSync(folder, { recursive: true }));

/** Smooth pictures with an edge, of an odd size. */
function pictures(size: number, height: number, width: number, channels: number): Dataset {
  const images = new Uint8Array(size * height * width * channels);
  for (let at = 0; at < images.length; at++) {
    const c = at % channels;
    const pixel = Math.floor(at / channels);
    const [i, y, x] = [Math.floor(pixel / (height * width)), Math.floor(pixel / width) % height, pixel % width];
    const wave = Math.sin((x + 2 * c) / 3 + i) * Math.cos(y / 4 + c);
    images[at] = Math.round(110 + 60 * wave + (x > width / 2 ? 50 : 0));
  }
  return createDataset({
    images,
    labels: Int32Array.from({ length: size }, (_, i) => i % 2),
    ids: Int32Array.from({ length: size }, (_, i) => 70 + i),
    shape: [height, width, channels],
    classes: ["a", "b"],
    meta: { name: "waves", split: "test", mean: new Array(channels).fill(0.5), std: new Array(channels).fill(0.25) },
  });
}

const colour = pictures(3, 33, 37, 3);
const picture = (height: number, width: number, channels: number, of: (at: number) => number): Pixels => ({
  height,
  width,
  channels,
  data: Float64Array.from({ length: height * width * channels }, (_, at) => of(at)),
});
const apart = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, value, i) => sum + Math.abs(value - b[i]!), 0) / a.length;

test("there are fifteen that count and four more", () => {
  const extra = Object.values(CORRUPTIONS).flatMap(({ name, isExtra }) => (isExtra ? [name] : []));
  assert.equal(extra.sort(), ["gaussian_blur", "saturate", "spatter", "speckle_noise"]);
  assert.is(Object.keys(CORRUPTIONS).length, 19);
});

for (const name of Object.keys(CORRUPTIONS)) {
  test(`${name}: changes images of one, three and four channels more as severity rises, the same way each time`, () => {
    const far = SEVERITIES.map((severity) => {
      const made = corrupt(colour, { name, severity, seed: 4 });
      assert.equal(made.images, corrupt(colour, { name, severity, seed: 4 }).images, "the same again");
      assert.equal([made.labels, made.ids, made.shape], [colour.labels, colour.ids, colour.shape]);
      // An image's draws are its own.
      const alone = corrupt(subset(colour, Int32Array.of(2)), { name, severity, seed: 4 });
      assert.equal(alone.images, subset(made, Int32Array.of(2)).images);
      return apart(made.images, colour.images);
    });
    assert.ok(
      far.every((distance) => distance > 0.2),
      `changed by ${far}`,
    );
    if (!["saturate", "elastic_transform", "glass_blur", "frost", "snow", "spatter"].includes(name))
      assert.ok(far[4]! > 1.2 * far[0]!, `changed by ${far}`);
    const random = /noise|glass|motion|snow|frost|fog|spatter|elastic/.test(name);
    const other = corrupt(colour, { name, severity: 5, seed: 5 }).images;
    assert.is(apart(other, corrupt(colour, { name, severity: 5, seed: 4 }).images) > 0, random);
    for (const channels of [1, 4]) {
      const grey = pictures(2, 20, 28, channels);
      const far = apart(corrupt(grey, { name, severity: 5 }).images, grey.images);
      assert.is(far > 0.2, name !== "saturate", `${channels} channels: changed by ${far}`);
    }
  });
}

test("noise has the published deviations, shares and variances", () => {
  const flat = createDataset({ ...colour, images: new Uint8Array(colour.images.length).fill(128) });
  const moments = (name: string, severity: 1 | 3) => {
    const values = Array.from(corrupt(flat, { name, severity }).images, (byte) => (byte + 0.5) / 255);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    return { values, mean, deviation: Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length) };
  };
  const x = 128 / 255;
  for (const [name, severity, deviation] of [
    ["gaussian_noise", 1, 0.04],
    ["gaussian_noise", 3, 0.08],
    ["shot_noise", 1, Math.sqrt(x / 500)],
    ["shot_noise", 3, Math.sqrt(x / 100)],
    ["speckle_noise", 3, 0.12 * x],
  ] as const) {
    const found = moments(name, severity);
    assert.ok(Math.abs(found.mean - x) < 0.004, `${name} ${severity}: mean ${found.mean}`);
    assert.ok(Math.abs(found.deviation / deviation - 1) < 0.04, `${name} ${severity}: deviation ${found.deviation}`);
  }
  const { images } = corrupt(flat, { name: "impulse_noise", severity: 3 });
  const share = (of: number) => images.filter((byte) => byte === of).length / images.length;
  assert.ok(
    Math.abs(share(0) - 0.015) < 0.004 && Math.abs(share(255) - 0.015) < 0.004,
    `${share(0)} and ${share(255)}`,
  );
});

test("Poisson numbers have mean and variance of their law, small and large", () => {
  for (const mean of [0, 0.5, 3, 9.9, 10.1, 40, 300]) {
    const stream = new Stream(1, "poisson");
    const found = Array.from({ length: 20_000 }, () => poisson(mean, stream));
    const average = found.reduce((a, b) => a + b, 0) / found.length;
    const variance = found.reduce((a, b) => a + (b - average) ** 2, 0) / found.length;
    assert.ok(Math.abs(average - mean) <= 4 * Math.sqrt(mean / 20_000), `mean ${average} of ${mean}`);
    assert.ok(Math.abs(variance - mean) <= 0.05 * mean, `variance ${variance} of ${mean}`);
  }
});

test("a Gaussian filter is its two-dimensional sum; disks and boxes keep the light", () => {
  const x = picture(9, 11, 2, (at) => ((at * 37) % 101) / 101);
  const [sigma, reach] = [0.8, 3];
  const bell = (d: number) => Math.exp(-(d * d) / (2 * sigma * sigma));
  const norm = Array.from({ length: 7 }, (_, i) => bell(i - reach)).reduce((a, b) => a + b, 0) ** 2;
  const near = (i: number, size: number) => Math.min(size - 1, Math.max(0, i));
  const got = gaussian(x, sigma);
  for (let at = 0; at < x.data.length; at++) {
    const [c, j, i] = [at % 2, Math.floor(at / 2) % 11, Math.floor(at / 22)];
    let want = 0;
    for (let dy = -reach; dy <= reach; dy++)
      for (let dx = -reach; dx <= reach; dx++)
        want += (bell(dy) * bell(dx) * x.data[(near(i + dy, 9) * 11 + near(j + dx, 11)) * 2 + c]!) / norm;
    assert.ok(Math.abs(got.data[at]! - want) < 1e-12);
  }
  for (const [radius, soft] of [
    [0.3, 0.4],
    [1.5, 0.1],
    [4, 1],
  ] as const) {
    const sum = disk(radius, soft).reduce((all, [, , weight]) => all + weight, 0);
    assert.ok(Math.abs(sum - 1) < 1e-9, `a disk of ${radius} sums to ${sum}`);
  }
  const thirds = boxResized(x, 3, 11).data;
  const row = (i: number, at: number) => rounded(x).data[i * 22 + at]!;
  for (const [at, got] of thirds.entries()) {
    const [first, of] = [3 * Math.floor(at / 22), at % 22];
    const mean = (row(first, of) + row(first + 1, of) + row(first + 2, of)) / 3;
    assert.ok(Math.abs(255 * got - Math.round(255 * mean)) < 1e-9, `three rows each: ${at}`);
  }
  assert.equal(boxResized(x, 9, 11).data, rounded(x).data);
  const ramp = picture(16, 16, 1, (at) => (at % 16) / 16);
  assert.ok(Math.abs(sample(ramp, 3, 4.25, 0) - 4.25 / 16) < 1e-12);
  assert.equal(zoomed(ramp, 1).data, ramp.data);
  // The middle of a ramp, twice as large, is a ramp of half the slope.
  const twice = zoomed(ramp, 2);
  assert.ok(Math.abs(twice.data[9]! - twice.data[8]! - 7 / 15 / 16) < 1e-12);
});

test("pictures shrink and grow as Pillow does it, and grow from their middle as SciPy does it", () => {
  const bytes = picture(10, 9, 1, (at) => {
    const [i, j] = [Math.floor(at / 9), at % 9];
    return ((37 * i + 91 * j + ((i * j) % 7) * 23) % 256) / 255;
  });
  // Image.resize((7, 8), BOX) and back, of Pillow 12.3.
  const small = [
    ...[0, 137, 17, 108, 199, 80, 216, 56, 116, 176, 221, 91, 199, 50, 111, 95, 174, 78, 77, 237, 140, 148, 86, 24],
    ...[46, 229, 134, 200, 185, 158, 225, 175, 220, 32, 4, 113, 121, 48, 127, 207, 70, 142, 40, 83, 126, 240, 98],
    ...[189, 23, 77, 155, 232, 208, 89, 214, 83],
  ];
  const shrunk = boxResized(bytes, 8, 7);
  for (const [at, want] of small.entries()) assert.is(Math.round(255 * shrunk.data[at]!), want, `${at}`);
  const grown = boxResized(shrunk, 10, 9);
  const columns = [0, 1, 1, 2, 3, 4, 5, 5, 6];
  const rows = [0, 1, 2, 2, 3, 4, 5, 6, 6, 7];
  for (const [i, row] of rows.entries())
    for (const [j, column] of columns.entries())
      assert.is(grown.data[i * 9 + j], shrunk.data[row * 7 + column], `${i}, ${j}`);
  const pixels = picture(9, 9, 1, (at) => ((at * 37) % 101) / 101);
  const wanted = [
    [
      1.15,
      0,
      [0, 0.32054455445544555, 0.6410891089108911, 0.33663366336633666, 0.2821782178217822, 0.6027227722772277],
    ],
    [1.75, 36, [0.32343234323432346, 0.5269526952695269, 0.7057816892800393, 0.7858452511917858, 0.7424520229800756]],
  ] as const;
  for (const [factor, first, values] of wanted)
    for (const [k, value] of values.entries())
      assert.ok(Math.abs(zoomed(pixels, factor).data[first + k]! - value) < 1e-12, `${factor}: ${k}`);
});

test("what the public code does besides what it says is done too", () => {
  const first = subset(colour, Int32Array.of(0));
  const floats: Pixels = { height: 33, width: 37, channels: 3, data: Float64Array.from(first.images, (b) => b / 255) };
  // numpy.arange(1, 1.06, 0.01) ends at 1.06, numpy.arange(1, 1.16, 0.01) at 1.15.
  for (const [severity, last] of [
    [1, 6],
    [3, 15],
  ] as const) {
    const steps = [floats, ...Array.from({ length: last + 1 }, (_, i) => zoomed(floats, 1 + i / 100))];
    const made = corrupt(first, { name: "zoom_blur", severity }).images;
    for (let at = 0; at < made.length; at += 17) {
      const mean = steps.reduce((sum, { data }) => sum + data[at]!, 0) / steps.length;
      assert.is(made[at], Math.floor(255 * mean + 1e-9), `${severity}: ${at}`);
    }
  }
  // Its swap of two pixels is a copy: colours get lost, and none appears.
  const coloured = createDataset({ ...first, images: first.images.map((_, at) => (at * 7) % 251) });
  const pixelsOf = ({ images }: Dataset) =>
    Array.from({ length: images.length / 3 }, (_, i) => images.subarray(3 * i, 3 * i + 3).join(" "));
  const [before, after] = [pixelsOf(coloured), pixelsOf(corrupt(coloured, { name: "glass_blur", severity: 1 }))];
  assert.ok(after.every((pixel) => before.includes(pixel)));
  assert.ok(new Set(after).size < new Set(before).size);
  // OpenCV mirrors without repeating the edge: an edge pixel sees its second neighbour once more.
  const line = picture(1, 5, 1, (at) => at / 8);
  assert.is(sample(line, 0, -1, 0, "mirror"), 1 / 8);
  assert.is(sample(line, 0, -1, 0), 0);
  assert.is(sample(line, 0, 6, 0, "mirror"), 2 / 8);
});

test("contrast, brightness and colour follow their formulas", () => {
  const value = (set: Dataset, at: number) => set.images[at]! / 255;
  const first = subset(colour, Int32Array.of(0));
  const pale = corrupt(first, { name: "contrast", severity: 2 });
  const means = [0, 1, 2].map((c) => {
    const own = Array.from(first.images).filter((_, at) => at % 3 === c);
    return own.reduce((a, b) => a + b, 0) / own.length / 255;
  });
  const bright = corrupt(first, { name: "brightness", severity: 3 });
  const grey = corrupt(first, { name: "saturate", severity: 2 });
  for (let at = 0; at < first.images.length; at += 3) {
    const rgb = [0, 1, 2].map((c) => value(first, at + c));
    const [most, least] = [Math.max(...rgb), Math.min(...rgb)];
    rgb.forEach((x, c) => {
      const wanted = [
        [pale, (x - means[c]!) * 0.5 + means[c]!],
        // The value grows, and hue and saturation stay.
        [bright, (x * Math.min(1, most + 0.15)) / most],
        [grey, most - 0.1 * (most - x)],
      ] as const;
      for (const [made, want] of wanted)
        assert.ok(Math.abs(value(made, at + c) - want) <= 1.01 / 255, `${value(made, at + c)} for ${want}`);
    });
    assert.ok(most >= least);
  }
});

test("JPEG of the best quality all but keeps an image, and quantises a block as its formula says", () => {
  const x = picture(20, 27, 3, (at) => 0.5 + 0.4 * Math.sin(at / 40));
  assert.ok(apart(jpegQuantised(x, 100).data, x.data) < 0.012);
  assert.ok(apart(jpegQuantised(x, 10).data, x.data) > apart(jpegQuantised(x, 60).data, x.data));
  // Chroma comes back by three parts of the nearest half and one of the next: a step of colour is spread over four
  // pixels.
  const red = picture(2, 8, 3, (at) => (at % 3 === 0 && Math.floor(at / 3) % 8 >= 4 ? 0.75 : 0.5));
  const step4 = Array.from({ length: 8 }, (_, j) => jpegQuantised(red, 100).data[3 * j]! - 0.5);
  [0, 0, 0, 1 / 4, 3 / 4, 1, 1, 1].forEach((share, j) => {
    // Luma, 0.299 of it, is not halved.
    const want = 0.25 * ((j >= 4 ? 0.299 : 0) + 0.701 * share);
    assert.ok(Math.abs(step4[j]! - want) < 0.015, `${j}: ${step4[j]} for ${want}`);
  });
  // One block of one cosine: its coefficient, to the table's step.
  const [u, v, amplitude] = [0, 2, 53];
  const wave = picture(8, 8, 1, (at) => (128 + amplitude * Math.cos(((2 * (at % 8) + 1) * v * Math.PI) / 16)) / 255);
  const coefficient = (z: Pixels) =>
    z.data.reduce(
      (sum, value, at) => sum + (255 * value - 128) * Math.cos(((2 * (at % 8) + 1) * v * Math.PI) / 16),
      0,
    ) /
    (8 * Math.SQRT1_2 * 2);
  const step = Math.floor((10 * 100 + 50) / 100);
  const got = coefficient(jpegQuantised(wave, 50));
  assert.ok(Math.abs(got - Math.round(coefficient(wave) / step) * step) < 1.5, `${u}: ${got} of ${coefficient(wave)}`);
});

test("plasma fills 0..1 at any size, and is rougher where detail fades slowly", () => {
  const rough = (decay: number) => {
    const { data, width } = plasma(40, 70, decay, new Stream(3, "plasma"));
    assert.ok(data.every((value) => value >= 0 && value <= 1));
    return data.slice(1).reduce((sum, value, i) => sum + ((i + 1) % width === 0 ? 0 : Math.abs(value - data[i]!)), 0);
  };
  assert.ok(rough(1.4) > 1.5 * rough(3));
});

test("published folders give five severities of the clean images' labels, and are refused where they do not fit", async () => {
  const clean = pictures(4, 8, 8, 3);
  const stack = (byte: (severity: number) => number) =>
    Uint8Array.from({ length: 5 * clean.images.length }, (_, at) => byte(Math.floor(at / clean.images.length)));
  const put = (name: string, shape: number[], data: Uint8Array) =>
    writeFileSync(join(folder, `${name}.npy`), encodeNpy({ shape, data }));
  put(
    "fog",
    [20, 8, 8, 3],
    stack((severity) => 10 * severity),
  );
  const labels = Uint8Array.from({ length: 20 }, (_, i) => clean.labels[i % 4]!);
  put("labels", [20], labels);
  const found = await readCorrupted(folder, "fog", clean);
  assert.equal(
    found.map(({ images, ids, labels }) => [images[5], ids, labels]),
    [0, 10, 20, 30, 40].map((byte) => [byte, clean.ids, clean.labels]),
  );
  // Another set's images, more of them: an SVHN run given CIFAR-10-C.
  const wrong = pictures(6, 8, 8, 3);
  await failsWith(
    () => readCorrupted(folder, "fog", { ...wrong, labels: wrong.labels.map((label) => 1 - label) }),
    "DataError",
    `readCorrupted: ${join(folder, "labels.npy")} must have the clean images' labels; got 0 for 1 at image 0 of severity 1.`,
  );
  put(
    "labels",
    [20],
    labels.map((label, i) => (i === 6 ? 1 - label : label)),
  );
  await failsWith(
    () => readCorrupted(folder, "fog", clean),
    "DataError",
    `readCorrupted: ${join(folder, "labels.npy")} must have the clean images' labels; got 1 for 0 at image 2 of severity 2.`,
  );
  put("labels", [19], labels.subarray(1));
  await failsWith(
    () => readCorrupted(folder, "fog", clean),
    "DataError",
    `readCorrupted: ${join(folder, "labels.npy")} must have 20 labels; got 19.`,
  );
  put("snow", [20, 8, 8, 1], stack(() => 0).subarray(0, 20 * 64));
  await failsWith(
    () => readCorrupted(folder, "snow", clean),
    "DataError",
    `readCorrupted: ${join(folder, "snow.npy")} must be [n, 8, 8, 3] in bytes, n a multiple of 5; got [20, 8, 8, 1] of Uint8Array.`,
  );
});

test("unknown names, severities and seeds are refused", async () => {
  await failsWith(
    () => corrupt(colour, { name: "gausian_noise", severity: 1 }),
    "DataError",
    `corrupt: the name must be one of ${Object.keys(CORRUPTIONS).join(", ")}; got "gausian_noise". Did you mean gaussian_noise?`,
  );
  await failsWith(
    () => corrupt(colour, { name: "fog", severity: 6 as 5 }),
    "DataError",
    "corrupt: severity must be 1, 2, 3, 4 or 5; got 6.",
  );
});
