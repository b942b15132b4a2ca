// Builds the one file of tfjs that runs here: core's CommonJS entry for Node registers no gradients, and its ES modules
// import without file extensions, so both need a bundler.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ENTRY = `
export * from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-core/dist/register_all_gradients";
import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops";
import "@tensorflow/tfjs-backend-webgpu";
`;

/** Path of the bundle, made on first use. */
export async function tfjsBundle(): Promise<string> {
  const folder = fileURLToPath(new URL(".", import.meta.url));
  const outfile = `${folder}node_modules/.cache/tfjs.mjs`;
  if (existsSync(outfile)) return outfile;
  await build({
    stdin: { contents: ENTRY, resolveDir: folder },
    outfile,
    bundle: true,
    format: "esm",
    platform: "node",
    mainFields: ["module", "main"],
    banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);` },
    logLevel: "error",
  });
  return outfile;
}
