// A source file as the package holds it: JavaScript, made ready for bundlers, with its source map.

import { readFileSync } from "node:fs";
import { relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { type Plugin, transform } from "esbuild";
import { type Edit, edited, editedMappings } from "./edits.ts";
import { pureMarks } from "./pure.ts";
import { wgslEdits } from "./wgsl.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Folders with WGSL: one whose texts all are, and one where it stands in templates of several lines. */
const [KERNELS, OPS] = [/^kernels\//, /^exits\/ops\//];

/** The code of a module, and its source map, which holds the source. */
export interface BuiltModule {
  readonly code: string;
  readonly map: string;
}

/** @param path of a file in TypeScript */
export async function moduleOf(path: string): Promise<BuiltModule> {
  const { code, map } = await transform(readFileSync(path, "utf8"), {
    ...{ loader: "ts", target: "es2022", sourcefile: path, sourcemap: "external" },
  });
  const file = relative(root, path).split(sep).join("/");
  const wgsl = KERNELS.test(file) || OPS.test(file) ? wgslEdits(code, KERNELS.test(file)) : [];
  const edits: Edit[] = [...pureMarks(code), ...wgsl].sort((a, b) => a.start - b.start);
  const fields = JSON.parse(map) as { mappings: string };
  const mappings = editedMappings(code, edits, fields.mappings);
  return { code: edited(code, edits), map: JSON.stringify({ ...fields, mappings }) };
}

/** Bundles the repository's sources as if they were the built package. */
export const asBuilt: Plugin = {
  name: "as-built",
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, async ({ path }) => ({ contents: (await moduleOf(path)).code, loader: "js" }));
  },
};
