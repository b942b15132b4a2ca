// The data sets of the lab: glyphs, drawn by code from a seed, and classes of one's own, in four parts without a common
// picture.

import {
  channelStatistics,
  createDataset,
  type Dataset,
  fromPixels,
  type GlyphOptions,
  glyphs,
  type PictureFit,
  type Splits,
  Stream,
  shuffledOrder,
  subset,
} from "../../../data/index.ts";
import { FEWEST, type ImageSource, type OwnSet, type Picture, type Settings } from "../protocol.ts";
import { get } from "./kept.ts";

/** Where classes of one's own are kept. */
export const classesAt = (images: ImageSource): string => `classes/${images}`;

/** Of glyphs: held-out parts grow with what is trained on, to as many as a promise of a few percent takes. */
export function glyphOptions(train: number): GlyphOptions {
  const within = (least: number, most: number): number => Math.min(most, Math.max(least, train));
  return { train, validation: within(200, 400), calibration: within(500, 1500), test: within(300, 1000), seed: 1 };
}

/** What a training works on. @throws Error where there are too few pictures of one's own */
export async function imagesOf({ images, samples, seed }: Settings): Promise<Splits> {
  if (images === "glyphs") return glyphs(glyphOptions(samples));
  const own = await get<OwnSet>(classesAt(images));
  if (!own) throw new Error("There are no pictures yet. Add some for each class.");
  return split(images, own, seed);
}

/** Shares of the parts that are held out. */
const HELD = { validation: 0.15, calibration: 0.25, test: 0.15 } as const;

/** Every class is divided alike, by the seed. */
function split(name: string, { shape, classes }: OwnSet, seed: number): Splits {
  const short = classes.find(({ pictures }) => pictures.length < FEWEST);
  if (classes.length < 2) throw new Error(`There must be two classes or more; there is ${classes.length}.`);
  if (short)
    throw new Error(`${short.name} has ${short.pictures.length} pictures; each class needs ${FEWEST} or more.`);
  const parts: Record<keyof typeof HELD | "train", number[]> = { train: [], validation: [], calibration: [], test: [] };
  let first = 0;
  for (const [label, { pictures }] of classes.entries()) {
    const order = [...shuffledOrder(pictures.length, new Stream(seed, "lab", label))].map((at) => first + at);
    for (const [part, share] of Object.entries(HELD) as [keyof typeof HELD, number][])
      parts[part].push(...order.splice(0, Math.max(1, Math.round(share * pictures.length))));
    parts.train.push(...order);
    first += pictures.length;
  }
  const all = whole(name, { shape, classes });
  const of = (part: keyof typeof parts): Dataset => subset(all, Int32Array.from(parts[part]), part);
  // Of the training pictures alone.
  const { mean, std } = channelStatistics(of("train"));
  // A channel may be the same everywhere.
  const meta = { mean, std: std.map((x) => Math.max(x, 1 / 255)), name };
  const known = (part: keyof typeof parts): Dataset => ({ ...of(part), meta: { ...meta, split: part } });
  return {
    train: known("train"),
    validation: known("validation"),
    calibration: known("calibration"),
    test: known("test"),
    protocol: `pictures of one's own, divided by seed ${seed}`,
  };
}

function whole(name: string, { shape, classes }: OwnSet): Dataset {
  const pixels = shape[0] * shape[1] * shape[2];
  const pictures = classes.flatMap((each) => each.pictures);
  const images = new Uint8Array(pictures.length * pixels);
  pictures.forEach((picture, i) => {
    images.set(picture, i * pixels);
  });
  const labels = Int32Array.from(classes.flatMap((each, label) => each.pictures.map(() => label)));
  const flat = Array.from({ length: shape[2] }, () => 0.5);
  const meta = { name, split: "all", mean: flat, std: flat };
  return createDataset({ images, labels, shape, classes: classes.map((each) => each.name), meta });
}

/** Pictures of any size as bytes of one. */
export const prepare = (
  pictures: readonly Picture[],
  input: readonly number[],
  fit: PictureFit = {},
): Promise<Uint8Array[]> => Promise.all(pictures.map((picture) => fromPixels(picture, { input, ...fit })));

/** What tells the pictures of a set from what they were; nothing of those that are drawn by code. */
export async function contentOf(images: ImageSource): Promise<string> {
  const own = images === "glyphs" ? undefined : await get<OwnSet>(classesAt(images));
  if (!own) return "";
  const layout = JSON.stringify(own.classes.map(({ name, pictures }) => [name, pictures.length]));
  const bytes = new Blob([layout, ...own.classes.flatMap(({ pictures }) => pictures as Uint8Array<ArrayBuffer>[])]);
  const digest = await crypto.subtle.digest("SHA-256", await bytes.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
