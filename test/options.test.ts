// Every public function that takes options refuses one that it does not know. Which ones take some, their sources say.

import { fileURLToPath } from "node:url";
import * as calibration from "../calibration/index.ts";
import * as data from "../data/index.ts";
import * as engine from "../engine/functions.ts";
import * as exits from "../exits/index.ts";
import * as nn from "../nn/index.ts";
import { parameterList, signatures, takesOptions } from "./base/signatures.ts";
import { opRows } from "./engine/op-table.ts";
import type { Draw } from "./engine/ops/row.ts";
import { device, gpuSuite } from "./gpu.ts";
import { assert, suite } from "./harness.ts";

const ENTRIES = { engine, nn, exits, calibration, data } as Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Marks the argument that holds the options. */
class Options {
  readonly valid: object;
  constructor(valid: object) {
    this.valid = valid;
  }
}
const o = (valid: object = {}): Options => new Options(valid);

/** Arguments that are right but for what is added to the options, by entry and name. */
type Calls = Readonly<Record<string, Readonly<Record<string, readonly unknown[]>>>>;

/** What calls are made with. */
function things() {
  const x = engine.tensor([
    [1, 2],
    [3, 4],
  ]);
  const row = engine.tensor([1, 2]);
  const index = engine.tensor(Int32Array.of(0, 1));
  const one = engine.zeros([1], { dtype: "u32" });
  const stacked = engine.zeros([2, 2, 2]);
  const levels = { alpha: 0.1, delta: 0.1 };
  const init = new nn.Init({ seed: 1 });
  const parameters = [engine.tensor([1, 2]).requiresGrad()];
  const vit = { classes: 2, seed: 1 };
  const table = calibration.createTable({ logits: new Float32Array(8), labels: [0, 1], shape: [2, 2, 2] });
  const scored = calibration.cascade(table);
  const outcomes = calibration.outcomes(table);
  const adam = { values: row, grads: row, m: row, v: row, now: engine.zeros([8]) };
  const sgd = { values: row, grads: row, hyper: row };
  const losses = { losses: Float64Array.of(0, 0), lambdas: Float64Array.of(0, 1) };
  const counts = { accepted: new Float64Array(1), errors: new Float64Array(1) };
  const grid = { scores: [1], errors: [0], grid: [0] };
  const network = exits.multiExit(nn.resnet({ depth: 8, classes: 2, widths: [4, 4, 4], input: [4, 4, 1], seed: 1 }), {
    after: ["stage1"],
  });
  const png = { file: "a.png", channels: 1 };
  const norm = { eps: 1e-5 };
  return {
    x,
    row,
    index,
    one,
    stacked,
    levels,
    init,
    parameters,
    vit,
    table,
    scored,
    outcomes,
    adam,
    sgd,
    losses,
    counts,
    grid,
    network,
    png,
    norm,
  };
}

type Things = ReturnType<typeof things>;

type CallsOfEntry = Calls[string];

const engineCalls = ({ x, row, one, adam, sgd }: Things): CallsOfEntry => ({
  Generator: [o({ seed: 1 })],
  adamStep: [adam, o({ beta2: 0.9, eps: 1 })],
  advanceStep: [{ hyper: row, step: one }, o()],
  arange: [0, 2, 1, o()],
  backward: [x, o()],
  bernoulli: [[2], o({ seed: 1, p: 0.5 })],
  capture: [o(), () => undefined],
  concat: [[x, x], o()],
  createDevice: [o()],
  createPortableDevice: [o()],
  empty: [[2], o()],
  eye: [2, o()],
  full: [[2], 1, o()],
  grad: [() => x, o()],
  gradNorm: [row, o({ maxNorm: 1 })],
  groupNorm: [x, undefined, undefined, o({ numGroups: 1 })],
  gradcheck: [() => x, [x], o()],
  normaliseImages: [one, o({ shape: [1, 2, 2, 1], mean: [0], std: [1] })],
  ones: [[2], o()],
  pad: [row, [[0, 1]], o()],
  permutation: [2, o({ seed: 1 })],
  rand: [[2], o({ seed: 1 })],
  randint: [[2], o({ seed: 1, high: 2 })],
  randn: [[2], o({ seed: 1 })],
  readSafetensors: [new ArrayBuffer(0), o()],
  describeCaptures: [{}, o()],
  encodeCaptures: [{}, o()],
  loadCaptures: [new ArrayBuffer(0), o()],
  saveCaptures: ["a", {}, o()],
  rmspropStep: [{ values: row, grads: row, v: row, lr: row }, o({ alpha: 0.9, eps: 1 })],
  sgdStep: [sgd, o()],
  stack: [[x, x], o()],
  tensor: [[1, 2], o()],
  topk: [x, 1, o()],
  valueAndGrad: [() => x, o()],
  zeros: [[2], o()],
});

const nnCalls = ({ init, parameters, vit, network, norm }: Things): CallsOfEntry => ({
  Init: [o({ seed: 1 })],
  loadTorch: [network, new Map(), o()],
  BatchNorm2d: [2, init, o(norm)],
  Conv2d: [2, 2, init, o({ kernel: 1 })],
  GroupNorm: [1, 2, init, o(norm)],
  LayerNorm: [2, init, o(norm)],
  Linear: [2, 2, init, o()],
  Adam: [parameters, o({ lr: 1 })],
  AdamW: [parameters, o({ lr: 1 })],
  EMA: [parameters, o({ decay: 0.9 })],
  RMSprop: [parameters, o({ lr: 1 })],
  SGD: [parameters, o({ lr: 1 })],
  clipGradNorm: [engine.flatten([engine.tensor([1, 2]).requiresGrad()]), o({ maxNorm: 1 })],
  BasicBlock: [2, 2, init, o()],
  ConvNorm: [2, 2, init, o({ kernel: 1 })],
  SqueezeExcitation: [2, 2, init, o({ inner: "relu", gate: "sigmoid" })],
  InvertedResidual: [
    o({ inputs: 2, expanded: 4, outputs: 2, kernel: 3, stride: 1, activation: "relu", norm: {} }),
    init,
  ],
  MobileNetV3: [o(vit)],
  mobilenetV3: [o(vit)],
  EfficientNet: [o(vit)],
  efficientnet: [o(vit)],
  ConvNeXt: [o({ ...vit, dims: [2], depths: [1] })],
  convnext: [o({ ...vit, dims: [2], depths: [1] })],
  Bottleneck: [4, 4, init, o()],
  CifarResNet: [o({ depth: 8, ...vit })],
  ImageNetResNet: [o({ depth: 18, seed: 1 })],
  imageNetResnet: [o({ depth: 18, seed: 1 })],
  MSDNet: [o({ ...vit, blocks: 2, base: 1, step: 1, channels: 2, growth: 2 })],
  msdnet: [o({ ...vit, blocks: 2, base: 1, step: 1, channels: 2, growth: 2 })],
  resnet: [o({ depth: 8, ...vit })],
  lrCosine: [o({ baseLr: 1, steps: 1 })],
  lrCosineWarmup: [o({ baseLr: 1, steps: 1, warmupSteps: 0 })],
  lrMultiStep: [o({ baseLr: 1, milestones: [] })],
  lrOneCycle: [o({ maxLr: 1, steps: 1 })],
  momentumOneCycle: [o({ steps: 1 })],
  TransformerBlock: [2, 1, init, o()],
  VisionTransformer: [o({ imgSize: 4, patchSize: 2, embedDim: 2, depth: 1, numHeads: 1, ...vit })],
  vit: [o({ imgSize: 4, patchSize: 2, embedDim: 2, depth: 1, numHeads: 1, ...vit })],
  vitSmall: [o(vit)],
  vitSmallImage: [o(vit)],
  vitTiny: [o(vit)],
});

const exitsCalls = ({ x, row, index, stacked, network }: Things): CallsOfEntry => ({
  exitDecide: [x, index, row, { answers: index, exits: index, scores: row }, o({ exit: 0 })],
  exitGates: [stacked, index, row, o({ mode: "soft" })],
  exitTally: [stacked, index, engine.zeros([exits.tallySize(2)]), o()],
  boostLosses: [stacked, index, o()],
  boostedLogits: [stacked, o()],
  buildNetwork: [{}, o()],
  calexnetLosses: [stacked, x, x, o()],
  measureCosts: [network, o({ rounds: 1, batch: 1 })],
  deploy: [network, { thresholds: [0.5] }, o()],
  encodeModel: [network, o({ classes: [], normalise: {} })],
  load: ["a", o()],
  readModel: ["a", o()],
  readPolicy: [network, { thresholds: [0.5] }, o()],
  onnxFiles: [network, {}, o()],
  saveModel: ["a", network, o({ classes: [], normalise: {} })],
  loadRecorded: [new ArrayBuffer(0), o()],
  recordModel: [new ArrayBuffer(0), o()],
  dkd: [x, x, index, o({ temperature: 1 })],
  erdeLosses: [stacked, stacked, index, o()],
  gradientEquilibrium: [x, o({ exit: 0, exits: 2 })],
  jeiDnnLosses: [stacked, index, { weight: engine.zeros([1, 4]), bias: engine.zeros([1]) }, o({ costs: [0.5, 1] })],
  kd: [x, x, o({ temperature: 1 })],
  lineReport: [{ write: () => undefined }, o()],
  multiExit: [network.backbone, o({ after: ["stage1"] })],
  pteeLoss: [stacked, x, index, o({ costs: [0.5, 1] })],
  exitTargets: [stacked, index, o()],
  selectiveLosses: [stacked, x, index, o()],
  selfDistillation: [stacked, stacked, index, o()],
  train: [network, {}, o({ epochs: 1, method: exits.joint })],
  ztwHead: [x, x, { normWeight: row, normBias: row, weight: x, bias: row }, o()],
});

const calibrationCalls = ({ levels, table, scored, outcomes, losses, counts, grid }: Things): CallsOfEntry => ({
  fitGate: [outcomes, o()],
  fixedThreshold: [table, o({ threshold: 0.5 })],
  precisionMargins: [table, o()],
  bootstrap: [() => 1, 2, o()],
  bootstrapAll: [() => ({ a: 1 }), 2, o()],
  clopperPearson: [0, 10, o({ alpha: 0.1 })],
  withCosts: [
    table,
    o({
      measured: {
        adapter: "",
        times: [{ batch: 1, rows: [1], passing: [[1], [2]], alone: [1, 2], compaction: 0 }],
      },
    }),
  ],
  meetBudget: [table, { cost: 1 }, o()],
  controlRisk: [table, o({ alpha: 0.1 })],
  classPrecisionMargin: [scored, o()],
  conformalRiskControl: [losses, o({ alpha: 0.1 })],
  ucbThreshold: [losses, o(levels)],
  marginCurve: [scored, scored, [0.1], o()],
  ece: [[0.5], [1], o()],
  reliability: [[0.5], [1], o()],
  eefp: [{ scores: new Float64Array(2), errors: new Uint8Array(2), exits: 2 }, o({ population: "all" })],
  evaluate: [table, o()],
  evaluatePolicy: [table, { thresholds: [0.5], score: "maxProb", ids: undefined }, o()],
  createExchangeabilityMonitor: [[0.5], o({ delta: 0.1 })],
  testExchangeability: [[0.5], [0.5], o()],
  fit: [table, o({ method: "temperature" })],
  fixedSequence: [counts, o(levels)],
  learnThenTest: [table, o(levels)],
  checkLevels: ["op", o(levels)],
  sequentialSurvivors: [
    { scores: [1], errors: [0], validationScores: [1], earlyExits: 1, gridQuantiles: [0.5] },
    o(levels),
  ],
  lttPooled: [{ ...grid, earlyExits: 1 }, o(levels)],
  lttThreshold: [grid, o(levels)],
  createCascadeMonitor: [o({ ...levels, exits: 2 })],
  createDeploymentMonitor: [o({ ...levels, exits: 2 })],
  createRiskMonitor: [o(levels)],
  calibrateNestedSets: [table, o({ method: "thr", alpha: 0.1 })],
  nestedSets: [[1, 1], o({ exits: 1, classes: 2, alpha: 0.1 })],
  encodePolicy: [o({ result: { ok: false } })],
  safeKdReleasedCode: [outcomes, o({ delta: 0.1 })],
  safeKdText: [outcomes, o({ delta: 0.1 })],
  fitConfidenceScaler: [[0.5], [1], "histogram", o()],
  fitLogitScaler: [table, 0, "temperature", o()],
  cascadeFromScores: [o({ scores: [0.5], errors: [0], exits: 1 })],
  calibrateSets: [{ logits: new Float32Array(2), classes: 2, labels: [0] }, o({ method: "thr", alpha: 0.1 })],
  setRule: [new Float64Array(1), o({ method: "thr", alpha: 0.1 }), "event"],
  setScores: [{ logits: new Float32Array(2), classes: 2 }, o({ method: "thr", alpha: 0.1 })],
  createPopulation: [o()],
  createTable: [o({ logits: new Float32Array(2), labels: [0], shape: [1, 1, 2] })],
});

const dataCalls = ({ png }: Things): CallsOfEntry => ({
  cifar10: [o()],
  cifar100: [o()],
  cinic10: [o()],
  fashionMnist: [o()],
  indianPines: [o()],
  mnist: [o()],
  svhn: [o()],
  glyphs: [o()],
  npz: ["a.npz", o()],
  corrupt: [{}, o({ name: "fog", severity: 1 })],
  createAugmenter: [o(), [2, 2, 1], [0]],
  createLoader: [{}, o({ batch: 1 })],
  drawCropFlip: [o(), new data.Stream(1, "test")],
  decodeCifarPickle: [new Uint8Array(), o({ file: "a", labels: ["labels"] })],
  decodeCifar: [new Uint8Array(), o({ file: "a", labelBytes: 1 })],
  decodeIdx: [new Uint8Array(), o({ file: "a", rank: 1 })],
  decodeMat5: [new Uint8Array(), "a", o()],
  decodeJpeg: [new Uint8Array(), o(png)],
  decodePicture: [new Uint8Array(), o(png)],
  decodePng: [new Uint8Array(), o(png)],
  fromPixels: [new Blob(), o({ input: [1, 1, 1] })],
  pictureFolder: ["folder", o()],
  gunzip: [new Uint8Array(), "a", o()],
  lookFor: [data.MNIST_SOURCE, o()],
  openNpz: [new Uint8Array(), "a", o()],
  zipEntries: [{ size: 0, read: () => new Uint8Array() }, o({ where: "a", file: "a" })],
});

const CALLS: Readonly<Record<string, (given: Things) => CallsOfEntry>> = {
  engine: engineCalls,
  nn: nnCalls,
  exits: exitsCalls,
  calibration: calibrationCalls,
  data: dataCalls,
};

/** Signatures of the functions of an entry. */
const signaturesOf = (entry: string): Map<string, string> =>
  signatures(fileURLToPath(new URL(`../${entry}`, import.meta.url)));

/**
 * Ops that take tensors one by one and then options need no call above: their row has tensors for one, and unknown
 * names are refused before missing ones. Each with the inputs of its first case, padded up to the options.
 */
async function regularOps(): Promise<Map<string, (Draw | undefined)[]>> {
  const texts = signaturesOf("engine");
  const found = new Map<string, (Draw | undefined)[]>();
  for (const { op, cases } of await opRows()) {
    const list = parameterList(texts.get(op) ?? "");
    const at = list.findIndex((one) => one.startsWith("options: "));
    const inputs = Object.values(cases[0]?.inputs ?? {});
    if (inputs.length > at || !list.slice(0, at).every((one) => /^\w+\??: Tensor$/.test(one))) continue;
    found.set(op, [...inputs, ...Array<undefined>(at - inputs.length).fill(undefined)]);
  }
  return found;
}

const regular = await regularOps();

/** The calls of an entry's functions. */
function callsOf(entry: string): Calls[string] {
  const own = CALLS[entry]?.(things()) ?? {};
  if (entry !== "engine") return own;
  const ops = [...regular].map(([op, inputs]) => {
    const given = inputs.map((draw) => draw && engine.zeros(draw.shape, { dtype: draw.dtype ?? "f32" }));
    return [op, [...given, o()]] as const;
  });
  return { ...Object.fromEntries(ops), ...own };
}

/** Bases that their subclasses check for, and what only the library makes. */
const INNER = new Set(["Optimizer", "Classifier", "Evaluator", "MultiExit", "Run"]);

const test = suite("options of all functions");

test("every function whose parameters hold options is called", () => {
  const takes = Object.entries(ENTRIES).flatMap(([entry, exported]) => {
    const found = signaturesOf(entry);
    const names = Object.keys(exported).filter((name) => takesOptions(found.get(name) ?? "") && !INNER.has(name));
    return names.map((name) => `${entry}.${name}`);
  });
  assert.ok(takes.length > 150, `${takes.length} functions`);
  const source = Object.values(CALLS).join("\n");
  const missing = takes.filter((taken) => {
    const name = taken.split(".")[1] ?? "";
    return !regular.has(name) && !new RegExp(`\\b${name}\\b`).test(source);
  });
  assert.equal(missing, []);
});

const gpu = gpuSuite("options of all functions, given wrong");

/** What `fn` says to these arguments, thrown or rejected. */
async function answerOf(fn: unknown, args: readonly unknown[]): Promise<unknown> {
  try {
    const isClass = /^class\b/.test(Function.prototype.toString.call(fn));
    return await (isClass
      ? Reflect.construct(fn as new () => unknown, args)
      : (fn as (...given: unknown[]) => unknown)(...args));
  } catch (error) {
    return error;
  }
}

for (const entry of Object.keys(ENTRIES)) {
  gpu(`${entry}: an unknown name, a Promise and a number`, async () => {
    device();
    // Nothing else runs meanwhile, so the scope may stay open over the awaits.
    using _made = engine.openScope();
    for (const [name, args] of Object.entries(callsOf(entry) as Readonly<Record<string, readonly unknown[]>>)) {
      const fn = ENTRIES[entry]?.[name];
      assert.type(fn, "function", `${entry} must export ${name}`);
      const given = (change: (valid: object) => unknown) =>
        args.map((arg) => (arg instanceof Options ? change(arg.valid) : arg));
      for (const [change, wanted] of [
        [(valid: object) => ({ ...valid, surplus: 1 }), /: unknown option "surplus"\..* It takes /],
        [(valid: object) => Promise.resolve(valid), /must be a plain object; got a Promise \(is an await missing\?\)/],
        [() => 3, /must be a plain object; got 3/],
      ] as const) {
        const answer = await answerOf(fn, given(change));
        assert.instance(answer, engine.SortieError, `${name}: ${String(answer)}`);
        assert.match((answer as Error).message, wanted, `${name}: ${String(answer)}`);
      }
    }
  });
}
