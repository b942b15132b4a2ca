// Risk control: the mean loss over all samples, by conformal risk control, bounds and tests, and the losses themselves.

import {
  conformalRiskControl,
  controlRisk,
  createPopulation,
  createRandom,
  type ExitLoss,
  exitLosses,
  ucbThreshold,
} from "../../calibration/index.ts";
import { assert, suite } from "../harness.ts";
import { flat, randomTable } from "./tables.ts";

const test = suite("calibration risk control");

const population = createPopulation({ size: 100_000 });
const levels = { alpha: 0.1, delta: 0.1 };

test("CRC is monotone, and refuses when n is too small for alpha", () => {
  const lambdas = [0, 1, 2];
  const losses = [1, 0, 0, 1, 1, 0, 0, 0, 0];
  const choice = conformalRiskControl({ losses, lambdas }, { alpha: 0.5 });
  assert.equal([...choice.bound], [0.75, 0.5, 0.25]);
  assert.is(choice.index, 1);
  assert.not(conformalRiskControl({ losses: [0, 0, 0], lambdas }, { alpha: 0.4 }).ok);
  const ucb = ucbThreshold({ losses: new Float64Array(300), lambdas }, { ...levels, bound: "clopperPearson" });
  assert.is(ucb.index, 0);
  const refused = controlRisk(
    flat(12, () => 0),
    { alpha: 0.05 },
  );
  assert.not(refused.ok);
  if (refused.ok) return;
  assert.is(refused.neededSamples, 29); // a third of them lays out the thresholds, and 19 are tested
  assert.ok(
    controlRisk(
      flat(29, () => 0),
      { alpha: 0.05 },
    ).ok,
  );
});

test("losses relative to the full model vanish at the last exit and stay in [0, 1]", () => {
  const table = randomTable(40, 3, 4);
  const names: readonly ExitLoss[] = [
    "acceptedAndWrong",
    "disagreement",
    "gap",
    "brierGap",
    "brierDisagreement",
    "hellinger",
  ];
  for (const name of names) {
    const losses = exitLosses(table, name);
    losses.forEach((loss, at) => {
      assert.ok(loss >= 0 && loss <= 1 && (at % 3 !== 2 || loss === 0), `${name} ${loss} at ${at}`);
    });
    assert.ok(
      losses.some((loss) => loss > 0),
      name,
    );
    const result = controlRisk(table, { alpha: 0.5, loss: name });
    assert.is(result.guarantee.kind, "marginal");
  }
});

test("for 0/1 losses the exact test is the default, and saves at least as much as the others", () => {
  const source = population.draw(600, createRandom(4));
  const validation = population.draw(300, createRandom(5));
  for (const method of ["ucb", "ltt"] as const) {
    const cost = (bound?: "wsr" | "hoeffdingBentkus" | "clopperPearson") => {
      const result = controlRisk(source, { alpha: 0.1, delta: 0.1, method, validation, ...(bound && { bound }) });
      return result.ok ? result.cost : 1;
    };
    assert.is(cost(), cost("clopperPearson"));
    assert.ok(cost() <= cost("wsr") && cost() < cost("hoeffdingBentkus"));
  }
});

test("losses of an ensemble are those of the ensemble's answers", () => {
  const table = randomTable(1, 2, 3);
  const z = table.read(0, 1);
  const softmax = (of: ArrayLike<number>) => {
    const e = Array.from(of, Math.exp);
    return e.map((v) => v / e.reduce((a, b) => a + b, 0));
  };
  const [first, second] = [softmax(z.subarray(0, 3)), softmax(z.subarray(3, 6))];
  const mean = first.map((p, c) => (p + second[c]!) / 2);
  const hellinger = Math.sqrt(first.reduce((sum, p, c) => sum + (Math.sqrt(p) - Math.sqrt(mean[c]!)) ** 2, 0) / 2);
  assert.ok(Math.abs(exitLosses(table, "hellinger", "arithmeticEnsemble")[0]! - hellinger) < 1e-12);
});

test("CRC on one shared knob controls the disagreement it promises", () => {
  const [alpha, repeats] = [0.1, 300];
  let sum = 0;
  for (let r = 0; r < repeats; r++) {
    const result = controlRisk(population.draw(150, createRandom(r)), { alpha, loss: "disagreement", seed: r });
    sum += result.ok ? population.truth(result.thresholds).disagreement : 0;
  }
  assert.ok(sum / repeats <= alpha && sum / repeats > 0.04, `mean ${sum / repeats}`);
});
