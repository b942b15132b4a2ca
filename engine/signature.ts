// The public face of an op: a function by position. JavaScript drops surplus arguments, and with them what somebody
// meant by them.

import { ArgumentError } from "./errors.ts";

/** `fn`, which refuses (ArgumentError) more arguments than its signature, `name(x, options)`, names. */
export function positional<F extends (...args: never[]) => unknown>(signature: string, fn: F): F {
  const [name, names = ""] = signature.slice(0, -1).split("(");
  const most = names.split(", ").length;
  const checked = (...args: never[]): unknown => {
    if (args.length > most)
      throw new ArgumentError(`${name}: the arguments must be (${names}); got ${args.length} of them.`);
    return fn(...args);
  };
  return checked as F;
}
