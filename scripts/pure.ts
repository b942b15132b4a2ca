// Marks the calls that make ops and kernels as free of effects. package.json says so of whole modules; a bundler that
// keeps a part of a module must be told for each call, since it does not look into a function of another module.
// Without the marks, one op of a file brings the others along, and their kernels.

import { readFileSync } from "node:fs";
import { type Plugin, transform } from "esbuild";

/** `code`, an ES module without top-level effects, with `@__PURE__` before the calls that initialise its constants. */
export function markPure(code: string): string {
  return code
    .replace(/^((?:export )?const \w+ = )((?:new )?\w+\()/gm, "$1/* @__PURE__ */ $2")
    .replace(/(\bsingle\(\s*)(?=defineOp\()/g, "$1/* @__PURE__ */ ");
}

/** Bundles the repository's sources as if they were the built package. */
export const asBuilt: Plugin = {
  name: "as-built",
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const { code } = await transform(readFileSync(path, "utf8"), {
        loader: "ts",
        target: "es2022",
        sourcefile: path,
      });
      return { contents: markPure(code), loader: "js" };
    });
  },
};
