#!/usr/bin/env node
// The `sortie` program.

import { main } from "./main.ts";

process.exitCode = await main(process.argv.slice(2), console.log, console.error);
