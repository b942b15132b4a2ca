// Blocks of code in Markdown, and how they are run: as a user's program, against the sources of this repository.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../", import.meta.url));

/** A block of code. */
export interface Block {
  readonly language: string;
  /** What else stands behind the language. */
  readonly info: string;
  readonly text: string;
}

/** All blocks, in order. */
export const blocksOf = (markdown: string): Block[] =>
  [...markdown.matchAll(/^```(\w+)([^\n]*)\n([\s\S]*?)^```$/gm)].map(([, language = "", info = "", text = ""]) => ({
    language,
    info: info.trim(),
    text,
  }));

/**
 * Runs a program that imports `sortie/...`, in TypeScript, in this process, with arguments; what it printed, one line a
 * call.
 */
export async function runProgram(program: string, args: readonly string[] = []): Promise<string> {
  const folder = mkdtempSync(`${root}node_modules/.blocks-`);
  const lines: string[] = [];
  const { log } = console;
  const { argv } = process;
  try {
    writeFileSync(`${folder}/program.ts`, program);
    const alias = Object.fromEntries(
      ["engine", "nn", "exits", "calibration", "data", "kernels"].map((name) => [
        `sortie/${name}`,
        `${root}${name}/index.ts`,
      ]),
    );
    // `webgpu` stays outside, as for a user; `using` is lowered for Node 20.
    await build({
      entryPoints: [`${folder}/program.ts`],
      outfile: `${folder}/program.mjs`,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node20",
      packages: "external",
      alias,
      logLevel: "error",
    });
    process.argv = [...argv.slice(0, 1), `${folder}/program.mjs`, ...args];
    console.log = (...values: unknown[]) => lines.push(values.map(String).join(" "));
    await import(pathToFileURL(`${folder}/program.mjs`).href);
  } finally {
    console.log = log;
    process.argv = argv;
    rmSync(folder, { recursive: true, force: true });
  }
  return lines.join("\n");
}

/** A number as programs print it, with its sign. */
const NUMBER = /-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?/g;

/**
 * Lines of `said` that `printed` does not have, in their order, whatever their numbers are; a line `...` stands for any
 * lines, and one that ends so for any end.
 */
export function missingLines(said: string, printed: string): string[] {
  const plain = (line: string): string => line.trim().replace(NUMBER, "#");
  const lines = printed.split("\n").map(plain);
  let at = 0;
  return said
    .split("\n")
    .filter((line) => line.trim() !== "" && line.trim() !== "...")
    .filter((line) => {
      const [want, isCut] = [plain(line.replace(/\s*\.\.\.$/, "")), /\.\.\.$/.test(line)];
      const found = lines.findIndex((one, i) => i >= at && (isCut ? one.startsWith(want) : one === want));
      if (found >= 0) at = found + 1;
      return found < 0;
    });
}
