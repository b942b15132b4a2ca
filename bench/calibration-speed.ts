// How long calibration takes on one core (processor time, so that a busy machine does not matter), and in how much
// memory: all metrics and a Learn-then-Test calibration, on a small and on a large table. The large one (2.4 GB of
// float32 logits) is read through a reader, a chunk at a time. All answers are compared with slow ones
// (calibration-check.ts). `npx tsx bench/calibration-speed.ts [--large]`

import {
  type Calibration,
  createTable,
  type Evaluation,
  evaluate,
  learnThenTest,
  outcomes,
  type Table,
} from "../calibration/index.ts";
import { checkCalibration, type Rows } from "./calibration-check.ts";

/** Normal-looking logits whose right class stands out more at deeper exits; one block, repeated by the reader. */
function block(samples: number, exits: number, classes: number): Pick<Rows, "logits" | "labels"> {
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

/** A table of these rows, over and over. */
function repeated({ samples, exits, classes, logits, labels }: Rows): Table {
  const width = exits * classes;
  return createTable({
    shape: [samples, exits, classes],
    labels: Int32Array.from({ length: samples }, (_, i) => labels[i % labels.length]!),
    logits: (first, count) => {
      const out = new Float32Array(count * width);
      for (let i = 0; i < count; i++) {
        const row = (first + i) % labels.length;
        out.set(logits.subarray(row * width, (row + 1) * width), i * width);
      }
      return out;
    },
  });
}

function measure(name: string, rows: Rows, table: Table, limit: number): void {
  const lap = (work: () => void) => {
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1e6;
  };
  let all = outcomes(table.samples > 20000 ? repeated({ ...rows, samples: 200 }) : table); // warm the compiler
  const answers: { metrics?: Evaluation; policy?: Calibration } = {};
  const reading = lap(() => {
    all = outcomes(table);
  });
  const metrics = lap(() => {
    answers.metrics = evaluate(table);
  });
  const calibrating = lap(() => {
    answers.policy = learnThenTest(all, { alpha: 0.05, delta: 0.1, sameSamples: true });
  });
  checkCalibration(rows, answers.metrics!, answers.policy!);
  const total = metrics + reading + calibrating;
  const memory = process.resourceUsage().maxRSS / 1024;
  console.log(
    `${name}: all metrics ${metrics.toFixed(2)} s, outcomes ${reading.toFixed(2)} s, LTT ${calibrating.toFixed(3)} s; ` +
      `together ${total.toFixed(2)} s (limit ${limit} s), peak memory ${memory.toFixed(0)} MiB`,
  );
  if (total > limit) process.exitCode = 1;
}

if (process.argv.includes("--large")) {
  const [samples, exits, classes] = [50_000, 12, 1000];
  const rows = { samples, exits, classes, ...block(100, exits, classes) };
  measure("50,000 x 12 x 1,000", rows, repeated(rows), 60);
} else {
  const [samples, exits, classes] = [10_000, 4, 100];
  const rows = { samples, exits, classes, ...block(samples, exits, classes) };
  measure(
    "10,000 x 4 x 100",
    rows,
    createTable({ logits: rows.logits, labels: rows.labels, shape: [samples, exits, classes] }),
    1,
  );
}
