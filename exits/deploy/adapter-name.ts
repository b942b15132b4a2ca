// What an adapter is called in records, and where something is remembered of it.

import type { DeviceInfo } from "../../engine/functions.ts";

/** An adapter in one line. */
export function adapterName({ vendor, architecture, description, isSoftware }: DeviceInfo): string {
  const name = [vendor, architecture, description].filter((part) => part !== "").join(", ");
  return `${name || "unnamed"}${isSoftware ? " (software)" : ""}`;
}
