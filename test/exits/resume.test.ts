// What a run survives: an interruption, being killed, a lost device; and the folders that it refuses to go on from.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createDevice, readSafetensors } from "../../engine/index.ts";
import {
  buildNetwork,
  type CheckpointStore,
  type MetricsRow,
  type MultiExit,
  multiExit,
  type Progress,
  safeKd,
  softCgt,
  type TrainingPlan,
  type TrainOptions,
  train,
} from "../../exits/index.ts";
import { writeSealed } from "../../exits/run/seal.ts";
import { resnet } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";
import { barSplits, blends, joint, quiet, smallNet, weightsAfter } from "./small.ts";

const folder = mkdtempSync(join(tmpdir(), "sortie-resume-"));
const test = gpuSuite("exits: resumed training", { timeout: 120_000 });
test.after(() => rmSync(folder, { recursive: true }));

test("an abort leaves a checkpoint, and the run goes on from it", async () => {
  const method = softCgt.with({ kappa: 10 });
  const options = { method, flip: 0.5, logEvery: 1 };
  const undisturbed = await weightsAfter(options);
  const dir = join(folder, "abort");
  const stop = new AbortController();
  const report = (event: Progress) => {
    if (event.kind === "train" && event.step === 3) stop.abort();
  };
  const net = smallNet();
  await failsWith(
    () => train(net, barSplits(), { ...quiet, ...options, dir, report, signal: stop.signal }),
    "TrainingError",
    `train: it was stopped at step 4 of 8. Run the same again to resume at step 4 from ${dir}.`,
  );
  net.dispose();
  const events: Progress[] = [];
  assert.equal(await weightsAfter({ ...options, dir, report: (event) => void events.push(event) }), undisturbed);
  assert.equal([events[0]?.kind, (events[0] as { step: number }).step], ["start", 4]);
  // What is done stays done.
  assert.equal(await weightsAfter({ ...options, dir }), undisturbed);
});

test("without a folder a store keeps checkpoints: an aborted run goes on from there to the same weights", async () => {
  const method = softCgt.with({ kappa: 10 });
  const options = { method, logEvery: 1 };
  const undisturbed = await weightsAfter(options);
  const files = new Map<string, Blob>();
  const store: CheckpointStore = {
    read: async (name) => files.get(name),
    write: async (name, file) => void files.set(name, file),
  };
  const stop = new AbortController();
  const report = (event: Progress) => {
    if (event.kind === "train" && event.step === 3) stop.abort();
  };
  await failsWith(
    () => weightsAfter({ ...options, store, report, signal: stop.signal }),
    "TrainingError",
    "train: it was stopped at step 4 of 8. Run the same again to resume at step 4 from its checkpoints.",
  );
  const events: Progress[] = [];
  assert.equal(await weightsAfter({ ...options, store, report: (event) => void events.push(event) }), undisturbed);
  const [{ resumedFrom } = {}] = events as { readonly resumedFrom?: string }[];
  assert.equal([resumedFrom, [...files.keys()]], ["last.safetensors", ["best.safetensors", "last.safetensors"]]);
  const full: CheckpointStore = {
    read: async () => undefined,
    write: () => Promise.reject(Object.assign(new Error("no room"), { code: "ENOSPC" })),
  };
  const unsaved = await errorOf(() => weightsAfter({ ...options, store: full }));
  assert.match(unsaved.message, /^train: its checkpoints must have room for the run; got a full disk\./);
  files.set("last.safetensors", new Blob(["no checkpoint"]));
  const { name, message } = await errorOf(() => weightsAfter({ ...options, store }));
  assert.match(`${name}: ${message}`, /^CheckpointError: checkpoint: last\.safetensors must be whole/);
  await failsWith(
    () => weightsAfter({ ...options, store: {} as CheckpointStore }),
    "ArgumentError",
    "train: store must have read(name) and write(name, file); got an object with nothing in it.",
  );
  await failsWith(
    () => weightsAfter({ ...options, store, dir: join(folder, "both") }),
    "ArgumentError",
    "train: checkpoints must lie in one place; got dir and store. Leave out one of them.",
  );
});

/** Interrupts a run after step 3, takes it up again, and compares the end with that of an undisturbed run. */
async function resumes(
  name: string,
  options: Partial<TrainOptions> & { readonly method: TrainingPlan },
): Promise<void> {
  const undisturbed = await weightsAfter({ ...options });
  const dir = join(folder, name);
  const stop = new AbortController();
  const report = (event: Progress) => {
    if (event.kind === "train" && event.step === 3) stop.abort();
  };
  const halted = { ...options, dir, logEvery: 1, report, signal: stop.signal };
  assert.is((await errorOf(() => weightsAfter(halted))).name, "TrainingError");
  assert.equal(await weightsAfter({ ...options, dir }), undisturbed);
}

test("moments and counters of AdamW, the momentum of one cycle and clipping are taken up again", async () => {
  await resumes("adamw", { method: joint, optimizer: { method: "adamw", clipNorm: 1, beta2: 0.98 } });
  await resumes("one-cycle", { method: joint, schedule: { kind: "oneCycle" } });
});

test("an averaged teacher is taken up again", () => resumes("teacher", { method: safeKd.with({ emaDecay: 0.5 }) }));

const child = fileURLToPath(new URL("./train-child.ts", import.meta.url));

/** Runs the child until it ends, or until it says `until` and is killed without warning; its lines. */
function runChild(dir: string, until?: string): Promise<string[]> {
  const process_ = spawn(process.execPath, ["--import", "tsx", child, dir], { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  process_.stdout.setEncoding("utf8").on("data", (text: string) => {
    lines.push(...text.split("\n").filter((line) => line !== ""));
    if (until !== undefined && lines.includes(until)) process_.kill("SIGKILL");
  });
  return new Promise((resolve, reject) => {
    process_.on("error", reject);
    process_.on("close", (code, signal) => {
      if (code === 0 || (until !== undefined && signal === "SIGKILL")) resolve(lines);
      else reject(new Error(`the child ended with ${code ?? signal}`));
    });
  });
}

test("killed at once and started again, a run ends as if nothing had happened", async () => {
  const [whole, broken] = [join(folder, "whole"), join(folder, "broken")];
  await runChild(whole);
  await runChild(broken, "train 8");
  const lines = await runChild(broken);
  assert.match(lines[0]!, /^start [1-9]/);
  const files = await Promise.all([whole, broken].map((dir) => readSafetensors(join(dir, "last.safetensors"))));
  const [want, got] = files.map(({ tensors }) => [...tensors].map(([name, { data }]) => [name, [...data]]));
  assert.equal(got, want);
  assert.is(files[1]!.metadata["position"], files[0]!.metadata["position"]);
  const rows = (dir: string) =>
    readFileSync(join(dir, "metrics.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => ({ ...(JSON.parse(line) as MetricsRow), imagesPerSecond: 0 }));
  assert.equal(rows(broken), rows(whole));
});

test("a lost device is named, and another one resumes", async () => {
  const undisturbed = await weightsAfter({ method: joint });
  const dir = join(folder, "lost");
  const other = await createDevice();
  const net = multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 8], seed: 1, device: other }), {
    after: ["stage1", "stage2"],
    seed: 1,
  });
  const report = (event: Progress) => {
    if (event.kind === "train" && event.step === 6) other.gpu.destroy();
  };
  const error = await errorOf(() => train(net, barSplits(), { ...quiet, method: joint, dir, logEvery: 2, report }));
  assert.is(error.name, "DeviceError");
  assert.match(error.message, /the GPU device was lost .* Run the same again to resume at step 4 from /);
  other.dispose();
  assert.equal(await weightsAfter({ method: joint, dir }), undisturbed);
});

test("a network of the same costs, or another room for features, is another run; older checkpoints say neither", async () => {
  const vision = (headDim: number) =>
    buildNetwork({
      backbone: "vit",
      options: { depth: 3, dim: 16, headDim, patch: 4 },
      input: [8, 8, 1],
      classes: 4,
      exits: ["stage1"],
    });
  const dir = join(folder, "costs");
  const path = join(dir, "last.safetensors");
  const undisturbed = await weightsAfter({ method: joint, epochs: 1, dir }, vision(4));
  const refusal = (key: string) =>
    `checkpoint: ${path} must be of the same run; ${key}. Use another folder, or the same options.`;
  await failsWith(
    () => weightsAfter({ method: joint, epochs: 1, dir }, vision(8)),
    "CheckpointError",
    refusal("architecture.options.headDim 4 there, 8 here"),
  );
  await failsWith(
    () => weightsAfter({ method: joint, epochs: 1, dir, keepBytes: 0 }, vision(4)),
    "CheckpointError",
    refusal("keepBytes 536870912 there, 0 here"),
  );
  const { tensors, metadata } = await readSafetensors(path);
  const { architecture, keepBytes, ...run } = JSON.parse(metadata["run"]!) as Record<string, unknown>;
  assert.ok(architecture !== undefined && keepBytes !== undefined);
  const { sha256: _, ...said } = metadata;
  await writeSealed(path, [...tensors], { ...said, run: JSON.stringify(run) });
  assert.equal(await weightsAfter({ method: joint, epochs: 1, dir, keepBytes: 0 }, vision(4)), undisturbed);
});

test("a folder of another run, another network or a broken file is refused", async () => {
  const dir = join(folder, "others");
  await weightsAfter({ method: joint, epochs: 1, dir });
  const path = join(dir, "last.safetensors");
  const again = (options: Partial<TrainOptions>, net: MultiExit) =>
    train(net, barSplits(), { ...quiet, method: joint, epochs: 1, dir, ...options }).finally(() => net.dispose());
  await failsWith(
    () => again({ epochs: 3 }, smallNet()),
    "CheckpointError",
    `checkpoint: ${path} must be of the same run; recipe.epochs 1 there, 3 here. Use another folder, or the same options.`,
  );
  const pixels = barSplits();
  pixels.train.images[5]! ^= 1;
  const net = smallNet();
  const other = await errorOf(() => train(net, pixels, { ...quiet, method: joint, epochs: 1, dir }));
  net.dispose();
  assert.match(other.message, /must be of the same run; data\.content \d+ there, \d+ here\./);
  const augmented = await errorOf(() => again({ batches: blends(0.7, { mixup: 0.7 }) }, smallNet()));
  assert.match(augmented.message, /must be of the same run; batches "shuffled" there, \{"mixup":0\.7\} here\./);
  const wider = () =>
    multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 16], seed: 1 }), {
      after: ["stage1", "stage2"],
    });
  await failsWith(
    () => again({}, wider()),
    "CheckpointError",
    `checkpoint: ${path} must be of the same network; net.backbone.layer3.0.conv1.weight is [3, 3, 8, 8] there, [3, 3, 8, 16] here.`,
  );
  writeFileSync(path, readFileSync(path).subarray(0, 1000));
  const error = await errorOf(() => again({}, smallNet()));
  assert.is(error.name, "CheckpointError");
  assert.match(error.message, /must be whole; it is not: .* Delete it to start afresh\./);
});
