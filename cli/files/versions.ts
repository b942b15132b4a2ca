// What a run was made with: the project, its commit, Node, the WebGPU package, the machine, the adapter.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Text by name, as it goes into records and tables. */
export type Facts = Readonly<Record<string, string>>;

/** This package's version. */
export const version = (): string => versionAt(join(projectFolder(), "package.json"));

/** Versions and machine. */
export function versions(): Facts {
  const home = projectFolder();
  const commit = commitOf(home);
  return {
    sortie: version(),
    ...(commit !== undefined && { commit }),
    node: process.version,
    webgpu: packageVersion("webgpu"),
    platform: `${process.platform} ${process.arch}`,
    cpu: `${cpus().length} x ${cpus()[0]?.model.trim() ?? "unknown"}`,
  };
}

/** The folder with this package's package.json: beside the sources, or above `dist`. */
function projectFolder(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json")) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

function versionAt(path: string): string {
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

/** Only of a checkout of this project: an installed package may lie inside someone else's. */
function commitOf(home: string): string | undefined {
  if (!existsSync(join(home, ".git"))) return undefined;
  const git = (...args: string[]) =>
    execFileSync("git", ["-C", home, ...args], { encoding: "utf8", stdio: "pipe" }).trim();
  try {
    return `${git("rev-parse", "--short=12", "HEAD")}${git("status", "--porcelain", "-uno") === "" ? "" : ", changed"}`;
  } catch {
    return undefined;
  }
}

function packageVersion(name: string): string {
  try {
    return versionAt(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    return "not found";
  }
}
