// A page that loads a classifier, one file, and answers for a picture. Measured by `npm run size`.

import { load } from "../../exits/index.ts";

const classifier = await load("model.sortie.safetensors");
const picture = await (await fetch("picture.png")).blob();
console.log(await classifier.classify([picture]));
