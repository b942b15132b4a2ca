// `sortie COMMAND ...`: finds the command, runs it, turns what it throws into one line and exit code 1.

import { firstOf, guessOf, messageOf, printable } from "../base/index.ts";
import { benchSpec, runBench } from "./commands/bench.ts";
import { calibrateSpec, runCalibrate } from "./commands/calibrate.ts";
import { classifySpec, predictSpec, runClassify, runPredict } from "./commands/classify.ts";
import { compareSpec, runCompare } from "./commands/compare.ts";
import { dataSpec, runData } from "./commands/data.ts";
import { doctorSpec, runDoctor } from "./commands/doctor.ts";
import { evaluateSpec, runEvaluate } from "./commands/evaluate.ts";
import { exportSpec, runExport } from "./commands/export.ts";
import { methodsSpec, runMethods } from "./commands/methods.ts";
import { metricsSpec, runMetrics } from "./commands/metrics.ts";
import { reportSpec, runReport } from "./commands/report.ts";
import { runAll, runSpec } from "./commands/run.ts";
import { runTrain, trainSpec } from "./commands/train.ts";
import { runWorker, workerSpec } from "./commands/worker.ts";
import { version } from "./files/versions.ts";
import { type CommandSpec, titleOf } from "./settings/command.ts";
import type { Print } from "./settings/flags.ts";

/** One command; `run` returns the exit code. @throws SortieError for bad input. */
type Command = readonly [spec: CommandSpec, run: (args: readonly string[], print: Print) => number | Promise<number>];

const LIST: readonly Command[] = [
  [runSpec, runAll],
  [trainSpec, runTrain],
  [calibrateSpec, runCalibrate],
  [evaluateSpec, runEvaluate],
  [reportSpec, runReport],
  [metricsSpec, runMetrics],
  [benchSpec, runBench],
  [compareSpec, runCompare],
  [workerSpec, runWorker],
  [exportSpec, runExport],
  [classifySpec, runClassify],
  [predictSpec, runPredict],
  [methodsSpec, runMethods],
  [dataSpec, runData],
  [doctorSpec, runDoctor],
];

/** By name. */
export const COMMANDS: Readonly<Record<string, Command>> = Object.fromEntries(LIST.map((one) => [one[0].name, one]));

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
  const [name, given] = isHelp ? [firstOf(rest), ["--help"]] : [first, rest];
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) {
    const guess = guessOf(String(name), Object.keys(COMMANDS));
    complain(
      printable(`sortie: unknown command "${name}".${guess} The commands are ${Object.keys(COMMANDS).join(", ")}.`),
    );
    return 1;
  }
  try {
    return await command[1](given, show);
  } catch (error) {
    complain(printable(messageOf(error)));
    return 1;
  }
}

function usage(): string {
  const list = LIST.map(([spec]) => `  ${titleOf(spec)}`);
  return ["usage: sortie COMMAND ... (sortie COMMAND --help for its flags and examples)", "", ...list].join("\n");
}
