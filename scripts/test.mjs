// `npm test`: makes the clone ready, then runs the tests with the arguments given.

import { bootstrap, runScript } from "./bootstrap.mjs";

bootstrap({ browser: true });
runScript("test/run.ts", process.argv.slice(2));
