// `npm run check`: types, lint and format, import boundaries. Any warning fails.

import { spawnSync } from "node:child_process";
import { bootstrap } from "./bootstrap.mjs";
import { TSC } from "./tools.mjs";

bootstrap({ adapter: false });
const steps = [
  ["types", TSC, "--noEmit"],
  ["lint and format", "node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings"],
  ["import boundaries", "--import", "tsx", "test/run.ts", "boundaries"],
];
for (const [name = "", ...args] of steps) {
  console.log(`== ${name}`);
  const { status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (status !== 0) process.exitCode = 1;
}
