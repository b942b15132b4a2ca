// Joules, where the system has a counter that adds them up: NVML or hwmon of a GPU's driver, or RAPL where the
// processor is the adapter. Power that is sampled and added up would be an estimate.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "../../base/index.ts";
import type { DeviceInfo } from "../../engine/index.ts";
import { nvmlCounters } from "./nvml.ts";

/** A counter of joules, or why there is none. */
export type Meter = (() => number) | string;

/** Drivers that count, by the vendor of their GPUs. */
const GPU_DRIVERS: Readonly<Record<string, readonly string[]>> = { intel: ["i915", "xe"], amd: ["amdgpu"] };

/**
 * The counter that counts what this adapter spends: of all GPUs of its vendor, whose idle power is subtracted with its
 * own. `root`: where the system shows its files; `nvml`: NVIDIA's library, if not the driver's.
 */
export async function energyMeter(
  { isSoftware, vendor }: Pick<DeviceInfo, "isSoftware" | "vendor">,
  { root = "/sys/class", nvml }: { readonly root?: string; readonly nvml?: string } = {},
): Promise<Meter> {
  if (!isSoftware && vendor === "nvidia") {
    const counters = await nvmlCounters(nvml);
    if (typeof counters === "string") return `energy: ${counters}`;
    return () => counters.reduce((sum, millijoules) => sum + millijoules(), 0) / 1e3;
  }
  const [counters, what] = isSoftware
    ? [packages(root), "the processor (RAPL)"]
    : [gpus(root, GPU_DRIVERS[vendor] ?? []), "the GPU's driver (hwmon)"];
  if (counters.length === 0) return `energy: ${what} shows no total counter here.`;
  try {
    const totals = counters.map(totalOf);
    const read = () => totals.reduce((sum, total) => sum + total(), 0) / 1e6;
    if (Number.isFinite(read())) return read;
    return `energy: ${what} shows a counter that is no number.`;
  } catch (error) {
    return `energy: the counter of ${what} cannot be read (${codeOf(error)}).`;
  }
}

/** A file that counts microjoules, and the one that says at which it begins again from 0, if it ever does. */
interface Counter {
  readonly path: string;
  readonly range?: string;
}

/** Microjoules, carried on where the counter has begun again; once, since whoever reads comes more often than that. */
function totalOf({ path, range }: Counter): () => number {
  const read = (file: string) => Number(readFileSync(file, "utf8"));
  const most = range === undefined ? 0 : read(range);
  let [before, carried] = [read(path), 0];
  return () => {
    const now = read(path);
    if (now < before) carried += most;
    before = now;
    return carried + now;
  };
}

const entries = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** Whole packages alone: what they hold is counted in them. */
const packages = (root: string): readonly Counter[] =>
  entries(join(root, "powercap"))
    .filter((name) => /^intel-rapl:\d+$/.test(name))
    .map((name) => join(root, "powercap", name))
    .map((folder) => ({ path: join(folder, "energy_uj"), range: join(folder, "max_energy_range_uj") }));

function gpus(root: string, drivers: readonly string[]): readonly Counter[] {
  return entries(join(root, "hwmon")).flatMap((name) => {
    const folder = join(root, "hwmon", name);
    try {
      const isGpu = drivers.includes(readFileSync(join(folder, "name"), "utf8").trim());
      return isGpu && entries(folder).includes("energy1_input") ? [{ path: join(folder, "energy1_input") }] : [];
    } catch {
      return [];
    }
  });
}
