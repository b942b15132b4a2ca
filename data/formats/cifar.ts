// The binary version of CIFAR-10 and CIFAR-100: records of 1 label byte (CIFAR-100: coarse, then fine), then 32 x 32
// red, green and blue bytes, plane after plane.

import { ensure, readOptions } from "../errors.ts";

/** Height and width of a CIFAR image. */
export const CIFAR_SIZE = 32;

const PIXELS = CIFAR_SIZE * CIFAR_SIZE;

/** Records decoded: images in NHWC order and one label array per label byte. */
export interface CifarRecords {
  readonly count: number;
  /** [count, 32, 32, 3] */
  readonly images: Uint8Array;
  /** CIFAR-10: [labels]; CIFAR-100: [coarse, fine]. */
  readonly labels: readonly Int32Array[];
}

/**
 * Decodes records with `labelBytes` labels each (1 for CIFAR-10, 2 for CIFAR-100).
 * @throws DataError naming `file` if there is no whole number of records.
 */
export function decodeCifar(
  bytes: Uint8Array,
  options: { readonly file: string; readonly labelBytes: 1 | 2 },
): CifarRecords {
  const { file, labelBytes } = readOptions("decodeCifar", options, { file: "string!", labelBytes: "number!" });
  const record = labelBytes + 3 * PIXELS;
  ensure(
    bytes.length > 0 && bytes.length % record === 0,
    () => `decodeCifar: ${file}: the file must have a multiple of ${record} bytes; got ${bytes.length}.`,
    { file },
  );
  const count = bytes.length / record;
  const images = new Uint8Array(count * 3 * PIXELS);
  const labels = Array.from({ length: labelBytes }, () => new Int32Array(count));
  for (let i = 0; i < count; i++) {
    const start = i * record;
    for (let k = 0; k < labelBytes; k++) labels[k]![i] = bytes[start + k]!;
    interleave(
      bytes.subarray(start + labelBytes, start + record),
      images.subarray(i * 3 * PIXELS, (i + 1) * 3 * PIXELS),
    );
  }
  return { count, images, labels };
}

/** Planes to pixels: [3, 32, 32] to [32, 32, 3]. */
function interleave(planes: Uint8Array, pixels: Uint8Array): void {
  for (let p = 0; p < PIXELS; p++) {
    pixels[3 * p] = planes[p]!;
    pixels[3 * p + 1] = planes[p + PIXELS]!;
    pixels[3 * p + 2] = planes[p + 2 * PIXELS]!;
  }
}
