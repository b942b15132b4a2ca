// What a server tells of itself, as a scraper reads it.

import type { ModelRecord } from "../../exits/index.ts";
import type { Batcher } from "./batcher.ts";
import type { Labels } from "./labels.ts";
import { Counter, Gauge, Histogram, textOf } from "./metrics.ts";

/** Seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const IMAGES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

interface Parts {
  readonly batcher: Batcher;
  readonly labels: Labels;
}

/** Everything that is counted. */
export class Measures {
  readonly #stages: readonly string[];
  readonly #requests = new Counter("sortie_requests_total", "Requests to classify, by status.");
  readonly #images = new Counter("sortie_images_total", "Images answered, by the exit that they left at.");
  readonly #macs = new Counter("sortie_macs_total", "Multiply-accumulates of the images answered.");
  readonly #seconds = new Histogram("sortie_request_seconds", "Time of requests that were answered.", SECONDS);
  readonly #batches = new Histogram("sortie_batch_images", "Images that were classified together.", IMAGES);
  readonly #batchSeconds = new Histogram("sortie_batch_seconds", "Time of a batch.", SECONDS);
  readonly #gauges: readonly Gauge[];

  constructor({ exits }: Pick<ModelRecord, "exits">, { batcher, labels }: Parts) {
    this.#stages = exits.map(({ stage }) => stage);
    const exit = (j: number) => ({ exit: this.#stages[j]! });
    const early = (read: (j: number) => number) =>
      (labels.monitor?.state.exits ?? []).map((_, j) => [read(j), exit(j)] as const);
    const state = (j: number) => labels.monitor!.state.exits[j]!;
    this.#gauges = [
      new Gauge("sortie_queue_images", "Images that wait.", () => [[batcher.queued]]),
      new Gauge("sortie_batches_under_way", "Batches that are being classified.", () => [[batcher.batchesUnderWay]]),
      new Gauge("sortie_labels_awaited", "Answers whose label has not come.", () => [[labels.waiting]]),
      new Gauge("sortie_labels", "Labels that came, by exit.", () =>
        labels.exits.map((each, j) => [each.labels, exit(j)]),
      ),
      new Gauge("sortie_errors", "Answers that their label showed to be wrong, by exit.", () =>
        labels.exits.map((each, j) => [each.errors, exit(j)]),
      ),
      new Gauge("sortie_early_error", "Share of wrong answers among labelled early leavers.", () => {
        const left = labels.exits.slice(0, -1);
        const [all, wrong] = [left.reduce((n, one) => n + one.labels, 0), left.reduce((n, one) => n + one.errors, 0)];
        return [[wrong / all]];
      }),
      new Gauge("sortie_promise_evidence", "Evidence against the promise, by early exit: at most 1 on average.", () =>
        early((j) => state(j).eValue),
      ),
      new Gauge("sortie_promise_alarm", "1 where the promise is broken, as far as labels tell.", () =>
        early((j) => Number(state(j).isAlarm)),
      ),
    ];
  }

  /** A request was answered, in so many milliseconds. */
  request(status: number, milliseconds: number): void {
    this.#requests.add(1, { status: String(status) });
    if (status === 200) this.#seconds.observe(milliseconds / 1000);
  }

  image(exit: number, macs: number): void {
    this.#images.add(1, { exit: this.#stages[exit]! });
    this.#macs.add(macs);
  }

  batch(images: number, milliseconds: number): void {
    this.#batches.observe(images);
    this.#batchSeconds.observe(milliseconds / 1000);
  }

  text(): string {
    const counted = [this.#requests, this.#images, this.#macs, this.#seconds, this.#batches, this.#batchSeconds];
    return textOf([...counted, ...this.#gauges]);
  }
}
