// In headless Chromium: whatever a page has of a picture - canvas, bitmap, video, ImageData, file - comes to the
// network as the same bytes, JPEG files as the bytes that Node makes of them, and a classifier takes all of them.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { fromPixels } from "../../data/index.ts";
import { buildNetwork, deploy, encodeModel, type MultiExit, type Normalisation } from "../../exits/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { bundle, CHROMIUM, FLAGS, isOptional, serve, skip } from "./serving.ts";

const test = gpuSuite("pictures in a browser", { skip, isOptional, timeout: 120_000 });

const FILES = ["base420.jpg", "progressive.jpg", "turned6.jpg", "grey.jpg", "palette.png", "turned.png"];
const INPUT = [12, 10, 3] as const;
const contentOf = (name: string) => readFileSync(new URL(`../data/pictures/${name}`, import.meta.url));

const SCRIPT = `
import { fromPixels } from "../../data/index.ts";
import { load } from "../../exits/index.ts";

const input = ${JSON.stringify(INPUT)};
const bytes = async (source) => [...(await fromPixels(source, { input }))];
const fileOf = async (name) => new File([await (await fetch("/" + name)).arrayBuffer()], name);

/** The same drawing in every form that a page has. */
async function forms() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [30, 24];
  const context = canvas.getContext("2d");
  for (let y = 0; y < 24; y++) {
    for (let x = 0; x < 30; x++) {
      context.fillStyle = "rgb(" + [8 * x, 10 * y, (x * y) % 256] + ")";
      context.fillRect(x, y, 1, 1);
    }
  }
  const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const image = new Image();
  image.src = URL.createObjectURL(png);
  await image.decode();
  const offscreen = new OffscreenCanvas(30, 24);
  offscreen.getContext("2d").drawImage(canvas, 0, 0);
  const frame = new VideoFrame(canvas, { timestamp: 0 });
  return { canvas, offscreen, image, bitmap: await createImageBitmap(canvas), data: context.getImageData(0, 0, 30, 24), png, frame };
}

/** A grey video: colours of videos are coded at half the size. */
async function videoOf() {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [64, 48];
  const context = canvas.getContext("2d");
  context.fillStyle = "rgb(120,120,120)";
  const video = document.createElement("video");
  video.muted = true;
  video.srcObject = canvas.captureStream(30);
  const draw = setInterval(() => context.fillRect(0, 0, 64, 48), 20);
  await video.play();
  while (video.videoWidth === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  clearInterval(draw);
  return video;
}

globalThis.pictures = {
  files: async (names) => Promise.all(names.map(async (name) => bytes(await fileOf(name)))),
  async forms() {
    const all = await forms();
    return Object.fromEntries(await Promise.all(Object.entries(all).map(async ([name, source]) => [name, await bytes(source)])));
  },
  async video() {
    return bytes(await videoOf());
  },
  async webp() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [40, 40];
    canvas.getContext("2d").fillStyle = "rgb(200,100,50)";
    canvas.getContext("2d").fillRect(0, 0, 40, 40);
    return bytes(await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 1)));
  },
  async refusals() {
    const say = (source) => fromPixels(source, { input }).catch((error) => error.message);
    return [await say(new File(["nothing"], "n.txt")), await say(document.createElement("canvas").transferControlToOffscreen?.() ?? {}), await say(document.createElement("video")), await say(7)];
  },
  async classify(names) {
    const classifier = await load("/model.safetensors");
    const { canvas } = await forms();
    const answer = classifier.classify([canvas, ...(await Promise.all(names.map(fileOf)))]);
    const one = classifier.classify(canvas);
    // Pictures are copied at the call.
    canvas.getContext("2d").clearRect(0, 0, 30, 24);
    const { classes, scores } = await answer;
    const alone = await one;
    classifier.dispose();
    return { classes: [...classes], scores: [...scores], alone: [...alone.scores] };
  },
};
`;

interface Pictures {
  files(names: readonly string[]): Promise<number[][]>;
  forms(): Promise<Record<string, number[]>>;
  video(): Promise<number[]>;
  webp(): Promise<number[]>;
  refusals(): Promise<string[]>;
  classify(names: readonly string[]): Promise<{ classes: number[]; scores: number[]; alone: number[] }>;
}

const BLOBS = FILES.map((name) => new File([contentOf(name)], name));

/** Calls a function of the page. */
type Page = <Name extends keyof Pictures>(
  name: Name,
  ...args: Parameters<Pictures[Name]>
) => ReturnType<Pictures[Name]>;

/** Whatever a page has of a picture comes as the same bytes; the bytes of the canvas. */
async function comeAsTheSameBytes(page: Page): Promise<number[]> {
  const want = await Promise.all(BLOBS.map(async (blob) => [...(await fromPixels(blob, { input: INPUT }))]));
  assert.equal(await page("files", FILES), want);

  const { canvas, ...others } = await page("forms");
  assert.equal(Object.keys(others), ["offscreen", "image", "bitmap", "data", "png", "frame"]);
  for (const [name, found] of Object.entries(others)) assert.equal(found, canvas, name);
  assert.ok(new Set(canvas).size > 50);
  assert.ok((await page("video")).every((value) => Math.abs(value - 120) < 8));
  assert.ok((await page("webp")).every((value, i) => Math.abs(value - [200, 100, 50][i % 3]!) < 4));
  const [text, , video, number] = await page("refusals");
  assert.equal(
    [text, video, number],
    [
      "fromPixels: n.txt must be a picture that this browser reads; got another file.",
      "fromPixels: the picture must have pixels; got 0 x 0 and 0 bytes.",
      "fromPixels: the picture must be a canvas, an image, a bitmap, a video, ImageData or a file; got 7.",
    ],
  );
  return canvas ?? [];
}

async function areClassified(page: Page, net: MultiExit, normalise: Normalisation, canvas: readonly number[]) {
  using classifier = await deploy(net, { thresholds: [Number.POSITIVE_INFINITY] }, { normalise });
  const here = await classifier.classify([{ data: rgba(canvas), width: 10, height: 12 }, ...BLOBS]);
  const there = await page("classify", FILES);
  assert.equal(there.classes, [...here.classes]);
  for (const [i, score] of there.scores.entries())
    assert.ok(Math.abs(score - here.scores[i]!) < 1e-4, `${score} of ${i}`);
  assert.equal(there.alone, there.scores.slice(0, 1));
}

test("a page's pictures come to the network as Node's do, and a classifier takes them as they are", async () => {
  const net = buildNetwork(
    {
      backbone: "resnet",
      options: { depth: 8, widths: [4, 4, 8] },
      input: INPUT,
      classes: 3,
      exits: ["stage1"],
      head: "gap-linear",
      last: "own",
    },
    { seed: 3 },
  );
  const normalise = { mean: [0.5, 0.4, 0.3], std: [0.2, 0.2, 0.2] };
  const model = await encodeModel(net, { classes: ["a", "b", "c"], normalise });
  const wasm = readFileSync(createRequire(import.meta.url).resolve("@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm"));
  const server = await serve(await bundle(SCRIPT, fileURLToPath(new URL(".", import.meta.url))), {
    // Beside the script, where the decoder looks for it.
    "/mozjpeg_dec.wasm": ["application/wasm", wasm],
    "/model.safetensors": ["application/octet-stream", model],
    ...Object.fromEntries(FILES.map((name) => [`/${name}`, ["application/octet-stream", contentOf(name)] as const])),
  });
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await tab.waitForFunction(() => "pictures" in globalThis);
    const page: Page = <Name extends keyof Pictures>(name: Name, ...args: Parameters<Pictures[Name]>) =>
      tab.evaluate(
        ([name, args]) =>
          (globalThis as unknown as { pictures: Record<string, (...args: readonly unknown[]) => unknown> }).pictures[
            name
          ]!(...args),
        [name, args] as const,
      ) as ReturnType<Pictures[Name]>;

    await areClassified(page, net, normalise, await comeAsTheSameBytes(page));
  } finally {
    await browser.close();
    server.close();
    net.dispose();
  }
});

/** Pixels [H, W, 3] with full opacity. */
const rgba = (rgb: readonly number[]) =>
  Uint8ClampedArray.from({ length: (rgb.length / 3) * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : rgb[Math.floor(i / 4) * 3 + (i % 4)]!,
  );
