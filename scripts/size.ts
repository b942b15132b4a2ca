// `npm run size`: what a page loads - the engine alone and small apps, bundled, minified, gzipped - against budgets and
// targets. What is behind `import()` counts where the app asks for it (`parts`). What is left where, and why:
// bench/results/size.md. A budget is a ratchet: lower it when its figure falls.

import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build, type Plugin } from "esbuild";
import { asBuilt } from "./modules.ts";

/** One bundle to measure: its entry, modules left out, and what it may and what it shall weigh after gzip. */
export interface Measured {
  readonly what: string;
  readonly entry: string;
  readonly external?: readonly string[];
  /** Ends of the names behind `import()` that the page loads. */
  readonly parts?: readonly string[];
  readonly budget: number;
  readonly target: number;
}

/** A bundle: bytes as they are and after gzip, and the share of each module before gzip. */
export interface BundleSize {
  readonly bytes: number;
  readonly gzip: number;
  readonly modules: ReadonlyMap<string, number>;
}

/** What is measured, the whole engine first. */
export const BUNDLES: readonly Measured[] = [
  { what: "engine, all of it", entry: "engine/index.ts", budget: 102_800, target: 45_000 },
  {
    what: "engine without the kernels",
    entry: "engine/index.ts",
    external: ["../kernels/*", "../../kernels/*"],
    budget: 62_700,
    target: 45_000,
  },
  { what: "app: a matrix product", entry: "bench/apps/product.ts", budget: 16_300, target: 16_000 },
  { what: "app: inference of a CNN", entry: "bench/apps/inference.ts", budget: 60_500, target: 40_000 },
  { what: "app: training of a CNN", entry: "bench/apps/training.ts", budget: 66_400, target: 66_200 },
  {
    what: "app: a model file classifies",
    entry: "bench/apps/classify.ts",
    parts: ["./resnet.ts"],
    budget: 108_250,
    target: 60_000,
  },
  {
    what: "app: inference of a CNN that was recorded",
    entry: "bench/apps/captures.ts",
    budget: 15_800,
    target: 40_000,
  },
  { what: "app: a recorded model classifies", entry: "bench/apps/recorded.ts", budget: 21_500, target: 60_000 },
  {
    what: "app: a method trains",
    entry: "bench/apps/trainer.ts",
    budget: 100_000,
    target: 100_000,
  },
];

/** Leaves out what is behind `import()`, but for these parts. */
export const without = (parts: readonly string[]): Plugin => ({
  name: "without-parts",
  setup(on) {
    on.onResolve({ filter: /./ }, ({ kind, path }) =>
      kind === "dynamic-import" && !parts.some((part) => path.endsWith(part)) ? { path, external: true } : undefined,
    );
  },
});

/** Bundles for browsers as an app of the built package would. */
export async function measure(bundle: Pick<Measured, "entry" | "external" | "parts">): Promise<BundleSize> {
  const { entry, external = [], parts = [] } = bundle;
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
    plugins: [without(parts), asBuilt],
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
  for (const [i, { what, budget, target }] of BUNDLES.entries()) {
    const { bytes, gzip } = sizes[i]!;
    console.log(
      `${what.padEnd(28)} ${kB(bytes).padStart(9)} minified, ${kB(gzip)} after gzip; budget ${kB(budget)}, ` +
        `target of ${kB(target)} ${gzip > target ? "not met" : "met"}${gzip > budget ? ". OVER BUDGET" : ""}`,
    );
    if (gzip > budget) process.exitCode = 1;
  }
}
