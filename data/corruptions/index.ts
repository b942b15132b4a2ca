// The corruptions of Hendrycks and Dietterich (ICLR 2019): fifteen that count and four more, at five severities, on any
// set of images. Parameters, order of steps and edges are those of the public code that made CIFAR-10-C
// (hendrycks/robustness, ImageNet-C/create_c/make_cifar_c.py), in pixels of the image; what is not says so
// (`synthetic`).

import { type ImageBytes, type Kinds, lookUp, SEED } from "../../base/index.ts";
import type { Dataset } from "../dataset.ts";
import { DataError, ensure, readOptions } from "../errors.ts";
import { Stream } from "../random.ts";
import { BLUR } from "./blur.ts";
import { DIGITAL } from "./digital.ts";
import type { Corruption, Severity } from "./kind.ts";
import { NOISE } from "./noise.ts";
import type { Pixels } from "./pixels.ts";
import { WEATHER } from "./weather.ts";

export type { Corruption, Severity } from "./kind.ts";

/** All of them, by name: noise, blur, weather, digital. */
export const CORRUPTIONS: Readonly<Record<string, Corruption>> = Object.fromEntries(
  [...NOISE, ...BLUR, ...WEATHER, ...DIGITAL].map((each) => [each.name, each]),
);

export const SEVERITIES: readonly Severity[] = [1, 2, 3, 4, 5];

/** Options of `corrupt`. */
export interface CorruptOptions {
  /** One of `CORRUPTIONS`. */
  readonly name: string;
  readonly severity: Severity;
  /** Of what is drawn; default 0. Each image has a stream of its own, whatever others there are. */
  readonly seed?: number;
}

const KINDS: Kinds<CorruptOptions> = { name: "string!", severity: "number!", seed: "number" };

/** The record of a name. @throws DataError for a name that is none. */
export const corruptionOf = (name: string): Corruption => lookUp("corrupt: the name", CORRUPTIONS, name, DataError);

/**
 * The set with every image corrupted; labels, ids and normalisation stay. @throws DataError for an unknown name or
 * severity.
 *
 * @example
 * ```ts
 * import { corrupt, glyphs } from "sortie/data";
 *
 * const { test } = glyphs({ train: 0, validation: 0, calibration: 0, test: 8, seed: 1 });
 * const foggy = corrupt(test, { name: "fog", severity: 5, seed: 1 });
 * console.log(foggy.size, foggy.labels[0] === test.labels[0]); // 8 true
 * ```
 */
export function corrupt(data: Dataset<ImageBytes>, options: CorruptOptions): Dataset {
  const { name, severity, seed = 0 } = readOptions("corrupt", options, KINDS);
  const { apply } = corruptionOf(name);
  ensure(SEVERITIES.includes(severity), () => `corrupt: severity must be 1, 2, 3, 4 or 5; got ${severity}.`);
  ensure(SEED.fits(seed), () => `corrupt: seed must be ${SEED.must}; got ${seed}.`);
  const [height, width, channels] = data.shape;
  const pixels = height * width * channels;
  const images = new Uint8Array(data.images.length);
  for (let i = 0; i < data.size; i++) {
    const bytes = data.images.subarray(i * pixels, (i + 1) * pixels);
    const x: Pixels = { height, width, channels, data: Float64Array.from(bytes, (byte) => byte / 255) };
    const made = apply(x, severity - 1, new Stream(seed, `corrupt ${name}`, severity, data.ids[i]! >>> 0));
    // Bytes are cut, not rounded, as the published files are.
    images.set(
      Uint8Array.from(made.data, (value) => Math.floor(255 * Math.min(1, Math.max(0, value)) + 1e-9)),
      i * pixels,
    );
  }
  return { ...data, images, meta: { ...data.meta, split: `${data.meta.split}, ${name} ${severity}` } };
}
