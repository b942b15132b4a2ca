#!/usr/bin/env node
// The `sortie` program: a process that filters what the other prints, which does the work.

import { fileURLToPath } from "node:url";
import { isNoisy, isQuiet, runQuietly } from "./quiet.ts";

if (isQuiet() || !isNoisy()) await work();
else runQuietly([...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)]);

async function work(): Promise<void> {
  const { outputCode, outputFault } = await import("./interruption.ts");
  const { main } = await import("./main.ts");
  let failure: unknown;
  process.stdout.on("error", (error) => {
    if (failure === undefined && outputCode(error) === 1) console.error(`sortie: ${outputFault(error)}`);
    failure = error;
  });
  process.stderr.on("error", () => {}); // nobody is left to be told
  process.on("exit", (code) => {
    if (failure !== undefined && code === 0) process.exitCode = outputCode(failure);
  });
  process.exitCode = await main(process.argv.slice(2), console.log, console.error);
}
