// `sortie COMMAND ...`: finds the command, runs it, turns what it throws into one line and exit code 1.

import { guessOf, printable } from "../base/index.ts";
import { benchSpec, runBench } from "./commands/bench.ts";
import { calibrateSpec, runCalibrate } from "./commands/calibrate.ts";
import { classifySpec, predictSpec, runClassify, runPredict } from "./commands/classify.ts";
import { compareHelp, runCompare } from "./commands/compare.ts";
import { dataHelp, runData } from "./commands/data.ts";
import { doctor, runDoctor } from "./commands/doctor.ts";
import { evaluateSpec, runEvaluate } from "./commands/evaluate.ts";
import { exportHelp, runExport } from "./commands/export.ts";
import { methods, runMethods } from "./commands/methods.ts";
import { report, runReport } from "./commands/report.ts";
import { runAll, runHelp } from "./commands/run.ts";
import { runTrain, trainHelp } from "./commands/train.ts";
import { runWorker, worker } from "./commands/worker.ts";
import { version } from "./files/versions.ts";
import { helpOf } from "./settings/command.ts";
import type { Print } from "./settings/flags.ts";

/** One command. */
interface Command {
  readonly help: string;
  /** Returns the exit code. @throws SortieError for bad input. */
  run(args: readonly string[], print: Print): number | Promise<number>;
}

/** By name. */
const commands: Readonly<Record<string, Command>> = {
  run: { help: runHelp, run: runAll },
  train: { help: trainHelp, run: runTrain },
  calibrate: { help: helpOf(calibrateSpec), run: runCalibrate },
  evaluate: { help: helpOf(evaluateSpec), run: runEvaluate },
  report: { help: helpOf(report), run: runReport },
  bench: { help: helpOf(benchSpec), run: runBench },
  compare: { help: compareHelp, run: runCompare },
  worker: { help: helpOf(worker), run: runWorker },
  export: { help: exportHelp, run: runExport },
  classify: { help: helpOf(classifySpec), run: runClassify },
  predict: { help: helpOf(predictSpec), run: runPredict },
  methods: { help: helpOf(methods), run: runMethods },
  data: { help: dataHelp, run: runData },
  doctor: { help: helpOf(doctor), run: runDoctor },
};

/**
 * Runs `args` (without node and script); the exit code. Faults go to `complain`, by default where everything goes; of
 * both, nothing that a terminal would obey comes through, whatever file it was read from.
 */
export async function main(
  args: readonly string[],
  print: Print = console.log,
  complain: Print = print,
): Promise<number> {
  const show: Print = (text) => print(printable(text));
  const [first = "--help", ...rest] = args.map((arg) => (arg === "-h" ? "--help" : arg));
  const isHelp = first === "--help" || first === "help";
  if (first === "--version" || (isHelp && rest.length === 0)) {
    show(isHelp ? usage() : version());
    return 0;
  }
  // sortie help train: sortie train --help
  const [name, given] = isHelp ? [rest[0]!, ["--help"]] : [first, rest];
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!command) {
    const guess = guessOf(String(name), Object.keys(commands));
    complain(
      printable(`sortie: unknown command "${name}".${guess} The commands are ${Object.keys(commands).join(", ")}.`),
    );
    return 1;
  }
  try {
    return await command.run(given, show);
  } catch (error) {
    complain(printable(error instanceof Error ? error.message : String(error)));
    return 1;
  }
}

function usage(): string {
  const list = Object.values(commands).map(({ help }) => `  ${help.split("\n", 1)[0]}`);
  return ["usage: sortie COMMAND ... (sortie COMMAND --help for its flags and examples)", "", ...list].join("\n");
}
