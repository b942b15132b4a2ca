// Mutates valid files of every format and reads them: nothing but the library's own errors with the file's name may
// come out, nothing may hang, end the process, or take memory that the file does not account for. Usage: node --import
// tsx test/torture/fuzz.ts [--inputs N] [--seed S] [--only "part of a reader's name"]

import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { SortieError } from "../../base/index.ts";
import { createRandom, encodePolicy, fit, learnThenTest } from "../../calibration/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { readConfig } from "../cli/read-config.ts";
import { mutated } from "./mutations.ts";
import { onDisk, type Target, targets } from "./targets.ts";

/** Milliseconds that one file may take, on a machine that has other things to do. */
const PATIENCE = 5_000;
/** Memory beyond that at the start, in bytes. */
const MEMORY = 2 ** 30;

/** What became of the files of one reader. */
export interface Verdict {
  read: number;
  refused: number;
}

/** What was found. */
export interface FuzzReport {
  readonly inputs: number;
  readonly readers: ReadonlyMap<string, Verdict>;
  /** What must not be, each with the number that makes the file again. */
  readonly faults: readonly string[];
}

/** Where to begin, how far to go, and whom to tell. */
export interface FuzzOptions {
  readonly inputs: number;
  readonly seed: number;
  /** The first input; every one is made from the seed and its number alone. */
  readonly first?: number;
  readonly only?: string;
  readonly onInput?: (input: number) => void;
}

/** All readers with valid files. */
function makeTargets(): readonly Target[] {
  const data = randomTable(600, 3, 4, { seed: 1 });
  const scaling = fit(data, { method: "temperature" });
  const results = [learnThenTest(data, { alpha: 0.3, delta: 0.2 }), learnThenTest(data, { alpha: 0.001, delta: 0.01 })];
  const policies = results.flatMap((result) => [encodePolicy({ result }), encodePolicy({ result, scaling })]);
  const { config } = readConfig("train", []);
  return targets({
    policies,
    settings: [JSON.stringify(config), '{"seed": 3, "data": {"name": "glyphs", "train": 100}}'],
  });
}

/** Reads `inputs` mutated files. */
export async function fuzz({ inputs, seed, first = 0, only = "", onInput }: FuzzOptions): Promise<FuzzReport> {
  const chosen = makeTargets().filter(({ name }) => name.includes(only));
  const folder = mkdtempSync(join(tmpdir(), "sortie-fuzz-"));
  const readers = new Map(chosen.map(({ name }): [string, Verdict] => [name, { read: 0, refused: 0 }]));
  const faults: string[] = [];
  const memory = process.memoryUsage().rss;
  try {
    for (let input = first; input < inputs; input++) {
      onInput?.(input);
      const target = chosen[input % chosen.length]!;
      const fault = await oneInput(target, readers.get(target.name)!, folder, createRandom(seed * 1_000_003 + input));
      if (fault !== undefined) faults.push(`input ${input} (${target.name}): ${fault}`);
      const grown = process.memoryUsage().rss - memory;
      if (input % 100 === 0 && grown > MEMORY) {
        faults.push(`input ${input} (${target.name}): ${grown} bytes of memory more than at the start`);
        break;
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  return { inputs: inputs - first, readers, faults };
}

async function oneInput(target: Target, verdict: Verdict, folder: string, random: ReturnType<typeof createRandom>) {
  const seedFile = target.seeds[random.below(target.seeds.length)]!;
  const changed = mutated(seedFile, random);
  const bytes = Uint8Array.from((await target.finish?.(changed)) ?? changed);
  const path = join(folder, target.file);
  onDisk(path, bytes);
  const begun = performance.now();
  let fault: string | undefined;
  try {
    await target.read(bytes, path);
    verdict.read += 1;
  } catch (error) {
    verdict.refused += 1;
    fault = faultOf(error, path);
  }
  const time = performance.now() - begun;
  return fault ?? (time > PATIENCE ? `${Math.round(time)} ms` : undefined);
}

/** What is wrong with an error, if anything. */
function faultOf(error: unknown, path: string): string | undefined {
  if (!(error instanceof Error)) return `no error, but ${String(error)}`;
  const isOwn = error instanceof SortieError || error.constructor === Error;
  const where = (error.stack ?? "").split("\n").find((line) => /^\s+at .*\.ts/.test(line) && !/torture/.test(line));
  if (!isOwn) return `${error.name}: ${error.message.slice(0, 200)} ${where?.trim()}`;
  if (!error.message.includes(path)) return `no file is named: ${error.message.slice(0, 300)} ${where?.trim()}`;
  if (error.message.length > 2000)
    return `a message of ${error.message.length} characters: ${error.message.slice(0, 100)}`;
  return undefined;
}

/** Runs `fuzz` in a process of its own, and sees to it that it moves. */
async function watched(args: readonly string[]): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), [...args, "--inner"], { execArgv: process.execArgv });
  let last = -1;
  let isStuck = false;
  const timer = setTimeout(() => {
    isStuck = true;
    child.kill("SIGKILL");
  }, 60_000);
  child.on("message", (input) => {
    last = input as number;
    timer.refresh();
  });
  const code = await new Promise<number | NodeJS.Signals>((resolve) =>
    child.on("close", (exit, signal) => resolve(exit ?? signal!)),
  );
  clearTimeout(timer);
  if (isStuck) console.error(`stuck at input ${last}, or at one of the 20 after it`);
  else if (code !== 0) console.error(`ended with ${code} after input ${last}`);
  return code === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      inputs: { type: "string", default: "100000" },
      seed: { type: "string", default: "1" },
      first: { type: "string", default: "0" },
      only: { type: "string", default: "" },
      inner: { type: "boolean", default: false },
    },
  });
  if (!values.inner) process.exit(await watched(process.argv.slice(2)));
  const { inputs, readers, faults } = await fuzz({
    inputs: Number(values.inputs),
    seed: Number(values.seed),
    first: Number(values.first),
    only: values.only,
    onInput: (input) => void (input % 20 === 0 && process.send?.(input)),
  });
  for (const [name, { read, refused }] of readers) console.log(`${name.padEnd(28)} ${refused} refused, ${read} read`);
  for (const fault of faults.slice(0, 50)) console.log(`FAULT ${fault}`);
  console.log(`${inputs} files, ${faults.length} faults`);
  process.disconnect?.();
  process.exitCode = faults.length > 0 ? 1 : 0;
}
