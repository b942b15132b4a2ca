// Python's pickles of CIFAR: one that Python 3 wrote, files in the form of the official ones, and what is refused.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readPickle } from "../../data/formats/pickle.ts";
import { CIFAR10_SOURCE, CIFAR100_SOURCE, cifar10, cifar100, DataError, lookFor } from "../../data/index.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";

const test = suite("data: pickles");

/** By `pickle.dumps({b"data": np.arange(6, dtype="u1").reshape(2, 3), b"labels": [1, 300], ...}, protocol=4)`. */
const BY_PYTHON =
  "gASV0wAAAAAAAAB9lChDBGRhdGGUjBZudW1weS5fY29yZS5tdWx0aWFycmF5lIwMX3JlY29uc3RydWN0lJOUjAVudW1weZSMB25kYXJyYXmUk5RLAIWUQwFilIeUUpQoSwFLAksDhpRoBYwFZHR5cGWUk5SMAnUxlImIh5RSlChLA4wBfJROTk5K/////0r/////SwB0lGKJQwYAAQIDBAWUdJRiQwZsYWJlbHOUXZQoSwFNLAFlQwlmaWxlbmFtZXOUXZQoQwVhLnBuZ5SMBWIucG5nlGWMAW6UTnUu";

test("what Python 3 writes is read", () => {
  const read = readPickle(Buffer.from(BY_PYTHON, "base64"), "a.pickle") as ReadonlyMap<string, unknown>;
  assert.equal([...read.keys()], ["data", "labels", "filenames", "n"]);
  assert.equal(read.get("labels"), [1, 300]);
  assert.equal([read.get("filenames"), read.get("n")], [["a.png", "b.png"], null]);
  const { shape, data } = read.get("data") as { shape: number[]; data: Uint8Array };
  assert.equal(
    [shape, Array.from(data)],
    [
      [2, 3],
      [0, 1, 2, 3, 4, 5],
    ],
  );
});

test("what is no such file is refused, and every damage is told", async () => {
  const refuses = (bytes: Uint8Array, message: string) =>
    failsWith(() => readPickle(bytes, "a.pickle"), "DataError", `readPickle: a.pickle: ${message}`);
  await refuses(
    Buffer.from("cos\nsystem\n(S'ls'\ntR."),
    "a CIFAR pickle may call what makes arrays of NumPy only; got os.system.",
  );
  await refuses(
    Buffer.from("gASVFgAAAAAAAACMCGJ1aWx0aW5zlIwFcHJpbnSUk5Qu", "base64"),
    "a CIFAR pickle may call what makes arrays of NumPy only; got builtins.print.",
  );
  await refuses(Buffer.from("I5\n."), "a CIFAR pickle must hold plain values and arrays; got the operation 0x49.");
  await refuses(Buffer.from("e."), "it must be a pickle; got one without a mark.");
  await refuses(Buffer.from("h\x01."), "it must be a pickle; got one that recalls what it has not kept.");
  await refuses(Buffer.from("]q\x00h\x00a."), "values must be those of CIFAR; got more of them, or deeper ones.");
  const whole = Buffer.from(BY_PYTHON, "base64");
  for (let at = 0; at < whole.length; at++) {
    assert.ok((await errorOf(() => readPickle(whole.subarray(0, at), "cut"))) instanceof DataError, `cut at ${at}`);
    const changed = Uint8Array.from(whole);
    changed[at] = changed[at]! ^ 0x55;
    try {
      readPickle(changed, "changed");
    } catch (error) {
      assert.ok(error instanceof DataError, `changed at ${at}: ${error}`);
    }
  }
});

const text = (value: string) => [0x55, value.length, ...Buffer.from(value)];
const size = (value: number) => [0x4d, value & 255, value >> 8];

/** A batch as Python 2 pickled the official ones, with images of one value each. */
function batch(labels: Readonly<Record<string, readonly number[]>>, values: readonly number[]): Uint8Array {
  const pixels = values.flatMap((value) => Array.from({ length: 3072 }, (_, at) => (value + (at >> 10)) & 255));
  const length = Buffer.alloc(4);
  length.writeInt32LE(pixels.length);
  return Uint8Array.from([
    ...[0x80, 2, 0x7d, 0x71, 1, 0x28],
    ...Object.entries(labels).flatMap(([key, own]) => [
      ...[...text(key), 0x5d, 0x28],
      ...own.flatMap((label) => [0x4b, label]),
      0x65,
    ]),
    ...text("data"),
    ...Buffer.from(
      "cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04(K\x01",
      "latin1",
    ),
    ...[...size(values.length), ...size(3072), 0x86],
    ...Buffer.from("cnumpy\ndtype\nq\x05U\x02u1K\x00K\x01\x87Rq\x06(K\x03U\x01|NNNJ", "latin1"),
    ...[255, 255, 255, 255, 0x4a, 255, 255, 255, 255, 0x4b, 0, 0x74, 0x62, 0x89, 0x54],
    ...[...length, ...pixels, 0x74, 0x62, 0x75, 0x2e],
  ]);
}

test("the sets are read from the folders for Python where only these are there", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-pickle-"));
  const ten = join(dir, "ten", "cifar-10-batches-py");
  mkdirSync(ten, { recursive: true });
  const names = [...[1, 2, 3, 4, 5].map((i) => `data_batch_${i}`), "test_batch"];
  for (const [i, name] of names.entries())
    writeFileSync(join(ten, name), batch({ labels: [i, i + 1] }, [10 * i, 10 * i + 5]));
  const options = { validation: 2, calibration: 2, seed: 1, verify: false };
  const there = await lookFor(CIFAR10_SOURCE, { dir: join(dir, "ten") });
  assert.equal([there.isWhole, there.unpacked?.folder, there.files], [true, ten, 0]);
  const { test: images } = await cifar10({ dir: join(dir, "ten"), ...options });
  assert.equal([Array.from(images.labels), images.size], [[5, 6], 2]);
  assert.equal(Array.from(images.images.subarray(0, 6)), [50, 51, 52, 50, 51, 52]);
  const hundred = join(dir, "hundred", "cifar-100-python");
  mkdirSync(hundred, { recursive: true });
  for (const name of ["train", "test"]) {
    const both = { fine_labels: [7, 8, 9, 70, 80], coarse_labels: [1, 2, 3, 4, 5] };
    writeFileSync(join(hundred, name), batch(both, [1, 2, 3, 4, 5]));
  }
  const of = async (labels: "fine" | "coarse") =>
    Array.from((await cifar100({ dir: join(dir, "hundred"), labels, ...options })).test.labels);
  assert.equal(
    [await of("fine"), await of("coarse")],
    [
      [7, 8, 9, 70, 80],
      [1, 2, 3, 4, 5],
    ],
  );
  writeFileSync(join(hundred, "test"), batch({ fine_labels: [1], coarse_labels: [1, 2] }, [1, 2]));
  const { message } = await errorOf(() => cifar100({ dir: join(dir, "hundred"), ...options }));
  assert.match(message, /^decodeCifarPickle: .*test: fine_labels must be 2 labels; got something else\.$/);
  // A half of that version is none, and whatever is there of the binary one is what loading looks for.
  const halves = { dir: join(dir, "hundred") };
  rmSync(join(hundred, "test"));
  const half = await lookFor(CIFAR100_SOURCE, halves);
  assert.equal([half.isWhole, half.source], [false, CIFAR100_SOURCE]);
  writeFileSync(join(dir, "hundred", "cifar-100-python.tar.gz"), "");
  assert.is((await lookFor(CIFAR100_SOURCE, halves)).source.files[0]!.name, "cifar-100-python.tar.gz");
  writeFileSync(join(dir, "hundred", "cifar-100-binary.tar.gz"), "");
  assert.is((await lookFor(CIFAR100_SOURCE, halves)).source, CIFAR100_SOURCE);
  rmSync(dir, { recursive: true });
});
