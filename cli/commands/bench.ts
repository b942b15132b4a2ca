// `sortie bench`: what early exits save in time on this machine, as tables, a figure and JSON.

import { firstOf, option, SortieError } from "../../base/index.ts";
import { createDevice, type Device } from "../../engine/index.ts";
import { adapterName, measureCosts, ROUNDS } from "../../exits/index.ts";
import { energyMeter } from "../bench/energy.ts";
import { type CascadeTime, coldStart, joules, latencies, type Site, timeCascades } from "../bench/measure.ts";
import { cascadeTable, crossover, latencyTable, savingTable, stageTable } from "../bench/show.ts";
import { candidates, openSubject, tableOf, whole } from "../bench/subject.ts";
import { checkOutput } from "../files/outputs.ts";
import { RunFolder } from "../files/run-folder.ts";
import { stampOf } from "../files/stamp.ts";
import { versions } from "../files/versions.ts";
import { toJson, writeWhole } from "../files/whole.ts";
import { chartLibraries, drawPlot } from "../report/plots.ts";
import { type CommandSpec, path, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";

const shares = { above: 0, below: 1, must: "a list of shares between 0 and 1" };

export const benchSpec = {
  name: "bench",
  usage: "RUN | FILE [flags]",
  paths: { least: 1, most: 1, must: "one folder of a run or one model file" },
  about: `Times the network of a run, or of a model file, whole and as a cascade: under its policy, under its rule at other target risks (of a run), and with
given shares of the images leaving at the first exit. Milliseconds of each stage, of single images, of a first answer; promised and measured saving, and where
the rest goes; energy where the system counts it. Every answer that is timed is checked. Let the machine do nothing else meanwhile.`,
  flags: {
    batches: option.list([1, 4, 16, 64, 256, 1024], "images that run together", {
      min: 1,
      whole: true,
      must: "a list of whole numbers of at least 1",
    }),
    targets: option.list(undefined, "other target risks (default: half and twice the policy's)", shares),
    shares: option.list([0.25, 0.5, 0.75, 0.95], "shares that leave at the first exit", shares),
    images: option.whole(1024, "images that are classified in a round, at most", { min: 1 }),
    rounds: ROUNDS,
    calls: option.whole(200, "calls with a single image", { min: 1 }),
    policy: path("another policy than the run's, or the file's, own"),
    dataDir: path(
      "where the data set lies (default: where the run found it; of a model file, noise is timed in place of all but glyphs)",
    ),
    out: path("the JSON file, with the figure beside it as .svg (default bench.json; for a run: in its folder)"),
  },
  more: `Exit code 0: done. 1: bad input, or an answer that is not the policy's; then nothing is written.

  sortie bench runs/glyphs-soft-cgt-1
  sortie bench model.sortie.safetensors --batches 1,64 --shares 0.5,0.9
  sortie calibrate runs/glyphs-soft-cgt-1 --costs milliseconds --batch 64    # then thresholds are chosen by these times
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runBench(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(benchSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  const source = firstOf(positionals);
  await chartLibraries();
  const folder = RunFolder.at(source);
  const out = values.out ?? folder?.path("bench") ?? "bench.json";
  if (folder && values.policy !== undefined && values.out === undefined)
    throw new SortieError(
      "bench: with --policy --out must say where what is measured goes; got none, and the run's own bench.json is of the run's own policy.",
    );
  const figure = `${out.replace(/\.json$/, "")}.svg`;
  for (const one of [out, figure])
    checkOutput("bench", "--out", one, [source, values.policy, folder?.path("policy"), ...(folder?.sources() ?? [])]);
  const device = await createDevice();
  try {
    const { lines, json, rows } = await benchOf(source, values, device, print);
    const svg =
      rows.length > 0 ? await drawPlot(crossover(rows), "time of the cascade by batch and share that leaves") : "";
    for (const line of lines) print(line);
    writeWhole(out, toJson(json));
    if (svg !== "") writeWhole(figure, svg);
    print(`wrote ${out}${svg === "" ? "" : ` and ${figure}`}`);
    return 0;
  } finally {
    device.dispose();
  }
}

type Values = NonNullable<ReturnType<typeof readCommand<typeof benchSpec.flags>>>["values"];

/** Everything that is measured. */
async function benchOf(source: string, values: Values, device: Device, print: Print) {
  const subject = await openSubject(source, values);
  const { names, images, noise, policy, again } = subject;
  if (values.targets !== undefined && typeof again === "string")
    throw new SortieError(
      `bench: --targets must go with the folder of a run whose policy can be calibrated again; got ${again}. Leave it out, or calibrate a run.`,
    );
  if (noise !== undefined)
    print(`note: the images are noise; ${noise} Shares that leave under a policy mean nothing then.`);
  const net = await subject.make(device);
  const raw = await tableOf(net, images);
  const alpha = policy && "alpha" in policy.result ? policy.result.alpha : undefined;
  const targets = values.targets ?? (alpha === undefined ? [] : [alpha / 2, Math.min(0.99, 2 * alpha)]);
  const { policies, byShare } = candidates(subject, raw, { targets, shares: values.shares });
  const site: Site = { net, set: images, whole: whole(raw, names), rounds: values.rounds };
  print(
    `${images.size} images of ${images.meta.name} on ${adapterName(device.info)}; medians of ${values.rounds} rounds`,
  );
  const costs = await measureCosts(net, { batch: values.batches, rounds: values.rounds });
  const rows: CascadeTime[] = [];
  const crossing: CascadeTime[] = [];
  for (const batch of values.batches) {
    const timed = await timeCascades(site, batch, [...policies, ...byShare], costs);
    rows.push(...timed.slice(0, policies.length));
    crossing.push(...timed.slice(policies.length));
    print(`  batches of ${batch}: done`);
  }
  const single = await latencies(site, policies, values.calls);
  const starts = [await coldStart(subject, site.whole)];
  for (const one of policies.slice(0, 1)) starts.push(await coldStart(subject, one));
  const meter = await energyMeter(device.info);
  const largest = Math.max(...values.batches);
  const energy = (await joules(meter, site, largest, policies)) ?? (meter as string);
  net.dispose();
  const all = [...rows, ...crossing];
  const told =
    typeof energy === "string" ? [energy] : Object.entries(energy).map(([name, j]) => `${name}: ${j.toFixed(3)} J`);
  const lines = [
    ...["", "Milliseconds of a batch, up to each exit", "", ...stageTable(costs, names)],
    ...["", "Whole network against cascade", "", ...cascadeTable(all)],
    ...[
      "",
      "Shares of the whole network's time: what is saved, and where the rest of the promise goes",
      "",
      ...savingTable(all),
    ],
    ...["", "One image", "", ...latencyTable(single, starts)],
    ...["", `Energy of a batch of ${largest}, idle subtracted`, "", ...told, ""],
  ];
  const json = {
    made: versions(),
    ...stampOf(raw, policy),
    images: images.size,
    set: images.meta.name,
    costs,
    rows,
    crossing,
    single,
    starts,
    energy,
  };
  return { lines, json, rows: crossing };
}
