// `npm start`: makes the clone ready, then runs the whole path (`sortie run`) with the flags given. A command in front
// of them is run instead: `npm start -- doctor`.

import { bootstrap, runScript } from "./bootstrap.mjs";

bootstrap();
const args = process.argv.slice(2);
const isCommand = args[0] !== undefined && !args[0].startsWith("-");
await runScript("cli/bin.ts", isCommand ? args : ["run", ...args]);
