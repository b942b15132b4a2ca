// Recorded models: what was recorded on a device of the least that WebGPU guarantees answers here as the model file
// that it was made of, on garbage memory, in batches of every size; and no other file becomes a classifier.

import { type Device, decodeSafetensors, encodeSafetensors } from "../../engine/index.ts";
import {
  encodeModel,
  type LoadRecordedOptions,
  load,
  loadRecorded,
  type RecordedClassifier,
  recordModel,
} from "../../exits/index.ts";
import { encodeSealed } from "../../exits/run/seal.ts";
import { poisoned } from "../engine/live.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { agreesWith, fileOf, KINDS, MANY, SCORES, takesAlike } from "./alike.ts";
import { ARCHITECTURES, modelOf, tableOf } from "./models.ts";
import { bars } from "./small.ts";

const test = gpuSuite("exits: recorded models", { timeout: 180_000 });

/** The classifier of a recorded model, all memory of which was garbage. */
const opened = (bytes: Uint8Array<ArrayBuffer>, options: LoadRecordedOptions = {}): Promise<RecordedClassifier> =>
  poisoned(device(), () => loadRecorded(bytes, { device: device(), ...options }));

test("it decides as the table on thousands of images, for every kind of policy", async () => {
  const model = await modelOf("resnet");
  const plain = await tableOf(model.net, MANY);
  const taken = new Set<number>();
  for (const [i, kind] of KINDS.entries()) {
    const score = SCORES[i]!;
    const file = await fileOf(model, plain, score, kind, i % 2 === 0);
    const batch = [256, 1, 37, 4096, 64][i]!;
    const images = MANY.images.subarray(0, 64 * (batch === 1 ? 60 : batch > 1000 ? 2000 : 500));
    const classifier = await opened(await recordModel(file.bytes, { batch }));
    assert.is(classifier.model.batch, batch);
    const wanted = { exits: file.exits.subarray(0, images.length / 64), classes: file.classes };
    const got = await agreesWith(classifier, wanted, `${score}, ${kind}, batches of ${batch}`, images);
    for (const exit of got.exits) taken.add(exit);
    const macs = model.net.macs();
    assert.equal(
      [...got.macs],
      Array.from(got.exits, (exit) => macs[exit]!),
    );
  }
  assert.is(taken.size, 3);
  model.net.dispose();
});

for (const family of Object.keys(ARCHITECTURES) as (keyof typeof ARCHITECTURES)[]) {
  test(`${family}: images of every kind are taken, refused and marked as by the model file`, async () => {
    const { net, about } = await modelOf(family);
    const bytes = await encodeModel(net, about);
    using whole = await load(bytes, { batch: 16, device: device() });
    const classifier = await opened(await recordModel(bytes, { batch: 16 }));
    const { model } = classifier;
    assert.equal(
      [model.classes, model.exits, model.guarantee],
      [whole.model.classes, whole.model.exits, whole.model.guarantee],
    );
    assert.is(classifier.isOriginChecked, whole.isOriginChecked);
    assert.is(new Set((await classifier.classify(bars(70, "test", 3000).images)).exits).size, net.exits);
    await takesAlike(whole, classifier, about.normalise);
    net.dispose();
  });
}

test("on the adapter at hand, with its own kernels, the answers are those of `deploy` to the bit", async () => {
  const { net, about } = await modelOf("resnet");
  const bytes = await encodeModel(net, about);
  using whole = await load(bytes, { batch: 32, route: ["compact", "compact"], device: device() });
  using classifier = await opened(await recordModel(bytes, { batch: 32, device: device() }));
  const { images } = bars(75, "test", 3000);
  assert.equal(await classifier.classify(images), await whole.classify(images));
  net.dispose();
});

test("frees everything on the GPU, several on one device", async () => {
  const { net, about } = await modelOf("vit");
  const bytes = await recordModel(await encodeModel(net, about), { batch: 8 });
  net.dispose();
  await device().sync();
  const before = device().memory().buffers;
  const all = [await opened(bytes), await opened(bytes)];
  const { images } = bars(30, "test", 3000);
  const [a, b] = await Promise.all(all.map((one) => one.classify(images)));
  assert.equal(a, b);
  for (const one of all) one.dispose();
  all[0]!.dispose();
  await device().sync();
  assert.is(device().memory().buffers, before);
});

test("other files, damaged ones and newer ones are refused", async () => {
  const { net, about } = await modelOf("resnet");
  const model = await encodeModel(net, about);
  net.dispose();
  const bytes = await recordModel(model, { batch: 4 });
  const { tensors, metadata } = decodeSafetensors(bytes);
  const again = (changes: Record<string, string>) => encodeSealed([...tensors], { ...metadata, ...changes });
  const refuses = async (file: unknown, message: RegExp): Promise<void> =>
    void assert.match(String(await errorOf(() => loadRecorded(file as Uint8Array, { device: device() }))), message);
  await refuses(model, /^ModelError: load: the file must be a sortie-recorded; got sortie-model. load opens it/);
  assert.match(
    String(await errorOf(() => load(bytes))),
    /must be a sortie-model; got sortie-recorded. loadRecorded opens it/,
  );
  await refuses(bytes.subarray(0, bytes.length - 8), /must be a model file, and whole; it is not: .*truncated/);
  await refuses(
    encodeSafetensors(tensors, { ...metadata, model: "{}" }),
    /must hold what was written; its checksum is another/,
  );
  await refuses(await again({ version: "2" }), /must be of a version up to 1; got 2. A newer sortie reads it/);
  await refuses(await again({ model: "{}" }), /must say what it classifies; model.input must be a list; got nothing/);
  await refuses(await again({ captures: "{}" }), /^FormatError: loadCaptures: the file must be/);
  const { input, ...rest } = JSON.parse(metadata["model"]!) as Record<string, unknown>;
  const other = JSON.stringify({ ...rest, input, batch: 5 });
  await refuses(await again({ model: other }), /must hold what runs batches of 5; it lacks their bytes/);
  await failsWith(
    () => recordModel(model, { batch: 0 }),
    "ArgumentError",
    "recordModel: batch must be a whole number of at least 1; got 0.",
  );
  await failsWith(
    () => loadRecorded(bytes, { device: undefined as unknown as Device, bath: 3 } as never),
    "ArgumentError",
    'loadRecorded: unknown option "bath". It takes device, onProgress, cache.',
  );
});
