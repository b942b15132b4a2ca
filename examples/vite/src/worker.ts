// The worker, who alone has the GPU: answers the page's questions one after the other.

import { createDevice, type Device, type LoadedClassifier, load, type Run, type Splits } from "sortie";
import type { Answer, FromWorker, Given, Name, Question } from "./messages.ts";
import { calibrate, imagesFor, trainOn } from "./training.ts";

const post = (message: FromWorker): void => self.postMessage(message);

let opened: Promise<Device> | undefined;
/** Opened with the first question that needs it; where it fails, the next question tries again. */
function gpu(): Promise<Device> {
  opened ??= createDevice().catch((error: unknown) => {
    opened = undefined;
    throw error;
  });
  return opened;
}

let trained: { readonly run: Run; readonly data: Splits } | undefined;
let classifier: LoadedClassifier | undefined;

/** The classifier that answers from now on; it always comes out of a model file. */
function take(next: LoadedClassifier): void {
  classifier?.dispose();
  classifier = next;
}

const answers: { readonly [N in Name]: (given: Given<N>) => Promise<Answer<N>> } = {
  async train({ pictures, epochs }) {
    const device = await gpu();
    const data = imagesFor(pictures);
    const began = performance.now();
    const run = await trainOn(device, data, epochs, (progress) => post({ progress }));
    const seconds = (performance.now() - began) / 1000;
    trained?.run.net.dispose();
    trained?.run.dispose();
    trained = { run, data };
    const accuracy = (await run.evaluate("test")).map((exit) => exit.accuracy);
    return { classes: data.train.classes, seconds, accuracy };
  },
  async calibrate({ risk }) {
    if (!trained) throw new Error("Nothing has been trained yet.");
    const { classifier, ...found } = await calibrate(await gpu(), trained.run, trained.data, risk);
    take(classifier);
    return found;
  },
  async open(file) {
    const opened = await load(file, { device: await gpu() });
    take(opened);
    return { classes: opened.model.classes, promise: opened.model.guarantee };
  },
  async classify(picture) {
    if (!classifier) throw new Error("There is no classifier yet. Train and calibrate one, or open one.");
    const { model } = classifier;
    const { classes, exits, scores, macs } = await classifier.classify(picture);
    picture.close();
    const whole = model.exits.at(-1)?.macs ?? Number.NaN;
    return {
      name: model.classes[classes[0] ?? 0] ?? "",
      exit: (exits[0] ?? 0) + 1,
      exits: model.exits.length,
      score: scores[0] ?? Number.NaN,
      cost: (macs[0] ?? whole) / whole,
    };
  },
};

let before: Promise<unknown> = Promise.resolve();

self.addEventListener("message", ({ data: { id, name, given } }: MessageEvent<Question>) => {
  before = before
    .then((): Promise<unknown> => answers[name](given as never))
    .then(
      (answer) => post({ id, answer }),
      (error: unknown) => post({ id, error: error instanceof Error ? error.message : String(error) }),
    );
});
