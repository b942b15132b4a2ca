/** The commands calibrate, evaluate and report on files as PyTorch and NumPy write them, and policy files. */

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
import { runCalibrate } from "../../cli/calibrate.ts";
import { runEvaluate } from "../../cli/evaluate.ts";
import { readLogits } from "../../cli/logits-file.ts";
import { main } from "../../cli/main.ts";
import { runReport } from "../../cli/report.ts";
import { encodeNpz } from "../../data/index.ts";
import { encodeSafetensors, type StoredTensor } from "../../engine/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, failsWith, suite } from "../harness.ts";

const test = suite("calibration commands");
const folder = mkdtempSync(join(tmpdir(), "sortie-cli-"));
const file = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));

/** A table as PyTorch would save it: float32 logits, int64 labels and ids. */
function save(name: string, table: Table, firstId: number): string {
  const { samples, exits, classes, labels } = table;
  const integers = (values: Int32Array): StoredTensor => ({
    dtype: "I64",
    shape: [values.length],
    data: BigInt64Array.from(values, BigInt),
  });
  const floats = (values: ArrayLike<number>, shape: number[]): StoredTensor => ({
    dtype: "F32",
    shape,
    data: Float32Array.from(values),
  });
  const bytes = encodeSafetensors([
    ["logits", floats(table.read(0, samples), [samples, exits, classes])],
    ["labels", integers(labels)],
    ["ids", integers(Int32Array.from({ length: samples }, (_, i) => firstId + i))],
    ["macs", floats([200, 300, 400].slice(0, exits), [exits])],
  ]);
  writeFileSync(file(name), bytes);
  return file(name);
}

test("a file is the table that was saved, and npz is the same", () => {
  const table = randomTable(30, 2, 3);
  const path = save("small.safetensors", table, 0);
  const read = readLogits(path);
  assert.equal(Float32Array.from(read.read(3, 4)), Float32Array.from(table.read(3, 4)));
  assert.equal(read.labels, table.labels);
  assert.equal([...read.costs], [2 / 3, 1]);
  assert.equal(read.ids?.slice(0, 2), [0, 1]);
  const arrays = new Map([
    ["logits", { shape: [30, 2, 3], data: Float64Array.from(table.read(0, 30)) }],
    ["labels", { shape: [30], data: table.labels }],
  ]);
  writeFileSync(file("small.npz"), encodeNpz(arrays));
  assert.equal(readLogits(file("small.npz")).read(0, 30), Float64Array.from(table.read(0, 30)));
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
  assert.ok(lines.some((line) => line.startsWith("policy: accuracy ")));
  const all = JSON.parse(readFileSync(file("all.json"), "utf8")) as { policy: { exits: number[] } };
  assert.is(all.policy.exits.length, 1500);

  assert.is(await runReport([fresh, "--policy", policy, "--out", file("report.html")], print), 0);
  const page = readFileSync(file("report.html"), "utf8");
  assert.ok(page.includes("This assumes that calibration and future samples are independent draws"));
  assert.ok(!page.includes("NaN") && !page.includes("<script"));
});

test("nothing to certify: exit code 2, and the policy file stays a refusal", () => {
  const path = save("few.safetensors", randomTable(40, 2, 4), 0);
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
  assert.is(lines.at(-1), "the policy refuses: every sample runs the full network");
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

test("bad flags and files are named", async () => {
  const path = save("flags.safetensors", randomTable(20, 2, 3), 0);
  const fails = (args: readonly string[], message: string) =>
    failsWith(() => runCalibrate(args, () => {}), "Error", message);
  await fails([], "calibrate: one logits file must be given; got 0.");
  await fails([path, "--alpha", "much"], 'calibrate: --alpha must be a number; got "much".');
  await fails([path, "--method", "magic"], 'calibrate: --method must be one of ltt, crc, ucb; got "magic".');
  await fails(
    [path, "--scale", "temperature"],
    "calibrate: --scale needs --validation; got none. Scaling must not be fitted on calibration samples.",
  );
  await failsWith(
    () => runCalibrate([path, "--alpha", "1.5"], () => {}),
    "CalibrationError",
    "learnThenTest: alpha must lie strictly between 0 and 1; got 1.5.",
  );
  await failsWith(
    () => runCalibrate([path, "--validation", path], () => {}),
    "CalibrationError",
    "learnThenTest: calibration and validation samples must differ; got 20 shared ids (first: 0). " +
      "A guarantee holds only for samples that were not used to choose the thresholds.",
  );
  writeFileSync(file("text.safetensors"), "not a safetensors file at all");
  await failsWith(
    () => readLogits(file("text.safetensors")),
    "Error",
    `${file("text.safetensors")}: is not a safetensors file.`,
  );
  writeFileSync(file("cut.safetensors"), readFileSync(path).subarray(0, 900));
  await failsWith(
    () => readLogits(file("cut.safetensors")),
    "Error",
    `${file("cut.safetensors")}: array "logits" is cut off.`,
  );
  await failsWith(
    () => decodePolicy('{"format":"other"}'),
    "CalibrationError",
    "decodePolicy: the file must be a sortie-policy; got other.",
  );
});

test("main lists its commands, and turns errors into one line and exit code 1", async () => {
  const lines: string[] = [];
  const print = (line: string) => lines.push(line);
  assert.is(await main([], print), 0);
  for (const name of ["calibrate", "evaluate", "report"]) assert.ok(lines[0]!.includes(`sortie ${name} `), name);
  assert.is(await main(["juggle"], print), 1);
  assert.is(await main(["evaluate", "--help"], print), 0);
  assert.ok(lines.at(-1)!.includes("--policy FILE"));
  assert.is(await main(["evaluate", file("absent.safetensors")], print), 1);
  assert.ok(lines.at(-1)!.includes("absent.safetensors"));
});
