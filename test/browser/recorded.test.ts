// In headless Chromium: a recorded model of one file, by a script that holds neither engine nor network, answers as the
// model file that it was made of does elsewhere.

import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { loadRecorded } from "../../exits/index.ts";
import { bars } from "../exits/small.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { bundle, CHROMIUM, FLAGS, isOptional, serve, skip } from "./serving.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const files = fileURLToPath(new URL("../exits/files/", import.meta.url));
const recorded = readFileSync(`${files}recorded-1-resnet.recorded.safetensors`);

interface Said {
  readonly classes: readonly number[];
  readonly exits: readonly number[];
  readonly scores: readonly number[];
}

/** What the file that it was recorded of answered when it was written. */
const wanted = (JSON.parse(readFileSync(`${files}model-1.json`, "utf8")) as Record<string, Said>)["resnet"]!;

function agrees({ classes, exits, scores }: Said): void {
  assert.equal([classes, exits], [wanted.classes, wanted.exits]);
  const apart = Math.max(...scores.map((score, i) => Math.abs(score - wanted.scores[i]!)));
  assert.ok(apart < 1e-4, `scores are ${apart} apart`);
}

const SCRIPT = `
import { loadRecorded } from "../../exits/index.ts";
import { bars } from "../exits/small.ts";

globalThis.answers = async () => {
  const classifier = await loadRecorded("/model.recorded.safetensors", { cache: "recorded" });
  const { images } = bars(60, "test", 3000);
  const plain = ({ classes, exits, scores }) => ({ classes: [...classes], exits: [...exits], scores: [...scores] });
  const all = plain(await classifier.classify(images));
  const one = await classifier.classify(images.subarray(0, 64));
  const canvas = new OffscreenCanvas(8, 8);
  const pixels = Uint8ClampedArray.from({ length: 4 * 64 }, (_, i) => (i % 4 === 3 ? 255 : images[i >> 2]));
  canvas.getContext("2d").putImageData(new ImageData(pixels, 8, 8), 0, 0);
  const picture = await classifier.classify([await canvas.convertToBlob({ type: "image/png" })]);
  classifier.dispose();
  return { all, one: plain(one), picture: plain(picture), names: classifier.model.classes };
};
`;

const here = gpuSuite("recorded models of version 1");
here("answer for ever as they did", async () => {
  using classifier = await loadRecorded(recorded, { device: device() });
  const { images } = bars(60, "test", 3000);
  const { classes, exits, scores } = await classifier.classify(images);
  agrees({ classes: [...classes], exits: [...exits], scores: [...scores] });
});

const test = suite("recorded models in a browser", { skip, isOptional, timeout: 120_000 });
test("a page answers by one file, for bytes and for a picture", async () => {
  const server = await serve(await bundle(SCRIPT, folder), {
    "/model.recorded.safetensors": ["application/octet-stream", recorded],
  });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await tab.waitForFunction(() => "answers" in globalThis);
    const said = await tab.evaluate(() =>
      (
        globalThis as unknown as { answers(): Promise<{ all: Said; one: Said; picture: Said; names: string[] }> }
      ).answers(),
    );
    agrees(said.all);
    for (const { classes, exits } of [said.one, said.picture])
      assert.equal([classes, exits], [wanted.classes.slice(0, 1), wanted.exits.slice(0, 1)]);
    assert.is(said.names.length, 4);
  } finally {
    await browser.close();
    server.close();
  }
});
