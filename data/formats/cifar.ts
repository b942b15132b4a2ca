// CIFAR-10 and CIFAR-100. Binary version: records of 1 label byte (CIFAR-100: coarse, then fine), then 32 x 32 red,
// green and blue bytes, plane after plane. Python version: a pickled dictionary of lists of labels, and of an array of
// such planes.

import { permuted } from "../../base/index.ts";
import { ensure, readOptions } from "../errors.ts";
import { readPickle } from "./pickle.ts";

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

/**
 * Decodes a file of the Python version; `labels` are the keys of its lists of labels, which the records have in this
 * order.
 * @throws DataError naming `file` for a pickle that is damaged, or holds something else.
 */
export function decodeCifarPickle(
  bytes: Uint8Array,
  options: { readonly file: string; readonly labels: readonly string[] },
): CifarRecords {
  const { file, labels: keys } = readOptions("decodeCifarPickle", options, { file: "string!", labels: "any!" });
  const held = readPickle(bytes, file);
  const dict: ReadonlyMap<string, unknown> = held instanceof Map ? held : new Map();
  const planes = dict.get("data") as { readonly shape?: readonly number[]; readonly data: Uint8Array } | undefined;
  const [count = 0, width] = planes?.shape ?? [];
  ensure(
    planes !== undefined && count > 0 && width === 3 * PIXELS && planes.shape?.length === 2,
    () => `decodeCifarPickle: ${file}: data must be bytes [count, ${3 * PIXELS}]; got [${planes?.shape ?? ""}].`,
    { file },
  );
  const labels = keys.map((key) => {
    const list = dict.get(key);
    const isFit = Array.isArray(list) && list.length === count && list.every((one) => Number.isInteger(one));
    ensure(isFit, () => `decodeCifarPickle: ${file}: ${key} must be ${count} labels; got something else.`, { file });
    return Int32Array.from(list as readonly number[]);
  });
  const images = new Uint8Array(count * 3 * PIXELS);
  if (planes) permuted(planes.data, [count, 3, PIXELS], [0, 2, 1], images);
  return { count, images, labels };
}
