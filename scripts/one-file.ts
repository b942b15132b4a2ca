// The package in one file, for a plain `<script type="module">` and CDNs: made of `dist/`, so that its WGSL is already
// without comments, with the methods of tensors, since nothing is left out of it anyway.

import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { JPEG_CODE } from "./libraries.ts";

/** A file of `dist/`, without `.js`, and the entries that it holds. */
export interface OneFile {
  readonly file: string;
  readonly entries: readonly string[];
}

export const ONE_FILE: readonly OneFile[] = [
  { file: "engine.min", entries: ["./engine/index.js"] },
  { file: "sortie.min", entries: ["./index.js", "./engine/index.js"] },
  { file: "recorded.min", entries: ["./exits/recorded/classifier.js"] },
];

/** Writes it, its source map and its declarations. */
export async function buildOneFile(dist: string, { file, entries }: OneFile): Promise<void> {
  const contents = entries.map((entry) => `export * from "${entry}";\n`).join("");
  await build({
    absWorkingDir: dist,
    stdin: { contents, resolveDir: dist },
    outfile: join(dist, `${file}.js`),
    ...{ bundle: true, minify: true, format: "esm", platform: "browser", target: "es2022" },
    ...{ sourcemap: true, legalComments: "none", logLevel: "warning" },
    plugins: [besideIt],
  });
  writeFileSync(join(dist, `${file}.d.ts`), contents);
  cpSync(join(dist, "vendor", JPEG_CODE), join(dist, JPEG_CODE));
}

/** The WebAssembly of JPEG files lies beside the one file, not beside the module that loads it. */
const besideIt: Plugin = {
  name: "beside-it",
  setup(on) {
    on.onLoad({ filter: /formats.jpeg\.js$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(/import\.meta\.resolve\("[^"]*"\)/, "import.meta.url"),
    }));
  },
};
