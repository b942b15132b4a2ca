// Headless Chromium, and a server for one page of a bundled script: what tests in a browser share.

import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

/** Where Debian has it. */
export const CHROMIUM = "/usr/bin/chromium";
/** WebGPU in software. */
export const FLAGS = [
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

const folder = fileURLToPath(new URL("..", import.meta.url));

/** A page's script with everything it imports, as a browser gets it. */
export async function bundle(contents: string, resolveDir = folder): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir, loader: "ts" },
    bundle: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
  });
  return outputFiles[0]!.text;
}

/** Files of a server by path. */
export type Files = Readonly<Record<string, readonly [type: string, body: string | Uint8Array]>>;

/** Serves a page with a script, and files, on the loopback. */
export function serve(script: string, files: Files): Promise<Server> {
  const page =
    '<!doctype html><meta charset="utf-8"><title>sortie</title><script type="module" src="/page.js"></script>';
  const routes: Files = { "/": ["text/html", page], "/page.js": ["text/javascript", script], ...files };
  const server = createServer(({ url = "/" }, response) => {
    const [type, body] = routes[url] ?? ["text/plain", ""];
    response.writeHead(200, { "content-type": type }).end(body);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** Why there is no browser, where there is none. */
export const skip = existsSync(CHROMIUM) ? undefined : `${CHROMIUM} is missing; as root, run: apt-get install chromium`;
/** The flags, and the place of the browser, are those of Linux. */
export const isOptional = process.platform !== "linux";
