// `npm run check`: types, lint and format, what nothing uses, import boundaries, house style. Any warning fails.

import { spawnSync } from "node:child_process";
import { bootstrap } from "./bootstrap.mjs";
import { BIOME, KNIP, TSC } from "./tools.mjs";

bootstrap({ adapter: false });
const steps = [
  ["types", TSC, "--noEmit"],
  ["lint and format", BIOME, "check", "--error-on-warnings"],
  ["unused files, exports and dependencies", KNIP],
  ["import boundaries", "--import", "tsx", "test/run.ts", "boundaries"],
  ["house style", "--import", "tsx", "test/run.ts", "style.test"],
];
for (const [name = "", ...args] of steps) {
  console.log(`== ${name}`);
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
