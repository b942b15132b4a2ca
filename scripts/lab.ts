// `npm run lab`: builds the lab (site/lab) as static files, and serves them on the loopback. `-- --out DIR` only builds
// them into DIR. All addresses in it are relative: it may lie anywhere on a server.

import { createHash } from "node:crypto";
import { copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type BuildOptions, build } from "esbuild";
import { asBuilt } from "./modules.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const lab = join(root, "site/lab");
/** Files that go along as they are. */
const STATIC = ["index.html", "lab.css", "manifest.webmanifest", "icon.svg"];
const WASM = "mozjpeg_dec.wasm";

const COMMON: BuildOptions = {
  absWorkingDir: root,
  bundle: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
  plugins: [asBuilt],
};

/** Writes the lab into a folder, over what an earlier build left there. */
export async function buildLab(out: string): Promise<void> {
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, "models"), { recursive: true });
  await build({
    ...COMMON,
    entryPoints: { page: "site/lab/page/main.ts", worker: "site/lab/worker/worker.ts" },
    outdir: out,
    splitting: true,
    chunkNames: "part-[hash]",
  });
  // A page that is taken home has one file of it.
  await build({ ...COMMON, entryPoints: { sortie: "site/lab/sortie.ts" }, outdir: out });
  for (const name of STATIC) copyFileSync(join(lab, name), join(out, name));
  copyFileSync(createRequire(import.meta.url).resolve(`@jsquash/jpeg/codec/dec/${WASM}`), join(out, WASM));
  for (const name of readdirSync(join(lab, "models")).filter((name) => !name.endsWith(".ts")))
    cpSync(join(lab, "models", name), join(out, "models", name));
  await buildServiceWorker(out);
}

/** The files below a folder, by names with slashes. */
const filesOf = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => extname(name) !== "")
    .sort();

/** What answers without a network: it knows all files, and another version of any is another version of it. */
async function buildServiceWorker(out: string): Promise<void> {
  const files = filesOf(out);
  const hash = createHash("sha256");
  for (const name of files) hash.update(name).update(readFileSync(join(out, name)));
  const define = { FILES: JSON.stringify(["./", ...files]), VERSION: JSON.stringify(hash.digest("hex").slice(0, 16)) };
  const entryPoints = { "service-worker": "site/lab/service-worker.ts" };
  await build({ ...COMMON, plugins: [], format: "iife", entryPoints, outdir: out, define });
}

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css",
  ".js": "text/javascript",
  ".json": "application/json",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/** Serves a folder on the loopback; port 0 is any that is free. */
export function serveFolder(folder: string, port: number): Promise<Server> {
  const files = new Set(filesOf(folder));
  const server = createServer(({ url = "/" }, response) => {
    const [pathname = "/"] = url.split("?");
    const name = pathname.slice(1) + (pathname.endsWith("/") ? "index.html" : "");
    if (!files.has(name)) {
      response.writeHead(404).end();
      return;
    }
    const path = join(folder, name);
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": type, "cache-control": "no-cache" }).end(readFileSync(path));
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { out: { type: "string" }, port: { type: "string", default: "5180" } } });
  const out = values.out ?? join(root, "dist-site/lab");
  await buildLab(out);
  console.log(`built the lab in ${out}`);
  if (values.out === undefined) {
    await serveFolder(out, Number(values.port));
    console.log(`http://127.0.0.1:${values.port}/`);
  }
}
