// Files on disk: what is known of official ones, where they lie, whether they are intact. Node's modules are looked up
// when called and never imported, so that `data` also loads in a browser.

import { cacheFolder, codeOf, type Kinds, LIMIT, option, readChunks, readWhole } from "../base/index.ts";
import { DataError, readOptions } from "./errors.ts";

/** A file as its publisher gives it out. */
export interface OfficialFile {
  readonly name: string;
  /** Its size, if known. */
  readonly bytes?: number;
  /** `git-blob` is SHA-1 over "blob", the size and the content: the name of the file in a git repository. */
  readonly checksum?: { readonly algorithm: "sha256" | "md5" | "git-blob"; readonly hex: string };
  /** Tried in this order. */
  readonly urls: readonly string[];
}

/** Where a data set comes from, and what of it lies on disk. */
export interface SetSource {
  /** Its folder in `cacheFolder()`. */
  readonly folder: string;
  readonly files: readonly OfficialFile[];
  /** What unpacking them leaves: these names, in the folder itself or in one of that name inside of it. */
  readonly unpacked?: { readonly folder?: string; readonly names: readonly string[] };
  /** Another version of the set, which is read where it is there whole and nothing of this one is. */
  readonly instead?: SetSource;
}

/** How a file was found to be right. */
export interface FileCheck {
  /** Its path. */
  readonly file: string;
  /** `size`: no checksum is known. `content`: it could be decoded, and nothing else is known of it. */
  readonly by: "checksum" | "size" | "content";
}

/** How far a download is, in bytes. */
export interface DownloadProgress {
  readonly file: string;
  readonly loaded: number;
  /** Undefined if neither the publisher nor the server says. */
  readonly total: number | undefined;
}

/** How long a silent server is waited for, in milliseconds. */
export interface Patience {
  /** For a connection and the head of the answer; default 30,000. */
  readonly connect?: number;
  /** For the next bytes; default 60,000. */
  readonly idle?: number;
}

/** Where files are looked for, and what may be done to get them. */
export interface FileOptions {
  /** Default: a folder of the data set's name in `cacheFolder()`. */
  readonly dir?: string;
  /** Fetch files that are missing; default false. */
  readonly download?: boolean;
  /** Check sizes and checksums; default true. */
  readonly verify?: boolean;
  /** Called for each file that was checked. */
  readonly onChecked?: (check: FileCheck) => void;
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** How long a silent server is waited for while downloading. */
  readonly patience?: Patience;
  readonly signal?: AbortSignal;
}

/** Those of them that a command has too. */
export const PLACE = {
  dir: option.text(undefined, "folder of its files (default: the cache, see sortie data)"),
  download: option.toggle(undefined, "fetch missing files"),
} as const;

export const FILES: Kinds<FileOptions> = {
  ...PLACE,
  verify: option.toggle(true, "check sizes and checksums"),
  onChecked: "function",
  onProgress: "function",
  signal: "any",
  patience: {
    must: "connect and idle in milliseconds, each a positive number or Infinity",
    fits: (value) =>
      typeof value === "object" &&
      value !== null &&
      Object.entries(value).every(([name, ms]) => ["connect", "idle"].includes(name) && LIMIT.fits(ms)),
  },
};

/** @internal */
type NodeModule = keyof NodeModules;
/** @internal */
interface NodeModules {
  readonly "node:fs": typeof import("node:fs");
  readonly "node:fs/promises": typeof import("node:fs/promises");
  readonly "node:crypto": typeof import("node:crypto");
  readonly "node:path": typeof import("node:path");
  readonly "node:os": typeof import("node:os");
  readonly "node:http": typeof import("node:http");
  readonly "node:https": typeof import("node:https");
  readonly "node:tls": typeof import("node:tls");
}

/**
 * A module of Node. @throws DataError elsewhere.
 * @internal
 */
export function node<Name extends NodeModule>(name: Name): NodeModules[Name] {
  const found = globalThis.process?.getBuiltinModule?.(name) as NodeModules[Name] | undefined;
  if (found) return found;
  throw new DataError(
    "data: reading files needs Node 20.16 or newer; got another platform. Here, use glyphs() or decode bytes.",
  );
}

/** The part of the options that says where files lie. */
export const placeOf = ({ dir }: Pick<FileOptions, "dir">): Pick<FileOptions, "dir"> =>
  dir === undefined ? {} : { dir };

/** The folder of a data set: `dir`, or its place in the cache. */
export const folderOf = (source: SetSource, { dir }: Pick<FileOptions, "dir">): string =>
  dir ?? node("node:path").join(cacheFolder(), source.folder);

/** What of a data set is on disk. */
export interface Presence {
  /** The version that is there, or the set's own. */
  readonly source: SetSource;
  /** Whether all of it is there, packed or unpacked; by the names alone, which loading looks behind. */
  readonly isWhole: boolean;
  /** Where its files belong. */
  readonly folder: string;
  /** How many of its files are there. */
  readonly files: number;
  /** The folder that has some of what unpacking leaves, and what it has. */
  readonly unpacked?: { readonly folder: string; readonly names: readonly string[]; readonly isWhole: boolean };
}

/** Looks for a data set's files, and for what was unpacked from them: what loading it reads. */
export async function lookFor(source: SetSource, options: Pick<FileOptions, "dir"> = {}): Promise<Presence> {
  readOptions("lookFor", options, { dir: PLACE.dir });
  const own = await presenceOf(source, folderOf(source, options));
  if (!source.instead || own.files > 0 || own.unpacked) return own;
  const other = await lookFor(source.instead, options);
  return other.isWhole ? other : own;
}

async function presenceOf(source: SetSource, folder: string): Promise<Presence> {
  const { join } = node("node:path");
  const namesIn = async (place: string, names: readonly string[]): Promise<readonly string[]> => {
    const entries = await node("node:fs/promises")
      .readdir(place)
      .catch((): string[] => []);
    return names.filter((name) => entries.includes(name));
  };
  const names = source.files.map(({ name }) => name);
  const files = (await namesIn(folder, names)).length;
  const found = { source, folder, files, isWhole: files === names.length };
  const { unpacked } = source;
  if (!unpacked) return found;
  for (const place of [join(folder, unpacked.folder ?? ""), folder]) {
    const there = await namesIn(place, unpacked.names);
    if (there.length === 0) continue;
    const isWhole = there.length === unpacked.names.length;
    return { ...found, isWhole: found.isWhole || isWhole, unpacked: { folder: place, names: there, isWhole } };
  }
  return found;
}

/** The content of a file, as bytes that start at offset 0 of their buffer. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    node("node:fs");
    return new Uint8Array(await readWhole(path));
  } catch (cause) {
    if (cause instanceof DataError) throw cause;
    const code = codeOf(cause) ?? String(cause);
    throw new DataError(`readBytes: ${path} must be a readable file; got ${code}.`, { file: path, cause });
  }
}

/** The size of a file, or undefined if there is none. */
export async function sizeOf(path: string): Promise<number | undefined> {
  const stat = await node("node:fs/promises")
    .stat(path)
    .catch(() => undefined);
  return stat?.isFile() ? stat.size : undefined;
}

/** What is wrong with the file at `path`, as `must have ...; got ....`, or undefined. */
export async function findFault(file: OfficialFile, path: string): Promise<string | undefined> {
  const size = await sizeOf(path);
  if (file.bytes !== undefined && size !== file.bytes)
    return `must have ${file.bytes} bytes; got ${size ?? "no file"}.`;
  if (!file.checksum) return undefined;
  const { algorithm, hex } = file.checksum;
  const found = await hashFile(path, algorithm);
  return found === hex ? undefined : `must have ${algorithm} ${hex}; got ${found}.`;
}

async function hashFile(path: string, algorithm: "sha256" | "md5" | "git-blob"): Promise<string> {
  const hash = node("node:crypto").createHash(algorithm === "git-blob" ? "sha1" : algorithm);
  if (algorithm === "git-blob") hash.update(`blob ${await sizeOf(path)}\0`);
  for await (const chunk of readChunks(path)) hash.update(chunk);
  return hash.digest("hex");
}
