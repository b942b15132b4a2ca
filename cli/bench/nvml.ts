// The total counters of NVIDIA's GPUs, which only the driver's library NVML tells; it is called by `koffi`, an optional
// peer.

import { messageOf, SortieError } from "../../base/index.ts";

/** As the driver installs it. */
const LIBRARY = process.platform === "win32" ? "nvml.dll" : "libnvidia-ml.so.1";

/**
 * The counters of this machine's NVIDIA GPUs, in millijoules since their driver was loaded; or why there are none.
 * `library`: NVML's file. Source: nvmlDeviceGetTotalEnergyConsumption, Volta and newer.
 */
export async function nvmlCounters(library: string = LIBRARY): Promise<readonly (() => number)[] | string> {
  const koffi = await import("koffi").then(
    (found) => found.default,
    () => undefined,
  );
  if (!koffi)
    return "NVIDIA's total counter is in the library NVML, read by koffi, which is not installed. Run npm install koffi.";
  try {
    const nvml = koffi.load(library);
    const textOf = nvml.func("const char *nvmlErrorString(int code)");
    const call = (declaration: string) => {
      const f = nvml.func(`int ${declaration}`);
      return (...args: readonly unknown[]) => {
        const code = f(...args);
        if (code !== 0) throw new SortieError(textOf(code));
      };
    };
    const [count, handle, energy] = [
      call("nvmlDeviceGetCount_v2(_Out_ unsigned int *count)"),
      call("nvmlDeviceGetHandleByIndex_v2(unsigned int index, _Out_ void **device)"),
      call("nvmlDeviceGetTotalEnergyConsumption(void *device, _Out_ uint64_t *energy)"),
    ];
    call("nvmlInit_v2()")();
    const found: [number] = [0];
    count(found);
    if (found[0] === 0) return "NVML finds no GPU.";
    return Array.from({ length: found[0] }, (_, index) => {
      const device = [null];
      handle(index, device);
      const read = () => {
        const total: [number | bigint] = [0];
        energy(device[0], total);
        return Number(total[0]);
      };
      read();
      return read;
    });
  } catch (error) {
    return `NVML tells no total counter here (${library}: ${messageOf(error)}).`;
  }
}
