// CIFAR-10-C and CIFAR-100-C as they are published (Hendrycks and Dietterich, ICLR 2019; Zenodo 2535967 and 3555552): a
// folder with an array a corruption, `fog.npy` [50000, 32, 32, 3], its severities one after the other, and `labels.npy`
// [50000].

import { firstOf, type ImageBytes } from "../../base/index.ts";
import { createDataset, type Dataset, printShape } from "../dataset.ts";
import { ensure } from "../errors.ts";
import { node, readBytes } from "../files.ts";
import { decodeNpy } from "../formats/npy.ts";
import { corruptionOf, SEVERITIES } from "./index.ts";

/**
 * The five severities of a corruption, mildest first, from a folder as published; of any size. Classes, normalisation
 * and, where there are as many images, ids are those of the clean set, whose labels theirs must then be.
 * @throws DataError for a file that is missing or does not fit, and for images of other labels.
 */
export async function readCorrupted(
  dir: string,
  name: string,
  clean: Dataset<ImageBytes>,
): Promise<readonly Dataset[]> {
  const op = "readCorrupted";
  corruptionOf(name);
  const open = async (array: string) => {
    const file = node("node:path").join(dir, `${array}.npy`);
    return { ...decodeNpy(await readBytes(file), file), file };
  };
  const [images, labels] = [await open(name), await open("labels")];
  const { shape, data, file } = images;
  const of = { file };
  const wanted = `[n, ${clean.shape.join(", ")}] in bytes, n a multiple of ${SEVERITIES.length}`;
  ensure(
    data instanceof Uint8Array &&
      shape.length === 4 &&
      shape.slice(1).every((extent, i) => extent === clean.shape[i]) &&
      firstOf(shape) % SEVERITIES.length === 0,
    () => `${op}: ${file} must be ${wanted}; got ${printShape(shape)} of ${data.constructor.name}.`,
    of,
  );
  const size = firstOf(shape) / SEVERITIES.length;
  ensure(
    labels.data.length === shape[0],
    () => `${op}: ${labels.file} must have ${shape[0]} labels; got ${labels.data.length}.`,
    { file: labels.file },
  );
  const pixels = clean.shape[0] * clean.shape[1] * clean.shape[2];
  return SEVERITIES.map((severity, i) => {
    const own = Int32Array.from(labels.data.subarray(i * size, (i + 1) * size), Number);
    const isSame = size === clean.size;
    // What is compared of the clean images may be fewer; the first of them are the same.
    const other = own.subarray(0, clean.size).findIndex((label, at) => label !== clean.labels[at]);
    ensure(
      other < 0,
      () =>
        `${op}: ${labels.file} must have the clean images' labels; got ${own[other]} for ${clean.labels[other]} at image ${other} of severity ${severity}.`,
      { file: labels.file },
    );
    return createDataset({
      shape: clean.shape,
      images: (data as Uint8Array).subarray(i * size * pixels, (i + 1) * size * pixels),
      labels: own,
      classes: clean.classes,
      ...(isSame && { ids: clean.ids }),
      meta: { ...clean.meta, split: `${clean.meta.split}, ${name} ${severity}` },
    });
  });
}
