// Classifiers of one model, whatever runs them, against what the table says of every image, and against each other: for
// every score and kind of policy, and images of every kind.

import {
  type Cascade,
  cascade,
  decide,
  type PlainScore,
  type PolicyFile,
  predictionsAt,
  scaleLogits,
  type Table,
} from "../../calibration/index.ts";
import { ones, tensor } from "../../engine/index.ts";
import { encodeModel, type LoadedClassifier } from "../../exits/index.ts";
import { assert, errorOf } from "../harness.ts";
import type { modelOf } from "./models.ts";
import { bars } from "./small.ts";

/** What answers. */
type Classifying = Pick<LoadedClassifier, "classify" | "stream" | "dispose">;

/** Thousands, so that every batch leaves rows at each exit. */
export const MANY = bars(2000, "test", 40_000);

export const SCORES: readonly PlainScore[] = [
  "maxProb",
  "margin",
  "entropy",
  "normalisedEntropy",
  "energy",
  "maxLogit",
];
export type Kind = "per exit" | "by class" | "first exit closed" | "all closed" | "all leave at once";
export const KINDS: readonly Kind[] = ["per exit", "by class", "first exit closed", "all closed", "all leave at once"];

/** In the widest gap between scores about the middle: nobody is near it. */
function between(scores: Float64Array): number {
  const sorted = scores.toSorted();
  const middle = sorted.subarray(Math.floor(sorted.length / 3), Math.ceil((2 * sorted.length) / 3));
  let widest = 1;
  for (let i = 1; i < middle.length; i++)
    if (middle[i]! - middle[i - 1]! > middle[widest]! - middle[widest - 1]!) widest = i;
  return (middle[widest]! + middle[widest - 1]!) / 2;
}

function thresholdsOf(kind: Kind, { scores, exits, samples, classes }: Cascade): Float64Array {
  const at = (j: number) => between(Float64Array.from({ length: samples }, (_, i) => scores[i * exits + j]!));
  const [first, second] = [at(0), at(1)];
  switch (kind) {
    case "per exit":
      return Float64Array.of(first, second);
    case "by class":
      return Float64Array.from({ length: 2 * classes }, (_, i) => {
        return i % 3 === 0 ? Number.POSITIVE_INFINITY : i < classes ? first : second;
      });
    case "first exit closed":
      return Float64Array.of(Number.POSITIVE_INFINITY, second);
    case "all closed":
      return new Float64Array(2).fill(Number.POSITIVE_INFINITY);
    case "all leave at once":
      return new Float64Array(2).fill(Number.NEGATIVE_INFINITY);
  }
}

type Model = Awaited<ReturnType<typeof modelOf>>;

/** The bytes of a file whose policy is by a score, and what the table says of every image. */
export async function fileOf({ net, about }: Model, plain: Table, score: PlainScore, kind: Kind, isScaled: boolean) {
  const { scaling } = about.policy;
  const table = isScaled && scaling ? scaleLogits(plain, scaling) : plain;
  const scored = cascade(table, score);
  const thresholds = thresholdsOf(kind, scored);
  const { origin } = about.policy.result as { readonly origin: { readonly scaling?: string } };
  const { scaling: _, ...unscaled } = origin;
  const result = { ...about.policy.result, score, thresholds, origin: isScaled ? origin : unscaled };
  const policy = { result, ...(isScaled && scaling && { scaling }) } as unknown as PolicyFile;
  const exits = decide(scored, thresholds);
  return { bytes: await encodeModel(net, { ...about, policy }), exits, classes: predictionsAt(scored, exits) };
}

/** Answers of a classifier, which is disposed: image by image those of the table. */
export const agreesWith = async (
  classifier: Classifying,
  { exits, classes }: { readonly exits: Int32Array; readonly classes: Int32Array },
  about: string,
  images: Uint8Array = MANY.images,
) => {
  const got = await classifier.classify(images);
  classifier.dispose();
  const differing = Array.from(exits, (_, at) => at).filter(
    (at) => got.exits[at] !== exits[at] || got.classes[at] !== classes[at],
  );
  assert.equal(
    differing.slice(0, 5).map((at) => [at, got.exits[at], got.classes[at], exits[at], classes[at]]),
    [],
    about,
  );
  return got;
};

/**
 * Images of every kind are taken, refused and marked by both alike, in calls one by one, at once, and in streams.
 * Disposes the other.
 */
export async function takesAlike(
  reference: Classifying,
  other: Classifying,
  normalise: { readonly mean: readonly number[]; readonly std: readonly number[] },
): Promise<void> {
  const { images } = bars(70, "test", 3000);
  const [mean, std] = [normalise.mean[0]!, normalise.std[0]!];
  const floats = Float32Array.from(images, (byte) => (byte / 255 - mean) / std);
  const strange = floats.slice();
  strange[20 * 64 + 5] = strange[33 * 64] = Number.NaN;
  const same = async (given: Parameters<LoadedClassifier["classify"]>[0], options = {}) => {
    const [want, got] = [await reference.classify(given, options), await other.classify(given, options)];
    assert.equal([got.classes, got.exits, got.macs], [want.classes, want.exits, want.macs]);
    const differing = got.scores.filter((score, i) => !(Math.abs(score - want.scores[i]!) < 1e-4));
    assert.equal([...differing].every(Number.isNaN), true);
    assert.is(differing.length, want.scores.filter(Number.isNaN).length);
  };
  for (const given of [images, new Uint8ClampedArray(images), floats, tensor(floats, { shape: [70, 8, 8, 1] })])
    await same(given);
  await same(new Uint8Array());
  await same(strange, { notFinite: "mark" });
  const bad: readonly (readonly [unknown, object])[] = [
    [strange, {}],
    [images.subarray(1), {}],
    [[1, 2], {}],
    [new Float64Array(64), {}],
    [ones([1, 9, 8, 1]), {}],
    [images, { notFinite: "skip" }],
    [images, { finite: true }],
  ];
  for (const [given, options] of bad) {
    const said = async (classifier: Classifying) =>
      String(await errorOf(() => classifier.classify(given as never, options)));
    const want = await said(reference);
    assert.match(want, /^ArgumentError: classify: /);
    assert.is(await said(other), want);
  }
  const lots = [images.subarray(0, 640), images.subarray(640)];
  const streamed: number[] = [];
  for await (const { exits } of other.stream(lots)) streamed.push(...exits);
  assert.equal(streamed, [...(await reference.classify(images)).exits]);
  // Calls at once, one of them in error.
  const [a, b, c] = await Promise.allSettled([other.classify(images), other.classify(strange), other.classify(floats)]);
  assert.equal([a.status, b.status, c.status], ["fulfilled", "rejected", "fulfilled"]);
  other.dispose();
  assert.match(
    String(await errorOf(() => other.classify(images))),
    /^DisposedError: classify: the classifier must be alive/,
  );
}
