// Long sums keep their digits: 10^6 and more equal numbers, on the launches of CPU adapters and of GPUs alike. In one
// chain of f32 additions they would lose three to four.

import * as s from "../../engine/index.ts";
import { exitTally, readTally, tallySize } from "../../exits/index.ts";
import { planReduce, type ReduceOp, reduceLines } from "../../kernels/reduce/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("long sums");
const VALUES = [0.1, 1 / 3, Math.PI].map(Math.fround);

/** Asserts that all elements agree with `want` to six digits. */
async function sixDigits(got: s.Tensor, want: number, title: string): Promise<void> {
  const data = await got.read();
  let worst = 0;
  for (const x of data) worst = Math.max(worst, Math.abs(x / want - 1));
  assert.ok(worst < 1e-6, `${title}: ${data[0]} for ${want}, off by ${worst.toExponential(1)}`);
}

test("means over all, lines, columns and scattered axes", async () => {
  for (const value of VALUES) {
    for (const [shape, dims] of [
      [[10_000_000], null],
      [[3, 500_003], 1],
      [[16384, 512], 0],
      [[16384, 37], 0],
      [[200_000, 12], 0],
      [[2, 100_000, 5], 1],
      [
        [400, 3, 400, 2],
        [0, 2],
      ],
    ] as const) {
      await sixDigits(
        s.scope(() => s.mean(s.full(shape, value), { dim: dims })),
        value,
        `[${shape}] over ${dims}`,
      );
    }
  }
});

for (const [name, traits] of Object.entries({
  "a CPU": { subgroupSize: 8, hasSubgroups: true, isSoftware: false },
  "a GPU": { subgroupSize: 32, hasSubgroups: true, isSoftware: false },
  "no subgroups": { subgroupSize: 0, hasSubgroups: false, isSoftware: false },
})) {
  test(`every layout of ${name}`, async () => {
    const { info } = device();
    // Shuffles of more lanes than this adapter's subgroups have go through workgroup memory here.
    const most = info.hasSubgroups ? Math.max(1, info.subgroupSize) : 1;
    for (const op of ["sum", "mean", "var", "logsumexp"] as const satisfies readonly ReduceOp[]) {
      for (const [outer, len, inner] of [
        [1, 1_000_000, 1],
        [520, 2000, 1],
        [1, 20_000, 16],
        [1, 30_000, 3],
      ] as const) {
        const value = VALUES[1] as number;
        const got = s.scope(() => {
          // Alternating signs about 0, whose squares are equal.
          const signs = s.tensor(op === "var" ? [[value], [-value]] : [[value], [value]]);
          const x = s.copy(s.expand(signs, [(outer * len) / 2, 2, inner]));
          let source: s.Tensor = x;
          const y = s.empty([outer * inner]);
          for (const { spec, dims, scratchBytes } of planReduce({ op, dtype: "f32", outer, len, inner }, traits)) {
            const target = scratchBytes > 0 ? s.empty([scratchBytes / 4], { dtype: "u32" }) : y;
            const own = { ...spec, shuffle: Math.min(spec.shuffle, most) };
            s.dispatch(device(), op, reduceLines, own, { x: source, y: target }, dims);
            source = target;
          }
          return y;
        });
        const want = { sum: len * value, mean: value, var: value * value, logsumexp: value + Math.log(len) }[op];
        await sixDigits(got, want, `${op} of [${outer}, ${len}, ${inner}]`);
      }
    }
  });
}

test("norms and losses along long rows, and what they sum over rows", async () => {
  const value = Math.fround(0.3);
  const n = 1_000_000;
  const signs = s.reshape(s.copy(s.expand(s.tensor([[value, -value]]), [n / 2, 2])), [n]);
  const y = s.layerNorm(s.reshape(signs, [1, n]), undefined, undefined, { eps: 0 });
  await sixDigits(s.abs(y), 1, "layerNorm");
  const z = s.groupNorm(s.reshape(signs, [1, n / 2, 2]), undefined, undefined, { numGroups: 1, eps: 0 });
  await sixDigits(s.abs(z), 1, "groupNorm");
  await sixDigits(s.softmax(s.full([1, n], value)), 1 / n, "softmax");
  await sixDigits(s.logSoftmax(s.full([n, 1], value), { dim: 0 }), -Math.log(n), "logSoftmax over columns");
  const one = s.tensor(Int32Array.of(1));
  await sixDigits(s.crossEntropy(s.full([1, n], value), one), Math.log(n), "crossEntropy");
  await sixDigits(s.mse(s.full([n], value), s.zeros([n])), value * value, "mse");
  await sixDigits(
    s.gradNorm(s.full([3 * n], value), { maxNorm: 1 }).slice({ ends: [1] }),
    value * Math.sqrt(3 * n),
    "gradNorm",
  );
});

test("sums over the rows of a batch", async () => {
  const value = Math.fround(0.3);
  const [rows, channels] = [400_000, 4];
  const g = s.full([rows, channels], value);
  const x = s.copy(s.expand(s.tensor([[[value], [-value]]]), [rows / 2, 2, channels])).reshape([rows, channels]);
  const parameter = () => s.ones([channels]).requiresGrad();
  const [mean, variance] = [s.zeros([channels]), s.ones([channels])];
  const want = rows * value;
  for (const [name, norm] of Object.entries({
    batchNorm: (w: s.Tensor, b: s.Tensor) =>
      s.batchNorm(x, w, b, mean, variance, { training: true, momentum: 1, eps: 0 }),
    layerNorm: (w: s.Tensor, b: s.Tensor) => s.layerNorm(x, w, b),
    groupNorm: (w: s.Tensor, b: s.Tensor) => s.groupNorm(x, w, b, { numGroups: 2 }),
  })) {
    const [w, b] = [parameter(), parameter()];
    s.backward(norm(w, b), { gradient: g });
    await sixDigits(b.grad, want, name);
  }
  await sixDigits(variance, (value * value * rows) / (rows - 1), "running variance");
  const bias = s.zeros([channels]).requiresGrad();
  s.backward(s.add(x, bias), { gradient: g });
  await sixDigits(bias.grad, want, "broadcast bias");
});

test("groupNorm of [N, C] takes no scratch of the input's size, and takes many samples", async () => {
  const [samples, channels] = [1_100_000, 4];
  const x = s.full([samples, channels], 0.5).requiresGrad();
  const w = s.ones([channels]).requiresGrad();
  const y = s.groupNorm(x, w, undefined, { numGroups: 4 });
  await device().sync();
  device().pool.trim();
  const before = device().memory();
  s.scope(() => s.backward(y, { gradient: s.ones([samples, channels]) }));
  await device().sync();
  const { bytes, pooled } = device().memory();
  // The gradient that stays, the upstream one, its copy by the tape's rules at most, and little else.
  assert.ok(bytes + pooled - before.bytes < 2.5 * x.bytes, `${(bytes + pooled - before.bytes) / x.bytes} times x`);
});

test("a tally of many steps", async () => {
  const [steps, loss] = [4000, Math.fround(0.1)];
  const totals = s.zeros([tallySize(1)]);
  const [logits, labels, step] = [s.zeros([3, 1, 2]), s.tensor(Int32Array.of(0, 1, 0)), s.full([], loss)];
  for (let i = 0; i < steps; i++) exitTally(logits, labels, totals, { loss: step });
  const tally = readTally(await totals.read());
  assert.equal([tally.samples, tally.steps], [3 * steps, steps]);
  assert.ok(Math.abs(tally.loss / loss - 1) < 2e-7, `loss ${tally.loss}`);
  assert.ok(Math.abs((tally.exitLosses[0] as number) / Math.log(2) - 1) < 2e-7, `exit ${tally.exitLosses[0]}`);
});
