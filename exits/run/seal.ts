// The seal on what a run keeps: a SHA-256 over all metadata and the bytes of every tensor, kept in the metadata itself.
// A checkpoint or cached logits that changed on disk are noticed before anything is computed from them.

import {
  encodeSafetensors,
  type SafetensorsFile,
  type StoredTensor,
  writeSafetensors,
} from "../../engine/functions.ts";
import { ModelError } from "../errors.ts";

/** The metadata's key. */
export const SEAL = "sha256";

/** What is known of a tensor when a file is sealed: its SHA-256 is that of its bytes in the file. */
export interface SealedTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly sha256: string;
}

/** The text whose SHA-256 is the seal: the metadata but the seal, and the tensors, both by name. */
export function sealedText(
  metadata: Readonly<Record<string, string>>,
  tensors: Readonly<Record<string, SealedTensor>>,
): string {
  const byName = (a: readonly [string, unknown], b: readonly [string, unknown]) => (a[0] < b[0] ? -1 : 1);
  const { [SEAL]: _, ...said } = metadata;
  const held = Object.entries(tensors).map(([name, { dtype, shape, sha256 }]) => [name, dtype, shape, sha256] as const);
  return JSON.stringify([Object.entries(said).sort(byName), held.sort((a, b) => (a[0] < b[0] ? -1 : 1))]);
}

/** SHA-256 in hexadecimal. @throws ModelError in a page whose address is not a secure one */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const { subtle } = globalThis.crypto as Partial<Crypto>;
  if (!subtle) {
    const where = globalThis.location?.origin ?? "a runtime without it";
    throw new ModelError(
      `load: digests need crypto.subtle, which pages have over https and on localhost; got ${where}. Serve the page so.`,
    );
  }
  const hash = new Uint8Array(await subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function sealOf(
  metadata: Readonly<Record<string, string>>,
  tensors: Iterable<readonly [string, StoredTensor]>,
): Promise<string> {
  const held: Record<string, SealedTensor> = {};
  for (const [name, { dtype, shape, data }] of tensors) {
    held[name] = { dtype, shape, sha256: await sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) };
  }
  return sha256(new TextEncoder().encode(sealedText(metadata, held)));
}

type Named = readonly (readonly [name: string, tensor: StoredTensor])[];
type Metadata = Readonly<Record<string, string>>;

const sealed = async (tensors: Named, metadata: Metadata): Promise<Metadata> => ({
  ...metadata,
  [SEAL]: await sealOf(metadata, tensors),
});

/** Writes a safetensors file with its seal. */
export async function writeSealed(path: string, tensors: Named, metadata: Metadata): Promise<void> {
  await writeSafetensors(path, tensors, await sealed(tensors, metadata));
}

/** The bytes of a safetensors file with its seal. */
export async function encodeSealed(tensors: Named, metadata: Metadata): Promise<Uint8Array<ArrayBuffer>> {
  return encodeSafetensors(tensors, await sealed(tensors, metadata));
}

/** Whether a file holds what it was sealed with; false for one without a seal. */
export const isIntact = async ({ metadata, tensors }: SafetensorsFile): Promise<boolean> =>
  metadata[SEAL] === (await sealOf(metadata, tensors));
