// In headless Chromium: the engine, the same source, bundled, runs a part of the op table and deployed networks on the
// browser's software adapter.

import { readdirSync, readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Browser, type Page as BrowserPage, chromium } from "playwright-core";
import { applyScaling, fit, learnThenTest } from "../calibration/index.ts";
import { encodeSafetensors } from "../engine/index.ts";
import { deploy, encodeModel, train } from "../exits/index.ts";
import type { Page } from "./browser/page.ts";
import { bundle, CHROMIUM, FLAGS, isOptional, serve, skip } from "./browser/serving.ts";
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
