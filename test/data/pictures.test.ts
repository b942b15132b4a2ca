// Pictures of one's own: pixels as Pillow has them (test/data/pictures, written by its make.py), damaged files by their
// names, and folders of pictures as data sets.

import { createHash } from "node:crypto";
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  countClasses,
  createLoader,
  DATA_SETS,
  type DataError,
  type Dataset,
  decodePicture,
  encodePng,
  type FileCheck,
  fromPixels,
  type ImageBytes,
  imageAt,
  pictureFolder,
  type Raster,
  resize,
} from "../../data/index.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";

const test = suite("data: pictures");
const folder = fileURLToPath(new URL("pictures", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "sortie-pictures-"));
test.after(() => rmSync(work, { recursive: true }));

interface Read {
  readonly size: readonly [width: number, height: number];
  readonly colour: string;
  readonly grey: string;
  readonly crop: readonly string[];
  readonly resized?: Readonly<Record<"bilinear" | "bicubic" | "lanczos" | "box", readonly string[]>>;
}

const { pictures } = JSON.parse(readFileSync(join(folder, "pillow.json"), "utf8")) as {
  readonly pictures: Readonly<Record<string, Read>>;
};
const sha = ({ data }: Pick<Raster, "data">) => createHash("sha1").update(data).digest("hex").slice(0, 12);
const fileOf = (name: string) => readFileSync(join(folder, name));
const open = (name: string, channels: 1 | 3 = 3) => decodePicture(fileOf(name), { file: name, channels });

test("every kind of JPEG and PNG has Pillow's pixels, upright, in colour and in grey", async () => {
  for (const [name, want] of Object.entries(pictures)) {
    const colour = await open(name);
    assert.equal([[colour.width, colour.height], sha(colour)], [want.size, want.colour], name);
    // Pillow makes grey of what it has read in colour.
    assert.is(sha(await open(name, 1)), want.grey, `${name} in grey`);
  }
  assert.ok(Object.keys(pictures).length > 15);
});

test("resizing gives Pillow's bytes by every filter, and cropping torchvision's", async () => {
  const sizes = [
    [16, 16],
    [64, 50],
    [30, 20],
  ] as const;
  let filters = 0;
  for (const [name, { resized, crop }] of Object.entries(pictures)) {
    const picture = await open(name);
    for (const [filter, want] of Object.entries(resized ?? {})) {
      assert.equal(
        sizes.map(([h, w]) => sha(resize(picture, h, w, filter as "box"))),
        want,
        `${name} ${filter}`,
      );
      filters++;
    }
    const blob = new File([fileOf(name)], name);
    const whole = await fromPixels(blob, { input: [21, 21, 3] });
    const inner = await fromPixels(blob, { input: [14, 14, 3], keep: 0.875 });
    assert.equal([sha({ data: whole }), sha({ data: inner })], crop, name);
  }
  assert.is(filters, 12);
});

test("a picture can be stretched, or shown whole on black", async () => {
  const white = { data: new Uint8ClampedArray(4 * 8 * 4).fill(255), width: 8, height: 4 };
  const rows = (bytes: Uint8Array, width: number) =>
    Array.from({ length: bytes.length / width }, (_, y) => [...bytes.subarray(y * width, (y + 1) * width)].join(" "));
  const input = [4, 4, 1];
  assert.equal(rows(await fromPixels(white, { input, fit: "pad" }), 4), [
    "0 0 0 0",
    "255 255 255 255",
    "255 255 255 255",
    "0 0 0 0",
  ]);
  assert.equal(rows(await fromPixels(white, { input, fit: "stretch" }), 4), new Array(4).fill("255 255 255 255"));
});

test("a damaged file, one in CMYK and one of another kind are refused by name, and the next one is read", async () => {
  const whole = fileOf("base420.jpg");
  const bad = (name: string, bytes: Uint8Array) => () => decodePicture(bytes, { file: name, channels: 3 });
  await failsWith(
    bad("b.jpg", fileOf("cmyk.jpg")),
    "DataError",
    "decodeJpeg: b.jpg must be grey or in RGB; got CMYK, four inks whose colours are the printer's. Convert it to RGB first, in an image editor.",
  );
  const broken = Uint8Array.from(whole);
  broken[whole.indexOf(Buffer.from([0xff, 0xc4])) + 8]! ^= 0x55;
  for (const [name, bytes] of Object.entries({
    "cat/half.jpg": whole.subarray(0, whole.length * 0.6),
    "cat/end.jpg": whole.subarray(0, whole.length - 2),
    "cat/head.jpg": whole.subarray(0, 100),
    "cat/table.jpg": broken,
    "cat/late.jpg": fileOf("progressive.jpg").subarray(0, 900),
  })) {
    const { name: kind, message } = await errorOf(bad(name, bytes));
    assert.is(kind, "DataError");
    assert.match(message, new RegExp(`^decodeJpeg: ${name} must be an intact JPEG file; got ".+"\\.$`));
    assert.is(sha(await open("base420.jpg")), pictures["base420.jpg"]!.colour);
  }
  // Bytes that belong to nothing, which cameras leave, are no damage.
  const trailing = Buffer.concat([whole, Buffer.from("notes of a camera")]);
  assert.is(sha(await decodePicture(trailing, { file: "t.jpg", channels: 3 })), pictures["base420.jpg"]!.colour);
  await failsWith(
    bad("c.gif", Buffer.from("GIF89a")),
    "DataError",
    "decodePicture: c.gif must be a JPEG or PNG file; got another kind.",
  );
  await failsWith(
    bad("d.jpg", new Uint8Array()),
    "DataError",
    "decodePicture: d.jpg must be a JPEG or PNG file; got an empty one.",
  );
  // A head that promises more than there can be.
  const huge = Uint8Array.from(whole);
  const frame = whole.indexOf(Buffer.from([0xff, 0xc0]));
  huge.set([0xff, 0xff, 0xff, 0xff], frame + 5);
  assert.match(
    (await errorOf(bad("e.jpg", huge))).message,
    /^decodeJpeg: e\.jpg must be at most \d+ bytes unpacked; got an image of \[65535, 65535\]\./,
  );
});

test("more pixels than are allowed are refused by the header, before anything is unpacked", async () => {
  const input = [4, 4, 1];
  const [png, jpeg] = [plain(7, [6, 5]), fileOf("base420.jpg")];
  const [width, height] = pictures["base420.jpg"]!.size;
  // What is packed is nothing: whoever unpacked it would say so.
  const hollow = Buffer.from(jpeg.subarray(0, jpeg.indexOf(Buffer.from([0xff, 0xda]))));
  for (const [bytes, size, op] of [
    [png, [6, 5], "decodePng"],
    [hollow, [height, width], "decodeJpeg"],
  ] as const) {
    const pixels = size[0] * size[1];
    const file = new File([bytes as Uint8Array<ArrayBuffer>], "a");
    const { message, isTooLarge } = (await errorOf(() =>
      fromPixels(file, { input, maxPixels: pixels - 1 }),
    )) as DataError;
    assert.is(
      message,
      `${op}: a must have at most ${pixels - 1} pixels; got an image of [${size.join(", ")}]. Make it smaller, or raise maxPixels.`,
    );
    assert.ok(isTooLarge);
  }
  assert.is((await fromPixels(new File([png as Uint8Array<ArrayBuffer>], "a"), { input, maxPixels: 30 })).length, 16);
  const drawn = { data: new Uint8ClampedArray(4 * 8 * 4), width: 8, height: 4 };
  await failsWith(
    () => fromPixels(drawn, { input, maxPixels: 31 }),
    "DataError",
    "fromPixels: the picture must have at most 31 pixels; got an image of [4, 8]. Make it smaller, or raise maxPixels.",
  );
});

/** A picture of one colour, told from others by its red. */
const plain = (red: number, [height, width]: readonly [number, number] = [6, 5]) =>
  encodePng({
    width,
    height,
    channels: 3,
    data: Uint8Array.from({ length: height * width * 3 }, (_, i) => (i % 3 === 0 ? red : 9)),
  });

/** Writes files, by path from the folder of a name on. */
function write(name: string, files: Readonly<Record<string, Uint8Array>>): string {
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(work, name, path, ".."), { recursive: true });
    writeFileSync(join(work, name, path), bytes);
  }
  return join(work, name);
}

const cache = join(work, "cache");
const reds = (set: Dataset<ImageBytes>) => Array.from({ length: set.size }, (_, i) => imageAt(set, i)[0]!);

/** 40 cats and 20 dogs, each of a red of its own. */
const pets = () =>
  write("pets", {
    ...Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`cat/${i}.png`, plain(i)])),
    ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`dog/deep/${i}.PNG`, plain(100 + i, [7, 9])])),
    "dog/notes.txt": Buffer.from("no picture"),
    "cat/.hidden.png": Buffer.from("no picture either"),
  });

test("a folder is drawn into parts by shares, every class alike, by seed; nothing is lost or twice", async () => {
  const dir = pets();
  const parts = await pictureFolder(dir, { size: [4], cache });
  const sizes = [parts.train, parts.validation, parts.calibration, parts.test].map(({ size }) => size);
  assert.equal(sizes, [30, 6, 12, 12]);
  assert.equal(
    [parts.train.shape, parts.train.classes],
    [
      [4, 4, 3],
      ["cat", "dog"],
    ],
  );
  for (const part of [parts.train, parts.validation, parts.calibration, parts.test]) {
    const [cats = 0, dogs = 0] = countClasses(part);
    assert.ok(Math.abs(cats - 2 * dogs) <= 3, `${part.meta.split}: ${cats} and ${dogs}`);
    // Pixels are those of the label.
    assert.equal(
      reds(part).map((red) => (red >= 100 ? 1 : 0)),
      [...part.labels],
    );
  }
  const all = [parts.train, parts.validation, parts.calibration, parts.test].flatMap(reds);
  assert.is(new Set(all).size, 60);
  const again = await pictureFolder(dir, { size: [4], cache });
  assert.equal(reds(again.test), reds(parts.test));
  assert.not.equal(reds((await pictureFolder(dir, { size: [4], cache, seed: 2 })).test), reds(parts.test));
  assert.is(
    parts.protocol,
    `30 train, 6 validation, 12 calibration and 12 test of 60 pictures in ${dir} (drawn by seed 1, every class alike in each part)`,
  );
  const counted = await pictureFolder(dir, { size: [4], cache, test: 5, validation: 3, calibration: 0.5, train: 10 });
  assert.equal(
    [counted.train, counted.validation, counted.calibration, counted.test].map(({ size }) => size),
    [10, 3, 30, 5],
  );
  const { mean } = parts.train.meta;
  assert.ok(Math.abs(mean[1]! - 9 / 255) < 1e-12, `mean ${mean}`);
});

test("a class may be called as a part is: pictures lie in its folder, and folders in that of a part", async () => {
  const files = Object.fromEntries(
    ["bus", "train"].flatMap((name) => [1, 2, 3].map((i) => [`${name}/${i}.png`, plain(i)])),
  );
  const options = { size: [4], cache, validation: 0, calibration: 0, test: 0 };
  const { train } = await pictureFolder(write("vehicles", files), options);
  assert.equal([train.classes, train.size], [["bus", "train"], 6]);
});

test("pictures are decoded once, until a file changes; a loader reads them where they lie", async () => {
  const dir = pets();
  const cache = join(work, "own cache");
  let decoded = 0;
  const load = () => pictureFolder(dir, { size: [3, 5], channels: 3, cache, onDecoded: () => void decoded++ });
  const first = await load();
  assert.is(decoded, 60);
  const second = await load();
  assert.is(decoded, 60);
  const loader = createLoader(second.train, { batch: 7 });
  const { images, ids, labels } = loader.at({ epoch: 1, batch: 2 });
  ids.forEach((id, i) => {
    const row = first.train.ids.indexOf(id);
    assert.equal([...images.subarray(i * 45, (i + 1) * 45)], [...imageAt(first.train, row)]);
    assert.is(labels[i], first.train.labels[row]);
  });
  writeFileSync(join(dir, "cat/0.png"), plain(77));
  await load();
  assert.is(decoded, 120);
  // What was outdated is replaced, and what a cut leaves is no cache.
  const [name = "", ...others] = readdirSync(cache);
  assert.equal(others, []);
  writeFileSync(join(cache, name), readFileSync(join(cache, name)).subarray(0, 500));
  assert.equal(reds((await load()).train).length, 30);
  assert.is(decoded, 180);
});

test("what is kept of pictures is read whole, and what damage leaves of it is nothing kept", async () => {
  const dir = pets();
  const cache = join(work, "hurt cache");
  let decoded = 0;
  const load = () => pictureFolder(dir, { size: [4], cache, onDecoded: () => void decoded++ });
  const { train } = await load();
  const wanted = reds(train);
  const fs = process.getBuiltinModule("node:fs");
  const { readSync, openSync, closeSync } = fs;
  const path = join(cache, readdirSync(cache)[0]!);
  const bytes = readFileSync(path);
  // A system may give less than it was asked for.
  const few = (fd: number, into: Uint8Array, offset: number, length: number, at: number) =>
    readSync(fd, into, offset, Math.min(length, 7), at);
  fs.readSync = few as typeof readSync;
  try {
    assert.equal([reds(train), reds((await load()).train), decoded], [wanted, wanted, 60]);
  } finally {
    fs.readSync = readSync;
  }
  truncateSync(path, 48 * 3);
  const { name, message } = await errorOf(() => reds(train));
  assert.is(name, "DataError");
  assert.match(message, `pictures: ${path} must stay as it was written; got `);

  const open = new Set<number>();
  fs.openSync = ((...args: Parameters<typeof openSync>) => {
    const fd = openSync(...args);
    if (args[0] === path) open.add(fd);
    return fd;
  }) as typeof openSync;
  fs.closeSync = (fd) => {
    open.delete(fd);
    closeSync(fd);
  };
  try {
    const index = bytes.indexOf('{"key"');
    for (const [at, value] of [
      [index, 0x5b],
      [bytes.indexOf('"digests"') + 1, 0x44],
    ] as const) {
      const damaged = Buffer.from(bytes);
      damaged[at] = value;
      writeFileSync(path, damaged);
      const before = decoded;
      assert.equal(reds((await load()).train), wanted);
      assert.is(decoded - before, 60);
    }
    // Open is what was written anew, and nothing of what was damaged.
    assert.ok(open.size <= 2, `${open.size} are open`);
  } finally {
    Object.assign(fs, { openSync, closeSync });
  }
});

test("who asks what was checked gets every picture decoded, whatever is kept", async () => {
  const dir = write("kept", Object.fromEntries([..."abcdefghij"].map((x, i) => [`${i % 2}/${x}.png`, plain(i)])));
  const before = process.env["SORTIE_CACHE"];
  process.env["SORTIE_CACHE"] = join(work, "verify cache");
  try {
    const load = DATA_SETS.folder.load;
    const checks: FileCheck[] = [];
    const options = { dir, size: [4] };
    const path = join(dir, "0/a.png");
    utimesSync(path, 1, 1);
    await load(options);
    // Damage that neither size nor date tells.
    const bytes = readFileSync(path);
    bytes[bytes.length - 20]! ^= 0x55;
    writeFileSync(path, bytes);
    utimesSync(path, 1, 1);
    await load(options);
    const onChecked = (check: FileCheck) => void checks.push(check);
    const { name, message } = await errorOf(() => load({ ...options, onChecked }));
    assert.is(name, "DataError");
    assert.match(message, path);
    assert.equal(checks, []);
    writeFileSync(path, plain(0));
    await load({ ...options, onChecked });
    assert.equal(checks, [{ file: dir, by: "content" }]);
  } finally {
    if (before === undefined) delete process.env["SORTIE_CACHE"];
    else process.env["SORTIE_CACHE"] = before;
  }
});

test("copies of a picture stay in one part; in given parts they are told, as are two labels of one picture", async () => {
  const files = Object.fromEntries(
    Array.from({ length: 30 }, (_, i) => [`${i % 2 === 0 ? "a" : "b"}/${i}.png`, plain(8 * (i >> 1))]),
  );
  // Each of 15 pictures is there twice, once in each class: 15 groups.
  const dir = write("twins", files);
  const parts = await pictureFolder(dir, { size: [4], cache });
  const seen = [parts.train, parts.validation, parts.calibration, parts.test].map((part) => new Set(reds(part)));
  assert.is(
    seen.reduce((sum, { size }) => sum + size, 0),
    15,
  );
  assert.match(
    parts.protocol,
    /; copies of others: 15; the same picture is in two classes: a\/0\.png and b\/1\.png \(a, b\) and 14 more$/,
  );
  const given = write("given", {
    "train/x/1.png": plain(1),
    "train/x/2.png": plain(2),
    "train/y/3.png": plain(3),
    "train/y/4.png": plain(4),
    "val/x/5.png": plain(5),
    "val/x/6.png": plain(6),
    "val/y/7.png": plain(7),
    "val/y/8.png": plain(8),
    "test/x/copy.png": plain(2),
    "test/y/9.png": plain(9),
    "test/y/old.webp": plain(9),
  });
  const split = await pictureFolder(given, { size: [4], cache });
  assert.equal(reds(split.train).sort(), [1, 2, 3, 4]);
  assert.equal([...reds(split.validation), ...reds(split.calibration)].sort(), [5, 6, 7, 8]);
  assert.equal([split.validation.size, reds(split.test)], [2, [2, 9]]);
  assert.match(
    split.protocol,
    /\(divided as the folder is; what it lacks is drawn by seed 1\); copies of others: 1; the same picture is in two parts, so what is found on one may not hold for new pictures: train\/x\/2\.png and test\/x\/copy\.png \(train, test\); pictures that are neither JPEG nor PNG are left out: test\/y\/old\.webp$/,
  );
});

test("a folder that cannot be a data set is refused, and a damaged picture in it by its path", async () => {
  const fails = async (dir: string, message: string, options = {}) =>
    failsWith(() => pictureFolder(dir, { size: [4], cache, ...options }), "DataError", message);
  const none = join(work, "none");
  await fails(none, `pictures: ${none} must be a folder that can be read; got ENOENT.`);
  const flat = write("flat", { "a.png": plain(1) });
  await fails(
    flat,
    `pictures: ${flat} must hold a folder of pictures for each class, two at least, or folders train, val and test of such; got no folder.`,
  );
  const parts = write("parts", { "train/cat.0.png": plain(1), "test1/1.png": plain(2) });
  await fails(
    parts,
    `pictures: ${parts} must hold a folder of pictures for each class, two at least, or folders train, val and test of such; got test1, train.`,
  );
  const empty = write("empty", { "a/1.png": plain(1), "b/1.txt": plain(1) });
  await fails(empty, `pictures: ${empty}/b must hold JPEG or PNG files; got none.`);
  const hurt = write("hurt", { "a/1.png": plain(1), "b/1.jpg": fileOf("base420.jpg").subarray(0, 700) });
  await fails(hurt, `decodeJpeg: ${hurt}/b/1.jpg must be an intact JPEG file; got "Premature end of JPEG file".`);
  assert.equal(
    readdirSync(cache).filter((name) => name.includes("hurt")),
    [],
  );
  copyFileSync(join(folder, "base420.jpg"), join(hurt, "b/1.jpg"));
  await fails(hurt, `pictureFolder: train must leave what the other parts of ${hurt} take; got 2 of 1 left.`, {
    train: 2,
    validation: 0,
    test: 1,
    calibration: 0,
  });
  await fails(hurt, `pictureFolder: the held-out parts must leave pictures of ${hurt} to train on; got 3 of 2.`, {
    validation: 1,
    test: 1,
    calibration: 1,
  });
  await fails(hurt, `pictureFolder: ${hurt} must have training pictures of every class; got none of b.`, {
    train: 1,
    validation: 0,
    test: 0,
    calibration: 0,
  });
});
