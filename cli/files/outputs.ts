// What a command writes must not take the place of what it reads, and folders that it writes nothing into are not left
// behind.

import { existsSync, realpathSync, rmdirSync, statSync } from "node:fs";
import { dirname, resolve, sep } from "node:path";
import { SortieError } from "../../base/index.ts";

/** One file under whatever name: path, link, hard link. Empty where there is none. */
function identity(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found ? `${found.dev} ${found.ino}` : "";
}

/** Whether both paths lead to one file that is there. */
export const isSameFile = (a: string, b: string): boolean => identity(a) !== "" && identity(a) === identity(b);

/** Whether a file lies in a folder, which an export replaces whole. */
function isWithin(path: string, folder: string): boolean {
  if (!existsSync(path) || !existsSync(folder)) return false;
  return realpathSync(path).startsWith(`${realpathSync(folder)}${sep}`);
}

/**
 * Refuses an output that is one of the inputs, or a folder that holds one, before anything is read or written.
 * @param name What the output is called on the command line: `--out`.
 * @throws SortieError that names both.
 */
export function checkOutput(
  command: string,
  name: string,
  output: string | undefined,
  inputs: readonly (string | undefined)[],
): void {
  if (output === undefined) return;
  const taken = inputs.find((input) => input !== undefined && (isSameFile(input, output) || isWithin(input, output)));
  if (taken === undefined) return;
  const got = taken === output ? output : `${output}, which is or holds ${taken}`;
  throw new SortieError(`${command}: ${name} must be another file than those that are read; got ${got}.`);
}

/** What of a path is no folder yet; `removeEmpty` takes away what was made of that and holds nothing after all. */
export function newFolders(dir: string): { removeEmpty(): void } {
  const missing: string[] = [];
  for (let at = resolve(dir); !existsSync(at); at = dirname(at)) missing.push(at);
  return {
    removeEmpty() {
      for (const folder of missing) {
        try {
          rmdirSync(folder);
        } catch {
          // Something lies there, or it was never made.
        }
      }
    },
  };
}
