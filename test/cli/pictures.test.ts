// README's way from a folder of one's own JPEG files to a certified classifier, and to answers for new ones.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { firstOf } from "../../base/index.ts";
import { readModel } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { run } from "./command-line.ts";
import { drawPictures } from "./drawn-pictures.ts";

const test = gpuSuite("cli pictures", { timeout: 180_000 });
const work = mkdtempSync(join(tmpdir(), "sortie-own-"));
const before = process.env["SORTIE_CACHE"];
process.env["SORTIE_CACHE"] = join(work, "cache");
test.after(() => {
  if (before === undefined) delete process.env["SORTIE_CACHE"];
  else process.env["SORTIE_CACHE"] = before;
  rmSync(work, { recursive: true });
});

/** The commands of README's section. */
const COMMANDS = (() => {
  const readme = readFileSync(fileURLToPath(new URL("../../README.md", import.meta.url)), "utf8");
  const [, section = ""] = /^## Your own pictures$([\s\S]*?)^## /m.exec(readme) ?? [];
  return [...section.matchAll(/^npx sortie (.*?)(?:\s+#.*)?$/gm)].map(([, line]) => (line as string).split(/\s+/));
})();

const model = join(work, "mine.sortie.safetensors");
const here = (command: readonly string[]) =>
  command.map((word) =>
    word === "pictures/"
      ? join(work, "pictures")
      : word.startsWith("runs/")
        ? join(work, word)
        : word.endsWith(".safetensors")
          ? model
          : word,
  );
/** The smallest network on the smallest pictures: a test has seconds. */
const SMALL = [
  "--data.size",
  "12,14",
  "--model.depth",
  "8",
  "--model.widths",
  "8,8,16",
  "--epochs",
  "8",
  "--lr",
  "0.05",
  "--train.warmup",
  "10",
  "--train.flip",
  "0",
];

let paths: Readonly<Record<string, readonly string[]>> = {};

test("three commands of README make a certified classifier of 300 JPEG files, lying as cameras were held", async () => {
  paths = await drawPictures(join(work, "pictures"), 100);
  assert.equal(
    COMMANDS.slice(0, 3).map(([name]) => name),
    ["train", "calibrate", "export"],
  );
  const [train = [], calibrate = [], write = []] = COMMANDS.map(here);
  const trained = await run(...train, "--out", join(work, "runs"), ...SMALL);
  assert.is(trained.code, 0, trained.text);
  assert.match(trained.text, /^decoded 300 of 300 pictures$/m);
  assert.match(
    trained.text,
    /^data: 150 train, 30 validation, 60 calibration and 60 test of 300 pictures in .* \(drawn by seed 1, every class alike in each part\)$/m,
  );
  const calibrated = await run(...calibrate);
  assert.is(calibrated.code, 0, calibrated.text);
  const exported = await run(...write);
  assert.is(exported.code, 0, exported.text);
  const { record } = await readModel(model);
  assert.equal(record.classes, ["down", "left", "up"]);
  assert.equal(record.fit, { fit: "crop", filter: "bilinear", keep: 1 });
  assert.ok(record.policy?.result.ok);
});

test("augmentation comes by flags, and a run says what its calibration pictures are too few to certify", async () => {
  const flags = [
    "--train.zoom",
    "0.5",
    "--train.jitter",
    "0.2,0.2,0.2",
    "--train.randAugment",
    "1,5",
    "--train.erase",
    "0.2",
  ];
  const blends = [
    "--train.mixup",
    "0.3",
    "--train.cutmix",
    "1",
    "--method",
    "joint",
    "--epochs",
    "1",
    "--data.train",
    "64",
  ];
  const weighted = ["--train.classWeights", "1,2,0.5"];
  const few = ["--data.calibration", "20", "--alpha", "0.05", "--delta", "0.1", "--name", "few"];
  const own = ["train", "--data", "folder", "--dir", join(work, "pictures"), "--out", join(work, "runs"), ...SMALL];
  const { code, text } = await run(...own, ...flags, ...blends, ...weighted, ...few);
  assert.is(code, 0, text);
  assert.match(
    text,
    /^note: 20 calibration images are too few for a risk of 5 %: even if all of them left early and were answered rightly, no less than 10\.9 % could be certified at delta 0\.1\./m,
  );
  const { train } = JSON.parse(readFileSync(join(work, "runs", "few", "config.json"), "utf8")) as {
    readonly train: Readonly<Record<string, unknown>>;
  };
  assert.equal([train["zoom"], train["jitter"], train["randAugment"]], [0.5, [0.2, 0.2, 0.2], [1, 5]]);
  assert.equal(train["classWeights"], [1, 2, 0.5]);
  const unfit = await run(...own, "--train.classWeights", "1,2", "--name", "unfit");
  assert.is(unfit.code, 1);
  assert.match(unfit.text, /^createLoader: classWeights must be balanced, or 3 numbers, one for each class; got 2\.$/m);
  const wrong = await run(...own, "--train.jitter", "0.4", "--name", "wrong");
  assert.equal(wrong, {
    code: 1,
    text: "train: --train.jitter must be three or four numbers within 0 and 1, the fourth up to 0.5: 0.4,0.4,0.4,0.1; got [0.4].",
  });
});

test("200 pictures are enough to train on, and the run and its calibration say for what they are too few", async () => {
  const drawn = await drawPictures(join(work, "few"), 67);
  rmSync(firstOf(Object.values(drawn))[0] as string);
  const [train = [], calibrate = []] = COMMANDS.slice(0, 2).map((command) =>
    here(command).map((word) => word.replace(/pictures$/, "few").replace(/mine$/, "200")),
  );
  const flags = ["--out", join(work, "runs"), ...SMALL, "--epochs", "1", "--alpha", "0.05"];
  const trained = await run(...train, ...flags);
  assert.is(trained.code, 0, trained.text);
  assert.match(trained.text, /^data: 100 train, 20 validation, 40 calibration and 40 test of 200 pictures/m);
  assert.match(
    trained.text,
    /^note: 40 calibration images are too few for a risk of 5 %: .* no less than 5\.6 % could/m,
  );
  const calibrated = await run(...calibrate);
  assert.is(calibrated.code, 2, "nothing could be certified of a network that has seen each picture once");
  assert.match(
    calibrated.text,
    /^Nothing is promised, and no sample should leave early\. .* with 40 samples; .* about \d+ would be needed, \d+ more\.$/m,
  );
});

test("the file answers for pictures of any size, JPEG and PNG, as for those it was trained on", async () => {
  const classify = COMMANDS.map(here)[3]!;
  assert.equal(classify.slice(0, 2), ["classify", model]);
  const files = Object.entries(paths).flatMap(([name, all]) => all.slice(0, 24).map((path) => ({ name, path })));
  const { code, text } = await run("classify", model, ...files.map(({ path }) => path), "--batch", "16");
  assert.is(code, 0, text);
  const [head, ...rows] = text.split("\n");
  assert.is(head, "image,class,exit,score,macs");
  const right = rows.filter((row, i) => row.startsWith(`${files[i]!.path},${files[i]!.name},`)).length;
  assert.is(rows.length, 72);
  assert.ok(right >= 66, `${right} of 72 are right`);
  const predicted = await run("predict", model, "--data-dir", join(work, "pictures"));
  assert.is(predicted.code, 0, predicted.text);
  const [, accuracy = "0"] = /^60 images: accuracy ([\d.]+) %/m.exec(predicted.text) ?? [];
  assert.ok(Number(accuracy) > 90, predicted.text);
  const stray = await run("classify", model, files[0]!.path, fileURLToPath(import.meta.url));
  assert.equal(
    [stray.code, stray.text.replace(/decodePicture: .*\/test/, "test")],
    [1, "test/cli/pictures.test.ts must be a JPEG or PNG file; got another kind."],
  );
});
