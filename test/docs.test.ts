// The reference can be made: typedoc finds no name that the public types mention and the documentation does not have.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { assert, suite } from "./harness.ts";

const test = suite("reference", { timeout: 240_000 });
const root = fileURLToPath(new URL("..", import.meta.url));

test("typedoc has nothing to warn of", () => {
  const args = ["node_modules/typedoc/bin/typedoc", "--emit", "none", "--logLevel", "Warn"];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  assert.is(`${stdout}${stderr}`.trim(), "");
  assert.is(status, 0);
});
