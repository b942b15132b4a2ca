// Compiles pipelines ahead of their first use, for captures.

import type { Device } from "./device.ts";
import { DeviceError } from "./errors.ts";
import type { Program } from "./pipelines.ts";

/** Compiles all that are not compiled yet, in parallel where the driver can. @throws DeviceError of the driver */
export async function compileAll({ gpu, wait }: Device, programs: Iterable<Program>): Promise<void> {
  const missing = [...new Set(programs)].filter((program) => !program.pipeline);
  const compile = async (program: Program): Promise<void> => {
    try {
      program.pipeline = await gpu.createComputePipelineAsync(program.descriptor);
    } catch (cause) {
      throw new DeviceError(`${program.key}: the kernel must compile; the driver says: ${String(cause)}`, { cause });
    }
  };
  await wait(() => Promise.all(missing.map(compile)));
}
