// What `npm run check` checks beside the import boundaries: types, lint and format, without a warning.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { suite } from "./harness.ts";

const cwd = fileURLToPath(new URL("..", import.meta.url));

/** Fails with all that the command printed. */
function passes(command: string, ...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(`node_modules/.bin/${command}`, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}\n${stdout}${stderr}`);
}

const test = suite("sources", { timeout: 120_000 });
test("have right types", () => passes("tsc", "--noEmit"));
test("are linted and formatted", () => passes("biome", "check", "--error-on-warnings", "--max-diagnostics=20"));
