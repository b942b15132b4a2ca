// The scaling that predicts failures: what it minimises, what its ranking gains, and what it refuses.

import {
  cascade,
  createRandom,
  createTable,
  eefp,
  eefpTargets,
  fit,
  fitLogitScaler,
  type LogitMethod,
  outcomes,
  scaleLogits,
  type Table,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration failure scaling");

/**
 * Two exits of three classes; where the first calls class 0, it is sure, wrong half of the time, and the last right.
 */
function misranked(samples: number) {
  const random = createRandom(8);
  const labels = new Int32Array(samples);
  const logits = new Float64Array(samples * 6).map(() => 0.5 * random.normal());
  labels.forEach((_, i) => {
    const said = random.below(3);
    const label = said > 0 || random.uniform() < 0.5 ? said : 1 + random.below(2);
    labels[i] = label;
    logits[6 * i + said] = (said === 0 ? 4 : 2) + random.normal();
    logits[6 * i + 3 + label] = 5;
  });
  return createTable({ logits, labels, shape: [samples, 2, 3] });
}

test("failure minimises NLL and the cross-entropy of confidence against its targets, by the formula", () => {
  const table = misranked(400);
  const plain = outcomes(table);
  for (const [target, weight] of [
    ["oracle", 1],
    ["correct", 2.5],
  ] as const) {
    const scaler = fitLogitScaler(table, 0, "failure", { target, weight });
    assert.ok(scaler.converged);
    const wanted = target === "oracle" ? eefpTargets(plain.errors, 2) : plain.errors.map((error) => 1 - error);
    const objective = (x: Float64Array) => {
      let loss = 0;
      for (let i = 0; i < 400; i++) {
        const e = [0, 1, 2].map((c) => Math.exp(x[c]! * table.read(i, 1)[c]! + x[3 + c]!));
        const total = e[0]! + e[1]! + e[2]!;
        const p = e[plain.predictions[2 * i]!]! / total;
        loss -= Math.log(e[table.labels[i]!]! / total) + weight * Math.log(wanted[2 * i] === 1 ? p : 1 - p);
      }
      return loss / 400;
    };
    const least = objective(scaler.parameters);
    for (let k = 0; k < 6; k++) {
      const slope = [1e-4, -1e-4].map((step) => objective(scaler.parameters.with(k, scaler.parameters[k]! + step)));
      assert.ok(slope[0]! > least && slope[1]! > least, `${target} ${k}`);
      assert.ok(Math.abs(slope[0]! - slope[1]!) / 2e-4 < 1e-4, `${target} ${k}`);
    }
  }
});

test("failure ranks what should leave better than the logits and their vector scaling, on other samples", () => {
  const [validation, fresh] = [misranked(300), misranked(1200)];
  const of = (table: Table) => eefp(cascade(table)).mean;
  const by = (method: LogitMethod) => of(scaleLogits(fresh, fit(validation, { method })));
  const [unscaled, vector, failure] = [of(fresh), by("vector"), by("failure")];
  assert.ok(unscaled < 0.6 && failure > unscaled + 0.2 && failure >= vector, `${unscaled} ${vector} ${failure}`);
});

test("failure of survivors is fitted on their own targets, and its options are checked", () => {
  const table = randomTable(300, 3, 3);
  const all = outcomes(table);
  const survivors = Int32Array.from({ length: 300 }, (_, i) => i).filter((i) => all.maxProb[3 * i]! < 0.8);
  const own = fit(table, { method: "failure", survivorsOf: [0.8, 0.9] }).scalers[1]!;
  const logits = Float64Array.from([...survivors].flatMap((i) => [...table.read(i, 1)]));
  const labels = survivors.map((i) => table.labels[i]!);
  const alone = createTable({ logits, labels, shape: [survivors.length, 3, 3] });
  const expected = fit(alone, { method: "failure" }).scalers[1]!;
  assert.ok("parameters" in own && "parameters" in expected);
  assert.equal(own.parameters, expected.parameters);
  return failsWith(
    () => fit(table, { method: "failure", target: "never" as "oracle" }),
    "CalibrationError",
    'fit: target must be one of oracle, correct; got "never".',
  );
});
