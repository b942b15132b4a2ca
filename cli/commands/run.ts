// `sortie run`: the whole path - train, calibrate, evaluate, report - each as the command that one would type.

import { RunFolder } from "../files/run-folder.ts";
import { chartLibraries } from "../report/plots.ts";
import { type CommandSpec, NO_PATH, readCommand } from "../settings/command.ts";
import { configOf, RUN_FLAGS, RUN_SETTINGS } from "../settings/config.ts";
import type { Print } from "../settings/flags.ts";
import { runCalibrate } from "./calibrate.ts";
import { runEvaluate } from "./evaluate.ts";
import { runReport } from "./report.ts";
import { trainInto } from "./train.ts";

export const runSpec = {
  name: "run",
  usage: "[flags]",
  paths: NO_PATH,
  about: `Trains, calibrates, evaluates and writes the report, in this order: the commands train, calibrate RUN, evaluate RUN and
report RUN. It takes the flags of train (see sortie train --help), and --alpha and --delta of the promise. What is already
trained is not trained again; policy, evaluation and report are made anew.`,
  flags: RUN_FLAGS,
  settings: RUN_SETTINGS,
  more: `  sortie run
  sortie run --data fashion-mnist --data-dir data/fashion-mnist
  sortie run --method joint --epochs 6 --alpha 0.02

Exit code 0: done, whether or not anything could be certified. Others: as of the command that stopped.
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runAll(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(runSpec, args, print);
  if (!asked) return 0;
  const { config, notes } = configOf("run", asked.settings, asked.values.config);
  for (const note of notes) print(note);
  // What the last step needs must not be missed after an hour of training.
  await chartLibraries();
  const folder = RunFolder.of(config);
  const { dir } = folder;
  print(`$ sortie train ${args.join(" ")}`.trimEnd());
  const code = await trainInto(config, { isFresh: asked.values.fresh, print });
  if (code !== 0) return code;
  if (folder.hasEarlyExit) {
    print(`\n$ sortie calibrate ${dir}`);
    runCalibrate([dir], print);
  } else print("\nnothing can leave early: the network has one exit, and nothing is calibrated");
  print(`\n$ sortie evaluate ${dir}`);
  const evaluated = await runEvaluate([dir], print);
  print(`\n$ sortie report ${dir}`);
  const reported = await runReport([dir], print);
  return evaluated || reported;
}
