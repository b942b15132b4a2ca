// What a live block of the site may import, here from the sources.

import type { Modules } from "../../site/live/program.ts";

export const MODULES: Modules = {
  "sortie/engine": () => import("../../engine/index.ts"),
  "sortie/nn": () => import("../../nn/index.ts"),
  "sortie/exits": () => import("../../exits/index.ts"),
  "sortie/calibration": () => import("../../calibration/index.ts"),
  "sortie/data": () => import("../../data/index.ts"),
  "sortie/kernels": () => import("../../kernels/index.ts"),
};
