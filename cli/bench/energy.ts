// Joules, where the system has a counter that adds them up: hwmon of a GPU's driver, or RAPL where the processor is the
// adapter.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { codeOf } from "../../base/index.ts";
import type { DeviceInfo } from "../../engine/index.ts";

/** A counter of joules, or why there is none. */
export type Meter = (() => number) | string;

const GPU_DRIVERS = ["i915", "xe", "amdgpu"];

/** The counter that counts what this adapter spends. `root`: where the system shows its files. */
export function energyMeter({ isSoftware }: Pick<DeviceInfo, "isSoftware">, root = "/sys/class"): Meter {
  const [paths, what] = isSoftware
    ? [packages(root), "the processor (RAPL)"]
    : [gpus(root), "the GPU's driver (hwmon)"];
  if (paths.length === 0) return `energy: ${what} shows no total counter here.`;
  try {
    const read = () => paths.reduce((sum, path) => sum + Number(readFileSync(path, "utf8")) / 1e6, 0);
    if (Number.isFinite(read())) return read;
    return `energy: ${what} shows a counter that is no number.`;
  } catch (error) {
    return `energy: the counter of ${what} cannot be read (${codeOf(error)}).`;
  }
}

const entries = (folder: string): readonly string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

/** Whole packages alone: what they hold is counted in them. */
const packages = (root: string): readonly string[] =>
  entries(join(root, "powercap"))
    .filter((name) => /^intel-rapl:\d+$/.test(name))
    .map((name) => join(root, "powercap", name, "energy_uj"));

function gpus(root: string): readonly string[] {
  return entries(join(root, "hwmon")).flatMap((name) => {
    const folder = join(root, "hwmon", name);
    try {
      const isGpu = GPU_DRIVERS.includes(readFileSync(join(folder, "name"), "utf8").trim());
      return isGpu && entries(folder).includes("energy1_input") ? [join(folder, "energy1_input")] : [];
    } catch {
      return [];
    }
  });
}
