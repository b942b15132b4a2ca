// `sortie export`: a run as one file to hand over, checked by loading it before anything is written.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { defined, json, messageOf, type OptionValues, option, SortieError } from "../../base/index.ts";
import type { PolicyFile } from "../../calibration/index.ts";
import { createDevice, type Device } from "../../engine/index.ts";
import {
  CLASSIFY_BATCH,
  checkpointRun,
  encodeModel,
  load,
  loadRecorded,
  loadWeights,
  type ModelAbout,
  type ModelRecord,
  type ModelSource,
  networkOf,
  RUN_FILES,
  readModel,
  recordModel,
  weightsDigest,
} from "../../exits/index.ts";
import { checkOutput } from "../files/outputs.ts";
import { readPolicy } from "../files/policy-file.ts";
import { RunFolder } from "../files/run-folder.ts";
import { writeWhole } from "../files/whole.ts";
import { checkOnnxTarget, runnerExtension, writeOnnx } from "../onnx/write.ts";
import { type CommandSpec, flagOf, path, readCommand } from "../settings/command.ts";
import { withoutPaths } from "../settings/contents.ts";
import type { Print } from "../settings/flags.ts";
import { makeNetwork } from "../settings/model.ts";

export const exportSpec = {
  name: "export",
  usage: "RUN | FILE [TARGET] [flags]",
  paths: { least: 1, most: 2, must: "a run or a model file, and at most one target," },
  about: `Writes a run as one safetensors file: weights, what the network is, how images are prepared, names of the classes,
scaling, thresholds, what is promised, how it was trained and calibrated, and a checksum over all of it. In a script or
a page

  const classifier = await load("model.sortie.safetensors"); // of sortie/exits; in a page its address

answers as the run's network deployed with its policy. TARGET is by default model.sortie.safetensors in the run's folder.

With --format recorded it writes what the GPU does instead: every launch, the texts of its kernels, the weights as they
are prepared, by default model.recorded.safetensors in the run's folder. A page that answers by it,

  const classifier = await loadRecorded("model.recorded.safetensors");

loads a fifth of the code of load, and nothing is traced there. It needs WebGPU; batches are of up to --batch images, and
nothing is tuned to the reader's adapter.

With --format onnx it writes a folder, by default onnx in the run's folder: network.onnx with the logits of all exits;
stage1.onnx and so on, one for each exit, from the features in front of it; cascade.json, which says how exits decide;
policy.json, if there is a policy; and what runs these elsewhere: cascade.py (numpy, onnxruntime), cascade.${runnerExtension()} (onnxruntime-node or
onnxruntime-web), and triton, a model repository for Triton. They answer as the run's network deployed with its policy,
up to rounding.

Of a model file it makes these two too: --format onnx or recorded with a TARGET.`,
  flags: {
    format: option.choice(["safetensors", "recorded", "onnx"], "what is written"),
    batch: CLASSIFY_BATCH,
    policy: path("another policy than the run's own"),
    noPolicy: option.toggle(false, "without one: every image runs to the last exit"),
    weights: option.choice(
      ["last", "best"],
      "which weights (default: those that the policy was calibrated on; without a policy, last)",
      { default: undefined },
    ),
    force: option.toggle(false, "replace what is at TARGET: a file, or a folder that an earlier export wrote"),
  },
  more: `Exit code 0: written; a model file was loaded again before. 1: bad input; then nothing is written.

  sortie export runs/glyphs-soft-cgt-1
  sortie export runs/glyphs-soft-cgt-1 model.sortie.safetensors --force
  sortie export runs/glyphs-soft-cgt-1 glyphs.recorded.safetensors --format recorded
  sortie export runs/glyphs-soft-cgt-1 glyphs-onnx --format onnx
`,
} satisfies CommandSpec;

type Flags = OptionValues<typeof exportSpec.flags>;

/** Runs the command; returns the exit code. @throws SortieError for bad input. */
export async function runExport(args: readonly string[], print: Print = console.log): Promise<number> {
  const asked = readCommand(exportSpec, args, print);
  if (!asked) return 0;
  const { values, positionals } = asked;
  if (values.noPolicy && values.policy !== undefined)
    throw new SortieError("export: --policy and --no-policy exclude each other; got both.");
  const { format = "safetensors" } = values;
  if (asked.given.batch !== undefined && format !== "recorded")
    throw new SortieError(`export: --batch goes with --format recorded; got ${format}.`);
  if (format !== "safetensors" && isFile(positionals[0])) return exportFile(positionals, asked, print);
  const { folder, target } = placesOf(positionals, format);
  checkOutput("export", "FILE", target, [values.policy, folder.path("policy"), ...folder.sources()]);
  checkFree(target, values);
  if (format === "onnx") checkOnnxTarget(target);
  const policy = values.noPolicy ? undefined : policyOf(folder, values.policy);
  const device = await createDevice();
  try {
    const { net, about, which } = await gather({ folder, policy, weights: values.weights }, device);
    const bytes = await encodeModel(net, about);
    // What a reader would refuse is refused here.
    const classifier = await load(bytes, { device });
    const { model } = classifier;
    classifier.dispose();
    let written = bytes.length;
    if (format === "onnx") written = await writeOnnx(target, net, model);
    else if (format === "recorded") ({ written } = await writeRecorded(target, bytes, { values, device }));
    else writeWhole(target, bytes);
    for (const line of summary(model, which)) print(line);
    print(`wrote ${target}: ${(written / 1e6).toFixed(2)} MB`);
    return 0;
  } finally {
    device.dispose();
  }
}

interface Site {
  readonly values: Flags;
  readonly device: Device;
}

/** How many bytes were written, and what the model promises. */
interface Written {
  readonly written: number;
  readonly guarantee: string;
}

/** Writes what is recorded of a model file, opened once before. */
async function writeRecorded(target: string, model: ModelSource, { values, device }: Site): Promise<Written> {
  const bytes = await recordModel(model, { batch: values.batch });
  using classifier = await loadRecorded(bytes, { device });
  writeWhole(target, bytes);
  return { written: bytes.length, guarantee: classifier.model.guarantee };
}

/** Writes the ONNX folder of a model file. */
async function writeOnnxOf(target: string, model: ModelSource, { device }: Site): Promise<Written> {
  const file = await readModel(model);
  const { guarantee } = file.record;
  return { written: await writeOnnx(target, networkOf(file, device), file.record), guarantee };
}

const isFile = (path: string | undefined): path is string =>
  path !== undefined && statSync(path, { throwIfNoEntry: false })?.isFile() === true;

function checkFree(target: string, { force }: Flags): void {
  if (!force && existsSync(target))
    throw new SortieError(`export: ${target} must not exist; it does. Choose another name, or replace it by --force.`);
}

/** What is made of a model file, which says all there is to say: what is recorded of it, or its ONNX folder. */
async function exportFile(
  [source, target]: readonly string[],
  { given, values }: { readonly given: Partial<Flags>; readonly values: Flags },
  print: Print,
): Promise<number> {
  const isOnnx = values.format === "onnx";
  if (source === undefined || target === undefined) {
    const made = isOnnx ? "the ONNX folder" : "what is recorded";
    throw new SortieError(`export: a target must be given for ${made} of a model file; got none.`);
  }
  const stray = (["policy", "noPolicy", "weights"] as const).find((flag) => given[flag] !== undefined);
  if (stray !== undefined)
    throw new SortieError(`export: --${flagOf(stray)} goes with the folder of a run; got a model file.`);
  checkOutput("export", "FILE", target, [source]);
  checkFree(target, values);
  if (isOnnx) checkOnnxTarget(target);
  const device = await createDevice();
  try {
    const write = isOnnx ? writeOnnxOf : writeRecorded;
    const { written, guarantee } = await write(target, source, { values, device });
    print(guarantee);
    print(`wrote ${target}: ${(written / 1e6).toFixed(2)} MB`);
    return 0;
  } finally {
    device.dispose();
  }
}

function placesOf(
  [run = "", target]: readonly string[],
  format: NonNullable<Flags["format"]>,
): { readonly folder: RunFolder; readonly target: string } {
  const folder = RunFolder.at(run);
  const name = ({ safetensors: "model", recorded: "recorded", onnx: "onnx" } as const)[format];
  if (folder) return { folder, target: target ?? folder.path(name) };
  throw new SortieError(`export: ${run} must be the folder of a run; it is no folder. Make one by sortie train.`);
}

function policyOf(folder: RunFolder, given: string | undefined): PolicyFile | undefined {
  if (given !== undefined) return readPolicy(given);
  return existsSync(folder.path("policy")) ? readPolicy(folder.path("policy")) : undefined;
}

type Which = NonNullable<Flags["weights"]>;

interface Wanted {
  readonly folder: RunFolder;
  readonly policy: PolicyFile | undefined;
  readonly weights: Which | undefined;
}

async function gather({ folder, policy, weights }: Wanted, device: Device) {
  const [config, record] = [folder.config(), folder.record()];
  const paths = { last: join(folder.dir, RUN_FILES.last), best: join(folder.dir, RUN_FILES.best) };
  if (!existsSync(paths.last))
    throw new SortieError(
      `export: ${paths.last} must exist; training has not come so far. Run the same sortie train again.`,
    );
  const { shape, mean, std } = imagesOf(await checkpointRun(paths.last), paths.last);
  const net = makeNetwork(config, { train: { shape, classes: record.classes } }, device);
  // A policy that refuses says of which weights, and stands in the file for these alone.
  const own = policy?.result.origin?.weights;
  const candidates: readonly Which[] = weights ? [weights] : own === undefined ? ["last"] : ["last", "best"];
  let chosen: Which | undefined;
  for (const which of candidates) {
    if (!existsSync(paths[which])) continue;
    await loadWeights(paths[which], net.state());
    chosen = which;
    if (own === undefined || own === (await weightsDigest(net.state().values()))) break;
    chosen = undefined;
  }
  if (chosen === undefined) {
    const tried = candidates.map((which) => paths[which]).join(" and ");
    throw new SortieError(
      `export: the policy must be of these weights; ${tried} hold others than it was calibrated on. Calibrate again, or say --no-policy.`,
    );
  }
  const { made, protocol, samples, parameters, started, finished } = record;
  const { download: _, ...data } = withoutPaths(config, "data");
  const { seed, model, method } = config;
  const { fit, filter, keep } = config.data;
  const about: ModelAbout = {
    classes: record.classes,
    normalise: { mean, std },
    fit: defined({ fit, filter, keep }),
    ...(policy && { policy }),
    training: {
      ...{ made, protocol, samples, parameters, started, finished, weights: chosen },
      settings: { seed, data, model, method, train: withoutPaths(config, "train") },
    },
  };
  return { net, about, which: chosen };
}

interface TrainedOn {
  readonly shape: readonly [number, number, number];
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** What a checkpoint says of the images it was trained on. */
function imagesOf(run: json.Json, path: string): TrainedOn {
  const numbers = json.filled(json.finite);
  try {
    return json.parts(run["data"], "data", {
      shape: json.filled(json.count),
      mean: numbers,
      std: numbers,
    }) as unknown as TrainedOn;
  } catch (cause) {
    throw new SortieError(`export: ${path} must say what it was trained on; ${messageOf(cause)}`, { cause });
  }
}

function summary({ architecture, classes, exits, guarantee, policy }: ModelRecord, which: Which): readonly string[] {
  const never =
    policy === undefined
      ? "There are no thresholds: nothing leaves early. sortie calibrate RUN finds some."
      : "The policy certifies nothing: nothing leaves early.";
  return [
    `${architecture.backbone}, the ${which} weights; exits after ${exits.map(({ stage }) => stage).join(", ")}; ${classes.length} classes`,
    guarantee,
    ...(policy?.result.ok ? [] : [never]),
  ];
}
