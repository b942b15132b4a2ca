// The methods that can be trained, by name: the one list that commands, help and tests read.

import { confidenceCgt, hardCgt, scheduleOnly, softCgt } from "./confidence-gated.ts";
import { joint } from "./joint.ts";
import type { Method } from "./method.ts";
import { safeKd } from "./safe-kd.ts";

/** Every method that `train` can be told by name. */
export const METHODS: Readonly<Record<string, Method>> = Object.fromEntries(
  ([joint, softCgt, hardCgt, confidenceCgt, scheduleOnly, safeKd] as readonly Method[]).map((method) => [
    method.name,
    method,
  ]),
);
