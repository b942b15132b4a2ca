// Downloads one file from https://localhost into the folder given; what is on the way, the environment says.

import { obtain } from "../../data/obtain.ts";

const [folder = "."] = process.argv.slice(2);
await obtain("toy", { name: "x.bin", bytes: 200_000, urls: ["https://localhost/x"] }, folder, { download: true });
