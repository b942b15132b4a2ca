// `npm run agreement`: whether a run's policy decides alike wherever it runs, on 10,000 images: on the cached logits,
// in the classifier of the model file, on WebGPU and by WASM, and by each runner of the ONNX export; for every score
// that runs on devices, thresholds by class, learned gates and ensembles. What ONNX has no form of must be refused by
// the export and by WASM. And whether onnxruntime's logits are the cached ones. Fashion-MNIST where ../shared/data has
// it, else glyphs; a short training first. Usage: npm run agreement -- [--images N] [--train N] [--data-dir DIR];
// SORTIE_PYTHON names a Python with numpy and onnxruntime.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compareAnswers, decidedBy, findings, loadData, RunFolder } from "../../cli/index.ts";
import { main } from "../../cli/main.ts";
import { load } from "../../exits/index.ts";
import { lackOfPython } from "../python.ts";
import { type Answers, byPython, byTriton, byTypeScript, logitsOf, type Pixels } from "./runners.ts";

const SHARED = fileURLToPath(new URL("../../../shared/data/fashion-mnist", import.meta.url));
const { values } = parseArgs({
  options: {
    images: { type: "string", default: "10000" },
    train: { type: "string", default: "8192" },
    "data-dir": { type: "string", default: SHARED },
  },
});

/** By the flags of `sortie calibrate`. What is promised does not matter here; that images leave at all exits does. */
const POLICIES = [
  ...["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"].map((score) => {
    return ["--score", score, "--method", "budget", "--cost", "0.6"];
  }),
  ["--control", "predictedClass", "--alpha", "0.4"],
];

/** Runs of methods whose heads say more than logits, or look at each other: WebGPU alone runs these. */
const OF_WEBGPU = [
  {
    method: "jei-dnn",
    flags: ["--score", "confidence", "--method", "budget", "--cost", "0.6"],
    why: /confidence of heads/,
  },
  { method: "ztw", flags: ["--method", "budget", "--cost", "0.6"], why: /own features alone/ },
];

const pythonFault = lackOfPython(["numpy", "onnxruntime"]);
const out = mkdtempSync(join(tmpdir(), "sortie-agreement-"));
const dir = join(out, "run");
const isReal = existsSync(values["data-dir"]);
const data = isReal ? ["--data", "fashion-mnist", "--data-dir", values["data-dir"]] : [];
let faults = 0;

/** A command of sortie, which must not fail; what it printed. */
async function sortie(allowed: readonly number[], ...args: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line));
  if (!allowed.includes(code)) throw new Error(`sortie ${args.join(" ")}: ${lines.join("\n")}`);
  return lines.join("\n");
}

function report(what: string, isFine: boolean, found: string): void {
  if (!isFine) faults += 1;
  console.log(`${isFine ? "ok  " : "FAIL"}  ${what.padEnd(46)} ${found}`);
}

const file = join(out, "model.sortie.safetensors");

/** One policy, everywhere it can run. */
async function agreement(flags: readonly string[], pixels: Pixels): Promise<void> {
  await sortie([0], "calibrate", dir, ...flags);
  const target = join(out, "onnx");
  await sortie([0], "export", dir, file, "--force");
  await sortie([0], "export", dir, target, "--format", "onnx", "--force");
  using classifier = await load(file, { batch: 128 });
  using wasm = await load(file, { batch: 128, runtime: "wasm" });
  await compare(dir, flags, [
    ["model file", () => classifier.classify(pixels.images)],
    ["model file, wasm", () => wasm.classify(pixels.images)],
    ["cascade.ts", () => byTypeScript(target, pixels)],
    ...(pythonFault === undefined
      ? [
          ["cascade.py", () => byPython(target, pixels, out)] as const,
          ["triton", () => byTriton(target, pixels, join(out, "work"))] as const,
        ]
      : []),
  ]);
}

/** A run whose policy WebGPU alone can run: it does, and the others refuse. */
async function onWebGpu({ method, flags, why }: (typeof OF_WEBGPU)[number], pixels: Pixels): Promise<void> {
  const run = join(out, method);
  await sortie([0], "train", ...shared, "--method", method, "--name", method);
  await sortie([0], "calibrate", run, ...flags);
  await sortie([0], "export", run, file, "--force");
  using classifier = await load(file, { batch: 128 });
  await compare(run, [method, ...flags], [["model file", () => classifier.classify(pixels.images)]]);
  const refusals = [
    ["onnx", await sortie([1], "export", run, join(out, `${method}-onnx`), "--format", "onnx")],
    ["wasm", await load(file, { runtime: "wasm" }).then(() => "it runs", String)],
  ] as const;
  for (const [name, text] of refusals) report(`${method}: ${name} refuses`, why.test(text), text);
}

type Runner = readonly [name: string, run: () => Promise<Answers> | Answers];

/** What runners answer against the cached logits of a run and its policy. */
async function compare(run: string, flags: readonly string[], runners: readonly Runner[]): Promise<void> {
  const found = findings(run, undefined);
  const { result } = found.file!;
  if (!result.ok || !found.policy) throw new Error(`agreement: ${flags.join(" ")} must certify something; it refuses.`);
  const { exits } = found.policy;
  const shares = [0, 1, 2].map((j) => exits.filter((exit) => exit === j).length);
  for (const [name, answer] of runners) {
    const answers = await answer();
    const got = { classes: Int32Array.from(answers.classes), exits: Int32Array.from(answers.exits) };
    const { samples, withinRounding, differing, first } = compareAnswers(decidedBy(found), got);
    const counts = `${samples} images (${shares.join(" / ")}), ${differing} differ, ${withinRounding} within rounding`;
    report(`${flags.join(" ")}: ${name}`, differing === 0, first ? `${counts}; ${first}` : counts);
  }
}

const sizes = ["--data.train", values.train, ...(isReal ? [] : ["--data.test", values.images])];
const short = ["--epochs", "1", "--batch", "64", "--train.warmup", "20", "--model.widths", "8,16,32"];
/** How every run is trained. */
const shared = [...data, ...sizes, ...short, "--out", out];

try {
  await sortie([0], "train", ...shared, "--name", "run");
  const { test: stored } = await loadData(RunFolder.at(dir)!.config(), () => {});
  const test = { ...stored, images: stored.images.subarray(0, stored.images.length) };
  console.log(`${test.size} images of ${test.meta.name}; Python: ${pythonFault ?? "runs"}`);
  for (const flags of POLICIES) await agreement(flags, test);
  for (const each of OF_WEBGPU) await onWebGpu(each, test);
  const cached = findings(dir, undefined).raw;
  const got = await logitsOf(readFileSync(join(out, "onnx", "network.onnx")), join(out, "onnx"), test);
  const want = cached.read(0, cached.samples);
  let most = 0;
  for (const [i, value] of got.entries()) most = Math.max(most, Math.abs(value - want[i]!) / (1 + Math.abs(want[i]!)));
  report(
    "network.onnx",
    most < 1e-4,
    `${got.length} logits, at most ${most.toExponential(1)} apart, relative to 1 + |logit|`,
  );
} finally {
  rmSync(out, { recursive: true });
}
process.exitCode = faults > 0 ? 1 : 0;
