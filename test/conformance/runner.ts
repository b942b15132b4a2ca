// Runs every conformance case under a folder through the public API: one line a failure, then `N passed, N failed`.
// Usage: npm run conformance -- DIR [part of a case's name ...]

import { readdirSync } from "node:fs";
import { join, sep } from "node:path";
import { createDevice } from "../../engine/index.ts";
import { readCase } from "./case.ts";
import { runCase, type Verdict } from "./kinds.ts";

/** Names of the case files under `folder`, without their ending; weights are no cases. */
export function findCases(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".safetensors") && !file.endsWith(".weights.safetensors"))
    .map((file) => file.slice(0, -".safetensors".length).split(sep).join("/"))
    .sort();
}

/** Reads and runs one case; a file that cannot be read has failed. */
export async function runFile(folder: string, name: string): Promise<Verdict> {
  try {
    return await runCase(await readCase(join(folder, `${name}.safetensors`), name));
  } catch (error) {
    return { status: "failed", reasons: [String(error)] };
  }
}

async function main([folder, ...parts]: readonly string[]): Promise<void> {
  if (folder === undefined) throw new Error("usage: npm run conformance -- DIR [part of a case's name ...]");
  using _ = await createDevice();
  const names = findCases(folder).filter((name) => parts.length === 0 || parts.some((part) => name.includes(part)));
  let passed = 0;
  let failed = 0;
  for (const name of names) {
    const verdict = await runFile(folder, name);
    if (verdict.status === "unsupported") console.log(`unsupported ${name}`);
    if (verdict.status === "passed") passed += 1;
    if (verdict.status !== "failed") continue;
    failed += 1;
    console.log(`FAIL ${name} ${verdict.reasons.join("; ")}`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

if (process.argv[1] === import.meta.filename) await main(process.argv.slice(2));
