// Which safetensors files are models: they say so in their header, and logits say otherwise.

import { closeSync, fstatSync, readSync } from "node:fs";
import { openFileSync } from "../../base/index.ts";

/** Whether a path is a file that calls itself a model; whether it is whole is for its reader. */
export function isModelFile(path: string): boolean {
  let file: number;
  try {
    file = openFileSync(path);
  } catch {
    return false;
  }
  try {
    const length = Buffer.alloc(8);
    if (readSync(file, length) < 8) return false;
    const bytes = length.readBigUInt64LE();
    if (bytes > BigInt(fstatSync(file).size)) return false;
    const header = Buffer.alloc(Number(bytes));
    readSync(file, header, 0, header.length, 8);
    const { __metadata__: said } = JSON.parse(header.toString()) as {
      readonly __metadata__?: { readonly format?: unknown };
    };
    return said?.format === "sortie-model";
  } catch {
    return false;
  } finally {
    closeSync(file);
  }
}
