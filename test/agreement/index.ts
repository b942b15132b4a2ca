// `npm run agreement`: whether a run's policy decides alike wherever it runs, on 10,000 images: on the cached logits,
// in the classifier of the model file, and by each runner of the ONNX export; for every score that runs on devices, and
// thresholds by class. And whether onnxruntime's logits are the cached ones. Fashion-MNIST where ../shared/data has it,
// else glyphs; a short training first. Usage: npm run agreement -- [--images N] [--train N] [--data-dir DIR];
// SORTIE_PYTHON names a Python with numpy and onnxruntime.

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compareAnswers, findings, loadData, RunFolder } from "../../cli/index.ts";
import { main } from "../../cli/main.ts";
import { load } from "../../exits/index.ts";
import { byPython, byTriton, byTypeScript, logitsOf, type Pixels, pythonFault } from "./runners.ts";

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

const out = mkdtempSync(join(tmpdir(), "sortie-agreement-"));
const dir = join(out, "run");
const isReal = existsSync(values["data-dir"]);
const data = isReal ? ["--data", "fashion-mnist", "--data-dir", values["data-dir"]] : [];
let faults = 0;

/** A command of sortie, which must not fail; what it printed. */
async function sortie(allowed: readonly number[], ...args: readonly string[]): Promise<void> {
  const lines: string[] = [];
  const code = await main(args, (line) => lines.push(line));
  if (!allowed.includes(code)) throw new Error(`sortie ${args.join(" ")}: ${lines.join("\n")}`);
}

function report(what: string, isFine: boolean, found: string): void {
  if (!isFine) faults += 1;
  console.log(`${isFine ? "ok  " : "FAIL"}  ${what.padEnd(46)} ${found}`);
}

/** One policy, everywhere it can run. */
async function agreement(flags: readonly string[], pixels: Pixels): Promise<void> {
  await sortie([0], "calibrate", dir, ...flags);
  const target = join(out, "onnx");
  const file = join(out, "model.sortie.safetensors");
  await sortie([0], "export", dir, file, "--force");
  await sortie([0], "export", dir, target, "--format", "onnx", "--force");
  const found = findings(dir, undefined);
  const { result } = found.file!;
  if (!result.ok || !found.policy) throw new Error(`agreement: ${flags.join(" ")} must certify something; it refuses.`);
  const { exits } = found.policy;
  using classifier = await load(file, { batch: 128 });
  const runners = [
    ["model file", () => classifier.classify(pixels.images)],
    ["cascade.ts", () => byTypeScript(target, pixels)],
    ...(pythonFault() === undefined
      ? [
          ["cascade.py", () => byPython(target, pixels, out)] as const,
          ["triton", () => byTriton(target, pixels, join(out, "work"))] as const,
        ]
      : []),
  ] as const;
  const shares = [0, 1, 2].map((j) => exits.filter((exit) => exit === j).length);
  for (const [name, run] of runners) {
    const answers = await run();
    const got = { classes: Int32Array.from(answers.classes), exits: Int32Array.from(answers.exits) };
    const { samples, withinRounding, differing, first } = compareAnswers(
      { ...found, exits, thresholds: result.thresholds },
      got,
    );
    const counts = `${samples} images (${shares.join(" / ")}), ${differing} differ, ${withinRounding} within rounding`;
    report(`${flags.join(" ")}: ${name}`, differing === 0, first ? `${counts}; ${first}` : counts);
  }
}

try {
  const sizes = ["--data.train", values.train, ...(isReal ? [] : ["--data.test", values.images])];
  const short = ["--epochs", "1", "--batch", "64", "--train.warmup", "20", "--model.widths", "8,16,32"];
  await sortie([0], "train", ...data, ...sizes, ...short, "--out", out, "--name", "run");
  const { test: stored } = await loadData(RunFolder.at(dir)!.config(), () => {});
  const test = { ...stored, images: stored.images.subarray(0, stored.images.length) };
  console.log(`${test.size} images of ${test.meta.name}; Python: ${pythonFault() ?? "runs"}`);
  for (const flags of POLICIES) await agreement(flags, test);
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
