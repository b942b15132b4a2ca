// The one way to an official file: look for it, download it if that is allowed, check it.

import { addressesOf, download } from "./download.ts";
import { DataError } from "./errors.ts";
import { type FileOptions, findFault, node, type OfficialFile, readBytes, sizeOf } from "./files.ts";

/**
 * The path of an official file in `folder`, downloaded if need be and allowed, and checked.
 * @throws DataError naming the file, and its expected and found size or checksum.
 */
export async function obtain(op: string, file: OfficialFile, folder: string, options: FileOptions): Promise<string> {
  const target = node("node:path").join(folder, file.name);
  const size = await sizeOf(target);
  if (size === undefined && !options.download) throw missing(op, file, target);
  // What an interrupted copy leaves may be empty; nothing is lost with it.
  if (!size && options.download) await download(op, file, target, options);
  await checkFile(op, file, target, options);
  return target;
}

/** The content of an official file, and its path for messages; see `obtain`. */
export async function readOfficial(
  op: string,
  file: OfficialFile,
  folder: string,
  options: FileOptions,
): Promise<{ readonly bytes: Uint8Array; readonly path: string }> {
  const path = await obtain(op, file, folder, options);
  return { bytes: await readBytes(path), path };
}

/**
 * Compares a file at `path` with what is known of it. @throws DataError with its expected and found size or checksum.
 */
export async function checkFile(
  op: string,
  file: OfficialFile,
  path: string,
  { verify = true, onChecked }: FileOptions,
): Promise<void> {
  if (!verify) return;
  const again = "load again with download: true (--download).";
  const fail = (fault: string): DataError => new DataError(`${op}: ${path} ${fault}`, { file: path });
  if ((await sizeOf(path)) === undefined) throw fail(`must exist; got no file. Put it there, or ${again}`);
  const fault = await findFault(file, path);
  if (fault) throw fail(`${fault} Delete it, and ${again}`);
  const sizeOrLess = file.bytes === undefined ? "content" : "size";
  onChecked?.({ file: path, by: file.checksum ? "checksum" : sizeOrLess });
}

function missing(op: string, file: OfficialFile, target: string): DataError {
  const amount = file.bytes === undefined ? "it" : `${file.bytes} bytes`;
  const ways = `Name its folder by dir (--data-dir), or pass download: true (--download) to fetch ${amount} from ${addressesOf(file)[0]}.`;
  return new DataError(`${op}: ${target} must exist; got no file. ${ways}`, { file: target });
}
