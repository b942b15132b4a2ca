// Safetensors files put together by hand, right or wrong.

/** A file of these parts, whatever they are; `length` overrides the header length. */
export function fileOf(header: string | Uint8Array, body: ArrayLike<number> = [], length?: bigint): Uint8Array {
  const head = typeof header === "string" ? new TextEncoder().encode(header) : header;
  const file = new Uint8Array(8 + head.length + body.length);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(head.length), true);
  file.set(head, 8);
  file.set(body, 8 + head.length);
  return file;
}

export const entry = (dtype: string, shape: unknown, range: unknown): string =>
  JSON.stringify({ dtype, shape, data_offsets: range });
