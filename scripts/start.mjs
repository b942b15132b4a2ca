// `npm start`: makes the clone ready, then runs the `sortie` command with the arguments given.

import { bootstrap, runScript } from "./bootstrap.mjs";

bootstrap();
runScript("cli/bin.ts", process.argv.slice(2));
