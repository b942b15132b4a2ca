// Finds the engines under test: the project's own, and the peers installed on demand beside their adapters.

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BenchEngine, EngineModule } from "./engine.ts";
import { SELF } from "./report.ts";

/** Adapter modules by engine name. Those below `peers/` need that folder's own packages. */
const modules: Readonly<Record<string, string>> = {
  [SELF]: "./sortie.ts",
  "jax-js": "./peers/jax.ts",
  tfjs: "./peers/tfjs.ts",
  onnxruntime: "./peers/ort.ts",
};

/** Names of all engines, the project's own first. */
export const engineNames: readonly string[] = Object.keys(modules);

/** Installs the peers' packages unless they are there. */
export function installPeers(): void {
  const folder = fileURLToPath(new URL("./peers/", import.meta.url));
  if (existsSync(`${folder}node_modules`)) return;
  console.log("bench: installing the peers (once)");
  execFileSync("npm", ["ci"], { cwd: folder, stdio: "inherit" });
}

/** Loads an engine. WebGPU and the counters must be installed already. */
export async function loadEngine(name: string): Promise<BenchEngine> {
  const path = modules[name];
  if (!path) throw new Error(`bench: no engine "${name}"; there are ${engineNames.join(", ")}`);
  const module = (await import(new URL(path, import.meta.url).href)) as EngineModule;
  return module.createEngine();
}
