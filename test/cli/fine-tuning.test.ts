// Fine-tuning by the command, from the first run to the last: weights of another run, of a file under PyTorch's names,
// frozen parts, rates by name, further epochs on a finished run; and what cannot be started from.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors, type StoredTensor, writeSafetensors } from "../../engine/index.ts";
import { buildNetwork, saveWeights } from "../../exits/index.ts";
import { toTorch, toTorchName } from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { run } from "./command-line.ts";

const test = gpuSuite("cli: fine-tuning", { timeout: 120_000 });
const out = mkdtempSync(join(tmpdir(), "sortie-tuned-"));
test.after(() => rmSync(out, { recursive: true }));

const train = (name: string, ...flags: string[]) =>
  run(
    ...["train", "--out", out, "--name", name, "--method", "joint", "--epochs", "1", "--batch", "64"],
    ...["--data.train", "256", "--data.validation", "50", "--data.calibration", "50", "--data.test", "50"],
    ...["--model.widths", "4,4,8", "--train.warmup", "2", "--train.logEvery", "1", ...flags],
  );

/** Tensors of a run's last weights, as numbers. */
async function weightsOf(name: string): Promise<ReadonlyMap<string, StoredTensor>> {
  const { tensors } = await readSafetensors(join(out, name, "last.safetensors"));
  return new Map([...tensors].flatMap(([key, value]) => (key.startsWith("net.") ? [[key.slice(4), value]] : [])));
}

const stepsOf = (name: string) =>
  readFileSync(join(out, name, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly kind: string; readonly step: number })
    .filter(({ kind }) => kind === "train")
    .map(({ step }) => step);

test("a run starts from another, keeps what is frozen, says what was missing, and goes on for further epochs", async () => {
  const first = await train("first", "--model.head", "gap-linear", "--model.last", "own");
  assert.is(first.code, 0, first.text);
  const flags = ["--from", join(out, "first"), "--freeze", "backbone.", "--seed", "2"];
  const second = await train("second", ...flags, "--model.head", "gap-norm-linear", "--model.last", "own");
  assert.is(second.code, 0, second.text);
  assert.match(second.text, /weights: \d+ of \d+ tensors from .*first.*last\.safetensors; .*heads\.0\.norm\.weight/);
  const [before, after] = [await weightsOf("first"), await weightsOf("second")];
  for (const [name, { data }] of before) {
    const is = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const now = after.get(name)!.data;
    const isSame = is.equals(Buffer.from(now.buffer, now.byteOffset, now.byteLength));
    assert.is(isSame, name.startsWith("backbone."), name);
  }
  assert.equal(stepsOf("second"), [1, 2, 3, 4]);
  const longer = await train(
    "second",
    ...flags,
    "--model.head",
    "gap-norm-linear",
    "--model.last",
    "own",
    "--more-epochs",
    "1",
  );
  assert.is(longer.code, 0, longer.text);
  assert.equal(stepsOf("second"), [1, 2, 3, 4, 5, 6, 7, 8]);
  const config = JSON.parse(readFileSync(join(out, "second", "config.json"), "utf8"));
  assert.equal(config.train.moreEpochs, [1]);
});

test("a file under PyTorch's names is taken, and says what is left over and of another shape; rates go by name", async () => {
  const file = join(out, "torch.safetensors");
  const theirs = new Map<string, StoredTensor>();
  for (const [name, { shape, data }] of await weightsOf("first")) {
    if (!name.startsWith("backbone.")) continue;
    const made = toTorch(name, { shape, data: data as Float32Array });
    const called = `module.${toTorchName(name.replace("backbone.", "")).replace(/\bshortcut\./, "downsample.")}`;
    theirs.set(called, { dtype: "F32", shape: made.shape, data: Float32Array.from(made.data) });
  }
  theirs.set("module.aux.weight", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) });
  await writeSafetensors(file, theirs);
  const { code, text } = await train(
    "third",
    "--weights",
    file,
    "--rate-factor",
    "backbone.=0.5",
    "--model.head",
    "gap-linear",
    "--model.last",
    "own",
  );
  assert.is(code, 0, text);
  assert.match(text, /weights: \d+ of \d+ tensors from .*torch\.safetensors/);
  assert.match(text, /module\.aux\.weight/, "left over");
  assert.match(text, /heads\.0\./, "missing");
  const config = JSON.parse(readFileSync(join(out, "third", "config.json"), "utf8"));
  assert.equal(config.train.rateFactor, { "backbone.": 0.5 });
});

test("what a run started from may be gone once its checkpoint is there, and what saveWeights made is a start", async () => {
  const base = await train("base", "--data.train", "128");
  assert.is(base.code, 0, base.text);
  const { tensors } = await readSafetensors(join(out, "base", "last.safetensors"));
  const network = buildNetwork({
    ...{ backbone: "resnet", options: { depth: 8, widths: [4, 4, 8] }, exits: ["stage1", "stage2"] },
    ...{ input: [28, 28, 1] as const, classes: 10, head: "gap-norm-linear", last: "pool-linear" },
  });
  assert.ok(tensors.size > 0);
  const saved = join(out, "saved.safetensors");
  writeFileSync(saved, new Uint8Array(await (await saveWeights(network)).arrayBuffer()));
  network.dispose();
  const flags = ["--weights", saved];
  const begun = await train("after", ...flags);
  assert.is(begun.code, 0, begun.text);
  assert.match(begun.text, /weights: \d+ of \d+ tensors from .*saved\.safetensors/);
  rmSync(saved);
  const again = await train("after", ...flags);
  assert.is(again.code, 0, again.text);
  const longer = await train("after", ...flags, "--more-epochs", "1");
  assert.is(longer.code, 0, longer.text);
  const other = await train("afresh", ...flags);
  assert.match(other.text, /there is no .*saved\.safetensors/);
});

test("starting over costs nothing where it is refused, and then begins anew", async () => {
  assert.is((await train("again")).code, 0);
  const dir = join(out, "again");
  const files = () => readdirSync(dir).sort();
  const [before, weights] = [files(), readFileSync(join(dir, "last.safetensors"))];
  for (const [flags, why] of [
    [["--from", dir], /train: --from must be of another run than the one that --fresh replaces; got .*again\./],
    [["--weights", join(out, "none.safetensors")], /there is no .*none\.safetensors/],
    [["--freeze", "backbones."], /freeze must be beginnings of parameters' names/],
  ] as const) {
    const { code, text } = await train("again", "--fresh", ...flags);
    assert.is(code, 1);
    assert.match(text, why);
    assert.equal([files(), readFileSync(join(dir, "last.safetensors"))], [before, weights]);
  }
  const anew = await train("again", "--fresh", "--seed", "3");
  assert.is(anew.code, 0, anew.text);
  assert.equal(files(), before);
  assert.not.equal(readFileSync(join(dir, "last.safetensors")), weights);
});

test("what freezes all that a phase trains is refused before the phases in front of it", async () => {
  for (const [freeze, method, phase] of [
    ["heads.", "calexnet", "branch 1"],
    ["", "joint", "training"],
  ] as const) {
    const { code, text } = await train("frozen", "--method", method, "--freeze", freeze);
    assert.is(code, 1);
    assert.match(
      text,
      `train: freeze must leave every phase of the method something to train; got "${freeze}", which leaves nothing to ${phase}.`,
    );
    assert.not.match(text, "epoch 1");
  }
});

test("a factor that is no number is refused as it was typed", async () => {
  const { text } = await train("factor", "--rate-factor", "backbone.=x");
  assert.match(text, 'must be numbers above 0 by beginnings of names, backbone.=0.1,heads.=2; got "backbone.=x".');
});

test("what cannot be started from is told before anything is written", async () => {
  writeFileSync(join(out, "resnet18.pth"), "pickled");
  for (const [flags, message] of [
    [["--weights", join(out, "resnet18.pth")], /which PyTorch pickles\. Convert it: python3 -c .*save_file/],
    [
      ["--weights", join(out, "none.safetensors")],
      /must lie where they are said to be; there is no .*none\.safetensors\.$/,
    ],
    [["--from", join(out, "first"), "--freeze", "backbones."], /Did you mean backbone\.\?/],
    [["--from", join(out, "first"), "--rate-factor", "backbone.=0"], /numbers above 0 by beginnings of names/],
    [["--more-epochs", "0"], /whole numbers above 0/],
    [["--tune", "always"], /--tune must be one of off, once; got "?always/],
  ] as const) {
    const { code, text } = await train("never", ...flags);
    assert.is(code, 1, text);
    assert.match(text, message);
    for (const file of ["run.json", "config.json", "metrics.jsonl"])
      assert.not(existsSync(join(out, "never", file)), `${file}: ${flags.join(" ")}`);
  }
});
