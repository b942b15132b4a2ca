// `npm start`: makes the clone ready, then runs the `sortie` command with the arguments given.

import { existsSync } from "node:fs";
import { bootstrap, runScript } from "./bootstrap.mjs";

bootstrap();
const isBuilt = existsSync(new URL("../cli/index.ts", import.meta.url));
runScript(isBuilt ? "cli/index.ts" : "examples/first-steps.ts", process.argv.slice(2));
