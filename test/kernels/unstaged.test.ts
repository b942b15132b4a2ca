// What a graphics card knows of the texts of products before and after those are loaded that it takes only by choice.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { specText } from "../../kernels/kernel.ts";
import { matmulSpecs } from "../../kernels/matmul/matmul.ts";
import { NO_EPILOGUE } from "../../kernels/shared/finish.ts";
import { loadUnstaged } from "../../kernels/shared/gemm.ts";
import { assert, suite } from "../harness.ts";

const test = suite("texts that are loaded", { timeout: 60_000 });

test("a graphics card has its own until a choice names another, which is then found", async () => {
  await loadUnstaged();
  const call = { m: 256, n: 256, k: 256, batch: 1, ta: false, tb: false, dtype: "f32", epilogue: NO_EPILOGUE } as const;
  const card = { hasSubgroups: true, subgroupSize: 32, isSoftware: false };
  const specs = matmulSpecs({ ...call, isSplit: false }, card);
  const staged = specs.filter(({ variant }) => variant === "tile").length;
  const other = specs.find(({ variant }) => variant === "subgroup");
  assert.ok(other);
  const script = fileURLToPath(new URL("unstaged-texts.ts", import.meta.url));
  const printed = execFileSync(process.execPath, ["--import", "tsx", script, specText(other)], { encoding: "utf8" });
  assert.equal(JSON.parse(printed), {
    found: [
      ["tile", staged],
      ["subgroup", specs.length],
      ["tile", specs.length],
    ],
    made: ["tile", "subgroup"],
  });
});
