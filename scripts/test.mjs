// `npm test`: makes the clone ready, then runs the tests with the arguments given.

import { bootstrap, runScript } from "./bootstrap.mjs";

const args = process.argv.slice(2);
bootstrap({ browser: true, servers: true, adapter: !args.includes("--no-adapter") });
await runScript("test/run.ts", args);
