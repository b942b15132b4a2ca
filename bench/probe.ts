// Measures one engine's first ResNet-20 training step in this process, which must be a fresh one:
//   tsx bench/probe.ts ENGINE cold       time, pipelines and peak buffer bytes of the first step
//   tsx bench/probe.ts ENGINE overhead   median of a warm step on Dawn's null backend
// Prints one line of JSON.

import { median } from "../base/index.ts";
import { installCounters, memory, since, snapshot } from "./counters.ts";
import { loadEngine } from "./engines.ts";
import { installWebGPU } from "./gpu.ts";
import type { Probe } from "./report.ts";
import { workloads } from "./workloads/index.ts";

const WARM_UP = 5;
const STEPS = 31;

async function probe(name: string, mode: string): Promise<Probe> {
  installWebGPU(mode === "overhead" ? ["backend=null"] : []);
  installCounters();
  const engine = await loadEngine(name);
  const workload = workloads.find((row) => row.name === "train.resnet20");
  if (!workload) throw new Error("bench: no row train.resnet20");
  const inputs = workload.inputs();
  const before = snapshot();
  const prepared = await engine.prepare(workload, inputs);
  if (!prepared) return { engine: name, error: "cannot express the workload" };
  const times: number[] = [];
  let counts = before;
  for (let step = 0; step < (mode === "cold" ? 1 : WARM_UP + STEPS); step++) {
    counts = snapshot();
    const start = performance.now();
    await prepared.run();
    times.push(performance.now() - start);
  }
  if (mode === "cold") {
    const error = workload.check(await prepared.output(), inputs, 1);
    if (error !== undefined) return { engine: name, error };
    return {
      engine: name,
      coldMs: times[0] ?? Number.NaN,
      peakBytes: memory().peak,
      pipelines: since(before).pipelines,
    };
  }
  const { dispatches, submits } = since(counts);
  return { engine: name, overheadMs: median(times.slice(WARM_UP)), dispatches, submits };
}

const [name = "", mode = "cold"] = process.argv.slice(2);
console.log(JSON.stringify(await probe(name, mode)));
process.exit(0);
