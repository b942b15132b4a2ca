// What is computed once for all training images, and kept on the GPU for the epochs of a phase: what heads read of a
// backbone that does not change, and the answers of a teacher that does not change. Where images are mirrored, both
// ways.

import { packBytes, zip } from "../../base/index.ts";
import {
  capture,
  indexSelect,
  keep,
  noGrad,
  normaliseImages,
  numel,
  ones,
  packedWords,
  type Shape,
  scatterRows,
  type Tensor,
  zeros,
} from "../../engine/functions.ts";
import { countMacs, EVAL } from "../../nn/index.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { deviceOf } from "./evaluator.ts";
import type { ImageSet } from "./images.ts";
import { askedOf, KEEP, type PhaseParts } from "./phase-parts.ts";
import type { TeacherRun } from "./teachers.ts";

/** What may be kept. */
export interface Keeping {
  readonly net: MultiExit;
  readonly set: ImageSet;
  /** Chance of mirroring an image. */
  readonly flip: number;
  /** Bytes that may be taken. */
  readonly most: number;
  /** Whether no parameter in front of the heads is trained. */
  readonly isTrunkFixed: boolean;
  readonly teacher: TeacherRun | undefined;
}

/** What can be computed once: only of images that come as they stand, and only if it is used more than once. */
export function keepingOf(parts: PhaseParts): Keeping | undefined {
  const { net, data, source, span, options } = parts;
  const { tracks } = span.phase;
  if (!source.hasRows || source.isMixed || span.epochs < 2) return undefined;
  const names = [...net.namedParameters().keys()];
  // The backbone's classifier counts as a head where it is one.
  const isTrunk = (name: string) =>
    name.startsWith("backbone.") && !(net.heads.length === net.exits && net.placeOf(name).isHead);
  // Attacked images are others in every step.
  const isTrunkFixed = tracks.every(
    ({ trains, attack }) => !attack && trains && !names.some((name) => isTrunk(name) && trains(name)),
  );
  const { keepBytes: most = KEEP } = options;
  const teacher = askedOf(parts);
  if (!isTrunkFixed && !teacher?.isFixed) return undefined;
  return { net, set: data.train, flip: span.recipe.flip, most, isTrunkFixed, teacher };
}

/** Images of one pass. */
const BATCH = 256;

/** Rows of images, and of mirrored ones behind them. */
export class Kept {
  /** Images; the mirrored one of row i is i + size. */
  readonly size: number;
  /** What each exit reads, [rows, ...]. */
  readonly views: readonly Tensor[] | undefined;
  /** A teacher's logits, [rows, K, C]. */
  readonly teacher: Tensor | undefined;
  readonly #isMirrored: boolean;

  private constructor(
    size: number,
    isMirrored: boolean,
    views: readonly Tensor[] | undefined,
    teacher: Tensor | undefined,
  ) {
    this.size = size;
    this.#isMirrored = isMirrored;
    this.views = views;
    this.teacher = teacher;
  }

  /** Computes what is worth it and has room; undefined for nothing. */
  static async make(keeping: Keeping): Promise<Kept | undefined> {
    const { net, set, flip, isTrunkFixed, teacher } = keeping;
    const mirrors = flip > 0 ? 2 : 1;
    // One row more takes what fills up the last batch.
    const rows = set.size * mirrors + 1;
    const room = new Room(keeping.most, deviceOf(net).pool.mostBytes);
    const answers = teacher?.isFixed && room.take([[rows, net.exits, net.classes]]);
    const shapes = isTrunkFixed ? viewShapes(net).map((shape) => [rows, ...shape]) : [];
    const views = shapes.length > 0 && room.take(shapes);
    if (!answers && !views) return undefined;
    const device = deviceOf(net);
    const empty = (list: readonly Shape[]) => list.map((shape) => keep(zeros(shape, { device })));
    const kept = new Kept(
      set.size,
      mirrors > 1,
      views ? empty(views) : undefined,
      answers ? empty(answers)[0] : undefined,
    );
    try {
      for (let mirror = 0; mirror < mirrors; mirror++) await kept.#fill(keeping, mirror, rows - 1);
    } catch (error) {
      kept.dispose();
      throw error;
    }
    return kept;
  }

  /** Whether this is what would be computed, of a network and a teacher that have not changed. */
  isOf({ flip, isTrunkFixed, teacher }: Keeping): boolean {
    const isMirrored = flip > 0;
    const hasTeacher = teacher?.isFixed === true;
    return (
      this.#isMirrored === isMirrored &&
      (this.views !== undefined) === isTrunkFixed &&
      (this.teacher !== undefined) === hasTeacher
    );
  }

  /** What each exit reads of the images at these rows. */
  viewsAt(rows: Tensor): Tensor[] {
    return (this.views ?? []).map((view) => indexSelect(view, rows));
  }

  /** What the teacher says of the images at these rows. */
  teacherAt(rows: Tensor): Tensor {
    return indexSelect(this.teacher as Tensor, rows);
  }

  dispose(): void {
    for (const tensor of this.#all) tensor.dispose();
  }

  get #all(): readonly Tensor[] {
    return [...(this.views ?? []), ...(this.teacher ? [this.teacher] : [])];
  }

  async #fill({ net, set, teacher }: Keeping, mirror: number, spare: number): Promise<void> {
    const device = deviceOf(net);
    const shape = [BATCH, ...set.shape];
    const { mean, std } = set.meta;
    const inputs = {
      bytes: { shape: [packedWords(shape)], dtype: "u32" as const },
      rows: { shape: [BATCH], dtype: "i32" as const },
    };
    using run = await capture({ label: "kept features", device, inputs, state: this.#all }, ({ bytes, rows }) =>
      noGrad(() => {
        const flips = mirror > 0 ? ones([BATCH], { dtype: "bool", device }) : undefined;
        const images = normaliseImages(bytes, { shape, mean, std, flips });
        if (this.views) {
          const found = net.views(images, EVAL);
          for (const [view, own] of zip(this.views, found)) scatterRows(view, rows, own);
        }
        if (this.teacher && teacher) scatterRows(this.teacher, rows, teacher.logits(images));
      }),
    );
    const pixels = numel(set.shape);
    for (let first = 0; first < set.size; first += BATCH) {
      const count = Math.min(BATCH, set.size - first);
      const rows = Int32Array.from({ length: BATCH }, (_, i) => (i < count ? mirror * set.size + first + i : spare));
      const bytes = packBytes(set.images.subarray(first * pixels, (first + count) * pixels), packedWords(shape));
      run.run({ bytes, rows });
      await device.sync();
    }
  }
}

/** Bytes that are left. */
class Room {
  #left: number;
  readonly #mostOfOne: number;

  constructor(most: number, mostOfOne: number) {
    this.#left = most;
    this.#mostOfOne = mostOfOne;
  }

  /** The shapes, if there is room for all of them. */
  take(shapes: readonly Shape[]): readonly Shape[] | undefined {
    const bytes = shapes.map((shape) => 4 * numel(shape));
    const all = bytes.reduce((sum, each) => sum + each, 0);
    if (all > this.#left || bytes.some((each) => each > this.#mostOfOne)) return undefined;
    this.#left -= all;
    return shapes;
  }
}

/** Shapes of what the exits read of one image, without the batch axis. Nothing runs on the GPU. */
function viewShapes(net: MultiExit): Shape[] {
  let shapes: Shape[] = [];
  const look = (x: Tensor) => {
    shapes = net.views(x, EVAL).map(({ shape }) => shape.slice(1));
  };
  countMacs(net.input, look, deviceOf(net));
  return shapes;
}
