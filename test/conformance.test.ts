// The conformance cases beside this repository, where there are any, and the runner itself on cases made up here.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  backward,
  crossEntropy,
  randn,
  type StoredTensor,
  type Tensor,
  tensor,
  writeSafetensors,
} from "../engine/index.ts";
import * as exits from "../exits/index.ts";
import { EVAL, imageNetResnet, resnet, TORCHVISION, TRAIN, toTorch, toTorchName } from "../nn/index.ts";
import type { CaseTensor } from "./conformance/case.ts";
import { compareTensor } from "./conformance/compare.ts";
import { KINDS } from "./conformance/kinds.ts";
import { findCases, runFile } from "./conformance/runner.ts";
import { gpuSuite } from "./gpu.ts";
import { assert, suite } from "./harness.ts";

/** Folders of cases beside the repository, and the kinds of cases that are in them. */
const FOLDERS: Readonly<Record<string, readonly string[]>> = {
  conformance: Object.keys(KINDS),
  "conformance-mobile": ["model"],
};

for (const [name, kind] of Object.entries(FOLDERS).flatMap(([name, kinds]) =>
  kinds.map((kind) => [name, kind] as const),
)) {
  const folder = join(fileURLToPath(new URL(`../../shared/${name}`, import.meta.url)), kind);
  const skip = existsSync(folder) ? undefined : `there is no folder ../shared/${name}/${kind} beside the repository`;
  const test = (kind === "calibration" ? suite : gpuSuite)(`${name}: ${kind}`, { skip, isOptional: true });
  // Cases of ops that nothing runs yet are the runner's to report: it fails them by name.
  const isKnown = (name: string) => KINDS[kind]?.has(name.replace(/-\d+$/, ""));
  for (const name of skip === undefined ? findCases(folder).filter(isKnown) : []) {
    test(name, async () => {
      const verdict = await runFile(folder, name);
      if (verdict.status === "failed") throw new Error(verdict.reasons.join("; "));
    });
  }
}

const comparison = suite("conformance: comparison");
const f32 = (...data: number[]): CaseTensor => ({ dtype: "F32", shape: [data.length], data: Float32Array.from(data) });
const rule = { rtol: 0.125, atol: 0.25 };

comparison("accepts what lies within atol + rtol * |want|, and nothing beyond", () => {
  assert.is(compareTensor(f32(2.5, -1.5, 0.25), f32(2, -2, 0), rule), undefined);
  assert.is(
    compareTensor(f32(2.5, -4.75, 0), f32(2, -4, 0.5), rule),
    "worst error 0.500 at 2 of 3 (got 0, want 0.5), tolerance 0.25 + 0.125 * |want|",
  );
});

comparison("matches NaN with NaN and infinities with themselves alone", () => {
  const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
  assert.is(compareTensor(f32(nan, inf, -inf), f32(nan, inf, -inf), rule), undefined);
  for (const [got, want] of [
    [nan, 0],
    [0, nan],
    [inf, -inf],
    [inf, 3],
    [3, inf],
    [nan, inf],
  ] as const) {
    assert.match(compareTensor(f32(got), f32(want), { rtol: 1, atol: 1 }) ?? "", /^worst error /, `${got} for ${want}`);
  }
});

comparison("wants equal shapes, and equal dtypes and values of integers", () => {
  const i32 = (...data: number[]): CaseTensor => ({ dtype: "I32", shape: [data.length], data: Int32Array.from(data) });
  assert.is(compareTensor({ ...f32(1, 2), shape: [2, 1] }, f32(1, 2), rule), "shape [2, 1] instead of [2]");
  assert.is(compareTensor(f32(1), i32(1), rule), "dtype F32 instead of I32");
  assert.is(
    compareTensor(i32(7, 3), i32(7, 4), rule),
    "worst error 1.00 at 1 of 2 (got 3, want 4), tolerance equality",
  );
});

const made = gpuSuite("conformance: runner");
const folder = mkdtempSync(join(tmpdir(), "conformance-"));
made.after(() => rmSync(folder, { recursive: true }));

const x: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(-1, 3) };
const ones: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(1, 1) };

async function verdictOf(head: object, tensors: Record<string, StoredTensor>): Promise<string> {
  const text = JSON.stringify({ kind: "op", op: "square", attrs: {}, rtol: 0, atol: 1e-6, ...head });
  await writeSafetensors(join(folder, "case.safetensors"), Object.entries(tensors), { case: text });
  const verdict = await runFile(folder, "case");
  return verdict.status === "failed" ? verdict.reasons.join("; ") : verdict.status;
}

made("compares outputs and gradients; no gradient counts as zeros", async () => {
  const y: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(1, 9) };
  const dx: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(-2, 6) };
  assert.is(await verdictOf({}, { "in.x": x, "out.y": y, "cotangent.y": ones, "grad.x": dx }), "passed");
  const zeros: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(0, 0) };
  assert.is(await verdictOf({}, { "in.x": x, "out.y": y, "grad.x": zeros }), "passed");
  assert.is(
    await verdictOf({}, { "in.x": x, "out.y": ones, "cotangent.y": ones, "grad.x": ones }),
    "out.y: worst error 8.00 at 1 of 2 (got 9, want 1), tolerance 0.000001 + 0 * |want|; " +
      "grad.x: worst error 5.00 at 1 of 2 (got 6, want 1), tolerance 0.000001 + 0 * |want|",
  );
  const loose = { tolerances: { "out.y": { rtol: 0, atol: 10 } } };
  assert.is(await verdictOf(loose, { "in.x": x, "out.y": ones }), "passed");
});

made("fails an attribute that its runner does not look at", async () => {
  const y: StoredTensor = { dtype: "F32", shape: [2], data: Float32Array.of(1, 9) };
  const attrs = { power: 3, base: 2 };
  assert.is(
    await verdictOf({ attrs }, { "in.x": x, "out.y": y }),
    "attribute power is not used; attribute base is not used",
  );
  const given = { "in.x": x, "in.mask": x, "out.y": y };
  assert.is(await verdictOf({}, given), "Error: input mask is not used");
  const metric = { kind: "calibration", op: "areaUnderCurve", attrs: {} };
  const curve = { "in.cost": x, "in.accuracy": x, "in.weights": x };
  assert.is(await verdictOf(metric, curve), "Error: input weights is not used");
});

made("reads numbers as Python writes them", async () => {
  const text = JSON.stringify({ kind: "op", op: "clamp", attrs: { min: 0, max: 0.5 }, rtol: 0, atol: 0 });
  const bare = text
    .replace("0.5", "Infinity")
    .replace('"min":0', '"min":-Infinity')
    .replace(/}$/, ',"note":"-Infinity, NaN"}');
  await writeSafetensors(join(folder, "bare.safetensors"), Object.entries({ "in.x": x, "out.y": x }), { case: bare });
  const verdict = await runFile(folder, "bare");
  assert.equal(verdict, { status: "passed" }, "a text stays a text");
});

made("weights that an index names are no cases", () => {
  const deep = mkdtempSync(join(folder, "indexed-"));
  mkdirSync(join(deep, "model"));
  for (const name of ["a", "b"]) writeFileSync(join(deep, "model", `${name}.safetensors`), "");
  writeFileSync(join(deep, "index.json"), JSON.stringify({ cases: [{ weights: "model/b.safetensors" }, {}] }));
  assert.equal(findCases(deep), ["model/a"]);
});

/** A network's weights as PyTorch has them. */
const stored = (state: Iterable<readonly [string, Tensor]>, toFile: (name: string) => string) =>
  Promise.all(
    [...state].map(async ([name, value]): Promise<[string, StoredTensor]> => {
      const there = toTorch(name, { shape: value.shape, data: await value.read() });
      return [toFile(name), { dtype: "F32", shape: there.shape, data: Float32Array.from(there.data) }];
    }),
  );

made("a training step of a ResNet goes by torchvision's names", async () => {
  using net = imageNetResnet({ depth: 18, classes: 4, input: [32, 32, 3], seed: 3 });
  const name = (of: string) => toTorchName(of, TORCHVISION);
  await writeSafetensors(join(folder, "resnet.weights.safetensors"), await stored(net.state(), name));
  const images = randn([2, 32, 32, 3], { seed: 4 });
  const labels: StoredTensor = { dtype: "I32", shape: [2], data: Int32Array.of(1, 0) };
  const loss = crossEntropy(net.forward(images, TRAIN), tensor(labels.data as Int32Array));
  backward(loss);
  const projection = [...net.namedParameters()].find(([of]) => of.startsWith("layer2.0.shortcut"))!;
  const [[called, grad]] = (await stored([[projection[0], projection[1].grad]], name)) as [[string, StoredTensor]];
  assert.match(called, /^layer2\.0\.downsample\.0/);
  const tensors = {
    "in.x": { dtype: "F32", shape: images.shape, data: (await images.read()) as Float32Array<ArrayBuffer> },
    "in.labels": labels,
    "out.loss": { dtype: "F32", shape: [], data: Float32Array.of(await loss.item()) },
    [`grad.param.${called}`]: grad,
  } as const;
  const attrs = { arch: "resnet18", naming: "torchvision", numClasses: 4, mode: "train", loss: "crossEntropy" };
  const head = { kind: "model", op: "resnet18", weights: "resnet.weights.safetensors", attrs };
  assert.is(await verdictOf(head, tensors), "passed");
  images.dispose();
  loss.dispose();
});

made("runs the architecture that a case names", async () => {
  const net = resnet({ depth: 14, classes: 10, input: [8, 8, 3], shortcut: "A", seed: 3 });
  const images = randn([2, 8, 8, 3], { seed: 4 });
  const logits = net.forward(images, EVAL);
  await writeSafetensors(join(folder, "net.weights.safetensors"), await stored(net.state(), toTorchName));
  const tensors = {
    "in.x": { dtype: "F32", shape: images.shape, data: (await images.read()) as Float32Array<ArrayBuffer> },
    "out.logits": { dtype: "F32", shape: logits.shape, data: (await logits.read()) as Float32Array<ArrayBuffer> },
  } as const;
  const attrs = { arch: "cifarResNet14", numClasses: 10, shortcut: "A", mode: "eval" };
  const head = { kind: "model", op: "cifarResNet", weights: "net.weights.safetensors" };
  assert.is(await verdictOf({ ...head, attrs }, tensors), "passed");
  const beside = { ...head, weights: "elsewhere/net.weights.safetensors" };
  assert.is(await verdictOf({ ...beside, attrs }, tensors), "passed", "weights that lie beside the case");
  assert.match(await verdictOf({ ...head, attrs: { ...attrs, arch: "cifarResNet20" } }, tensors), /missing/);
  assert.match(await verdictOf({ ...head, attrs: { ...attrs, arch: "wide" } }, tensors), /attribute arch must be/);
  images.dispose();
  logits.dispose();
  net.dispose();
});

made("knows every loss that exits export, and runs cases of those without a reference", async () => {
  const text = readFileSync(new URL("./conformance/loss.ts", import.meta.url), "utf8");
  const losses = Object.entries(exits).flatMap(([name, value]) =>
    typeof value === "function" && /Loss(es)?$|^(kd|dkd|softCrossEntropy|selfDistillation|exitTargets)$/.test(name)
      ? [name]
      : [],
  );
  assert.ok(losses.length >= 15);
  assert.equal(
    losses.filter((name) => !text.includes(`${name}(`)),
    [],
  );
  const random = (shape: readonly number[], low = -2, high = 2): StoredTensor => {
    const size = shape.reduce((all, extent) => all * extent, 1);
    const data = Float32Array.from({ length: size }, (_, i) => low + (high - low) * ((i * 0.618034) % 1));
    return { dtype: "F32", shape: [...shape], data };
  };
  const labels: StoredTensor = { dtype: "I32", shape: [2], data: Int32Array.of(1, 0) };
  const [z, two] = [random([2, 2, 3]), random([2, 1], -1, 1)];
  const targets: StoredTensor = { dtype: "F32", shape: [2, 1], data: Float32Array.of(0, 1) };
  const zero: StoredTensor = { dtype: "F32", shape: [], data: Float32Array.of(0) };
  const ops: Record<string, { attrs?: object; inputs: Record<string, StoredTensor> }> = {
    softCrossEntropy: { inputs: { student: random([2, 3]), teacher: random([2, 3], -1, 3) } },
    deeperExits: { attrs: { from: "next" }, inputs: { logits: z } },
    selectiveNet: {
      attrs: { weights: [1, 1], coverage: 0.8, lambda: 32, alpha: 0.5 },
      inputs: { logits: z, confidence: two, labels },
    },
    eefpCgt: { attrs: { soft: false }, inputs: { logits: z, labels } },
    balancedGateLoss: { inputs: { gates: two, targets } },
    confidenceLosses: { inputs: { logits: random([2, 1, 3]), targets } },
    neoKd: { attrs: { alpha: 0.5, beta: 0.5 }, inputs: { logits: z, attacked: random([2, 2, 3], -1, 2), labels } },
    adaLoss: { attrs: { decay: 0.9 }, inputs: { logits: z, labels, means: random([2], 1, 2) } },
    beem: { inputs: { logits: z, labels } },
    eenet: { attrs: { late: true, alpha: 0.01, temperature: 3 }, inputs: { logits: z, labels } },
  };
  for (const [op, { attrs = {}, inputs }] of Object.entries(ops)) {
    const tensors = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [`in.${name}`, value]));
    // No loss is 0 here: the case is run, its attributes are read, and what is wrong is told.
    const verdict = await verdictOf({ kind: "loss", op, attrs }, { ...tensors, "out.loss": zero });
    assert.match(
      verdict,
      /^out\.loss: worst error [\d.e+-]+ at 0 of 1 \(got -?\d[^,]*, want 0\), tolerance [^;]*$/,
      op,
    );
  }
});

made("fails what it cannot run", async () => {
  assert.is(await verdictOf({ op: "sqare" }, { "in.x": x, "out.y": x }), "unknown op op/sqare");
  assert.is(await verdictOf({ kind: "kind" }, { "in.x": x, "out.y": x }), "unknown op kind/square");
  assert.is(await verdictOf({ op: "sqare", tags: ["nonfinite"] }, { "in.x": x, "out.y": x }), "unknown op op/sqare");
  assert.is(await verdictOf({}, { "in.x": x }), "the case expects nothing");
  assert.is(await verdictOf({}, { "in.x": x, "out.z": x }), "out.z: no value");
  assert.is(await verdictOf({}, { "out.y": x }), "Error: the case has no input x");
  assert.is(
    await verdictOf({ weights: "nowhere.weights.safetensors" }, { "in.x": x, "out.y": x }),
    "Error: its weights nowhere.weights.safetensors are in no folder above it, nor beside it",
  );
});

made("finds cases in folders within folders, and no weights", async () => {
  mkdirSync(join(folder, "a", "b"), { recursive: true });
  await writeSafetensors(join(folder, "a", "b", "deep.safetensors"), []);
  await writeSafetensors(join(folder, "a", "net.weights.safetensors"), []);
  assert.equal(findCases(join(folder, "a")), ["b/deep"]);
  const verdict = await runFile(join(folder, "a"), "b/deep");
  assert.equal(verdict, { status: "failed", reasons: ["Error: the file has no `case` in its metadata"] });
});
