// The runner on a machine without an adapter: what it runs, what it skips, and when a skip is a failure.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { assert, suite } from "../harness.ts";

const cwd = fileURLToPath(new URL("../..", import.meta.url));

/** Dawn looks for drivers of Vulkan here; elsewhere than on Linux it has others. */
const isOptional = process.platform !== "linux";
const skip = isOptional ? "the system's own adapter cannot be hidden" : undefined;
const test = suite("runner without an adapter", { skip, isOptional });

function runs(...args: string[]): { status: number | null; output: string } {
  const none = { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" };
  const command = ["--import", "tsx", "test/run.ts", "kernels/products", ...args];
  const { status, stdout } = spawnSync(process.execPath, command, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...none, CI: "1" },
  });
  return { status, output: stdout };
}

test("nothing may be skipped where CI is set", () => {
  const { status, output } = runs();
  assert.is(status, 1, output);
  assert.match(
    output,
    /^skip {2}kernels\/products\.test\.ts > product variants: createDevice: a WebGPU adapter must exist/m,
  );
  assert.match(output, /no suite may be skipped where CI is set/);
});

test("--no-adapter runs what needs none, and says how many suites it skipped and why", () => {
  const { status, output } = runs("--no-adapter");
  assert.is(status, 0, output);
  assert.match(output, /^ok {4}kernels\/products\.test\.ts > choice of tiles: [1-9]/m);
  assert.match(output, /^1 suites were skipped, since this machine has no WebGPU adapter$/m);
});
