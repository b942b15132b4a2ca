// `npm run size`: the engine alone as a page loads it - bundled, minified, gzipped - against its budget.
// The WGSL stays as it is written: without comments and white space it would be 0.7 % less after gzip.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/** Bytes that the engine's browser bundle may have after gzip. */
export const BUDGET = 45_000;

/** A bundle: bytes as they are and after gzip, and the share of each module before gzip. */
export interface BundleSize {
  readonly bytes: number;
  readonly gzip: number;
  readonly modules: ReadonlyMap<string, number>;
}

/** Bundles the engine for browsers, with the kernels or with those left out. */
export async function measureEngine({ isWhole = true }: { readonly isWhole?: boolean } = {}): Promise<BundleSize> {
  const { metafile, outputFiles } = await build({
    absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
    entryPoints: ["engine/index.ts"],
    outfile: "engine.js",
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    metafile: true,
    write: false,
    external: isWhole ? [] : ["*/kernels/index.ts"],
  });
  const { contents } = outputFiles[0]!;
  const { inputs } = metafile.outputs["engine.js"]!;
  return {
    bytes: contents.byteLength,
    gzip: gzipSync(contents, { level: 9 }).byteLength,
    modules: new Map(Object.entries(inputs).map(([name, { bytesInOutput }]) => [name, bytesInOutput])),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { bytes, gzip, modules } = await measureEngine();
  const core = await measureEngine({ isWhole: false });
  for (const [name, size] of [...modules].sort((a, b) => b[1] - a[1]))
    console.log(`${String(size).padStart(8)}  ${name}`);
  console.log(`without the kernels: ${core.bytes} bytes minified, ${core.gzip} after gzip`);
  console.log(`engine: ${bytes} bytes minified, ${gzip} after gzip, budget ${BUDGET}`);
  process.exitCode = gzip > BUDGET ? 1 : 0;
}
