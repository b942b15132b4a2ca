// A training that is kept in the browser at every checkpoint: paused, reloaded or with its device lost, it goes on from
// there to the weights that it would have had.

import type { Device } from "../../../engine/index.ts";
import { buildNetwork, METHODS, type Progress, train } from "../../../exits/index.ts";
import type { Kept, Point, Settings, Standing, Told } from "../protocol.ts";
import { BACKBONES } from "./choices.ts";
import { onDevice } from "./gpu.ts";
import { contentOf, imagesOf } from "./images.ts";
import { checkpoints, get, put, removeAll } from "./kept.ts";
import { type Classified, trainedSubject } from "./subject.ts";

const KEPT = "training";
const CHECKPOINTS = "checkpoints/";

type Tell = (told: Told) => void;

/** What is kept of the last training; nobody goes on with it by itself where its pictures are others by now. */
export async function kept(): Promise<Kept | undefined> {
  const found = await get<Kept>(KEPT);
  return found && ((await isOfNow(found)) ? found : { ...found, standing: "paused" });
}

const isOfNow = async ({ settings, content }: Kept): Promise<boolean> =>
  content === undefined || content === (await contentOf(settings.images));

/** Forgets it. */
export async function forget(): Promise<void> {
  await removeAll(KEPT);
  await removeAll(CHECKPOINTS);
}

let stop: AbortController | undefined;

/** Stops the training that runs, after the step at hand. */
export const pause = (): void => stop?.abort();

/** Trains, or goes on; nothing if it was paused. @throws Error for what cannot be trained, and while another runs */
export async function trainKept(settings: Settings, tell: Tell): Promise<Classified | undefined> {
  if (stop) throw new Error("A training runs already. Pause it first.");
  const own = new AbortController();
  stop = own;
  try {
    const before = await get<Kept>(KEPT);
    const isAlike = before !== undefined && JSON.stringify(before.settings) === JSON.stringify(settings);
    const isSame = isAlike && (await isOfNow(before));
    if (!isSame) await forget();
    const begun = { settings, content: await contentOf(settings.images) };
    const log = new Log(begun, isSame ? before.points : [], tell);
    return await onDevice(tell, (device) => trainOn(device, { settings, log, signal: own.signal }));
  } finally {
    stop = undefined;
  }
}

interface Asked {
  readonly settings: Settings;
  readonly log: Log;
  readonly signal: AbortSignal;
}

async function trainOn(device: Device, { settings, log, signal }: Asked): Promise<Classified | undefined> {
  const data = await imagesOf(settings);
  const method = METHODS[settings.method]?.with();
  const backbone = BACKBONES[settings.backbone];
  if (!method || !backbone) throw new Error(`There is no ${method ? settings.backbone : settings.method} to train.`);
  const net = buildNetwork(
    {
      backbone: backbone.backbone,
      ...(backbone.options && { options: backbone.options }),
      input: data.train.shape,
      classes: data.train.classes.length,
      exits: settings.exits,
      head: "gap-norm-linear",
      wraps: method.wraps.map(({ name }) => name),
    },
    { seed: settings.seed, device },
  );
  try {
    const batch = Math.min(32, data.train.size);
    const steps = settings.epochs * Math.floor(data.train.size / batch);
    const run = await train(net, data, {
      method,
      epochs: settings.epochs,
      batch,
      seed: settings.seed,
      store: checkpoints(CHECKPOINTS),
      signal,
      // A curve of some sixty points, and no more than some steps lost with the page.
      logEvery: Math.max(1, Math.round(steps / 60)),
      checkpointEvery: 25,
      report: log.report,
    });
    run.dispose();
    const subject = await trainedSubject({ net, device }, data, settings);
    // Not kept, it is there all the same, until the page is closed.
    await log.keep("done").catch(() => {});
    return subject;
  } catch (error) {
    net.dispose();
    if (!signal.aborted) throw error;
    await log.keep("paused");
    return undefined;
  }
}

/** What a training tells: to the page at once, and to the browser for later. */
class Log {
  readonly #begun: Pick<Kept, "settings" | "content">;
  readonly #tell: Tell;
  #points: readonly Point[];
  #at = { step: 0, steps: 0 };
  #keeping: Promise<void> = Promise.resolve();

  constructor(begun: Pick<Kept, "settings" | "content">, points: readonly Point[], tell: Tell) {
    this.#begun = begun;
    this.#points = points;
    this.#tell = tell;
  }

  readonly report = (event: Progress): void => {
    if (event.kind === "start") {
      const { step, steps } = event;
      // What lies behind the checkpoint is done again.
      this.#points = this.#points.filter((point) => point.step <= step);
      this.#at = { step, steps };
      this.#tell({ tell: "begun", step, steps });
    }
    if (event.kind === "train" || event.kind === "evaluation") {
      const loss = event.kind === "train" ? event.loss : (event.exits.at(-1)?.loss ?? Number.NaN);
      const accuracy = event.exits.map((exit) => exit.accuracy);
      const point: Point = { kind: event.kind, step: event.step, loss, accuracy };
      this.#points = [...this.#points, point];
      this.#tell({ tell: "point", point });
    }
    if (event.kind === "train") {
      this.#at = { step: event.step, steps: event.steps };
      this.#tell({ tell: "step", ...this.#at, secondsLeft: event.secondsLeft });
    }
    // The next one is kept again.
    if (event.kind !== "note" && event.kind !== "end") void this.keep("running").catch(() => {});
  };

  /** Keeps where the training stands. @throws DOMException where the browser keeps nothing */
  keep(standing: Standing): Promise<void> {
    const kept: Kept = { ...this.#begun, standing, ...this.#at, points: this.#points };
    this.#keeping = this.#keeping.catch(() => {}).then(() => put(KEPT, kept));
    return this.#keeping;
  }
}
