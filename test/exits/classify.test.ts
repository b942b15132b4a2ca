// What a classifier is given: policies of its network or of another, and images of every kind, copied, looked at, one
// call after another.

import {
  applyScaling,
  type Certified,
  createTable,
  decodePolicy,
  encodePolicy,
  fit,
  learnThenTest,
  type Table,
} from "../../calibration/index.ts";
import { fromPixels } from "../../data/index.ts";
import { createDevice, randn, tensor } from "../../engine/index.ts";
import {
  type DeployOptions,
  deploy,
  type ExitPolicy,
  type MultiExit,
  multiExit,
  OWN_SCORES,
  Run,
  train,
} from "../../exits/index.ts";
import { resnet } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { barNet, barSplits, bars, joint, quiet, smallNet } from "./small.ts";

const test = gpuSuite("exits: what a classifier is given");
const set = bars(70, "test", 500);
const normalise = { mean: set.meta.mean, std: set.meta.std };
const open: ExitPolicy = { thresholds: [0.3] };
const floats = Float32Array.from(set.images, (x) => (x / 255 - 0.5) / 0.25);

/** A policy for the logits of a run, its scores scaled, and what is needed to make another. */
async function calibrated(
  net: MultiExit,
): Promise<{ readonly text: string; readonly policy: Certified; readonly table: Table }> {
  const big = {
    ...barSplits(),
    validation: bars(400, "validation", 1000),
    calibration: bars(800, "calibration", 9000),
  };
  const run = new Run({ net, data: big, dir: undefined, history: [] });
  const [validation, table] = [await run.logits("validation"), await run.logits("calibration")];
  run.dispose();
  const scaling = fit(validation, { method: "temperature" });
  const result = learnThenTest(applyScaling(table, scaling), {
    alpha: 0.6,
    delta: 0.1,
    validation: applyScaling(validation, scaling),
  });
  assert.ok(result.ok, "reason" in result ? result.reason : "");
  return { text: encodePolicy({ result, scaling }), policy: result, table };
}

test("a decoded policy file deploys with its scaling; another network, no scaling, another scaling are refused unless told to", async () => {
  const net = smallNet();
  (await train(net, barSplits(), { ...quiet, method: joint, epochs: 6 })).dispose();
  const { text, policy, table } = await calibrated(net);
  const file = decodePolicy(text);
  {
    using classifier = await deploy(net, file, { normalise });
    using same = await deploy(net, policy, { normalise, scaling: file.scaling! });
    assert.equal(await classifier.classify(set.images), await same.classify(set.images));
    assert.ok(classifier.isOriginChecked && same.isOriginChecked, "what was compared is told");
  }

  const hint = "Pass { scaling } of the policy's file, or the whole decoded file; or { anyOrigin: true }.";
  await failsWith(
    () => deploy(net, policy, { normalise }),
    "CalibrationError",
    `deploy: scores must be scaled as the policy's were; got scores without scaling. ${hint}`,
  );
  const plain = learnThenTest(table, { alpha: 0.6, delta: 0.1 });
  assert.ok(plain.ok);
  await failsWith(
    () => deploy(net, plain, { scaling: file.scaling! }),
    "CalibrationError",
    `deploy: scores must not be scaled, as the policy's were not; got scaled ones. ${hint}`,
  );
  const weight = [...net.parameters()][0]!;
  weight.write((await weight.read()).map((x) => x + 1e-6) as Float32Array);
  assert.match(
    String(await errorOf(() => deploy(net, file, { normalise }))),
    /^CalibrationError: deploy: the policy must be of this network's weights; got one of [0-9a-f]{12}\.\.\., not [0-9a-f]{12}\.\.\.\. Load /,
  );
  const unchecked = async (policy: Parameters<typeof deploy>[1], options?: DeployOptions) => {
    using classifier = await deploy(net, policy, options);
    assert.not(classifier.isOriginChecked, "what was not compared is told");
  };
  await unchecked(file, { normalise, anyOrigin: true });
  await unchecked({ thresholds: [0.5] });
  // Logits of which nobody knows the weights.
  const nameless = createTable({ logits: table.read(0, 800), labels: table.labels, shape: [800, 3, 4] });
  const unsigned = learnThenTest(nameless, { alpha: 0.6, delta: 0.1 });
  assert.ok(unsigned.ok);
  await unchecked(unsigned);
  net.dispose();
});

test("what is no policy becomes a sentence", async () => {
  const net = smallNet();
  const refused = learnThenTest(
    createTable({ logits: new Float32Array(20 * 3 * 4), labels: new Int32Array(20), shape: [20, 3, 4] }),
    { alpha: 0.01, delta: 0.1 },
  );
  const wanted = "the policy must be a certified result, a decoded policy file, or { thresholds }";
  assert.not(refused.ok);
  for (const given of [refused, { result: refused }]) {
    assert.match(
      String(await errorOf(() => deploy(net, given as never))),
      /^ArgumentError: deploy: the policy must be certified; got one that refuses: .*[^.]\. With \{ thresholds: \[Infinity\] \} every image runs to the last exit\.$/,
    );
  }
  for (const [given, got] of [
    ["policy.json", '"policy.json". Give the text of the file to decodePolicy, and what it returns here'],
    [undefined, "undefined"],
    [[0.5], "[0.5]"],
    [{ thresholds: undefined }, "an object with thresholds"],
    [Promise.resolve(1), "a Promise (is an await missing?)"],
  ] as const) {
    await failsWith(() => deploy(net, given as never), "ArgumentError", `deploy: ${wanted}; got ${got}.`);
  }
  for (const [value, got] of [
    [null, "null"],
    ["", '""'],
    [false, "false"],
    [undefined, "undefined"],
    ["0.5", '"0.5"'],
  ] as const) {
    await failsWith(
      () => deploy(net, { thresholds: [0.5, value] as number[] }),
      "ArgumentError",
      `deploy: thresholds must be numbers; got ${got} at 1.`,
    );
  }
});

test("a normalisation, temperatures or weights that are no numbers are told, not answered by class 0", async () => {
  const net = smallNet();
  const form = "{ mean, std } with a number for each of 1 channels, std above 0";
  for (const [given, got] of [
    [{ mean: [Number.NaN], std: [1] }, "mean [NaN] and std [1]"],
    [{ mean: [0], std: [0] }, "mean [0] and std [0]"],
    [{ mean: [0, 0], std: [1, 1] }, "mean [0,0] and std [1,1]"],
    [{ mean: [0] }, "mean [0] and std undefined"],
  ] as const) {
    await failsWith(
      () => deploy(net, open, { normalise: given as never }),
      "ArgumentError",
      `deploy: normalise must be ${form}; got ${got}. A data set has them as its meta.`,
    );
  }
  for (const scaling of [{}, { scalers: [1, 2, 3].map(() => ({ method: "temperature", parameters: [] })) }])
    assert.match(
      String(await errorOf(() => deploy(net, open, { scaling: scaling as never }))),
      /^ArgumentError: deploy: /,
    );
  const weight = [...net.parameters()][0]!;
  weight.write((await weight.read()).map(() => Number.NaN) as Float32Array);
  using classifier = await deploy(net, open, { normalise });
  for (const notFinite of ["error", "mark"] as const) {
    await failsWith(
      () => classifier.classify(set.images, { notFinite }),
      "ArgumentError",
      "classify: the network's logits must be numbers; got NaN for image 0 (counted from 0). Its weights hold NaN, or its activations overflow.",
    );
  }
  // Whatever decides, where some leave and where all do, and though the batch before had answers.
  const confident = barNet({ wraps: ["confident"] });
  const first = [...confident.parameters()][0]!;
  const sound = (await first.read()) as Float32Array;
  for (const score of OWN_SCORES)
    for (const threshold of [score.endsWith("ntropy") ? -0.5 : 0.5, Number.NEGATIVE_INFINITY]) {
      first.write(sound);
      using decided = await deploy(confident, { score, thresholds: [threshold] }, { normalise, batch: 16 });
      await decided.classify(set.images);
      first.write(sound.map(() => Number.NaN));
      const error = String(await errorOf(() => decided.classify(set.images)));
      assert.match(error, /the network's logits must be numbers; got NaN for image 0/, `${score} ${threshold}`);
    }
  confident.dispose();
  // An image that is strange itself hides no other.
  const strange = floats.slice();
  strange[0] = Number.NaN;
  assert.match(
    String(await errorOf(() => classifier.classify(strange, { notFinite: "mark" }))),
    /got NaN for image 1 \(counted from 0\)/,
  );
  net.dispose();
});

test("answers are of the images as they were at the call", async () => {
  const net = smallNet();
  using classifier = await deploy(net, open, { normalise, batch: 16 });
  const want = await classifier.classify(set.images);
  const [bytes, values] = [set.images.slice(), floats.slice()];
  const x = tensor(floats, { shape: [70, 8, 8, 1] });
  const waiting = [classifier.classify(bytes), classifier.classify(values), classifier.classify(x)];
  bytes.fill(0);
  values.fill(Number.NaN);
  x.dispose();
  // All three at once on one set of buffers.
  for (const { classes, exits } of await Promise.all(waiting))
    assert.equal([classes, exits], [want.classes, want.exits]);
});

test("an image with a NaN or an infinity is refused, or marked where that is asked for", async () => {
  const net = smallNet();
  using classifier = await deploy(net, open, { batch: 16 });
  const want = await classifier.classify(floats);
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    const values = floats.slice();
    values[20 * 64 + 5] = values[33 * 64 + 63] = bad;
    for (const images of [values, tensor(values, { shape: [70, 8, 8, 1] })]) {
      await failsWith(
        () => classifier.classify(images),
        "ArgumentError",
        "classify: pixels must be finite; got NaN or infinity in image 20 (counted from 0) and 1 more. " +
          'Pass { notFinite: "mark" } to have such images answered by -1.',
      );
      const { classes, exits, scores } = await classifier.classify(images, { notFinite: "mark" });
      for (let i = 0; i < 70; i++) {
        const isMarked = i === 20 || i === 33;
        assert.equal([classes[i], exits[i]], isMarked ? [-1, -1] : [want.classes[i], want.exits[i]], `image ${i}`);
        assert.ok(isMarked ? Number.isNaN(scores[i]) : scores[i] === want.scores[i]);
      }
    }
  }
});

test("a strange image is marked where its answer comes before it is known to be strange", async () => {
  const net = smallNet();
  // One at a time, whose first exit asks who goes on: what is behind ends before what is in front.
  using classifier = await deploy(net, { thresholds: [0.999, 0.999] }, { batch: 1, route: ["ask", "ask"] });
  const values = floats.slice(0, 4 * 64);
  const want = await classifier.classify(values);
  assert.is(want.exits[0], 2);
  values[64 + 5] = Number.NaN;
  const images = () => tensor(values, { shape: [4, 8, 8, 1] });
  const { classes } = await classifier.classify(images(), { notFinite: "mark" });
  assert.equal([...classes], [...want.classes.with(1, -1)]);
  await failsWith(
    () => classifier.classify(images()),
    "ArgumentError",
    "classify: pixels must be finite; got NaN or infinity in image 1 (counted from 0). " +
      'Pass { notFinite: "mark" } to have such images answered by -1.',
  );
});

test("arrays of other kinds are taken where they are clear, and named where they are not", async () => {
  const net = smallNet();
  using classifier = await deploy(net, open, { normalise });
  const want = await classifier.classify(set.images);
  assert.equal(await classifier.classify(new Uint8ClampedArray(set.images)), want);
  await failsWith(
    () => classifier.classify(new Uint8ClampedArray(8 * 8 * 4)),
    "ArgumentError",
    "classify: images must be [N, 8, 8, 1]; got a Uint8ClampedArray of 256 bytes, the RGBA of one picture. Give the ImageData that it is of, or, if they are images, a Uint8Array.",
  );
  assert.equal(await classifier.classify(Buffer.from(set.images)), want);
  const kinds = "classify: images [N, 8, 8, 1] must be a Float32Array, a Uint8Array or a tensor; got";
  const make = "Use Float32Array.from(pixels) for normalised pixels, Uint8Array for bytes.";
  for (const [given, got] of [
    [new Array(64).fill(0), "an array of 64. Use Float32Array.from(pixels.flat(Infinity)), or Uint8Array for bytes."],
    [new Float64Array(64), `a Float64Array. ${make}`],
    [new Int32Array(64), `a Int32Array. ${make}`],
    [undefined, "undefined."],
    [Promise.resolve(set.images), "a Promise (is an await missing?)."],
  ] as const) {
    await failsWith(() => classifier.classify(given as never), "ArgumentError", `${kinds} ${got}`);
  }
  const picture = { data: new Uint8ClampedArray(8 * 8 * 4), width: 8, height: 8 };
  const coloured = multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 4], widths: [4, 8, 8], seed: 1 }), {
    after: ["stage1"],
    head: "gap-linear",
  });
  const rgba = { mean: [0.5, 0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2, 0.2] };
  using ofPictures = await deploy(coloured, open, { normalise: rgba });
  assert.equal(await ofPictures.classify(picture), await ofPictures.classify(picture.data));
  // Of another size, for a network of one channel: brought to it, one picture or several.
  const large = { data: new Uint8ClampedArray(20 * 16 * 4).map((_, i) => (i * 37) % 256), width: 20, height: 16 };
  const bytes = await fromPixels(large, { input: [8, 8, 1] });
  const small = await classifier.classify(bytes);
  assert.equal(await classifier.classify(large), small);
  const two = await classifier.classify([large, large]);
  assert.equal([...two.scores], [...small.scores, ...small.scores]);
  await failsWith(
    () => classifier.classify({ ...large, width: 3 }),
    "DataError",
    "fromPixels: the picture must have pixels; got 3 x 16 and 1280 bytes.",
  );
  await failsWith(
    () => ofPictures.classify({ ...picture, width: 4 }),
    "ArgumentError",
    "classify: images must be [N, 8, 8, 4]; got a picture of 8 x 4 pixels in RGBA. Scale it, and give its channels.",
  );
  await failsWith(
    () => classifier.classify(set.images, { notFinite: "skip" as "mark" }),
    "ArgumentError",
    "classify: notFinite must be error or mark; got skip.",
  );
  const other = await createDevice();
  await failsWith(
    () => classifier.classify(randn([1, 8, 8, 1], { seed: 1, device: other })),
    "ArgumentError",
    "classify: images must be on the network's device; got some of another. Read them, and give the array.",
  );
  other.dispose();
});
