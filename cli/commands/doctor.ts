// `sortie doctor`: whether this machine can run it, and how fast: versions, adapter, features, limits, self-check,
// speed.

import { option } from "../../base/index.ts";
import { createDevice, type Device, type DeviceInfo } from "../../engine/index.ts";
import { adapterName } from "../../exits/index.ts";
import { versions } from "../files/versions.ts";
import { measureSpeed, selfCheck } from "../self-check.ts";
import { type CommandSpec, NO_PATH, readCommand } from "../settings/command.ts";
import type { Print } from "../settings/flags.ts";

export const doctorSpec = {
  name: "doctor",
  usage: "[flags]",
  paths: NO_PATH,
  about: `Says what this machine has: versions, the WebGPU adapter with its features and limits; then checks the kernels that
training lives on against the CPU, and a deployed network against the same network run whole, and measures their speed.
About five seconds.`,
  flags: { json: option.toggle(false, "print it as one JSON object") },
  more: `Exit code 0: fit. 1: no adapter, or a check failed.

  sortie doctor
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError where there is no adapter, with what to install. */
export async function runDoctor(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(doctorSpec, args, print);
  if (!asked) return 0;
  const { values } = asked;
  const machine = versions();
  if (!values.json) for (const line of rows(machine)) print(line);
  const device = await createDevice();
  try {
    return await examine(device, machine, values.json, print);
  } finally {
    device.dispose();
  }
}

async function examine(device: Device, machine: ReturnType<typeof versions>, isJson: boolean, print: Print) {
  const { info } = device;
  const features = { f16: info.hasF16, subgroups: info.hasSubgroups, timestamps: info.hasTimestamps };
  const limits = shownLimits(info);
  if (!isJson) {
    print("");
    const has = Object.entries(features).map(([name, there]) => (there ? name : `no ${name}`));
    for (const line of rows({ adapter: adapterName(info), features: has.join(", "), ...limits })) print(line);
    print("");
  }
  const checks = await selfCheck(device);
  const isFit = checks.every(({ isOk }) => isOk);
  if (!isJson) {
    for (const { name, error, isOk } of checks)
      print(`${isOk ? "ok    " : "WRONG "} ${name.padEnd(32)} largest error ${error.toExponential(1)}`);
  }
  const speed = await measureSpeed(device);
  if (isJson) {
    print(JSON.stringify({ ...machine, adapter: adapterName(info), features, limits, checks, speed, isFit }));
    return isFit ? 0 : 1;
  }
  print("");
  for (const line of rows({
    "matrix product": `${speed.gigaflops.toFixed(1)} GFLOP/s`,
    memory: `${speed.gigabytes.toFixed(1)} GB/s`,
    "small op": `${speed.dispatch.toFixed(1)} us`,
  }))
    print(line);
  if (info.isSoftware)
    print("This adapter is the CPU: it does everything, slowly. A GPU with a Vulkan driver is found by itself.");
  if (!isFit)
    print("Some results are wrong: the driver is at fault, or sortie. Please report this page; update the driver.");
  return isFit ? 0 : 1;
}

function shownLimits({ limits, subgroupSize }: DeviceInfo): Readonly<Record<string, string>> {
  const megabytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  return {
    "largest buffer": megabytes(limits.maxBufferSize),
    "largest binding": megabytes(limits.maxStorageBufferBindingSize),
    bindings: String(limits.maxStorageBuffersPerShaderStage),
    workgroup: `${limits.maxComputeInvocationsPerWorkgroup} threads, ${limits.maxComputeWorkgroupStorageSize / 1024} KiB`,
    subgroup: subgroupSize === 0 ? "of varying size" : `${subgroupSize} threads`,
  };
}

const rows = (facts: Readonly<Record<string, string>>): readonly string[] =>
  Object.entries(facts).map(([name, value]) => `${name.padEnd(16)} ${value}`);
