// Reads the installed version of a peer for the report.

import { readFileSync } from "node:fs";

/** The version in `node_modules/<name>/package.json` beside this file. */
export function versionOf(name: string): string {
  const text = readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}
