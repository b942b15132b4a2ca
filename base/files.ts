// Files on disk (Node): read only where there is a file, written whole or not at all. Node's modules are asked of the
// running process, never imported, so that everything that uses this also loads in a browser.

import { codeOf, SortieError } from "./errors.ts";

/** What of a file's handle is used; the types of Node are not for everyone who uses this library. */
export interface OpenFile {
  stat(): Promise<{ readonly size: number }>;
  read(bytes: Uint8Array, offset?: number, length?: number, position?: number): Promise<{ readonly bytesRead: number }>;
  close(): Promise<void>;
}

/** What the system says of a path. */
interface Stats {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

const fs = (): typeof import("node:fs/promises") => process.getBuiltinModule("node:fs/promises");
const fsSync = (): typeof import("node:fs") => process.getBuiltinModule("node:fs");

/** Whether an error says that the disk is full. */
export const isDiskFull = (error: unknown): boolean => codeOf(error) === "ENOSPC";

/** How messages say that a disk is full. */
export const FULL_DISK = "got a full disk";

/** A full disk in words, without the end of the sentence: what to do next. */
export const diskFull = (path: string, need: string, left = "Nothing half-written is left"): string =>
  `${path} must have room for ${need}; ${FULL_DISK}. ${left}; free space`;

/** `$SORTIE_CACHE`, or `sortie` in the user's cache folder: `$XDG_CACHE_HOME`, else Windows' own, else `~/.cache`. */
export function cacheFolder(): string {
  const { SORTIE_CACHE, XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (SORTIE_CACHE) return SORTIE_CACHE;
  const { join } = process.getBuiltinModule("node:path");
  return join(
    XDG_CACHE_HOME || LOCALAPPDATA || join(process.getBuiltinModule("node:os").homedir(), ".cache"),
    "sortie",
  );
}

/** What is at a path instead of a file. */
export function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return "a folder";
  if (stats.isFIFO()) return "a pipe";
  return stats.isSocket() ? "a socket" : "a device";
}

/** An error like those of the system: `code` says what was found. */
const noFile = (path: string | URL, stats: Stats): Error =>
  Object.assign(new SortieError(`files: ${path} must be a file; got ${kindOf(stats)}.`), { code: kindOf(stats) });

/** A pipe without a writer would keep whoever opens it waiting; Windows has no such flag. */
const readFlags = (): number => {
  const { O_RDONLY, O_NONBLOCK } = fsSync().constants;
  return O_RDONLY | (O_NONBLOCK ?? 0);
};

/** Opens a file for reading. @throws Error with a `code`: of the system, or what is there instead of a file. */
export async function openFile(path: string | URL): Promise<OpenFile> {
  return open(path);
}

async function open(path: string | URL) {
  const file = await fs().open(path, readFlags());
  const stats = await file.stat();
  if (stats.isFile()) return file;
  await file.close();
  throw noFile(path, stats);
}

/** The same without waiting; a descriptor. */
export function openFileSync(path: string): number {
  const { openSync, fstatSync, closeSync } = fsSync();
  const file = openSync(path, readFlags());
  const stats = fstatSync(file);
  if (stats.isFile()) return file;
  closeSync(file);
  throw noFile(path, stats);
}

/** What a file holds; see `openFile`. */
export async function readWhole(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

/** A file's bytes in chunks, so that it need not fit into memory; see `openFile`. */
export async function* readChunks(path: string): AsyncGenerator<Uint8Array> {
  const file = await openFile(path);
  try {
    for (;;) {
      const bytes = new Uint8Array(1 << 20);
      const { bytesRead } = await file.read(bytes);
      if (bytesRead === 0) return;
      yield bytes.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** `readWhole` without waiting. */
export function readWholeSync(path: string): Uint8Array {
  const file = openFileSync(path);
  try {
    return fsSync().readFileSync(file);
  } finally {
    fsSync().closeSync(file);
  }
}

/** Whether a process of this machine is at work. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/**
 * What the system calls this machine, or container: others may write to the same folder, and count their own processes.
 */
const host = (): string => process.getBuiltinModule("node:os").hostname().replace(/\W/g, "_");

/**
 * Names under which content is written before it gets its own: nobody can guess them, and the process that writes is
 * known, with its machine.
 */
const PART = /\.(\d+)-(\w+)-[0-9a-f]{32}\.part$/;

/** A name beside `path` for what is not complete yet. */
export const partOf = (path: string): string =>
  `${path}.${process.pid}-${host()}-${crypto.randomUUID().replaceAll("-", "")}.part`;

/** Whether a name is one that `partOf` gave for this base name, in a process of this machine that is no more. */
function isLeft(name: string, base: string): boolean {
  const [, pid, where] = PART.exec(name) ?? [];
  return where === host() && name.startsWith(`${base}.`) && !isRunning(Number(pid));
}

/** The folder and the name in it. */
function place(path: string): readonly [folder: string, base: string] {
  const { dirname, basename } = process.getBuiltinModule("node:path");
  return [dirname(path), basename(path)];
}

/** What processes of this machine that are no more left of `path`: files and folders under names of `partOf`. */
export async function leftovers(path: string): Promise<string[]> {
  const [folder, base] = place(path);
  const names = await fs()
    .readdir(folder)
    .catch((): string[] => []);
  return names.filter((name) => isLeft(name, base)).map((name) => `${folder}/${name}`);
}

/** A device or a pipe must not be replaced by a file: `--out /dev/stdout` would. */
function checkTarget(path: string, stats: Stats | undefined): void {
  if (/^\/(dev|proc|sys)\//.test(path))
    throw Object.assign(new SortieError(`files: ${path} must be a file.`), { code: "a device" });
  if (stats && !stats.isFile()) throw noFile(path, stats);
}

/**
 * Writes a file that appears under its name only when it is complete and on disk: a kill or a full disk leaves the old
 * one, or none. It is written beside its place under a name that nobody can guess, and only if there is nothing of that
 * name: no link is followed, neither there nor at `path`. What killed processes of this machine left of this file goes.
 * @throws Error of the system
 */
export async function writeWhole(path: string, content: string | Uint8Array): Promise<void> {
  checkTarget(
    path,
    await fs()
      .stat(path)
      .catch(() => undefined),
  );
  const part = partOf(path);
  try {
    await fs().writeFile(part, content, { flag: "wx", flush: true });
    await fs().rename(part, path);
  } catch (error) {
    await fs().rm(part, { force: true });
    throw error;
  }
  for (const left of await leftovers(path)) await fs().rm(left, { force: true });
}

/** The same without waiting. */
export function writeWholeSync(path: string, content: string | Uint8Array): void {
  const { statSync, writeFileSync, renameSync, rmSync, readdirSync } = fsSync();
  checkTarget(path, statSync(path, { throwIfNoEntry: false }));
  const part = partOf(path);
  const [folder, base] = place(path);
  try {
    writeFileSync(part, content, { flag: "wx", flush: true });
    renameSync(part, path);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
  for (const name of readdirSync(folder)) if (isLeft(name, base)) rmSync(`${folder}/${name}`, { force: true });
}
