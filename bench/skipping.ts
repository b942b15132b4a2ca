// Hard gates by masks, and by leaving handled samples out of the stages behind: time of a training and accuracy of its
// exits. `node scripts/run.mjs bench/skipping.ts RUN... --data-dir DIR`, each RUN the folder of a run of joint training
// on Fashion-MNIST: its network goes on for `--more` epochs at a tenth of its learning rate, and one like it is trained
// from the beginning by the same recipe (`--only more` or `new`: one of the two). Writes results/skipping.md; rows that
// are not measured again stay as they were. Let the machine do nothing else meanwhile.

import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { median, writeWholeSync } from "../base/index.ts";
import { loadData, makeNetwork, makeRecipe, RunFolder } from "../cli/index.ts";
import { head } from "../data/index.ts";
import { createDevice, mean, tensor } from "../engine/index.ts";
import {
  adapterName,
  Evaluator,
  exitGates,
  loadWeights,
  type MultiExit,
  plainCgt,
  RUN_FILES,
  type TrainingPlan,
  train,
} from "../exits/index.ts";
import { readFlags } from "./flags.ts";

const { values: flags, positionals: runs } = readFlags(import.meta.url, {
  allowPositionals: true,
  options: {
    "data-dir": { type: "string" },
    more: { type: "string", default: "1" },
    rounds: { type: "string", default: "3" },
    tau: { type: "string", default: "0.5" },
    images: { type: "string", default: "50000" },
    only: { type: "string", default: "more,new" },
    out: { type: "string", default: fileURLToPath(new URL("results/skipping.md", import.meta.url)) },
  },
});
const dir = flags["data-dir"];
if (dir === undefined || runs.length === 0)
  throw new Error("bench/skipping: the folders of runs and --data-dir must be given; one is missing.");

const tau = Number(flags.tau);
const hard = { gate: "hard", tau } as const;
const masks = plainCgt.with(hard);
const survivors = plainCgt.with({ ...hard, skip: "survivors" });
const frozen = plainCgt.with({ ...hard, skip: "frozen" });

/** What may become of handled samples, for a network with norms over the batch or without. */
const waysOf = (net: MultiExit): readonly (readonly [string, TrainingPlan])[] =>
  net.buffers().length === 0
    ? [
        ["masks", masks],
        ["left out", survivors],
      ]
    : [
        ["masks", masks],
        ["left out, statistics of survivors", survivors],
        ["left out, norms frozen", frozen],
      ];

const device = await createDevice();

/** A run that training goes on from, or whose recipe is followed anew. */
function opened(path: string) {
  const folder = RunFolder.at(path);
  if (!folder) throw new Error(`bench/skipping: ${path} must be the folder of a run; there is none.`);
  const own = folder.config();
  return { name: basename(path), folder, config: { ...own, data: { ...own.data, dir: dir as string } } };
}

type Opened = ReturnType<typeof opened>;
type Data = Awaited<ReturnType<typeof loadData>>;

const STARTS = {
  more: {
    times: Number(flags.rounds),
    epochs: () => `${flags.more} more`,
    load: ({ folder }: Opened, net: MultiExit) => loadWeights(join(folder.dir, RUN_FILES.last), net.state()),
    recipe: (recipe: ReturnType<typeof makeRecipe>) => ({
      ...{ ...recipe, epochs: Number(flags.more), schedule: { warmup: 0 } },
      optimizer: { ...recipe.optimizer, lr: (recipe.optimizer?.lr ?? 0) / 10 },
    }),
  },
  new: {
    times: 1,
    epochs: ({ config }: Opened) => `${config.train.epochs}, from the beginning`,
    load: async () => {},
    recipe: (recipe: ReturnType<typeof makeRecipe>) => recipe,
  },
} as const;

/** What the exits say of the test images, and the share of the training images that reaches each of them. */
async function judged(net: MultiExit, data: Data) {
  using evaluator = await Evaluator.record(net, data.test);
  const { accuracies } = await evaluator.tally(data.test);
  using training = await Evaluator.record(net, data.train);
  const shape = [data.train.size, net.exits, data.train.classes.length];
  const logits = tensor(await training.logits(data.train), { shape, device });
  const open = tensor(new Float32Array(net.exits).fill(1), { device });
  const gates = exitGates(logits, tensor(data.train.labels, { device }), open, { mode: "hard", tau });
  return { accuracies, reached: [...(await mean(gates.eligibility, { dim: 0 }).read())] };
}

/** One training: its seconds behind the first step, and what became of the network. */
async function trained(run: Opened, start: keyof typeof STARTS, method: TrainingPlan, data: Data) {
  const { config } = run;
  const { load, recipe } = STARTS[start];
  const net = makeNetwork(config, data, device);
  await load(run, net);
  let first = 0;
  let last = 0;
  const training = await train(net, data, {
    ...{ ...recipe(makeRecipe(config)), method, seed: config.seed, logEvery: 1 },
    report: (event) => {
      if (event.kind !== "train") return;
      last = performance.now();
      if (event.step === 1) first = last;
    },
  });
  training.dispose();
  const found = await judged(net, data);
  net.dispose();
  return { seconds: (last - first) / 1000, ...found };
}

const percents = (values: readonly number[], digits = 0) =>
  values.map((value) => (100 * value).toFixed(digits)).join(" / ");

/** Rows of the table, the ways in turns. */
async function measured(run: Opened, start: keyof typeof STARTS, data: Data): Promise<string[]> {
  const net = makeNetwork(run.config, data, device);
  const ways = waysOf(net);
  net.dispose();
  const rounds: Awaited<ReturnType<typeof trained>>[][] = [];
  for (let round = 0; round < STARTS[start].times; round++) {
    const each: Awaited<ReturnType<typeof trained>>[] = [];
    for (const [, method] of ways) each.push(await trained(run, start, method, data));
    rounds.push(each);
    console.log(run.name, start, each.map(({ seconds }) => seconds.toFixed(1)).join(" / "));
  }
  const seconds = ways.map((_, k) => median(rounds.map((each) => each[k]!.seconds)));
  const macs = run.folder.record().exits.map((exit) => exit.macs);
  return ways.map(([way], k) => {
    const { reached, accuracies } = rounds[0]![k]!;
    const promised = reached.reduce((sum, share, j) => sum + share * (macs[j]! - (macs[j - 1] ?? 0)), 0);
    const cells = [
      ...[run.name, STARTS[start].epochs(run), way, seconds[k]!.toFixed(0)],
      ...[`${percents([seconds[k]! / seconds[0]!])} %`, `${percents([promised / macs.at(-1)!])} %`],
      ...[percents(reached.slice(1)), percents(accuracies, 1)],
    ];
    return `| ${cells.join(" | ")} |`;
  });
}

const rows: string[] = [];
for (const path of runs) {
  const run = opened(path);
  const whole = await loadData(run.config, () => {});
  const data = { ...whole, train: head(whole.train, Number(flags.images)) };
  for (const start of flags.only.split(",")) {
    if (start !== "more" && start !== "new")
      throw new Error(`bench/skipping: --only must be more or new; got ${start}.`);
    rows.push(...(await measured(run, start, data)));
  }
}

/** Run and epochs of a row. */
const subjectOf = (row: string): string => row.split(" | ").slice(0, 2).join();
const known = existsSync(flags.out) ? readFileSync(flags.out, "utf8").split("\n") : [];
const kept = known.filter(
  (line) => / \d+ %/.test(line) && line.startsWith("| ") && !rows.some((row) => subjectOf(row) === subjectOf(line)),
);

const page = `# Training without the samples that an exit has handled

Written by \`node scripts/run.mjs bench/skipping.ts RUN... --data-dir DIR --images ${flags.images}\`. Gates as CGT's paper prints them, hard, tau
${flags.tau}: what an exit gets right with that confidence is learnt from no more behind it. By masks the stages behind see
these samples all the same; left out, they are neither computed forwards nor backwards. Either the joint network of RUN
goes on at a tenth of its learning rate, or a new one is trained by the run's recipe, on ${flags.images} images. The runs
are of \`bench/papers/fashion-mnist.json\`; ${adapterName(device.info)}.

Seconds are of the steps behind the first, which compiles; of networks that go on the median of ${flags.rounds} rounds in
turns, of new ones of one. The MACs' promise is what the samples that reach each stage at
the end of the training (below, of all training images) need of what all of them would; what is missing to it are an
exit's answer that the host waits for, steps that are not recorded, and stages that work on few rows.

| run | epochs | handled samples | seconds | of the time by masks | MACs' promise | reach exit 2 / 3 / .., % | accuracy of the exits, % |
| --- | --- | --- | --- | --- | --- | --- | --- |
${[...kept, ...rows].toSorted((a, b) => subjectOf(a).localeCompare(subjectOf(b))).join("\n")}

Without norms over the batch (ViTs) the ways differ by the order of sums alone. Batch norms behind the first exit learn the
statistics of the samples that are left, though in use they see what leaves later, too; frozen, they keep the statistics
that they had: of the joint training, or none where the network is new.
`;
writeWholeSync(flags.out, page);
console.log(page);
device.dispose();
