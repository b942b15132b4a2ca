/** Checks of command-line values that name the flag. */

/** Where a command writes its lines. */
export type Print = (line: string) => void;

/** A number, or an error that names the flag. */
export function numberFlag(command: string, flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value))
    throw new Error(`${command}: --${flag} must be a number; got "${text}".`);
  return value;
}

/** A whole number of at least 0, or an error that names the flag. */
export function wholeFlag(command: string, flag: string, text: string): number {
  const value = numberFlag(command, flag, text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`${command}: --${flag} must be a whole number of at least 0; got "${text}".`);
}

/** One of the allowed words, if given at all. */
export function checkChoice(
  command: string,
  flag: string,
  value: string | undefined,
  allowed: readonly string[],
): void {
  if (value === undefined || allowed.includes(value)) return;
  throw new Error(`${command}: --${flag} must be one of ${allowed.join(", ")}; got "${value}".`);
}

/** The one file or folder a command works on. */
export function onePath(command: string, positionals: readonly string[]): string {
  const [path, ...rest] = positionals;
  if (!path || rest.length > 0)
    throw new Error(`${command}: one logits file or one folder of a run must be given; got ${positionals.length}.`);
  return path;
}
