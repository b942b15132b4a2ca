// Scalers and gates: what each must achieve, and what happens where there is nothing to fit.

import fc from "fast-check";
import {
  applyScaling,
  areaUnderCurve,
  cascade,
  column,
  correctness,
  createRandom,
  createTable,
  ece,
  fit,
  fitConfidenceScaler,
  fitGate,
  type LogitMethod,
  mapLogits,
  nll,
  outcomes,
  scaleConfidence,
  scaleConfidences,
  scaleLogits,
  scalingNotes,
  sweepThresholds,
  thresholdCurve,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration fit");

/**
 * A table whose logits are right up to a factor: labels are drawn from the softmax of z, the table holds factor * z.
 */
function overconfident(samples: number, factor: number) {
  const random = createRandom(12);
  const [exits, classes] = [2, 4];
  const logits = new Float64Array(samples * exits * classes);
  const labels = new Int32Array(samples);
  for (let i = 0; i < samples; i++) {
    const z = Float64Array.from({ length: classes }, () => 1.5 * random.normal());
    let left = random.uniform() * z.reduce((sum, v) => sum + Math.exp(v), 0);
    while (labels[i]! < classes - 1 && left >= Math.exp(z[labels[i]!]!)) {
      left -= Math.exp(z[labels[i]!]!);
      labels[i] = labels[i]! + 1;
    }
    for (let k = 0; k < exits * classes; k++) logits[i * exits * classes + k] = factor * z[k % classes]!;
  }
  return createTable({ logits, labels, shape: [samples, exits, classes] });
}

test("temperature undoes a known factor", () => {
  const table = overconfident(4000, 2.5);
  const scaling = fit(table, { method: "temperature" });
  assert.ok(scaling.converged);
  scaling.scalers.forEach((scaler) => {
    assert.ok("parameters" in scaler && Math.abs(scaler.parameters[0]! - 2.5) < 0.15);
  });
  const scaled = outcomes(scaleLogits(table, scaling));
  const error = (all: typeof scaled) => ece(column(all.maxProb, 2, 0), correctness(all.errors, 2, 0));
  assert.ok(error(outcomes(table)) > 0.1 && error(scaled) < 0.03);
  assert.equal(scaled.predictions, outcomes(table).predictions);
});

test("richer scalers never fit worse on their own samples", () => {
  const table = randomTable(300, 2, 3);
  const at = (method: LogitMethod) => {
    const isFree = method === "matrix" || method === "dirichlet";
    return nll(outcomes(scaleLogits(table, fit(table, { method, ...(isFree && { penalty: 0 }) }))))[1]!;
  };
  const [temperature, vector, matrix, dirichlet] = [at("temperature"), at("vector"), at("matrix"), at("dirichlet")];
  assert.ok(temperature <= nll(outcomes(table))[1]! + 1e-9);
  assert.ok(vector <= temperature + 1e-6 && matrix <= vector + 1e-6);
  // log softmax differs from z by a constant per sample, which a free matrix can undo up to that constant
  assert.ok(dirichlet <= temperature + 1e-6);
});

test("the optimum of every logit scaler is stationary", () => {
  const table = randomTable(200, 1, 3);
  for (const method of ["temperature", "vector", "failure", "matrix", "dirichlet"] as const) {
    const scaling = fit(table, { method });
    const [scaler] = scaling.scalers;
    assert.ok(scaling.converged && scaler && "gradient" in scaler && scaler.gradient < 1e-5, method);
    assert.ok(method === "failure" || scaler.nll <= scaler.nllBefore, method);
  }
});

test("separable samples have no best temperature, and the fit says so", () => {
  const logits = Float64Array.of(2, 0, 0, 2, 3, 1);
  const table = createTable({ logits, labels: [0, 1, 0], shape: [3, 1, 2] });
  assert.not(fit(table, { method: "temperature" }).converged);
});

/** Two exits, both nearly always right: on few samples without an error. */
function easyTable(samples: number, seed: number) {
  const random = createRandom(seed);
  const labels = Int32Array.from({ length: samples }, () => random.below(10));
  const logits = Float64Array.from({ length: samples * 20 }, () => random.normal());
  labels.forEach((label, i) => {
    const hard = 1.2 * random.normal();
    for (const exit of [0, 1]) {
      const at = (2 * i + exit) * 10 + label;
      logits[at] = logits[at]! + 6 - hard + exit;
    }
  });
  return createTable({ logits, labels, shape: [samples, 2, 10] });
}

test("an exit without an error on its samples is left as it is by every scaler, and named", () => {
  const [validation, fresh] = [easyTable(60, 2), easyTable(1500, 5)];
  const plain = outcomes(fresh);
  const toLogits = ["temperature", "vector", "failure", "matrix", "dirichlet"] as const;
  for (const method of [...toLogits, "histogram", "isotonic", "beta"] as const) {
    const scaling = fit(validation, { method });
    assert.not(scaling.converged, method);
    assert.equal(scalingNotes(scaling, ["first", "second"]), [
      "first: all right on 60 samples, which do not tell how sure it may be: it is left as it is",
      "second: all right on 60 samples, which do not tell how sure it may be: it is left as it is",
    ]);
    const scaled = applyScaling(fresh, scaling);
    const scores = "read" in scaled ? outcomes(scaled).maxProb : scaled.maxProb;
    assert.ok(
      scores.every((s, at) => Math.abs(s - plain.maxProb[at]!) < 1e-9),
      method,
    );
  }
});

test("one error by a hair does not sharpen all scores to 1: the temperature is held, and says so", () => {
  const logits = Float64Array.from({ length: 400 }, (_, k) => (k % 2 === 0 ? 4 : 0));
  logits[1] = 4 + 1e-14;
  const table = createTable({ logits, labels: new Int32Array(200), shape: [200, 1, 2] });
  const scaling = fit(table, { method: "temperature" });
  const [scaler] = scaling.scalers;
  assert.ok(scaler && "parameters" in scaler && scaler.parameters[0]! > 0.1, JSON.stringify(scaler));
  assert.equal(scalingNotes(scaling), [
    "exit 1: the temperature is held at 0.133: nearly all scores would be 1 beyond",
  ]);
});

test("fitting reads a table once, whatever its exits and the steps of the fit", () => {
  const source = randomTable(300, 4, 3);
  const all = Float32Array.from(source.read(0, 300));
  let rowsRead = 0;
  const read = (first: number, count: number) => {
    rowsRead += count;
    return all.subarray(first * 12, (first + count) * 12);
  };
  const table = createTable({ logits: read, labels: source.labels, shape: [300, 4, 3] });
  for (const method of ["temperature", "vector", "matrix", "dirichlet", "isotonic"] as const) {
    rowsRead = 0;
    fit(table, { method });
    assert.is(rowsRead, 300, method);
  }
  rowsRead = 0;
  fit(table, { method: "temperature", survivorsOf: [0.8, 0.9, 0.9] });
  assert.is(rowsRead, 600);
});

test("fitting on survivors uses those that earlier exits refuse", () => {
  const table = randomTable(500, 3, 3);
  const all = outcomes(table);
  const scaling = fit(table, { method: "temperature", survivorsOf: [0.8, 0.9] });
  const refused = Array.from({ length: 500 }, (_, i) => all.maxProb[i * 3]! < 0.8).filter(Boolean).length;
  assert.is(scaling.samples[0], 500);
  assert.is(scaling.samples[1], refused);
  assert.ok(scaling.samples[2]! < refused);
});

test("no survivor is an error that says where", () =>
  failsWith(
    () => fit(randomTable(10, 2, 2), { method: "isotonic", survivorsOf: [0] }),
    "CalibrationError",
    "fit: the survivors of exit 0 (counted from 0) must not be empty; got 0 samples.",
  ));

test("confidence scalers are monotone where they must be, and calibrated on their own samples", () => {
  const random = createRandom(3);
  const scores = Float64Array.from({ length: 3000 }, () => random.uniform());
  const correct = Uint8Array.from(scores, (s) => (random.uniform() < s ** 2 ? 1 : 0));
  for (const method of ["histogram", "isotonic", "beta"] as const) {
    const scaler = fitConfidenceScaler(scores, correct, method);
    assert.ok(scaler.converged);
    const scaled = scores.map((s) => scaleConfidence(scaler, s));
    assert.ok(ece(scaled, correct) < 0.03, `${method} ${ece(scaled, correct)}`);
    const steps = Float64Array.from({ length: 101 }, (_, k) => scaleConfidence(scaler, k / 100));
    assert.ok(steps.every((v) => v >= 0 && v <= 1));
    if (method !== "histogram")
      assert.ok(
        steps.every((v, k) => k === 0 || v >= steps[k - 1]! - 1e-12),
        method,
      );
  }
});

test("a scaler of confidences refuses NaN", () => {
  for (const method of ["histogram", "beta", "isotonic"] as const)
    failsWith(
      () => fitConfidenceScaler([0.5, Number.NaN, 0.7], [1, 0, 1], method),
      "CalibrationError",
      "fit: scores must be numbers; got NaN at 1.",
    );
});

test("isotonic regression is the best monotone fit", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }), (flags) => {
      const scores = flags.map((_, i) => i / 10);
      const correct = flags.map(Number);
      const scaler = fitConfidenceScaler(scores, correct, "isotonic");
      const fitted = scores.map((s) => scaleConfidence(scaler, s));
      // min-max formula: max over starts of the min over ends of the mean
      scores.forEach((_, i) => {
        let best = Number.NEGATIVE_INFINITY;
        for (let a = 0; a <= i; a++) {
          let least = Number.POSITIVE_INFINITY;
          for (let b = i; b < scores.length; b++) {
            const part = correct.slice(a, b + 1);
            least = Math.min(least, part.reduce((x, y) => x + y, 0) / part.length);
          }
          best = Math.max(best, least);
        }
        assert.ok(Math.abs(fitted[i]! - best) < 1e-12);
      });
    }),
  );
});

test("beta calibration never falls, also where confidence ranks backwards", () => {
  const scores = Float64Array.from({ length: 200 }, (_, i) => (i + 1) / 201);
  for (const correct of [scores.map((s) => (s < 0.5 ? 1 : 0)), scores.map((s) => (Math.abs(s - 0.5) < 0.2 ? 1 : 0))]) {
    const scaler = fitConfidenceScaler(scores, correct, "beta");
    assert.ok(scaler.values[0]! >= 0 && scaler.values[1]! >= 0);
    const scaled = scores.map((s) => scaleConfidence(scaler, s));
    assert.ok(scaled.every((v, k) => k === 0 || v >= scaled[k - 1]! - 1e-12));
  }
});

test("scalers of the wrong kind are refused", async () => {
  const table = randomTable(40, 2, 3);
  const isotonic = fit(table, { method: "isotonic" });
  assert.is(scaleConfidences(outcomes(table), isotonic).maxProb.length, 80);
  await failsWith(
    () => scaleLogits(table, isotonic).read(0, 1),
    "CalibrationError",
    "scaleLogits: scalers must change logits; got isotonic. Use scaleConfidences.",
  );
  await failsWith(
    () => scaleConfidences(outcomes(table), fit(table, { method: "temperature" })),
    "CalibrationError",
    "scaleConfidences: scalers must change confidences; got temperature. Use scaleLogits.",
  );
});

test("a gate learns the oracle's decision better than confidence ranks it, and keeps predictions", () => {
  const [held, fresh] = [outcomes(randomTable(3000, 3, 4)), outcomes(randomTable(3000, 3, 4, { seed: 8 }))];
  const gate = fitGate(held);
  assert.ok(gate.converged);
  const gated = cascade(fresh, gate);
  assert.equal(gated.predictions, fresh.predictions);
  assert.ok(gated.scores.every((s) => s >= 0 && s <= 1));
  const curve = (scored: typeof gated) => {
    const points = thresholdCurve(scored, sweepThresholds(scored));
    return areaUnderCurve(
      points.map((p) => p.cost),
      points.map((p) => p.accuracy),
    );
  };
  assert.ok(curve(gated) > curve(cascade(fresh)) - 0.01);
});

test("a table mapped as it is read leaves the original alone", () => {
  const table = randomTable(5, 2, 2);
  const before = Float64Array.from(table.read(0, 5));
  const doubled = mapLogits(table, (values, at) => {
    for (let k = 0; k < 4; k++) values[at + k] = 2 * values[at + k]!;
  });
  assert.equal(
    doubled.read(1, 2),
    before.slice(4, 12).map((v) => 2 * v),
  );
  assert.equal(Float64Array.from(table.read(0, 5)), before);
});
