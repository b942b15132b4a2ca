// The report of a run under every kind of policy, and its parts: which images stand for an exit, plots as text, bins by
// difficulty.

import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { evaluatePolicy, fixedThreshold, learnThenTest, type PolicyFile } from "../../calibration/index.ts";
import { examplesPerExit } from "../../cli/report/examples.ts";
import { errorsByDifficulty, exitsByDifficulty } from "../../cli/report/figures/difficulty.ts";
import { accuracyCurve, exitShares } from "../../cli/report/figures/policy.ts";
import { riskAgainstTarget } from "../../cli/report/figures/targets.ts";
import { escapeHtml } from "../../cli/report/html.ts";
import { drawPlot, exitColours } from "../../cli/report/plots.ts";
import { readHistory } from "../../cli/report/run-details.ts";
import { sweepTargets, type TargetSweep } from "../../cli/report/targets.ts";
import { createDataset, decodePng, glyphs } from "../../data/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { run } from "./command-line.ts";
import { writeRun } from "./synthetic-run.ts";

const test = suite("report parts");

/** Twelve images of two classes, all of them taken for class 0. */
const { test: data } = glyphs({ train: 0, validation: 0, calibration: 0, test: 12 });
const labels = Int32Array.from({ length: 12 }, (_, i) => i % 2);

test("an exit shows its surest first, the last exit its least sure, class by class", () => {
  const confidences = Float64Array.from({ length: 12 }, (_, i) => 1 - i / 20);
  const exits = Int32Array.from({ length: 12 }, (_, i) => (i < 8 ? 0 : 1));
  const answers = new Int32Array(12);
  const [first, last] = examplesPerExit({ ...data, labels }, { exits, answers, confidences }, 2, 4);
  assert.equal(
    first!.map(({ confidence }) => confidence),
    [1, 0.95, 0.9, 0.85],
  );
  assert.equal(
    last!.map(({ confidence }) => Number(confidence.toFixed(2))),
    [0.45, 0.5, 0.55, 0.6],
  );
  const [disc, ring] = data.classes as [string, string];
  assert.equal(
    first!.map(({ label, answer }) => [label, answer]),
    [disc, ring, disc, ring].map((label) => [label, disc]),
  );
});

test("pictures are the images: grey, colour, and three bands of many", () => {
  const bands = (channels: number) =>
    createDataset({
      images: Uint8Array.from({ length: 2 * 2 * channels }, (_, i) => i),
      labels: Int32Array.of(0),
      shape: [2, 2, channels],
      classes: ["only"],
      meta: { name: "n", split: "test", mean: new Array(channels).fill(0), std: new Array(channels).fill(1) },
    });
  const left = { exits: [0], answers: [0], confidences: [1] };
  const pixels = (channels: number, shown: 1 | 3) => {
    const example = examplesPerExit(bands(channels), left, 1, 1)[0]![0]!;
    const bytes = Buffer.from(example.picture.replace("data:image/png;base64,", ""), "base64");
    return [...decodePng(new Uint8Array(bytes), { file: "example", channels: shown }).data];
  };
  assert.equal(pixels(1, 1), [0, 1, 2, 3]);
  assert.equal(pixels(3, 3), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assert.equal(pixels(5, 3), [0, 2, 4, 5, 7, 9, 10, 12, 14, 15, 17, 19]);
});

test("a plot is an SVG with a label, without scripts", async () => {
  const svg = await drawPlot(exitShares(["a<b", "c"], [0.75, 0.25], [0.1, Number.NaN]), 'shares "here"');
  assert.ok(svg.startsWith('<svg role="img" aria-label="shares &quot;here&quot;"'));
  assert.ok(svg.includes("a&lt;b") && svg.includes("75.0 %") && !/NaN|<script/.test(svg));
});

test("tenths of difficulty hold the shares of exits and of errors", () => {
  const values = (spec: object) => (spec as { data: { values: Record<string, unknown>[] } }).data.values;
  const difficulty = [0.01, 0.05, 0.09, 0.95, 1];
  const shares = values(exitsByDifficulty(difficulty, [0, 0, 1, 1, 1], ["early", "late"]));
  assert.equal(
    shares.map(({ from, exit, share }) => [from, exit, Number((share as number).toFixed(3))]),
    [
      [0, "early", 0.667],
      [0, "late", 0.333],
      [0.9, "early", 0],
      [0.9, "late", 1],
    ],
  );
  const errors = values(errorsByDifficulty(difficulty, [{ name: "policy", kind: "policy", wrong: [0, 1, 0, 1, 0] }]));
  assert.equal(
    errors.map(({ difficulty: at, error }) => [at, Number((error as number).toFixed(3))]),
    [
      [0.05, 0.333],
      [0.95, 0.5],
    ],
  );
});

test("colours go from light to dark, and text is safe in HTML", () => {
  assert.equal(exitColours(3), ["#7cc0e8", "#2f7fc1", "#123f75"]);
  assert.is(exitColours(1)[0], "#123f75");
  assert.is(new Set(exitColours(7)).size, 7);
  assert.is(escapeHtml('<a href="x">&'), "&lt;a href=&quot;x&quot;&gt;&amp;");
});

const runs = suite("report of a run", { timeout: 120_000 });
const dir = mkdtempSync(join(tmpdir(), "sortie-report-"));
runs.before(() => writeRun(dir));
runs.after(() => rmSync(dir, { recursive: true }));

/** Calibrates with flags and gives the report's text, without tags, as one line; by title of section. */
async function reportAfter(
  ...flags: string[]
): Promise<{ section(title: string): string; page: string; said: string }> {
  const { text: said } = await run("calibrate", dir, ...flags);
  const report = await run("report", dir);
  assert.is(report.code, 0, report.text);
  const page = readFileSync(join(dir, "report.html"), "utf8");
  const plain = (html: string) => html.replace(/<[^>]*>/g, " ").replace(/\s+/g, " ");
  const sections = page.split("<section>").slice(1);
  return {
    said,
    page,
    section: (title) => plain(sections.find((html) => html.includes(`<h2>${title}</h2>`)) ?? `no section ${title}`),
  };
}

runs("the sweep asks the policy's own question, about its own risk, around its own target", async () => {
  const exit = await reportAfter("--alpha", "0.2");
  assert.match(exit.section("Risk against target"), "learn then test (path, binomial)");
  assert.match(
    exit.section("Risk against target"),
    "with probability 0.9 over calibration sets: at every early exit the error",
  );
  assert.match(exit.section("Risk against target"), "worst exit all early leavers");
  const crc = await reportAfter("--method", "crc", "--alpha", "0.05", "--loss", "disagreement");
  const text = crc.section("Risk against target");
  assert.match(text, "conformal risk control");
  assert.match(
    text,
    "on average over calibration sets: the mean loss (disagreement) over all samples is at most the target",
  );
  assert.ok(text.includes("mean loss (disagreement)") && !text.includes("worst exit"));
  const early = await reportAfter("--control", "early", "--delta", "0.2", "--alpha", "0.3");
  assert.match(
    early.section("Risk against target"),
    "with probability 0.8 over calibration sets: the error rate of all that leave",
  );
  assert.not.match(early.section("Risk against target"), "worst exit");
  const byClass = await reportAfter("--control", "predictedClass", "--alpha", "0.4");
  assert.match(
    byClass.section("Risk against target"),
    "at every early exit, for every class it answers, the error rate is at most",
  );
  assert.match(byClass.section("Where images leave"), "by class");
});

runs("the dotted line is at the policy's alpha, within the axis, and the policy itself is a point of the sweep", () => {
  const table = (seed: number, samples: number) => randomTable(samples, 3, 4, { seed });
  const sources = { validation: table(2, 800), calibration: table(3, 2000), test: table(4, 900) };
  const { validation, calibration, test: fresh } = sources;
  for (const alpha of [0.1, 0.3]) {
    const request = { rule: "learnThenTest", seed: 1 } as const;
    const result = learnThenTest(calibration, { alpha, delta: 0.1, validation, seed: 1 });
    assert.ok(result.ok);
    const sweep = sweepTargets({ result, request }, sources) as TargetSweep;
    const targets = sweep.points.map(({ target }) => target);
    assert.equal([sweep.alpha, Math.max(...targets)], [alpha, Number((3 * alpha).toPrecision(6))]);
    const own = sweep.points[targets.indexOf(alpha)]!;
    const { cost, exitRisk, earlyRisk } = evaluatePolicy(fresh, result);
    assert.equal([own.cost, own.risk, own.early], [cost, Math.max(...exitRisk.slice(0, -1)), earlyRisk]);
    const { layer } = riskAgainstTarget(sweep) as unknown as {
      layer: { data: { values: object[] }; mark: { type: string }; encoding: { x: { scale: object } } }[];
    };
    const rule = layer.find(({ mark }) => mark.type === "rule")!;
    assert.equal(rule.data.values, [{ target: alpha }]);
    assert.equal(rule.encoding.x.scale, { domain: [0, Math.max(...targets)], nice: false });
  }
});

runs("a policy that cannot be asked again of the run's own tables, or was never asked for a risk, says so", () => {
  const table = (seed: number) => randomTable(600, 3, 4, { seed });
  const sources = { validation: table(2), calibration: table(3), test: table(4) };
  const result = learnThenTest(sources.calibration, { alpha: 0.3, delta: 0.1, validation: sources.validation });
  const asked = (more: object) => sweepTargets({ result, request: { rule: "learnThenTest", ...more } }, sources);
  assert.match(asked({ costs: "milliseconds" }) as string, /^This is a policy that was laid out by measured times: /);
  assert.match(asked({ validation: "other.npz" }) as string, /^This is a policy that was laid out on other\.npz: /);
  const fixed = { result: fixedThreshold(sources.test, { threshold: 0.9 }) } as PolicyFile;
  assert.match(sweepTargets(fixed, sources) as string, /^This policy is a paper's rule \(fixed threshold\)/);
});

runs("scalings of confidences, other scores and budgets have their report too", async () => {
  for (const scale of ["isotonic", "histogram", "beta"]) {
    const { section } = await reportAfter("--scale", scale, "--alpha", "0.3");
    assert.match(section("Reliability"), "after scaling");
    assert.match(section("Risk against target"), "worst exit");
  }
  const { section, said } = await reportAfter("--score", "productOfExperts", "--alpha", "0.3");
  assert.match(said, /thresholds \(productOfExperts\): stage1 (closed|0\.\d+), stage2 0\.\d+/);
  assert.match(said, /stage2: \d+ wrong of \d+/);
  assert.match(section("Accuracy against MACs"), "productOfExperts");
  const budget = await reportAfter("--method", "budget", "--cost", "0.8");
  assert.match(budget.section("Risk against target"), "it has no target risk, and promises none");
});

runs("a policy that refuses leaves no section out, and says what happens instead", async () => {
  const { section, said } = await reportAfter("--alpha", "0.0005");
  assert.match(said, "Nothing is promised");
  const refused = "The policy refuses: nothing could be certified.";
  assert.match(section("Where images leave"), `${refused} Every image runs to the end, stage3.`);
  assert.match(section("Difficulty and exits"), `${refused} No image leaves early`);
  assert.match(section("Difficulty and exits"), "full network");
  assert.match(section("Examples"), `${refused} All images run to the end.`);
  assert.match(section("Examples"), "stage3 stay to the end");
  // Around what could have been certified, not around what was refused: something is to be seen.
  assert.match(section("Risk against target"), /Nothing could be certified at \d\.\d+ % or less: there all images run/);
  assert.match(section("Risk against target"), "certified refused");
});

runs(
  "labels stand apart where the policy is an exit, and difficulty without two exits has no correlation",
  async () => {
    const { section } = await reportAfter("--alpha", "0.97");
    assert.match(section("Difficulty and exits"), "All images leave at one exit, whatever it is.");
    const at = { accuracy: 0.9, cost: 0.5, fractions: Float64Array.of(1, 0) };
    const { layer } = accuracyCurve({
      ...{ names: ["first", "last"], unit: "cost", sweep: [at], oracle: at, policy: at },
      fixed: [at, { ...at, cost: 1 }],
    }) as unknown as { layer: { data: { values: { label: string }[] }; mark: { type: string; align: string } }[] };
    const texts = layer.filter(({ mark }) => mark.type === "text");
    const places = texts.flatMap(({ data, mark }) => data.values.map(({ label }) => [label, mark.align]));
    assert.equal(Object.fromEntries(places), { oracle: "center", policy: "right", first: "left", last: "center" });
    assert.match(JSON.stringify(layer), "mean cost, share of the full network");
  },
);

runs("without a policy, and with one of an older kind, the report says so", async () => {
  const policy = join(dir, "policy.json");
  await run("calibrate", dir);
  const { request: _, ...old } = JSON.parse(readFileSync(policy, "utf8")) as Record<string, unknown>;
  writeFileSync(join(dir, "old.json"), JSON.stringify(old));
  rmSync(policy);
  const none = await run("report", dir);
  assert.is(none.code, 0, none.text);
  const page = readFileSync(join(dir, "report.html"), "utf8");
  assert.match(page, "There is no policy yet, and so no target");
  assert.match(page, "There is no policy. Every image runs to the end, stage3.");
  copyFileSync(join(dir, "old.json"), policy);
  await run("report", dir);
  assert.match(readFileSync(join(dir, "report.html"), "utf8"), "The policy file does not say how it was made");
});

runs("measurements that are damaged are named by file and line", async () => {
  const path = join(dir, "damaged.jsonl");
  const good = readFileSync(join(dir, "metrics.jsonl"), "utf8");
  const refuses = async (content: string, message: string) => {
    writeFileSync(path, content);
    await failsWith(() => readHistory(path, 3), "SortieError", `${path}, ${message}`);
  };
  await refuses(`${good}{"kind":"tra`, 'line 4 must be a row of measurements of 3 exits; got {"kind":"tra');
  await refuses(`null\n${good}`, "line 1 must be a row of measurements of 3 exits; got null");
  writeFileSync(path, good);
  assert.is(readHistory(path, 3).length, 3);
  assert.match((await errorOf(() => readHistory(path, 2))).message, "line 1 must be a row of measurements of 2 exits");
  const absent = join(dir, "absent.jsonl");
  await failsWith(() => readHistory(absent, 3), "SortieError", `${absent} must be a readable file; got ENOENT.`);
});
