// The package as npm packs it, once for all tests of a process, and commands that users type.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atEnd } from "./harness.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What a command prints in a folder. @throws Error with all that it printed, where it fails */
export function printed(cwd: string, command: string, ...args: string[]): string {
  // Where CI is set, tools print in colours, and Next complains that nothing is cached.
  const { CI: _, ...own } = process.env;
  const env = { ...own, NO_COLOR: "1", FORCE_COLOR: "0", NEXT_TELEMETRY_DISABLED: "1" };
  try {
    return execFileSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(" ")}: ${stdout}${stderr}`);
  }
}

/** Installs into a folder what its package.json says, and what is named. */
export const install = (folder: string, ...packages: string[]): string =>
  printed(folder, "npm", "install", "--prefer-offline", "--no-audit", "--no-fund", "--no-package-lock", ...packages);

let tarball: string | undefined;

/** The path of the packed package. */
export function packed(): string {
  if (tarball === undefined) {
    const folder = mkdtempSync(join(tmpdir(), "sortie-packed-"));
    atEnd(() => rmSync(folder, { recursive: true }));
    printed(root, "npm", "pack", "--pack-destination", folder);
    tarball = join(folder, readdirSync(folder).find((file) => file.endsWith(".tgz"))!);
  }
  return tarball;
}
