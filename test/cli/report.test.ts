// The parts of the report: which images stand for an exit, plots as text, bins by difficulty.

import { examplesPerExit } from "../../cli/examples.ts";
import { errorsByDifficulty, exitShares, exitsByDifficulty } from "../../cli/figures.ts";
import { drawPlot, escapeHtml, exitColours } from "../../cli/plots.ts";
import { createDataset, decodePng, glyphs } from "../../data/index.ts";
import { assert, suite } from "../harness.ts";

const test = suite("report parts");

/** Twelve images of two classes, all of them taken for class 0. */
const { test: data } = glyphs({ train: 0, validation: 0, calibration: 0, test: 12 });
const labels = Int32Array.from({ length: 12 }, (_, i) => i % 2);

test("an exit shows its surest first, the last exit its least sure, class by class", () => {
  const confidences = Float64Array.from({ length: 12 }, (_, i) => 1 - i / 20);
  const exits = Int32Array.from({ length: 12 }, (_, i) => (i < 8 ? 0 : 1));
  const answers = new Int32Array(12);
  const [first, last] = examplesPerExit({ ...data, labels }, { exits, answers, confidences }, 2, 4);
  assert.equal(
    first!.map(({ confidence }) => confidence),
    [1, 0.95, 0.9, 0.85],
  );
  assert.equal(
    last!.map(({ confidence }) => Number(confidence.toFixed(2))),
    [0.45, 0.5, 0.55, 0.6],
  );
  const [disc, ring] = data.classes as [string, string];
  assert.equal(
    first!.map(({ label, answer }) => [label, answer]),
    [disc, ring, disc, ring].map((label) => [label, disc]),
  );
});

test("pictures are the images: grey, colour, and three bands of many", () => {
  const bands = (channels: number) =>
    createDataset({
      images: Uint8Array.from({ length: 2 * 2 * channels }, (_, i) => i),
      labels: Int32Array.of(0),
      shape: [2, 2, channels],
      classes: ["only"],
      meta: { name: "n", split: "test", mean: new Array(channels).fill(0), std: new Array(channels).fill(1) },
    });
  const left = { exits: [0], answers: [0], confidences: [1] };
  const pixels = (channels: number, shown: 1 | 3) => {
    const example = examplesPerExit(bands(channels), left, 1, 1)[0]![0]!;
    const bytes = Buffer.from(example.picture.replace("data:image/png;base64,", ""), "base64");
    return [...decodePng(new Uint8Array(bytes), { file: "example", channels: shown }).data];
  };
  assert.equal(pixels(1, 1), [0, 1, 2, 3]);
  assert.equal(pixels(3, 3), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assert.equal(pixels(5, 3), [0, 2, 4, 5, 7, 9, 10, 12, 14, 15, 17, 19]);
});

test("a plot is an SVG with a label, without scripts", async () => {
  const svg = await drawPlot(exitShares(["a<b", "c"], [0.75, 0.25], [0.1, Number.NaN]), 'shares "here"');
  assert.ok(svg.startsWith('<svg role="img" aria-label="shares &quot;here&quot;"'));
  assert.ok(svg.includes("a&lt;b") && svg.includes("75.0 %") && !/NaN|<script/.test(svg));
});

test("tenths of difficulty hold the shares of exits and of errors", () => {
  const values = (spec: object) => (spec as { data: { values: Record<string, unknown>[] } }).data.values;
  const difficulty = [0.01, 0.05, 0.09, 0.95, 1];
  const shares = values(exitsByDifficulty(difficulty, [0, 0, 1, 1, 1], ["early", "late"]));
  assert.equal(
    shares.map(({ from, exit, share }) => [from, exit, Number((share as number).toFixed(3))]),
    [
      [0, "early", 0.667],
      [0, "late", 0.333],
      [0.9, "early", 0],
      [0.9, "late", 1],
    ],
  );
  const errors = values(errorsByDifficulty(difficulty, [{ name: "policy", wrong: [0, 1, 0, 1, 0] }]));
  assert.equal(
    errors.map(({ difficulty: at, error }) => [at, Number((error as number).toFixed(3))]),
    [
      [0.05, 0.333],
      [0.95, 0.5],
    ],
  );
});

test("colours go from light to dark, and text is safe in HTML", () => {
  assert.equal(exitColours(3), ["#7cc0e8", "#2f7fc1", "#123f75"]);
  assert.is(exitColours(1)[0], "#123f75");
  assert.is(new Set(exitColours(7)).size, 7);
  assert.is(escapeHtml('<a href="x">&'), "&lt;a href=&quot;x&quot;&gt;&amp;");
});
