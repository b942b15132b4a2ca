/** The commands as functions: arguments in, exit code out. `main.ts` is the `sortie` program around them. */

export { type Agreement, compareAnswers, type Decided } from "./agreement.ts";
export { calibrateHelp, runCalibrate } from "./calibrate.ts";
export { evaluateHelp, type Findings, findings, runEvaluate } from "./evaluate.ts";
export type { Print } from "./flags.ts";
export { type LogitsOptions, readLogits } from "./logits-file.ts";
export { type Command, commands, main } from "./main.ts";
export { loadData, makeNetwork } from "./model.ts";
export { renderPage } from "./page.ts";
export { reportHelp, runReport } from "./report.ts";
export { RunFolder } from "./run-folder.ts";
