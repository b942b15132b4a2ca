// The commands calibrate, evaluate and report on files as PyTorch and NumPy write them, and policy files.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { zipSync } from "fflate";
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
import { encodeNpz } from "../../data/index.ts";
import { randomTable } from "../calibration/tables.ts";
import { assert, errorOf, failsWith, suite } from "../harness.ts";
import { saveTable } from "./synthetic-run.ts";

const test = suite("calibration commands");
const folder = mkdtempSync(join(tmpdir(), "sortie-cli-"));
const file = (name: string) => join(folder, name);
test.after(() => rmSync(folder, { recursive: true }));

/** A table with ids that count from `firstId`. */
function save(name: string, table: Table, firstId: number): string {
  saveTable(
    file(name),
    table,
    Int32Array.from({ length: table.samples }, (_, i) => firstId + i),
  );
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

test("a file of logits that is missing or damaged is named, with what it must be", async () => {
  const refuses = (name: string, message: string) =>
    failsWith(() => readLogits(file(name)), "SortieError", file(name) + message);
  const isDamaged = (got: string) =>
    failsWith(
      () => readLogits(file("bad.npz")),
      "DataError",
      `${file("bad.npz")}: must be an intact npz archive; got ${got}.`,
    );
  /** A file with this header and 4 bytes of data. */
  const header = (text: string) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    writeFileSync(file("h.safetensors"), Buffer.concat([length, Buffer.from(text), Buffer.alloc(4)]));
  };
  await refuses("none.safetensors", " must be a readable file; got ENOENT.");
  await refuses("none.npz", " must be a readable file; got ENOENT.");
  await failsWith(() => readLogits(folder), "SortieError", `${folder} must be a readable file; got a folder.`);
  header("{ damaged");
  await refuses("h.safetensors", ": the header must be a JSON object; got a text that is none.");
  header("[1, 2]");
  await refuses("h.safetensors", ": the header must be a JSON object; got [1, 2].");
  header('{"logits": {"dtype": "F32"}}');
  const parts = "must have dtype, shape and data_offsets";
  await refuses("h.safetensors", `: array "logits" ${parts}; got {"dtype":"F32"}.`);
  header('{"logits": null}');
  await refuses("h.safetensors", `: array "logits" ${parts}; got null.`);
  header('{"logits": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}');
  await refuses("h.safetensors", `: array "logits" ${parts}; got {"dtype":"F32","shape":[-1],"data_offsets":[0,4]}.`);
  header('{"logits": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}');
  await refuses("h.safetensors", ': the file must hold numbers "labels"; got logits.');
  const archive = zipSync({ "logits.npy": new Uint8Array(50) });
  const view = new DataView(archive.buffer);
  const [bytes, begin] = [view.getUint32(archive.length - 10, true), view.getUint32(archive.length - 6, true)];
  view.setUint16(begin + 28, 0xffff, true);
  writeFileSync(file("bad.npz"), archive);
  await isDamaged("a damaged zip directory");
  view.setUint32(archive.length - 6, 0xffffff, true);
  writeFileSync(file("bad.npz"), archive);
  await isDamaged(`a directory that leads ${bytes} bytes from ${0xffffff}, of ${archive.length}`);
  const packed = zipSync({ "logits.npy": new Uint8Array(5000) }, { level: 6 });
  packed.fill(0xff, 40, 50);
  writeFileSync(file("bad.npz"), packed);
  const { message } = await errorOf(() => readLogits(file("bad.npz")));
  assert.ok(message.startsWith(`${file("bad.npz")}/logits.npy: the packed data must be intact; got "`), message);
});

/** An npy file as NumPy writes it. */
function npy(descr: string, shape: string, data: Uint8Array): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }`.padEnd(117, " ");
  return Buffer.concat([Buffer.from("\x93NUMPY\x01\x00\x76\x00", "latin1"), Buffer.from(`${header}\n`), data]);
}

test("np.savez without compression is read in place: half precision, small integers, text ids", async () => {
  const bytes = (values: ArrayBufferView) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const ids = Uint32Array.from([..."a1", ..."b"].map((c) => c.codePointAt(0)!).concat(0));
  const archive = (logits: Uint8Array) => ({
    "logits.npy": logits,
    "labels.npy": npy("|u1", "(2,)", Uint8Array.of(0, 1)),
    "ids.npy": npy("<U2", "(2,)", bytes(ids)),
    // Nobody asks for it.
    "extra.npy": npy("<c8", "(1,)", new Uint8Array(8)),
  });
  const halves = npy("<f2", "(2, 1, 2)", bytes(Uint16Array.of(0x3c00, 0xc000, 0x3555, 0x0001)));
  for (const level of [0, 6] as const) {
    writeFileSync(file("half.npz"), zipSync(archive(halves), { level }));
    const table = readLogits(file("half.npz"));
    assert.equal([...table.read(0, 2)], [1, -2, 0.333251953125, 2 ** -24]);
    assert.equal(
      [[...table.labels], table.ids],
      [
        [0, 1],
        ["a1", "b"],
      ],
    );
  }
  const refuses = (logits: Uint8Array, message: string, kind = "SortieError") => {
    writeFileSync(file("bad.npz"), zipSync(archive(logits), { level: 0 }));
    return failsWith(() => readLogits(file("bad.npz")), kind, `${file("bad.npz")}/logits.npy: ${message}`);
  };
  await refuses(
    npy(">f4", "(1, 1, 1)", new Uint8Array(4)),
    'the type must be a little-endian number or text; got ">f4".',
  );
  await refuses(npy("<f4", "(2, 1, 2)", new Uint8Array(4)), "[2, 1, 2] of <f4 must have 16 bytes; got 4.");
  await refuses(new Uint8Array(4), 'the file must begin with the npy magic; got "????".', "DataError");
  writeFileSync(file("bad.npz"), "no archive");
  await failsWith(
    () => readLogits(file("bad.npz")),
    "DataError",
    `${file("bad.npz")}: must be an intact npz archive; got a file without a zip directory.`,
  );
});

test("a small npz whose header promises much ends no process", async () => {
  const labels = npy("|u1", "(2,)", Uint8Array.of(0, 1));
  const logits = npy("<f4", "(2, 1, 2)", new Uint8Array(16));
  const refuses = async (arrays: Record<string, Uint8Array>, message: string, kind = "DataError") => {
    writeFileSync(file("lies.npz"), zipSync({ "labels.npy": labels, "logits.npy": logits, ...arrays }));
    await failsWith(() => readLogits(file("lies.npz")), kind, `${file("lies.npz")}/${message}`);
  };
  const shape = "the shape must be a list of non-negative integers; got";
  await refuses(
    { "ids.npy": npy("<U0", "(300000000,)", new Uint8Array(0)) },
    'ids.npy: a value must take a byte at least; got "<U0".',
  );
  await refuses({ "logits.npy": npy("<f4", "(-2, 1, -2)", new Uint8Array(16)) }, `logits.npy: ${shape} (-2, 1, -2).`);
  await refuses({ "labels.npy": npy("|u1", "(0.5, 4)", new Uint8Array(2)) }, `labels.npy: ${shape} (0.5, 4).`);
  const text = new Uint8Array(Uint32Array.of(0x110000, 65).buffer);
  await refuses(
    { "ids.npy": npy("<U1", "(2,)", text) },
    "ids.npy: texts must be of Unicode characters; got the number 1114112.",
    "SortieError",
  );
  writeFileSync(file("deep.safetensors"), deepHeader());
  const { message } = await errorOf(() => readLogits(file("deep.safetensors")));
  assert.is(
    message,
    `${file("deep.safetensors")}: array "x" must have dtype, shape and data_offsets; got {"dtype":"..."}.`,
  );
});

/** A header nested deeper than the stack of JSON.stringify. */
function deepHeader(): Buffer {
  const header = Buffer.from(`{"x": {"dtype": ${"[".repeat(200_000)}${"]".repeat(200_000)}}}`);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header]);
}

test("every dtype is read without a call per value: halves and doubles as float32", () => {
  const count = 2 ** 16;
  const arrays: readonly (readonly [descr: string, data: ArrayBufferView, expected: ArrayLike<number>])[] = [
    ["<f4", Float32Array.from({ length: count }, (_, i) => i / 7), [0, 1 / 7]],
    ["<f8", Float64Array.from({ length: count }, (_, i) => i / 7), [0, 1 / 7]],
    ["<f2", Uint16Array.from({ length: count }, (_, i) => 0x3c00 + (i % 1000)), [1, 1 + 2 ** -10]],
  ];
  const calls = { getFloat32: 0, getFloat64: 0, getUint16: 0 };
  const names = Object.keys(calls) as (keyof typeof calls)[];
  const own = names.map((name) => [name, DataView.prototype[name]] as const);
  for (const [name, fn] of own) {
    DataView.prototype[name] = function (this: DataView, ...args: [number, boolean?]) {
      calls[name]++;
      return fn.apply(this, args);
    };
  }
  try {
    for (const [descr, data, expected] of arrays) {
      const labels = npy("|u1", "(2,)", Uint8Array.of(0, 1));
      const logits = npy(descr, `(2, 1, ${count / 2})`, new Uint8Array(data.buffer));
      writeFileSync(file("t.npz"), zipSync({ "labels.npy": labels, "logits.npy": logits }, { level: 0 }));
      const rows = readLogits(file("t.npz")).read(0, 2);
      for (const [i, value] of Array.from(expected).entries()) assert.ok(Math.abs(rows[i]! - value) < 1e-7, descr);
    }
  } finally {
    for (const [name, fn] of own) Object.assign(DataView.prototype, { [name]: fn });
  }
  // Headers are read by some calls; values, 196,608 of them, by none.
  assert.ok(
    Object.values(calls).every((n) => n < 1000),
    JSON.stringify(calls),
  );
});

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
  assert.match(lines.at(-2)!, /^Nothing is promised, and no sample should leave early\. Learn then test /);
  assert.match(lines.at(-1)!, /^the policy refuses: every sample runs the full network \(accuracy \d\d\.\d %\)$/);
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

test("bad flags and files are named", async () => {
  const path = save("flags.safetensors", randomTable(20, 2, 3), 0);
  const fails = (args: readonly string[], message: string) =>
    failsWith(() => runCalibrate(args, () => {}), "SortieError", message);
  await fails([], "calibrate: one logits file or one folder of a run must be given; got 0.");
  await fails([path, "--alpha", "much"], 'calibrate: --alpha must be a number; got "much".');
  await fails([path, "--seed", "0.5"], "calibrate: --seed must be a whole number of at least 0; got 0.5.");
  await failsWith(
    () => runEvaluate([path, "--resamples=-1"], () => {}),
    "SortieError",
    "evaluate: --resamples must be a whole number of at least 0; got -1.",
  );
  await fails([path, "--method", "magic"], 'calibrate: --method must be one of ltt, crc, ucb, budget; got "magic".');
  await fails([path, "--loss", "disagreement"], "calibrate: --loss goes with --method crc or ucb; got --method ltt.");
  await fails(
    [path, "--scale", "temperature"],
    "calibrate: --scale needs --validation; got none. Scaling must not be fitted on calibration samples.",
  );
  await failsWith(
    () => runCalibrate([path, "--alpha", "1.5"], () => {}),
    "SortieError",
    "calibrate: --alpha must be between 0 and 1; got 1.5.",
  );
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
    const known = "run, train, calibrate, evaluate, report, export, methods, data, doctor";
    assert.equal(faults, [`sortie: unknown command "${name}". The commands are ${known}.`]);
  }
  assert.is(await main(["evaluate", "--help"], print), 0);
  assert.ok(lines.at(-1)!.includes("--policy FILE"));
  assert.is(await main(["evaluate", file("absent.safetensors")], print), 1);
  assert.ok(lines.at(-1)!.includes("absent.safetensors"));
});
