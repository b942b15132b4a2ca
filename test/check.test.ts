// What `npm run check` checks beside the import boundaries: types, lint and format, without a warning, that nothing is
// unused, and that documentation can be made.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { KNIP, TSC, TYPEDOC } from "../scripts/tools.mjs";
import { suite } from "./harness.ts";

const cwd = fileURLToPath(new URL("..", import.meta.url));

/** Fails with all that the command printed. */
function passes(...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${args.join(" ")}\n${stdout}${stderr}`);
}

const test = suite("sources", { timeout: 120_000 });
test("have right types", () => passes(TSC, "--noEmit"));
test("are linted and formatted", () =>
  passes("node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings", "--max-diagnostics=20"));
test("hold no file, export or dependency that nothing uses", () => passes(KNIP));
test("make documentation without a warning", () => passes(TYPEDOC, "--emit", "none"));
