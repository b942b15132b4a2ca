/** `sortie data`: which data sets there are, whether their files are whole, and how to get them. */

import { statSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { cacheFolder, channelStatistics, countClasses, type Splits } from "../data/index.ts";
import type { Print } from "./flags.ts";
import { type KnownSet, knownSet, SETS } from "./sets.ts";

export const dataHelp = `sortie data list | verify NAME | download NAME [flags]

Lists the data sets and where their files are looked for; reads one and checks size and checksum of every file; or
downloads the official files, carrying on where an earlier download broke off.

  --data-dir DIR       the folder of the files (default: a folder of the set's name in the cache, see list)

  sortie data list
  sortie data verify fashion-mnist --data-dir data/fashion-mnist
  sortie data download cifar10
`;

/** Runs the command; returns the exit code. Throws for bad input. */
export async function runData(args: readonly string[], print: Print = console.log): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { "data-dir": { type: "string" }, help: { type: "boolean", default: false } },
  });
  const [action = "list", name, ...rest] = positionals;
  if (values.help) {
    print(dataHelp);
    return 0;
  }
  if (action === "list" && name === undefined) {
    for (const line of listLines(values["data-dir"])) print(line);
    return 0;
  }
  if (!["verify", "download"].includes(action) || name === undefined || rest.length > 0) {
    throw new Error(`data: the arguments must be list, verify NAME or download NAME; got "${positionals.join(" ")}".`);
  }
  const set = knownSet("data", name);
  const dir = values["data-dir"] === undefined ? {} : { dir: values["data-dir"] };
  // All of the training set, so that every file and label is looked at.
  const options = { ...dir, download: action === "download", validation: 0, calibration: 0 };
  const splits = await set.load({ ...options, onProgress: downloadProgress(print) });
  for (const line of summary(name, set, splits)) print(line);
  return 0;
}

/** One line per data set, with how many of its files are there. */
function listLines(dir: string | undefined): readonly string[] {
  const rows = Object.entries(SETS).map(([name, { title, files }]) => {
    const folder = dir ?? join(cacheFolder(), name);
    const there = files.filter((file) => statSync(join(folder, file.name), { throwIfNoEntry: false })?.isFile()).length;
    const state = files.length === 0 ? "built in" : `${there} of ${files.length} files`;
    return `  ${name.padEnd(14)} ${state.padEnd(14)} ${title}`;
  });
  return [...rows, `files are looked for in ${dir ?? join(cacheFolder(), "NAME")}`];
}

function summary(name: string, { files }: KnownSet, { train, test, calibration }: Splits): readonly string[] {
  const { mean, std } = channelStatistics(train);
  const counts = countClasses(train);
  const list = (values: readonly number[]) =>
    values.length > 4 ? `${values.length} channels` : values.map((value) => value.toFixed(4)).join(" ");
  const held = calibration.size > 0 ? ` + ${calibration.size} for calibration` : "";
  return [
    `${name}: ${files.length === 0 ? "drawn by code" : `${files.length} files intact`}`,
    `  ${train.size} training${held} + ${test.size} test images of ${train.shape.join(" x ")}, ${train.classes.length} classes`,
    `  ${Math.min(...counts)} to ${Math.max(...counts)} training images a class; mean ${list(mean)}, deviation ${list(std)}`,
  ];
}

/** A line for each tenth of each file: enough to see that it goes on, few enough for a log. */
export function downloadProgress(
  print: Print,
): (at: { file: string; loaded: number; total: number | undefined }) => void {
  const shown = new Map<string, number>();
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  return ({ file, loaded, total }) => {
    const step = total === undefined ? Math.floor(loaded / 2e7) : Math.floor((10 * loaded) / total);
    if (shown.get(file) === step) return;
    shown.set(file, step);
    print(`downloading ${file}: ${megabytes(loaded)}${total === undefined ? "" : ` of ${megabytes(total)}`} MB`);
  };
}
