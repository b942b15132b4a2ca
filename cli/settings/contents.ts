// What a run reads of the user's own: pictures and arrays. A path says where they lie, not what they are, so the
// settings of a run hold a digest too: by that runs are told apart, wherever the files lie.

import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { defined, SortieError } from "../../base/index.ts";
import { reading } from "../files/whole.ts";
import { knownSet } from "./sets.ts";
import { inFile, type Place, type Plain } from "./settings.ts";

/** What of a run's settings says where its data lie. */
interface Located {
  readonly data: {
    readonly name: string;
    readonly dir?: string;
    readonly file?: string;
    readonly content?: string;
  };
}

/** Pictures that are read. */
const PICTURE = /\.(jpe?g|png)$/i;

/** Bytes that are read at once. */
const BLOCK = 1 << 22;

/** Digests by path, for as long as they may be taken for true. */
export type Digests = Map<string, string | undefined>;

/**
 * The settings with absolute paths of one's own files, and the digest of each that is there. @throws SortieError where
 * a digest is given, and the files are others.
 */
export function withContents<C extends Located>(place: Place, config: C, digests: Digests = new Map()): C {
  const { content } = config.data;
  const path = ownPath(config);
  if (path === undefined) return config;
  if (!digests.has(path)) digests.set(path, digestOf(config, path));
  const found = digests.get(path);
  if (found !== undefined && content !== undefined && found !== content)
    throw new SortieError(
      `${place.where}: ${place.name("data.content")} must be the digest of ${path}, ${found}; got "${content}". These are other files than those of the run: leave it out for a run of its own.`,
    );
  const { dir, file } = config.data;
  const known = defined({ dir: dir && resolve(dir), file: file && resolve(file), content: content ?? found });
  return { ...config, data: { ...config.data, ...known } };
}

/**
 * Settings that a run was made with and others for it, as they are compared: where one has no digest, since it is older
 * or its files are gone, it has the other's if the paths are the same, and else that of the files as they are now.
 */
export function comparable<C extends Located>(before: C, now: C): readonly [before: C, now: C] {
  const filled = before.data.content === undefined ? withContents(inFile("run"), before) : before;
  const { dir, file, content } = filled.data;
  const isSame = now.data.content === undefined && now.data.dir === dir && now.data.file === file;
  return [filled, isSame ? { ...now, data: { ...now.data, ...defined({ content }) } } : now];
}

/** A data set without the paths of what is known by its digest, or by the checksums of official files. */
export function withoutPlaces({ dir, file, ...data }: Located["data"]): Plain {
  const isKnown = data.content !== undefined || knownSet("run", data.name).source !== undefined;
  return isKnown ? data : { ...data, ...defined({ dir, file }) };
}

const ownPath = ({ data: { name, dir, file } }: Located): string | undefined =>
  knownSet("run", name).source ? undefined : (file ?? dir);

const digestOf = ({ data: { file } }: Located, path: string): string | undefined =>
  file === undefined ? digestOfPictures(path) : digestOfArrays(path);

/** Of names and sizes: who would read all of a large folder at every command? Training looks at the pixels too. */
function digestOfPictures(dir: string): string | undefined {
  if (!statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  const hash = createHash("sha256");
  for (const entry of picturesIn(dir)) hash.update(JSON.stringify(entry));
  return hash.digest("hex");
}

/** Names from the folder on, and sizes in bytes; what is hidden is none. Links lead to folders of classes and parts. */
function picturesIn(dir: string, below: readonly string[] = []): readonly (readonly [name: string, bytes: number])[] {
  const at = (name: string) => join(dir, ...below, name);
  const entries = reading(at(""), () => readdirSync(at(""), { withFileTypes: true }));
  return entries
    .filter(({ name }) => !name.startsWith("."))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const { name } = entry;
      const stat = statSync(at(name), { throwIfNoEntry: false });
      if (stat?.isDirectory()) return entry.isDirectory() || below.length < 2 ? picturesIn(dir, [...below, name]) : [];
      return stat && PICTURE.test(name) ? [[[...below, name].join("/"), stat.size] as const] : [];
    });
}

/** Of the bytes of an npz file, or of the npy files in a folder: arrays of one shape have one size. */
function digestOfArrays(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat) return undefined;
  const hash = createHash("sha256");
  if (!stat.isDirectory()) addFile(hash, path);
  else
    for (const name of reading(path, () => readdirSync(path))
      .filter((file) => file.endsWith(".npy"))
      .sort()) {
      hash.update(JSON.stringify(name));
      addFile(hash, join(path, name));
    }
  return hash.digest("hex");
}

function addFile(hash: Hash, path: string): void {
  reading(path, () => {
    const file = openSync(path, "r");
    try {
      const block = new Uint8Array(BLOCK);
      for (let n = readSync(file, block); n > 0; n = readSync(file, block)) hash.update(block.subarray(0, n));
    } finally {
      closeSync(file);
    }
  });
}
