// The one way to an official file: look for it, download it if that is allowed, check it.

import { download } from "./download.ts";
import { DataError } from "./errors.ts";
import { type FileOptions, findFault, node, type OfficialFile, readBytes, sizeOf } from "./files.ts";

/**
 * The path of an official file in `folder`, downloaded if need be and allowed, and checked.
 * @throws DataError naming the file, and its expected and found size or checksum.
 */
export async function obtain(op: string, file: OfficialFile, folder: string, options: FileOptions): Promise<string> {
  const target = node("node:path").join(folder, file.name);
  if (!(await sizeOf(target))) {
    if (!options.download) throw missing(op, file, target);
    await download(op, file, target, options);
  } else if (options.verify ?? true) {
    const fault = await findFault(file, target);
    const hint = " Delete it, and load again with download: true.";
    if (fault) throw new DataError(`${op}: ${target} ${fault}${hint}`, { file: target });
  }
  return target;
}

/** The content of an official file; see `obtain`. */
export async function readOfficial(
  op: string,
  file: OfficialFile,
  folder: string,
  options: FileOptions,
): Promise<Uint8Array> {
  return readBytes(await obtain(op, file, folder, options));
}

function missing(op: string, file: OfficialFile, target: string): DataError {
  const amount = file.bytes === undefined ? "it" : `${file.bytes} bytes`;
  return new DataError(
    `${op}: ${target} must exist; got no file. Name its folder by dir, or pass download: true to fetch ${amount} from ${file.urls[0]}.`,
    { file: target },
  );
}
