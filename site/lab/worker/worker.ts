// The worker: answers the page's questions, one after the other but for a pause, and is the only one who has the GPU.

import type { Answer, AskName, FromWorker, Given, Grid, OwnSet, Question, Subject, Told } from "../protocol.ts";
import { choices } from "./choices.ts";
import { gpu, nameOf, onDevice } from "./gpu.ts";
import { classesAt, prepare } from "./images.ts";
import { get, put } from "./kept.ts";
import { Runner, runGrid, runPictures } from "./running.ts";
import { shippedFile, shippedTest } from "./shipped.ts";
import { type Classified, calibrate, describe, loadedSubject, moveTo } from "./subject.ts";
import { takeHome } from "./take-home.ts";
import { forget, kept, pause, trainKept } from "./training.ts";

const post = (message: FromWorker, transfer: Transferable[] = []): void => self.postMessage(message, { transfer });
const tell = (told: Told): void => post(told);

/** The classifier at hand, and what runs it under the policy of the moment. */
let subject: Classified | undefined;
let runner: Runner | undefined;

function forgetRunner(): void {
  runner?.dispose();
  runner = undefined;
}

function take(next: Classified): Subject {
  forgetRunner();
  subject?.net.dispose();
  subject = next;
  return describe(next);
}

function mine(): Classified {
  if (!subject) throw new Error("There is no classifier yet. Train one, or open one.");
  return subject;
}

/** Does something with the classifier; where its device was lost, on another one. */
function withSubject<T>(work: (subject: Classified) => Promise<T>): Promise<T> {
  return onDevice(tell, async (device) => {
    const here = mine();
    if (here.device !== device) {
      forgetRunner();
      await moveTo(device, here);
    }
    return work(here);
  });
}

const running = <T>(work: (runner: Runner, subject: Classified) => Promise<T>): Promise<T> =>
  withSubject(async (subject) => {
    runner ??= await Runner.of(subject);
    return work(runner, subject);
  });

type Answers = { readonly [Name in AskName]: (given: Given<Name>) => Promise<Answer<Name>> | Answer<Name> };

const answers: Answers = {
  async open() {
    const adapter = nameOf(await gpu());
    return { adapter, choices: choices(), kept: await kept() };
  },
  async keepClasses({ images, set }) {
    await put(classesAt(images), set);
    return undefined;
  },
  classes: (images) => get<OwnSet>(classesAt(images)),
  prepare: ({ pictures, shape }) => prepare(pictures, shape),
  async train(settings) {
    const trained = await trainKept(settings, tell);
    return trained && inTurn(() => take(trained));
  },
  pause() {
    pause();
    return undefined;
  },
  async forget() {
    await forget();
    return undefined;
  },
  calibrate: (levels) =>
    withSubject(async (subject) => {
      const found = await calibrate(subject, levels);
      forgetRunner();
      return found;
    }),
  run: (pictures) => running((runner, subject) => runPictures(runner, subject, pictures)),
  grid: () => running(runGrid),
  takeHome: (what) => withSubject((subject) => takeHome(subject, what)),
  load: ({ name, file }) => onDevice(tell, async () => take(await loadedSubject(name, file))),
  shipped: (name) =>
    onDevice(tell, async () => take(await loadedSubject(name, await shippedFile(name), await shippedTest(name)))),
};

/** Who waits for whom: what needs the classifier comes one after the other, while a training runs beside it. */
let queue: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => T | Promise<T>): Promise<T> {
  const turn = queue.then(work);
  queue = turn.catch(() => undefined);
  return turn;
}

const AT_ONCE: readonly AskName[] = ["open", "train", "pause"];

async function answer({ id, ask, given }: Question): Promise<void> {
  try {
    const work = () => (answers[ask] as (given: unknown) => unknown)(given);
    const answer = await (AT_ONCE.includes(ask) ? work() : inTurn(work));
    post({ id, answer }, ask === "grid" ? [(answer as Grid).sheet] : []);
  } catch (error) {
    const { name, message } = error as Error;
    post({ id, error: { name, message } });
  }
}

self.addEventListener("message", ({ data }: MessageEvent<Question>) => void answer(data));
