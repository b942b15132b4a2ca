// Makes the clone ready, then runs a TypeScript file: `node scripts/run.mjs FILE [argument ...]`. The scripts
// themselves need no adapter.

import { bootstrap, runScript } from "./bootstrap.mjs";

const [file = "", ...args] = process.argv.slice(2);
bootstrap({ adapter: !file.startsWith("scripts/") });
await runScript(file, args);
