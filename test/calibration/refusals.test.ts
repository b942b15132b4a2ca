/** What a refusal advises: which set is short and by how much, which then suffices; or that no threshold can. */

import {
  type Calibration,
  cascade,
  cascadeFromScores,
  controlRisk,
  createPopulation,
  createRandom,
  decodePolicy,
  encodePolicy,
  learnThenTest,
  type Refused,
} from "../../calibration/index.ts";
import { assert, suite } from "../harness.ts";

const test = suite("calibration refusals");
const easy = createPopulation({ size: 60_000, seed: 6, strength: [3, 4, 5] });

function refused(result: Calibration): Refused {
  assert.not(result.ok);
  return result as Refused;
}

/** n samples of two exits and three classes, right or wrong as told, at confidences that say nothing. */
function plain(n: number, wrong: (i: number) => boolean, label = (i: number) => i % 3, seed = 4) {
  const random = createRandom(seed);
  return cascadeFromScores({
    scores: Float64Array.from({ length: 2 * n }, () => random.uniform()),
    errors: Uint8Array.from({ length: 2 * n }, (_, at) => Number(wrong(at >> 1))),
    labels: Int32Array.from({ length: n }, (_, i) => label(i)),
    classes: 3,
    exits: 2,
    ids: Array.from({ length: n }, (_, i) => `${seed}-${i}`),
  });
}

test("where no error is seen the samples that the test needs are named, whatever the level", () => {
  for (const [alpha, needed] of [
    [0.1, 22],
    [0.01, 230],
    [0.001, 2302],
  ] as const) {
    const few = refused(
      learnThenTest(
        plain(20, () => false),
        { alpha, delta: 0.1, validation: plain(500, () => false, undefined, 5) },
      ),
    );
    assert.is(few.short, "calibration", few.reason);
    // More than if none of them may be wrong: an error rate well below alpha must do.
    assert.ok(few.neededSamples >= needed && few.neededSamples <= 5 * needed, `${alpha}: ${few.neededSamples}`);
    assert.match(few.reason, `about ${few.neededSamples} would be needed, ${few.neededSamples - 20} more.`);
  }
});

test("whoever follows the advice is certified after a few rounds, and never told the same again", () => {
  for (const [seed, alpha] of [
    [1, 0.02],
    [2, 0.05],
    [3, 0.01],
  ] as const) {
    const random = createRandom(seed);
    let [n, m, rounds] = [40, 40, 0];
    for (; rounds < 8; rounds++) {
      const result = learnThenTest(cascade(easy.draw(n, random)), {
        alpha,
        delta: 0.1,
        validation: easy.draw(m, random),
      });
      if (result.ok) break;
      assert.ok(result.short, result.reason);
      if (result.short === "calibration") {
        assert.ok(result.neededSamples > n + 1, `${n}: ${result.reason}`);
        n = result.neededSamples;
      } else {
        assert.match(result.reason, `the ${m} validation samples are too few`);
        m *= 2;
      }
    }
    assert.ok(rounds < 8 && n < 20_000 && m < 20_000, `alpha ${alpha}: ${rounds} rounds, ${n} + ${m}`);
  }
});

test("few validation samples are told apart from few calibration samples", () => {
  const random = createRandom(9);
  let validationShort = 0;
  for (let run = 0; run < 10; run++) {
    const calibration = cascade(easy.draw(4000, random));
    const result = learnThenTest(calibration, { alpha: 0.02, delta: 0.1, validation: easy.draw(6, random) });
    if (result.ok) continue;
    assert.is(result.short, "validation", result.reason);
    assert.match(result.reason, /the 6 validation samples are too few: .* Try about \d+, \d+ more\.$/);
    validationShort++;
  }
  assert.ok(validationShort > 0);
});

test("classes without samples are named", () => {
  const few = refused(
    learnThenTest(
      plain(
        60,
        () => false,
        (i) => 2 * (i % 2),
      ),
      { alpha: 0.1, delta: 0.1, control: "label", validation: plain(300, () => false, undefined, 5) },
    ),
  );
  assert.is(few.short, "calibration");
  assert.match(few.reason, "the calibration samples are too few, none of them is of class 1: about ");
});

test("no threshold can: told as such, and of no set that is short", () => {
  const random = createRandom(3);
  const half = refused(
    learnThenTest(
      plain(2000, () => random.uniform() < 0.5),
      { alpha: 0.05, delta: 0.1 },
    ),
  );
  assert.equal([half.neededSamples, half.short], [Number.POSITIVE_INFINITY, undefined]);
  assert.match(half.reason, "and no threshold can do better: even the most confident are wrong too often");
  const mean = refused(
    controlRisk(
      plain(2000, () => true),
      { alpha: 0.001 },
    ),
  );
  assert.is(mean.short, undefined, mean.reason);
  for (const result of [half, mean]) assert.equal(decodePolicy(encodePolicy({ result })).result, result);
});
