// The digest of weights: what cached logits, policies and files are known to belong to.

import { read, type Tensor } from "../../engine/functions.ts";
import { sha256 } from "./seal.ts";

/** SHA-256 of the values of tensors, in hexadecimal: tells whether cached logits are of these weights. */
export async function digest(tensors: Iterable<Tensor>): Promise<string> {
  return digestOf((await read([...tensors])) as Float32Array<ArrayBuffer>[]);
}

/** The same of values that were read. */
export function digestOf(data: readonly Float32Array<ArrayBuffer>[]): Promise<string> {
  const bytes = new Uint8Array(data.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let at = 0;
  for (const { buffer, byteOffset, byteLength } of data) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at);
    at += byteLength;
  }
  return sha256(bytes);
}
