// `npm run bench`: times the engine's kernels and training steps, alone or against its peers.
//   --peers          also jax-js, tfjs and onnxruntime, installed on demand, on the same adapter in the same process
//   --only REGEX     rows whose name matches; `probe` names the measurements that need fresh processes
//   --engines A,B    these engines
//   --repeat N       timed rounds (7), three times as many for short rows
//   --quick          three rounds, and no rows of whole nets or fresh processes
//   --empty-cache    with `probe`: also the first step with the driver's shader cache empty (Mesa; takes minutes)
//   --json FILE      where to write, a markdown page beside it (with peers: bench/results/<adapter>.json; else nowhere)

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installCounters } from "./counters.ts";
import type { BenchEngine } from "./engine.ts";
import { engineNames, installPeers, loadEngine } from "./engines.ts";
import { readFlags } from "./flags.ts";
import { type AdapterDescription, describeAdapter, installWebGPU } from "./gpu.ts";
import { measure } from "./measure.ts";
import { consoleLine, type Probe, type Report, type Row, SELF, save } from "./report.ts";
import { workloads } from "./workloads/index.ts";

const { values: options } = readFlags(import.meta.url, {
  options: {
    peers: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    engines: { type: "string" },
    repeat: { type: "string" },
    quick: { type: "boolean", default: false },
    "empty-cache": { type: "boolean", default: false },
    json: { type: "string" },
  },
});

/** Where an adapter's results go: its name, without what stands in brackets or after them. */
function resultsFile({ description, device }: AdapterDescription): string {
  const name = (description || device || "adapter")
    .replace(/\s*\(.*$/, "")
    .toLowerCase()
    .replaceAll(/[^a-z0-9.]+/g, "-")
    .replaceAll(/^-|-$/g, "");
  return fileURLToPath(new URL(`./results/${name}.json`, import.meta.url));
}

function describeMachine(): Report["machine"] {
  const file = fileURLToPath(import.meta.resolve("webgpu")).replace(/index\.js$/, "package.json");
  const { version } = JSON.parse(readFileSync(file, "utf8")) as { readonly version: string };
  return { cpu: cpus()[0]?.model.trim() ?? "", cores: cpus().length, node: process.versions.node, webgpu: version };
}

/** Runs `probe.ts` in a fresh process. */
function runProbe(
  engine: string,
  mode: "cold" | "overhead",
  environment: Readonly<Record<string, string>> = {},
): Probe {
  const script = fileURLToPath(new URL("./probe.ts", import.meta.url));
  const args = ["--import", import.meta.resolve("tsx"), script, engine, mode];
  const env = { ...process.env, ...environment };
  try {
    const text = execFileSync(process.execPath, args, { env, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return JSON.parse(text.trim().split("\n").at(-1) ?? "") as Probe;
  } catch (error) {
    return { engine, error: String(error).split("\n")[0] ?? "failed" };
  }
}

/** The measurements of one engine that need fresh processes. */
function probe(engine: string): Probe {
  const overhead = runProbe(engine, "overhead");
  runProbe(engine, "cold"); // so that the driver's cache on disk knows every engine's shaders
  const cold = runProbe(engine, "cold");
  if (!options["empty-cache"]) return { ...overhead, ...cold };
  const folder = mkdtempSync(join(tmpdir(), "bench-driver-cache-"));
  const empty = runProbe(engine, "cold", { MESA_SHADER_CACHE_DIR: folder });
  rmSync(folder, { recursive: true });
  return { ...overhead, ...cold, ...(empty.coldMs === undefined ? {} : { emptyCacheMs: empty.coldMs }) };
}

/** The engines to measure: those asked for, else the project's own, and with `--peers` all. */
function chosenEngines(): readonly string[] {
  if (options.engines !== undefined) return options.engines.split(",");
  return options.peers ? engineNames : [SELF];
}

/** Returns whether the project's own engine computed every row right. */
async function main(): Promise<boolean> {
  const adapter = await describeAdapter(installWebGPU());
  installCounters();
  const names = chosenEngines();
  if (names.some((name) => name !== SELF)) installPeers();
  const engines: BenchEngine[] = [];
  for (const name of names) engines.push(await loadEngine(name));

  const pattern = new RegExp(options.only);
  const repeat = Number(options.repeat ?? (options.quick ? 3 : 7));
  const isNet = (name: string) => /^(train|infer)/.test(name);
  const rows: Row[] = [];
  for (const workload of workloads) {
    if (!pattern.test(workload.name) || (options.quick && isNet(workload.name))) continue;
    const results = await measure(workload, engines, repeat);
    const { name, flops } = workload;
    const row = { name, flops, date: new Date().toISOString(), results: Object.fromEntries(results) };
    rows.push(row);
    console.log(consoleLine(row));
  }
  const probes: Probe[] = [];
  if (pattern.test("probe") && !options.quick) {
    for (const engine of names) {
      if (engine === "onnxruntime") continue;
      const found = probe(engine);
      probes.push(found);
      console.log(JSON.stringify(found));
    }
  }
  const isRight = rows.every(({ results }) => results[SELF]?.error === undefined);
  // Figures of one engine alone would replace rows in which all took turns.
  const isAlone = names.every((name) => name === SELF);
  const file = options.json ?? (isAlone ? undefined : resultsFile(adapter));
  if (file === undefined) return isRight;
  const versions = Object.fromEntries(engines.map(({ name, version }) => [name, version]));
  const order = workloads.map(({ name }) => name);
  save(file, { adapter, machine: describeMachine(), versions, rows, probes }, order);
  console.log(`written: ${file} and the page beside it`);
  return isRight;
}

process.exit((await main()) ? 0 : 1);
