// The runner: what it runs and skips on a machine without an adapter, when a skip is a failure, and that no process of
// several goes wrong unnoticed.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { adapterSuite } from "../gpu.ts";
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

/** Runs made-up test files, path -> text, below a copy of the runner. */
function runsFiles(files: Record<string, string>, ...args: string[]): { status: number | null; output: string } {
  const cache = join(cwd, ".cache");
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "runner-"));
  try {
    for (const file of ["run.ts", "run-files.ts", "harness.ts"])
      copyFileSync(join(cwd, "test", file), join(folder, file));
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      const harness = file.includes("/") ? "../harness.ts" : "./harness.ts";
      writeFileSync(
        join(folder, file),
        `import { suite } from "${harness}";\nconst test = suite("made up");\n${text}\n`,
      );
    }
    const command = ["--import", "tsx", join(folder, "run.ts"), ...args];
    const { status, stdout } = spawnSync(process.execPath, command, { cwd, encoding: "utf8" });
    return { status, output: stdout };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const several = suite("runner of several folders");
const passes = 'test("passes", () => {});';

several("adds up what the folders say, and --only may leave a folder without a test", () => {
  const files = {
    "a/one.test.ts": passes,
    "b/two.test.ts": `${passes}\ntest("other", () => {});`,
    "three.test.ts": passes,
  };
  const all = runsFiles(files);
  assert.is(all.status, 0, all.output);
  assert.match(all.output, /\n4 passed, 0 failed\n$/);
  const some = runsFiles(files, "--only", "other", "--jobs", "1");
  assert.is(some.status, 0, some.output);
  assert.match(some.output, /\n1 passed, 0 failed\n$/);
});

several("fails where a test fails, and where a process ends before it has said what became of it", () => {
  const files = {
    "a/fails.test.ts": 'test("throws", () => { throw new Error("on purpose"); });',
    "b/dies.test.ts": 'test("dies", () => process.exit(0));',
    "c/two.test.ts": passes,
  };
  const { status, output } = runsFiles(files);
  assert.is(status, 1, output);
  assert.match(output, /FAIL {2}a\/fails\.test\.ts > made up > throws\n +on purpose/);
  assert.match(output, /FAIL {2}the tests in test\/b\n +its process ended with 0/);
  assert.match(output, /\n1 passed, 2 failed\n$/);
});

several("says that no test has such a name", () => {
  const { status, output } = runsFiles({ "a/one.test.ts": passes, "b/two.test.ts": passes }, "--only", "nothing");
  assert.is(status, 1, output);
  assert.match(output, /FAIL {2}nothing\n +no test has this in its name/);
});

const withAdapter = adapterSuite("runner with an adapter");

withAdapter(
  "does not say that an adapter is missing where a suite that needs one is skipped for something else",
  () => {
    const command = ["--import", "tsx", "test/run.ts", "cli/queue", "--only", "no test has this name"];
    const env = { ...process.env, PATH: "/nonexistent", CI: "" };
    const { stdout } = spawnSync(process.execPath, command, { cwd, encoding: "utf8", env });
    assert.match(
      stdout,
      /^skip {2}cli\/queue\.test\.ts > cli queue: Valkey, .*: neither valkey-server nor redis-server/m,
    );
    assert.not.match(stdout, "WebGPU adapter");
  },
);
