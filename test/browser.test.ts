// In headless Chromium: the engine, the same source, bundled, runs a part of the op table and deployed networks on the
// browser's software adapter; and the report of a run opens as a page that needs nothing else.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type Browser, type Page as BrowserPage, chromium } from "playwright-core";
import { applyScaling, fit, learnThenTest } from "../calibration/index.ts";
import { main } from "../cli/main.ts";
import { encodeSafetensors } from "../engine/index.ts";
import { deploy, encodeModel, train } from "../exits/index.ts";
import type { Page } from "./browser/page.ts";
import { bundle, CHROMIUM, FLAGS, isOptional, serve, skip } from "./browser/serving.ts";
import { writeRun } from "./cli/synthetic-run.ts";
import { barSplits, joint, quiet, smallNet } from "./exits/small.ts";
import { gpuSuite } from "./gpu.ts";
import { assert, suite } from "./harness.ts";

const WEIGHTS = encodeSafetensors([
  ["w", { dtype: "F32", shape: [2], data: Float32Array.of(1.5, -2) }],
  ["half", { dtype: "F16", shape: [1], data: Float32Array.of(0.25) }],
]);

const folder = fileURLToPath(new URL(".", import.meta.url));
const families = readdirSync(`${folder}engine/ops`).filter((file) => !["check.ts", "row.ts"].includes(file));

/** The script of a page with the op table. */
function tableScript(): string {
  const imports = families.map((file, i) => `import { rows as rows${i} } from "./engine/ops/${file}";`);
  const all = families.map((_, i) => `...rows${i}`).join(", ");
  return [...imports, 'import { expose } from "./browser/page.ts";', `expose([${all}]);`].join("\n");
}

const test = suite("browser", { skip, isOptional, timeout: 120_000 });
let server: Server;
let browser: Browser;
let tab: BrowserPage;

test.before(async () => {
  server = await serve(await bundle(tableScript()), {
    "/weights.safetensors": ["application/octet-stream", WEIGHTS],
  });
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  tab = await browser.newPage();
  await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await tab.waitForFunction(() => "page" in globalThis);
});

test.after(async () => {
  await browser?.close();
  server?.close();
});

test("finds the adapter that the browser has", async () => {
  const adapter = await tab.evaluate(() => (globalThis as unknown as { page: Page }).page.open());
  assert.match(adapter, /swiftshader/i);
});

test("agrees with the oracle on a part of the op table", async () => {
  const ops = await tab.evaluate(() => (globalThis as unknown as { page: Page }).page.ops);
  assert.ok(ops.length >= families.length, `only ${ops.length} ops`);
  const faults: string[] = [];
  let checked = 0;
  for (const op of ops) {
    try {
      checked += await tab.evaluate((name) => (globalThis as unknown as { page: Page }).page.check(name), op);
    } catch (error) {
      faults.push(`${op}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  assert.equal(faults, []);
  assert.ok(checked >= ops.length, `${checked} cases of ${ops.length} ops`);
});

test("answers as the network does once deployed", async () => {
  assert.is(await tab.evaluate(() => (globalThis as unknown as { page: Page }).page.agree()), 2);
});

test("reads weights from a server", async () => {
  const fetched = await tab.evaluate(() =>
    (globalThis as unknown as { page: Page }).page.fetch("/weights.safetensors"),
  );
  assert.equal(fetched, { values: { w: [1.5, -2], half: [0.25] }, loaded: WEIGHTS.byteLength });
});

test("keeps tuned choices for the next device of the page", async () => {
  const { stored, loaded } = await tab.evaluate(() => (globalThis as unknown as { page: Page }).page.tune());
  assert.is(Object.keys(stored).length, 1);
  assert.equal(loaded, stored);
});

test("leaves no buffer in use", async () => {
  assert.is(await tab.evaluate(() => (globalThis as unknown as { page: Page }).page.close()), 0);
});

const readme = gpuSuite("README in a browser", { skip, isOptional, timeout: 120_000 });

readme("its page loads the file that Node wrote, answers the same, and needs no server the next time", async () => {
  const markdown = readFileSync(fileURLToPath(new URL("../README.md", import.meta.url)), "utf8");
  const [, block = ""] = /^```js\n([\s\S]*?)^```$/m.exec(markdown) ?? [];
  assert.match(block, /await load\(/);
  const net = smallNet();
  try {
    const data = barSplits();
    using run = await train(net, data, { ...quiet, epochs: 12, method: joint, seed: 1 });
    const scaling = fit(await run.logits("validation"), { method: "temperature" });
    const result = learnThenTest(applyScaling(await run.logits("calibration"), scaling), { alpha: 0.3, delta: 0.2 });
    assert.ok(result.ok, result.ok ? "" : result.reason);
    using classifier = await deploy(net, result, { scaling, normalise: data.test.meta });
    const want = await classifier.classify(data.test.images);
    const { classes: names, meta: normalise } = data.test;
    const model = await encodeModel(net, { classes: names, normalise, policy: { result, scaling } });
    const script = [
      'import { load } from "../exits/index.ts";',
      'import { barSplits } from "./exits/small.ts";',
      "globalThis.answer = async () => {",
      "  const { images } = barSplits().test;",
      block,
      "  classifier.dispose();",
      "  return { names, exits: [...exits] };",
      "};",
    ].join("\n");
    const name = "/model.sortie.safetensors";
    const server = await serve(await bundle(script), { [name]: ["application/octet-stream", model] });
    let asked = 0;
    server.on("request", ({ url }) => {
      if (url === name) asked += 1;
    });
    const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
    try {
      const tab = await browser.newPage();
      for (const visits of [1, 2]) {
        await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
        await tab.waitForFunction(() => "answer" in globalThis);
        const found = await tab.evaluate(() => (globalThis as unknown as { answer(): Promise<unknown> }).answer());
        const answers = { names: Array.from(want.classes, (answer) => names[answer]), exits: [...want.exits] };
        assert.equal([found, asked], [answers, 1], `visit ${visits}`);
      }
      assert.ok(new Set(want.exits).size > 1, `exits taken: ${[...new Set(want.exits)]}`);
    } finally {
      await browser.close();
      server.close();
    }
  } finally {
    net.dispose();
  }
});

const reports = suite("report in a browser", { skip, isOptional, timeout: 120_000 });
const run = mkdtempSync(join(tmpdir(), "sortie-browser-"));
let viewer: Browser;

reports.before(async () => {
  writeRun(run);
  viewer = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
});

reports.after(async () => {
  await viewer?.close();
  rmSync(run, { recursive: true });
});

/** What is wrong with a page, as text, and how much there is on it. Runs inside the browser. */
function inspect(): { faults: string[]; plots: number; pictures: number } {
  const faults: string[] = [];
  const plots = [...document.querySelectorAll("svg")];
  for (const plot of plots) {
    const name = plot.getAttribute("aria-label");
    const frame = plot.getBoundingClientRect();
    if (frame.width < 100 || frame.height < 100) faults.push(`${name} is ${frame.width} x ${frame.height}`);
    for (const text of plot.querySelectorAll("text")) {
      const box = text.getBoundingClientRect();
      const isInside =
        box.left >= frame.left - 1 &&
        box.right <= frame.right + 1 &&
        box.top >= frame.top - 1 &&
        box.bottom <= frame.bottom + 1;
      if (!isInside) faults.push(`${name} cuts "${text.textContent}"`);
    }
  }
  const pictures = [...document.querySelectorAll("img")];
  for (const picture of pictures) if (picture.naturalWidth === 0) faults.push(`no picture of ${picture.alt}`);
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth > clientWidth) faults.push(`the page is ${scrollWidth} wide in a window of ${clientWidth}`);
  return { faults, plots: plots.length, pictures: pictures.length };
}

/** Makes the run's report after `flags` of calibrate, and opens it in a window of a width. */
async function openReport(flags: readonly string[], width: number) {
  const silent = () => {};
  await main(["calibrate", run, ...flags], silent);
  const out = join(run, "report.html");
  assert.is(await main(["report", run, "--out", out], silent), 0);
  const tab = await viewer.newPage({ viewport: { width, height: 800 } });
  const said: string[] = [];
  tab.on("console", (message) => said.push(message.text()));
  tab.on("pageerror", ({ message }) => said.push(message));
  tab.on("request", (request) => said.push(`asks for ${request.url().slice(0, 80)}`));
  await tab.goto(pathToFileURL(out).href, { waitUntil: "networkidle" });
  const found = await tab.evaluate(inspect);
  await tab.close();
  // The page itself and the pictures within it are no requests to anywhere.
  const own = [`asks for ${pathToFileURL(out).href.slice(0, 80)}`, "asks for data:image/png;base64,"];
  return { ...found, said: said.filter((line) => !own.some((start) => line.startsWith(start))) };
}

reports("a report needs nothing but itself, and cuts nothing off", async () => {
  for (const width of [1000, 420]) {
    const { said, faults, plots, pictures } = await openReport(["--alpha", "0.2"], width);
    assert.equal([...said, ...faults], []);
    // shares, accuracy, two of targets, of difficulty and of learning, one of each exit's reliability
    assert.is(plots, 11);
    assert.ok(pictures > 10, `${pictures} pictures`);
  }
});

reports("a report of a refusal does too", async () => {
  const { said, faults, plots, pictures } = await openReport(["--alpha", "0.0005"], 1000);
  assert.equal([...said, ...faults], []);
  assert.is(plots, 9);
  assert.is(pictures, 14);
});
