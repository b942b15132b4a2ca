// A folder of JPEG files as cameras leave them: three classes drawn by code, of odd sizes, encoded by MozJPEG, lying in
// all orientations that EXIF knows.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { mulberry } from "../engine/ops/check.ts";

interface Encoder {
  encode(data: Uint8ClampedArray, width: number, height: number, options: object): Uint8Array;
}

/** The encoder beside the decoder that the library uses. */
async function jpegEncoder(): Promise<Encoder> {
  const { resolve } = createRequire(import.meta.url);
  const module = new WebAssembly.Module(readFileSync(resolve("@jsquash/jpeg/codec/enc/mozjpeg_enc.wasm")));
  const { default: factory } = (await import("@jsquash/jpeg/codec/enc/mozjpeg_enc.js")) as unknown as {
    readonly default: (options: object) => Promise<Encoder>;
  };
  return factory({
    noInitialRun: true,
    printErr() {},
    instantiateWasm(imports: WebAssembly.Imports, done: (instance: WebAssembly.Instance) => void) {
      const instance = new WebAssembly.Instance(module, imports);
      done(instance);
      return instance.exports;
    },
  });
}

/** What tells the classes: all are one another's turned or mirrored pictures, so that orientation decides. */
const CLASSES = {
  down: (_x: number, y: number) => y,
  left: (x: number, _y: number) => 1 - x,
  up: (_x: number, y: number) => 1 - y,
} as const;

/** What is seen at (x, y) of an upright picture lies, of each orientation 1 to 8, at these places of the file. */
const LYING: readonly ((x: number, y: number, w: number, h: number) => readonly [number, number])[] = [
  (x, y) => [x, y],
  (x, y, w) => [w - 1 - x, y],
  (x, y, w, h) => [w - 1 - x, h - 1 - y],
  (x, y, _, h) => [x, h - 1 - y],
  (x, y) => [y, x],
  (x, y, w) => [y, w - 1 - x],
  (x, y, w, h) => [h - 1 - y, w - 1 - x],
  (x, y, _, h) => [h - 1 - y, x],
];

/** Writes `each` pictures of each class into `dir`, a folder a class; paths by class. */
export async function drawPictures(dir: string, each: number): Promise<Readonly<Record<string, readonly string[]>>> {
  const encoder = await jpegEncoder();
  const random = mulberry(5);
  const paths: Record<string, string[]> = {};
  for (const [name, light] of Object.entries(CLASSES)) {
    mkdirSync(join(dir, name), { recursive: true });
    paths[name] = [];
    for (let i = 0; i < each; i++) {
      const [w, h] = [21 + Math.floor(30 * random()), 21 + Math.floor(30 * random())];
      const orientation = 1 + (i % 8);
      const [width, height] = orientation > 4 ? [h, w] : [w, h];
      const data = new Uint8ClampedArray(4 * width * height).fill(255);
      const tint = [random(), random(), random()];
      for (let y = 0; y < h; y++) {
        for (let x = 0; x < w; x++) {
          const [column, row] = LYING[orientation - 1]!(x, y, w, h);
          const value = 200 * light(x / w, y / h) + 60 * (random() - 0.5);
          for (const [c, share] of tint.entries()) data[4 * (row * width + column) + c] = value + 50 * share;
        }
      }
      // Another quality, and now and then no progressive file, as cameras differ.
      const options = { ...OPTIONS, quality: 60 + (i % 40), progressive: i % 3 !== 0 };
      const path = join(dir, name, `IMG_${i}.${i % 2 === 0 ? "jpg" : "JPEG"}`);
      writeFileSync(path, withOrientation(encoder.encode(data, width, height, options), orientation));
      paths[name].push(path);
    }
  }
  return paths;
}

const OPTIONS = {
  ...{ baseline: false, arithmetic: false, optimize_coding: true, smoothing: 0, color_space: 3, quant_table: 3 },
  ...{ trellis_multipass: false, trellis_opt_zero: false, trellis_opt_table: false, trellis_loops: 1 },
  ...{ auto_subsample: true, chroma_subsample: 2, separate_chroma_quality: false, chroma_quality: 75 },
};

/** A JPEG file with EXIF data behind its first marker. */
function withOrientation(jpeg: Uint8Array, orientation: number): Uint8Array {
  const tiff = [0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0];
  const body = [...Buffer.from("Exif\0\0"), ...tiff];
  return Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, 0xe1, 0, body.length + 2, ...body]), jpeg.subarray(2)]);
}
