// Makes the clone ready, then runs a TypeScript file: `node scripts/run.mjs FILE [argument ...]`.

import { bootstrap, runScript } from "./bootstrap.mjs";

bootstrap();
const [file = "", ...args] = process.argv.slice(2);
runScript(file, args);
