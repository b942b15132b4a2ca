// Fetches one official file: into `NAME.part`, which a later call carries on by an HTTP range request, then checked, and only
// then given its name. A broken line, a full disk or a kill leaves no half-written file that looks whole.

import { DataError } from "./errors.ts";
import { type FileOptions, findFault, node, type OfficialFile, sizeOf } from "./files.ts";

/** Times that one address is tried, as long as the line breaks. */
const ATTEMPTS = 4;

/**
 * Fetches `file` to `target` from the first of its addresses that gives the right content.
 * @throws DataError naming the file and what became of each address.
 */
export async function download(op: string, file: OfficialFile, target: string, options: FileOptions): Promise<void> {
  const fs = node("node:fs/promises");
  const part = `${target}.part`;
  await fs.mkdir(node("node:path").dirname(target), { recursive: true });
  const faults: string[] = [];
  for (const url of file.urls) {
    try {
      await fetchWhole(file, url, part, options);
    } catch (cause) {
      options.signal?.throwIfAborted();
      if ((cause as NodeJS.ErrnoException).code === "ENOSPC") throw diskFull(op, file, part, cause);
      faults.push(`${url}: ${reasonOf(cause)}`);
      continue;
    }
    const fault = await findFault(file, part);
    if (!fault) {
      await fs.rename(part, target);
      return;
    }
    // Carrying on from wrong bytes could never end well.
    await fs.rm(part, { force: true });
    faults.push(`${url}: the file ${fault.replace(/\.$/, "")}`);
  }
  throw new DataError(`${op}: ${target} must be downloaded; got ${faults.join(" | ")}.`, { file: target });
}

/** Fetches until the file is complete, carrying on after each break of the line. */
async function fetchWhole(file: OfficialFile, url: string, part: string, options: FileOptions): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await fetchRest(file, url, part, options);
      return;
    } catch (error) {
      const mayRetry = error instanceof BrokenLine && attempt < ATTEMPTS && !options.signal?.aborted;
      if (!mayRetry) throw error;
      await new Promise((resolve) => setTimeout(resolve, 250 * attempt));
    }
  }
}

/** The connection failed or ended early; another attempt may do better. */
class BrokenLine extends Error {}

async function fetchRest(file: OfficialFile, url: string, part: string, options: FileOptions): Promise<void> {
  let start = (await sizeOf(part)) ?? 0;
  if (file.bytes !== undefined && start === file.bytes) return;
  // Compressed transfer would make ranges and lengths mean something else.
  const headers: Record<string, string> = { "accept-encoding": "identity" };
  if (start > 0) headers["range"] = `bytes=${start}-`;
  const response = await fetch(url, { headers, signal: options.signal ?? null }).catch((cause: unknown) => {
    throw new BrokenLine(reasonOf(cause), { cause });
  });
  if (response.status === 416) {
    await response.body?.cancel();
    await node("node:fs/promises").rm(part, { force: true });
    throw new BrokenLine("the part on disk is longer than the file");
  }
  if (!response.ok || !response.body) throw new Error(`HTTP ${response.status} ${response.statusText}`);
  // A server without ranges, or with another one than asked for, sends the file from its beginning.
  if (response.status !== 206 || !response.headers.get("content-range")?.startsWith(`bytes ${start}-`)) start = 0;
  const length = response.headers.get("content-length");
  const total = file.bytes ?? (length === null ? undefined : start + Number(length));
  await append(response.body, part, start, (loaded) => options.onProgress?.({ file: file.name, loaded, total }));
  const size = await sizeOf(part);
  if (total !== undefined && size! < total)
    throw new BrokenLine(`the connection ended after ${size} of ${total} bytes`);
}

async function append(
  body: ReadableStream<Uint8Array>,
  part: string,
  start: number,
  onLoaded: (loaded: number) => void,
): Promise<void> {
  const handle = await node("node:fs/promises").open(part, start > 0 ? "a" : "w");
  const reader = body.getReader();
  try {
    let loaded = start;
    for (;;) {
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw new BrokenLine(reasonOf(cause), { cause });
      });
      if (done) break;
      await handle.writeFile(value);
      loaded += value.length;
      onLoaded(loaded);
    }
    await handle.sync();
  } finally {
    await reader.cancel().catch(() => {});
    await handle.close();
  }
}

function diskFull(op: string, file: OfficialFile, part: string, cause: unknown): DataError {
  return new DataError(
    `${op}: ${part} must have room for ${file.bytes ?? "all"} bytes; got a full disk. What was loaded stays; free space and load again.`,
    { file: part, cause },
  );
}

/** The innermost message: fetch wraps what really happened. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}
