// Classifying: through the exits, and for comparison without leaving.

import { type Classifier, deploy, type MultiExit } from "../../../exits/index.ts";
import type { Answered, Grid, Picture, Ran } from "../protocol.ts";
import { prepare } from "./images.ts";
import type { Classified } from "./subject.ts";

/** A network deployed with its policy, and without. */
export class Runner {
  readonly #early: Classifier;
  readonly #whole: Classifier;

  private constructor(early: Classifier, whole: Classifier) {
    this.#early = early;
    this.#whole = whole;
  }

  static async of({ net, about }: Classified): Promise<Runner> {
    const { policy, normalise, fit } = about;
    const options = { normalise, ...(fit && { fit }) };
    const never = { thresholds: new Array<number>(net.exits - 1).fill(Number.POSITIVE_INFINITY) };
    const early = policy?.result.ok
      ? await deploy(net, policy.result, { ...options, ...(policy.scaling && { scaling: policy.scaling }) })
      : await deploy(net, never, options);
    return new Runner(early, await deploy(net, never, options));
  }

  /** Answers, and the milliseconds of both ways: the median of some runs. */
  async run(images: Uint8Array, runs = RUNS) {
    const timed = async (classifier: Classifier) => {
      const times: number[] = [];
      let answers = await classifier.classify(images);
      // It tries its routes on the first batches; what is told is the time of the one that it takes.
      const end = performance.now() + WARM_UP;
      while (classifier.plan.some(({ isSettled }) => !isSettled) && performance.now() < end)
        answers = await classifier.classify(images);
      for (let i = 0; i < runs; i++) {
        const start = performance.now();
        answers = await classifier.classify(images);
        times.push(performance.now() - start);
      }
      return { answers, ms: times.toSorted((a, b) => a - b)[times.length >> 1]! };
    };
    const early = await timed(this.#early);
    const whole = await timed(this.#whole);
    return { answers: early.answers, ms: early.ms, wholeMs: whole.ms };
  }

  dispose(): void {
    this.#early.dispose();
    this.#whole.dispose();
  }
}

/** Timed runs of pictures. */
const RUNS = 5;
/** Milliseconds in which a classifier may find the fastest route. */
const WARM_UP = 400;

const costOf = (net: MultiExit, macs: number): number => macs / (net.macs().at(-1) ?? 1);

/** Answers for pictures of any size. */
export async function runPictures(
  runner: Runner,
  { net, about }: Classified,
  pictures: readonly Picture[],
): Promise<Ran> {
  const prepared = await prepare(pictures, net.input, about.fit);
  const images = new Uint8Array(prepared.reduce((sum, { length }) => sum + length, 0));
  prepared.forEach((picture, i) => {
    images.set(picture, i * picture.length);
  });
  const { answers, ms, wholeMs } = await runner.run(images);
  const stages = net.describe();
  const said = Array.from(answers.classes, (label, i): Answered => {
    const exit = answers.exits[i]!;
    return {
      label: about.classes[label]!,
      exit,
      stage: stages[exit]!.stage,
      score: answers.scores[i]!,
      cost: costOf(net, answers.macs[i]!),
    };
  });
  return { answers: said, ms, wholeMs };
}

/** Test images that are shown. */
const MOST = 1000;
const COLUMNS = 40;

/** Answers for test images, with a picture of them. @throws Error where there are none */
export async function runGrid(runner: Runner, { net, test }: Classified): Promise<Grid> {
  if (!test) throw new Error("There are no test images of this model.");
  const [height, width, channels] = net.input;
  const count = Math.min(MOST, test.labels.length);
  const images = test.images.subarray(0, count * height * width * channels);
  const { answers, ms, wholeMs } = await runner.run(images, 1);
  const columns = Math.min(COLUMNS, Math.ceil(Math.sqrt(count * 1.6)));
  const canvas = new OffscreenCanvas(columns * width, Math.ceil(count / columns) * height);
  const context = canvas.getContext("2d");
  for (let i = 0; i < count; i++) {
    const image = rgba(images.subarray(i * height * width * channels, (i + 1) * height * width * channels), net.input);
    context?.putImageData(image, (i % columns) * width, Math.floor(i / columns) * height);
  }
  const macs = Array.from(answers.macs, (each) => costOf(net, each));
  return {
    sheet: canvas.transferToImageBitmap(),
    columns,
    labels: [...test.labels.subarray(0, count)],
    answers: [...answers.classes],
    exits: [...answers.exits],
    ms,
    wholeMs,
    cost: macs.reduce((sum, each) => sum + each, 0) / count,
  };
}

function rgba(pixels: Uint8Array, [height, width, channels]: readonly [number, number, number]): ImageData {
  const image = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (const c of [0, 1, 2]) image.data[4 * i + c] = pixels[i * channels + Math.min(c, channels - 1)]!;
    image.data[4 * i + 3] = 255;
  }
  return image;
}
