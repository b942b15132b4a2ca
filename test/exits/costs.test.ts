// Measured costs of exits, on the adapter: what is measured is what runs, and it can be calibrated by.

import { readCosts, savingOf, withCosts } from "../../calibration/index.ts";
import { adapterName, buildNetwork, deploy, measureCosts } from "../../exits/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { smallNet } from "./small.ts";

const test = gpuSuite("exits: measured costs", { timeout: 120_000 });

test("every exit has its milliseconds, for full, filled and empty batches; memory is given back", async () => {
  const net = smallNet(2);
  // What the device keeps for every network: uniforms, staging.
  await measureCosts(net, { batch: 16, rounds: 1 });
  const before = device().memory();
  const measured = await measureCosts(net, { batch: [1, 16], rounds: 1 });
  assert.is(device().memory().bytes, before.bytes);
  assert.is(measured.adapter, adapterName(device().info));
  assert.equal(
    measured.times.map(({ batch, rows }) => [batch, rows]),
    [
      [1, [1]],
      [16, [0, 2, 4, 8, 16]],
    ],
  );
  for (const { passing, alone, compaction, rows } of measured.times) {
    assert.equal([passing.length, alone.length], [3, 3]);
    for (const ms of [...passing.flat(), ...alone]) assert.ok(ms > 0 && ms < 10_000, `${ms} ms`);
    assert.ok(passing.every((each) => each.length === rows.length) && compaction >= 0);
    assert.is(alone[0], passing[0]!.at(-1), "nothing lies in front of the first exit");
  }
  assert.equal(readCosts(JSON.parse(JSON.stringify(measured))), measured);
  // A hundred times the rows cannot cost the same: the time is that of the work.
  const large = (await measureCosts(net, { batch: 1024, rounds: 1 })).times[0]!;
  assert.ok(large.alone[2]! > 2 * measured.times[0]!.alone[2]!, `${large.alone[2]} ms for 1,024 images`);
  assert.ok(large.passing[2]![0]! < large.passing[2]!.at(-1)! / 2, "an empty batch costs less than a full one");
  net.dispose();
});

test("exits that are closed are not run, and have no times", async () => {
  const net = smallNet(2);
  const [times] = (await measureCosts(net, { batch: [8], rounds: 1, open: [0, 2] })).times;
  assert.equal([times!.passing.length, times!.alone.length], [2, 2]);
  const [last] = (await measureCosts(net, { batch: 8, rounds: 1, open: [2] })).times;
  assert.equal([last!.passing.length, last!.compaction], [1, 0]);
  // Nobody decides in front of it.
  assert.is(last!.alone[0], last!.passing[0]!.at(-1));
  for (const open of [[0, 1], [2, 0], [-1, 2], [], 2])
    await failsWith(
      () => measureCosts(net, { open: open as number[] }),
      "ArgumentError",
      `measureCosts: open must be exits, ascending from 0, the last one (2) among them; got ${JSON.stringify(open)}.`,
    );
  net.dispose();
});

test("costs that a device measured order thresholds; sizes and storage are checked", async () => {
  const net = smallNet(2);
  const measured = await measureCosts(net, { batch: 8, rounds: 1 });
  const table = { samples: 1, exits: 3, costs: Float64Array.of(0.2, 0.5, 1) } as never;
  const { costs } = withCosts(table as { costs: Float64Array } as never, { measured }) as { costs: Float64Array };
  assert.ok(costs.length === 3 && costs[2] === 1 && costs[0]! > 0);
  // What a clock says under load is no matter for a test: the shape is the device's, the times are made up.
  const times = measured.times[0]!;
  const passing = times.passing.map((each, j) => each.map((_, r) => 1 + j * r));
  const whole = passing[2]!.at(-1)!;
  const told = { ...times, passing, alone: passing.map((each) => each.at(-1)!), compaction: 0 };
  const saving = savingOf(told, { fractions: [0, 0, 1], macs: [0.2, 0.5, 1], whole, cascade: whole });
  assert.equal([saving.byTimes, saving.byMacs, saving.measured], [0, 0, 0]);
  await failsWith(
    () => measureCosts(net, { batch: [8, 0] }),
    "ArgumentError",
    "measureCosts: batch must be a whole number of at least 1; got 0.",
  );
  await failsWith(
    () => measureCosts(net, { precision: "f8" as never }),
    "ArgumentError",
    "measureCosts: precision must be f32 or f16; got f8.",
  );
  // The network is as it was.
  using classifier = await deploy(net, { thresholds: [2] }, { batch: 4 });
  const { exits } = await classifier.classify(new Float32Array(64 * 5));
  assert.equal([...exits], [2, 2, 2, 2, 2]);
  net.dispose();
});

test("heads that look at earlier exits are measured too, and run as a whole network", async () => {
  const images = { input: [8, 8, 1] as const, classes: 4, exits: ["stage1", "stage2"] };
  const net = buildNetwork(
    {
      backbone: "resnet",
      options: { depth: 8, widths: [4, 8, 8] },
      ...images,
      head: "gap-linear",
      wraps: ["cascaded", "ensembled"],
    },
    { seed: 3 },
  );
  const { alone, passing } = (await measureCosts(net, { batch: 4, rounds: 1 })).times[0]!;
  assert.ok([...alone, ...passing.flat()].every((ms) => ms > 0));
  const pixels = Float32Array.from({ length: 64 * 6 }, (_, i) => Math.sin(i));
  using whole = await deploy(net, { thresholds: [Number.POSITIVE_INFINITY] }, { batch: 4 });
  const options = { batch: 4, orWhole: true, route: ["closed", "closed"] } as const;
  using allowed = await deploy(net, { thresholds: [0.1] }, options);
  assert.equal((await allowed.classify(pixels)).classes, (await whole.classify(pixels)).classes);
  assert.ok((await allowed.classify(pixels)).exits.every((exit) => exit === 2));
  net.dispose();
});
