// In headless Chromium: a model file by onnxruntime's WASM, beside WebGPU and in a browser that has none; and what a
// page loads that asks for neither.

import { existsSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { assert, suite } from "../harness.ts";

const CHROMIUM = "/usr/bin/chromium";
const QUIET = ["--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update"];
const GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];
const NO_GPU = ["--disable-features=WebGPU"];

const folder = fileURLToPath(new URL(".", import.meta.url));
const files = join(folder, "../exits/files");
const ort = join(folder, "../../node_modules/onnxruntime-web/dist");

/** The page: one function, which classifies the same images by a runtime. */
const SCRIPT = `
import { load } from "../../exits/index.ts";
import { bars } from "../exits/small.ts";
globalThis.answer = async (runtime, isGiven) => {
  const given = isGiven ? { onnxruntime: () => import("/ort/ort.wasm.bundle.min.mjs") } : {};
  try {
    using classifier = await load("/model.sortie.safetensors", { runtime, ...given });
    const { exits, classes } = await classifier.classify(bars(60, "test", 3000).images);
    return { exits: [...exits], classes: [...classes], reason: classifier.runtimes[0].reason };
  } catch (error) {
    return { error: String(error) };
  }
};
`;

interface Said {
  readonly exits?: readonly number[];
  readonly classes?: readonly number[];
  readonly reason?: string;
  readonly error?: string;
}

const skip = existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is missing; as root, run: apt-get install chromium`;
const test = suite("wasm in a browser", { skip, isOptional: process.platform !== "linux", timeout: 120_000 });
let server: Server;
/** Paths that were asked for since it was emptied. */
const asked: string[] = [];
/** The page's script in parts, as a bundler splits it. */
const chunks = new Map<string, string>();

test.before(async () => {
  const { outputFiles } = await build({
    stdin: { contents: SCRIPT, resolveDir: folder, loader: "ts" },
    ...{ bundle: true, splitting: true, format: "esm", platform: "browser", target: "es2022", write: false },
    outdir: "/page",
    external: ["/ort/*"],
  });
  for (const { path, text } of outputFiles) chunks.set(path.replace(/^.*\/page\//, "/"), text);
  const model = readFileSync(join(files, "model-1-resnet.sortie.safetensors"));
  server = createServer(({ url = "/" }, response) => {
    asked.push(url);
    const [, name] = /^\/ort\/([\w.-]+)$/.exec(url) ?? [];
    const [type, body] =
      url === "/"
        ? ["text/html", '<!doctype html><script type="module" src="/stdin.js"></script>']
        : url === "/model.sortie.safetensors"
          ? ["application/octet-stream", model]
          : name !== undefined
            ? [name.endsWith(".wasm") ? "application/wasm" : "text/javascript", readFileSync(join(ort, name))]
            : ["text/javascript", chunks.get(url) ?? ""];
    response.writeHead(200, { "content-type": type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
});

test.after(() => server?.close());

/** Calls `body` with what asks a page of a browser with these flags. */
async function inBrowser(
  flags: readonly string[],
  body: (ask: (runtime: string, isGiven?: boolean) => Promise<Said>) => Promise<void>,
): Promise<void> {
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args: [...QUIET, ...flags] });
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await tab.waitForFunction(() => "answer" in globalThis);
    await body((runtime, isGiven = true) =>
      tab.evaluate(
        ([name, given]) =>
          (globalThis as unknown as { answer(name: string, given: boolean): Promise<Said> }).answer(name, given),
        [runtime, isGiven] as const,
      ),
    );
  } finally {
    await browser.close();
  }
}

const recorded = (): Said =>
  (JSON.parse(readFileSync(join(files, "model-1.json"), "utf8")) as Record<string, Said>)["resnet"] as Said;

function answersAs(said: Said, reason: RegExp): void {
  const { exits, classes } = recorded();
  assert.is(said.error, undefined);
  assert.equal([said.exits, said.classes], [exits, classes]);
  assert.match(said.reason ?? "", reason);
}

test("beside WebGPU it decides alike, and a page that does not ask for it loads nothing of it", async () => {
  const isOnnx = (path: string) => path.startsWith("/ort/") || /onnx\.ModelProto/.test(chunks.get(path) ?? "");
  await inBrowser(GPU, async (ask) => {
    asked.length = 0;
    answersAs(await ask("webgpu", false), /^webgpu: as asked for$/);
    assert.equal(asked.filter(isOnnx), []);
    answersAs(await ask("wasm"), /^wasm: as asked for$/);
    assert.ok(asked.filter(isOnnx).length >= 3, `asked for ${asked}`);
    answersAs(await ask("auto"), /^batches of up to 64: not settled yet$/);
  });
});

test("without WebGPU auto falls back with a word, and webgpu is refused; without onnxruntime its package is named", async () => {
  await inBrowser(NO_GPU, async (ask) => {
    answersAs(
      await ask("auto"),
      /^wasm: WebGPU is missing; createDevice: a WebGPU adapter must exist; found none\. Use a/,
    );
    answersAs(await ask("wasm"), /^wasm: as asked for$/);
    assert.match(
      (await ask("webgpu", false)).error ?? "",
      /^DeviceError: createDevice: a WebGPU adapter must exist; found none\./,
    );
    const how =
      'load: runtime wasm needs the package onnxruntime-web; it did not load. Pass { onnxruntime: () => import("onnxruntime-web/wasm") }, or name it in an import map.';
    assert.is((await ask("wasm", false)).error, `DeviceError: ${how}`);
    const both = (await ask("auto", false)).error ?? "";
    assert.ok(
      both.startsWith("DeviceError: load: WebGPU or onnxruntime must be there; got neither. createDevice: "),
      both,
    );
    assert.ok(both.endsWith(how), both);
  });
});
