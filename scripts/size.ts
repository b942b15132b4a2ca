// `npm run size`: what a page loads - the engine alone and small apps, bundled, minified, gzipped - against budgets.
// Why the target of the whole engine is out of reach: bench/results/size.md. A budget is a ratchet: lower it when its
// figure falls.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { asBuilt } from "./modules.ts";

/** Bytes after gzip that the engine's browser bundle shall have. */
export const TARGET = 45_000;

/** One bundle to measure: its entry, modules left out, and what it may weigh after gzip. */
export interface Measured {
  readonly what: string;
  readonly entry: string;
  readonly external?: readonly string[];
  readonly budget: number;
}

/** A bundle: bytes as they are and after gzip, and the share of each module before gzip. */
export interface BundleSize {
  readonly bytes: number;
  readonly gzip: number;
  readonly modules: ReadonlyMap<string, number>;
}

/** What is measured, the whole engine first. */
export const BUNDLES: readonly Measured[] = [
  { what: "engine, all of it", entry: "engine/index.ts", budget: 102_300 },
  {
    what: "engine without the kernels",
    entry: "engine/index.ts",
    external: ["../kernels/*", "../../kernels/*"],
    budget: 60_200,
  },
  { what: "app: a matrix product", entry: "bench/apps/product.ts", budget: 24_700 },
  { what: "app: inference of a CNN", entry: "bench/apps/inference.ts", budget: 63_000 },
  { what: "app: training of a CNN", entry: "bench/apps/training.ts", budget: 71_800 },
];

/** Bundles for browsers as an app of the built package would. */
export async function measure({ entry, external = [] }: Omit<Measured, "what" | "budget">): Promise<BundleSize> {
  const { metafile, outputFiles } = await build({
    absWorkingDir: fileURLToPath(new URL("..", import.meta.url)),
    entryPoints: [entry],
    outfile: "bundle.js",
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    metafile: true,
    write: false,
    external: [...external],
    plugins: [asBuilt],
  });
  const { contents } = outputFiles[0]!;
  const { inputs } = metafile.outputs["bundle.js"]!;
  return {
    bytes: contents.byteLength,
    gzip: gzipSync(contents, { level: 9 }).byteLength,
    modules: new Map(Object.entries(inputs).map(([name, { bytesInOutput }]) => [name, bytesInOutput])),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const kB = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
  const sizes = await Promise.all(BUNDLES.map(measure));
  for (const [name, bytes] of [...sizes[0]!.modules].sort((a, b) => b[1] - a[1]))
    console.log(`${String(bytes).padStart(8)}  ${name}`);
  for (const [i, { what, budget }] of BUNDLES.entries()) {
    const { bytes, gzip } = sizes[i]!;
    console.log(
      `${what.padEnd(28)} ${kB(bytes).padStart(9)} minified, ${kB(gzip)} after gzip; budget ${kB(budget)}, ` +
        `target of ${kB(TARGET)} ${gzip > TARGET ? "not met" : "met"}${gzip > budget ? ". OVER BUDGET" : ""}`,
    );
    if (gzip > budget) process.exitCode = 1;
  }
}
