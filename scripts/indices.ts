// The indices that say nothing which their folders do not: every op of the engine, every family of kernels and what is
// in it. `npm run api` writes them, so that a new file is found by being there; test/scripts/api.test.ts compares.

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { Modules } from "./exports.ts";
import { BIOME } from "./tools.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

const listed = (folder: string): string[] =>
  readdirSync(join(root, folder), { withFileTypes: true }).map((one) =>
    one.isDirectory() ? `${one.name}/` : one.name,
  );

/** The written indices: path from the root -> text, as the formatter leaves it. */
export function writtenIndices(): Map<string, string> {
  const modules = new Modules((file) => readFileSync(join(root, file), "utf8"));
  const families = listed("kernels").filter((one) => one.endsWith("/") && !NO_FAMILIES.includes(one));
  const texts = new Map([
    ["engine/ops/index.ts", opsIndex(modules)],
    ["kernels/families.ts", familiesIndex()],
    ...families.map((one) => [`kernels/${one}index.ts`, familyIndex(modules, `kernels/${one}`)] as const),
  ]);
  return new Map(
    [...texts].map(([path, input]) => [
      path,
      execFileSync(process.execPath, [BIOME, "check", "--write", `--stdin-file-path=${path}`], {
        cwd: root,
        input,
        encoding: "utf8",
      }),
    ]),
  );
}

/** All that the files of a folder export and do not mark as `@internal`, a line for each file. */
const exportsOfFolder = (modules: Modules, folder: string): string[] =>
  listed(folder)
    .filter((file) => file !== "index.ts")
    .flatMap((file) => {
      const names = modules.exportsOf(`${folder}${file}`).flatMap(({ name, declarations }) => {
        if (declarations.some(isKeptBack)) return [];
        return [declarations.every(isType) ? `type ${name}` : name];
      });
      return names.length > 0 ? [`export { ${names.join(", ")} } from "./${file}";`] : [];
    });

const opsIndex = (modules: Modules): string =>
  [
    "// What the files of this folder export, but for what they mark as internal. Written by `npm run api`.",
    "",
    ...exportsOfFolder(modules, "engine/ops/"),
    "",
  ].join("\n");

/** Of a family in several files; what it says of itself in its first line, and passes on of `shared/`, is kept. */
function familyIndex(modules: Modules, folder: string): string {
  const text = readFileSync(join(root, folder, "index.ts"), "utf8");
  const about = text.slice(0, text.indexOf("\n")).replace(/ Written by `npm run api`\.$/, "");
  const passedOn = text.match(/^export [^;]* from "\.\.\/[^;]*;$/gm) ?? [];
  return [`${about} Written by \`npm run api\`.`, "", ...passedOn, ...exportsOfFolder(modules, folder), ""].join("\n");
}

/** Declarations for users have what is `@hidden`, since others of them name it, and not what is `@internal`. */
const isKeptBack = (one: ts.Statement): boolean =>
  ts.getJSDocTags(one).some(({ tagName }) => ["internal", "hidden"].includes(tagName.text));
const isType = (one: ts.Statement): boolean => ts.isInterfaceDeclaration(one) || ts.isTypeAliasDeclaration(one);

/** Files of `kernels/` that are no family. */
const NO_FAMILIES = ["index.ts", "families.ts", "kernel.ts", "shared/"];

/** A namespace for each file or folder of `kernels/`: `batch-sums.ts` is `batchSumsKernels`. */
function familiesIndex(): string {
  const files = listed("kernels").filter((file) => !NO_FAMILIES.includes(file));
  const lines = files.map((file) => {
    const name = file.replace(/\.ts$|\/$/, "").replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    return `export * as ${name}Kernels from "./${file.endsWith("/") ? `${file}index.ts` : file}";`;
  });
  return ["// A namespace for each family of kernels. Written by `npm run api`.", "", ...lines, ""].join("\n");
}
