// Checkpoints and cached logits know when they were damaged, and name what cannot be.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLogits as openLogits } from "../../cli/files/logits-file.ts";
import { decodeSafetensors, type StoredTensor, type Tensor, tensor, zeros } from "../../engine/index.ts";
import { loadWeights, readLogits, writeLogits } from "../../exits/index.ts";
import { openCheckpoint, readCheckpoint, restore, saveCheckpoint } from "../../exits/run/checkpoint.ts";
import { writeSealed } from "../../exits/run/seal.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, errorOf, failsWith } from "../harness.ts";

const test = gpuSuite("exits: what is kept is sealed");
const folder = mkdtempSync(join(tmpdir(), "sortie-seal-"));
test.after(() => rmSync(folder, { recursive: true }));

const RUN = { data: { name: "toy" }, recipe: { epochs: 3 } };

/** Takes up a run of nine steps; where it stood. */
async function resume(path: string, tensors: ReadonlyMap<string, Tensor>) {
  const file = await openCheckpoint(path);
  const found = file && readCheckpoint(file, RUN, { steps: 9, phases: 1 }, new Map());
  if (found) restore(found, tensors);
  return found?.position;
}

/** Every byte of a file, one after the other in steps of `step`, with one bit flipped. */
function* flips(path: string, step: number): Generator<number> {
  const whole = readFileSync(path);
  for (let at = 0; at < whole.length; at += step) {
    const bytes = Buffer.from(whole);
    bytes[at]! ^= 1 << (at % 8);
    writeFileSync(path, bytes);
    yield at;
  }
  writeFileSync(path, whole);
}

test("a checkpoint with any bit flipped is refused, as a whole and for its weights; the network stays as it was", async () => {
  const path = join(folder, "last.safetensors");
  const net = new Map([
    [
      "net.w",
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    ],
    ["optimizer.step", tensor([7, 8], { dtype: "u32" })],
  ]);
  const position = { step: 5, phase: 0, best: { step: 4, accuracy: 0.5 } };
  assert.ok(await saveCheckpoint(path, net, { position, run: RUN }));
  const other = new Map([
    ["net.w", zeros([2, 3])],
    ["optimizer.step", zeros([2], { dtype: "u32" })],
  ]);
  let refused = 0;
  for (const at of flips(path, 3)) {
    const error = await errorOf(() => resume(path, other));
    assert.is(error.name, "CheckpointError", `byte ${at}: ${error.stack}`);
    assert.ok(error.message.includes(path), error.message);
    assert.is((await errorOf(() => loadWeights(path, new Map([["w", zeros([2, 3])]])))).name, "CheckpointError");
    refused += 1;
  }
  assert.ok(refused > 100);
  assert.equal([...(await other.get("net.w")!.read())], [0, 0, 0, 0, 0, 0]);
  assert.equal(await resume(path, other), position);
  assert.equal([...(await other.get("net.w")!.read())], [1, 2, 3, 4, 5, 6]);
  assert.equal([...(await other.get("optimizer.step")!.read())], [7, 8]);
});

test("positions beyond the run, other dtypes and values that are not finite are named, also in a file with a seal", async () => {
  const path = join(folder, "forged.safetensors");
  const net = new Map([["net.w", zeros([2])]]);
  const save = async (
    changes: Record<string, string>,
    w: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) },
  ) => {
    const metadata = {
      format: "sortie-checkpoint",
      version: "3",
      run: JSON.stringify(RUN),
      position: '{"step":5,"phase":0}',
    };
    await writeSealed(path, [["net.w", w]], { ...metadata, ...changes });
  };
  const fails = (message: string) =>
    failsWith(() => resume(path, net), "CheckpointError", `checkpoint: ${path} must ${message}`);
  await save({});
  assert.equal(await resume(path, net), { step: 5, phase: 0 });
  for (const position of [
    '{"step":10,"phase":0}',
    '{"step":-1,"phase":0}',
    '{"step":2.5,"phase":0}',
    '{"step":"5","phase":0}',
    '{"step":5}',
    '{"step":5,"phase":1}',
    '{"step":5,"phase":-1}',
    "null",
    "[]",
    '{"step":5,"phase":0,"best":{"step":4}}',
    '{"step":5,"phase":0,"best":{"step":99,"accuracy":1}}',
  ]) {
    await save({ position });
    await fails(`stand at a step of 9; got ${position}. Delete it to start afresh.`);
  }
  await save({ position: "{" });
  await fails("say its position as JSON; got {.");
  await save({ run: "x".repeat(100) });
  await fails(`say its run as JSON; got ${"x".repeat(40)}.`);
  await save({}, { dtype: "F64", shape: [2], data: Float64Array.of(1, 2) });
  await fails("be of the same network; net.w is F64 there, F32 here.");
  await save({}, { dtype: "F32", shape: [2], data: Float32Array.of(1, Number.NaN) });
  await fails("hold finite values; net.w has NaN at 1.");
  await save({ version: "1" });
  await fails("be a sortie-checkpoint of version 3; got sortie-checkpoint 1.");
  await save({ version: "2" });
  await fails(
    "be a sortie-checkpoint of version 3; got sortie-checkpoint 2. Its weights can be loaded; start over to train.",
  );
  const weights = new Map([["w", zeros([2])]]);
  await loadWeights(path, weights);
  assert.equal([...(await weights.get("w")!.read())], [1, 2]);
  assert.equal([...(await net.get("net.w")!.read())], [1, 2]);
});

test("cached logits with any bit flipped are refused, by name; also by the commands that read them in place", async () => {
  const path = join(folder, "logits.test.safetensors");
  const cached = {
    shape: [3, 2, 2] as const,
    logits: Float32Array.from({ length: 12 }, (_, i) => i / 3),
    labels: Int32Array.of(0, 1, 1),
    ids: Int32Array.of(5, 6, 7),
    macs: [10, 20],
  };
  await writeLogits(path, cached, { data: "toy", "made.commit": "abc" });
  assert.equal([...openLogits(path).read(0, 3)], [...cached.logits]);
  for (const at of flips(path, 5)) {
    const error = await errorOf(() => readLogits(path));
    assert.is(error.name, "CheckpointError", `byte ${at}: ${error.stack}`);
    assert.ok(error.message.startsWith(`readLogits: ${path} must `), error.message);
    // Who wrote a file of another format is not known, and then there is no seal.
    const isOther = !readFileSync(path).includes('"format":"sortie-logits"');
    if (!isOther) assert.ok((await errorOf(() => openLogits(path))).message.includes(path), `byte ${at}`);
  }
  const { about, ...back } = await readLogits(path);
  assert.equal(back, { ...cached, shape: [3, 2, 2] });
  assert.is(about["data"], "toy");
  const fails = (message: string) =>
    failsWith(() => readLogits(path), "CheckpointError", `readLogits: ${path} must ${message}`);
  await writeLogits(path, { ...cached, logits: cached.logits.map((x, i) => (i === 9 ? Number.NaN : x)) });
  await fails("hold finite logits; got NaN for sample 2.");
  await writeLogits(path, { ...cached, labels: Int32Array.of(0, 1, 2) });
  await fails("hold labels in 0..1; got 2.");
  await writeLogits(path, {
    ...cached,
    macs: [1, 2, 3],
    shape: [2, 3, 2],
    labels: Int32Array.of(0, 1),
    ids: Int32Array.of(1, 2),
  });
  assert.is((await readLogits(path)).macs.length, 3);
  assert.ok(decodeSafetensors(readFileSync(path)).metadata["sha256"]);
});
