// Flags of the command line, read; messages name the flag.

import { type ParseArgsConfig, parseArgs } from "node:util";
import { nearest, SortieError } from "../../base/index.ts";

/**
 * `parseArgs`, whose faults are sentences of `command`; a flag that it does not know comes with the nearest that it
 * does.
 */
export function readFlags<T extends ParseArgsConfig>(command: string, config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    const flag = code === "ERR_PARSE_ARGS_UNKNOWN_OPTION" ? /'--?([^'\s]+)/.exec(message)?.[1] : undefined;
    if (flag === undefined) throw new SortieError(`${command}: ${message}`, { cause });
    const meant = nearest(flag, Object.keys(config.options ?? {}));
    const hint = meant ? `Did you mean --${meant}?` : `See sortie ${command} --help.`;
    throw new SortieError(`${command}: unknown flag --${flag}. ${hint}`, { cause });
  }
}

/** Where a command writes its lines. */
export type Print = (line: string) => void;

/** A number, or an error that names the flag. */
export function numberFlag(command: string, flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value))
    throw new SortieError(`${command}: --${flag} must be a number; got "${text}".`);
  return value;
}
