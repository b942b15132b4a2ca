// Files whole or not at all; data sets and the doctor from the command line.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { configHere } from "../../cli/commands/worker.ts";
import { RunFolder } from "../../cli/files/run-folder.ts";
import { toJson, withDisk, writeWhole } from "../../cli/files/whole.ts";
import { main } from "../../cli/main.ts";
import { selfCheck } from "../../cli/self-check.ts";
import { loadData } from "../../cli/settings/model.ts";
import { knownSet, SET_NAMES, SETS } from "../../cli/settings/sets.ts";
import { type DataSet, encodeNpz } from "../../data/index.ts";
import { inTemporaryFolder, pattern, realFolder, skipWithout, writeScene } from "../data/official.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, suite } from "../harness.ts";
import { readConfig } from "./read-config.ts";
import { writeRun } from "./synthetic-run.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-files-"));
const test = suite("cli files", { skip: existsSync("/dev/full") ? undefined : "no /dev/full to be a full disk" });
test.after(() => rmSync(folder, { recursive: true }));

test("JSON for people: what fits stands on one line, and nothing else is changed", () => {
  const value = {
    list: [1, 2, 3],
    empty: [{}, []],
    text: "a line's\nend { and [1,\n  2\n]",
    records: [{ x: 1, y: null }, { "of [one]": "}" }],
    long: Array.from({ length: 60 }, (_, i) => i),
  };
  const text = toJson(value);
  assert.equal(JSON.parse(text), value);
  const lines = text.split("\n");
  for (const line of ['  "list": [1, 2, 3],', '    { "x": 1, "y": null },', "    59"])
    assert.ok(lines.includes(line), text);
  assert.ok(lines.every((line) => line.length <= 120));
});

test("a full disk leaves the old file, and no half", async () => {
  const path = join(folder, "policy.json");
  writeWhole(path, "old");
  const fs = process.getBuiltinModule("node:fs");
  const { writeFileSync: write } = fs;
  // What is written goes to a device that is always full.
  fs.writeFileSync = ((part: string, content: string) => {
    symlinkSync("/dev/full", part);
    write("/dev/full", content);
  }) as typeof write;
  const { message } = await errorOf(() => writeWhole(path, "new content")).finally(() => {
    fs.writeFileSync = write;
  });
  assert.is(
    message,
    `${path} must have room for 11 bytes; got a full disk. Nothing half-written is left; free space and run the command again.`,
  );
  assert.is(readFileSync(path, "utf8"), "old");
  assert.equal(readdirSync(folder), ["policy.json"]);
});

test("what is in the way is named", async () => {
  const path = join(folder, "policy.json", "inside.json");
  const { message } = await errorOf(() => writeWhole(path, "x"));
  assert.ok(message.startsWith(`${path} must be writable; got E`), message);
});

const disks = suite("cli full disk");

disks("the path is that of the error, or else the run's folder; other errors stay as they are", () => {
  const full = (path?: string) => Object.assign(new Error("no space left on device"), { code: "ENOSPC", path });
  const hint = "Nothing half-written is left; free space, and run the same again to go on from the last checkpoint.";
  const messageOf = (error: unknown) => (withDisk(error, "runs/a") as Error).message;
  assert.is(
    messageOf(full("/cache/x.part")),
    `train: /cache/x.part must have room for the run; got a full disk. ${hint}`,
  );
  assert.is(messageOf(full()), `train: runs/a must have room for the run; got a full disk. ${hint}`);
  const other = new Error("other");
  assert.is(withDisk(other, "runs/a"), other);
});

const records = suite("cli run folders");

records("the record of a run is checked field by field, and its faults name the file", async () => {
  const dir = writeRun(join(mkdtempSync(join(tmpdir(), "sortie-record-")), "run"));
  const path = join(dir, "run.json");
  const good = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  assert.equal(new RunFolder(dir).record(), good);
  const hint = "Put the file back, or train again with --fresh.";
  for (const [change, message] of [
    [null, "record must be an object; got null."],
    [[], "record must be an object; got [..."],
    [{ ...good, exits: "3" }, 'record.exits must be a list; got "3".'],
    [{ ...good, exits: [] }, "record.exits must be a list with something in it; got []."],
    [
      { ...good, exits: [{ stage: "a", macs: "many" }] },
      'record.exits[0].macs must be a whole number of at least 0; got "many".',
    ],
    [{ ...good, parameters: -1 }, "record.parameters must be a whole number of at least 0; got -1."],
    [
      { ...good, samples: { train: 1 } },
      "record.samples.validation must be a whole number of at least 0; got nothing.",
    ],
    [{ ...good, made: { node: 20 } }, "record.made.node must be a text; got 20."],
    [{ ...good, classes: [1] }, "record.classes[0] must be a text; got 1."],
    [{ ...good, seconds: { training: null } }, "record.seconds.training must be a finite number; got null."],
    [{ ...good, started: undefined }, "record.started must be a text; got nothing."],
  ] as const) {
    writeFileSync(path, JSON.stringify(change));
    const found = (await errorOf(() => new RunFolder(dir).record())).message;
    if (Array.isArray(change)) assert.match(found, `${path}: record must be an object; got`);
    else assert.is(found, `${path}: ${message} ${hint}`);
  }
  rmSync(dirname(dir), { recursive: true });
});

const sets = suite("cli data");

async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line));
  return { code, lines };
}

sets("list says what is there", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-sets-"));
  writeFileSync(join(dir, "train-labels-idx1-ubyte.gz"), "x");
  const { code, lines } = await run("data", "list", "--data-dir", dir);
  rmSync(dir, { recursive: true });
  assert.is(code, 0);
  assert.match(lines[0]!, /^ {2}glyphs +built in /);
  assert.match(lines[1]!, /^ {2}fashion-mnist +1 of 4 files /);
});

sets("CIFAR's version for Python is one that the list and a worker take too", () =>
  inTemporaryFolder(async (dir) => {
    const config = { ...readConfig("test", ["--data", "cifar10", "--data-dir", "/nowhere"]).config };
    const takes = () => configHere("run", config, join(dir, "out"), dir);
    const { message } = await errorOf(takes);
    assert.match(message, `worker: the 1 files of cifar10 must be in ${dir}; got 0 of them.`);
    mkdirSync(join(dir, "cifar-10-batches-py"));
    for (const name of ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"])
      writeFileSync(join(dir, "cifar-10-batches-py", name), "x");
    writeFileSync(join(dir, "cifar-100-python.tar.gz"), "x");
    assert.is((await takes()).data.dir, dir);
    const { lines } = await run("data", "list", "--data-dir", dir);
    assert.match(lines[3]!, /^ {2}cifar10 +unpacked /);
    assert.match(lines[4]!, /^ {2}cifar100 +1 of 1 files /);
  }),
);

sets(
  "list looks where the loaders do: in the cache, for official files and for what was unpacked from them",
  async () => {
    const cache = mkdtempSync(join(tmpdir(), "sortie-cache-"));
    const before = process.env["SORTIE_CACHE"];
    process.env["SORTIE_CACHE"] = cache;
    try {
      // Each loader says itself where it misses its files.
      for (const name of SET_NAMES) {
        const [archive] = knownSet("test", name).source?.files ?? [];
        if (!archive) continue;
        const { lines } = await run("data", "verify", name);
        const path = /^\w+: (.*) must exist; got no file\./.exec(lines[0]!)![1]!;
        assert.is(path, join(cache, knownSet("test", name).source!.folder, archive.name));
        mkdirSync(dirname(path));
        writeFileSync(path, "x");
      }
      mkdirSync(join(cache, "cifar-10", "cifar-10-batches-bin"));
      for (const name of ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"])
        writeFileSync(join(cache, "cifar-10", "cifar-10-batches-bin", `${name}.bin`), "x");
      for (const part of ["train", "valid", "test"]) mkdirSync(join(cache, "cinic-10", part));
      const { lines } = await run("data", "list");
      const states = lines.map((line) => line.trim().split(/ {2,}/).slice(0, 2).join(": "));
      assert.equal(states, [
        "glyphs: built in",
        "fashion-mnist: 1 of 4 files",
        "mnist: 1 of 4 files",
        "cifar10: unpacked",
        "cifar100: 1 of 1 files",
        "svhn: 1 of 2 files",
        "cinic10: unpacked",
        "indian-pines: 1 of 2 files",
        "folder: by --dir",
        "npz: by --file",
        `files are looked for in ${join(cache, "NAME")}`,
      ]);
    } finally {
      if (before === undefined) delete process.env["SORTIE_CACHE"];
      else process.env["SORTIE_CACHE"] = before;
      rmSync(cache, { recursive: true });
    }
  },
);

/** Calls `body` while a set takes files of any content. */
async function unchecked(name: "indian-pines" | "cifar100", body: () => Promise<void>): Promise<void> {
  const set: { load: DataSet["load"] } = SETS[name];
  const { load } = set;
  set.load = (options) => load({ ...options, verify: false });
  try {
    await body();
  } finally {
    set.load = load;
  }
}

sets("verify prints how a scene is split, as it was asked for", () =>
  inTemporaryFolder(async (dir) => {
    await writeScene(dir);
    await unchecked("indian-pines", async () => {
      const verify = (...flags: string[]) => run("data", "verify", "indian-pines", "--data-dir", dir, ...flags);
      const blocks = await verify();
      assert.is(blocks.code, 0, blocks.lines.join("\n"));
      assert.match(blocks.lines[0]!, /^indian-pines: \d+ training \+ .* images of 9 x 9 x 3, 16 classes$/);
      assert.match(blocks.lines[1]!, /^ {2}disjoint-block: blocks of 12 x 12 pixels by seed 1; /);
      const random = await verify("--data.split", "random", "--data.patch", "5");
      assert.match(random.lines[1]!, /^ {2}random: pixels by seed 1; .* \(patch 5 x 5; 480 train, /);
    });
  }),
);

sets("CIFAR-100 has 100 classes, or 20", () =>
  inTemporaryFolder(async (dir) => {
    const record = Buffer.concat([Buffer.from([4, 99]), pattern(3072)]);
    for (const name of ["train.bin", "test.bin"]) writeFileSync(join(dir, name), record);
    await unchecked("cifar100", async () => {
      const verify = (...flags: string[]) => run("data", "verify", "cifar100", "--data-dir", dir, ...flags);
      assert.match((await verify()).lines[0]!, /, 100 classes$/);
      assert.match((await verify("--data.labels", "coarse")).lines[0]!, /, 20 classes$/);
    });
  }),
);

sets("images of one's own come from an npz file", () =>
  inTemporaryFolder(async (dir) => {
    const path = join(dir, "toy.npz");
    const arrays = {
      x_train: { shape: [6, 2, 3], data: pattern(36) },
      y_train: { shape: [6], data: Uint8Array.of(0, 1, 2, 0, 1, 2) },
      x_test: { shape: [2, 2, 3], data: pattern(12) },
      y_test: { shape: [2], data: Uint8Array.of(2, 0) },
    };
    writeFileSync(path, encodeNpz(new Map(Object.entries(arrays))));
    const { code, lines } = await run("data", "verify", "npz", "--file", path);
    assert.is(code, 0, lines.join("\n"));
    assert.is(lines[0], "npz: 6 training + 2 test images of 2 x 3 x 1, 3 classes");
    const without = await run("data", "verify", "npz");
    assert.is(
      without.lines[0],
      "npz: data.file must name an npz file or a folder of npy files; got nothing. Give --file.",
    );
    const flags = ["--data", "npz", "--file", path, "--data.validation", "1", "--data.calibration", "2"];
    const { train, calibration } = await loadData(readConfig("train", flags).config, () => {});
    assert.equal([train.size, calibration.size], [3, 2]);
  }),
);

sets("what is drawn by code is in the parts that training uses", async () => {
  const { lines } = await run("data", "verify", "glyphs");
  const parts = "8000 training + 2000 validation + 4000 calibration + 2000 test";
  assert.is(lines[0], `glyphs: ${parts} images of 28 x 28 x 1, 10 classes`);
});

const real = suite("cli data: real files", skipWithout("fashion-mnist"));

real("verify says by what each file was checked", async () => {
  const { lines } = await run("data", "verify", "fashion-mnist", "--data-dir", realFolder("fashion-mnist"));
  assert.match(lines[1]!, /^ {2}checksum as published: train-images-idx3-ubyte\.gz, train-labels-.*, t10k-labels-/);
});

sets("an unpacked CINIC-10 that is not whole is refused", () =>
  inTemporaryFolder(async (dir) => {
    for (const part of ["train", "valid", "test"]) {
      for (const name of "airplane automobile bird cat deer dog frog horse ship truck".split(" "))
        mkdirSync(join(dir, part, name), { recursive: true });
    }
    const { lines } = await run("data", "verify", "cinic10", "--data-dir", dir);
    const folder = join(dir, "train", "airplane");
    assert.match(lines[0]!, `cinic10: ${folder} must hold 9000 PNG files; got 0. Copy the rest of them, or delete`);
  }),
);

sets("verify reads what is drawn by code, and refuses missing and damaged files by name", async () => {
  const dir = mkdtempSync(join(tmpdir(), "sortie-sets-"));
  const missing = await run("data", "verify", "mnist", "--data-dir", dir);
  const image = join(dir, "train-images-idx3-ubyte.gz");
  assert.is(missing.code, 1);
  assert.match(missing.lines[0]!, `mnist: ${image} must exist; got no file.`);
  mkdirSync(dir, { recursive: true });
  writeFileSync(image, "not an image");
  const damaged = await run("data", "verify", "mnist", "--data-dir", dir);
  rmSync(dir, { recursive: true });
  assert.is(damaged.code, 1);
  assert.match(damaged.lines[0]!, `mnist: ${image} must have 9912422 bytes; got 12.`);
});

sets("bad arguments are told", async () => {
  const unknown = await run("data", "verify", "imagenet");
  assert.match(unknown.lines[0]!, "data: the data set must be one of glyphs, fashion-mnist, ");
  const action = await run("data", "eat", "mnist");
  assert.is(action.lines[0], 'data: the arguments must be list, verify NAME or download NAME; got "eat mnist".');
  assert.equal([unknown.code, action.code], [1, 1]);
});

const doctor = gpuSuite("cli doctor");

doctor("finds this machine fit, as text and as JSON", async () => {
  const { code, lines } = await run("doctor", "--json");
  const found = JSON.parse(lines.join("")) as {
    isFit: boolean;
    checks: { name: string }[];
    speed: { gigaflops: number };
  };
  assert.is(code, 0);
  assert.ok(found.isFit && found.checks.length >= 6 && found.speed.gigaflops > 0);
  const text = await run("doctor");
  assert.is(text.lines.filter((line) => line.startsWith("ok ")).length, found.checks.length);
  assert.ok(text.lines.some((line) => line.includes(device().info.description)));
});

doctor("notices a deployed network that is computed in part", async () => {
  const pass = device().gpu.createCommandEncoder().beginComputePass();
  const type = Object.getPrototypeOf(pass) as GPUComputePassEncoder;
  pass.end();
  const { dispatchWorkgroupsIndirect } = type;
  // Launches with live rows do nothing: what they should have written is whatever was there.
  type.dispatchWorkgroupsIndirect = () => {};
  try {
    const wrong = (await selfCheck(device())).filter(({ isOk }) => !isOk);
    assert.equal(
      wrong.map(({ name }) => name),
      ["deployed network"],
    );
  } finally {
    type.dispatchWorkgroupsIndirect = dispatchWorkgroupsIndirect;
  }
});
