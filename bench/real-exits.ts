// What early exits save in time, beside what they promise:
// `node scripts/run.mjs bench/real-exits.ts RUN [--data-dir DIR] [--only PART,PART]`, RUN the folder of a run that is
// calibrated. Writes results/real-exits.md; parts that are not run again stay as they were. Every answer that is timed
// is checked against the policy on the network's own logits. Let the machine do nothing else meanwhile.

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "../base/index.ts";
import type { MeasuredCosts } from "../calibration/index.ts";
import {
  type CascadeTime,
  candidates,
  cascadeTable,
  openSubject,
  quartileSpread,
  type Site,
  type Subject,
  savingTable,
  stageTable,
  tableOf,
  timeCascades,
  whole,
} from "../cli/index.ts";
import { createDevice, type Device } from "../engine/index.ts";
import { adapterName, buildNetwork, deploy, measureCosts } from "../exits/index.ts";
import { installCounters, since, snapshot } from "./counters.ts";
import { readFlags } from "./flags.ts";
import { installWebGPU } from "./gpu.ts";

const PARTS = ["cascade", "first", "resnet20"] as const;
type Part = (typeof PARTS)[number];

const { values: flags, positionals } = readFlags(import.meta.url, {
  allowPositionals: true,
  options: {
    "data-dir": { type: "string" },
    only: { type: "string", default: PARTS.join() },
    batches: { type: "string", default: "1,2,4,8,16,32,64,128,256,512,1024" },
    shares: { type: "string", default: "0.5,0.75,0.95" },
    images: { type: "string", default: "2048" },
    rounds: { type: "string", default: "7" },
    out: { type: "string", default: fileURLToPath(new URL("results/real-exits.md", import.meta.url)) },
  },
});
const numbers = (text: string): number[] => text.split(",").map(Number);
const only = flags.only.split(",");
const unknown = only.find((name) => !PARTS.includes(name as Part));
if (unknown !== undefined) throw new Error(`bench/real-exits: parts are ${PARTS.join(", ")}; got ${unknown}.`);
const [run] = positionals;
if (run === undefined && only.some((name) => name !== "resnet20"))
  throw new Error("bench/real-exits: the folder of a calibrated run must be given; got none.");
const rounds = Number(flags.rounds);
/** Where runs lie is nobody's business. */
const runName = run === undefined ? "" : basename(run);

installWebGPU();
installCounters();
const device = await createDevice();

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const ms = (value: number): string => value.toFixed(value < 10 ? 3 : 1);

/** The network of the run with its policies. */
async function opened(): Promise<{
  readonly subject: Subject;
  readonly site: Site;
  readonly raw: Parameters<typeof whole>[0];
}> {
  const options = { policy: undefined, dataDir: flags["data-dir"], images: Number(flags.images) };
  const subject = await openSubject(run as string, options);
  const net = await subject.make(device);
  const raw = await tableOf(net, subject.images);
  return { subject, raw, site: { net, set: subject.images, whole: whole(raw, subject.names), rounds } };
}

/** Quartiles of the whole network's rounds that are as near, as a share of their median, are calm. */
const CALM = 0.1;
const TRIES = 4;

/**
 * Measures until the machine was calm: whether it was is told by the whole network alone, whatever the cascades took.
 */
async function calmest<T>(measure: () => Promise<T>, spreadOf: (found: T) => number): Promise<T> {
  let best = await measure();
  for (let tries = 1; tries < TRIES && spreadOf(best) > CALM; tries++) {
    const found = await measure();
    if (spreadOf(found) < spreadOf(best)) best = found;
  }
  return best;
}

/** Whole network against cascade, for all sizes of batches. */
async function cascadePart(): Promise<readonly string[]> {
  const { subject, site, raw } = await opened();
  const { policies, byShare } = candidates(subject, raw, { targets: [], shares: numbers(flags.shares) });
  const batches = numbers(flags.batches);
  const measured: { readonly costs: MeasuredCosts; readonly rows: readonly CascadeTime[] }[] = [];
  for (const batch of batches) {
    const one = async () => {
      const costs = await measureCosts(site.net, { batch, rounds });
      return { costs, rows: await timeCascades(site, batch, [...policies, ...byShare], costs) };
    };
    measured.push(await calmest(one, ({ rows: [first] }) => first?.spread ?? 0));
    console.log(`batches of ${batch}: done`);
  }
  site.net.dispose();
  const rows = measured.flatMap((one) => one.rows);
  const times = measured.flatMap(({ costs }) => costs.times);
  const slower = rows.filter(({ whole: full, cascade }) => cascade > full);
  const named = slower.map(
    ({ batch, policy, whole: full, cascade }) => `${policy} in batches of ${batch} (${percent(cascade / full)})`,
  );
  const large = rows.filter(({ batch, saving }) => batch >= 64 && saving && saving.byTimes > 0);
  const least = (promise: (row: CascadeTime) => number): string =>
    large.length === 0 ? "-" : percent(Math.min(...large.map((row) => (1 - row.cascade / row.whole) / promise(row))));
  return [
    `${runName}: ${subject.images.size} images of ${subject.images.meta.name}, medians of ${rounds} rounds in turns. The first policy is the run's own; of the others, a share`,
    `leaves at ${subject.names[0]} and nobody later. Where the middle half of the whole network's rounds lay more than ${percent(CALM)} apart, stages and cascades were`,
    `measured again, at most ${TRIES} times, and the calmest counts.`,
    "",
    ...cascadeTable(rows),
    "",
    `Kept of the promise in batches of 64 and more, at least: ${least((row) => row.saving?.byTimes ?? 1)} by stage times, ${least((row) => 1 - row.macs)} by MACs.`,
    slower.length === 0
      ? "No cascade is slower than the whole network."
      : `Slower than the whole network: ${named.join("; ")}.`,
    "",
    "Shares of the whole network's time: what is promised and saved, and where the rest goes.",
    "",
    ...savingTable(rows),
    "",
    "Milliseconds of a batch, up to each exit.",
    "",
    ...stageTable({ ...measured[0]!.costs, times }, subject.names),
    "",
    "How batches were run:",
    "",
    ...rows.map(({ policy, plan }) => `- ${policy}: ${plan}`),
  ];
}

/** A single image that leaves at the first exit, against a network that ends there. */
async function firstPart(): Promise<readonly string[]> {
  const { subject, site, raw } = await opened();
  const early = raw.exits - 1;
  const leaving = (first: number): Parameters<typeof deploy>[1] => {
    return {
      thresholds: new Float64Array(early)
        .fill(Number.POSITIVE_INFINITY)
        .with(0, first)
        .with(early - 1, early > 1 ? 0.999 : first),
    };
  };
  const images = site.set.images.subarray(0, (site.set.images.length / site.set.size) * Math.min(512, site.set.size));
  const normalise = site.set.meta;
  // Where all leave at once nothing lies behind; where they would, were they a little less sure, all of it does.
  using alone = await deploy(site.net, leaving(Number.NEGATIVE_INFINITY), { batch: 1, normalise });
  using leaves = await deploy(site.net, leaving(1e-6), { batch: 1, normalise });
  using full = await deploy(site.net, { thresholds: [Number.POSITIVE_INFINITY] }, { batch: 1, normalise });
  const timed = async (classifier: typeof alone, exit: number): Promise<number> => {
    const start = performance.now();
    const { exits } = await classifier.classify(images);
    const taken = (performance.now() - start) / exits.length;
    if (exits.some((one) => one !== exit))
      throw new Error(`bench/real-exits: all images must leave at exit ${exit + 1}.`);
    return taken;
  };
  const times: number[][] = [[], [], []];
  // The first pass finds the way.
  for (let round = -1; round < rounds; round++) {
    const found = [await timed(alone, 0), await timed(leaves, 0), await timed(full, early)];
    for (const [i, value] of found.entries()) if (round >= 0) times[i]!.push(value);
  }
  site.net.dispose();
  const [one, two, three] = times.map(median) as [number, number, number];
  return [
    `${runName}, images one by one, medians of ${rounds} rounds in turns: a network that ends at ${subject.names[0]} takes ${ms(one)} ms an image; one that goes on behind it,`,
    `where all images leave there, ${ms(two)} ms, ${(two / one).toFixed(2)} times as much; the whole network ${ms(three)} ms. (${leaves.plan[0]?.reason}.)`,
  ];
}

/** Inference of ResNet-20 on 32 x 32 x 3: dispatches, and milliseconds beside the peers'. */
async function resnetPart(): Promise<readonly string[]> {
  const rows: string[] = [];
  for (const batch of [1, 64]) {
    const net = buildNetwork(
      {
        backbone: "resnet",
        options: { depth: 20 },
        input: [32, 32, 3],
        classes: 10,
        exits: ["stage1"],
        head: "gap-linear",
      },
      { seed: 1, device },
    );
    using classifier = await deploy(net, { thresholds: [Number.POSITIVE_INFINITY] }, { batch });
    const images = new Float32Array(batch * 32 * 32 * 3).map((_, i) => Math.sin(i));
    await classifier.classify(images);
    const before = snapshot();
    await classifier.classify(images);
    const { dispatches } = since(before);
    const timed = async () => {
      const times: number[] = [];
      for (let i = 0; i < 10 * rounds; i++) {
        const start = performance.now();
        await classifier.classify(images);
        times.push(performance.now() - start);
      }
      return times;
    };
    const own = median(await calmest(timed, quartileSpread));
    const peer = fastestPeer(`infer.resnet20.b${batch}`, device);
    const beside = peer ? [peer.name, ms(peer.ms), (peer.ms / own).toFixed(1), peer.date] : ["-", "-", "-", "-"];
    rows.push(`| ${[batch, dispatches, ms(own), ...beside].join(" | ")} |`);
    net.dispose();
  }
  return [
    "ResNet-20 whole, 32 x 32 x 3, from floats on the host to answers on the host. The peers' figures are of `npm run bench -- --peers --only infer`, with images that are",
    "already on the adapter.",
    "",
    "| batch | dispatches | ms | fastest WebGPU peer | its ms | times as fast | measured |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
  ];
}

interface PeerRow {
  readonly name: string;
  readonly date: string;
  readonly results: Readonly<Record<string, { readonly ms?: number } | undefined>>;
}

/** The fastest of the peers in what was measured on this adapter before, if anything was. */
function fastestPeer(
  row: string,
  { info }: Device,
): { readonly name: string; readonly ms: number; readonly date: string } | undefined {
  const folder = fileURLToPath(new URL("results", import.meta.url));
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
    const { adapter, rows } = JSON.parse(readFileSync(join(folder, file), "utf8")) as {
      readonly adapter?: { readonly description?: string };
      readonly rows?: readonly PeerRow[];
    };
    if (adapter?.description !== info.description) continue;
    const found = rows?.find(({ name }) => name === row);
    const peers = Object.entries(found?.results ?? {}).flatMap(([name, result]) =>
      name !== "sortie" && result?.ms !== undefined
        ? [{ name, ms: result.ms, date: (found as PeerRow).date.slice(0, 10) }]
        : [],
    );
    const [first, ...others] = peers;
    return first && others.reduce((a, b) => (b.ms < a.ms ? b : a), first);
  }
  return undefined;
}

const TITLES: Readonly<Record<Part, string>> = {
  cascade: "Whole network against cascade",
  first: "An image alone that leaves at once",
  resnet20: "Inference of ResNet-20",
};
const RUNS: Readonly<Record<Part, () => Promise<readonly string[]>>> = {
  cascade: cascadePart,
  first: firstPart,
  resnet20: resnetPart,
};

/** What a part of an earlier page says. */
function before(part: Part): string | undefined {
  if (!existsSync(flags.out)) return undefined;
  const page = readFileSync(flags.out, "utf8");
  const start = page.indexOf(`\n## ${TITLES[part]}\n`);
  if (start < 0) return undefined;
  const end = page.indexOf("\n## ", start + 1);
  return page.slice(start + 1, end < 0 ? undefined : end).trimEnd();
}

const name = adapterName(device.info);
const sections: string[] = [];
for (const part of PARTS) {
  if (!only.includes(part)) {
    const old = before(part);
    if (old !== undefined) sections.push(old);
    continue;
  }
  const { images, shares, batches } = flags;
  const command = `node scripts/run.mjs bench/real-exits.ts RUN --data-dir DIR --only ${part} --images ${images} --rounds ${rounds} --shares ${shares} --batches ${batches}`;
  const lines = await RUNS[part]();
  sections.push([`## ${TITLES[part]}`, "", `\`${command}\` on ${name}.`, "", ...lines].join("\n"));
  console.log(sections.at(-1));
}
writeFileSync(flags.out, `# What early exits save in time\n\n${sections.join("\n\n")}\n`);
console.log(`wrote ${flags.out}`);
device.dispose();
