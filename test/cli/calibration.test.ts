// The commands calibrate, evaluate and report on files as PyTorch and NumPy write them, and policy files.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodePolicy,
  encodePolicy,
  fit,
  fitGate,
  learnThenTest,
  outcomes,
  type Table,
} from "../../calibration/index.ts";
import { runCalibrate } from "../../cli/commands/calibrate.ts";
import { runEvaluate } from "../../cli/commands/evaluate.ts";
import { runReport } from "../../cli/commands/report.ts";
import { readLogits } from "../../cli/files/logits-file.ts";
import { main } from "../../cli/main.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, failsWith, suite } from "../harness.ts";
import { saveTable } from "./synthetic-run.ts";

const test = suite("calibration commands");
const folder = mkdtempSync(join(tmpdir(), "sortie-cli-"));
const file = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));

/** A table with ids that count from `firstId`. */
function save(name: string, table: Table, firstId: number, weights?: string): string {
  saveTable(
    file(name),
    table,
    Int32Array.from({ length: table.samples }, (_, i) => firstId + i),
    weights,
  );
  return file(name);
}

test("budgets and scaled confidences make policies too", async () => {
  const validation = save("v.safetensors", randomTable(900, 3, 4, { seed: 2 }), 0);
  const calibration = save("c.safetensors", randomTable(1500, 3, 4, { seed: 3 }), 10_000);
  const fresh = save("t.safetensors", randomTable(900, 3, 4, { seed: 4 }), 20_000);
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const policy = file("other.json");
  const isotonic = [
    "--validation",
    validation,
    "--scale",
    "isotonic",
    "--alpha",
    "0.15",
    "--test",
    "wsr",
    "--out",
    policy,
  ];
  assert.is(runCalibrate([calibration, ...isotonic], print), 0);
  assert.ok(lines[0]!.startsWith("By learn then test (path, wsr) on 1500 samples"));
  lines.length = 0;
  runEvaluate([fresh, "--policy", policy, "--resamples", "5"], print);
  assert.ok(lines.some((line) => line.startsWith("      lower")) && lines.some((line) => line.startsWith("policy: ")));

  // What no device runs is said, where it is certified and where it is not.
  const noteOf = (...flags: readonly string[]) => {
    lines.length = 0;
    assert.is(runCalibrate([calibration, "--method", "budget", "--cost", "0.9", "--out", policy, ...flags], print), 0);
    return lines.find((line) => line.startsWith("note: no device"));
  };
  assert.is(
    noteOf("--score", "geometricEnsemble"),
    "note: no device runs the score geometricEnsemble (those that run: maxProb, margin, entropy, normalisedEntropy, energy, maxLogit, confidence): evaluate and report take this policy, while deploy, export and bench refuse it.",
  );
  assert.is(
    noteOf("--validation", validation, "--scale", "vector"),
    "note: no device runs scaling by vector (that which runs: temperature): evaluate and report take this policy, while deploy, export and bench refuse it.",
  );
  assert.is(noteOf("--score", "margin", "--validation", validation, "--scale", "temperature"), undefined);

  const latency = ["--method", "budget", "--milliseconds", "2,3,5", "--budget", "3", "--out", policy];
  lines.length = 0;
  assert.is(runCalibrate([validation, ...latency], print), 0);
  assert.ok(
    lines[0]!.startsWith("There is no guarantee (budget search on 900 samples): accuracy and cost were reached"),
  );
  assert.ok(/^on these samples accuracy \d\d\.\d % at [12]\.\d+ ms on average$/.test(lines[2]!), lines[2]);
  await failsWith(
    () => runEvaluate([validation, "--policy", policy], print),
    "CalibrationError",
    "evaluatePolicy: calibration and test samples must differ; got 900 shared ids (first: 0). " +
      "A guarantee holds only for samples that were not used to choose the thresholds.",
  );
  assert.is(runCalibrate([validation, "--method", "budget", "--accuracy", "1", "--out", policy], print), 2);
  assert.ok(
    lines.at(-2)!.startsWith("Nothing is promised. Budget search: no thresholds reach accuracy 1; the best is 0."),
  );
  const { result } = decodePolicy(readFileSync(policy, "utf8"));
  assert.not(result.ok);
  await failsWith(
    () => runCalibrate([validation, "--method", "budget", "--cost", "0.5", "--accuracy", "0.5"], print),
    "SortieError",
    "calibrate: --method budget needs one goal: --accuracy, --cost, or --milliseconds with --budget; got accuracy, cost.",
  );
});

test("calibrate, evaluate, report: from logits to a page", async () => {
  const validation = save("validation.safetensors", randomTable(800, 3, 4, { seed: 2 }), 0);
  const calibration = save("calibration.safetensors", randomTable(2000, 3, 4, { seed: 3 }), 10_000);
  const fresh = save("test.safetensors", randomTable(1500, 3, 4, { seed: 4 }), 20_000);
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  const policy = file("policy.json");
  const flags = ["--validation", validation, "--alpha", "0.1", "--scale", "temperature", "--out", policy];
  assert.is(runCalibrate([calibration, ...flags], print), 0);
  assert.ok(lines[0]!.startsWith("By learn then test (path, binomial) on 2000 samples: with probability at least 0.9"));
  const { result, scaling } = decodePolicy(readFileSync(policy, "utf8"));
  assert.ok(result.ok && scaling?.converged && result.thresholds.length === 2);

  lines.length = 0;
  assert.is(runEvaluate([fresh, "--policy", policy, "--json", file("all.json")], print), 0);
  assert.is(lines[0], "1500 samples");
  const promise = lines.findIndex((line) => line.startsWith("By learn then test (path, binomial) on 2000 samples: "));
  assert.ok(promise > 0 && lines[promise + 1]!.startsWith("policy: accuracy "), lines.join("\n"));
  assert.match(lines[promise + 2]!, /^ {2}exit 1: \d+\.\d % leave, error /);
  assert.match(lines[promise + 4]!, /^ {2}exit 3: /);
  assert.match(lines.at(-1)!, /^promised: worst exit at most 10 %; on these samples \d+\.\d %$/);
  assert.ok(lines[2]!.trim().startsWith("exit 1 "));
  const all = JSON.parse(readFileSync(file("all.json"), "utf8")) as { policy: { exits: number[] } };
  assert.is(all.policy.exits.length, 1500);

  assert.is(await runReport([fresh, "--policy", policy, "--out", file("report.html")], print), 0);
  const page = readFileSync(file("report.html"), "utf8");
  assert.ok(page.includes("This assumes that calibration and future samples are independent draws"));
  assert.ok(!page.includes("NaN") && !page.includes("<script"));
});

test("nothing to certify: exit code 2, and the policy file stays a refusal of these weights", async () => {
  const path = save("few.safetensors", randomTable(40, 2, 4), 0, "own");
  const policy = file("refused.json");
  assert.is(
    runCalibrate([path, "--alpha", "0.01", "--out", policy], () => {}),
    2,
  );
  assert.not(decodePolicy(readFileSync(policy, "utf8")).result.ok);
  const lines: string[] = [];
  assert.is(
    runEvaluate([path, "--policy", policy], (line) => lines.push(line)),
    0,
  );
  assert.match(lines.at(-2)!, /^Nothing is promised, and no sample should leave early\. Learn then test /);
  assert.match(lines.at(-1)!, /^the policy refuses: every sample runs the full network \(accuracy \d\d\.\d %\)$/);
  const others = save("others.safetensors", randomTable(40, 2, 4), 0, "others");
  const evaluate = (...flags: string[]) => runEvaluate([others, "--policy", policy, ...flags], () => {});
  const needed = `${policy}: the policy must be of this network's weights; got one of own, not others.`;
  await failsWith(evaluate, "CalibrationError", `${needed} Calibrate on logits of these weights, or say --any-origin.`);
  assert.is(evaluate("--any-origin"), 0);
});

test("a result survives the way through a file", () => {
  const table = randomTable(900, 3, 3);
  const gate = fitGate(outcomes(randomTable(900, 3, 3, { seed: 6 })));
  for (const options of [{}, { score: gate }, { control: "predictedClass" as const }]) {
    const result = learnThenTest(table, { alpha: 0.2, delta: 0.1, ...options });
    const scaling = fit(table, { method: "isotonic" });
    const restored = decodePolicy(encodePolicy({ result, scaling }));
    assert.ok(result.ok);
    assert.equal(restored, { result, scaling });
  }
});

test("groups are named for people, from 1, with the index from 0; how a policy was asked for goes with it", async () => {
  const table = randomTable(3000, 3, 3);
  const groups = (control: "exit" | "early" | "predictedClass") => {
    const result = learnThenTest(table, { alpha: 0.3, delta: 0.1, control });
    assert.ok(result.ok);
    return result.tests.map(({ name, exit }) => [name, exit]);
  };
  assert.equal(groups("exit"), [
    ["exit 1", 0],
    ["exit 2", 1],
  ]);
  assert.equal(groups("early"), [["early exits", undefined]]);
  const byClass = groups("predictedClass");
  assert.ok(
    byClass.some(([name, exit]) => name === "exit 2, class 0" && exit === 1),
    JSON.stringify(byClass),
  );
  const result = learnThenTest(table, { alpha: 0.25, delta: 0.1 });
  const request = { rule: "learnThenTest", procedure: "union", seed: 3 } as const;
  assert.equal(decodePolicy(encodePolicy({ result, request })), { result, request });
  const text = encodePolicy({ result, request }).replace('"rule": "learnThenTest"', '"rule": "guess"');
  await failsWith(
    () => decodePolicy(text),
    "CalibrationError",
    'decodePolicy: request.rule must be one of learnThenTest, controlRisk; got "guess".',
  );
});

test("bad flags are named", async () => {
  const path = save("flags.safetensors", randomTable(20, 2, 3), 0);
  const fails = (args: readonly string[], message: string) =>
    failsWith(() => runCalibrate(args, () => {}), "SortieError", message);
  await fails([], "calibrate: one logits file or one folder of a run must be given; got 0.");
  await fails([path, "--alpha", "much"], 'calibrate: --alpha must be a number; got "much".');
  await fails([path, "--seed", "0.5"], "calibrate: --seed must be a whole number in 0..2^53 - 1; got 0.5.");
  await failsWith(
    () => runEvaluate([path, "--resamples=-1"], () => {}),
    "SortieError",
    "evaluate: --resamples must be a whole number of at least 0; got -1.",
  );
  await fails([path, "--method", "magic"], 'calibrate: --method must be one of ltt, crc, ucb, budget; got "magic".');
  await fails([path, "--loss", "disagreement"], "calibrate: --loss goes with --method crc or ucb; got --method ltt.");
  const budget = [path, "--method", "budget", "--accuracy", "0.5"];
  for (const [flags, message] of [
    [["--alpha", "0.1"], "--alpha goes with --method ltt, crc or ucb; got --method budget."],
    [["--delta", "0.1"], "--delta goes with --method ltt or ucb; got --method budget."],
    [["--seed", "1"], "--seed goes with --method ltt, crc or ucb; got --method budget."],
    [["--bound", "wsr"], "--bound goes with --method ucb; got --method budget."],
    [
      ["--validation", path],
      "--validation goes with --method budget for --scale only; got no --scale. A budget is searched on LOGITS.",
    ],
  ] as const)
    await fails([...budget, ...flags], `calibrate: ${message}`);
  await fails(
    [path, "--method", "crc", "--delta", "0.1"],
    "calibrate: --delta goes with --method ltt or ucb; got --method crc.",
  );
  await fails(
    [path, "--scale", "temperature"],
    "calibrate: --scale needs --validation; got none. Scaling must not be fitted on calibration samples.",
  );
  await failsWith(
    () => runCalibrate([path, "--alpha", "1.5"], () => {}),
    "SortieError",
    "calibrate: --alpha must be between 0 and 1; got 1.5.",
  );
});

test("bad files are named", async () => {
  const path = save("files.safetensors", randomTable(20, 2, 3), 0);
  const copy = file("copy.safetensors");
  writeFileSync(copy, readFileSync(path));
  await failsWith(
    () => runCalibrate([path, "--validation", copy], () => {}),
    "CalibrationError",
    "learnThenTest: calibration and validation samples must differ; got 20 shared ids (first: 0). " +
      "A guarantee holds only for samples that were not used to choose the thresholds.",
  );
  writeFileSync(file("text.safetensors"), "not a safetensors file at all");
  await failsWith(
    () => readLogits(file("text.safetensors")),
    "SortieError",
    `${file("text.safetensors")} must be a safetensors file; got 29 bytes that begin with no length of a header.`,
  );
  writeFileSync(file("cut.safetensors"), readFileSync(path).subarray(0, 900));
  await failsWith(
    () => readLogits(file("cut.safetensors")),
    "SortieError",
    `${file("cut.safetensors")}: array "logits" of F32 [20, 2, 3] must have 480 bytes; got 316 before the file ends.`,
  );
  await failsWith(
    () => decodePolicy('{"format":"other"}'),
    "CalibrationError",
    "decodePolicy: the file must be a sortie-policy; got other.",
  );
});

test("a policy of another network is refused by name, and so are files that are none", async () => {
  const two = save("two.safetensors", randomTable(2000, 2, 4, { seed: 3 }), 0);
  const three = save("three.safetensors", randomTable(200, 3, 4, { seed: 4 }), 5000);
  const policy = file("two.json");
  const flags = [
    "--validation",
    save("two-v.safetensors", randomTable(600, 2, 4, { seed: 5 }), 9000),
    "--alpha",
    "0.2",
  ];
  const fails = (message: string, path = policy) =>
    failsWith(() => runEvaluate([three, "--policy", path], () => {}), "SortieError", message);
  const needed = `${policy} must fit the 3 exits of ${three}, 2 of them early, and its 4 classes; it holds`;
  runCalibrate([two, ...flags, "--out", policy], () => {});
  await fails(`${needed} 1 threshold.`);
  runCalibrate([two, ...flags, "--scale", "temperature", "--out", policy], () => {});
  await fails(`${needed} 1 threshold and the scaling of 2 exits.`);
  writeFileSync(policy, "{");
  await fails(
    `${policy} must be a policy of sortie calibrate; decodePolicy: the text must be JSON; got something else.`,
  );
  await fails(`${file("absent.json")} must be a readable file; got ENOENT.`, file("absent.json"));
});

test("main lists its commands, and turns errors into one line and exit code 1", async () => {
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  assert.is(await main([], print), 0);
  for (const name of ["calibrate", "evaluate", "report"]) assert.ok(lines[0]!.includes(`sortie ${name} `), name);
  for (const ask of ["help", "--help", "-h"]) {
    assert.is(await main([ask], print), 0);
    assert.is(lines.at(-1), lines[0]);
  }
  for (const ask of [
    ["help", "evaluate"],
    ["evaluate", "-h"],
  ]) {
    assert.is(await main(ask, print), 0);
    assert.ok(lines.at(-1)!.startsWith("sortie evaluate LOGITS | RUN"));
  }
  assert.is(await main(["--version"], print), 0);
  assert.match(lines.at(-1)!, /^\d+\.\d+\.\d+$/);
  for (const [ask, fault] of [
    [["calibrat"], 'sortie: unknown command "calibrat". Did you mean calibrate?'],
    [["calibrate", "x", "--aplha", "0.1"], "calibrate: unknown flag --aplha. Did you mean --alpha?"],
    [["train", "--train.epoch", "3"], "train: unknown flag --train.epoch. Did you mean --train.epochs?"],
    [["doctor", "--frobnicate"], "doctor: unknown flag --frobnicate. See sortie doctor --help."],
    [["evaluate", "x", "--policy"], "evaluate: Option '--policy <value>' argument missing"],
  ] as const) {
    const faults: string[] = [];
    assert.is(await main(ask, print, (line) => faults.push(line)), 1);
    assert.ok(faults[0]?.startsWith(fault), faults[0]);
  }
  for (const name of ["juggle", "toString", "constructor"]) {
    const faults: string[] = [];
    assert.is(await main([name], print, (line) => faults.push(line)), 1);
    const known =
      "run, train, calibrate, evaluate, report, metrics, bench, compare, worker, export, classify, predict, methods, data, doctor";
    assert.equal(faults, [`sortie: unknown command "${name}". The commands are ${known}.`]);
  }
  assert.is(await main(["evaluate", "--help"], print), 0);
  assert.ok(lines.at(-1)!.includes("--policy FILE"));
  assert.is(await main(["evaluate", file("absent.safetensors")], print), 1);
  assert.ok(lines.at(-1)!.includes("absent.safetensors"));
});
