// The device that everything here runs on; another one, when it is lost.

import { createDevice, type Device } from "../../../engine/index.ts";
import { adapterName } from "../../../exits/index.ts";
import type { Told } from "../protocol.ts";

let current: { readonly opening: Promise<Device>; isGone: boolean } | undefined;

/** The device, opened when it is first needed, and again when the one before was lost. @throws DeviceError for none */
export function gpu(): Promise<Device> {
  if (current && !current.isGone) return current.opening;
  const own = { opening: open(), isGone: false };
  current = own;
  const gone = (): void => {
    own.isGone = true;
  };
  own.opening.then((device) => device.gpu.lost.then(gone), gone);
  return own.opening;
}

async function open(): Promise<Device> {
  const device = await createDevice();
  // For whoever looks from the console.
  Object.assign(globalThis, { device });
  return device;
}

/** What the device is called. */
export const nameOf = ({ info }: Device): string => adapterName(info);

/** Milliseconds in which a lost device says so. */
const SOON = 200;

/** Whether work failed because its device is gone; that is said a moment after. */
async function isGone(device: Device): Promise<boolean> {
  await Promise.race([device.gpu.lost, new Promise((resolve) => setTimeout(resolve, SOON))]);
  return device.isLost;
}

/** Losses that one piece of work survives. */
const MOST = 3;

/** Does something that may be begun anew; where the device is lost meanwhile, on another one. */
export async function onDevice<T>(tell: (told: Told) => void, work: (device: Device) => Promise<T>): Promise<T> {
  for (let losses = 0; ; losses++) {
    const device = await gpu();
    try {
      return await work(device);
    } catch (error) {
      if (losses === MOST || !(await isGone(device))) throw error;
      tell({ tell: "lost", why: (error as Error).message });
      device.dispose();
      tell({ tell: "recovered", adapter: nameOf(await gpu()) });
    }
  }
}
