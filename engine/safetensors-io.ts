// safetensors from and to the outside: files (Node), blobs, fetch responses. Node's modules are asked of the running
// process, never imported, so that a browser bundle holds no trace of them.

import { isNode, type Kinds, openFile, what, writeWhole } from "../base/index.ts";
import { ArgumentError, FormatError, readOptions } from "./errors.ts";
import { decodeSafetensors, encodeSafetensors, type SafetensorsFile, type StoredTensor } from "./safetensors.ts";

/** How far a read has come; `total` is undefined where the source does not say. */
export interface ReadProgress {
  readonly loaded: number;
  readonly total: number | undefined;
}

export interface ReadOptions {
  /** Called after every chunk that arrives. */
  readonly onProgress?: (progress: ReadProgress) => void;
}

const READ: Kinds<ReadOptions> = { onProgress: "function" };

/** Where a safetensors file can come from: its bytes, a path (Node), a Blob or File, or what `fetch(url)` returned. */
export type SafetensorsSource = ArrayBuffer | ArrayBufferView | string | URL | Blob | Response | Promise<Response>;

/** Bytes that are read from a file at once. */
const CHUNK_BYTES = 1 << 24;

/**
 * Reads a safetensors file: `await readSafetensors("weights.safetensors")` in Node, `await readSafetensors(fetch(url))`
 * anywhere.
 * @throws FormatError for a malformed file and ArgumentError for a response that is not ok.
 */
export async function readSafetensors(source: SafetensorsSource, options: ReadOptions = {}): Promise<SafetensorsFile> {
  const { onProgress = () => {} } = readOptions("readSafetensors", options, READ);
  const origin = await arriving("the response", source);
  if (typeof origin === "string" || origin instanceof URL) {
    if (/^https?:/i.test(String(origin)))
      throw new ArgumentError(`readSafetensors: an address must be fetched; got ${origin}. Pass fetch(address).`);
    return decodeFile(await readFile(origin, onProgress), origin);
  }
  if (origin instanceof ArrayBuffer || ArrayBuffer.isView(origin)) return decodeSafetensors(origin);
  if (origin instanceof Blob) return decodeSafetensors(await readStream(origin.stream(), origin.size, onProgress));
  if (!(origin instanceof Response)) {
    throw new ArgumentError(
      `readSafetensors: the source must be bytes, a path, a Blob or a Response; got ${what(origin)}.`,
    );
  }
  if (!origin.ok) {
    const { status, statusText, url } = origin;
    throw new ArgumentError(`readSafetensors: the response must be ok; got ${status} ${statusText} for ${url}.`);
  }
  if (origin.bodyUsed) {
    throw new ArgumentError(
      `readSafetensors: the response must be unread; got one that was read, of ${origin.url}. Pass its bytes, or clone() it before.`,
    );
  }
  if (!origin.body) return decodeFile(await arriving("the response", origin.arrayBuffer()), origin.url);
  // Under a content encoding the header counts the encoded bytes, which says nothing of the decoded ones.
  const length = origin.headers.get("content-encoding") ? null : origin.headers.get("content-length");
  const bytes = await readStream(origin.body, length === null ? undefined : Number(length), onProgress);
  return decodeFile(bytes, origin.url);
}

/** What comes from a network; its faults become the library's own. @throws ArgumentError */
async function arriving<T>(what: string, source: T | Promise<T>, loaded?: number): Promise<T> {
  try {
    return await source;
  } catch (error) {
    const { message, cause } = error as Error;
    const why = [message, (cause as Error | undefined)?.message].filter(Boolean).join(": ");
    const after = loaded === undefined ? "" : ` after ${loaded} bytes`;
    throw new ArgumentError(`readSafetensors: ${what} must arrive; got "${why}"${after}. Try again.`, { cause: error });
  }
}

/** Decodes; a FormatError says which file is meant. */
function decodeFile(bytes: ArrayBuffer | Uint8Array, file: string | URL): SafetensorsFile {
  try {
    return decodeSafetensors(bytes);
  } catch (cause) {
    if (!(cause instanceof FormatError) || String(file) === "") throw cause;
    throw new FormatError(
      cause.message.replace("safetensors: ", () => `safetensors: ${file}: `),
      { cause },
    );
  }
}

/**
 * Writes a safetensors file (Node). The file appears under its name only when it is complete: it is written beside it
 * under a temporary name, flushed to disk and renamed.
 */
export async function writeSafetensors(
  path: string | URL,
  tensors: Iterable<readonly [name: string, tensor: StoredTensor]>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const bytes = encodeSafetensors(tensors, metadata);
  needFiles("writeSafetensors", "encode by `encodeSafetensors` and offer the bytes as a download");
  await writeWhole(path instanceof URL ? process.getBuiltinModule("node:url").fileURLToPath(path) : path, bytes);
}

function needFiles(op: string, instead: string): void {
  if (isNode()) return;
  throw new ArgumentError(`${op}: a path needs Node 20.16 or newer; got another platform. Here, ${instead}.`);
}

async function readFile(path: string | URL, onProgress: (progress: ReadProgress) => void): Promise<Uint8Array> {
  needFiles("readSafetensors", "pass the bytes, a File or `fetch(url)`");
  const file = await openFile(path);
  try {
    const { size: total } = await file.stat();
    const bytes = new Uint8Array(total);
    // By chunks: a single read ends at 2 GiB.
    for (let loaded = 0; loaded < total; ) {
      const { bytesRead } = await file.read(bytes, loaded, Math.min(CHUNK_BYTES, total - loaded), loaded);
      if (bytesRead === 0) return bytes.subarray(0, loaded);
      loaded += bytesRead;
      onProgress({ loaded, total });
    }
    return bytes;
  } finally {
    await file.close();
  }
}

async function readStream(
  stream: ReadableStream<Uint8Array>,
  total: number | undefined,
  onProgress: (progress: ReadProgress) => void,
): Promise<Uint8Array> {
  let bytes = new Uint8Array(total ?? CHUNK_BYTES);
  let loaded = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await arriving("all bytes", reader.read(), loaded);
    if (done) return bytes.subarray(0, loaded);
    if (loaded + value.byteLength > bytes.byteLength) {
      const larger = new Uint8Array(Math.max(2 * bytes.byteLength, loaded + value.byteLength));
      larger.set(bytes.subarray(0, loaded));
      bytes = larger;
    }
    bytes.set(value, loaded);
    loaded += value.byteLength;
    onProgress({ loaded, total });
  }
}
