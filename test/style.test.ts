// The house style holds in the library's folders, and the checker sees each kind of breach.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LIBRARY } from "../scripts/house.ts";
import { assert, suite } from "./harness.ts";
import { styleFaults } from "./style.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

const test = suite("house style");

/** The library's files, by their paths. */
function libraryFiles(): [file: string, text: string][] {
  return LIBRARY.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => `${folder}/${file.replaceAll("\\", "/")}`),
  ).map((file) => [file, readFileSync(join(root, file), "utf8")]);
}

test("the library keeps it", () => {
  const files = libraryFiles();
  assert.ok(files.length > 250, `only ${files.length} files found`);
  assert.equal(
    files.flatMap(([file, text]) => styleFaults(file, text)),
    [],
  );
});

test("an index is asserted by ! and never cast, and nothing else is asserted", () => {
  const good =
    "const a = x[0]!; const b = (x[0] as number | undefined) ?? 1; const c = x as readonly number[]; x[i]! += 1;";
  assert.equal(styleFaults("good.ts", good), []);
  const bad = ["const a = x[0] as number;", "const b = (x[i]) as string;", "const c = map.get(k)!;", "const d = e!.f;"];
  assert.equal(styleFaults("bad.ts", bad.join("\n")), [
    "bad.ts:1: an index is not cast by `as`",
    "bad.ts:2: an index is not cast by `as`",
    "bad.ts:3: `!` stands behind an index only",
    "bad.ts:4: `!` stands behind an index only",
  ]);
});
