// What every file of a model is checked for before anything is made of it: what it is, how new, and whether it is
// whole.

import type { SafetensorsFile } from "../../engine/functions.ts";
import { ModelError } from "../errors.ts";
import { isIntact } from "../run/seal.ts";

/** What a file shall be. */
export interface Wanted {
  readonly format: string;
  /** The newest that can be read. */
  readonly version: number;
  /** What to do with files of other formats. */
  readonly hints: Readonly<Record<string, string>>;
}

/** Checks a file. @throws ModelError for one of another format, a newer one, or a damaged one */
export async function checkSealed(name: string, file: SafetensorsFile, wanted: Wanted): Promise<void> {
  const { format, version } = file.metadata;
  if (format !== wanted.format) {
    const hint = Object.hasOwn(wanted.hints, format ?? "") ? ` ${wanted.hints[format ?? ""]}` : "";
    const got = format ?? "a file that says no format";
    throw new ModelError(`load: ${name} must be a ${wanted.format}; got ${got}.${hint}`);
  }
  if (!/^[1-9]\d{0,8}$/.test(version ?? "") || Number(version) > wanted.version) {
    const got = version?.slice(0, 20) ?? "none";
    throw new ModelError(
      `load: ${name} must be of a version up to ${wanted.version}; got ${got}. A newer sortie reads it.`,
    );
  }
  if (await isIntact(file)) return;
  throw new ModelError(
    `load: ${name} must hold what was written; its checksum is another. It is damaged: get it again, or export again.`,
  );
}
