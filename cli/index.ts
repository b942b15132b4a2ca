// Parts of the commands that measurements use too. `main.ts` is the `sortie` program.

export { type CascadeTime, quartileSpread, type Site, timeCascades } from "./bench/measure.ts";
export { cascadeTable, savingTable, stageTable } from "./bench/show.ts";
export { candidates, openSubject, type Subject, tableOf, whole } from "./bench/subject.ts";
export { figuresOf } from "./compare/figures.ts";
export { experimentsOfFile } from "./compare/plan.ts";
export { distinctNetworks } from "./compare/statistics.ts";
export { readLogits } from "./files/logits-file.ts";
export { RunFolder } from "./files/run-folder.ts";
export { folded } from "./files/whole.ts";
export { checkAgreement, compareAnswers, decidedBy } from "./findings/agreement.ts";
export { findings } from "./findings/findings.ts";
export * as html from "./report/html.ts";
export { drawPlot } from "./report/plots.ts";
export { loadData, makeNetwork, makeRecipe } from "./settings/model.ts";
