// Fetches one official file: into a name that nobody can guess, which a later call carries on by an HTTP range request,
// then checked, and only then given its name. A broken line, a full disk or a kill leaves no half-written file that
// looks whole.

import { diskFull, isDiskFull, leftovers, partOf, readWhole, SortieError, writeWhole } from "../base/index.ts";
import { DataError } from "./errors.ts";
import { type FileOptions, findFault, node, type OfficialFile, sizeOf } from "./files.ts";
import { ConnectionError, get, type HttpAnswer, reasonOf } from "./http.ts";

/** Times that one address is tried, as long as the line breaks. */
const ATTEMPTS = 4;

/** Addresses in the order in which they are tried: what comes encrypted cannot be changed on its way. */
export const addressesOf = ({ urls }: OfficialFile): readonly string[] => {
  const isSecure = (url: string) => url.startsWith("https:");
  return [...urls.filter(isSecure), ...urls.filter((url) => !isSecure(url))];
};

/** A download under way. */
interface Load {
  readonly file: OfficialFile;
  readonly target: string;
  /** Where it is written. */
  readonly part: string;
  readonly options: FileOptions;
}

/**
 * Fetches `file` to `target` from the first of its addresses that gives the right content.
 * @throws DataError naming the file and what became of each address.
 */
export async function download(op: string, file: OfficialFile, target: string, options: FileOptions): Promise<void> {
  const fs = node("node:fs/promises");
  await fs.mkdir(node("node:path").dirname(target), { recursive: true });
  const load: Load = { file, target, part: partOf(target), options };
  await takeUp(load);
  const faults: string[] = [];
  try {
    for (const url of addressesOf(file)) {
      const fault = await attempt(load, url);
      if (!fault) return;
      faults.push(`${url}: ${fault}`);
    }
  } catch (cause) {
    if (isDiskFull(cause)) throw noRoom(op, file, restOf(target), cause);
    throw cause;
  } finally {
    // What was loaded waits under a name by which the next call finds it; there is none if all went well.
    await fs.rename(load.part, restOf(target)).catch(() => {});
  }
  throw new DataError(`${op}: ${target} must be downloaded; got ${faults.join(" | ")}.`, { file: target });
}

const restOf = (target: string): string => `${target}.part`;
/** Says which version of which address the part on disk is of. */
const originOf = (target: string): string => `${target}.part.json`;

/**
 * Takes what an earlier call or a killed process left, unless it is no plain file of its own: whoever may write to the
 * folder could have put a link there.
 */
async function takeUp({ target, part }: Load): Promise<void> {
  const fs = node("node:fs/promises");
  for (const left of [restOf(target), ...(await leftovers(target))]) {
    const isTaken = (await sizeOf(part)) !== undefined;
    const stats = await fs.lstat(left).catch(() => undefined);
    if (!isTaken && stats?.isFile() && stats.nlink === 1) await fs.rename(left, part).catch(() => {});
    else if (stats) await fs.rm(left, { force: true });
  }
}

/** Tries one address to the end; what is wrong with it, or undefined when the file is in its place. */
async function attempt(load: Load, url: string): Promise<string | undefined> {
  const { file, target, part, options } = load;
  const fs = node("node:fs/promises");
  const isTakenUp = (await sizeOf(part)) !== undefined;
  try {
    await fetchWhole(load, url);
  } catch (cause) {
    options.signal?.throwIfAborted();
    if (isDiskFull(cause)) throw cause;
    return reasonOf(cause);
  }
  const fault = await findFault(file, part);
  await fs.rm(originOf(target), { force: true });
  if (!fault) {
    await fs.rename(part, target);
    return undefined;
  }
  // Carrying on from wrong bytes could never end well.
  await fs.rm(part, { force: true });
  // The wrong bytes may be those that an earlier call left, or another address: this one has the beginning to give too.
  if (isTakenUp) return attempt(load, url);
  return `the file ${fault.replace(/\.$/, "")}`;
}

/** Fetches until the file is complete, carrying on after each break of the line. */
async function fetchWhole(load: Load, url: string): Promise<void> {
  for (let count = 1; ; count++) {
    try {
      await fetchRest(load, url);
      return;
    } catch (error) {
      const mayRetry = error instanceof ConnectionError && count < ATTEMPTS && !load.options.signal?.aborted;
      if (!mayRetry) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250 * count));
    }
  }
}

async function fetchRest(load: Load, url: string): Promise<void> {
  const { file, target, part, options } = load;
  let start = (await sizeOf(part)) ?? 0;
  if (file.bytes !== undefined && start === file.bytes) return;
  const version = start > 0 ? await versionOf(target, url) : undefined;
  // Without a checksum nobody would notice that two versions were put together.
  if (!file.checksum && version === undefined) start = 0;
  // Compressed transfer would make ranges and lengths mean something else.
  const headers: Record<string, string> = { "accept-encoding": "identity", "user-agent": "sortie" };
  if (start > 0) headers["range"] = `bytes=${start}-`;
  if (start > 0 && version !== undefined) headers["if-range"] = version;
  const answer = await get(url, { headers, signal: options.signal, ...options.patience });
  try {
    if (answer.status === 416) {
      await node("node:fs/promises").rm(part, { force: true });
      throw new ConnectionError("the part on disk is longer than the file");
    }
    if (answer.status !== 200 && answer.status !== 206)
      throw new SortieError(`HTTP ${answer.status} ${answer.statusText}`.trim());
    // A server without ranges, of another version, or with another range than asked for, sends the file from its
    // beginning.
    const isRest = answer.status === 206 && answer.headers["content-range"]?.startsWith(`bytes ${start}-`);
    if (answer.status === 206 && !isRest) throw new SortieError("another range than was asked for");
    if (!isRest) start = 0;
    await receive(load, url, answer, start);
  } finally {
    answer.close();
  }
}

/** Writes what comes behind the `start` bytes on disk, and nothing beyond the known size. */
async function receive({ file, target, part, options }: Load, url: string, answer: HttpAnswer, start: number) {
  const length = answer.headers["content-length"];
  const announced = length === undefined ? undefined : start + Number(length);
  if (file.bytes !== undefined && announced !== undefined && announced > file.bytes) {
    throw new SortieError(`the file must have ${file.bytes} bytes; got ${announced}`);
  }
  const total = file.bytes ?? announced;
  await writeWhole(originOf(target), JSON.stringify({ url, version: versionIn(answer) }));
  const handle = await openPart(part, start);
  let loaded = start;
  try {
    for await (const chunk of answer.body) {
      if (total !== undefined && loaded + chunk.length > total) {
        throw new SortieError(`the file must have ${total} bytes; got more`);
      }
      await handle.writeFile(chunk);
      loaded += chunk.length;
      options.onProgress?.({ file: file.name, loaded, total });
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  if (total !== undefined && loaded < total)
    throw new ConnectionError(`the connection ended after ${loaded} of ${total} bytes`);
}

/** The part, ready to take what follows; none is made through a link. */
function openPart(part: string, start: number) {
  const { O_WRONLY, O_APPEND, O_CREAT, O_TRUNC, O_NOFOLLOW = 0 } = node("node:fs").constants;
  return node("node:fs/promises").open(part, O_WRONLY | O_CREAT | O_NOFOLLOW | (start > 0 ? O_APPEND : O_TRUNC), 0o666);
}

/** What tells versions of a file apart: a strong ETag, or else a date. */
function versionIn({ headers: { etag, "last-modified": date } }: HttpAnswer): string | undefined {
  return etag !== undefined && !etag.startsWith("W/") ? etag : date;
}

/** The version that the part on disk is of, if it came from this address and that said one. */
async function versionOf(target: string, url: string): Promise<string | undefined> {
  try {
    const origin = JSON.parse(new TextDecoder().decode(await readWhole(originOf(target)))) as Record<string, unknown>;
    const { url: from, version } = origin;
    return from === url && typeof version === "string" && /^[ -~]+$/.test(version) ? version : undefined;
  } catch {
    return undefined;
  }
}

function noRoom(op: string, file: OfficialFile, part: string, cause: unknown): DataError {
  const sentence = diskFull(part, `${file.bytes ?? "all"} bytes`, "What was loaded stays");
  return new DataError(`${op}: ${sentence} and load again.`, { file: part, cause });
}
