// The lab in headless Chromium: trained by mouse, paused, reloaded and its device destroyed on the way; calibrated, run
// and taken home by keys alone, and by mouse; own drawings by keys; without a network; without WebGPU; and what axe
// says of every step.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { unzipSync } from "fflate";
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core";
import { readModel } from "../../exits/index.ts";
import { buildLab, serveFolder } from "../../scripts/lab.ts";
import { CHROMIUM, FLAGS, isOptional, skip } from "../browser/serving.ts";
import { assert, suite } from "../harness.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-lab-"));
const AXE = fileURLToPath(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url));
const test = suite("lab in a browser", { skip, isOptional, timeout: 240_000 });
/** A camera that shows a moving picture, and needs no leave. */
const CAMERA = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
const STEPS = ["Train", "Calibrate", "Run", "Take home"] as const;

let server: Server;
let browser: Browser;
let context: BrowserContext;
let page: Page;
/** What the page and its worker complained of. */
const complaints: string[] = [];

const addressOf = (of: Server): string => `http://127.0.0.1:${(of.address() as AddressInfo).port}/`;
const button = (name: string | RegExp): Locator => page.getByRole("button", { name, exact: true });
const step = (name: (typeof STEPS)[number]): Locator => page.getByRole("tab", { name });
const says = (text: RegExp): Promise<unknown> =>
  page.locator(".notice").filter({ hasText: text }).waitFor({ timeout: 120_000 });

/** Opens the lab, and waits until it knows what it runs on. */
async function open(): Promise<void> {
  await page.goto(addressOf(server));
  await page.locator(".adapter").filter({ hasText: "Runs on" }).waitFor({ timeout: 60_000 });
}

/** Moves the focus by the Tab key until it is where it should be. */
async function tabTo(target: Locator): Promise<void> {
  const isThere = () => target.evaluate((element) => element === document.activeElement);
  for (let presses = 0; presses < 60 && !(await isThere()); presses++) await page.keyboard.press("Tab");
  assert.ok(await isThere(), `the Tab key does not reach ${target}`);
}

/** Goes to a step by keys. */
async function goTo(name: (typeof STEPS)[number]): Promise<void> {
  await tabTo(page.locator('[role="tab"][aria-selected="true"]'));
  await page.keyboard.press("Home");
  for (let i = 0; i < STEPS.indexOf(name); i++) await page.keyboard.press("ArrowRight");
  assert.is(await step(name).getAttribute("aria-selected"), "true");
}

/** Saves what a button downloads. */
async function download(press: () => Promise<void>): Promise<Uint8Array<ArrayBuffer>> {
  const [file] = await Promise.all([page.waitForEvent("download"), press()]);
  const path = join(folder, file.suggestedFilename());
  await file.saveAs(path);
  return new Uint8Array(readFileSync(path));
}

test.before(async () => {
  await buildLab(join(folder, "lab"));
  server = await serveFolder(join(folder, "lab"), 0);
  browser = await chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...CAMERA] });
  context = await browser.newContext({ acceptDownloads: true, reducedMotion: "reduce" });
  page = await context.newPage();
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  await open();
});

test.after(async () => {
  await browser?.close();
  server?.close();
  rmSync(folder, { recursive: true });
});

test("trains by mouse; paused and reloaded it goes on, and so it does when its device is destroyed", async () => {
  assert.match((await page.textContent(".adapter")) ?? "", /swiftshader/i);
  await page.getByLabel("Images", { exact: true }).selectOption("512");
  await page.getByLabel("Network").selectOption("tiny");
  await page.getByLabel("Epochs").fill("4");
  await button("Train").click();
  await page
    .locator(".where")
    .filter({ hasText: /step ([6-9]|\d\d) of 64/ })
    .waitFor();
  await button("Pause").click();
  await says(/^Paused at step \d+ of 64\./);
  await page.reload();
  await page.locator(".adapter").filter({ hasText: "Runs on" }).waitFor();
  const curves = page.getByRole("img", { name: /^Accuracy over the steps of training\. exit 1 / });
  await curves.waitFor();
  await button("Resume").click();
  await says(/^Training goes on from step \d+ of 64\./);
  await page
    .locator(".where")
    .filter({ hasText: /step [3-5]\d of 64/ })
    .waitFor();
  type Site = { device: { gpu: GPUDevice }; lost?: unknown };
  const worker = page.workers()[0]!;
  await worker.evaluate(() => {
    const site = globalThis as unknown as Site;
    site.lost = site.device;
    site.device.gpu.destroy();
  });
  await says(/^Trained\./);
  assert.match((await page.textContent(".where")) ?? "", /^step 64 of 64/);
  const isAnother = () => (globalThis as unknown as Site).device !== (globalThis as unknown as Site).lost;
  assert.ok(await worker.evaluate(isAnother), "it goes on without a device");
});

test("calibrates by keys: thresholds follow the slider, from nothing is safe to a promise", async () => {
  await goTo("Calibrate");
  const verdict = page.locator(".verdict");
  await verdict.waitFor({ timeout: 120_000 });
  await tabTo(page.getByLabel("Target risk"));
  await page.keyboard.press("Home");
  await verdict.filter({ hasText: "Nothing is safe" }).waitFor();
  assert.match((await page.textContent(".promise")) ?? "", /no early exit could be certified/);
  assert.equal(await page.locator("tbody td:first-of-type").allTextContents(), [
    "nobody leaves",
    "nobody leaves",
    "none",
  ]);
  await page.keyboard.press("End");
  await verdict.filter({ hasText: "Certified" }).waitFor();
  assert.match(
    (await page.locator("#panel-calibrate .promise").textContent()) ?? "",
    /at most 0\.3 of the samples that really leave/,
  );
});

test("runs by keys what is drawn by keys, and test images in a grid", async () => {
  await goTo("Run");
  const pad = page.getByLabel(/^A sign to classify/);
  await tabTo(pad);
  await page.keyboard.press("Space");
  for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowRight");
  await page.keyboard.press("Space");
  await page.locator(".answers li").waitFor();
  assert.match((await page.textContent(".answers li")) ?? "", /exit \d.* stage\d, \d+ % of the cost, score /);
  await tabTo(button("Run 512 test images"));
  await page.keyboard.press("Enter");
  const grid = page.getByLabel(/^Test images\. /);
  await grid.waitFor({ timeout: 120_000 });
  await tabTo(grid);
  await page.keyboard.press("ArrowRight");
  assert.match((await page.textContent(".one")) ?? "", /^Image 2: \w+, (right|wrong: it is \w+); left at exit \d/);
});

let model: Uint8Array<ArrayBuffer>;

test("is taken home by keys: a model that opens when it is dropped, ONNX, and a page that answers alone", async () => {
  await goTo("Take home");
  const take = (name: string) =>
    download(async () => {
      await tabTo(button(`Download the ${name}`));
      await page.keyboard.press("Enter");
    });
  model = await take("Model file");
  const { record } = await readModel(model);
  assert.equal([record.classes.length, record.policy?.result.ok], [10, true]);
  const onnx = unzipSync(await take("ONNX"));
  assert.ok(["network.onnx", "stage1.onnx", "stage3.onnx", "cascade.json"].every((name) => name in onnx));
  const home = unzipSync(await take("Ready page"));
  for (const [name, content] of Object.entries(home)) writeFileSync(join(folder, name), content);
  const alone = await serveFolder(folder, 0);
  const other = await context.newPage();
  try {
    await other.goto(addressOf(alone));
    await other.locator("#promise").filter({ hasText: "with probability at least" }).waitFor({ timeout: 60_000 });
    await other.setInputFiles("input", join(folder, "lab/models/fashion-mnist.samples.png"));
    await other
      .locator("#answers p")
      .filter({ hasText: /^\w+, known at exit \d$/ })
      .waitFor({ timeout: 60_000 });
  } finally {
    await other.close();
    alone.close();
  }
});

/** Drags the mouse over an element, from one place in it to another, in shares of its sides. */
async function drag(over: Locator, from: readonly [number, number], to: readonly [number, number]): Promise<void> {
  await over.scrollIntoViewIfNeeded();
  const { x, y, width, height } = (await over.boundingBox())!;
  await page.mouse.move(x + from[0] * width, y + from[1] * height);
  await page.mouse.down();
  await page.mouse.move(x + to[0] * width, y + to[1] * height, { steps: 8 });
  await page.mouse.up();
}

test("calibrates, runs what is drawn and what the camera sees, and is taken home by mouse", async () => {
  await step("Calibrate").click();
  const risk = page.getByLabel("Target risk");
  const verdict = page.locator(".verdict");
  await drag(risk, [0.98, 0.5], [0.01, 0.5]);
  await verdict.filter({ hasText: "Nothing is safe" }).waitFor();
  await drag(risk, [0.01, 0.5], [0.98, 0.5]);
  await verdict.filter({ hasText: "Certified" }).waitFor();
  await step("Run").click();
  await button("Clear").click();
  await drag(page.getByLabel(/^A sign to classify/), [0.3, 0.2], [0.7, 0.8]);
  const answer = page.locator("#panel-run .answers li");
  await answer.filter({ hasText: /exit \d.* stage\d/ }).waitFor();
  await button("Start the camera").click();
  await page.getByLabel("The camera").waitFor();
  // An answer to what was drawn may come as late as this.
  await page.evaluate(() => document.querySelector("#panel-run .answer")?.replaceChildren());
  await answer.filter({ hasText: /exit \d.* stage\d/ }).waitFor({ timeout: 60_000 });
  await button("Stop the camera").click();
  assert.not(await page.getByLabel("The camera").isVisible());
  await step("Take home").click();
  const taken = await download(() => button("Download the Model file").click());
  assert.is(taken.length, model.length);
});

test("opens a model that is dropped, from which nothing can be calibrated that it does not bring", async () => {
  const transfer = await page.evaluateHandle(
    (bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(bytes)], "dropped.sortie.safetensors"));
      return transfer;
    },
    [...model],
  );
  await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
  await says(/^dropped is open\./);
  assert.match((await page.textContent(".at")) ?? "", /dropped/);
  const broken = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["no model"], "broken.safetensors"));
    return transfer;
  });
  await page.dispatchEvent("main", "drop", { dataTransfer: broken });
  await says(/load|safetensors/);
  assert.ok(await page.locator(".notice.fault").isVisible());
});

test("axe finds nothing in any step, light or dark, wide or narrow", async () => {
  // The page's own policy lets no script in that is not its own.
  const source = readFileSync(AXE, "utf8");
  for (const [colorScheme, width] of [
    ["light", 1280],
    ["dark", 1280],
    ["light", 375],
    ["dark", 375],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    for (const name of STEPS) {
      await step(name).click();
      await page.evaluate(source);
      const faults = await page.evaluate(async () => {
        const { axe } = globalThis as unknown as {
          axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        };
        return (await axe.run()).violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`));
      });
      assert.equal(faults, [], `${name}, ${colorScheme}`);
      const excess = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(excess <= 0, `${name} is ${excess} pixels wider than ${width}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
});

test("trains on own drawings by keys, of which too few promise nothing", async () => {
  await open();
  // The training that had ended is there again.
  await says(/^Trained\./);
  await goTo("Train");
  await tabTo(page.getByLabel("Train on"));
  await page.keyboard.type("Your d");
  for (const [name, key] of [
    ["across", "ArrowRight"],
    ["down", "ArrowDown"],
  ] as const) {
    await tabTo(page.getByLabel("Name of a new class"));
    await page.keyboard.type(name);
    await page.keyboard.press("Enter");
    const line = page.locator(".class").filter({ hasText: name });
    await line.waitFor();
    for (let drawings = 1; drawings <= 8; drawings++) {
      await page.getByLabel(/^What to add to a class/).focus();
      await page.keyboard.press("Space");
      for (let i = 0; i < drawings; i++) await page.keyboard.press(key);
      await page.keyboard.press("Space");
      await line.getByRole("button", { name: "Add drawing" }).press("Enter");
      await line
        .locator(".count")
        .filter({ hasText: new RegExp(`^${drawings}$`) })
        .waitFor();
    }
  }
  await page.getByLabel("Network").selectOption("tiny");
  await page.getByLabel("Epochs").fill("3");
  await tabTo(button("Train"));
  await page.keyboard.press("Enter");
  await says(/^Trained\./);
  await goTo("Calibrate");
  await page.locator(".verdict").filter({ hasText: "Nothing is safe" }).waitFor();
});

test("without a network it opens, and runs a model that ships with it", async () => {
  await page.evaluate(async () => void (await navigator.serviceWorker.ready));
  await context.setOffline(true);
  server.closeAllConnections();
  await open();
  await button("Glyphs").click();
  await says(/^glyphs is open\./);
  await button("Fashion-MNIST").click();
  await says(/^fashion-mnist is open\./);
  assert.ok(await button("Run 500 test images").isVisible());
  await context.setOffline(false);
});

test("says plainly that WebGPU is missing", async () => {
  const bare = await context.newPage();
  await bare.addInitScript(() => Reflect.deleteProperty(Navigator.prototype, "gpu"));
  await bare.goto(addressOf(server));
  await bare
    .locator(".notice")
    .filter({ hasText: /^This browser has no WebGPU\./ })
    .waitFor();
  assert.is(await bare.textContent(".adapter"), "No WebGPU");
  await bare.close();
});

test("nothing went wrong unsaid", () => assert.equal(complaints, []));
