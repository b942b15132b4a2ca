// The claims of the papers, each from its config to its verdict: over runs that were drawn, better or worse as each
// claim would have it, and once over runs that are trained.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { h1 } from "../../bench/papers/h1.ts";
import { h2 } from "../../bench/papers/h2.ts";
import { h3 } from "../../bench/papers/h3.ts";
import { h4 } from "../../bench/papers/h4.ts";
import { h5 } from "../../bench/papers/h5.ts";
import { h6 } from "../../bench/papers/h6.ts";
import { h7 } from "../../bench/papers/h7.ts";
import { h8 } from "../../bench/papers/h8.ts";
import { type Hypothesis, testHypothesis } from "../../bench/papers/hypothesis.ts";
import { atRisk, poolOf } from "../../bench/papers/measures.ts";
import { decide, sweepThresholds } from "../../calibration/index.ts";
import { experimentsOfFile } from "../../cli/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { run } from "../cli/command-line.ts";
import { writeRun } from "../cli/synthetic-run.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf, suite } from "../harness.ts";

const papers = join(import.meta.dirname, "../../bench/papers");
const out = mkdtempSync(join(tmpdir(), "sortie-papers-"));

/** The config of a claim on drawn glyphs, its runs in a folder of their own. */
function small(name: string, more: object = {}): string {
  const path = join(out, `${name}.json`);
  writeFileSync(
    path,
    JSON.stringify({ extends: join(papers, `${name}.json`), data: "glyphs", out: join(out, name), ...more }),
  );
  return path;
}

const FEW = { draws: 3, resamples: 4, alpha: 0.2 };

const test = suite("bench: claims of the papers");
test.after(() => rmSync(out, { recursive: true }));

/** Labels whose runs know the label better than the others, and what is then said, claim by claim. */
const CASES: readonly (readonly [Hypothesis, readonly string[], readonly string[]])[] = [
  [
    h1,
    ["safe-kd", "safe-kd-no-teacher", "safe-kd-99", "safe-kd-99-no-consistency"],
    ["held", "undecided", "held", "held", "held", "held"],
  ],
  [h2, [], ["did not hold", "did not hold", "undecided"]],
  [h3, ["kd"], ["undecided", "did not hold", "did not hold"]],
  [h5, ["soft-cgt", "joint-sum"], ["held", "did not hold", "held"]],
  [h6, ["calexnet", "calexnet-no-margins", "calexnet-kl"], ["held", "undecided", "did not hold"]],
  [h7, ["eefp-cgt", "soft-cgt", "eefp-cgt-control"], ["held", "undecided", "undecided"]],
  [
    h8,
    ["safe-kd-no-consistency", "safe-kd-ce", "safe-kd-99-no-consistency", "distil-last"],
    ["held", "held", "held", "did not hold"],
  ],
];

for (const [hypothesis, better, wanted] of CASES)
  test(`${hypothesis.name}: says what is so of runs that differ as planned`, async () => {
    const { name } = hypothesis;
    const config = small(name);
    for (const { name: run, method, config: settings } of experimentsOfFile(config))
      writeRun(join(out, name, run), { skill: better.includes(method) ? 3 : 1.5, config: settings });
    const { verdicts } = await testHypothesis(hypothesis, { config, out, ...FEW });
    assert.equal(
      verdicts.map(({ held }) => held),
      wanted,
      JSON.stringify(verdicts, undefined, 1),
    );
    const { verdicts: kept, numbers } = JSON.parse(readFileSync(join(out, `${name}.json`), "utf8"));
    assert.equal(kept, verdicts);
    assert.ok(numbers !== undefined);
    const [text, page] = ["md", "html"].map((ending) => readFileSync(join(out, `${name}.${ending}`), "utf8"));
    assert.match(text!, `${verdicts[0]!.claim}: **${verdicts[0]!.held}** here`);
    assert.ok(page!.includes("<svg") && page!.includes("<table"));
  });

test("h4: ranks networks by what they are worth, and needs enough of them", async () => {
  const config = small("h4", {
    runs: [{ backbones: "resnet", methods: ["joint", "soft-cgt", "erde", "kd", "ztw"], seeds: [0] }],
  });
  const runs = experimentsOfFile(config);
  const write = (first: number) => {
    for (const [i, { name, config }] of runs.entries())
      if (i < first) writeRun(join(out, "h4", name), { skill: 1 + i, config });
  };
  write(3);
  assert.match((await errorOf(() => testHypothesis(h4, { config, out, ...FEW }))).message, /at least 4 .* got 3/);
  write(runs.length);
  const { numbers, verdicts } = await testHypothesis(h4, { config, out, ...FEW });
  const { found } = numbers as { readonly found: readonly { readonly name: string; readonly correlation: number }[] };
  assert.is(found.find(({ name }) => name === "accuracy of the early exits")!.correlation, 1);
  assert.match(verdicts[0]!.because, "over 5 networks");
});

test("what is not finished is named, with the command that makes it", async () => {
  const config = small("h1", { out: join(out, "nothing") });
  // A run whose teacher comes first has a folder before it has settings.
  const [begun] = experimentsOfFile(config);
  mkdirSync(join(out, "nothing", begun!.name, "teacher"), { recursive: true });
  const { message } = await errorOf(() => testHypothesis(h1, { config, out, ...FEW }));
  assert.match(
    message,
    /^h1: finished runs of safe-kd, safe-kd-no-consistency, .* must be there\. Make them: sortie compare --config /,
  );
});

test("what leaves at a risk is read between thresholds, and is more the more risk there may be", () => {
  const table = (seed: number) => randomTable(600, 3, 4, { seed, skill: 2 });
  const pool = poolOf({ validation: table(1), calibration: table(2), test: table(3) });
  const [none, some, more, all] = [-1, 0.1, 0.2, 1].map((risk) => atRisk(pool, risk, 3));
  assert.equal([none![0]!.early, none![0]!.cost], [0, 1]);
  assert.ok(0 < some![0]!.early && some![0]!.early < more![0]!.early, `${some![0]!.early}, ${more![0]!.early}`);
  assert.ok(some![0]!.depth > more![0]!.depth && some![0]!.cost > more![0]!.cost);
  assert.equal([all![0]!.early, all![0]!.depth.toFixed(9), all!.length], [1, (1 / 3).toFixed(9), 4]);
  // At the share that is told, the risk is the one that was asked for.
  const steps = sweepThresholds(pool.validation, 100);
  const risks = Array.from(steps, (step) => {
    const exits = Array.from(decide(pool.all, step));
    const early = exits.flatMap((exit, i) => (exit < 2 ? [pool.all.errors[3 * i + exit]!] : []));
    return [early.length / exits.length, early.reduce((sum, error) => sum + error, 0) / early.length] as const;
  });
  const beyond = risks.findLastIndex(([, risk]) => risk <= 0.1) + 1;
  assert.ok(risks[beyond - 1]![0] <= some![0]!.early && some![0]!.early <= risks[beyond]![0]);
});

const gpu = gpuSuite("bench: a claim over trained runs", { timeout: 120_000 });
gpu("h5: its config trains, and its script reads, to the end", async () => {
  const folder = mkdtempSync(join(tmpdir(), "sortie-claim-"));
  try {
    const config = join(folder, "h5.json");
    const plan = {
      ...{ extends: join(papers, "h5.json"), data: "glyphs", backbones: "resnet", out: join(folder, "runs") },
      runs: [{ methods: ["soft-cgt", "schedule-only", "plain-cgt", "joint-sum", "joint-mean"], seeds: [0] }],
      settings: {
        data: { train: 256, validation: 100, calibration: 200, test: 100 },
        model: { widths: [4, 4, 8] },
        train: { epochs: 1, batch: 64, warmup: 2 },
      },
    };
    writeFileSync(config, JSON.stringify(plan));
    const { code, text } = await run("compare", "--config", config, "--no-timing");
    assert.is(code, 0, text);
    const { verdicts } = await testHypothesis(h5, { config, out: folder, ...FEW });
    assert.is(verdicts.length, 3);
    assert.ok(existsSync(join(folder, "h5.html")));
    // Runs that lie there and were made otherwise are none of the config's.
    writeFileSync(config, JSON.stringify({ ...plan, settings: { ...plan.settings, train: { epochs: 2 } } }));
    const { message } = await errorOf(() => testHypothesis(h5, { config, out: folder, ...FEW }));
    assert.match(message, /holds a run with train\.epochs 1; now it is 2\. Choose another out for the config/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
