// What a run reads of the user's own: pictures, arrays, weights to start from. A path says where they lie, not what
// they are, so the settings of a run hold digests too: by these runs are told apart, wherever the files lie.

import { createHash, type Hash } from "node:crypto";
import { closeSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { SortieError } from "../../base/index.ts";
import { RUN_FILES } from "../../exits/index.ts";
import { reading } from "../files/whole.ts";
import { knownSet } from "./sets.ts";
import type { Place, Plain } from "./settings.ts";

/** Settings with what says where a run's files lie. */
interface Located {
  readonly data: { readonly name: string };
  readonly train: object;
}

const groupOf = ({ data, train }: Located, group: keyof Located): Plain => ({ ...(group === "data" ? data : train) });

/** Pictures that are read. */
const PICTURE = /\.(jpe?g|png)$/i;

/** Bytes that are read at once. */
const BLOCK = 1 << 22;

/** Paths of one's own files in a group of settings, and the setting that holds their digest. */
const OWN = [
  { group: "data", digest: "content", paths: { dir: digestOfPictures, file: digestOfFiles } },
  { group: "train", digest: "start", paths: { weights: digestOfFiles, from: digestOfWeights } },
] as const satisfies readonly {
  readonly group: keyof Located;
  readonly digest: string;
  /** Undefined where nothing is there. */
  readonly paths: Readonly<Record<string, (path: string) => string | undefined>>;
}[];

type Own = (typeof OWN)[number];

/** Official files have checksums, wherever they lie. */
const isOfficial = ({ group }: Own, { data }: Located): boolean =>
  group === "data" && knownSet("run", data.name).source !== undefined;

const pathsOf = ({ paths }: Own, settings: Plain) =>
  Object.entries<(path: string) => string | undefined>(paths).flatMap(([key, digestOf]) => {
    const path = settings[key];
    return typeof path === "string" ? [{ key, path: resolve(path), digestOf }] : [];
  });

/** Digests by path, for as long as they may be taken for true. */
export type Digests = Map<string, string | undefined>;

/**
 * The settings with the digest of each of one's own files that is there. @throws SortieError where a digest is given,
 * and the files are others.
 */
export function withContents<C extends Located>(place: Place, config: C, digests: Digests = new Map()): C {
  const filled = withDigests(config, digests);
  for (const own of OWN) {
    const given = groupOf(config, own.group)[own.digest];
    const [first] = pathsOf(own, groupOf(filled, own.group));
    const found = first && digests.get(first.path);
    if (given === undefined || found === undefined || given === found || isOfficial(own, config)) continue;
    const name = place.name(`${own.group}.${own.digest}`);
    throw new SortieError(
      `${place.where}: ${name} must be the digest of ${first?.path}, ${found}; got "${given}". These are other files than those of the run: leave it out for a run of its own.`,
    );
  }
  return filled;
}

function withDigests<C extends Located>(config: C, digests: Digests, owns: readonly Own[] = OWN): C {
  let filled = config;
  for (const own of owns) {
    const { group, digest } = own;
    if (isOfficial(own, config)) continue;
    const places = pathsOf(own, groupOf(config, group));
    for (const { path, digestOf } of places) if (!digests.has(path)) digests.set(path, digestOf(path));
    const found = places[0] && digests.get(places[0].path);
    filled = { ...filled, [group]: { ...(found && { [digest]: found }), ...groupOf(config, group) } };
  }
  return filled;
}

/** The settings with absolute paths of one's own files, for a process that runs in another folder. */
export function withAbsolutePaths<C extends Located>(config: C): C {
  let located = config;
  for (const own of OWN.filter((each) => !isOfficial(each, config))) {
    const settings = groupOf(config, own.group);
    const at = Object.fromEntries(pathsOf(own, settings).map(({ key, path }) => [key, path]));
    located = { ...located, [own.group]: { ...settings, ...at } };
  }
  return located;
}

/** The first of one's own files that is not here, if one is not: the setting that names it, and where it should be. */
export function missingFile(config: Located): { readonly key: string; readonly path: string } | undefined {
  return OWN.filter((own) => !isOfficial(own, config))
    .flatMap((own) => pathsOf(own, groupOf(config, own.group)).map((at) => ({ ...at, key: `${own.group}.${at.key}` })))
    .find(({ path, digestOf }) => digestOf(path) === undefined);
}

/**
 * Settings that a run was made with and others for it, as they are compared: where one has no digest, since it is older
 * or its files are gone, it has the other's if the paths are the same, and else that of the files as they are now.
 */
export function comparable<C extends Located>(before: C, now: C): readonly [before: C, now: C] {
  const unknown = OWN.filter(({ group, digest }) => groupOf(before, group)[digest] === undefined);
  const there = withDigests(before, new Map(), unknown);
  let here = now;
  for (const own of OWN) {
    const { group, digest } = own;
    const [was, is] = [there, now].map((config) => JSON.stringify(pathsOf(own, groupOf(config, group))));
    const known = groupOf(there, group)[digest];
    const settings = groupOf(now, group);
    if (known !== undefined && settings[digest] === undefined && was === is)
      here = { ...here, [group]: { ...settings, [digest]: known } };
  }
  return [there, here];
}

/** A group of settings without the paths of what is known by a digest, or by the checksums of official files. */
export function withoutPlaces(config: Located, group: Own["group"]): Plain {
  return OWN.reduce(
    (settings: Plain, own) => {
      if (own.group !== group || !(settings[own.digest] !== undefined || isOfficial(own, config))) return settings;
      return pathless(settings, own);
    },
    groupOf(config, group),
  );
}

/** A group of settings without any path of one's own files: for what is handed on. */
export const withoutPaths = (config: Located, group: Own["group"]): Plain =>
  OWN.filter((own) => own.group === group).reduce(pathless, groupOf(config, group));

const pathless = (settings: Plain, { paths }: Own): Plain =>
  Object.fromEntries(Object.entries(settings).filter(([key]) => !(key in paths)));

/** Of the last weights of a run. */
function digestOfWeights(run: string): string | undefined {
  return digestOfFiles(join(run, RUN_FILES.last));
}

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

/** Of the bytes of a file, or of the npy files in a folder: arrays of one shape have one size. */
function digestOfFiles(path: string): string | undefined {
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
