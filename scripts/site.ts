// `npm run site`: the pages of `site/`, the reference and the lab as static files in dist-site/. Usage: npm run site --
// [--base /PATH/] [--serve]

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { buildLab } from "./lab.ts";
import { TYPEDOC, VITEPRESS } from "./tools.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const out = join(root, "dist-site");
const { values } = parseArgs({
  options: { base: { type: "string", default: "/" }, serve: { type: "boolean", default: false } },
});
if (!/^\/(.*\/)?$/.test(values.base)) throw new Error(`--base must begin and end with a slash; got ${values.base}.`);

/** Runs a program of Node; its failure is ours. */
function run(...args: string[]): void {
  const env = { ...process.env, SITE_BASE: values.base };
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env });
  if (status !== 0) process.exit(1);
}

// First the pages: VitePress empties the folder.
run(VITEPRESS, "build", "site");
await build({
  absWorkingDir: root,
  entryPoints: ["site/live/worker.ts"],
  outdir: join(out, "live"),
  bundle: true,
  splitting: true,
  minify: true,
  format: "esm",
  platform: "browser",
  target: "es2022",
});
run(TYPEDOC, "--out", join(out, "reference"), "--logLevel", "Warn");
await buildLab(join(out, "lab"));
console.log(`wrote ${out}`);
if (values.serve) run(VITEPRESS, "serve", "site");
