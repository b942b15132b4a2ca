// What the guides are walked with: the reader's own files, and flags that make a test of what takes minutes.

import { copyFileSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { type StoredTensor, writeSafetensors } from "../../engine/index.ts";
import { mobilenetV3, TORCHVISION, toTorch, toTorchName } from "../../nn/index.ts";
import { bundle, CHROMIUM, FLAGS, serve, skip } from "../browser/serving.ts";
import { drawPictures } from "../cli/drawn-pictures.ts";
import { assert } from "../harness.ts";
import { type Prepared, saveLogits } from "../walk.ts";

/** The smallest training of glyphs: a test has seconds. */
const SMALL = [
  ...["--data.train", "64", "--data.validation", "50", "--data.calibration", "100", "--data.test", "50"],
  ...["--model.depth", "8", "--model.widths", "4,4,8", "--batch", "32", "--epochs", "1", "--train.warmup", "1"],
];

/** The least that brings pictures of drawn classes through. */
const PICTURES = ["--data.size", "16", "--epochs", "1", "--batch", "16", "--train.warmup", "1"];

/** By the page's file. */
export const PREPARED: Readonly<Record<string, (folder: string) => Prepared | Promise<Prepared>>> = {
  "site/start.md": () => ({ flags: { train: SMALL } }),
  "site/guides/own-pictures.md": async (folder) => {
    const { up } = await drawPictures(join(folder, "pictures"), 40);
    copyFileSync(up?.[0] ?? "", join(folder, "new.jpg"));
    const train = ["--data.size", "12", "--epochs", "10", "--batch", "16", "--lr", "0.05", "--train.flip", "0"];
    return {
      flags: {
        train: [...train, "--model.widths", "8,8,16", "--model.depth", "8", "--train.warmup", "5"],
        calibrate: ["--alpha", "0.3"],
      },
      after: () => openPage(folder),
    };
  },
  "site/guides/torchvision.md": async (folder) => {
    await drawPictures(join(folder, "pictures"), 40);
    await saveTorchvision(join(folder, "mobilenet_v3_small.safetensors"));
    return { flags: { train: PICTURES, calibrate: ["--alpha", "0.95"] } };
  },
  "site/guides/compare.md": () => {
    // What the scheduler tells a task.
    process.env["SLURM_ARRAY_TASK_ID"] = "2";
    return {
      flags: { compare: [...SMALL, "--seeds", "0", "--alpha", "0.97", "--no-timing"] },
      after: async () => void delete process.env["SLURM_ARRAY_TASK_ID"],
    };
  },
  "site/guides/pytorch-logits.md": (folder) => ({
    withoutPython: () => saveLogits(folder, ["validation", "calibration", "test"]),
  }),
};

/** A network of 1,000 classes as torchvision would save it, with weights that nothing trained. */
async function saveTorchvision(path: string): Promise<void> {
  const net = mobilenetV3({ input: [32, 32, 3], classes: 1000, seed: 1 });
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of net.state()) {
    const made = toTorch(name, { shape: tensor.shape, data: (await tensor.read()) as Float32Array }, net);
    tensors.set(toTorchName(name, TORCHVISION), {
      dtype: "F32",
      shape: made.shape,
      data: Float32Array.from(made.data),
    });
  }
  await writeSafetensors(path, tensors);
}

/** Opens the page that a reader has made, in Chromium where there is one, and gives it a picture. */
async function openPage(folder: string): Promise<void> {
  if (skip !== undefined) {
    console.log(`the page is not opened: ${skip}`);
    return;
  }
  const library = await bundle('export * from "../index.ts"; export * from "../engine/index.ts";');
  const wasm = readFileSync(createRequire(import.meta.url).resolve("@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm"));
  const [page, model] = ["index.html", "mine.sortie.safetensors"].map((name) => readFileSync(join(folder, name)));
  const server = await serve("", {
    "/index.html": ["text/html", page!],
    "/mine.sortie.safetensors": ["application/octet-stream", model!],
    "/node_modules/sortie/dist/sortie.min.js": ["text/javascript", library],
    "/node_modules/sortie/dist/mozjpeg_dec.wasm": ["application/wasm", wasm],
  });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/index.html`);
    await tab.locator("#promise").filter({ hasText: "with probability at least 0.9" }).waitFor();
    await tab.setInputFiles("input", join(folder, "new.jpg"));
    const answer = tab.locator("li");
    await answer.waitFor();
    assert.match((await answer.textContent()) ?? "", /^new\.jpg: up \(\d+ % sure, at exit [123]\)$/);
  } finally {
    await browser.close();
    server.close();
  }
}
