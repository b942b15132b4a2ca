// The binary version of CIFAR-10 and CIFAR-100: records of 1 label byte (CIFAR-100: coarse, then fine), then 32 x 32
// red, green and blue bytes, plane after plane.

import { permuted } from "../../base/index.ts";
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
  for (let i = 0; i < count; i++) {
    const planes = bytes.subarray(i * record + labelBytes, (i + 1) * record);
    permuted(planes, [3, PIXELS], [1, 0], images.subarray(i * 3 * PIXELS));
  }
  const labels = Array.from({ length: labelBytes }, (_, k) =>
    Int32Array.from({ length: count }, (_, i) => bytes[i * record + k]!),
  );
  return { count, images, labels };
}
