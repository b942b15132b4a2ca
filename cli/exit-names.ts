// What exits are called in everything that people read. Arrays and messages of the library count exits from 0.

import type { RunFolder } from "./files/run-folder.ts";

/** The stages they follow, for a run that knows them; else `exit 1`, `exit 2` and so on. */
export function exitNames(exits: number, folder?: RunFolder): readonly string[] {
  const stages = folder?.recordOrNone()?.exits.map(({ stage }) => stage);
  return stages?.length === exits ? stages : Array.from({ length: exits }, (_, j) => `exit ${j + 1}`);
}
