// Does an early exit save time, or only multiply-accumulates? Images a second of a trained network whole, and of the
// same network under its certified policy, on the test images; the two take turns. Every answer that is timed is
// compared with the policy on the logits of the network's own forward pass; where one differs, no times are printed.
// `node scripts/run.mjs bench/deploy.ts RUN [--data-dir DIR]`, RUN the folder of a run that is calibrated, on whatever
// data set.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { median } from "../base/index.ts";
import { cascade, decide, decodePolicy, type Score, scaleLogits } from "../calibration/index.ts";
import { compareAnswers, loadData, makeNetwork, RunFolder } from "../cli/index.ts";
import { createDevice } from "../engine/index.ts";
import { type Answers, type Classifier, deploy, Evaluator, loadWeights, RUN_FILES, toTable } from "../exits/index.ts";

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    "data-dir": { type: "string" },
    images: { type: "string", default: "2048" },
    repeat: { type: "string", default: "7" },
  },
});
const [dir] = positionals;
const folder = dir === undefined ? undefined : RunFolder.at(dir);
if (!folder) throw new Error(`bench/deploy: the folder of a run must be given; got ${dir ?? "none"}.`);
const repeat = Number(flags.repeat);

const found = folder.config();
const config = flags["data-dir"] === undefined ? found : { ...found, data: { ...found.data, dir: flags["data-dir"] } };
const { test: all } = await loadData(config, console.log);
const count = Math.min(Number(flags.images), all.size);
const pixels = all.images.length / all.size;
const test = {
  ...all,
  size: count,
  images: all.images.subarray(0, count * pixels),
  labels: all.labels.subarray(0, count),
  ids: all.ids.slice(0, count),
};

const file = decodePolicy(readFileSync(folder.path("policy"), "utf8"));
const { result, scaling } = file;
if (!result.ok) throw new Error(`bench/deploy: ${dir} must hold a policy that lets images leave; it refuses.`);
const policy = result;
const device = await createDevice();
const net = makeNetwork(config, { train: test }, device);
await loadWeights(join(folder.dir, RUN_FILES.last), net.state());

/** What the answers must be: the policy, and the last exit alone, on the logits of `forward`. */
async function expected() {
  const evaluator = await Evaluator.record(net, test);
  const logits = await evaluator.logits(test);
  evaluator.dispose();
  const { labels, ids } = test;
  const raw = toTable({ shape: [count, net.exits, net.classes], logits, labels, ids, macs: net.macs() });
  const scored = cascade(scaling ? scaleLogits(raw, scaling) : raw, policy.score as Score);
  const names = Array.from({ length: net.exits }, (_, j) => `exit ${j + 1}`);
  const { thresholds } = policy;
  return {
    early: { scored, raw, names, thresholds, exits: decide(scored, thresholds) },
    whole: { scored, raw, names, thresholds: undefined, exits: new Int32Array(count).fill(net.exits - 1) },
  };
}
const want = await expected();
let withinRounding = 0;

/** Throws unless the answers are those of the policy, up to rounding where a score is at its threshold. */
function check(what: keyof typeof want, batch: number, answers: Answers): void {
  const agreement = compareAnswers(want[what], answers);
  withinRounding = Math.max(withinRounding, agreement.withinRounding);
  if (agreement.differing === 0) return;
  throw new Error(
    `bench/deploy: every answer must be the policy's on the network's own logits; in batches of ${batch} ` +
      `${agreement.differing} of ${count} differ (${what}): ${agreement.first}. Nothing was timed.`,
  );
}

/** Seconds of one pass over the images, whose answers are looked at behind the clock. */
async function seconds(what: keyof typeof want, batch: number, classifier: Classifier): Promise<number> {
  const start = performance.now();
  const answers = await classifier.classify(test.images);
  const taken = (performance.now() - start) / 1000;
  check(what, batch, answers);
  return taken;
}

/**
 * What it answers once it has chosen its route for every size of batch that the images make; the times are of that
 * route.
 */
async function settled(classifier: Classifier): Promise<Answers> {
  for (;;) {
    const answers = await classifier.classify(test.images);
    if (classifier.plan.every(({ isSettled }) => isSettled)) return answers;
  }
}

const rows: string[] = [];
const reasons: string[] = [];
for (const batch of [1, 16, 64, 256]) {
  const options = { batch, normalise: test.meta };
  using whole = await deploy(net, { thresholds: [Number.POSITIVE_INFINITY] }, options);
  using early = await deploy(net, file, options);
  const { macs } = await settled(early);
  const full = (await settled(whole)).macs[0]!;
  const times = { whole: [] as number[], early: [] as number[] };
  for (let i = 0; i < repeat; i++) {
    times.whole.push(await seconds("whole", batch, whole));
    times.early.push(await seconds("early", batch, early));
  }
  const [wholeTime, earlyTime] = [median(times.whole), median(times.early)];
  const share = macs.reduce((sum, x) => sum + x, 0) / (count * full);
  const percent = (x: number) => `${(100 * x).toFixed(0)} %`;
  const cells = [
    batch,
    (count / wholeTime).toFixed(0),
    (count / earlyTime).toFixed(0),
    percent(earlyTime / wholeTime),
    percent(share),
  ];
  rows.push(`| ${cells.join(" | ")} |`);
  for (const { reason } of early.plan) reasons.push(`- batch ${batch}: ${reason}`);
}
console.log(`${dir} on ${device.info.description}: ${count} images, medians of ${repeat}`);
console.log(
  "| batch | whole network, images/s | early exits, images/s | time, share | MACs, share |\n| --- | --- | --- | --- | --- |",
);
for (const row of rows) console.log(row);
console.log(`\n${reasons.join("\n")}`);
const close = withinRounding > 0 ? `, up to ${withinRounding} of them within rounding of a threshold` : "";
console.log(`\nEvery timed answer is that of the policy on the network's own logits${close}.`);
net.dispose();
device.dispose();
