// The indices that say nothing which their folders do not: every op of the engine, every family of kernels. `npm run
// api` writes them, so that a new file is found by being there; test/scripts/api.test.ts compares.

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
  const texts = { "engine/ops/index.ts": opsIndex(), "kernels/families.ts": familiesIndex() };
  return new Map(
    Object.entries(texts).map(([path, input]) => [
      path,
      execFileSync(process.execPath, [BIOME, "check", "--write", `--stdin-file-path=${path}`], {
        cwd: root,
        input,
        encoding: "utf8",
      }),
    ]),
  );
}

/** All that the files of `engine/ops` export and do not mark as `@internal`. */
function opsIndex(): string {
  const modules = new Modules((file) => readFileSync(join(root, file), "utf8"));
  const files = listed("engine/ops").filter((file) => file !== "index.ts");
  const lines = files.flatMap((file) => {
    const names = modules.exportsOf(`engine/ops/${file}`).flatMap(({ name, declarations }) => {
      if (declarations.some(isInternal)) return [];
      return [declarations.every(isType) ? `type ${name}` : name];
    });
    return names.length > 0 ? [`export { ${names.join(", ")} } from "./${file}";`] : [];
  });
  return [
    "// What the files of this folder export, but for what they mark as internal. Written by `npm run api`.",
    "",
    ...lines,
    "",
  ].join("\n");
}

const isInternal = (one: ts.Statement): boolean =>
  ts.getJSDocTags(one).some(({ tagName }) => tagName.text === "internal");
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
