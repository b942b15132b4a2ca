// The run folder's plain files (Node). Node's modules are asked of the running process, never imported, so that a
// browser bundle holds no trace of them.

import { codeOf, readWhole } from "../../base/index.ts";
import { TrainingError } from "../errors.ts";

/** Node's file functions. @throws TrainingError on another platform. */
export function fileSystem(op: string): typeof import("node:fs/promises") {
  const fs = globalThis.process?.getBuiltinModule?.("node:fs/promises");
  if (fs) return fs;
  throw new TrainingError(`${op}: a folder needs Node 20.16 or newer; got another platform. Leave out dir here.`);
}

/** Whether an error says that there is no such file. */
const isMissing = (error: unknown): boolean => codeOf(error) === "ENOENT";

/** Whether there is something at a path. */
export async function exists(path: string): Promise<boolean> {
  return fileSystem("exists")
    .access(path)
    .then(
      () => true,
      () => false,
    );
}

/** The text of a file, or undefined where there is none. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    fileSystem("readText");
    return new TextDecoder().decode(await readWhole(path));
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
