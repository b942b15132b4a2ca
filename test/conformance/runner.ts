// Runs every conformance case under a folder through the public API: one line a failure, then `N passed, N failed`.
// Usage: npm run conformance -- DIR [part of a case's name ...]

import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, sep } from "node:path";
import { createDevice } from "../../engine/index.ts";
import { readCase } from "./case.ts";
import { runCase, type Verdict } from "./kinds.ts";

/** Weights that an index.json names, relative to its folder: they are no cases, whatever they are called. */
function indexedWeights(folder: string, index: string): readonly string[] {
  const { cases = [] } = JSON.parse(readFileSync(join(folder, index), "utf8")) as {
    readonly cases?: readonly { readonly weights?: string }[];
  };
  return cases.flatMap(({ weights }) => (weights === undefined ? [] : [join(dirname(index), weights)]));
}

/** Names of the case files under `folder`, without their ending; weights are no cases. */
export function findCases(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" });
  const indices = files.filter((file) => basename(file) === "index.json");
  const weights = new Set(indices.flatMap((index) => indexedWeights(folder, index)));
  return files
    .filter((file) => file.endsWith(".safetensors") && !file.endsWith(".weights.safetensors") && !weights.has(file))
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
