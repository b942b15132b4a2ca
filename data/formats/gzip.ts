// Compressed bytes, by the platform's own streams (Node and browsers), which also check the checksum inside.

import { DataError } from "../errors.ts";

/** True if `bytes` begin like a gzip file. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

/** Unpacks gzip data. @throws DataError naming `file` if they are damaged or end early. */
export const gunzip = (bytes: Uint8Array, file: string): Promise<Uint8Array> => unpack(bytes, "gzip", file);

/** Unpacks zlib data. @throws DataError naming `file` if they are damaged or end early. */
export const inflate = (bytes: Uint8Array, file: string): Promise<Uint8Array> => unpack(bytes, "deflate", file);

async function unpack(bytes: Uint8Array, format: "gzip" | "deflate", file: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  try {
    for await (const chunk of unpackStream([bytes], format)) {
      chunks.push(chunk);
      total += chunk.length;
    }
  } catch (cause) {
    throw new DataError(`gunzip: ${file} must be intact ${format} data; got "${messageOf(cause)}".`, { file, cause });
  }
  const unpacked = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    unpacked.set(chunk, at);
    at += chunk.length;
  }
  return unpacked;
}

/** Unpacks chunk by chunk, so that an archive need not fit into memory. */
export async function* unpackStream(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  format: "gzip" | "deflate" = "gzip",
): AsyncGenerator<Uint8Array> {
  const stream = new DecompressionStream(format);
  const writer = stream.writable.getWriter();
  const written = (async () => {
    for await (const chunk of chunks) await writer.write(chunk as Uint8Array<ArrayBuffer>);
    await writer.close();
  })();
  // The reader meets the same error; this only keeps it from surfacing twice.
  written.catch((cause: unknown) => writer.abort(cause).catch(() => {}));
  const reader = stream.readable.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
  } finally {
    // Whoever stops reading early must not leave the writer waiting.
    await reader.cancel().catch(() => {});
  }
  await written;
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
