// `sortie data`: which data sets there are, whether their files are whole, and how to get them.

import { basename, join } from "node:path";
import { defined, SortieError } from "../../base/index.ts";
import {
  cacheFolder,
  channelStatistics,
  countClasses,
  type DataSet,
  type DecodeProgress,
  type FileCheck,
  type ImageBytes,
  lookFor,
  type Splits,
} from "../../data/index.ts";
import { type CommandSpec, readCommand } from "../settings/command.ts";
import { DATA_SETTINGS, dataSettings } from "../settings/config.ts";
import type { Print } from "../settings/flags.ts";
import { knownSet, SET_NAMES } from "../settings/sets.ts";

export const dataSpec = {
  name: "data",
  usage: "list | verify NAME | download NAME [flags]",
  paths: { most: 2, must: "list, verify NAME or download NAME" },
  about: `Lists the data sets and where their files are looked for; reads one whole, and says what is known of each file to check
it by: a checksum, its size, or no more than that it can be read; or downloads the official files, carrying on where an
earlier download broke off.`,
  flags: {},
  settings: DATA_SETTINGS,
  more: `  sortie data list
  sortie data verify fashion-mnist --data-dir data/fashion-mnist
  sortie data verify indian-pines --data.split random
  sortie data download cifar10
`,
} satisfies CommandSpec;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runData(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(dataSpec, args, print);
  if (!asked) return 0;
  const { settings: flags, positionals } = asked;
  const [action = "list", name] = positionals;
  if (action === "list" && name === undefined) {
    const { dir } = (flags["data"] ?? {}) as { readonly dir?: string };
    for (const line of await listLines(dir)) print(line);
    return 0;
  }
  if (!["verify", "download"].includes(action) || name === undefined) {
    throw new SortieError(
      `data: the arguments must be list, verify NAME or download NAME; got "${positionals.join(" ")}".`,
    );
  }
  const set = knownSet("data", name);
  const { name: _, ...settings } = dataSettings("data", name, flags);
  const checks: FileCheck[] = [];
  const splits = await set.load({
    ...defined(settings),
    ...set.whole,
    ...(action === "download" && { download: true }),
    onProgress: downloadProgress(print),
    ...(name === "folder" && { onDecoded: decodeProgress(print) }),
    onChecked: (check) => void checks.push(check),
  });
  for (const line of summary(name, set, splits, checks)) print(line);
  return 0;
}

/** One line per data set, with how much of its files is there. */
async function listLines(dir: string | undefined): Promise<readonly string[]> {
  const rows = SET_NAMES.map(async (name) => {
    const { title, ...set } = knownSet("data", name);
    return `  ${name.padEnd(14)} ${(await stateOf(set, dir)).padEnd(14)} ${title}`;
  });
  return [...(await Promise.all(rows)), `files are looked for in ${dir ?? join(cacheFolder(), "NAME")}`];
}

async function stateOf({ source, options }: Pick<DataSet, "source" | "options">, dir: string | undefined) {
  if (!source) return "file" in options ? "by --file" : "dir" in options ? "by --dir" : "built in";
  const there = await lookFor(source, defined({ dir }));
  return there.unpacked?.isWhole ? "unpacked" : `${there.files} of ${there.source.files.length} files`;
}

const CHECKED = {
  checksum: "checksum as published",
  size: "size as published (no checksum is known)",
  content: "could be read (nothing is known to check it by)",
} as const;

function summary(
  name: string,
  set: DataSet,
  splits: Splits<ImageBytes>,
  checks: readonly FileCheck[],
): readonly string[] {
  const { train, validation, calibration, test, protocol } = splits;
  const { mean, std } = channelStatistics(train);
  const counts = countClasses(train);
  const list = (values: readonly number[]) =>
    values.length > 4 ? `${values.length} channels` : values.map((value) => value.toFixed(4)).join(" ");
  const parts = Object.entries({ training: train, validation, calibration, test })
    .filter(([, { size }]) => size > 0)
    .map(([part, { size }]) => `${size} ${part}`);
  const checkLines = (["checksum", "size", "content"] as const).flatMap((by) => {
    const files = checks.filter((check) => check.by === by).map(({ file }) => basename(file));
    return files.length > 0 ? [`  ${CHECKED[by]}: ${[...new Set(files)].join(", ")}`] : [];
  });
  return [
    `${name}: ${parts.join(" + ")} images of ${train.shape.join(" x ")}, ${train.classes.length} classes`,
    ...checkLines,
    // Of a set that was read whole, the parts say nothing of what training would use.
    ...(set.whole ? [] : [`  ${protocol}`]),
    `  ${Math.min(...counts)} to ${Math.max(...counts)} training images a class; mean ${list(mean)}, deviation ${list(std)}`,
  ];
}

/** A line for each tenth of many pictures, and one at the end. */
export function decodeProgress(print: Print): (at: DecodeProgress) => void {
  return ({ done, total }) => {
    const step = Math.max(500, Math.ceil(total / 10));
    if (done % step === 0 || done === total) print(`decoded ${done} of ${total} pictures`);
  };
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
