// `npm run build`: the library's folders as ESM with declarations in dist/, one module a source file, so that bundlers
// can drop what is not used.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { markPure } from "./pure.ts";
import { TSC } from "./tools.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const { include } = JSON.parse(readFileSync(join(root, "tsconfig.build.json"), "utf8")) as { include: string[] };

const sources = include
  .filter((folder) => existsSync(join(root, folder, "index.ts")))
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => join(folder, file)),
  )
  .filter((file) => file.endsWith(".ts"));

rmSync(dist, { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [TSC, "-p", "tsconfig.build.json"], {
  cwd: root,
  stdio: "inherit",
});
// tsc has said what is wrong.
if (status !== 0) process.exit(1);
await build({
  absWorkingDir: root,
  entryPoints: sources,
  outbase: root,
  outdir: dist,
  format: "esm",
  target: "es2022",
});
// What the package hands on in another language.
for (const folder of include) {
  for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
    if (file.endsWith(".py")) cpSync(join(root, folder, file), join(dist, folder, file));
  }
}
for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
  if (!/\.(js|d\.ts)$/.test(file)) continue;
  const path = join(dist, file);
  const text = toJsSpecifiers(readFileSync(path, "utf8"));
  writeFileSync(path, path.endsWith(".js") ? markPure(text) : text);
}
console.log(`built ${sources.length} modules in dist/`);

/** Relative imports name the emitted files: `./tensor.ts` becomes `./tensor.js`. */
function toJsSpecifiers(text: string): string {
  return text.replace(
    /((?:\bfrom|\bimport|\bimport\(|\bdeclare module)\s*["']\.{1,2}\/[^"'\n]+)\.ts(["'])/g,
    "$1.js$2",
  );
}
