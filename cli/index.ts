/** The commands as functions: arguments in, exit code out. `main.ts` is the `sortie` program around them. */

export { type Agreement, compareAnswers, type Decided } from "./commands/agreement.ts";
export { calibrateHelp, runCalibrate } from "./commands/calibrate.ts";
export { evaluateHelp, type Findings, findings, runEvaluate } from "./commands/evaluate.ts";
export { reportHelp, runReport } from "./commands/report.ts";
export { type LogitsOptions, readLogits } from "./files/logits-file.ts";
export { RunFolder } from "./files/run-folder.ts";
export { type Command, commands, main } from "./main.ts";
export { renderPage } from "./report/page.ts";
export type { Print } from "./settings/flags.ts";
export { loadData, makeNetwork } from "./settings/model.ts";
