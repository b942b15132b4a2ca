// Kills training processes without warning at random moments, starts them again, and compares what is there at the end,
// byte by byte, with an undisturbed run: weights, logits, metrics. Usage: node --import tsx test/torture/kills.ts
// [--kills N] [--seed S]

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createRandom } from "../../calibration/index.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const SAMPLES = ["--data.train", "256", "--data.validation", "80", "--data.calibration", "80", "--data.test", "80"];
const RECIPE = ["--epochs", "4", "--batch", "32", "--train.checkpointEvery", "3", "--train.logEvery", "2"];

/** What became of a number of kills. */
export interface KillCount {
  readonly kills: number;
  /** Runs that came to their end in spite of them, each equal to the undisturbed one. */
  readonly runs: number;
}

/** Trains into a folder until the end, or for so many milliseconds; whether it came to its end. */
function trainFor(out: string, name: string, milliseconds: number): Promise<boolean> {
  const args = ["--import", "tsx", "cli/bin.ts", "train", ...SAMPLES, ...RECIPE, "--out", out, "--name", name];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const timer = Number.isFinite(milliseconds) ? setTimeout(() => child.kill("SIGKILL"), milliseconds) : undefined;
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(true);
      else if (signal === "SIGKILL") resolve(false);
      else reject(new Error(`${name} ended with ${code ?? signal}: ${stderr}`));
    });
  });
}

/** The files of a run that must be the same whenever it is made; of the metrics all but how fast it went. */
function madeBy(dir: string): Map<string, string> {
  const names = readdirSync(dir).filter((name) => /\.(safetensors|jsonl)$/.test(name));
  const content = (name: string) =>
    name.endsWith(".jsonl")
      ? readFileSync(join(dir, name), "utf8").replace(/"imagesPerSecond":[\d.e+-]+/g, "")
      : readFileSync(join(dir, name)).toString("base64");
  return new Map(names.sort().map((name) => [name, content(name)]));
}

/** What is wrong with a run that was killed and resumed, if anything. */
function faultOf(dir: string, want: ReadonlyMap<string, string>): string | undefined {
  const got = madeBy(dir);
  const odd = [...want].find(([file, content]) => got.get(file) !== content)?.[0];
  if (odd !== undefined) return `${odd} differs from that of the undisturbed run`;
  const left = readdirSync(dir).filter((file) => /part|tmp|lock/.test(file));
  return left.length > 0 ? `${left.join(", ")} was left` : undefined;
}

/**
 * Kills processes `kills` times. @throws Error for a run that ends in another way than the undisturbed one; its folder
 * stays.
 */
export async function killAndResume(options: { readonly kills: number; readonly seed: number }): Promise<KillCount> {
  const out = mkdtempSync(join(tmpdir(), "sortie-kills-"));
  const random = createRandom(options.seed);
  const began = performance.now();
  await trainFor(out, "whole", Number.POSITIVE_INFINITY);
  const whole = performance.now() - began;
  const want = madeBy(join(out, "whole"));
  let [kills, runs] = [0, 0];
  // Some are killed while they start, some in the middle of it all; few come to the end by themselves.
  const moment = () => (kills < options.kills ? random.uniform() * whole : Number.POSITIVE_INFINITY);
  while (kills < options.kills) {
    const name = `run-${runs}`;
    while (!(await trainFor(out, name, moment()))) kills += 1;
    const fault = faultOf(join(out, name), want);
    if (fault !== undefined)
      throw new Error(`kills, seed ${options.seed}: after ${kills} of them, ${join(out, name)}: ${fault}.`);
    rmSync(join(out, name), { recursive: true });
    runs += 1;
  }
  rmSync(out, { recursive: true });
  return { kills, runs };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { kills: { type: "string", default: "100" }, seed: { type: "string", default: "1" } },
  });
  const { kills, runs } = await killAndResume({ kills: Number(values.kills), seed: Number(values.seed) });
  console.log(`${kills} kills, ${runs} runs resumed to the same bytes`);
}
