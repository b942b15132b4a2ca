// The folder of a run (Node); pages have none.

import { leftovers } from "../../base/index.ts";
import { fileSystem } from "../run/files.ts";
import { inFolder, RUN_FILES } from "../run/run.ts";

/** Makes the folder, and removes what a killed process left half-written there. */
export async function prepareFolder(dir: string): Promise<void> {
  const fs = fileSystem("train");
  await fs.mkdir(dir, { recursive: true });
  for (const name of [RUN_FILES.last, RUN_FILES.best, RUN_FILES.metrics]) {
    for (const left of await leftovers(inFolder(dir, name))) await fs.rm(left, { force: true });
  }
}
