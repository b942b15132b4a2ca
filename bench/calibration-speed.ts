// How long calibration takes on one core (processor time, so that a busy machine does not matter), and in how much
// memory: all metrics and a Learn-then-Test calibration, on a small and on a large table. The large one (2.4 GB of
// float32 logits) is read through a reader, a chunk at a time.
// `npx tsx bench/calibration-speed.ts [--large]`

import { createTable, evaluate, learnThenTest, outcomes, type Table } from "../calibration/index.ts";

/** Normal-looking logits whose right class stands out more at deeper exits; one block, repeated by the reader. */
function block(samples: number, exits: number, classes: number): { logits: Float32Array; labels: Int32Array } {
  const logits = new Float32Array(samples * exits * classes);
  const labels = Int32Array.from({ length: samples }, (_, i) => (i * 7919) % classes);
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4294967296;
  };
  for (let k = 0; k < logits.length; k++) logits[k] = 2 * (uniform() + uniform() + uniform()) - 3;
  for (let i = 0; i < samples; i++) {
    const ease = 10 * uniform();
    for (let j = 0; j < exits; j++) {
      const at = (i * exits + j) * classes + labels[i]!;
      logits[at] = logits[at]! + ease + j;
    }
  }
  return { logits, labels };
}

function repeated(samples: number, exits: number, classes: number): Table {
  const rows = 100;
  const width = exits * classes;
  const { logits, labels } = block(rows, exits, classes);
  return createTable({
    shape: [samples, exits, classes],
    labels: Int32Array.from({ length: samples }, (_, i) => labels[i % rows]!),
    logits: (first, count) => {
      const out = new Float32Array(count * width);
      for (let i = 0; i < count; i++) {
        const row = (first + i) % rows;
        out.set(logits.subarray(row * width, (row + 1) * width), i * width);
      }
      return out;
    },
  });
}

function measure(name: string, table: Table, limit: number): void {
  const lap = (work: () => void) => {
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1e6;
  };
  let all = outcomes(table.samples > 20000 ? repeated(200, table.exits, table.classes) : table); // warm the compiler
  const reading = lap(() => {
    all = outcomes(table);
  });
  const metrics = lap(() => evaluate(table));
  const calibrating = lap(() => learnThenTest(all, { alpha: 0.05, delta: 0.1 }));
  const total = metrics + reading + calibrating;
  const memory = process.resourceUsage().maxRSS / 1024;
  console.log(
    `${name}: all metrics ${metrics.toFixed(2)} s, outcomes ${reading.toFixed(2)} s, LTT ${calibrating.toFixed(3)} s; ` +
      `together ${total.toFixed(2)} s (limit ${limit} s), peak memory ${memory.toFixed(0)} MiB`,
  );
  if (total > limit) process.exitCode = 1;
}

if (process.argv.includes("--large")) {
  measure("50,000 x 12 x 1,000", repeated(50_000, 12, 1000), 60);
} else {
  const [samples, exits, classes] = [10_000, 4, 100];
  const { logits, labels } = block(samples, exits, classes);
  measure("10,000 x 4 x 100", createTable({ logits, labels, shape: [samples, exits, classes] }), 1);
}
