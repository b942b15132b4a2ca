// Runs the text of one live block in a worker of its own, so that the page stays responsive and whatever the block made
// goes with the worker. The library is loaded module by module, as the block imports it.

import { type Modules, runProgram } from "./program.ts";
import { show } from "./show.ts";

/** What the page hears: a line that was printed; at the end that all went well, or what went wrong. */
export type Message =
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly text: string };

const MODULES: Modules = {
  "sortie/engine": () => import("../../engine/index.ts"),
  "sortie/nn": () => import("../../nn/index.ts"),
  "sortie/exits": () => import("../../exits/index.ts"),
  "sortie/calibration": () => import("../../calibration/index.ts"),
  "sortie/data": () => import("../../data/index.ts"),
  "sortie/kernels": () => import("../../kernels/index.ts"),
};

const post = (message: Message): void => globalThis.postMessage(message);

globalThis.addEventListener("message", async ({ data }: MessageEvent<string>) => {
  try {
    await runProgram(data, MODULES, (...values) => post({ kind: "print", text: values.map(show).join(" ") }));
    post({ kind: "done" });
  } catch (error) {
    post({ kind: "failed", text: String(error) });
  }
});
