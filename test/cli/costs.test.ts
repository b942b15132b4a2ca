// Costs by measured time in the commands that choose, or tell, by cost, and in the report.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, suite } from "../harness.ts";
import { run } from "./command-line.ts";
import { writeRun } from "./synthetic-run.ts";

const test = suite("cli costs in milliseconds", { timeout: 120_000 });
const out = mkdtempSync(join(tmpdir(), "sortie-costs-"));
const dir = writeRun(join(out, "run"));
test.after(() => rmSync(out, { recursive: true }));

const saving = Object.fromEntries(
  ["byMacs", "byTimes", "measured", "decisions", "stages", "launches", "filling", "compaction", "rest"].map(
    (key, i) => [key, i / 100 + 0.123],
  ),
);
const times = { batch: 8, rows: [0, 8], alone: [9, 12, 18], compaction: 1 };
const bench = {
  costs: {
    adapter: "a fast one",
    times: [
      {
        ...times,
        passing: [
          [1, 19],
          [2, 19.2],
          [4, 20],
        ],
      },
    ],
  },
  rows: [
    { batch: 8, policy: "risk 20 %", saving },
    { batch: 16, policy: "risk 20 %" },
  ],
};

test("without times of sortie bench, costs in milliseconds are refused", async () => {
  assert.equal(await run("calibrate", dir, "--costs", "milliseconds"), {
    code: 1,
    text: `calibrate: --costs milliseconds needs --times, a file of sortie bench; got ${join(dir, "bench.json")}, which is not there.`,
  });
  assert.equal(await run("calibrate", dir, "--batch", "8"), {
    code: 1,
    text: "calibrate: --batch goes with --costs milliseconds; got --costs macs.",
  });
});

test("thresholds are chosen, and costs told, by time", async () => {
  writeFileSync(join(dir, "bench.json"), JSON.stringify(bench));
  const cheap = join(out, "cheap.json");
  const budget = ["calibrate", dir, "--method", "budget", "--cost", "0.9", "--out", cheap];
  assert.is((await run(...budget)).code, 0);
  assert.equal(await run(...budget, "--costs", "milliseconds"), {
    code: 2,
    text: (await run(...budget, "--costs", "milliseconds")).text,
  });
  assert.match((await run(...budget, "--costs", "milliseconds")).text, /the least is 0\.95/);
  assert.is((await run("calibrate", dir, "--alpha", "0.3")).code, 0);
  const byMacs = (await run("evaluate", dir)).text;
  const byTime = (await run("evaluate", dir, "--costs", "milliseconds", "--batch", "8")).text;
  const cost = (text: string) => Number(/ cost ([\d.]+) %/.exec(text)?.[1]);
  assert.ok(cost(byTime) > 95 && cost(byMacs) < 95, `${cost(byTime)} ${cost(byMacs)}`);
  assert.match(
    (await run("evaluate", dir, "--costs", "milliseconds", "--batch", "9")).text,
    /must be one that was measured \(8\); got 9/,
  );
});

test("the report counts time, and sets promised beside measured saving", async () => {
  assert.is((await run("report", dir, "--costs", "milliseconds")).code, 0);
  const page = readFileSync(join(dir, "report.html"), "utf8");
  assert.match(page, "of the full network&#39;s time".replace("&#39;", "'"));
  assert.match(page, /<h2>Time saved<\/h2>[\s\S]*a fast one/);
  assert.match(page, /The file does not say of which weights and policy it is/);
  assert.match(page, /<tr><th scope="row">8<\/th><td>risk 20 %<\/td><td>12\.3 %<\/td>/);
  assert.not.match(page, /<th scope="row">16<\/th><td>risk/);
  assert.is((await run("report", dir)).code, 0);
  assert.match(readFileSync(join(dir, "report.html"), "utf8"), "of the full network's MACs");
});

test("a file that sortie bench did not write is refused by name", async () => {
  const file = join(out, "other.json");
  writeFileSync(file, JSON.stringify({ ...bench, costs: { adapter: "x", times: [] } }));
  assert.equal(await run("evaluate", dir, "--costs", "milliseconds", "--times", file), {
    code: 1,
    text: `${file} must be what sortie bench wrote; costs.times must be a list with something in it; got []. Make it by sortie bench.`,
  });
});
