// Writes files in the official formats, independently of the readers under test, and finds the real ones if they are at
// hand.

import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { deflateSync } from "node:zlib";
import type { SuiteOptions } from "../harness.ts";

/** The folder of real files `name`; suites that read it are declared by `skipWithout`. */
export const realFolder = (name: string): string =>
  fileURLToPath(new URL(`../../../shared/data/${name}`, import.meta.url));

/** Options of a suite that needs real files: where they are not at hand, it is skipped, and the reason printed. */
export function skipWithout(name: string): SuiteOptions {
  const skip = existsSync(realFolder(name)) ? undefined : `no folder of the real files, ../shared/data/${name}`;
  return { skip, isOptional: true, timeout: 120_000 };
}

/** Calls `body` with an empty folder that is removed afterwards. */
export async function inTemporaryFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sortie-data-"));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Bytes 0 .. n - 1 times 31, modulo 256. */
export const pattern = (n: number, start = 0): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => (start + i * 31) & 255);

/** An IDX file of bytes. */
export function idxFile(shape: readonly number[], data: Uint8Array): Buffer {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt32BE(0x800 + shape.length);
  for (const [i, extent] of shape.entries()) header.writeUInt32BE(extent, 4 + 4 * i);
  return Buffer.concat([header, data]);
}

/** A matrix for `matFile`: values are given column-major. */
export interface Matrix {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array | Uint16Array | Float64Array;
}

/** A level 5 MAT file; numbers in the byte order asked for. */
export function matFile(
  matrices: readonly Matrix[],
  { isLittle = true, isCompressed = false }: { readonly isLittle?: boolean; readonly isCompressed?: boolean } = {},
): Buffer {
  const word = (value: number): Buffer => {
    const bytes = Buffer.alloc(4);
    if (isLittle) bytes.writeUInt32LE(value);
    else bytes.writeUInt32BE(value);
    return bytes;
  };
  const element = (type: number, data: Buffer): Buffer =>
    Buffer.concat([word(type), word(data.length), data, Buffer.alloc(-data.length & 7)]);
  const small = (type: number, data: Buffer): Buffer =>
    Buffer.concat([word((data.length << 16) | type), data, Buffer.alloc(4 - data.length)]);
  const header = Buffer.alloc(128, " ");
  header.write("MATLAB 5.0 MAT-file");
  header.writeUInt16LE(isLittle ? 0x0100 : 0x0001, 124);
  header.write(isLittle ? "IM" : "MI", 126);
  const parts = matrices.map(({ name, shape, data }) => {
    const values = Buffer.from(data.slice().buffer);
    if (!isLittle && data.BYTES_PER_ELEMENT === 2) values.swap16();
    if (!isLittle && data.BYTES_PER_ELEMENT === 8) values.swap64();
    const [kind, matrixClass] = { 1: [2, 9], 2: [4, 11], 8: [9, 6] }[data.BYTES_PER_ELEMENT]! as [number, number];
    const title = Buffer.from(name);
    const whole = element(
      14,
      Buffer.concat([
        element(6, Buffer.concat([word(matrixClass), word(0)])),
        element(5, Buffer.concat(shape.map(word))),
        title.length <= 4 ? small(1, title) : element(1, title),
        element(kind, values),
      ]),
    );
    if (!isCompressed) return whole;
    const packed = deflateSync(whole);
    return Buffer.concat([word(15), word(packed.length), packed]);
  });
  return Buffer.concat([header, ...parts]);
}

/** A ustar archive; names of more than 100 bytes go into a GNU long-name entry. */
export function tarFile(entries: readonly (readonly [name: string, content: Uint8Array])[]): Buffer {
  const block = (name: string, kind: string, content: Uint8Array): Buffer => {
    const header = Buffer.alloc(512);
    header.write(name.slice(0, 100));
    header.write("0000644\0", 100);
    header.write(`${content.length.toString(8).padStart(11, "0")}\0`, 124);
    header.write("        ", 148);
    header.write(kind, 156);
    header.write("ustar\x0000", 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
    return Buffer.concat([header, content, Buffer.alloc(-content.length & 511)]);
  };
  const parts = entries.flatMap(([name, content]) => [
    ...(name.length > 100 ? [block("././@LongLink", "L", Buffer.from(`${name}\0`))] : []),
    block(name, name.endsWith("/") ? "5" : "0", content),
  ]);
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/**
 * Writes the files of Indian Pines with a scene of 40 x 30 pixels and 3 bands; band 0 is the row, band 1 the column,
 * band 2 constant. Every pixel is labelled.
 */
export async function writeScene(dir: string): Promise<void> {
  const [height, width] = [40, 30];
  const cube = new Uint16Array(height * width * 3);
  const truth = new Uint8Array(height * width);
  for (let x = 0; x < width; x++) {
    for (let y = 0; y < height; y++) {
      cube[y + height * x] = 1000 + 10 * y;
      cube[y + height * (x + width)] = 2000 + 10 * x;
      cube[y + height * (x + 2 * width)] = 77;
      truth[y + height * x] = 1 + (Math.floor(y / 10) % 2) + 2 * (Math.floor(x / 10) % 2);
    }
  }
  const cubeFile = matFile([{ name: "indian_pines_corrected", shape: [height, width, 3], data: cube }]);
  await writeFile(join(dir, "Indian_pines_corrected.mat"), cubeFile);
  const truthFile = matFile([{ name: "indian_pines_gt", shape: [height, width], data: truth }], { isCompressed: true });
  await writeFile(join(dir, "Indian_pines_gt.mat"), truthFile);
}
