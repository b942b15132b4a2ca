// `npm run apps`: every app of examples/, from the packed package. It installs some 600 MB, so `npm test` does only the
// first two. `npm run apps -- [NAME ...] [--shots DIR]` does some, and keeps screenshots.

import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { finish } from "../harness.ts";
import { packed } from "../packed.ts";
import { APP_NAMES, Apps } from "./apps.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { shots: { type: "string" } } });
const stray = positionals.filter((name) => !APP_NAMES.some((known) => known === name));
if (stray.length > 0) throw new Error(`apps: names must be of ${APP_NAMES.join(", ")}; got ${stray.join(", ")}.`);
if (values.shots !== undefined) mkdirSync(values.shots, { recursive: true });

const apps = await Apps.open(packed(), values.shots);
let failed = 0;
try {
  for (const name of APP_NAMES.filter((name) => positionals.length === 0 || positionals.includes(name))) {
    const began = performance.now();
    const fault = await apps.walk(name).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (fault !== undefined) {
      failed += 1;
      console.error(fault);
    }
    console.log(
      `${fault === undefined ? "ok  " : "FAIL"}  ${name} (${Math.round((performance.now() - began) / 1000)} s)`,
    );
  }
} finally {
  await apps.close();
  await finish();
}
process.exitCode = failed > 0 ? 1 : 0;
