// An HTTP server over one classifier: images in, answers out, labels when they come, health and metrics beside it.

import { randomUUID } from "node:crypto";
import fastify, { type FastifyInstance, type FastifyReply } from "fastify";
import { DeviceError } from "../../engine/index.ts";
import type { LoadedClassifier } from "../../exits/index.ts";
import { Batcher, type BatchingOptions } from "./batcher.ts";
import { BODIES, lotOf, shown } from "./bodies.ts";
import { BadRequest, BusyError } from "./errors.ts";
import { Labels } from "./labels.ts";
import { Measures } from "./measures.ts";

/** How a server works. */
export interface ServeOptions extends BatchingOptions {
  /** Bytes that a body may have. */
  readonly maxBytes: number;
  /** Pixels that a picture may have: few bytes may hold very many, and who decodes them answers nobody else. */
  readonly maxPixels: number;
  /** Answers that wait for their labels; the oldest are forgotten first. */
  readonly labels: number;
  /** Tells of faults that are nobody's fault but the server's; default `console.error`. */
  readonly onFault?: (error: Error) => void;
  /** Told of every request to classify, once its answer has been sent. */
  readonly onAnswered?: (status: number) => void;
}

/** What a server answers for an image. */
export interface ImageAnswer {
  /** To send its label by, once it is known. */
  readonly id: string;
  /** Index of the class, and its name. */
  readonly class: number;
  readonly name: string;
  /** The stage that it left at. */
  readonly exit: string;
  readonly score: number;
  readonly macs: number;
}

/** What is answered for a request that was refused. */
interface Refusal {
  readonly error: string;
}

/** What the routes of a server work on. */
interface Site {
  readonly classifier: LoadedClassifier;
  readonly batcher: Batcher;
  readonly labels: Labels;
  readonly measures: Measures;
  readonly maxPixels: number;
  /** Whether the device has failed. */
  readonly state: { isBroken: boolean };
}

/**
 * The server of a classifier. `close()` takes nothing more, answers what was taken, and disposes the classifier. It
 * reaches the first request with everything compiled.
 */
export async function buildServer(classifier: LoadedClassifier, options: ServeOptions): Promise<FastifyInstance> {
  const { model } = classifier;
  const { maxBytes, maxPixels, onFault = (error) => console.error(error), onAnswered } = options;
  const labels = new Labels(model, options.labels);
  const state = { isBroken: false };
  const batcher = new Batcher(
    async (images) => {
      try {
        return await classifier.classify(images);
      } catch (error) {
        // A device that is lost stays so: whoever watches over the process is to start another one.
        state.isBroken ||= error instanceof DeviceError;
        throw error;
      }
    },
    options,
    (images, ms) => measures.batch(images, ms),
  );
  const measures = new Measures(model, { batcher, labels });
  const site = { classifier, batcher, labels, measures, maxPixels, state };
  const app = fastify({ bodyLimit: maxBytes, return503OnClosing: true, forceCloseConnections: "idle" });
  for (const type of [BODIES.bytes, BODIES.floats, BODIES.png, BODIES.jpeg])
    app.addContentTypeParser(type, { parseAs: "buffer" }, (_, body, done) => done(null, body));
  refuseBySentences(app, onFault);
  app.addHook("onResponse", async (request, reply) => {
    if (request.routeOptions.url !== "/classify") return;
    measures.request(reply.statusCode, reply.elapsedTime);
    onAnswered?.(reply.statusCode);
  });
  takeImages(app, site);
  takeLabels(app, site);
  tellState(app, site);
  app.addHook("onClose", async () => classifier.dispose());
  const pixels = model.architecture.input.reduce((n, extent) => n * extent, 1);
  await classifier.classify(new Uint8Array(pixels));
  return app;
}

/** Every error is a status and a sentence; what only the server can mend is told to it alone. */
function refuseBySentences(app: FastifyInstance, onFault: (error: Error) => void): void {
  app.setErrorHandler((error: Error & { readonly statusCode?: number }, _, reply) => {
    const status = error instanceof BusyError ? 503 : (error.statusCode ?? 500);
    if (error instanceof BusyError) reply.header("retry-after", error.retryAfter);
    if (status >= 500 && status !== 503) onFault(error);
    const message = status === 500 ? "The server failed; it has been told." : error.message;
    return reply.status(status).send({ error: message } satisfies Refusal);
  });
  app.setNotFoundHandler((_, reply) => {
    const error = "There are POST /classify and /labels, GET /, /health, /ready and /metrics.";
    return reply.status(404).send({ error } satisfies Refusal);
  });
}

function takeImages(app: FastifyInstance, { classifier: { model }, batcher, labels, measures, maxPixels }: Site): void {
  app.post("/classify", async (request, reply) => {
    const type = (request.headers["content-type"] ?? "").split(";")[0]!.trim().toLowerCase();
    const lot = () => lotOf(type, request.body, model, maxPixels);
    const { classes, exits, scores, macs } = await batcher.answerMade(lot, goneOf(reply));
    const answers = Array.from(classes, (answer, i): ImageAnswer => {
      const id = randomUUID();
      const exit = exits[i]!;
      labels.decided(id, { exit, answer });
      measures.image(exit, macs[i]!);
      return {
        ...{ id, class: answer, name: model.classes[answer]! },
        ...{ exit: model.exits[exit]!.stage, score: scores[i]!, macs: macs[i]! },
      };
    });
    return { answers };
  });
}

function takeLabels(app: FastifyInstance, { classifier: { model }, labels }: Site): void {
  app.post("/labels", async (request) => {
    const told = readLabels(request.body, model.classes);
    let unknown = 0;
    let right = 0;
    for (const { id, label } of told) {
      const isRight = labels.resolved(id, label);
      if (isRight === undefined) unknown += 1;
      else right += Number(isRight);
    }
    return { labels: told.length - unknown, right, unknown, isAlarm: labels.monitor?.state.isAlarm ?? false };
  });
}

/** What runs here, and how it does; ready until the end begins, alive until the device fails. */
function tellState(app: FastifyInstance, { classifier, batcher, measures, state }: Site): void {
  let isReady = true;
  app.get("/", async () => {
    const { classes, exits, guarantee, weights, architecture } = classifier.model;
    const { runtimes, plan } = classifier;
    return { input: architecture.input, classes, exits, guarantee, weights, runtimes, plan };
  });
  const tell = (path: string, name: string, is: () => boolean) =>
    app.get(path, async (_, reply) => reply.status(is() ? 200 : 503).send({ [name]: is() }));
  tell("/health", "isAlive", () => !state.isBroken);
  tell("/ready", "isReady", () => isReady && !state.isBroken);
  app.get("/metrics", async (_, reply) => reply.type("text/plain; version=0.0.4").send(measures.text()));
  app.addHook("preClose", async () => {
    isReady = false;
    await batcher.drain();
  });
}

/** Ends when the client has gone before it was answered. */
function goneOf({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController();
  raw.once("close", () => {
    if (!raw.writableEnded) gone.abort(new BadRequest("The client has gone.", 499));
  });
  return gone.signal;
}

/** What was sent in place of a label, its id and label alone. */
function shownLabel(each: unknown): string {
  if (typeof each !== "object" || each === null || Array.isArray(each)) return shown(each);
  const { id, label } = each as { readonly id?: unknown; readonly label?: unknown };
  return `id ${shown(id)} and label ${shown(label)}`;
}

/** `{ id, label }`, or a list of them; labels by index or name. @throws BadRequest for what is none */
function readLabels(
  body: unknown,
  classes: readonly string[],
): readonly { readonly id: string; readonly label: number }[] {
  const all: readonly unknown[] = Array.isArray(body) ? body : [body];
  return all.map((each) => {
    const { id, label } = (each ?? {}) as { readonly id?: unknown; readonly label?: unknown };
    const index = typeof label === "string" ? classes.indexOf(label) : label;
    const isClass = typeof index === "number" && Number.isInteger(index) && index >= 0 && index < classes.length;
    if (typeof id !== "string" || !isClass) {
      throw new BadRequest(
        `A label must be { "id": of an answer, "label": name or index of a class }; got ${shownLabel(each)}.`,
      );
    }
    return { id, label: index };
  });
}
