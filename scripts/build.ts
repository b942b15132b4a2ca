// `npm run build`: the library's folders as ESM with declarations and source maps in dist/, one module a source file,
// so that bundlers can drop what is not used; the libraries it needs; and the same in one file, for pages without a
// bundler.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { selfContained } from "./declarations.ts";
import { bringLibraries, type User } from "./libraries.ts";
import { moduleOf } from "./modules.ts";
import { buildOneFile, ONE_FILE } from "./one-file.ts";
import { TSC } from "./tools.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const read = (file: string): string => readFileSync(join(root, file), "utf8");
const { include } = JSON.parse(read("tsconfig.build.json")) as { include: string[] };
/** Peers are what only some need: never in the package. */
const { devDependencies, peerDependencies } = JSON.parse(read("package.json")) as Record<
  "devDependencies" | "peerDependencies",
  Record<string, string>
>;

const filesOf = (folder: string): string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((file) => join(folder, file));
const files = include.flatMap((name) => (name.endsWith(".ts") ? [name] : filesOf(name)));
const sources = files.filter((file) => file.endsWith(".ts"));

rmSync(dist, { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [TSC, "-p", "tsconfig.build.json"], { cwd: root, stdio: "inherit" });
// tsc has said what is wrong.
if (status !== 0) process.exit(1);

const users: User[] = [];
for (const file of sources) {
  const path = join(dist, file.replace(/\.ts$/, ".js"));
  const { code, map } = await moduleOf(join(root, file));
  const name = relative(dirname(path), path);
  mkdirSync(dirname(path), { recursive: true });
  const from = relative(dirname(path), join(root, file)).split(sep).join("/");
  writeFileSync(`${path}.map`, JSON.stringify({ ...(JSON.parse(map) as object), file: name, sources: [from] }));
  users.push({ path, text: `${toJsSpecifiers(code)}//# sourceMappingURL=${name}.map\n` });
}
const libraries = new Set(Object.keys(devDependencies).filter((name) => !(name in peerDependencies)));
const withLibraries = await bringLibraries(root, dist, users, libraries);
for (const user of users) writeFileSync(user.path, withLibraries(user));
for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
  const path = join(dist, file);
  // The command is a program: nobody imports it.
  if (/^cli\b.*\.d\.ts$/.test(file)) rmSync(path);
  else if (file.endsWith(".d.ts")) writeFileSync(path, selfContained(toJsSpecifiers(readFileSync(path, "utf8"))));
}
// What the package hands on in another language.
for (const file of files) if (file.endsWith(".py")) cpSync(join(root, file), join(dist, file));
for (const entry of ONE_FILE) await buildOneFile(dist, entry);
console.log(`built ${sources.length} modules in dist/`);

/** Relative imports name the emitted files: `./tensor.ts` becomes `./tensor.js`. */
function toJsSpecifiers(text: string): string {
  return text.replace(
    /((?:\bfrom|\bimport|\bimport\(|\bdeclare module)\s*["']\.{1,2}\/[^"'\n]+)\.ts(["'])/g,
    "$1.js$2",
  );
}
