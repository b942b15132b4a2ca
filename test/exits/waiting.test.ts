// Rows of several batches that wait for each other: answers in order, waiting bounded, nothing left behind.

import { type Answers, type Classifier, deploy } from "../../exits/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";
import { bars, smallNet } from "./small.ts";

const test = gpuSuite("exits: rows that wait", { timeout: 120_000 });
const set = bars(75, "test", 500);
const lot = (first: number, count: number): Uint8Array => set.images.slice(64 * first, 64 * (first + count));
const route = ["wait", "compact"] as const;
const net = smallNet(3);

/** Some leave at each exit. */
async function classifierOf(options: { readonly batch: number }): Promise<Classifier> {
  for (const [name, weight] of net.namedParameters())
    if (/linear\.weight$/.test(name)) weight.write((await smallWeights()).get(name)!);
  return deploy(net, { thresholds: [0.395, 0.32] }, { ...options, route, normalise: set.meta });
}

let sharp: Map<string, Float32Array> | undefined;
async function smallWeights(): Promise<Map<string, Float32Array>> {
  if (sharp) return sharp;
  sharp = new Map();
  for (const [name, weight] of net.namedParameters())
    sharp.set(name, (await weight.read()).map((x) => 6 * x) as Float32Array);
  return sharp;
}

const classesOf = (answers: readonly Answers[]): number[] => answers.flatMap(({ classes }) => [...classes]);
const exitsOf = (answers: readonly Answers[]): number[] => answers.flatMap(({ exits }) => [...exits]);
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test("a stream whose rows wait answers in order, whatever the lots and their number, and so do calls in between", async () => {
  using classifier = await classifierOf({ batch: 4 });
  using plain = await deploy(
    net,
    { thresholds: [0.395, 0.32] },
    { batch: 75, route: ["keep", "keep"], normalise: set.meta },
  );
  const want = await plain.classify(set.images);
  assert.is(new Set(want.exits).size, 3, "all exits are taken");
  const sizes = [3, 4, 0, 11, 1, 1, 1, 0, 0, 0, 0, 2, 40, 12];
  const got: Answers[] = [];
  const between: Promise<Answers>[] = [];
  let at = 0;
  const lots = function* () {
    for (const size of sizes) {
      yield lot(at, size);
      at += size;
    }
  };
  for await (const answers of classifier.stream(lots(), { patience: 60_000 })) {
    got.push(answers);
    if (got.length % 4 === 0) between.push(classifier.classify(lot(5, 9)));
  }
  assert.equal(
    got.map(({ classes }) => classes.length),
    sizes,
  );
  assert.equal([classesOf(got), exitsOf(got)], [[...want.classes], [...want.exits]]);
  for (const answers of await Promise.all(between))
    assert.equal([...answers.exits], [...want.exits.slice(5, 14)], "a call does not wait for the stream");
});

test("nobody waits longer than the stream's patience, though the source says nothing more", async () => {
  using classifier = await classifierOf({ batch: 16 });
  let go = (): void => {};
  const silence = new Promise<void>((resolve) => {
    go = resolve;
  });
  async function* lots() {
    yield lot(0, 16);
    await silence;
    yield lot(16, 16);
  }
  await classifier.classify(lot(0, 16));
  const stream = classifier.stream(lots(), { patience: 30 });
  const first = await stream.next();
  assert.is((first.value as Answers).exits.length, 16, "answered while the source is silent");
  go();
  assert.is(((await stream.next()).value as Answers).exits.length, 16);
  assert.ok((await stream.next()).done);
  for (const patience of [-1, Number.POSITIVE_INFINITY])
    await failsWith(
      () => classifier.stream([], { patience }).next(),
      "ArgumentError",
      `stream: patience must be a number of milliseconds from 0 on; got ${patience}.`,
    );
});

test("whose patience ends first is answered first, whoever began to wait before", async () => {
  using classifier = await classifierOf({ batch: 16 });
  await classifier.classify(lot(0, 16));
  async function* silent() {
    yield lot(0, 2);
    await new Promise(() => {});
  }
  const patient = classifier.stream(silent(), { patience: 60_000 }).next();
  await wait(50);
  const hasty = classifier.stream(silent(), { patience: 20 }).next();
  const answered = await Promise.race([Promise.all([patient, hasty]), wait(10_000)]);
  assert.ok(answered, "the second stream waited for the first one's patience");
});

test("an error of the source comes behind the answers to the lots in front of it, one of a lot in its place", async () => {
  using classifier = await classifierOf({ batch: 8 });
  const seen: number[] = [];
  async function* broken() {
    for (let i = 0; i < 4; i++) yield lot(8 * i, 8);
    throw new Error("the camera is gone");
  }
  const run = async (source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> => {
    for await (const { exits } of classifier.stream(source, { patience: 60_000 })) seen.push(exits.length);
  };
  await failsWith(() => run(broken()), "Error", "the camera is gone");
  assert.equal(seen.splice(0), [8, 8, 8, 8]);
  let isClosed = false;
  function* lots() {
    try {
      yield lot(0, 8);
      yield lot(8, 7);
      yield new Uint8Array(3);
      yield lot(0, 8);
    } finally {
      isClosed = true;
    }
  }
  await failsWith(
    () => run(lots()),
    "ArgumentError",
    "classify: images must be [N, 8, 8, 1]; got 3 values, no multiple of 64.",
  );
  assert.equal([seen, isClosed], [[8, 7], true]);
});

test("whoever stops early leaves nothing behind, even if the source never answers again", async () => {
  using classifier = await classifierOf({ batch: 8 });
  const want = await classifier.classify(set.images);
  let isClosed = false;
  function* lots() {
    try {
      for (let i = 0; ; i++) yield lot(8 * (i % 9), 8);
    } finally {
      isClosed = true;
    }
  }
  for await (const _ of classifier.stream(lots(), { patience: 60_000 })) break;
  assert.ok(isClosed);
  async function* silent() {
    yield lot(0, 8);
    await new Promise(() => {});
  }
  for await (const _ of classifier.stream(silent(), { patience: 5 })) break;
  assert.equal(await classifier.classify(set.images), want);
});

test("images that are no numbers are named or marked where rows wait, too", async () => {
  using classifier = await classifierOf({ batch: 4 });
  const images = Float32Array.from(lot(0, 10), (x) => (x / 255 - 0.5) / 0.25);
  const want = await classifier.classify(images);
  images[64 * 7 + 3] = Number.NaN;
  await failsWith(
    () => classifier.classify(images),
    "ArgumentError",
    'classify: pixels must be finite; got NaN or infinity in image 7 (counted from 0). Pass { notFinite: "mark" } to have such images answered by -1.',
  );
  const marked = await classifier.classify(images, { notFinite: "mark" });
  assert.equal([...marked.classes], [...want.classes.with(7, -1)]);
});

test("a classifier that is disposed tells those who wait; streams need no more memory the longer they are", async () => {
  const gone = await classifierOf({ batch: 8 });
  const told: unknown[] = [];
  const stream = gone.stream([lot(0, 8), lot(8, 8)], { patience: 60_000 });
  async function* forever() {
    yield lot(0, 8);
    await new Promise(() => {});
  }
  void stream;
  const waiting = gone
    .stream(forever(), { patience: 60_000 })
    .next()
    .catch((error) => void told.push(String(error)));
  await wait(200);
  gone.dispose();
  await waiting;
  assert.match(String(told), /^DisposedError: classify: the classifier must be alive; it was disposed/);

  // And at whatever moment: some of these while a route is recorded, or while what waits is about to run.
  for (let ms = 0; ms < 24; ms += 2) {
    const isTrying = ms % 4 === 0;
    const thresholds = [0.395, 0.32];
    const one = isTrying
      ? await deploy(net, { thresholds }, { batch: 8, normalise: set.meta })
      : await classifierOf({ batch: 8 });
    const calls = Promise.allSettled([one.classify(lot(0, 64)), one.classify(lot(0, 11))]);
    await wait(ms);
    one.dispose();
    for (const call of await calls)
      if (call.status === "rejected") assert.match(String(call.reason), /^DisposedError: /, `after ${ms} ms`);
  }

  using classifier = await classifierOf({ batch: 8 });
  const run = async (lots: number): Promise<void> => {
    const all = Array.from({ length: lots }, (_, i) => lot(8 * (i % 9), 8));
    for await (const _ of classifier.stream(all));
  };
  await run(20);
  const before = device().memory().bytes;
  await run(200);
  assert.is(device().memory().bytes, before);
  net.dispose();
});
