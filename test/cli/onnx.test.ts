// ONNX: the logits of every backbone and head as onnxruntime computes them, for any batch; how runners decide; and the
// folder that `sortie export --format onnx` writes, run by each of its runners, against the deployed classifier.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cascade, createTable, logEntropyOf, logOddsOf, logRestOf, type PlainScore } from "../../calibration/index.ts";
import { glyphs } from "../../data/index.ts";
import { logSoftmax, maxPool2d, randn, read, type Tensor } from "../../engine/index.ts";
import {
  additive,
  buildNetwork,
  HEADS,
  Head,
  type HeadKind,
  type HeadSite,
  load,
  type MultiExit,
  multiExit,
} from "../../exits/index.ts";
import { BACKBONES, describeStages, EVAL, GroupNorm, globalAveragePool, Linear, resnet } from "../../nn/index.ts";
import { type CascadeAbout, decide, type OnnxFiles, onnxOf, openCascade } from "../../onnx/index.ts";
import { byPython, byTriton, byTypeScript, pythonSays, runtime } from "../agreement/runners.ts";
import { mulberry } from "../engine/ops/check.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, atEnd, failsWith, suite } from "../harness.ts";
import { lackOfPython } from "../python.ts";
import { run } from "./command-line.ts";

const test = gpuSuite("onnx: logits", { timeout: 240_000 });

const INPUT = [32, 32, 3] as const;
/** Small forms of the backbones. */
const OPTIONS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  resnet: { depth: 8, widths: [4, 8, 8], shortcut: "A" },
  vit: { depth: 3, dim: 32, patch: 8 },
  convnext: { dims: [8, 16, 16, 24], depths: [1, 1, 1, 1] },
  "mobilenet-v3-small": { widthMult: 0.3 },
  "mobilenet-v3-large": { widthMult: 0.3 },
  efficientnet: { depthMult: 0.3, widthMult: 0.25 },
  msdnet: { blocks: 3, base: 1, step: 2, channels: 4, growth: 2 },
};

/** Normalisations and biases that do something, and logits of a size that decisions have. */
async function stirred(net: MultiExit): Promise<MultiExit> {
  const random = mulberry(11);
  const state = [...net.state()];
  const all = await read(state.map(([, tensor]) => tensor));
  state.forEach(([name, tensor], i) => {
    const size = tensor.rank > 1 ? 0.02 : 0.2;
    const isScale = /runningVar/.test(name);
    tensor.write(
      all[i]!.map((x: number) => (isScale ? x * (0.5 + random()) : x + size * (random() - 0.5))) as Float32Array,
    );
  });
  return net;
}

/** The largest difference of any logit, whole and stage by stage, at a batch size, in units of 1 + |logit|. */
async function apartAt(net: MultiExit, { whole, stages }: OnnxFiles, batch: number): Promise<number> {
  const [h, w, c] = net.input;
  const x = randn([batch, h, w, c], { seed: batch });
  const [pixels, want] = [await x.read(), await net.forward(x, EVAL).read()];
  const planes = Float32Array.from(pixels, (_, at) => {
    const [i, j] = [Math.floor(at / (h * w * c)), at % (h * w * c)];
    return pixels[i * h * w * c + (j % (h * w)) * c + Math.floor(j / (h * w))]!;
  });
  const images = new runtime.Tensor("float32", planes, [batch, c, h, w]);
  const run = async (model: Uint8Array, input: unknown) => {
    const session = await runtime.InferenceSession.create(model as never);
    return session.run({ input } as never) as Promise<
      Record<"logits" | "features", { data: Float32Array; dims: number[] }>
    >;
  };
  const { logits } = await run(whole, images);
  assert.equal([...logits.dims], [batch, net.exits, net.classes]);
  let most = 0;
  const compare = (got: number, wanted: number) => {
    const apart = Math.abs(got - wanted) / (1 + Math.abs(wanted));
    most = Number.isNaN(apart) ? Number.NaN : Math.max(most, apart);
  };
  for (const [at, value] of logits.data.entries()) compare(value, want[at]!);
  let features: unknown = images;
  for (const [j, stage] of stages.entries()) {
    const outputs = await run(stage, features);
    features = outputs.features;
    for (const [at, value] of outputs.logits.data.entries()) {
      const [i, k] = [Math.floor(at / net.classes), at % net.classes];
      compare(value, want[(i * net.exits + j) * net.classes + k]!);
    }
  }
  return most;
}

async function agrees(net: MultiExit): Promise<void> {
  await stirred(net);
  const files = await onnxOf(net, { version: "0", metadata: {} });
  for (const batch of [1, 3]) {
    const apart = await apartAt(net, files, batch);
    assert.ok(apart < 1e-4, `logits are ${apart} apart at batch ${batch}`);
  }
  net.dispose();
}

for (const [backbone, kind] of Object.entries(BACKBONES)) {
  // Eleven million weights, and no op that the others lack.
  if (backbone === "imagenet-resnet") continue;
  test(`${backbone} agrees, whole and stage by stage`, () =>
    agrees(
      buildNetwork(
        {
          backbone,
          options: OPTIONS[backbone] ?? {},
          input: INPUT,
          classes: 10,
          exits: kind.exits(OPTIONS[backbone] ?? {}).slice(0, 2),
        },
        { seed: 3 },
      ),
    ));
}

for (const [head, { on }] of Object.entries(HEADS)) {
  const backbone = on === "map" ? "resnet" : "vit";
  test(`the head ${head} agrees`, () =>
    agrees(
      buildNetwork(
        {
          backbone,
          options: OPTIONS[backbone]!,
          input: INPUT,
          classes: 7,
          exits: ["stage1", "stage2"],
          head: head as HeadKind,
          last: head as HeadKind,
        },
        { seed: 4 },
      ),
    ));
}

/** Group norm and a pool as in the stem of ImageNet's networks; at the end what ONNX has no form of, if wanted. */
class GroupHead extends Head {
  readonly norm: GroupNorm;
  readonly linear: Linear;
  readonly #isOdd: boolean;

  constructor({ stage, classes, init }: HeadSite, isOdd: boolean) {
    super();
    this.norm = new GroupNorm(2, stage.channels, init);
    this.linear = new Linear(stage.channels, classes, init);
    this.#isOdd = isOdd;
  }

  forward(features: Tensor): Tensor {
    const pooled = maxPool2d(this.norm.forward(features), { kernel: 3, stride: 2, padding: 1 });
    const logits = this.linear.forward(globalAveragePool(pooled));
    return this.#isOdd ? logSoftmax(logits, { dim: 1 }) : logits;
  }
}

const grouped = (isOdd: boolean): MultiExit =>
  multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 8], seed: 1 }), {
    after: ["stage1"],
    head: (site) => new GroupHead(site, isOdd),
  });

test("heads of a user's own agree where ONNX has forms of their ops, and are refused by name where not", async () => {
  await agrees(grouped(false));
  const net = grouped(true);
  const refusal =
    "export: every op must have a form in ONNX; got logSoftmax, which has none here. Write a model file instead: leave --format out.";
  await failsWith(() => onnxOf(net, { version: "0", metadata: {} }), "SortieError", refusal);
  assert.is(describeStages(net.backbone).length, 3);
  net.dispose();
});

test("heads that look at earlier exits are refused", async () => {
  const net = multiExit(resnet({ depth: 8, classes: 4, input: [8, 8, 1], widths: [4, 8, 8], seed: 1 }), {
    after: ["stage1"],
    wraps: [additive(0.5)],
  });
  const refusal =
    "export: for ONNX heads must look at their own features alone; got some that are additive(0.5). Write a model file instead: leave --format out.";
  await failsWith(() => onnxOf(net, { version: "0", metadata: {} }), "SortieError", refusal);
  net.dispose();
});

const decisions = suite("onnx: decisions of runners");
const SCORES: readonly PlainScore[] = ["maxProb", "margin", "entropy", "normalisedEntropy", "energy", "maxLogit"];

decisions("scores and levels are those of calibration, for sure and unsure samples", () => {
  const random = mulberry(5);
  const [samples, classes] = [400, 6];
  const logits = Float32Array.from({ length: samples * classes }, () => 60 * (random() - 0.5) * random() ** 3);
  const table = createTable({ logits, labels: new Int32Array(samples), shape: [samples, 1, classes] });
  for (const score of SCORES) {
    const { scores, predictions } = cascade(table, score);
    for (let i = 0; i < samples; i++) {
      const got = decide(score, logits.subarray(i * classes, (i + 1) * classes), 1);
      assert.is(got.answer, predictions[i], `${score} of sample ${i}`);
      const want = scores[i]!;
      // Near certainty a table's scores are in an order of their own, which levels are read off.
      assert.ok(Math.abs(got.score - want) <= 1e-6 * (1 + Math.abs(want)), `${score}: ${got.score} for ${want}`);
      const level = levelOf(score, want);
      assert.ok(
        Math.abs(got.level - level) <= 1e-6 * (1 + Math.abs(level)),
        `${score}: level ${got.level} for ${level}`,
      );
    }
  }
  assert.equal(decide("maxProb", [3], 1), { answer: 0, score: 1, level: 1e30 });
  // A closed exit stays closed to a network of one class.
  assert.ok(decide("maxProb", [3], 1).level < 3.4e38);
  assert.is(decide("maxProb", [0, -5000], 1).level, 5000);
  assert.is(decide("energy", [4, 2], 2).level, 2 + Math.log1p(Math.exp(-1)));
});

/** Logits, and how large the largest is. */
const OFF: readonly (readonly [readonly number[], number])[] = [
  [[48, 2, -40], 48],
  [[-1, -9, -40], 40],
  [[-3], 3],
];

decisions("levels are lowered by what logits may be off, by how large the largest is", () => {
  for (const score of SCORES) {
    for (const [row, size] of OFF) {
      const [exact, off] = [decide(score, row, 2), decide(score, row, 2, 0.25)];
      assert.equal(off, { ...exact, level: exact.level - (0.25 * size) / 2 }, `${score} of ${row}`);
    }
  }
});

const inPython = suite("onnx: decisions in Python", {
  skip: lackOfPython(["numpy"]),
  isOptional: true,
  timeout: 60_000,
});

/** Rows of logits that are no numbers, or make none, by their names. */
const STRANGE = {
  nan: "[0.0, nan, 1.0]",
  "two infinite": "[inf, inf, 0.0]",
  "all minus infinite": "[-inf, -inf, -inf]",
  "others minus infinite": "[0.0, -inf, -inf]",
};

inPython("logits that are no numbers are refused with the image's number, at every exit", () => {
  for (const [name, row] of Object.entries(STRANGE)) {
    const at = (exit: number) =>
      pythonSays(`
inf, nan = np.inf, np.nan
stage = {"temperature": 1.0, "thresholds": [50.0]}
about = {"score": "maxProb", "stages": [stage, {"temperature": 1.0, "thresholds": []}]}
def run(j, x):
    logits = np.tile(np.array([2.0, 1.0, 0.0]), (len(x), 1))
    if j == ${exit}:
        logits[1] = ${row}
    return logits, x
try:
    print(run_stages(about, run, np.zeros((3, 1)), 64))
except ValueError as error:
    print(error)
`);
    for (const exit of [0, 1])
      assert.is(
        at(exit),
        "cascade: logits must be numbers; got NaN for image 65 (counted from 0).",
        `${name} at exit ${exit}`,
      );
  }
});

inPython("levels are lowered as in TypeScript", () => {
  for (const score of SCORES) {
    const want = OFF.map(([row]) => decide(score, row, 2, 0.25).level);
    const rows = OFF.map(([row]) => JSON.stringify([row])).join();
    const got = JSON.parse(
      pythonSays(`
from cascade import decide
with np.errstate(all="ignore"):
    print([float(decide("${score}", np.array(z), 2.0, 0.25)[2][0]) for z in [${rows}]])
`),
    ) as number[];
    for (const [i, level] of want.entries())
      assert.ok(
        Math.abs(got[i]! - level) <= 1e-12 * Math.abs(level),
        `${score} of ${OFF[i]![0]}: ${got[i]} for ${level}`,
      );
  }
});

inPython("a network of one class stays at a closed exit", () => {
  const text = pythonSays(`
stages = [{"temperature": 1.0, "thresholds": [3.4e38]}, {"temperature": 1.0, "thresholds": []}]
classes, exits, scores = run_stages({"score": "maxProb", "stages": stages}, lambda j, x: (np.zeros((len(x), 1)), x), np.zeros((2, 1)))
print(exits.tolist(), scores.tolist())
`);
  assert.is(text, "[1, 1] [1.0, 1.0]");
});

inPython("in Triton a request that fails leaves the others of its call alone", () => {
  const text = pythonSays(`
import types
backend = types.ModuleType("triton_python_backend_utils")
class InferenceResponse:
    def __init__(self, output_tensors, error=None):
        self.tensors, self.error = output_tensors, error
backend.InferenceResponse, backend.TritonError, backend.Tensor = InferenceResponse, str, lambda name, values: (name, values)
backend.get_input_tensor_by_name = lambda request, name: request
sys.modules["triton_python_backend_utils"] = backend
from triton import TritonPythonModel
model = TritonPythonModel()
model.about = {"score": "maxProb", "input": {"shape": [1, 1, 1], "mean": [0.0], "std": [1.0]}, "stages": [{"temperature": 1.0, "thresholds": []}]}
model.run = lambda j, x: (np.stack([x[:, 0, 0, 0], -x[:, 0, 0, 0]], 1), None)
class Request:
    def __init__(self, values):
        self.values = values
    def as_numpy(self):
        return self.values
good = Request(np.zeros((2, 1, 1, 1), np.uint8))
print([response.error for response in model.execute([good, None, Request(np.zeros((1, 2), np.uint8)), good])])
`);
  assert.is(
    text,
    `[None, "'NoneType' object has no attribute 'as_numpy'", 'cascade: bytes must be [N, 1, 1, 1]; got [1, 2].', None]`,
  );
});

/** The level that belongs to a score. */
function levelOf(score: PlainScore, value: number): number {
  if (score === "maxProb") return logOddsOf(value);
  if (score === "margin") return -logRestOf(value);
  if (score === "entropy") return -logEntropyOf(-value);
  if (score === "normalisedEntropy") return -logEntropyOf(-value * Math.log(6));
  return value;
}

const folder = gpuSuite("onnx: the folder", { timeout: 240_000 });
const out = mkdtempSync(join(tmpdir(), "sortie-onnx-"));
atEnd(() => rmSync(out, { recursive: true }));
const [dir, target] = [join(out, "small"), join(out, "exported")];
const SIZES = { train: 256, validation: 200, calibration: 400, test: 200 };
const { test: images } = glyphs({ train: 0, validation: 0, calibration: 0, test: SIZES.test, seed: 1 });

folder("holds graphs, the policy, and what runs them elsewhere", async () => {
  const sizes = Object.entries(SIZES).flatMap(([part, count]) => [`--data.${part}`, String(count)]);
  const short = ["--epochs", "2", "--batch", "32", "--train.warmup", "2"];
  assert.is((await run("train", ...sizes, ...short, "--out", out, "--name", "small")).code, 0);
  assert.is((await run("calibrate", dir, "--alpha", "0.9")).code, 0);
  const { code, text } = await run("export", dir, target, "--format", "onnx");
  assert.is(code, 0, text);
  const top = "cascade.json cascade.py cascade.ts network.onnx policy.json stage1.onnx stage2.onnx stage3.onnx triton";
  assert.equal(readdirSync(target).sort(), top.split(" "));
  const models = ["cascade", "cascade_stage1", "cascade_stage2", "cascade_stage3"];
  assert.equal(readdirSync(join(target, "triton")).sort(), models);
});

/** The deployed classifier's answers, and those of a runner. */
async function compare(answer: () => ReturnType<typeof byTypeScript> | ReturnType<typeof byPython>): Promise<void> {
  const file = join(dir, "model.sortie.safetensors");
  if (!existsSync(file)) assert.is((await run("export", dir)).code, 0);
  using classifier = await load(file);
  const want = await classifier.classify(images.images);
  const got = await answer();
  assert.ok(new Set(want.exits).size > 1, `exits taken: ${[...new Set(want.exits)]}`);
  assert.equal([Array.from(got.exits), Array.from(got.classes)], [[...want.exits], [...want.classes]]);
  const apart = Math.max(...want.scores.map((score, i) => Math.abs(score - got.scores[i]!)));
  assert.ok(apart < 1e-4, `scores are ${apart} apart`);
}

folder("cascade.ts answers as the deployed classifier", () => compare(() => byTypeScript(target, images)));

folder("cascade.ts refuses what is no image, and files that do not belong together", async () => {
  const about = JSON.parse(readFileSync(join(target, "cascade.json"), "utf8")) as CascadeAbout;
  const models = about.stages.map(({ file }) => new Uint8Array(readFileSync(join(target, file))));
  const cascade = await openCascade(runtime, about, models);
  await failsWith(
    () => cascade.classify(new Uint8Array(785)),
    "RangeError",
    "cascade: images must be a multiple of 784 values; got 785.",
  );
  await failsWith(
    () => cascade.classify(new Float32Array(784).fill(Number.NaN)),
    "RangeError",
    "cascade: pixels must be finite; got NaN or infinity.",
  );
  for (const batch of [0, 1.5, Number.NaN])
    await failsWith(
      () => cascade.classify(new Uint8Array(784), { batch }),
      "RangeError",
      `cascade: batch must be a whole number of at least 1; got ${batch}.`,
    );
  await failsWith(
    () => openCascade(runtime, about, []),
    "RangeError",
    "cascade: there must be 3 models, one a stage; got 0.",
  );
  await failsWith(
    () => openCascade(runtime, { ...about, version: 2 as 1 }, models),
    "RangeError",
    "cascade: the file must be a sortie-cascade of version 1; got sortie-cascade 2.",
  );
  assert.is((await cascade.classify(new Uint8Array())).classes.length, 0);
});

folder("replaces an export by force, and nothing else", async () => {
  const there = await run("export", dir, target, "--format", "onnx");
  assert.equal(
    [there.code, there.text],
    [1, `export: ${target} must not exist; it does. Choose another name, or replace it by --force.`],
  );
  const mine = join(out, "mine");
  mkdirSync(mine);
  writeFileSync(join(mine, "thesis.tex"), "x");
  const refused = await run("export", dir, mine, "--format", "onnx", "--force");
  assert.equal(
    [refused.code, refused.text],
    [1, `export: ${mine} must be new, or a folder of an earlier export; it has no cascade.json. Choose another name.`],
  );
  assert.ok(existsSync(join(mine, "thesis.tex")));
  writeFileSync(join(target, "stale.onnx"), "x");
  assert.is((await run("export", dir, target, "--format", "onnx", "--force", "--no-policy")).code, 0);
  assert.equal([existsSync(join(target, "stale.onnx")), existsSync(join(target, "policy.json"))], [false, false]);
  assert.equal([...new Set(Array.from((await byTypeScript(target, images)).exits))], [2]);
  assert.is((await run("export", dir, target, "--format", "onnx", "--force")).code, 0);
  assert.equal(readdirSync(out).sort(), ["exported", "mine", "small"]);
});

const elsewhere = gpuSuite("onnx: the folder in Python", {
  skip: lackOfPython(["numpy", "onnxruntime"]),
  isOptional: true,
  timeout: 240_000,
});

elsewhere("cascade.py answers as the deployed classifier", () =>
  compare(() => Promise.resolve(byPython(target, images, out))),
);

elsewhere("the model repository answers so too", () =>
  compare(() => Promise.resolve(byTriton(target, images, join(out, "work")))),
);
