// Settings as `sortie train` reads them from a command line.

import { trainSpec } from "../../cli/commands/train.ts";
import { readCommand } from "../../cli/settings/command.ts";
import { type Config, configOf } from "../../cli/settings/config.ts";

/** Settings of a run, and notes for its user; messages start with `command`. */
export function readConfig(
  command: string,
  args: readonly string[],
): { readonly config: Config; readonly notes: readonly string[] } {
  const asked = readCommand({ ...trainSpec, name: command }, args, () => {});
  if (!asked) throw new Error("The flags ask for help.");
  return configOf(command, asked.settings, asked.values.config);
}
