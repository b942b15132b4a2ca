// The server of examples/serve on the loopback: answers of every kind of body, a queue that is full, labels and
// metrics, bad requests, and an end at which nothing is lost.

import { readFileSync } from "node:fs";
import type { FastifyInstance } from "fastify";
import type { PolicyFile } from "../../calibration/index.ts";
import { encodePng } from "../../data/index.ts";
import { buildServer, type ServeOptions } from "../../examples/serve/server.ts";
import { type LoadedClassifier, load, readModel } from "../../exits/index.ts";
import { assert, atEnd, suite } from "../harness.ts";
import { Held, image, images, MODEL, measure, numbered, PIXELS, post, postBytes, postJson, until } from "./serving.ts";

const OPTIONS: ServeOptions = {
  batch: 16,
  deadline: 5,
  queue: 64,
  maxBytes: 100_000,
  maxPixels: 1_000_000,
  labels: 1000,
};

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
  const picture = readFileSync(new URL("../data/pictures/base420.jpg", import.meta.url));
  const [jpeg, same] = [
    await post(at, "/classify", picture, "image/jpeg"),
    await classifier.classify([new Blob([picture])]),
  ];
  assert.equal([jpeg.status, jpeg.said.answers[0]?.class], [200, same.classes[0]]);
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

test("a request of more than the queue ever holds is told so, not to come again", async () => {
  const { record: model } = await readModel(MODEL);
  const { at } = await serve(new Held(model, true).classifier, { queue: 3 });
  const { status, said, retryAfter } = await postBytes(at, image(0, 4));
  assert.equal([status, retryAfter], [413, null]);
  assert.match(said.error, /^A request must have at most 3 images; got 4\. Send fewer\.$/);
  assert.is((await postBytes(at, image(0, 3))).status, 200);
});

test("once the device is lost it is neither ready nor alive", async () => {
  const { record: model } = await readModel(MODEL);
  const { at } = await serve(new Held(model, true).classifier, { onFault: () => {} });
  const states = () => Promise.all(["health", "ready"].map(async (path) => (await fetch(`${at}/${path}`)).status));
  assert.equal([(await postBytes(at, numbered(9))).status, await states()], [500, [200, 200]], "an image's own fault");
  assert.equal([(await postBytes(at, numbered(8))).status, await states()], [500, [503, 503]]);
});

/** A black picture: few bytes, many pixels. */
const bomb = (height: number, width: number) =>
  encodePng({ height, width, channels: 1, data: new Uint8Array(height * width) }) as Uint8Array<ArrayBuffer>;

/** A JPEG whose head says that it is larger than it is. */
function hugeJpeg(): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(readFileSync(new URL("../data/pictures/base420.jpg", import.meta.url)));
  const frame = bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === 0xc0);
  bytes.set([0x10, 0, 0x10, 0], frame + 5);
  return bytes;
}

const NO_LABELS = [
  null,
  { id: 1, label: 0 },
  { id: "a", label: 4 },
  { id: "a", label: "nobody" },
  { id: "a", label: 0.5 },
];

test("what is no image of the model is refused by a sentence, and reaches no batch", async () => {
  const { record: model } = await readModel(MODEL);
  const held = new Held(model, true);
  const { at } = await serve(held.classifier);
  const bytes = "application/octet-stream";
  const png = encodePng({ width: 8, height: 8, channels: 1, data: new Uint8Array(64) }) as Uint8Array<ArrayBuffer>;
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
    [png.subarray(0, 40), "image/png", 400, /^the body must be an intact PNG file/],
    [image(0), "image/png", 400, /^the body must be a JPEG or PNG file; got another kind\.$/],
    [
      bomb(1001, 1000),
      "image/png",
      413,
      /^the body must have at most 1000000 pixels; got an image of \[1001, 1000\]\. Make it smaller\.$/,
    ],
    [bomb(1000, 1000), "image/png", 200, /^undefined$/],
    [hugeJpeg(), "image/jpeg", 413, /at most 1000000 pixels; got an image of \[4096, 4096\]/],
    [Uint8Array.of(0xff, 0xd8, 0xff, 1, 2, 3), "image/jpeg", 400, /^the body must be an intact JPEG file/],
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
    [
      `{"images":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
      "application/json",
      400,
      /^Pixels must be numbers; got lists in more than 16 lists\.$/,
    ],
    [`{"images":[${'{"a":'.repeat(9000)}1${"}".repeat(9000)}]}`, "application/json", 400, /got an object\.$/],
    [new Uint8Array(200_000), bytes, 413, /too large/],
  ];
  for (const [body, type, status, message] of cases) {
    const got = await post(at, "/classify", body, type);
    assert.is(got.status, status, `${type}: ${got.said.error}`);
    assert.match(String(got.said.error), message);
  }
  assert.equal(held.batches, [1, 1]);
  // Without a type, and without a body.
  const bare = async (headers: Readonly<Record<string, string>>) => {
    const response = await fetch(`${at}/classify`, { method: "POST", headers });
    return [response.status, ((await response.json()) as { readonly error: string }).error];
  };
  const types = "application/octet-stream, application/x-f32, application/json, image/png, image/jpeg";
  assert.equal(await bare({}), [415, `A body must be of one of the types ${types}; got none.`]);
  assert.equal(await bare({ "content-type": bytes }), [
    400,
    "The body must hold images of 8 x 8 x 1 (height, width, channels), 64 values each; got 0.",
  ]);
  const nowhere = await fetch(`${at}/nothing`);
  assert.equal(
    [nowhere.status, ((await nowhere.json()) as { error: string }).error.slice(0, 21)],
    [404, "There are POST /class"],
  );
  for (const label of NO_LABELS)
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
