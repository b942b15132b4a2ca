// A page that loads a recorded model, one file, and answers for a picture. Measured by `npm run size`.

import { loadRecorded } from "../../exits/index.ts";

const classifier = await loadRecorded("model.recorded.safetensors");
const picture = await (await fetch("picture.png")).blob();
console.log(await classifier.classify([picture]));
