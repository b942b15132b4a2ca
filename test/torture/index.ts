// `npm run torture`: what takes too long for `npm test`. Kills training processes, mutates files, runs random programs
// of captures, classifies batch after batch, and ends with one line each.
// Usage: npm run torture -- [--kills N] [--inputs N] [--steps N] [--batches N] [--seed S]

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "100" },
    inputs: { type: "string", default: "100000" },
    steps: { type: "string", default: "10000" },
    batches: { type: "string", default: "10000" },
    seed: { type: "string", default: "1" },
  },
});

/** Each in a process of its own: one that dies takes no other with it. */
const TORTURES = [
  ["kills.ts", "--kills", values.kills],
  ["fuzz.ts", "--inputs", values.inputs],
  ["captures.ts", "--steps", values.steps],
  ["batches.ts", "--batches", values.batches],
] as const;

const verdicts = TORTURES.map(([file, flag, count]) => {
  console.log(`\n== ${file} ${flag} ${count} --seed ${values.seed}`);
  const path = fileURLToPath(new URL(file, import.meta.url));
  const args = ["--expose-gc", "--import", "tsx", path, flag, count, "--seed", values.seed];
  const began = performance.now();
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  return { file, isPassed: status === 0, seconds: Math.round((performance.now() - began) / 1000) };
});

console.log("");
for (const { file, isPassed, seconds } of verdicts)
  console.log(`${isPassed ? "ok  " : "FAIL"}  ${file} (${seconds} s)`);
const failed = verdicts.filter(({ isPassed }) => !isPassed).length;
console.log(`\n${verdicts.length - failed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
