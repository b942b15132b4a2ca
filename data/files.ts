// Files on disk: what is known of official ones, where they lie, whether they are intact. Node's modules are looked up when
// called and never imported, so that `data` also loads in a browser.

import { DataError } from "./errors.ts";

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

/** How far a download is, in bytes. */
export interface DownloadProgress {
  readonly file: string;
  readonly loaded: number;
  /** Undefined if neither the publisher nor the server says. */
  readonly total: number | undefined;
}

/** Where files are looked for, and what may be done to get them. */
export interface FileOptions {
  /** Default: a folder of the data set's name in `cacheFolder()`. */
  readonly dir?: string;
  /** Fetch files that are missing; default false. */
  readonly download?: boolean;
  /** Check sizes and checksums; default true. */
  readonly verify?: boolean;
  readonly onProgress?: (progress: DownloadProgress) => void;
  readonly signal?: AbortSignal;
}

type NodeModule = "node:fs" | "node:fs/promises" | "node:crypto" | "node:path" | "node:os";
interface NodeModules {
  readonly "node:fs": typeof import("node:fs");
  readonly "node:fs/promises": typeof import("node:fs/promises");
  readonly "node:crypto": typeof import("node:crypto");
  readonly "node:path": typeof import("node:path");
  readonly "node:os": typeof import("node:os");
}

/** A module of Node. @throws DataError elsewhere. */
export function node<Name extends NodeModule>(name: Name): NodeModules[Name] {
  const found = globalThis.process?.getBuiltinModule?.(name) as NodeModules[Name] | undefined;
  if (found) return found;
  throw new DataError(
    "data: reading files needs Node 20.16 or newer; got another platform. Here, use glyphs() or decode bytes.",
  );
}

/** `$SORTIE_CACHE`, or `sortie` in the user's cache folder. */
export function cacheFolder(): string {
  const { env } = process;
  const path = node("node:path");
  if (env["SORTIE_CACHE"]) return env["SORTIE_CACHE"];
  return path.join(env["XDG_CACHE_HOME"] || path.join(node("node:os").homedir(), ".cache"), "sortie");
}

/** The folder of a data set: `dir`, or its place in the cache. */
export const folderOf = (name: string, { dir }: FileOptions): string =>
  dir ?? node("node:path").join(cacheFolder(), name);

/** The content of a file, as bytes that start at offset 0 of their buffer. */
export async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await node("node:fs/promises").readFile(path));
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
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
  for await (const chunk of node("node:fs").createReadStream(path, { highWaterMark: 1 << 20 }))
    hash.update(chunk as Buffer);
  return hash.digest("hex");
}
