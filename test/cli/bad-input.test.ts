// What a method cannot be given, through the commands themselves: each is refused with exit code 1, one sentence that
// says what must hold and what was there, no stack, and nothing left of it on the disk.

import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors } from "../../engine/index.ts";
import { writeSealed } from "../../exits/run/seal.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { run } from "./command-line.ts";
import { freePort } from "./servers.ts";

const test = gpuSuite("cli: bad input", { timeout: 120_000 });
const folder = mkdtempSync(join(tmpdir(), "sortie-bad-"));
test.after(() => rmSync(folder, { recursive: true }));

const SMALL = [
  ...["--data.train", "32", "--data.validation", "16", "--data.calibration", "16", "--data.test", "16"],
  ...["--epochs", "1", "--batch", "16"],
];

/** Refused, with this as its last line and nothing written below `out`. */
async function refuses(args: readonly string[], message: RegExp): Promise<void> {
  const out = join(folder, "never");
  const { code, text } = await run(...args, ...(args[0] === "worker" ? [] : ["--out", out]));
  const last = text.split("\n").at(-1) as string;
  assert.is(code, 1, text);
  assert.match(last, message);
  assert.not.match(text, /^ +at /m);
  assert.not(existsSync(out), args.join(" "));
}

test("unknown methods, options, backbones and data sets, with the nearest name", async () => {
  for (const [args, message] of [
    [["train", "--method", "jei-dn"], /^train: --method must be one of .*; got "jei-dn"\. Did you mean jei-dnn\?$/],
    [
      ["train", "--method", "kd", "--method.temprature", "3"],
      /unknown flag --method\.temprature\. Did you mean --method\.temperature\?$/,
    ],
    [["train", "--model.backbone", "resnett"], /^train: --model\.backbone must be one of .*Did you mean resnet\?$/],
    [["compare", "--methods", "joint,sofft-cgt"], /^compare: --method\.name must be one of .*Did you mean soft-cgt\?$/],
    [["compare", "--methods", "joint", "--backbones", "resnt"], /^compare: --model\.backbone .*Did you mean resnet\?$/],
    [["compare", "--methods", "joint", "--sets", "cifar"], /^compare: --data\.name .*Did you mean cifar10\?$/],
    [
      ["compare", "--methods", "joint", "--method.gamma", "3"],
      /--method\.gamma is no setting of joint, which takes .* Leave it out\.$/,
    ],
  ] as const)
    await refuses(args, message);
});

test("a method that needs what the backbone, its exits or the pictures have not", async () => {
  for (const [flags, message] of [
    [
      ["--model.exits", "stage9"],
      /^buildNetwork: exits must name some of stage1, stage2, in this order; got \[stage9\]\./,
    ],
    [
      ["--method", "calexnet", "--model.backbone", "vit", "--model.head", "prototype"],
      /head must fit the tokens of stage1; got prototype, which reads a map\. Use one of class-token, mean-token\.$/,
    ],
    [
      ["--method", "safe-kd", "--train.mixup", "0.2"],
      /^safe-kd: images must have one label, .*; got images blended by mixup\./,
    ],
    [
      ["--from", join(folder, "none")],
      /^train: weights must lie where they are said to be; there is no .*none.last\.safetensors\.$/,
    ],
  ] as const)
    await refuses(["train", ...SMALL, ...flags], message);
});

test("a queue that is not there, and what is none", async () => {
  const artefacts = join(folder, "never", "artefacts");
  const port = await freePort();
  for (const scheme of ["postgres", "redis"]) {
    const gone = new RegExp(
      `: the queue at ${scheme}://127\\.0\\.0\\.1:${port}/0 must answer; got connect ECONNREFUSED`,
    );
    const url = `${scheme}://127.0.0.1:${port}/0`;
    await refuses(["worker", url], gone);
    await refuses(["compare", "--methods", "joint", "--queue", url, "--artefacts", artefacts], gone);
  }
  await refuses(["worker", "http://127.0.0.1"], /^worker: the queue must be an address like .*; got the scheme http\./);
});

test("a teacher of other exits, and one whose weights or answers are no numbers", async () => {
  const flags = ["train", ...SMALL, "--model.widths", "2,4,4", "--method", "kd", "--out", folder];
  const first = await run(...flags, "--name", "first");
  assert.is(first.code, 0, first.text);
  const beside = async (name: string, ...more: string[]) => {
    const { code, text } = await run(...flags, "--name", name, ...more);
    assert.is(code, 1, text);
    for (const file of ["config.json", "last.safetensors", ".lock"])
      assert.not(existsSync(join(folder, name, file)), file);
    return text.split("\n").at(-1) as string;
  };
  cpSync(join(folder, "first", "teacher"), join(folder, "other", "teacher"), { recursive: true });
  assert.match(
    await beside("other", "--model.exits", "stage1"),
    /other.teacher holds a run with model\.exits \["stage1","stage2"\]; now it is \["stage1"\]\. Choose another --name, or start over by --fresh\.$/,
  );
  cpSync(join(folder, "first", "teacher"), join(folder, "nan", "teacher"), { recursive: true });
  const path = join(folder, "nan", "teacher", "last.safetensors");
  const { tensors, metadata } = await readSafetensors(path);
  const spoil = async (value: number) => {
    for (const [name, { data }] of tensors)
      if (/^net\..*linear\.weight$/.test(name)) (data as Float32Array).fill(value);
    await writeSealed(path, [...tensors], metadata);
  };
  await spoil(3e38);
  assert.match(await beside("nan"), /^table: logits must be finite; got \S+ at sample 0, exit 0, class \d+/);
  await spoil(Number.NaN);
  assert.match(
    await beside("nan"),
    /^checkpoint: .*last\.safetensors must hold finite values; net\.\S+ has NaN at 0\.$/,
  );
});
