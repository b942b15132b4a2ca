// Files of a run: written whole or not at all, read with an error that names the file.

import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import {
  codeOf,
  diskFull,
  isDiskFull,
  kindOf,
  messageOf,
  readWholeSync,
  SortieError,
  writeWholeSync,
} from "../../base/index.ts";

/**
 * Writes a file beside its place and then renames it: a kill or a full disk leaves the old file, or none, but no half.
 * @throws Error that names the file, and says so where the disk is full.
 */
export function writeWhole(path: string, content: string | Uint8Array): void {
  try {
    mkdirSync(dirname(path), { recursive: true });
    writeWholeSync(path, content);
  } catch (cause) {
    throw writeError(path, typeof content === "string" ? Buffer.byteLength(content) : content.length, cause);
  }
}

function writeError(path: string, bytes: number, cause: unknown): Error {
  const code = codeOf(cause);
  const message = isDiskFull(cause)
    ? `${diskFull(path, `${bytes} bytes`)} and run the command again.`
    : `${path} must be writable; got ${code ?? String(cause)}.`;
  return new SortieError(message, { cause });
}

/** What a text file holds. @throws Error that names the file. */
export const readText = (path: string): string => new TextDecoder().decode(reading(path, () => readWholeSync(path)));

/** The size of a file in bytes. @throws Error that names the file. */
export function sizeOf(path: string): number {
  const stat = reading(path, () => statSync(path));
  if (stat.isFile()) return stat.size;
  throw new SortieError(`${path} must be a readable file; got ${kindOf(stat)}.`);
}

/** What `read` returns. @throws Error that names the file, where the system refuses it. */
export function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new SortieError(`${path} must be a readable file; got ${codeOf(cause)}.`, { cause });
  }
}

/** What a JSON file holds. @throws Error that names the file. */
export function readJson(path: string): unknown {
  const text = readText(path);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SortieError(`${path} must be JSON; ${messageOf(cause)}.`, { cause });
  }
}

/** What stands on one line at most. */
const WIDTH = 120;

/** Lists and records of plain values, as `JSON.stringify` spreads them over lines: no value holds a line's end. */
const INNERMOST = /^( *)(.*[{[])\n([^{}[\]]*)\n *([}\]],?)$/gm;

/** Indented JSON for people: what fits stands on one line. */
export const folded = (json: string): string =>
  json.replace(INNERMOST, (all: string, indent: string, start: string, inner: string, end: string) => {
    const values = inner.trim().replace(/\n */g, " ");
    const line = `${indent}${start}${start.endsWith("{") ? ` ${values} ` : values}${end}`;
    return line.length <= WIDTH ? line : all;
  });

/** JSON for people, with a line break at its end. */
export const toJson = (value: unknown): string => `${folded(JSON.stringify(value, null, 2))}\n`;

/** A full disk in words, with the path that the error names, or else the folder; other errors as they are. */
export function withDisk(error: unknown, folder: string): unknown {
  if (!isDiskFull(error)) return error;
  const { path = folder } = error as NodeJS.ErrnoException;
  const hint = ", and run the same again to go on from the last checkpoint.";
  return new SortieError(`train: ${diskFull(path, "the run")}${hint}`, { cause: error });
}
