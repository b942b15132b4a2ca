// `sortie bench`: times of a run and of a model file, each answer checked; what stops it leaves nothing written.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCosts } from "../../calibration/index.ts";
import { energyMeter } from "../../cli/bench/energy.ts";
import { Contender, joules } from "../../cli/bench/measure.ts";
import { candidates, openSubject, tableOf, whole } from "../../cli/bench/subject.ts";
import { encodePng, glyphs } from "../../data/index.ts";
import { encodeModel, load, networkOf, readModel } from "../../exits/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { run } from "./command-line.ts";

const test = gpuSuite("cli bench", { timeout: 240_000 });
const out = mkdtempSync(join(tmpdir(), "sortie-bench-"));
const dir = join(out, "small");
const file = join(out, "model.sortie.safetensors");
test.after(() => rmSync(out, { recursive: true }));

const SIZES = { train: 256, validation: 200, calibration: 400, test: 48 };
const FEW = ["--batches", "1,8", "--images", "20", "--rounds", "1", "--calls", "3", "--shares", "0.5"];

test("trains and calibrates what the other tests time", async () => {
  const sizes = Object.entries(SIZES).flatMap(([part, count]) => [`--data.${part}`, String(count)]);
  const short = ["--epochs", "2", "--batch", "32", "--train.warmup", "2"];
  assert.is((await run("train", ...sizes, ...short, "--out", out, "--name", "small")).code, 0);
  assert.is((await run("calibrate", dir, "--alpha", "0.9")).code, 0);
  assert.is((await run("export", dir, file)).code, 0);
});

test("a run: tables, a figure, and JSON with everything", async () => {
  const { code, text } = await run("bench", dir, ...FEW, "--targets", "0.85");
  assert.is(code, 0, text);
  for (const head of [
    "up to each exit",
    "Whole network against cascade",
    "where the rest of the promise goes",
    "One image",
  ])
    assert.match(text, head);
  assert.match(text, /^\| 8 \| risk 90 % \|/m);
  assert.match(text, /^\| 1 \| 50\.0 % leave at stage1 \| 50\.0 % \|/m);
  assert.match(text, /^energy: |J$/m);
  const json = JSON.parse(readFileSync(join(dir, "bench.json"), "utf8"));
  assert.equal(
    readCosts(json.costs).times.map(({ batch, rows }) => [batch, rows]),
    [
      [1, [1]],
      [8, [0, 1, 2, 4, 8]],
    ],
  );
  for (const row of [...json.rows, ...json.crossing]) {
    assert.ok(row.whole > 0 && row.cascade > 0 && row.plan !== "");
    const { byTimes, measured, launches, filling, compaction, rest } = row.saving;
    assert.ok(Math.abs(measured - (1 - row.cascade / row.whole)) < 1e-9);
    assert.ok(Math.abs(byTimes - launches - filling - compaction - rest - measured) < 1e-9);
  }
  assert.equal([json.crossing.length, json.images], [2, 20]);
  // What is closed is not run, so a promise by times counts no decision there.
  assert.equal(
    json.crossing.map(({ open }: { open: readonly number[] }) => open),
    [
      [0, 2],
      [0, 2],
    ],
  );
  for (const { open, fractions } of json.rows)
    for (const [exit, share] of fractions.entries()) assert.ok(share === 0 || open.includes(exit), `${open}`);
  assert.ok(json.starts.every((start: { cold: number; warm: number }) => start.cold > 0 && start.warm > 0));
  assert.ok(json.single.every((one: { p50: number; p99: number }) => one.p99 >= one.p50 && one.p50 > 0));
  assert.match(readFileSync(join(dir, "bench.svg"), "utf8"), /^<svg .*whole network/);
  // The report tells whose times these are.
  const page = async () => {
    assert.is((await run("report", dir)).code, 0);
    return readFileSync(join(dir, "report.html"), "utf8");
  };
  assert.not.match(await page(), /Measured with another policy/);
  const policy = readFileSync(join(dir, "policy.json"));
  assert.is((await run("calibrate", dir, "--alpha", "0.8")).code, 0);
  assert.match(await page(), /Measured with another policy than that of this page: run sortie bench again\./);
  writeFileSync(join(dir, "policy.json"), policy);
});

test("a model file: by its own data set where that is drawn, else by noise, which is said", async () => {
  const target = join(out, "file.json");
  const { code, text } = await run("bench", file, ...FEW, "--batches", "8", "--out", target);
  assert.is(code, 0, text);
  assert.match(text, /^20 images of glyphs on /m);
  assert.ok(existsSync(target) && existsSync(join(out, "file.svg")));
  const { record, tensors } = await readModel(file);
  const net = networkOf({ record, tensors }, device());
  const { classes, normalise } = record;
  const plain = join(out, "plain.safetensors");
  writeFileSync(plain, await encodeModel(net, { classes, normalise }));
  net.dispose();
  // Images are prepared as the file says, not as the data set at hand does.
  const other = join(out, "other.safetensors");
  const { training = {} } = record;
  const own = { mean: [0.9], std: [0.1] };
  const again = networkOf({ record, tensors }, device());
  writeFileSync(other, await encodeModel(again, { classes, normalise: own, training }));
  again.dispose();
  const { images } = await openSubject(other, { policy: undefined, dataDir: undefined, images: 20 });
  assert.equal([images.meta.name, images.meta.mean, images.meta.std], ["glyphs", own.mean, own.std]);
  const inWords = { classes: classes.map((name) => `${name}!`), normalise, training };
  const strange = networkOf({ record, tensors }, device());
  writeFileSync(other, await encodeModel(strange, inWords));
  const { noise } = await openSubject(other, { policy: undefined, dataDir: undefined, images: 20 });
  assert.match(noise!, /^Classes of glyphs are .*; the network tells .*! apart\.$/);
  // Files of one's own are those that the model was trained beside, or none of its own.
  const arrays = join(out, "arrays.npz");
  writeFileSync(arrays, "no arrays");
  for (const [content, found] of [
    [{ content: "another" }, /^The files of npz in .*arrays\.npz are others than those/],
    [{}, /DataError: .*arrays\.npz/],
  ] as const) {
    const settings = { ...(training["settings"] as object), data: { name: "npz", ...content } };
    writeFileSync(other, await encodeModel(strange, { classes, normalise, training: { settings } }));
    const subject = openSubject(other, { policy: undefined, dataDir: arrays, images: 20 });
    assert.match(await subject.then(({ noise }) => noise ?? "", String), found);
  }
  strange.dispose();
  const noisy = await run("bench", plain, ...FEW, "--batches", "2", "--out", target);
  assert.is(noisy.code, 0, noisy.text);
  assert.match(noisy.text, /^note: the images are noise; The file does not say what it was trained on\./m);
});

test("pictures are classified as the library does; answers go to the terminal, to CSV and to JSON", async () => {
  const { test: set } = glyphs({ train: 0, validation: 0, calibration: 0, test: SIZES.test, seed: 1 });
  const pixels = set.images.length / set.size;
  const [height, width] = set.shape;
  const files = [0, 1, 2].map((i) => {
    const name = join(out, i === 1 ? 'a, "b".png' : `${i}.png`);
    const data = set.images.subarray(i * pixels, (i + 1) * pixels);
    writeFileSync(name, encodePng({ width, height, channels: 1, data }));
    return name;
  });
  using classifier = await load(file, { device: device() });
  const want = await classifier.classify(set.images);
  const { code, text } = await run("classify", file, ...files);
  assert.is(code, 0, text);
  const lines = text.split("\n");
  assert.is(lines[0], "image,class,exit,score,macs");
  assert.is(
    lines[2]!.startsWith(`"${files[1]!.replaceAll('"', '""')}",${set.classes[want.classes[1]!]},stage`),
    true,
    lines[2],
  );
  const json = join(out, "answers.json");
  assert.is((await run("classify", file, ...files, "--out", json, "--batch", "2")).code, 0);
  const rows = JSON.parse(readFileSync(json, "utf8")) as { class: string; exit: string; macs: number }[];
  assert.equal(
    rows.map((row) => [row.class, row.exit, row.macs]),
    [0, 1, 2].map((i) => [set.classes[want.classes[i]!], `stage${want.exits[i]! + 1}`, want.macs[i]]),
  );
  const csv = join(out, "answers.csv");
  const predicted = await run("predict", file, "--out", csv);
  assert.is(predicted.code, 0, predicted.text);
  const right = want.classes.filter((answer, i) => answer === set.labels[i]).length;
  assert.match(predicted.text, `48 images: accuracy ${((100 * right) / 48).toFixed(1)} %, cost `);
  const byWasm = await run("predict", file, "--runtime", "wasm");
  assert.equal([byWasm.code, byWasm.text], [0, predicted.text.split("\n").slice(0, -1).join("\n")]);
  const either = await run("predict", file, "--runtime", "auto");
  assert.match(either.text, /^ran on batches of up to 64: not settled yet$/m);
  assert.match((await run("predict", file, "--runtime", "cpu")).text, 'one of webgpu, wasm, auto; got "cpu".');
  const table = readFileSync(csv, "utf8").trimEnd().split("\r\n");
  assert.equal([table.length, table[0]], [49, "image,class,exit,score,macs,label"]);
  assert.ok(table[48]!.endsWith(`,${set.classes[set.labels[47]!]}`));
  assert.match((await run("classify", file, file)).text, /must be a JPEG or PNG file; got another kind\.$/);
  assert.match(
    (await run("predict", join(out, "plain.safetensors"))).text,
    /^predict: the data set must be at hand; The file does not say/,
  );
});

test("a model file becomes the ONNX folder that its run becomes", async () => {
  const [ofFile, ofRun] = [join(out, "onnx-file"), join(out, "onnx-run")];
  const { code, text } = await run("export", file, ofFile, "--format", "onnx");
  assert.is(code, 0, text);
  assert.is((await run("export", dir, ofRun, "--format", "onnx")).code, 0);
  assert.equal(readdirSync(ofFile), readdirSync(ofRun));
  for (const name of ["network.onnx", "stage2.onnx", "cascade.json"])
    assert.ok(readFileSync(join(ofFile, name)).equals(readFileSync(join(ofRun, name))), name);
  assert.match((await run("export", file, ofFile, "--format", "onnx")).text, /must not exist; it does/);
  assert.is(
    (await run("export", file, ofFile, "--format", "onnx", "--weights", "best")).text,
    "export: --weights goes with the folder of a run; got a model file.",
  );
});

test("an answer that is not the policy's stops everything, and nothing is told", async () => {
  const subject = await openSubject(dir, { policy: undefined, dataDir: undefined, images: 20 });
  const net = await subject.make(device());
  const raw = await tableOf(net, subject.images);
  const { byShare } = candidates(subject, raw, { targets: [], shares: [0.5] });
  const [half] = byShare;
  assert.is(half!.expected.exits.filter((exit) => exit === 0).length, 10);
  // Told to expect that all run to the end, while half of them leave.
  const wrong = { ...half!, expected: whole(raw, subject.names).expected };
  const error = await Contender.make(net, wrong, subject.images, 8).then(
    () => undefined,
    (thrown: Error) => thrown,
  );
  assert.match(String(error?.message), /^bench: every answer must be the policy's .* in batches of 8 [1-9]\d* differ/);
  // More images than there are: they are asked again, and checked again.
  const large = await Contender.make(net, half!, subject.images, 64);
  assert.ok((await large.time()) > 0);
  large.dispose();
  let counter = 0;
  const meter = () => (counter += 1);
  const site = { net, set: subject.images, whole: whole(raw, subject.names), rounds: 1 };
  const spent = await joules(meter, site, 8, [half!]);
  assert.equal(Object.keys(spent!), ["whole network", half!.name]);
  assert.is(await joules("energy: none.", site, 8, []), undefined);
  // A joule an image: a batch costs as many as it has images, however often they are asked to fill it.
  let classified = 0;
  const { pass } = Contender.prototype;
  Contender.prototype.pass = async function (this: Contender) {
    const found = await pass.call(this);
    classified += found.images;
    return found;
  };
  try {
    for (const batch of [7, 20, 38]) {
      const found = await joules(() => classified, site, batch, []);
      assert.ok(Math.abs(found!["whole network"]! - batch) < 1e-9, `${found!["whole network"]} J for ${batch} images`);
    }
  } finally {
    Contender.prototype.pass = pass;
  }
  net.dispose();
});

test("bad input is refused before anything is written", async () => {
  assert.equal(await run("bench", join(out, "none")), {
    code: 1,
    text: `bench: ${join(out, "none")} must be the folder of a run, or a model file; it is neither.`,
  });
  assert.match((await run("bench", dir, "--batches", "0")).text, /^bench: --batches must be a list of whole numbers/);
  assert.match(
    (await run("bench", file, "--out", file)).text,
    /^bench: --out must be another file than those that are read/,
  );
  assert.equal(await run("bench", file, "--targets", "0.5"), {
    code: 1,
    text: "bench: --targets must go with the folder of a run whose policy can be calibrated again; got a model file, which holds no calibration samples. Leave it out, or calibrate a run.",
  });
  assert.match(
    (await run("bench", dir, "--policy", join(dir, "policy.json"))).text,
    /^bench: with --policy --out must say where what is measured goes; got none/,
  );
  assert.match((await run("bench")).text, /^bench: one folder of a run or one model file must be given; got 0\.$/);
});

const meters = suite("cli bench: energy");

meters("joules are read where a driver counts them, and a reason is given where not", async () => {
  const root = mkdtempSync(join(tmpdir(), "sortie-energy-"));
  assert.is(
    await energyMeter({ isSoftware: true, vendor: "mesa" }, { root }),
    "energy: the processor (RAPL) shows no total counter here.",
  );
  assert.is(
    await energyMeter({ isSoftware: false, vendor: "amd" }, { root }),
    "energy: the GPU's driver (hwmon) shows no total counter here.",
  );
  for (const [i, uj] of [4_000_000, 2_500_000].entries()) {
    mkdirSync(join(root, "powercap", `intel-rapl:${i}`), { recursive: true });
    writeFileSync(join(root, "powercap", `intel-rapl:${i}`, "energy_uj"), `${uj}\n`);
  }
  // A part of a package, which is counted in it.
  mkdirSync(join(root, "powercap", "intel-rapl:0:0"));
  const cpu = { isSoftware: true, vendor: "mesa" };
  assert.is(await energyMeter(cpu, { root }), "energy: the counter of the processor (RAPL) cannot be read (ENOENT).");
  for (const i of [0, 1]) writeFileSync(join(root, "powercap", `intel-rapl:${i}`, "max_energy_range_uj"), "4000001\n");
  const meter = await energyMeter(cpu, { root });
  assert.is(typeof meter === "function" ? meter() : meter, 6.5);
  // The first counter begins again from 0.
  writeFileSync(join(root, "powercap", "intel-rapl:0", "energy_uj"), "500000\n");
  assert.is(typeof meter === "function" ? meter() : meter, 7.000001);
  writeFileSync(join(root, "powercap", "intel-rapl:0", "energy_uj"), "600000\n");
  assert.is(typeof meter === "function" ? meter() : meter, 7.100001);
  mkdirSync(join(root, "hwmon", "hwmon3"), { recursive: true });
  writeFileSync(join(root, "hwmon", "hwmon3", "name"), "amdgpu\n");
  writeFileSync(join(root, "hwmon", "hwmon3", "energy1_input"), "1500000\n");
  const gpu = await energyMeter({ isSoftware: false, vendor: "amd" }, { root });
  assert.is(typeof gpu === "function" ? gpu() : gpu, 1.5);
  // Another GPU's counter is not this one's.
  assert.match(
    String(await energyMeter({ isSoftware: false, vendor: "intel" }, { root })),
    /shows no total counter here/,
  );
  rmSync(root, { recursive: true });
});

/** Two GPUs that have spent what their index and the number of readings say; none if built with `NONE`. */
const NVML = `
typedef struct { unsigned index; unsigned long long reads; } Gpu;
static Gpu gpus[2] = {{0, 0}, {1, 0}};
static int ready = 0;
const char *nvmlErrorString(int code) { return code == 1 ? "Uninitialized" : "Not Supported"; }
int nvmlInit_v2(void) { ready = 1; return 0; }
#ifdef NONE
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 0; return 0; }
#else
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return ready ? 0 : 1; }
#endif
int nvmlDeviceGetHandleByIndex_v2(unsigned i, Gpu **gpu) { *gpu = &gpus[i]; return ready ? 0 : 1; }
int nvmlDeviceGetTotalEnergyConsumption(Gpu *gpu, unsigned long long *energy) {
#ifdef OLD
  return 3;
#endif
  *energy = 5000000000000ULL * gpu->index + 1500 * gpu->reads++;
  return 0;
}
`;

const hasCompiler = spawnSync("cc", ["--version"], { stdio: "ignore" }).status === 0;
const nvidia = suite("cli bench: energy of NVIDIA", {
  skip: hasCompiler ? undefined : "there is no compiler for a library in NVML's place",
  isOptional: true,
});

nvidia("the counters of all GPUs are added, and a reason is given where NVML has none", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sortie-nvml-"));
  writeFileSync(join(folder, "nvml.c"), NVML);
  const meterOf = (name: string, ...flags: readonly string[]) => {
    const nvml = join(folder, `${name}.so`);
    const { status } = spawnSync("cc", ["-shared", "-fPIC", ...flags, "-o", nvml, join(folder, "nvml.c")]);
    assert.is(status, 0);
    return energyMeter({ isSoftware: false, vendor: "nvidia" }, { nvml });
  };
  const meter = await meterOf("two");
  if (typeof meter === "string") throw new Error(meter);
  // Both were read once when they were found.
  assert.equal([meter(), meter()], [5_000_000_003, 5_000_000_006]);
  assert.is(await meterOf("none", "-DNONE"), "energy: NVML finds no GPU.");
  assert.is(
    await meterOf("old", "-DOLD"),
    `energy: NVML tells no total counter here (${join(folder, "old.so")}: Not Supported).`,
  );
  const missing = await energyMeter({ isSoftware: false, vendor: "nvidia" }, { nvml: join(folder, "missing.so") });
  assert.match(String(missing), /^energy: NVML tells no total counter here \(.*missing\.so/);
  rmSync(folder, { recursive: true });
});
