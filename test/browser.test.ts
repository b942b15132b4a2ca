// The engine in a browser: the same source, bundled, runs a part of the op table in headless Chromium on its software adapter.

import { existsSync, readdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, type Page as BrowserPage, chromium } from "playwright-core";
import { encodeSafetensors } from "../engine/index.ts";
import type { Page } from "./browser/page.ts";
import { assert, suite } from "./harness.ts";

const CHROMIUM = "/usr/bin/chromium";
const FLAGS = [
  ...["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"],
  // Nothing but the page: no updates, no services, no network beyond this machine.
  ...[
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
  ],
];

const WEIGHTS = encodeSafetensors([
  ["w", { dtype: "F32", shape: [2], data: Float32Array.of(1.5, -2) }],
  ["half", { dtype: "F16", shape: [1], data: Float32Array.of(0.25) }],
]);

const folder = fileURLToPath(new URL(".", import.meta.url));
const families = readdirSync(`${folder}ops`).filter((file) => !["check.ts", "row.ts"].includes(file));

/** The page's script: the op table with everything it needs, as a browser gets it. */
async function bundle(): Promise<string> {
  const imports = families.map((file, i) => `import { rows as rows${i} } from "./ops/${file}";`);
  const all = families.map((_, i) => `...rows${i}`).join(", ");
  const contents = [...imports, 'import { expose } from "./browser/page.ts";', `expose([${all}]);`].join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder, loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
  });
  return outputFiles[0]!.text;
}

function serve(script: string): Promise<Server> {
  const page =
    '<!doctype html><meta charset="utf-8"><title>sortie</title><script type="module" src="/page.js"></script>';
  const routes: Record<string, readonly [type: string, body: string | Uint8Array]> = {
    "/": ["text/html", page],
    "/page.js": ["text/javascript", script],
    "/weights.safetensors": ["application/octet-stream", WEIGHTS],
  };
  const server = createServer(({ url = "/" }, response) => {
    const [type, body] = routes[url] ?? ["text/plain", ""];
    response.writeHead(200, { "content-type": type }).end(body);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const skip = existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is missing; as root, run: apt-get install chromium`;
const test = suite("browser", { skip, timeout: 120_000 });
let server: Server;
let browser: Browser;
let tab: BrowserPage;

test.before(async () => {
  server = await serve(await bundle());
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

test("reads weights from a server", async () => {
  const fetched = await tab.evaluate(() =>
    (globalThis as unknown as { page: Page }).page.fetch("/weights.safetensors"),
  );
  assert.equal(fetched, { values: { w: [1.5, -2], half: [0.25] }, loaded: WEIGHTS.byteLength });
});

test("leaves no buffer in use", async () => {
  assert.is(await tab.evaluate(() => (globalThis as unknown as { page: Page }).page.close()), 0);
});
