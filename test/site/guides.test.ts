// Every block of code of the site's own pages runs: shell, Python and TypeScript as who follows the page would run
// them, live blocks each for itself as the page would run them, and what a page says that they print is what they
// print.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProgram as runLive } from "../../site/live/program.ts";
import { show } from "../../site/live/show.ts";
import { blocksOf, missingLines } from "../blocks.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { isLive, isRun, saidBehind, walk } from "../walk.ts";
import { MODULES } from "./modules.ts";
import { PAGES } from "./pages.ts";
import { PREPARED } from "./prepared.ts";

const test = gpuSuite("guides", { timeout: 120_000 });

for (const { file, text } of PAGES.filter((page) => page.file.startsWith("site/"))) {
  const blocks = blocksOf(text);
  if (blocks.some(isRun))
    test(`${file}: who follows it gets what it says`, async () => {
      const folder = mkdtempSync(join(tmpdir(), "sortie-walk-"));
      try {
        const steps = await walk(blocks, folder, await PREPARED[file]?.(folder));
        assert.ok(steps.length > 0);
        for (const { code, printed, missing } of steps) assert.equal(missing, [], `${code}\nprinted\n${printed}`);
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  for (const [i, block] of blocks.entries()) {
    if (!isLive(block)) continue;
    test(`${file}: its block ${i + 1} runs live, and prints what it says`, async () => {
      const lines: string[] = [];
      await runLive(block.text, MODULES, (...values) => lines.push(values.map(show).join(" ")));
      assert.ok(lines.length > 0, "prints nothing");
      const printed = lines.join("\n");
      assert.equal(missingLines(saidBehind(blocks, i), printed), [], printed);
    });
  }
}

const lines = suite("lines that a page says are printed");

lines("are found whatever their numbers, in their order, cut where the page cuts them", () => {
  const printed = "loss 0.25 after 3 steps\nok\nby a very long sentence\n-1.5e-7";
  assert.equal(missingLines("loss 12 after 40 steps\n...\nby a very ...\n3", printed), []);
  assert.equal(missingLines("ok\nloss 1 after 1 steps", printed), ["loss 1 after 1 steps"]);
  assert.equal(missingLines("by a very", printed), ["by a very"]);
});
