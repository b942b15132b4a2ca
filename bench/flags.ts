// What a script of this folder is given: `--help` prints the head of its file, and a flag that it does not have is one
// line, not a trace.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type ParseArgsConfig, parseArgs } from "node:util";

const HELP = { help: { type: "boolean" } } as const;

type Parsed<C extends ParseArgsConfig> = ReturnType<typeof parseArgs<C>>;

/** `parseArgs` of the script at `url`; ends the process where help is asked for, or a flag does not fit. */
export function readFlags<const C extends ParseArgsConfig>(url: string, config: C): Parsed<C> {
  try {
    const parsed = parseArgs({ ...config, options: { ...config.options, ...HELP } });
    if (!("help" in parsed.values)) return parsed as unknown as Parsed<C>;
    const [head] = readFileSync(fileURLToPath(url), "utf8").split("\n\n") as [string];
    console.log(head.replace(/^\/\/ ?/gm, ""));
    process.exit(0);
  } catch (error) {
    console.error(`${(error as Error).message}. --help says what there is.`);
    process.exit(1);
  }
}
