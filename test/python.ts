// The Python that tests run, and what it lacks.

import { spawnSync } from "node:child_process";

/** The interpreter: `$SORTIE_PYTHON`, or `python3`. */
export const PYTHON = process.env["SORTIE_PYTHON"] ?? "python3";

/** What is missing to run Python that imports these modules. */
export function lackOfPython(modules: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync(PYTHON, ["-c", modules.map((name) => `import ${name}\n`).join("")]);
  if (status === 0) return undefined;
  const why = error?.message ?? String(stderr).trim().split("\n").at(-1);
  return `${PYTHON}: ${why}; SORTIE_PYTHON names another Python`;
}
