// The server of examples/serve on the loopback: answers of every kind of body, batches within a deadline, a queue that
// is full, labels and metrics, bad requests, and an end at which nothing is lost.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FastifyInstance } from "fastify";
import type { PolicyFile } from "../../calibration/index.ts";
import { encodePng } from "../../data/index.ts";
import { Batcher, BusyError } from "../../examples/serve/batcher.ts";
import { buildServer, type ImageAnswer, type ServeOptions } from "../../examples/serve/server.ts";
import { type Answers as Answered, type LoadedClassifier, load, readModel } from "../../exits/index.ts";
import { bars } from "../exits/small.ts";
import { assert, atEnd, errorOf, suite } from "../harness.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const MODEL = join(root, "test/exits/files/model-1-resnet.sortie.safetensors");
const OPTIONS: ServeOptions = { batch: 16, deadline: 5, queue: 64, maxBytes: 100_000, labels: 1000 };
const PIXELS = 64;
const { images } = bars(60, "test", 3000);
const image = (i: number, count = 1): Uint8Array<ArrayBuffer> =>
  images.slice(i * PIXELS, (i + count) * PIXELS) as Uint8Array<ArrayBuffer>;

const test = suite("serve", { timeout: 60_000 });
const open: FastifyInstance[] = [];
atEnd(async () => {
  for (const app of open) await app.close();
});

/** A server of a classifier, and its address. */
async function serve(classifier: LoadedClassifier, options: Partial<ServeOptions> = {}) {
  const app = await buildServer(classifier, { ...OPTIONS, ...options });
  open.push(app);
  return { app, at: await app.listen({ host: "127.0.0.1", port: 0 }) };
}

const real = () => load(MODEL, { runtime: "wasm", batch: 16 });

/** The status, and what was answered. */
async function post(at: string, path: string, body: BodyInit, type: string, signal?: AbortSignal) {
  const response = await fetch(`${at}${path}`, {
    method: "POST",
    body,
    headers: { "content-type": type },
    ...(signal && { signal }),
  });
  const said = (await response.json()) as { readonly answers: readonly ImageAnswer[]; readonly error: string };
  return { status: response.status, said, retryAfter: response.headers.get("retry-after") };
}
const postBytes = (at: string, bytes: Uint8Array<ArrayBuffer>) =>
  post(at, "/classify", bytes, "application/octet-stream");
const postJson = (at: string, path: string, value: unknown) =>
  post(at, path, JSON.stringify(value), "application/json");

/** A value of /metrics. */
async function measure(at: string, name: string): Promise<number> {
  const text = await (await fetch(`${at}/metrics`)).text();
  const line = text.split("\n").find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length));
}

/** A classifier whose class is the first byte of the image, and which answers when it is let. */
class Held {
  readonly batches: number[] = [];
  isDisposed = false;
  #waiting: (() => void)[] = [];
  #isOpen: boolean;
  readonly #record: LoadedClassifier["model"];

  constructor(record: LoadedClassifier["model"], isOpen = false) {
    this.#record = record;
    // The first, which warms up, is let through.
    this.#isOpen = isOpen;
  }

  get classifier(): LoadedClassifier {
    return {
      model: this.#record,
      runtimes: [],
      plan: [],
      isOriginChecked: true,
      classify: (given: Uint8Array | Float32Array) => this.#classify(given),
      dispose: () => {
        this.isDisposed = true;
      },
    } as unknown as LoadedClassifier;
  }

  async #classify(given: Uint8Array | Float32Array): Promise<Answered> {
    const count = given.length / PIXELS;
    if (this.batches.push(count) > 1 && !this.#isOpen) await new Promise<void>((go) => this.#waiting.push(go));
    const firsts = Array.from({ length: count }, (_, i) => given[i * PIXELS]!);
    if (firsts.includes(9)) throw new Error("nine");
    return {
      classes: Int32Array.from(firsts),
      exits: Int32Array.from(firsts, (first) => first % 3),
      scores: Float32Array.from(firsts, () => 1),
      macs: Float64Array.from(firsts, () => 10),
    };
  }

  open(): void {
    this.#isOpen = true;
    for (const go of this.#waiting.splice(0)) go();
  }
}

const numbered = (first: number): Uint8Array<ArrayBuffer> => new Uint8Array(PIXELS).fill(first);
const until = async (is: () => boolean, seconds = 5): Promise<void> => {
  for (let i = 0; i < 100 * seconds && !is(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(is(), "it never came to that");
};

test("answers bytes, floats, JSON and pictures as the classifier does", async () => {
  using classifier = await real();
  const want = await classifier.classify(image(0, 5));
  const { at } = await serve(await real());
  const { mean, std } = classifier.model.normalise;
  const floats = Float32Array.from(image(0, 5), (byte) => (byte / 255 - mean[0]!) / std[0]!);
  const rows = Array.from({ length: 5 }, (_, i) => Array.from(image(i)));
  const bodies = [
    await postBytes(at, image(0, 5)),
    await post(at, "/classify", floats, "application/x-f32; charset=binary"),
    await postJson(at, "/classify", { images: rows }),
    await postJson(at, "/classify", { images: Array.from(floats), normalised: true }),
  ];
  for (const { status, said } of bodies) {
    assert.is(status, 200, JSON.stringify(said));
    assert.equal(
      said.answers.map((answer) => [answer.class, answer.name, answer.exit, answer.macs]),
      Array.from(want.classes, (answer, i) => {
        const { stage } = classifier.model.exits[want.exits[i]!]!;
        return [answer, classifier.model.classes[answer], stage, want.macs[i]];
      }),
    );
    assert.is(new Set(said.answers.map(({ id }) => id)).size, 5);
  }
  const png = encodePng({ width: 8, height: 8, channels: 1, data: image(3) });
  const { said } = await post(at, "/classify", png as Uint8Array<ArrayBuffer>, "image/png");
  assert.equal([said.answers[0]?.class, said.answers.length], [want.classes[3], 1]);
  const about = (await (await fetch(at)).json()) as { readonly input: unknown; readonly guarantee: string };
  assert.equal([about.input, about.guarantee], [[8, 8, 1], classifier.model.guarantee]);
});

test("hundreds of requests at once are batched, and each gets its own answers", async () => {
  using classifier = await real();
  const want = await classifier.classify(images);
  const { at } = await serve(await real(), { queue: 4096 });
  const asked = Array.from({ length: 200 }, (_, k) => ({ first: (7 * k) % 57, count: 1 + (k % 3) }));
  const got = await Promise.all(asked.map(({ first, count }) => postBytes(at, image(first, count))));
  for (const [k, { first, count }] of asked.entries()) {
    const classes = got[k]!.said.answers.map((answer) => answer.class);
    assert.equal(classes, Array.from(want.classes.subarray(first, first + count)), `request ${k}`);
  }
  const batches = await measure(at, "sortie_batch_images_count");
  assert.ok(batches < 120, `${batches} batches for 200 requests`);
  const total = asked.reduce((sum, { count }) => sum + count, 0);
  const exits = await Promise.all([1, 2, 3].map((j) => measure(at, `sortie_images_total{exit="stage${j}"}`)));
  assert.is(
    exits.reduce((sum, share) => sum + (share || 0), 0),
    total,
  );
  assert.is(await measure(at, 'sortie_requests_total{status="200"}'), 200);
  assert.is(await measure(at, "sortie_request_seconds_count"), 200);
});

test("a batch waits for others until its deadline, and no longer once it is full", async () => {
  const batches: number[] = [];
  const classify = async (given: Uint8Array | Float32Array): Promise<Answered> => {
    const count = given.length;
    batches.push(count);
    return {
      classes: new Int32Array(count),
      exits: new Int32Array(count),
      scores: new Float32Array(count),
      macs: new Float64Array(count),
    };
  };
  const batcher = new Batcher(classify, { batch: 4, deadline: 150, queue: 100 });
  const one = { values: Uint8Array.of(1), count: 1 };
  const start = performance.now();
  await Promise.all([batcher.answer(one), batcher.answer(one)]);
  const waited = performance.now() - start;
  assert.ok(waited >= 145, `answered after ${waited} ms`);
  const again = performance.now();
  await Promise.all([1, 2, 3, 4].map(() => batcher.answer(one)));
  assert.ok(performance.now() - again < 140, "a full batch waited");
  // A lot that does not fit opens the next batch; lots of another kind have batches of their own.
  const float = { values: Float32Array.of(1), count: 1 };
  const three = { values: new Uint8Array(3), count: 3 };
  await Promise.all([batcher.answer(three), batcher.answer(float), batcher.answer(three), batcher.answer(float)]);
  assert.equal(batches, [2, 4, 3, 2, 3]);
  await batcher.drain();
  assert.instance(await errorOf(() => batcher.answer(one)), BusyError);
});

test("a full queue says when to come again, keeps its promise to those in it, and health goes on", async () => {
  const { record: model } = await readModel(MODEL);
  const held = new Held(model);
  const { at } = await serve(held.classifier, { batch: 2, deadline: 0, queue: 3 });
  // Two batches under way, and three images in the queue.
  const first = [postBytes(at, numbered(0))];
  await until(() => held.batches.length === 2);
  first.push(postBytes(at, numbered(1)));
  await until(() => held.batches.length === 3);
  const waiting = [2, 3, 0].map((byte) => postBytes(at, numbered(byte)));
  let queued = 0;
  for (let i = 0; i < 300 && queued < 3; i++) queued = await measure(at, "sortie_queue_images");
  assert.is(queued, 3);
  const refused = await postBytes(at, numbered(1));
  assert.is(refused.status, 503);
  assert.match(refused.said.error, /^1 images must find room in the queue; there is room for 0\.$/);
  assert.ok(Number(refused.retryAfter) >= 1, String(refused.retryAfter));
  assert.equal([(await fetch(`${at}/health`)).status, (await fetch(`${at}/ready`)).status], [200, 200]);
  held.open();
  const answers = await Promise.all([...first, ...waiting]);
  assert.equal(
    answers.map(({ status, said }) => [status, said.answers[0]?.class]),
    [0, 1, 2, 3, 0].map((byte) => [200, byte]),
  );
  assert.is(await measure(at, 'sortie_requests_total{status="503"}'), 1);
});

test("who goes away is forgotten before it runs; one that fails takes no other with it", async () => {
  const { record: model } = await readModel(MODEL);
  const held = new Held(model);
  const faults: string[] = [];
  const onFault = (error: Error) => faults.push(error.message);
  const { at } = await serve(held.classifier, { batch: 2, deadline: 0, onFault });
  const running = [postBytes(at, numbered(0))];
  await until(() => held.batches.length === 2);
  running.push(postBytes(at, numbered(1)));
  await until(() => held.batches.length === 3);
  const gone = new AbortController();
  const left = post(at, "/classify", numbered(2), "application/octet-stream", gone.signal).catch(
    (error: Error) => error.name,
  );
  const queued = async (count: number) => {
    let got = -1;
    for (let i = 0; i < 300 && got !== count; i++) got = await measure(at, "sortie_queue_images");
    assert.is(got, count);
  };
  await queued(1);
  gone.abort();
  assert.is(await left, "AbortError");
  await queued(0);
  const both = [postBytes(at, numbered(3)), postBytes(at, numbered(9))];
  await queued(2);
  held.open();
  assert.equal(
    (await Promise.all(running)).map(({ status }) => status),
    [200, 200],
  );
  const [good, bad] = await Promise.all(both);
  assert.equal([good!.status, good!.said.answers[0]?.class], [200, 3]);
  assert.equal([bad!.status, bad!.said.error], [500, "The server failed; it has been told."]);
  assert.equal(faults, ["nine"]);
  // The batch of two, then each alone.
  assert.equal(held.batches, [1, 1, 1, 2, 1, 1]);
});

test("what is no image of the model is refused by a sentence, and reaches no batch", async () => {
  const { record: model } = await readModel(MODEL);
  const held = new Held(model, true);
  const { at } = await serve(held.classifier);
  const bytes = "application/octet-stream";
  const png = (width: number) =>
    encodePng({ width, height: 8, channels: 1, data: new Uint8Array(8 * width) }) as Uint8Array<ArrayBuffer>;
  const floats = new Float32Array(2 * PIXELS);
  floats[PIXELS + 3] = Number.NaN;
  const cases: readonly (readonly [BodyInit, string, number, RegExp])[] = [
    [
      image(0).subarray(1),
      bytes,
      400,
      /^The body must hold images of 8 x 8 x 1 \(height, width, channels\), 64 values each; got 63\.$/,
    ],
    [new Uint8Array(), bytes, 400, /got 0\.$/],
    [floats, "application/x-f32", 400, /^Pixels must be finite; got NaN in image 1 \(from 0\)\.$/],
    [image(0).subarray(1), "application/x-f32", 400, /^Floats must have four bytes each; got 63 bytes/],
    [png(7), "image/png", 400, /^The picture must be 8 x 8, as the model takes; it is 7 x 8\.$/],
    [png(8).subarray(0, 40), "image/png", 400, /^the body must be an intact PNG file/],
    [image(0), "image/png", 400, /^the body must be an intact PNG file/],
    [image(0), "image/gif", 415, /Unsupported Media Type/],
    ["{", "application/json", 400, /JSON/],
    ["[1]", "application/json", 400, /^JSON must be \{ "images"/],
    ['{"images":[[1,"2"]]}', "application/json", 400, /^Pixels must be numbers; got "2"\.$/],
    ['{"images":[null]}', "application/json", 400, /^Pixels must be numbers; got null\.$/],
    ['{"images":[0.5]}', "application/json", 400, /^Pixels must be bytes, 0 to 255; got 0\.5\. For normalised values/],
    [
      '{"images":[1],"normalized":true}',
      "application/json",
      400,
      /^JSON may hold images and normalised; got "normalized"\.$/,
    ],
    [
      `{"images":[${new Array(PIXELS).fill("1e999")}],"normalised":true}`,
      "application/json",
      400,
      /^Pixels must be finite; got Infinity in image 0/,
    ],
    [new Uint8Array(200_000), bytes, 413, /too large/],
  ];
  for (const [body, type, status, message] of cases) {
    const got = await post(at, "/classify", body, type);
    assert.is(got.status, status, `${type}: ${got.said.error}`);
    assert.match(got.said.error, message);
  }
  assert.equal(held.batches, [1]);
  const nowhere = await fetch(`${at}/nothing`);
  assert.equal(
    [nowhere.status, ((await nowhere.json()) as { error: string }).error.slice(0, 21)],
    [404, "There are POST /class"],
  );
  for (const label of [
    null,
    { id: 1, label: 0 },
    { id: "a", label: 4 },
    { id: "a", label: "nobody" },
    { id: "a", label: 0.5 },
  ])
    assert.match((await postJson(at, "/labels", label)).said.error, /^A label must be \{ "id": of an answer, "label":/);
});

test("labels that come later are counted by exit, and a broken promise raises the alarm", async () => {
  const { record: model } = await readModel(MODEL);
  const result = { ...model.policy!.result, alpha: 0.05, delta: 0.1 };
  const policy = { ...model.policy, result, request: { rule: "learnThenTest" } } as unknown as PolicyFile;
  const held = new Held({ ...model, policy }, true);
  const { at } = await serve(held.classifier, { labels: 300 });
  const ids: string[] = [];
  for (let k = 0; k < 20; k++) {
    const { said } = await postBytes(at, new Uint8Array(16 * PIXELS).fill(k % 2));
    ids.push(...said.answers.map(({ id }) => id));
  }
  // 320 answers, of which the oldest 20 are forgotten.
  assert.is(await measure(at, "sortie_labels_awaited"), 300);
  const forgotten = await postJson(
    at,
    "/labels",
    ids.slice(0, 20).map((id) => ({ id, label: 0 })),
  );
  assert.equal(forgotten.said, { labels: 0, right: 0, unknown: 20, isAlarm: false } as never);
  // Byte 0 leaves at the first exit, byte 1 at the second; all of these are right.
  const told = ids.slice(20, 160).map((id, i) => ({ id, label: model.classes[Math.floor((i + 20) / 16) % 2] }));
  const good = await postJson(at, "/labels", told);
  assert.equal(good.said, { labels: 140, right: 140, unknown: 0, isAlarm: false } as never);
  const other = await postJson(
    at,
    "/labels",
    ids.slice(160, 320).map((id) => ({ id, label: 3 })),
  );
  assert.equal(other.said, { labels: 160, right: 0, unknown: 0, isAlarm: true } as never);
  assert.is(await measure(at, 'sortie_promise_alarm{exit="stage2"}'), 1);
  assert.ok((await measure(at, "sortie_early_error")) > 0.5);
  const labels = await Promise.all([1, 2].map((j) => measure(at, `sortie_labels{exit="stage${j}"}`)));
  assert.is(labels[0]! + labels[1]!, 300);
  const text = await (await fetch(`${at}/metrics`)).text();
  for (const line of text.trimEnd().split("\n"))
    assert.match(line, /^(# (HELP|TYPE) sortie_\w+ .+|sortie_\w+(\{\w+="[^"]+"\})? [-+.\w]+)$/);
});

test("the end answers what was taken, takes nothing more, and frees the classifier", async () => {
  const { record: model } = await readModel(MODEL);
  const held = new Held(model);
  const { app, at } = await serve(held.classifier, { batch: 2, deadline: 60_000 });
  const taken = [0, 1, 2, 3, 1].map((byte) => postBytes(at, numbered(byte)));
  await until(() => held.batches.length === 3);
  let queued = 0;
  for (let i = 0; i < 300 && queued < 1; i++) queued = await measure(at, "sortie_queue_images");
  assert.is(queued, 1);
  let isClosed = false;
  const closing = app.close().then(() => {
    isClosed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  const late = await postBytes(at, numbered(0)).then(
    ({ status }) => status,
    () => 0,
  );
  assert.ok(late === 503 || late === 0, `a late request got ${late}`);
  assert.equal([isClosed, held.isDisposed], [false, false]);
  held.open();
  const answers = await Promise.all(taken);
  assert.equal(
    answers.map(({ status, said }) => [status, said.answers[0]?.class]),
    [0, 1, 2, 3, 1].map((byte) => [200, byte]),
  );
  await closing;
  assert.is(held.isDisposed, true);
});

test("the program serves a file, and ends by SIGTERM with all answered", async () => {
  const args = [
    join(root, "examples/serve/main.ts"),
    MODEL,
    "--port",
    "0",
    "--runtime",
    "wasm",
    "--deadline-ms",
    "400",
  ];
  const child = spawn(process.execPath, ["--import", "tsx", ...args], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  atEnd(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  await until(() => /listening on \S+\n/.test(said) || child.exitCode !== null, 40);
  const at = /listening on (\S+)/.exec(said)?.[1] ?? said;
  const asked = Array.from({ length: 10 }, (_, i) => postBytes(at, image(i)));
  let queued = 0;
  for (let i = 0; i < 100 && queued < 10; i++) queued = await measure(at, "sortie_queue_images");
  assert.is(queued, 10);
  child.kill("SIGTERM");
  assert.equal(
    (await Promise.all(asked)).map(({ status }) => status),
    new Array(10).fill(200),
  );
  if (child.exitCode === null) await once(child, "exit");
  assert.is(child.exitCode, 0, said);
  assert.match(said, /^all that was taken has been answered: 10 requests$/m);
});

test("the program tells bad flags", async () => {
  const refused = async (...args: string[]) => {
    const child = spawn(process.execPath, ["--import", "tsx", join(root, "examples/serve/main.ts"), ...args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let text = "";
    child.stderr.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    const [code] = (await once(child, "close")) as [number];
    return [code, text.trim()];
  };
  assert.equal(await refused(MODEL, "--queue", "0"), [
    1,
    "serve: --queue must be a whole number of at least 1; got 0.",
  ]);
  assert.equal(await refused(MODEL, "--runtime", "cpu"), [1, "load: runtime must be webgpu, wasm or auto; got cpu."]);
});
