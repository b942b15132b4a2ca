// One training step as a capture: bytes in, or numbers of images whose features are kept; parameters changed, totals
// moved.

import { packBytes } from "../../base/index.ts";
import {
  ArgumentError,
  add,
  backward,
  bernoulli,
  type Capture,
  capture,
  cast,
  type Generator,
  mul,
  normaliseImages,
  numel,
  packedWords,
  type Tensor,
} from "../../engine/functions.ts";
import { TRAIN } from "../../nn/index.ts";
import type { Track } from "../methods/method.ts";
import type { ExitRecord } from "../network/heads/head.ts";
import type { MultiExit } from "../network/multi-exit.ts";
import { stackRecords } from "../network/output.ts";
import { exitTally } from "../ops/tally.ts";
import type { attacked } from "./attack.ts";
import { deviceOf, type Totals } from "./evaluator.ts";
import type { Stepping } from "./fine-tuning.ts";
import type { ImageBatch, ImageSet } from "./images.ts";
import type { Kept } from "./kept.ts";
import type { EpochNumbers } from "./phases.ts";
import type { TeacherRun } from "./teachers.ts";

/** What a training step consists of. */
export interface StepParts {
  readonly net: MultiExit;
  readonly track: Track;
  readonly optimizer: Stepping;
  /** Shape and normalisation of the images. */
  readonly set: Pick<ImageSet, "shape" | "meta">;
  readonly batch: number;
  /** Chance of mirroring an image. */
  readonly flip: number;
  /** Whether batches are blends of two images each; default false. */
  readonly isMixed?: boolean | undefined;
  readonly teacher?: TeacherRun | undefined;
  /** What the phase prepared. */
  readonly numbers: ReadonlyMap<string, Tensor>;
  /** What was computed once for all images. */
  readonly kept?: Kept | undefined;
  /** What random layers of the network draw from. */
  readonly generators?: readonly Generator[] | undefined;
  /** Where masks are drawn from. */
  readonly generator: Generator;
  readonly totals: Totals;
}

/**
 * What a step is fed: bytes of images or, where something is kept of them, their numbers; `ramp` of tracks that have
 * one; the last two for blended images only.
 */
type StepInputs = {
  readonly labels: Tensor;
  readonly exitWeights: Tensor;
  readonly ramp?: Tensor;
  readonly bytes?: Tensor;
  readonly rows?: Tensor;
  readonly otherLabels?: Tensor;
  readonly share?: Tensor;
};

type StepCapture = Capture<StepInputs, { readonly lr: number }, unknown>;

/** A recorded training step. It holds what it reads and writes, as every capture does; the network may be forgotten. */
export class TrainingStep {
  readonly #capture: StepCapture;
  readonly #parts: StepParts;

  private constructor(captured: StepCapture, parts: StepParts) {
    this.#capture = captured;
    this.#parts = parts;
  }

  /** Records the step without running it. */
  static async record(parts: StepParts): Promise<TrainingStep> {
    return new TrainingStep(await captureStep(parts), parts);
  }

  /** Dispatches of one run. */
  get dispatches(): number {
    return this.#capture.dispatches;
  }

  /** Encodes one step; returns at once. @throws ArgumentError for a batch that is not as the source said. */
  run(given: ImageBatch, numbers: EpochNumbers, lr: number): void {
    this.#capture.run(feedsOf(this.#parts, given, numbers), { lr });
  }

  dispose(): void {
    this.#capture.dispose();
  }
}

/** What a step is fed, on the host. @throws ArgumentError for a batch that is not as the source said. */
export function feedsOf(
  { batch, set, isMixed = false, kept }: StepParts,
  given: ImageBatch,
  { exitWeights, ramp }: EpochNumbers,
) {
  const { images, labels, mixed, rows, count = labels.length } = given;
  if (labels.length !== batch || count !== batch)
    throw new ArgumentError(
      `train: every batch must have ${batch} images; got ${count}. Drop the last batch of an epoch if it is not full.`,
    );
  if ((mixed !== undefined) !== isMixed)
    throw new ArgumentError(
      `train: a batch must be mixed if and only if its source says so; got ${mixed ? "a mixed" : "a plain"} one. Set isMixed there.`,
    );
  const bytes = kept?.views ? undefined : numel([batch, ...set.shape]);
  if (bytes !== undefined && images?.length !== bytes)
    throw new ArgumentError(
      `train: every batch must have ${bytes} bytes of images, ${batch} of [${set.shape.join(", ")}]; got ${images?.length}. A source gives pixels as bytes, one after the other.`,
    );
  return {
    labels,
    exitWeights,
    ...(ramp !== undefined && { ramp: [ramp] }),
    ...(bytes !== undefined && { bytes: packBytes(images, packedWords([batch, ...set.shape])) }),
    ...(kept && { rows: rows as Int32Array }),
    ...(mixed && { otherLabels: mixed.labels, share: mixed.share }),
  };
}

/** Which images of a batch are mirrored, f32 [batch]; undefined: none. */
export const flipsOf = ({ flip, batch, generator }: StepParts): Tensor | undefined =>
  flip > 0 ? bernoulli([batch], { p: flip, generator }) : undefined;

/** The images of a batch of bytes, normalised, some of them mirrored. */
export function imagesOf({ set, batch }: StepParts, bytes: Tensor, flips: Tensor | undefined): Tensor {
  const { mean, std } = set.meta;
  return normaliseImages(bytes, { shape: [batch, ...set.shape], mean, std, flips });
}

function inputsOf({ net, set, batch, isMixed, kept, track }: StepParts) {
  return {
    labels: { shape: [batch], dtype: "i32" as const },
    exitWeights: { shape: [net.exits], dtype: "f32" as const },
    ...(track.ramp && { ramp: { shape: [], dtype: "f32" as const } }),
    ...(!kept?.views && { bytes: { shape: [packedWords([batch, ...set.shape])], dtype: "u32" as const } }),
    ...(kept && { rows: { shape: [batch], dtype: "i32" as const } }),
    ...(isMixed && {
      otherLabels: { shape: [batch], dtype: "i32" as const },
      share: { shape: [batch], dtype: "f32" as const },
    }),
  };
}

async function captureStep(parts: StepParts): Promise<StepCapture> {
  const attack = parts.track.attack && (await import("./attack.ts")).attacked;
  const { net, track, optimizer, teacher, numbers, generator, generators = [], totals } = parts;
  const written = [...numbers.values(), ...(teacher?.written ?? [])];
  const state = [optimizer, generator, ...generators, ...net.buffers(), totals.tensor, ...written];
  return capture(
    { label: "training step", device: deviceOf(net), inputs: inputsOf(parts), scalars: { lr: 0 }, state },
    (given: StepInputs, { lr }) => {
      const { labels, exitWeights, ramp, otherLabels, share } = given;
      const { exits, taught, attacked } = pass(parts, given, attack);
      const out = stackRecords(exits);
      const { logits } = out;
      const loss = track.loss({
        logits,
        out,
        exits,
        labels,
        exitWeights,
        ramp,
        mixed: otherLabels && share && { labels: otherLabels, share },
        teacher: taught,
        attacked,
        numbers: Object.fromEntries(numbers),
      });
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step({ lr });
      teacher?.update?.();
      exitTally(logits, labels, totals.tensor, { loss });
    },
  );
}

/** What is said of a batch: by all exits, by the teacher, and by all exits of the attacked images. */
interface Said {
  readonly exits: ExitRecord[];
  readonly taught: Tensor | undefined;
  readonly attacked: Tensor | undefined;
}

function pass(parts: StepParts, { bytes, rows, labels }: StepInputs, attack: typeof attacked | undefined): Said {
  const { net, track, set, generator, teacher, kept } = parts;
  const { trains, equilibrium = false } = track;
  const part = trains && { trains };
  const flips = flipsOf(parts);
  const images = bytes && imagesOf(parts, bytes, flips);
  const at = kept && rows && (flips ? add(rows, mul(cast(flips, "i32"), kept.size)) : rows);
  const taught = at && kept?.teacher ? kept.teacherAt(at) : images && teacher?.logits(images);
  const say = (x: Tensor) => net.records(x, TRAIN, { ...part, equilibrium });
  const exits = at && kept?.views ? net.recordsOf(kept.viewsAt(at), TRAIN, { ...part }) : say(images as Tensor);
  const fooled = track.attack && attack?.(net, images as Tensor, labels, track.attack, { ...set.meta, generator });
  return { exits, taught, attacked: fooled && stackRecords(say(fooled)).logits };
}
