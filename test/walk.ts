// A page's blocks of code, run as a reader would who follows it from top to bottom in an empty folder: lines of shell,
// Python, and its TypeScript as one program.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { COMMANDS, main } from "../cli/main.ts";
import { readCommand } from "../cli/settings/command.ts";
import { encodeNpz, type NpyArray } from "../data/index.ts";
import { type Block, missingLines, runProgram } from "./blocks.ts";
import { randomTable } from "./calibration/tables.ts";
import { lackOfPython, PYTHON } from "./python.ts";

/** What a page needs besides its own words. */
export interface Prepared {
  /** Flags that a command of `sortie` gets besides those that the page says, so that a test takes seconds. */
  readonly flags?: Readonly<Record<string, readonly string[]>>;
  /** Makes what the Python blocks would, where Python or a module of theirs is missing. */
  readonly withoutPython?: () => void;
  /** Looks at what else the reader has by then, such as a page. */
  readonly after?: () => Promise<void>;
}

/** What one step printed, and what the page says that it prints. */
export interface Step {
  readonly code: string;
  readonly printed: string;
  readonly missing: readonly string[];
}

/** A block that the page itself runs. */
export const isLive = ({ info }: Block): boolean => /\blive\b/.test(info);

/** Blocks that are run one by one, or as parts of the program. */
const isProgram = (block: Block): boolean => block.language === "ts" && !isLive(block);
export const isRun = (block: Block): boolean => isProgram(block) || block.language === "sh" || block.language === "py";

/** What the page says is printed by the block at `at`. */
export const saidBehind = (blocks: readonly Block[], at: number): string => {
  const next = blocks[at + 1];
  return next?.language === "text" ? next.text : "";
};

/**
 * Runs all blocks in order in a folder; a program runs where its last block stands. A block that names a file behind
 * its language is kept there under that name first.
 */
export async function walk(
  blocks: readonly Block[],
  folder: string,
  { flags = {}, withoutPython, after }: Prepared = {},
): Promise<Step[]> {
  const runs = [...blocks.entries()].filter(([, block]) => isRun(block));
  const ofProgram = runs.filter(([, block]) => isProgram(block));
  const steps: Step[] = [];
  for (const { info, text } of blocks) if (/\.\w+$/.test(info)) writeFileSync(join(folder, info), text);
  const before = process.cwd();
  const { SORTIE_CACHE } = process.env;
  process.chdir(folder);
  process.env["SORTIE_CACHE"] = join(folder, "cache");
  try {
    for (const [at, block] of runs) {
      const isPart = isProgram(block);
      if (isPart && at !== ofProgram.at(-1)?.[0]) continue;
      const parts: readonly (readonly [number, Block])[] = isPart ? ofProgram : [[at, block]];
      const code = parts.map(([, { text }]) => text).join("\n");
      const printed = isPart
        ? await runProgram(code)
        : await (block.language === "sh" ? shell(code, flags) : python(code));
      if (printed === undefined) withoutPython?.();
      else {
        const said = parts.map(([i]) => saidBehind(blocks, i)).join("");
        steps.push({ code, printed, missing: missingLines(said, printed) });
      }
    }
    await after?.();
  } finally {
    process.chdir(before);
    if (SORTIE_CACHE === undefined) delete process.env["SORTIE_CACHE"];
    else process.env["SORTIE_CACHE"] = SORTIE_CACHE;
  }
  return steps;
}

/** Lines of shell as they are run: without comments, and those that a backslash continues as one. */
export const linesOf = (text: string): string[] =>
  text
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.replace(/^#.*$|\s#\s.*$/, "").trim())
    .filter((line) => line !== "");

/** The words of a line, if it is a command of `sortie`; variables are those of this process. */
function sortieWords(line: string): string[] | undefined {
  const words = [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
    .map(([, a, b, c]) => (a ?? b ?? c ?? "").replace(/^\$(\w+)$/, (_, name: string) => process.env[name] ?? ""))
    .filter((word, i) => !(i === 0 && word === "exec"));
  if (words[0] === "npx" && words[1] === "sortie") return words.slice(2);
  if (words[0] !== "npm" || words[1] !== "start") return undefined;
  const given = words.slice(2 + Number(words[2] === "--"));
  return given[0] === undefined || given[0].startsWith("-") ? ["run", ...given] : given;
}

/** Installing is the reader's: a test has it all, and downloads nothing. */
const INSTALLS = /^(npm (i|install|create)|pip install) /;

/** A machine that is the reader's, by the domain that is kept for such names: the command is read, and not run. */
const IS_ELSEWHERE = /\.example\b/;

/** @throws SortieError for a flag or a path that the command does not take; Error where there is no such command */
export function readLine(line: string): void {
  const [name = "", ...args] = sortieWords(line) ?? [];
  const command = COMMANDS[name];
  if (!command) throw new Error(`"${line}" must be a command of sortie`);
  readCommand(command[0], args, () => {});
}

/** Runs lines one after the other, those of `sortie` in this process; what they printed. @throws Error for a failure */
async function shell(text: string, flags: Readonly<Record<string, readonly string[]>>): Promise<string> {
  const printed: string[] = [];
  for (const line of linesOf(text)) {
    if (INSTALLS.test(line)) continue;
    if (IS_ELSEWHERE.test(line)) {
      readLine(line);
      continue;
    }
    const words = sortieWords(line);
    const lines: string[] = [];
    const code = words
      ? await main([...words, ...(flags[words[0]!] ?? [])], (one) => lines.push(one))
      : spawned("sh", ["-c", line], lines);
    if (code !== 0) throw new Error(`"${line}" must succeed; it ended with ${code}:\n${lines.join("\n")}`);
    printed.push(...lines);
  }
  return printed.join("\n");
}

/** Runs a program of Python; what it printed, or undefined where Python or one of its modules is missing. */
function python(text: string): string | undefined {
  const modules = [...text.matchAll(/^(?:import|from) (\w+)/gm)].map(([, name = ""]) => name);
  const lacking = lackOfPython(modules);
  if (lacking !== undefined) {
    console.log(`a block of Python is not run: ${lacking}`);
    return undefined;
  }
  const lines: string[] = [];
  const code = spawned(PYTHON, ["-c", text], lines);
  if (code !== 0) throw new Error(`Python must succeed; it ended with ${code}:\n${lines.join("\n")}`);
  return lines.join("\n");
}

function spawned(command: string, args: readonly string[], lines: string[]): number | null {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  lines.push(...`${stdout}${stderr}`.trimEnd().split("\n"));
  return status;
}

/** Logits of three exits as `np.savez` keeps them, with samples of its own in each file: `NAME.npz`. */
export function saveLogits(folder: string, names: readonly string[]): void {
  const samples = 3000;
  for (const [i, name] of names.entries()) {
    const table = randomTable(samples, 3, 10, { seed: 1 + i, skill: 3 });
    const arrays: Readonly<Record<string, NpyArray>> = {
      logits: { shape: [samples, 3, 10], data: Float32Array.from(table.read(0, samples)) },
      labels: { shape: [samples], data: table.labels },
      ids: { shape: [samples], data: Int32Array.from({ length: samples }, (_, k) => samples * i + k) },
      macs: { shape: [3], data: Float64Array.of(30e6, 60e6, 100e6) },
    };
    writeFileSync(join(folder, `${name}.npz`), encodeNpz(new Map(Object.entries(arrays))));
  }
}
