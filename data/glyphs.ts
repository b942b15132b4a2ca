// The embedded data set: ten glyphs, drawn by code from a seed, 28 x 28 x 1. Each sample has a difficulty from 0 to 1,
// which sets how strongly it is turned, shrunk, shifted, faded, cluttered, covered and made noisy; all of that is kept
// per sample, so that easy and hard are known and not guessed. Sample i depends on (seed, split, i) alone: asking for
// more adds, and changes nothing.

import { option } from "../base/index.ts";
import { createDataset, type Dataset } from "./dataset.ts";
import { complete, ensureWithin } from "./errors.ts";
import { sinCos } from "./numeric.ts";
import { Stream } from "./random.ts";
import {
  box,
  type Canvas,
  disc,
  draw,
  outline,
  type Placement,
  polygon,
  polyline,
  type Shape,
  union,
} from "./raster.ts";
import { SPLIT, type Splits } from "./splits.ts";

/** Height and width of a glyph image in pixels. */
export const GLYPH_SIZE = 28;

const PEN = 0.17;

/** The point of a regular star or polygon, `turns` of a full circle clockwise from the top. */
const spoke = (turns: number, radius: number): number[] => {
  const [sin, cos] = sinCos(2 * Math.PI * turns);
  return [radius * sin, -radius * cos];
};
const around = (n: number, radius: (i: number) => number): number[] =>
  Array.from({ length: n }, (_, i) => spoke(i / n, radius(i))).flat();

/** By class; the unit is about half of a glyph's width. No glyph is another one turned. */
const GLYPHS: Readonly<Record<string, Shape>> = {
  disc: disc(0, 0, 0.82),
  ring: outline(disc(0, 0, 0.74), PEN),
  square: outline(box(0, 0, 0.68, 0.68), PEN),
  triangle: outline(polygon(around(3, () => 0.9)), PEN),
  cross: union(polyline([-0.75, 0, 0.75, 0], PEN), polyline([0, -0.75, 0, 0.75], PEN)),
  bars: union(...[-0.65, 0, 0.65].map((y) => polyline([-0.75, y, 0.75, y], PEN * 0.85))),
  star: polygon(around(10, (i) => (i % 2 === 0 ? 1.05 : 0.42))),
  zigzag: polyline([-0.9, 0.5, -0.45, -0.5, 0, 0.5, 0.45, -0.5, 0.9, 0.5], PEN * 0.9),
  arrow: union(polyline([-0.9, 0, 0.8, 0], PEN), polyline([0.2, -0.7, 0.85, 0, 0.2, 0.7], PEN)),
  dots: union(...[-0.52, 0.52].flatMap((x) => [-0.52, 0.52].map((y) => disc(x, y, 0.28)))),
};

/** The ten classes, in the order of their labels. */
export const GLYPH_CLASSES: readonly string[] = Object.keys(GLYPHS);

/** What was done to a sample, each from 0 (nothing) to 1; `difficulty` bounds all the others. */
export const GLYPH_FACTORS = ["difficulty", "noise", "clutter", "rotation", "occlusion", "contrast", "scale"] as const;

/** The strength of each disturbance of a sample, by name. */
export type GlyphFactors = Readonly<Record<(typeof GLYPH_FACTORS)[number], number>>;

/** Of the default distribution of difficulties, measured over 20,000 samples. */
const MEAN = 0.19;
const STD = 0.26;

/** What `glyphs` draws. */
export interface GlyphOptions {
  /** Default 8000. */
  readonly train?: number;
  /** Default 1000. */
  readonly validation?: number;
  /** Default 2000. */
  readonly calibration?: number;
  /** Default 2000. */
  readonly test?: number;
  /** Default 1. */
  readonly seed?: number;
  /** The range of difficulties, within 0 and 1; default [0, 1]. */
  readonly difficulty?: readonly [easiest: number, hardest: number];
}

/** Those of them that a command has too. */
export const GLYPH_PARTS = {
  train: option.whole(8000, "training images", { min: 0 }),
  validation: option.whole(1000, SPLIT.validation.about, { min: 0 }),
  calibration: option.whole(2000, SPLIT.calibration.about, { min: 0 }),
  test: option.whole(2000, "test images", { min: 0 }),
} as const;

const GLYPH_OPTIONS = {
  ...GLYPH_PARTS,
  seed: SPLIT.seed,
  difficulty: option.list([0, 1], "range of difficulties", {
    must: "two numbers within 0 and 1",
    min: 0,
    max: 1,
    length: 2,
  }),
} as const;

/**
 * The embedded data set in four splits, balanced over the classes. Columns: see `GLYPH_FACTORS`.
 * @throws DataError for a count that is not a whole number, or a difficulty outside of 0 and 1.
 *
 * @example
 * ```ts
 * import { glyphs } from "sortie/data";
 *
 * const data = glyphs({ train: 100, validation: 20, calibration: 20, test: 20, seed: 1 });
 * console.log(data.train.size, data.train.shape); // 100 [28, 28, 1]
 * ```
 */
export function glyphs(options: GlyphOptions = {}): Splits {
  const { train, validation, calibration, test, seed, difficulty } = complete("glyphs", GLYPH_OPTIONS, options);
  const [easiest = 0, hardest = 1] = difficulty;
  ensureWithin("glyphs", "the hardest difficulty", hardest, easiest, 1);
  const part = (split: keyof typeof SPLIT_IDS, count: number): Dataset =>
    drawSplit(split, count, seed, [easiest, hardest]);
  return {
    train: part("train", train),
    validation: part("validation", validation),
    calibration: part("calibration", calibration),
    test: part("test", test),
    protocol: `glyphs drawn from seed ${seed}: ${train} train, ${validation} validation, ${calibration} calibration and ${test} test samples, each drawn on its own`,
  };
}

/** Ids start here, so that no id is in two splits and no split's samples depend on another's size. */
const SPLIT_IDS = { train: 0, validation: 2 ** 28, calibration: 2 ** 29, test: 2 ** 28 + 2 ** 29 } as const;

function drawSplit(
  split: keyof typeof SPLIT_IDS,
  count: number,
  seed: number,
  [easiest, hardest]: readonly [number, number],
): Dataset {
  const pixels = GLYPH_SIZE * GLYPH_SIZE;
  const images = new Uint8Array(count * pixels);
  const labels = new Int32Array(count);
  const ids = new Int32Array(count);
  const columns = Object.fromEntries(GLYPH_FACTORS.map((name) => [name, new Float32Array(count)]));
  for (let i = 0; i < count; i++) {
    const id = SPLIT_IDS[split] + i;
    const stream = new Stream(seed, "glyph", id);
    ids[i] = id;
    labels[i] = i % GLYPH_CLASSES.length;
    const { image, factors } = drawGlyph(labels[i]!, stream.between(easiest, hardest), stream);
    images.set(image, i * pixels);
    for (const name of GLYPH_FACTORS) columns[name]![i] = factors[name];
  }
  return createDataset({
    images,
    labels,
    ids,
    columns,
    shape: [GLYPH_SIZE, GLYPH_SIZE, 1],
    classes: GLYPH_CLASSES,
    meta: { name: "glyphs", split, mean: [MEAN], std: [STD] },
  });
}

/** One glyph of class `label` at a difficulty from 0 to 1; everything else is drawn from `stream`. [28, 28] */
export function drawGlyph(
  label: number,
  difficulty: number,
  stream: Stream,
): { readonly image: Uint8Array; readonly factors: GlyphFactors } {
  const share = (): number => difficulty * stream.between(0.5, 1);
  const factors = {
    difficulty,
    noise: share(),
    clutter: share(),
    rotation: share(),
    occlusion: share(),
    contrast: share(),
    scale: share(),
  };
  const canvas = { width: GLYPH_SIZE, height: GLYPH_SIZE, pixels: new Float64Array(GLYPH_SIZE * GLYPH_SIZE) };
  const paper = 70 * factors.contrast * stream.uniform();
  const ink = 235 - 85 * factors.contrast;
  canvas.pixels.fill(paper);
  drawClutter(canvas, factors.clutter, ink, stream);
  const place = placeGlyph(factors, stream);
  draw(canvas, GLYPHS[GLYPH_CLASSES[label]!]!, place, ink);
  drawCover(canvas, factors.occlusion, place, paper, stream);
  const sigma = 3 + 33 * factors.noise;
  const image = Uint8Array.from(canvas.pixels, (x) =>
    Math.min(255, Math.max(0, Math.round(x + sigma * stream.normal()))),
  );
  return { image, factors };
}

/** Up to 35 degrees either way, down to 70 % of the size, shifted as far as the glyph stays inside. */
function placeGlyph({ rotation, scale }: GlyphFactors, stream: Stream): Placement {
  const direction = stream.chance(0.5) ? 1 : -1;
  const [sin, cos] = sinCos((direction * rotation * 35 * Math.PI) / 180);
  const size = 10.5 * (1 - 0.3 * scale);
  const reach = 1 + 4 * scale;
  const middle = GLYPH_SIZE / 2;
  return {
    x: middle + stream.between(-reach, reach),
    y: middle + stream.between(-reach, reach),
    scale: size,
    sin,
    cos,
    reach: 1.3,
  };
}

/** Short strokes and small rings anywhere beneath the glyph, fainter than it. */
function drawClutter(canvas: Canvas, strength: number, ink: number, stream: Stream): void {
  const count = Math.round(8 * strength);
  for (let i = 0; i < count; i++) {
    const [sin, cos] = sinCos(stream.between(0, 2 * Math.PI));
    const place = {
      x: stream.between(0, GLYPH_SIZE),
      y: stream.between(0, GLYPH_SIZE),
      scale: stream.between(2.5, 5),
      sin,
      cos,
      reach: 1.3,
    };
    const shape = stream.chance(0.7) ? polyline([-1, 0, 1, 0], 0.3) : outline(disc(0, 0, 0.7), 0.25);
    draw(canvas, shape, place, ink, stream.between(0.25, 0.65));
  }
}

/** A strip of paper across the glyph, beside its middle. */
function drawCover(canvas: Canvas, strength: number, place: Placement, paper: number, stream: Stream): void {
  const halfWidth = 0.24 * strength;
  if (halfWidth * place.scale < 0.25) return;
  const [sin, cos] = sinCos(stream.between(0, 2 * Math.PI));
  const offset = stream.between(0.25, 0.75);
  draw(canvas, box(offset, 0, halfWidth, 2), { x: place.x, y: place.y, scale: place.scale, sin, cos }, paper);
}
