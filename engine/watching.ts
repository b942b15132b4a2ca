// Whether work that is measured runs on the device that is asked.

import { DeviceError } from "./errors.ts";
import type { Stream } from "./stream.ts";

/** What is watched: a Device. */
export interface Watched {
  readonly stream: Stream;
  readonly isDisposed: boolean;
}

/** Runs `fn`. @throws DeviceError if it worked on other devices only, of which nothing could be told */
export async function watching(
  op: string,
  fn: () => unknown,
  { device, living }: { readonly device: Watched; readonly living: ReadonlySet<Watched> },
): Promise<void> {
  const count = ({ isDisposed, stream }: Watched): number => {
    if (!isDisposed) stream.flush();
    return stream.counters.dispatches;
  };
  const before = new Map(Array.from(living, (one) => [one, count(one)]));
  await fn();
  const worked = [...living].filter((one) => count(one) > (before.get(one) ?? 0));
  if (worked.length === 0 || worked.includes(device)) return;
  throw new DeviceError(
    `${op}: the work must run on this device; it ran on another one. Make its tensors with { device }.`,
  );
}
