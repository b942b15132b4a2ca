// Policies as files, and where they may be used: every field is checked, and scores of another origin are refused.

import {
  applyScaling,
  type Certified,
  cascade,
  cascadeFromScores,
  controlRisk,
  createTable,
  decide,
  decodePolicy,
  encodePolicy,
  evaluatePolicy,
  exitRisks,
  fit,
  learnThenTest,
  meetBudget,
  scalingDigest,
  selectSamples,
  type Table,
} from "../../calibration/index.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { randomTable } from "./tables.ts";

const test = suite("calibration policies");

/** The table as one of a network's, whose digest is `weights`. */
const ofNetwork = (table: Table, weights: string): Table =>
  createTable({
    logits: table.read(0, table.samples),
    labels: table.labels,
    shape: [table.samples, table.exits, table.classes],
    weights,
  });

const table = ofNetwork(randomTable(2000, 3, 4), "first");
const scaling = fit(randomTable(500, 3, 4, { seed: 9 }), { method: "temperature" });
const request = { rule: "learnThenTest", procedure: "union", seed: 3 } as const;
const certified = learnThenTest(applyScaling(table, scaling), { alpha: 0.25, delta: 0.1 }) as Certified;

/** Sets the value at a path of keys in a parsed JSON text. */
function changed(text: string, path: readonly (string | number)[], value: unknown): string {
  const root = JSON.parse(text) as Record<string | number, unknown>;
  let at = root;
  for (const key of path.slice(0, -1)) at = at[key] as typeof at;
  at[path.at(-1)!] = value;
  return JSON.stringify(root);
}

/** All paths to the values of a parsed JSON text; of long lists the first two. */
function pathsOf(value: unknown): (string | number)[][] {
  if (typeof value !== "object" || value === null) return [[]];
  const entries = Array.isArray(value) ? value.slice(0, 2).map((each, i) => [i, each] as const) : Object.entries(value);
  return [[], ...entries.flatMap(([key, part]) => pathsOf(part).map((path) => [key, ...path]))];
}

test("no field of a policy file can be null, [], an empty text or false in place of what it is", async () => {
  assert.ok(certified.ok);
  const budget = meetBudget(applyScaling(table, scaling), { cost: 0.8 });
  const refused = learnThenTest(randomTable(40, 2, 4), { alpha: 0.01, delta: 0.1 });
  const histogram = fit(randomTable(500, 3, 4, { seed: 9 }), { method: "histogram" });
  assert.ok(budget.ok && !refused.ok);
  for (const file of [
    { result: certified, scaling, request },
    { result: budget, scaling: histogram },
    { result: refused },
  ]) {
    const text = encodePolicy(file);
    decodePolicy(text);
    for (const path of pathsOf(JSON.parse(text)).slice(1)) {
      for (const value of [null, [], "", false, {}]) {
        // Where such a value is one that the field may have.
        const name = path.at(-1) as string;
        if (value === false && ["ok", "converged", "isTime"].includes(name)) continue;
        const mayBeEmpty = ["tests", "assumptions", "knots", "samples", "values", "ids"].includes(name);
        if (Array.isArray(value) && mayBeEmpty) continue;
        let said = "";
        try {
          decodePolicy(changed(text, path, value));
        } catch (error) {
          said = String(error);
        }
        assert.match(said, /^CalibrationError: decodePolicy: /, `${path.join(".")} = ${JSON.stringify(value)} passed`);
      }
    }
  }
});

test("what is wrong in a policy file is named", async () => {
  const text = encodePolicy({ result: certified, scaling, request });
  const fails = (path: readonly (string | number)[], value: unknown, message: string) =>
    failsWith(() => decodePolicy(changed(text, path, value)), "CalibrationError", `decodePolicy: ${message}`);
  await fails(
    ["result", "thresholds", 0],
    null,
    'result.thresholds[0] must be a number, "Infinity" or "-Infinity"; got null.',
  );
  await fails(
    ["result", "thresholds", 1],
    "NaN",
    'result.thresholds[1] must be a number, "Infinity" or "-Infinity"; got "NaN".',
  );
  await fails(["result", "thresholds"], [0.5], "result.thresholds must hold 2 or 8 values; got 1.");
  await fails(
    ["scaling", "scalers", 0, "parameters"],
    [-1],
    "scaling.scalers[0].parameters must be one temperature above 0; got [-1].",
  );
  await fails(["scaling", "scalers"], [], "scaling.scalers must be 3, one per exit; got 0.");
  await fails(["version"], 1, "the version must be 2; got 1. Calibrate again.");
  await fails(["result", "alpha"], 1.5, "result.alpha must be a number between 0 and 1; got 1.5.");
  // JSON.stringify alone makes null of Infinity.
  const closed = encodePolicy({ result: { ...certified, thresholds: Float64Array.of(Number.POSITIVE_INFINITY, 0.5) } });
  assert.equal([...(decodePolicy(closed).result as Certified).thresholds], [Number.POSITIVE_INFINITY, 0.5]);
  await failsWith(
    () => decodePolicy({} as string),
    "CalibrationError",
    "decodePolicy: a policy must be given as the text of its file; got object.",
  );
});

test("thresholds given by hand are numbers", async () => {
  const scored = cascade(table);
  for (const value of [null, "", false, [], "0.5", undefined, Number.NaN]) {
    const shown = typeof value === "string" ? JSON.stringify(value) : Array.isArray(value) ? "[]" : String(value);
    const given = [0.5, value] as number[];
    for (const [op, call] of [
      ["decide", () => decide(scored, given)],
      ["exitRisks", () => exitRisks(scored, given)],
    ] as const) {
      await failsWith(call, "CalibrationError", `${op}: thresholds must be numbers; got ${shown} at 1.`);
    }
    if (Array.isArray(value) || Number.isNaN(value)) continue;
    const wanted = "thresholds must be a number or a list of numbers";
    await failsWith(() => decide(scored, value as number), "CalibrationError", `decide: ${wanted}; got ${shown}.`);
  }
});

test("a policy of scaled scores is refused without the scaling, one of plain scores with it", async () => {
  const plain = learnThenTest(table, { alpha: 0.25, delta: 0.1 }) as Certified;
  const fresh = ofNetwork(randomTable(900, 3, 4, { seed: 5 }), "first");
  const restored = decodePolicy(encodePolicy({ result: certified, scaling }));
  assert.ok(restored.result.ok && plain.ok);
  evaluatePolicy(applyScaling(fresh, restored.scaling!), restored.result as Certified);
  evaluatePolicy(fresh, plain);
  const cure =
    "Apply the scaling of the policy's file to the table, applyScaling(table, scaling), or say anyOrigin: true.";
  await failsWith(
    () => evaluatePolicy(fresh, restored.result as Certified),
    "CalibrationError",
    `evaluatePolicy: scores must be scaled as the policy's were; got scores without scaling. ${cure}`,
  );
  await failsWith(
    () => evaluatePolicy(applyScaling(fresh, scaling), plain),
    "CalibrationError",
    `evaluatePolicy: scores must not be scaled, as the policy's were not; got scaled ones. ${cure}`,
  );
  const other = fit(randomTable(500, 3, 4, { seed: 10 }), { method: "temperature" });
  await failsWith(
    () => decide(cascade(applyScaling(fresh, other)), certified),
    "CalibrationError",
    `decide: scores must be scaled as the policy's were; got another scaling. ${cure}`,
  );
  assert.equal(
    evaluatePolicy(fresh, certified, { anyOrigin: true }).exits,
    decide(cascade(fresh), certified.thresholds),
  );
});

test("a policy is refused on logits of another network, of other classes or exits; by every rule, through every selection", async () => {
  const other = ofNetwork(randomTable(900, 3, 4, { seed: 5 }), "second");
  for (const result of [
    learnThenTest(table, { alpha: 0.25, delta: 0.1 }),
    controlRisk(table, { alpha: 0.25 }),
    meetBudget(selectSamples(table, [...Array(800).keys()]), { cost: 0.8 }),
  ]) {
    assert.ok(result.ok);
    assert.equal(result.origin, { weights: "first", exits: 3, classes: 4 });
    evaluatePolicy(ofNetwork(randomTable(900, 3, 4, { seed: 5 }), "first"), result, { resamples: 2 });
    // Nobody said of which network these are.
    evaluatePolicy(randomTable(900, 3, 4, { seed: 5 }), result, { resamples: 2 });
    await failsWith(
      () => evaluatePolicy(other, result),
      "CalibrationError",
      "evaluatePolicy: the policy must be of this network's weights; got one of first, not second. " +
        "Use logits of the network that it was calibrated on, or say anyOrigin: true.",
    );
    await failsWith(
      () => evaluatePolicy(randomTable(90, 3, 5), result),
      "CalibrationError",
      "evaluatePolicy: the policy must be for 3 exits and 5 classes; got one for 3 exits and 4 classes.",
    );
    await failsWith(
      () => evaluatePolicy(randomTable(90, 2, 4), result),
      "CalibrationError",
      "evaluatePolicy: the policy must be for 2 exits and 4 classes; got one for 3 exits and 4 classes.",
    );
  }
  await failsWith(
    () => learnThenTest(table, { alpha: 0.25, delta: 0.1, validation: other }),
    "CalibrationError",
    "learnThenTest: calibration and validation logits must be of one network; got first and second.",
  );
  await failsWith(
    () => learnThenTest(table, { alpha: 0.25, delta: 0.1, validation: applyScaling(table, scaling) }),
    "CalibrationError",
    `learnThenTest: calibration and validation logits must be scaled alike; got none and ${scalingDigest(scaling)}.`,
  );
});

test("a refusal, and another score than the policy's, are named", async () => {
  const refused = learnThenTest(randomTable(40, 3, 4), { alpha: 0.01, delta: 0.1 });
  assert.not(refused.ok);
  for (const [op, call] of [
    ["decide", () => decide(cascade(table), refused as never)],
    ["evaluatePolicy", () => evaluatePolicy(table, refused as never)],
  ] as const) {
    const reason = (refused as { reason: string }).reason.replace(/\.$/, "");
    const message = `${op}: the policy must be certified; got one that refuses: ${reason}.`;
    await failsWith(call, "CalibrationError", message);
  }
  const plain = learnThenTest(table, { alpha: 0.25, delta: 0.1 }) as Certified;
  await failsWith(
    () => decide(cascade(table, "margin"), plain),
    "CalibrationError",
    "decide: the scores must be maxProb, as the policy's were; got margin.",
  );
});

test("scores computed elsewhere have no origin, and their policies go with any", () => {
  const scores = Float64Array.from({ length: 900 }, (_, i) => (i * 37) % 101);
  const given = cascadeFromScores({ scores, errors: new Uint8Array(900), exits: 3 });
  const result = learnThenTest(given, { alpha: 0.25, delta: 0.1, sameSamples: true });
  assert.ok(result.ok && result.origin === undefined);
  assert.equal(decodePolicy(encodePolicy({ result })), { result });
  assert.ok(evaluatePolicy(given, { ...result, ids: undefined }, { sameSamples: true }).cost < 1);
});
