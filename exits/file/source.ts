// Where a model file comes from: bytes, a path, a Blob, a URL, a response; from a page's cache where that is asked for.

import { codeOf, isNode, type Kinds, messageOf, what } from "../../base/index.ts";
import {
  ArgumentError,
  FormatError,
  type ReadProgress,
  readOptions,
  readSafetensors,
  type SafetensorsFile,
  type SafetensorsSource,
} from "../../engine/functions.ts";
import { ModelError } from "../errors.ts";

/** A path (Node), the address of a file, its bytes, a Blob or File, or what `fetch(url)` returned. */
export type ModelSource = SafetensorsSource;

/** Options of `readModel`. */
export interface ReadModelOptions {
  /** Called after every chunk that arrives. */
  readonly onProgress?: (progress: ReadProgress) => void;
  /**
   * Of an address, in a page: keeps the file in the page's Cache API, under the name given or `sortie-models`, and
   * takes it from there the next time, without asking the server whether it has changed: give another model another
   * address. Where there is no Cache API, as in Node, it is fetched each time.
   */
  readonly cache?: boolean | string;
}

const READ: Kinds<ReadModelOptions> = { onProgress: "function", cache: "any" };

/** Makes something of a file that was read; `name` for messages. */
type Decode<T> = (name: string, file: SafetensorsFile) => Promise<T>;

/** Reads what `decode` makes of a file. @throws ModelError if it did not arrive; what `decode` throws. */
export async function readFrom<T>(given: ModelSource, options: ReadModelOptions, decode: Decode<T>): Promise<T> {
  const { cache: wanted = false, ...rest } = readOptions("readModel", options, READ);
  const read = async (from: Awaited<ModelSource>): Promise<T> => decode(...(await arrived(from, rest)));
  const source = usual(given);
  const url = addressOf(source);
  if (url === undefined) {
    if (wanted !== false)
      throw new ArgumentError(`load: only what has an address can be cached; got ${what(source)}. Give the URL.`);
    return read(await promised(source));
  }
  const cache = wanted === false ? undefined : await openCache(wanted === true ? "sortie-models" : wanted);
  const kept = await cache?.match(url).catch(() => undefined);
  // What was damaged in the cache is fetched again.
  const found = kept && (await read(kept).catch(() => undefined));
  if (found) return found;
  const response = await fetched(url);
  const copy = cache && response.clone();
  try {
    const model = await read(response);
    // A page that may store nothing more has its model all the same.
    if (copy) await cache?.put(url, copy).catch(() => {});
    return model;
  } catch (error) {
    // A branch of a stream that is cancelled waits for the other.
    for (const body of [copy?.body, response.body]) void body?.cancel().catch(() => {});
    throw error;
  }
}

/** The address of a file as a URL; bytes that others may write to, which no digest takes, as bytes of their own. */
function usual(source: ModelSource): ModelSource {
  if (typeof source === "string" && /^file:/i.test(source)) return new URL(source);
  if (!ArrayBuffer.isView(source) || source.buffer instanceof ArrayBuffer) return source;
  return new Uint8Array(source.buffer, source.byteOffset, source.byteLength).slice();
}

/** The address that a source is; undefined for a path, and for what is there already. */
function addressOf(source: ModelSource): string | undefined {
  if (source instanceof URL) return source.protocol === "file:" ? undefined : source.href;
  if (typeof source !== "string") return undefined;
  if (/^(https?|blob|data):/i.test(source)) return source;
  return isNode() ? undefined : new URL(source, globalThis.location?.href).href;
}

/** A page may be refused its caches, as in a frame that is sandboxed; it has its model all the same. */
async function openCache(name: string): Promise<Cache | undefined> {
  try {
    return await globalThis.caches?.open(name);
  } catch {
    return undefined;
  }
}

/** What was promised. @throws ModelError for a fetch that failed */
async function promised(source: ModelSource): Promise<Awaited<ModelSource>> {
  try {
    return await source;
  } catch (cause) {
    throw new ModelError(`load: what is given must be there; its promise says: ${saying(cause)}.`, { cause });
  }
}

async function fetched(url: string): Promise<Response> {
  try {
    return await fetch(url);
  } catch (cause) {
    throw new ModelError(`load: ${url} must be reachable; the fetch says: ${saying(cause)}.`, { cause });
  }
}

/** What a source gives, and its name; what goes wrong names it. */
async function arrived(
  source: Awaited<ModelSource>,
  { onProgress }: ReadModelOptions,
): Promise<readonly [name: string, file: SafetensorsFile]> {
  const name = nameOf(source);
  let loaded = 0;
  const report = (progress: ReadProgress): void => {
    loaded = progress.loaded;
    onProgress?.(progress);
  };
  if (source instanceof Response) refuseResponse(name, source);
  try {
    return [name, await readSafetensors(source, { onProgress: report })];
  } catch (cause) {
    // A transfer that broke off has a cause of its own, which says more.
    const isTransfer = source instanceof Response && cause instanceof Error && !(cause instanceof FormatError);
    if (isTransfer && cause.cause !== undefined && loaded > 0) {
      const why = `must arrive whole; it broke off after ${loaded} bytes: ${saying(cause.cause)}.`;
      throw new ModelError(`load: ${name} ${why}`, { cause });
    }
    if (cause instanceof ArgumentError)
      throw new ModelError(cause.message.replace(/^readSafetensors/, "load"), { cause });
    const code = codeOf(cause);
    const why =
      cause instanceof FormatError
        ? `must be a model file, and whole; it is not: ${cause.message}`
        : code !== undefined && !(source instanceof Response)
          ? `must be a readable file; got ${code}.`
          : `must arrive whole; it broke off after ${loaded} bytes: ${saying(cause)}.`;
    throw new ModelError(`load: ${name} ${why}`, { cause });
  }
}

function refuseResponse(name: string, { ok, status, statusText, headers }: Response): void {
  if (!ok) throw new ModelError(`load: ${name} must be found; the server says ${`${status} ${statusText}`.trim()}.`);
  const type = headers.get("content-type") ?? "";
  if (!/^text\/html\b/i.test(type)) return;
  throw new ModelError(
    `load: ${name} must be a model file; got a page of HTML. Servers answer so for files they lack.`,
  );
}

const nameOf = (source: Awaited<ModelSource>): string => {
  if (typeof source === "string" || source instanceof URL) return String(source);
  if (source instanceof Response && source.url !== "") return source.url;
  return "the file";
};

/** What an error says, as a part of a sentence. */
const saying = (error: unknown): string => messageOf(error).replace(/\.$/, "");
