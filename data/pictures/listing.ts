// What lies in a folder of pictures: a folder for each class or, above those, folders of parts.

import { codeOf } from "../../base/index.ts";
import { DataError, ensure } from "../errors.ts";
import { node } from "../files.ts";

/** Parts that a folder may bring along, by the names of their folders. */
const PART_FOLDERS: Readonly<Record<"train" | "validation" | "calibration" | "test", readonly string[]>> = {
  train: ["train", "training"],
  validation: ["val", "valid", "validation"],
  calibration: ["cal", "calib", "calibration"],
  test: ["test", "testing"],
};

/** A part that a folder may bring along; `all` where it is not divided. */
export type GivenPart = keyof typeof PART_FOLDERS | "all";

/** A picture's file. */
interface PictureFile {
  /** From the folder on, with slashes. */
  readonly path: string;
  readonly label: number;
  readonly part: GivenPart;
  readonly bytes: number;
  /** When it was changed, in milliseconds. */
  readonly changed: number;
}

/** All pictures of a folder, by part, class and path. */
export interface Listing {
  readonly classes: readonly string[];
  readonly files: readonly PictureFile[];
  /** Pictures in formats that are not read. */
  readonly others: readonly string[];
}

const READ = /\.(jpe?g|png)$/i;
const NOT_READ = /\.(jfif|webp|gif|bmp|tiff?|avif|heic|heif|jxl|svg)$/i;

/** How folders of parts begin, such as Kaggle's test1. */
const PART = /^(train|val|cal|test)/i;

type Place = { readonly part: GivenPart; readonly name: string; readonly folder: string };

/** Looks through a folder. @throws DataError for one without classes, and for a class without pictures. */
export async function listPictures(dir: string): Promise<Listing> {
  const top = await foldersIn(dir);
  const parts = (["train", "validation", "calibration", "test"] as const).flatMap((part) =>
    top.filter((name) => PART_FOLDERS[part].includes(name.toLowerCase())).map((name) => [part, name] as const),
  );
  // A class may be called train: pictures lie in its folder, and folders of classes in that of a part.
  const inTrain = parts.flatMap(([part, name]) => (part === "train" ? [foldersIn(`${dir}/${name}`)] : []));
  const isDivided = (await Promise.all(inTrain)).some((folders) => folders.length > 0);
  const places: Place[] = [];
  for (const [part, folder] of isDivided ? parts : [["all", ""] as const]) {
    for (const name of folder === "" ? top : await foldersIn(`${dir}/${folder}`))
      places.push({ part, name, folder: folder === "" ? name : `${folder}/${name}` });
  }
  const classes = [...new Set(places.map(({ name }) => name))].sort();
  // Where nothing but parts lies there, what is in them has no class.
  const isPlain = isDivided || classes.some((name) => !PART.test(name));
  ensure(
    classes.length >= 2 && isPlain,
    () =>
      `pictures: ${dir} must hold a folder of pictures for each class, two at least, or folders train, val and test of such; got ${classes.join(", ") || "no folder"}.`,
    { file: dir },
  );
  const files: PictureFile[] = [];
  const others: string[] = [];
  for (const { part, name, folder } of places) {
    const paths = (await filesIn(dir, folder)).sort();
    const found = paths.filter((path) => READ.test(path));
    for (const path of paths) if (NOT_READ.test(path)) others.push(path);
    ensure(found.length > 0, () => `pictures: ${dir}/${folder} must hold JPEG or PNG files; got none.`, {
      file: `${dir}/${folder}`,
    });
    for (const path of found) {
      const { size, mtimeMs } = await node("node:fs/promises").stat(`${dir}/${path}`);
      files.push({ path, label: classes.indexOf(name), part, bytes: size, changed: mtimeMs });
    }
  }
  return { classes, files, others };
}

/** Names of the folders in a folder, links to such among them; hidden ones are none. */
async function foldersIn(dir: string): Promise<string[]> {
  const { readdir, stat } = node("node:fs/promises");
  const entries = await readdir(dir, { withFileTypes: true }).catch((cause: unknown) => {
    const code = codeOf(cause);
    throw new DataError(`pictures: ${dir} must be a folder that can be read; got ${code ?? String(cause)}.`, {
      file: dir,
      cause,
    });
  });
  const isFolder = await Promise.all(
    entries.map(async (entry) =>
      entry.isSymbolicLink()
        ? (await stat(`${dir}/${entry.name}`).catch(() => entry)).isDirectory()
        : entry.isDirectory(),
    ),
  );
  return entries
    .filter(({ name }, i) => isFolder[i] && !name.startsWith("."))
    .map(({ name }) => name)
    .sort();
}

/** Paths from `dir` on of all files below one of its folders; hidden ones are none. */
async function filesIn(dir: string, folder: string): Promise<string[]> {
  const entries = await node("node:fs/promises").readdir(`${dir}/${folder}`, { withFileTypes: true });
  const found: string[][] = [];
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const path = `${folder}/${entry.name}`;
    found.push(entry.isDirectory() ? await filesIn(dir, path) : [path]);
  }
  return found.flat();
}
