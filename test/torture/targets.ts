// Every reader of files, with valid files that this makes: what is mutated, how a mutated file is made to pass its
// checksums, and who reads it.

import { writeFileSync } from "node:fs";
import { deflateSync, gzipSync } from "node:zlib";
import { encode } from "fast-png";
import { zipSync } from "fflate";
import { decodePolicy } from "../../calibration/index.ts";
import { forEachChunk } from "../../calibration/table/table.ts";
import { readLogits as openLogits } from "../../cli/files/logits-file.ts";
import { readPolicy } from "../../cli/files/policy-file.ts";
import { readTar } from "../../data/formats/tar.ts";
import { crc32 } from "../../data/formats/unpack.ts";
import {
  decodeCifar,
  decodeIdx,
  decodeMat5,
  decodeNpy,
  decodePng,
  encodeNpy,
  encodeNpz,
  gunzip,
  npz,
  openNpz,
} from "../../data/index.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
  type StoredTensor,
  type Tensor,
} from "../../engine/index.ts";
import { loadWeights, readLogits } from "../../exits/index.ts";
import { openCheckpoint, readCheckpoint, restore } from "../../exits/run/checkpoint.ts";
import { SEAL, sealedText, sha256 } from "../../exits/run/seal.ts";
import { readConfig } from "../cli/read-config.ts";
import { idxFile, matFile, pattern, tarFile } from "../data/official.ts";

/** A reader under fire. */
export interface Target {
  readonly name: string;
  /** Valid files. */
  readonly seeds: readonly Uint8Array[];
  /** The name that the file gets on disk. */
  readonly file: string;
  /** Makes a whole file of mutated bytes: packs them, or mends their checksums. */
  finish?(bytes: Uint8Array): Uint8Array | Promise<Uint8Array>;
  /** Reads all of it; `path` is on disk and in the messages. */
  read(bytes: Uint8Array, path: string): unknown;
}

const all = async (items: AsyncIterable<unknown>): Promise<void> => {
  for await (const _ of items);
};

/** Mends the checksums of all chunks that are whole. */
function pngWithChecksums(bytes: Uint8Array): Uint8Array {
  const out = bytes.slice();
  const view = new DataView(out.buffer);
  for (let at = 8; at + 12 <= out.length; ) {
    const end = at + 8 + view.getUint32(at);
    if (end + 4 > out.length) break;
    view.setUint32(end, crc32(out.subarray(at + 4, end)));
    at = end + 4;
  }
  return out;
}

/** Mends the checksum of the first header. */
function tarWithChecksum(bytes: Uint8Array): Uint8Array {
  const out = Buffer.from(bytes);
  if (out.length < 512) return out;
  out.write("        ", 148);
  out.write(
    `${out
      .subarray(0, 512)
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, "0")}\0 `,
    148,
  );
  return out;
}

/** Seals whatever can still be read. */
async function sealed(bytes: Uint8Array): Promise<Uint8Array> {
  try {
    const { tensors, metadata } = decodeSafetensors(bytes);
    const held: Record<string, { dtype: string; shape: readonly number[]; sha256: string }> = {};
    for (const [name, { dtype, shape, data }] of tensors) {
      held[name] = {
        dtype,
        shape,
        sha256: await sha256(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
      };
    }
    const seal = await sha256(new TextEncoder().encode(sealedText(metadata, held)));
    return encodeSafetensors(tensors, { ...metadata, [SEAL]: seal });
  } catch {
    return bytes;
  }
}

const f32 = (shape: readonly number[], data: ArrayLike<number>): StoredTensor => ({
  dtype: "F32",
  shape: [...shape],
  data: Float32Array.from(data),
});
const LOGITS = Float32Array.from({ length: 24 }, (_, i) => (i * 7919) % 11);
const RUN = { recipe: { epochs: 3 } };
/** What a network's tensors are to a checkpoint: a shape, a dtype, and a place for values. */
const NETWORK = new Map([["net.w", { shape: [2, 3], dtype: "f32", write: () => {} } as unknown as Tensor]]);
const WEIGHTS = new Map([["w", NETWORK.get("net.w")!]]);

const checkpoint = encodeSafetensors([["net.w", f32([2, 3], [1, 2, 3, 4, 5, 6])]], {
  format: "sortie-checkpoint",
  version: "2",
  run: JSON.stringify(RUN),
  position: JSON.stringify({ step: 3, best: { step: 2, accuracy: 0.5 } }),
});
const logits = encodeSafetensors(
  [
    ["logits", f32([4, 2, 3], LOGITS)],
    ["labels", { dtype: "I32", shape: [4], data: Int32Array.of(0, 1, 2, 0) }],
    ["ids", { dtype: "I32", shape: [4], data: Int32Array.of(1, 2, 3, 4) }],
    ["macs", { dtype: "F64", shape: [2], data: Float64Array.of(10, 20) }],
  ],
  { format: "sortie-logits", version: "2", data: "toy" },
);
const table = new Map([
  ["logits", { shape: [4, 2, 3], data: LOGITS }],
  ["labels", { shape: [4], data: Uint8Array.of(0, 1, 2, 0) }],
  ["ids", { shape: [4], data: BigInt64Array.of(1n, 2n, 3n, 4n) }],
]);
const images = new Map([
  ["x_train", { shape: [3, 2, 2], data: pattern(12) }],
  ["y_train", { shape: [3], data: Uint8Array.of(0, 1, 2) }],
  ["x_test", { shape: [2, 2, 2], data: pattern(8) }],
  ["y_test", { shape: [2], data: Int32Array.of(0, 1) }],
]);
const textNpy = (): Uint8Array => {
  const header = "{'descr': '<U2', 'fortran_order': False, 'shape': (4,), }".padEnd(117);
  return Buffer.concat([
    Buffer.from("\x93NUMPY\x01\x00\x76\x00", "latin1"),
    Buffer.from(`${header}\n`),
    Buffer.alloc(32, "a\0\0\0"),
  ]);
};
const matrices = [
  { name: "X", shape: [2, 3, 2], data: pattern(12) },
  { name: "a_longer_name", shape: [2, 1], data: Float64Array.of(1.5, 2) },
];
const readTable = (path: string) => forEachChunk(openLogits(path), () => {});
const parts = { validation: 0, calibration: 0 };

/** Texts of policies and settings, which others make. */
export interface Texts {
  readonly policies: readonly string[];
  readonly settings: readonly string[];
}

const readNpz = (bytes: Uint8Array, path: string) => {
  const archive = openNpz(bytes, path);
  for (const name of archive.names) archive.get(name);
};

/** Arrays of numpy, alone and in archives. */
function archiveTargets(): readonly Target[] {
  const stored = [
    encodeNpy({ shape: [2, 3], data: pattern(6) }),
    encodeNpy({ shape: [3], data: Float64Array.of(1, 2, 3) }),
    textNpy(),
  ];
  const archives = [
    encodeNpz(table),
    zipSync(
      {
        "logits.npy": encodeNpy(table.get("logits")!),
        "labels.npy": encodeNpy(table.get("labels")!),
        "ids.npy": textNpy(),
      },
      { level: 0 },
    ),
  ];
  return [
    { name: "npy", file: "a.npy", seeds: stored, read: decodeNpy },
    { name: "npz", file: "a.npz", seeds: archives, read: readNpz },
    {
      name: "npz of mutated arrays",
      file: "b.npz",
      seeds: stored,
      finish: (bytes) =>
        zipSync({ "logits.npy": bytes, "labels.npy": stored[0]! }, { level: bytes.length % 2 ? 6 : 0 }),
      read: readNpz,
    },
    { name: "images in npz", file: "c.npz", seeds: [encodeNpz(images)], read: (_, path) => npz(path, parts) },
    {
      name: "images in npz, mutated",
      file: "d.npz",
      seeds: [...images.values()].map(encodeNpy),
      finish: (bytes) =>
        zipSync({
          ...Object.fromEntries([...images].map(([name, array]) => [`${name}.npy`, encodeNpy(array)])),
          [`${[...images.keys()][bytes.length % 4]}.npy`]: bytes,
        }),
      read: (_, path) => npz(path, parts),
    },
    { name: "logits in npz", file: "e.npz", seeds: archives, read: (_, path) => readTable(path) },
    {
      name: "logits in npz, mutated",
      file: "f.npz",
      seeds: [...[...table.values()].map(encodeNpy), textNpy()],
      finish: (bytes) =>
        zipSync(
          {
            ...Object.fromEntries([...table].map(([name, array]) => [`${name}.npy`, encodeNpy(array)])),
            [`${[...table.keys()][bytes.length % 3]}.npy`]: bytes,
          },
          { level: 0 },
        ),
      read: (_, path) => readTable(path),
    },
  ];
}

/** Safetensors, and what is made of them. */
const tensorTargets: readonly Target[] = [
  {
    name: "safetensors",
    file: "a.safetensors",
    seeds: [logits, checkpoint],
    read: async (_, path) => [...(await readSafetensors(path)).tensors.values()].map(({ data }) => data.length),
  },
  {
    name: "logits in safetensors",
    file: "b.safetensors",
    seeds: [encodeSafetensors(decodeSafetensors(logits).tensors)],
    read: (_, path) => readTable(path),
  },
  {
    name: "cached logits",
    file: "c.safetensors",
    seeds: [logits],
    finish: sealed,
    read: (_, path) => readLogits(path),
  },
  {
    name: "cached logits in place",
    file: "d.safetensors",
    seeds: [logits],
    finish: sealed,
    read: (_, path) => readTable(path),
  },
  {
    name: "checkpoint",
    file: "e.safetensors",
    seeds: [checkpoint],
    finish: sealed,
    read: async (_, path) => {
      const file = await openCheckpoint(path);
      if (file) restore(readCheckpoint(file, RUN, { steps: 9, phases: 1 }, new Map()), NETWORK);
    },
  },
  {
    name: "weights",
    file: "f.safetensors",
    seeds: [checkpoint],
    finish: sealed,
    read: (_, path) => loadWeights(path, WEIGHTS),
  },
];

/** Files of data sets, and pictures. */
function setTargets(): readonly Target[] {
  const pngs = [
    encode({ width: 7, height: 5, channels: 3, depth: 8, data: pattern(105) }),
    encode({ width: 4, height: 4, channels: 1, depth: 16, data: Uint16Array.from(pattern(16)) }),
  ];
  const tar = tarFile([
    ["a/one.bin", pattern(700)],
    [`${"folder/".repeat(20)}x`, pattern(5)],
  ]);
  const mat = [matFile(matrices), matFile(matrices, { isLittle: false }), matFile(matrices, { isCompressed: true })];
  const gz = [gzipSync(pattern(500)), Buffer.concat([gzipSync(pattern(300)), gzipSync(new Uint8Array(100_000))])];
  const readPng = (bytes: Uint8Array, file: string) => decodePng(bytes, { file, channels: 3 });
  return [
    {
      name: "idx",
      file: "a.idx",
      seeds: [idxFile([2, 3, 4], pattern(24))],
      read: (bytes, file) => decodeIdx(bytes, { file, rank: 3 }),
    },
    {
      name: "cifar",
      file: "a.bin",
      seeds: [pattern(2 * 3073)],
      read: (bytes, file) => decodeCifar(bytes, { file, labelBytes: 1 }),
    },
    { name: "gzip", file: "a.gz", seeds: gz, read: gunzip },
    {
      name: "tar",
      file: "a.tar",
      seeds: [tar],
      finish: tarWithChecksum,
      read: (bytes, path) => all(readTar([bytes], path)),
    },
    { name: "mat", file: "a.mat", seeds: mat, read: (bytes, path) => decodeMat5(bytes, path) },
    {
      name: "mat, packed",
      file: "b.mat",
      seeds: mat.slice(0, 2).map((bytes) => bytes.subarray(128)),
      finish: (bytes) => matOf(mat[0]!, bytes),
      read: (bytes, path) => decodeMat5(bytes, path),
    },
    { name: "png", file: "a.png", seeds: pngs, read: readPng },
    { name: "png with checksums", file: "b.png", seeds: pngs, finish: pngWithChecksums, read: readPng },
  ];
}

/** Policies and settings. */
function textTargets({ policies, settings }: Texts): readonly Target[] {
  const text = (each: string) => new TextEncoder().encode(each);
  return [
    { name: "policy", file: "a.json", seeds: policies.map(text), read: (_, path) => readPolicy(path) },
    {
      name: "policy text",
      file: "b.json",
      seeds: policies.map(text),
      read: (bytes, path) => named(path, () => decodePolicy(new TextDecoder().decode(bytes))),
    },
    {
      name: "settings",
      file: "c.json",
      seeds: settings.map(text),
      read: (_, path) => readConfig("train", ["--config", path]),
    },
  ];
}

/** All readers. */
export const targets = (texts: Texts): readonly Target[] => [
  ...archiveTargets(),
  ...tensorTargets,
  ...setTargets(),
  ...textTargets(texts),
];

/** A header of a MAT file, and mutated elements in one that is packed. */
function matOf(file: Uint8Array, elements: Uint8Array): Uint8Array {
  const packed = deflateSync(elements);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(15, 0);
  head.writeUInt32LE(packed.length, 4);
  return Buffer.concat([file.subarray(0, 128), head, packed]);
}

/** Who reads a text knows no file: here the caller does. */
function named<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error) error.message = `${path}: ${error.message}`;
    throw error;
  }
}

/** Puts the bytes where the reader looks for them. */
export const onDisk = (path: string, bytes: Uint8Array): void => writeFileSync(path, bytes);
