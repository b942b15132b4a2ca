// PNG files: every kind as another reader has it, and headers that promise what is not there.

import { deflateSync } from "node:zlib";
import { decode } from "fast-png";
import { decodePng } from "../../data/formats/png.ts";
import { crc32 } from "../../data/formats/unpack.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { pattern } from "./official.ts";

const test = suite("data: png files");

test("png: a header's size allocates nothing that the data cannot fill; what is too long or too short is refused", async () => {
  const file = (width: number, height: number, lines: Uint8Array) =>
    pngFile({ width, height, depth: 8, type: 0 }, lines);
  const fails = async (bytes: Uint8Array, got: string) =>
    failsWith(
      () => decodePng(bytes, { file: "a.png", channels: 1 }),
      "DataError",
      `decodePng: a.png must be an intact PNG file; got "${got}".`,
    );
  await fails(file(7000, 8000, new Uint8Array(9)), "an image of [8000, 7000] in 11 packed bytes");
  await fails(file(4, 2, new Uint8Array(9)), "9 bytes for an image of [2, 4], not 10");
  await fails(file(4, 2, new Uint8Array(11)), "too many bytes for an image of [2, 4], not 10");
  await fails(file(4, 2, new Uint8Array(10).fill(5)), "filter 5");
  await fails(
    pngFile({ width: 2, height: 1, depth: 4, type: 3 }, Uint8Array.of(0, 0x21), Uint8Array.of(1, 2, 3)),
    "colour 2 of a palette of 1",
  );
  await fails(pngFile({ width: 2, height: 1, depth: 3, type: 0 }, Uint8Array.of(0, 1)), "colour type 0 of 3 bits");
});

interface PngHeader {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly type: number;
  readonly interlace?: number;
}

/** A PNG file by its chunks; `lines` are filtered and not yet packed. */
function pngFile(
  { width, height, depth, type, interlace = 0 }: PngHeader,
  lines: Uint8Array,
  palette?: Uint8Array,
): Buffer {
  const chunk = (name: string, data: Uint8Array): Buffer => {
    const body = Buffer.concat([Buffer.from(name), data]);
    const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    crc.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, crc]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, type, 0, 0, interlace], 8);
  const packed = deflateSync(lines);
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    ...(palette ? [chunk("PLTE", palette)] : []),
    // In two chunks, and with one that nobody reads and that would unpack to much.
    chunk("zTXt", deflateSync(new Uint8Array(1000))),
    chunk("IDAT", packed.subarray(0, 5)),
    chunk("IDAT", packed.subarray(5)),
    chunk("IEND", new Uint8Array(0)),
  ]);
}

test("png: grey of 1, 2 and 4 bits is spread over a byte", () => {
  const grey = (depth: number, lines: Uint8Array, width: number, height = 1) => [
    ...decodePng(pngFile({ width, height, depth, type: 0 }, lines), { file: "g.png", channels: 1 }).data,
  ];
  assert.equal(grey(1, Uint8Array.of(0, 0b10110001), 8), [255, 0, 255, 255, 0, 0, 0, 255]);
  assert.equal(grey(2, Uint8Array.of(0, 0b00011011, 0b10000000), 5), [0, 85, 170, 255, 170]);
  // The second line adds to the one above it.
  assert.equal(grey(4, Uint8Array.of(0, 0x0f, 0x50, 2, 0x10, 0x10), 3, 2), [0, 255, 85, 17, 255, 102]);
});

test("png: every colour type, depth, filter and interlacing as another reader has it", () => {
  for (const [type, samples] of [
    [0, 1],
    [2, 3],
    [4, 2],
    [6, 4],
  ] as const) {
    for (const depth of [8, 16]) {
      for (const interlace of [0, 1]) {
        const [width, height] = [13, 11];
        const lines: number[] = [];
        const passes = interlace
          ? [
              [0, 0, 8, 8],
              [4, 0, 8, 8],
              [0, 4, 4, 8],
              [2, 0, 4, 4],
              [0, 2, 2, 4],
              [1, 0, 2, 2],
              [0, 1, 1, 2],
            ]
          : [[0, 0, 1, 1]];
        for (const [x, y, dx, dy] of passes as [number, number, number, number][]) {
          for (let row = y; row < height; row += dy) {
            const count = Math.ceil((width - x) / dx) * samples * (depth / 8);
            lines.push(row % 5, ...pattern(count, 17 * row + x));
          }
        }
        const file = pngFile({ width, height, depth, type, interlace }, Uint8Array.from(lines));
        const theirs = decode(file);
        const expected = Array.from({ length: width * height * 3 }, (_, i) => {
          const channel = samples > 2 ? i % 3 : 0;
          return theirs.data[Math.floor(i / 3) * samples + channel]! >> (depth - 8);
        });
        const ours = decodePng(file, { file: "a.png", channels: 3 });
        assert.equal([...ours.data], expected, `type ${type}, ${depth} bits, interlacing ${interlace}`);
      }
    }
  }
});
