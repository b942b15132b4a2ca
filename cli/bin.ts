#!/usr/bin/env node
// The `sortie` program.

import { outputCode, outputFault } from "./interruption.ts";
import { main } from "./main.ts";

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
