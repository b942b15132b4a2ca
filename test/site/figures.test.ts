// The pictures of the guide to the guarantees: what they show is computed, and they say it to those who do not see it.

import { countAbove, drawBounds, drawConfidence, drawRepeats } from "../../site/figures/draw.ts";
import { computeGuarantees } from "../../site/figures/guarantees.ts";
import { Plot } from "../../site/figures/svg.ts";
import { assert, suite } from "../harness.ts";

const test = suite("pictures of the site");
const found = computeGuarantees(3);

test("show that observed errors promise nothing, and certified ones do", () => {
  assert.ok(countAbove(found.repeats, "naive", found.alpha) > countAbove(found.repeats, "certified", found.alpha));
  const errors = found.byConfidence.map(({ error }) => error);
  assert.equal(
    errors,
    [...errors].sort((a, b) => b - a),
  );
  assert.ok(found.bounds.every(({ bound }) => bound > 0.02));
  // Clopper and Pearson's bound on 3 of 150, one-sided, at 0.1.
  assert.is(found.neededImages, 150);
  assert.ok(Math.abs((found.bounds[2]?.bound ?? 0) - 0.044) < 1e-4);
});

test("have a title and a description, colours of the page alone, and a mark for each thing shown", () => {
  const pictures = [drawConfidence(found), drawRepeats(found), drawBounds(found)];
  for (const svg of pictures) {
    assert.match(svg, /^<svg [^>]*role="img" aria-labelledby="(\w+)-title \1-description"/);
    assert.match(svg, /<title id="\w+-title">[^<]+<\/title><desc id="\w+-description">[^<]+<\/desc>/);
    assert.not.match(svg, /(fill|stroke)="(?!none|var\()/);
    assert.not.match(svg, /NaN|Infinity|undefined/);
  }
  const count = (svg: string | undefined, name: string): number => svg?.split(`<${name} `).length ?? 0;
  assert.is(count(pictures[0], "rect") - 1, found.byConfidence.length);
  assert.is(count(pictures[1], "circle") - 1, 2 * found.repeats.length);
});

test("put marks where the axes say", () => {
  const axis = { from: 0, to: 2, ticks: [], text: String, label: "x < y" };
  const plot = new Plot({ title: "a & b", description: "d", height: 156, x: axis, y: axis });
  plot.dot(1, 2, "good");
  const svg = plot.svg("one");
  // The frame leaves 56 and 16 beside, 12 above, of 640.
  assert.match(svg, '<circle cx="340" cy="12"');
  assert.match(svg, "a &amp; b");
  assert.match(svg, "x &lt; y");
});
