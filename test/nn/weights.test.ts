// PyTorch's state dicts: names and layouts both ways, and what is said of files that do not fit. The files are made
// here.

import { randn, type StoredTensor } from "../../engine/index.ts";
import {
  convnext,
  EVAL,
  efficientnet,
  fromTorchName,
  loadTorch,
  type Module,
  mobilenetV3,
  type Renames,
  resnet,
  TORCHVISION,
  toTorch,
  toTorchName,
  vit,
} from "../../nn/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("nn: PyTorch's weight files");

/** What PyTorch would save of a network: its names and layouts, and the counters of batch norms. */
async function stateDict(net: Module, renames?: Renames): Promise<Map<string, StoredTensor>> {
  const saved = new Map<string, StoredTensor>();
  for (const [name, tensor] of net.state()) {
    const { shape, data } = toTorch(name, { shape: tensor.shape, data: await tensor.read() });
    saved.set(toTorchName(name, renames), { dtype: "F32", shape, data: Float32Array.from(data) });
    if (name.endsWith("runningVar"))
      saved.set(toTorchName(name, renames).replace("running_var", "num_batches_tracked"), {
        dtype: "I64",
        shape: [],
        data: BigInt64Array.of(7n),
      });
  }
  return saved;
}

const small = (classes: number, seed: number) =>
  resnet({ depth: 8, classes, input: [8, 8, 3], widths: [4, 4, 8], seed });
const tinyVit = (classes: number, seed: number) =>
  vit({ imgSize: 8, patchSize: 4, embedDim: 8, depth: 2, numHeads: 2, classes, seed });

test("names and layouts are PyTorch's", async () => {
  const net = small(5, 1);
  const saved = await stateDict(net, TORCHVISION);
  assert.ok(saved.has("layer2.0.downsample.0.weight") && saved.has("layer1.0.bn1.running_mean"));
  assert.is(fromTorchName("layer3.0.downsample.1.running_var", TORCHVISION), "layer3.0.shortcut.1.runningVar");
  const conv = saved.get("conv1.weight")!;
  assert.equal(conv.shape, [4, 3, 3, 3]);
  const ours = await net.conv1.weight.read();
  // Output channel 2, input channel 1, row 0, column 2.
  assert.is(conv.data[2 * 27 + 1 * 9 + 0 * 3 + 2], ours[((0 * 3 + 2) * 3 + 1) * 4 + 2]);
  const linear = saved.get("linear.weight")!;
  assert.equal(linear.shape, [5, 8]);
  assert.is(linear.data[3 * 8 + 6], (await net.linear.weight.read())[6 * 5 + 3]);
});

test("a network that loads another's file answers as the other does", async () => {
  const x = randn([2, 8, 8, 3], { seed: 3 });
  const pairs = [
    [small(5, 1), small(5, 2), TORCHVISION],
    [tinyVit(5, 1), tinyVit(5, 2), undefined],
  ] as const;
  for (const [from, to, renames] of pairs) {
    const report = loadTorch(to, await stateDict(from, renames));
    assert.equal(report, { missing: [], unexpected: [], mismatched: [] });
    assert.equal(await to.forward(x, EVAL).read(), await from.forward(x, EVAL).read());
  }
});

/** timm's prefixes of MobileNetV3-Small and EfficientNet-B0, in the order of computation. */
function mobilePrefixes(stages: readonly (readonly ["ds" | "ir" | "cn", squeezes: boolean])[][]): string[] {
  const squeezing = (at: string) => [`${at}.se.conv_reduce`, `${at}.se.conv_expand`];
  const blocks = stages.flatMap((blocks, i) =>
    blocks.flatMap(([kind, squeezes], j) => {
      const at = `blocks.${i}.${j}`;
      const se = squeezes ? squeezing(at) : [];
      if (kind === "cn") return [`${at}.conv`, `${at}.bn1`];
      if (kind === "ds") return [`${at}.conv_dw`, `${at}.bn1`, ...se, `${at}.conv_pw`, `${at}.bn2`];
      const wide = [`${at}.conv_pw`, `${at}.bn1`, `${at}.conv_dw`, `${at}.bn2`];
      return [...wide, ...se, `${at}.conv_pwl`, `${at}.bn3`];
    }),
  );
  return ["conv_stem", "bn1", ...blocks];
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

/** Networks that timm names otherwise than torchvision, small, with its prefixes in the order of ours. */
const TIMM = [
  [
    "mobilenetv3_small_100",
    (seed: number) => mobilenetV3({ classes: 5, input: [16, 16, 3], widthMult: 0.25, stemStride: 1, seed }),
    [
      ...mobilePrefixes([
        [["ds", true]],
        times(2, ["ir", false] as const),
        times(3, ["ir", true] as const),
        times(2, ["ir", true] as const),
        times(3, ["ir", true] as const),
        [["cn", false]],
      ]),
      ...["conv_head", "classifier"],
    ],
  ],
  [
    "efficientnet_b0",
    (seed: number) => efficientnet({ classes: 5, input: [16, 16, 3], widthMult: 0.25, stemStride: 1, seed }),
    [
      ...mobilePrefixes([[["ds", true]], ...[2, 2, 3, 3, 4, 1].map((count) => times(count, ["ir", true] as const))]),
      ...["conv_head", "bn2", "classifier"],
    ],
  ],
  [
    "convnext_tiny",
    (seed: number) => convnext({ classes: 5, input: [16, 16, 3], dims: [4, 8, 12], depths: [2, 1, 2], patch: 2, seed }),
    [
      ...["stem.0", "stem.1"],
      ...[2, 1, 2].flatMap((count, i) => [
        ...(i > 0 ? [`stages.${i}.downsample.0`, `stages.${i}.downsample.1`] : []),
        ...Array.from({ length: count }, (_, j) => `stages.${i}.blocks.${j}`).flatMap((at) => [
          ...[`${at}.conv_dw`, `${at}.norm`, `${at}.mlp.fc1`, `${at}.mlp.fc2`, at],
        ]),
      ]),
      ...["head.norm", "head.fc"],
    ],
  ],
] as const;

/** What timm would save of one. */
async function timmDict(net: Module, prefixes: readonly string[]): Promise<Map<string, StoredTensor>> {
  const saved = await stateDict(net);
  const parentOf = (name: string) => name.replace(/\.[^.]+$/, "");
  const ours = [...new Set([...net.namedParameters().keys()].map((name) => toTorchName(parentOf(name))))];
  assert.is(ours.length, prefixes.length);
  const theirs = new Map(ours.map((name, i) => [name, prefixes[i] as string]));
  return new Map(
    [...saved].map(([name, tensor]) => {
      const called = `${theirs.get(parentOf(name))}.${name.slice(parentOf(name).length + 1)}`;
      if (called.endsWith(".layer_scale"))
        return [called.replace(/layer_scale$/, "gamma"), { ...tensor, shape: [tensor.data.length] }];
      const isConvolution = called === "conv_head.weight" && tensor.shape.length === 2;
      return [called, isConvolution ? { ...tensor, shape: [...tensor.shape, 1, 1] } : tensor];
    }),
  );
}

test("timm's names of mobile networks and ConvNeXt are known, and what of them is missing or left over is told", async () => {
  const x = randn([2, 16, 16, 3], { seed: 3 });
  for (const [name, make, prefixes] of TIMM) {
    const [from, to] = [make(1), make(2)];
    const saved = await timmDict(from, prefixes);
    assert.equal(loadTorch(to, saved), { missing: [], unexpected: [], mismatched: [] }, name);
    for (const [key, tensor] of from.state()) assert.equal(await to.state().get(key)!.read(), await tensor.read(), key);
    if (name === "convnext_tiny") assert.equal(await to.forward(x, EVAL).read(), await from.forward(x, EVAL).read());
    const [gone] = [...saved.keys()].filter((key) => key.endsWith("weight")).slice(3);
    saved.delete(gone as string);
    saved.set("norm_pre.weight", { dtype: "F32", shape: [1], data: Float32Array.of(0) });
    const report = loadTorch(to, saved, { strict: false });
    assert.equal([report.missing.length, report.unexpected, report.mismatched], [1, ["norm_pre.weight"], []], name);
  }
});

test("names that do not fit are the file's", async () => {
  const saved = await stateDict(small(5, 1), TORCHVISION);
  saved.delete("layer2.0.downsample.0.weight");
  saved.delete("layer1.0.bn1.running_mean");
  saved.set("layer4.0.bn1.running_mean", { dtype: "F32", shape: [1], data: Float32Array.of(0) });
  await failsWith(
    () => loadTorch(small(5, 2), saved),
    "ArgumentError",
    "loadTorch: names must agree; missing: [layer1.0.bn1.running_mean, layer2.0.downsample.0.weight], unexpected: [layer4.0.bn1.running_mean]. Pass { strict: false } to load what fits.",
  );
  assert.equal(loadTorch(small(5, 2), saved, { strict: false }), {
    missing: ["layer1.0.bn1.running_mean", "layer2.0.downsample.0.weight"],
    unexpected: ["layer4.0.bn1.running_mean"],
    mismatched: [],
  });
});

test("a file that keeps the model's own name of a projection is spoken of in it", async () => {
  const saved = await stateDict(small(5, 1));
  saved.delete("layer2.0.shortcut.0.weight");
  assert.equal(loadTorch(small(5, 2), saved, { strict: false }).missing, ["layer2.0.shortcut.0.weight"]);
});

test("other classes: the classifier is reported in PyTorch's layout and stays, the rest is loaded", async () => {
  const [from, to] = [tinyVit(1000, 1), tinyVit(10, 2)];
  const saved = await stateDict(from);
  const before = [await to.head.weight.read(), await to.head.bias!.read(), await to.posEmbed.read()] as const;
  await failsWith(
    () => loadTorch(to, saved),
    "ShapeError",
    "loadTorch: shapes must agree; got head.weight as [1000, 8] for [10, 8], head.bias as [1000] for [10]. Pass { strict: false } to load what fits.",
  );
  assert.equal(await to.posEmbed.read(), before[2]);
  const report = loadTorch(to, saved, { strict: false });
  assert.equal(report, {
    missing: [],
    unexpected: [],
    mismatched: [
      { name: "head.weight", given: [1000, 8], wanted: [10, 8] },
      { name: "head.bias", given: [1000], wanted: [10] },
    ],
  });
  assert.equal(await to.head.weight.read(), before[0]);
  assert.equal(await to.head.bias!.read(), before[1]);
  const own = to.state();
  for (const [name, tensor] of from.state()) {
    if (!name.startsWith("head")) assert.equal(await own.get(name)!.read(), await tensor.read(), name);
  }
});

test("a tensor of 64-bit integers is refused by name", async () => {
  const saved = await stateDict(small(5, 1));
  saved.set("linear.bias", { dtype: "I64", shape: [5], data: new BigInt64Array(5) });
  await failsWith(
    () => loadTorch(small(5, 2), saved),
    "FormatError",
    "loadTorch: weights must be numbers; got 64-bit integers for linear.bias.",
  );
});

test("what is no number and has no place in the model is listed as unexpected, as PyTorch does", async () => {
  const saved = await stateDict(small(5, 1));
  saved.set("relative_position_index", { dtype: "I64", shape: [1], data: BigInt64Array.of(1n) });
  saved.set("hashes", { dtype: "U64", shape: [1], data: BigUint64Array.of(1n) });
  saved.set("scale", { dtype: "raw", stored: "F8_E4M3", shape: [1], data: Uint8Array.of(1) });
  saved.set("position_ids", { dtype: "U32", shape: [1], data: Uint32Array.of(1) });
  const names = ["position_ids", "relative_position_index", "hashes", "scale"];
  assert.equal(loadTorch(small(5, 2), saved, { strict: false }), { missing: [], unexpected: names, mismatched: [] });
  await failsWith(
    () => loadTorch(small(5, 2), saved),
    "ArgumentError",
    `loadTorch: names must agree; missing: [], unexpected: [${names.join(", ")}]. Pass { strict: false } to load what fits.`,
  );
  saved.set("linear.bias", { dtype: "raw", stored: "F8_E4M3", shape: [5], data: new Uint8Array(5) });
  await failsWith(
    () => loadTorch(small(5, 2), saved, { strict: false }),
    "FormatError",
    "loadTorch: weights must be numbers; got F8_E4M3 for linear.bias.",
  );
});
