// Small checks of the kernels that training lives on, against float64 on the CPU, of a deployed network, and figures of
// their speed.

import { cascade, createTable, decide, predictionsAt } from "../calibration/index.ts";
import {
  compact,
  conv2d,
  crossEntropy,
  type Device,
  gt,
  noGrad,
  randn,
  randomNormal,
  read,
  scope,
  type Tensor,
  tensor,
} from "../engine/index.ts";
import { deploy, multiExit } from "../exits/index.ts";
import { EVAL, resnet } from "../nn/index.ts";

/** One check: the largest deviation from float64, as a share of the largest value. */
export interface Check {
  readonly name: string;
  readonly error: number;
  readonly isOk: boolean;
}

/** Float32 sums of a few hundred products stay far below this. */
const TOLERANCE = 1e-4;

/** Numbers that are the same on every machine. */
const draw = (n: number, seed: number): Float32Array<ArrayBuffer> => randomNormal(n, { seed });

/** Runs all checks. An output that is not a number is an infinite error. */
export async function selfCheck(device: Device): Promise<readonly Check[]> {
  return [
    await check("matmul", ...checkMatmul(device)),
    ...(await checkConv(device)),
    await check("cross-entropy and its gradient", ...checkLoss(device)),
    await check("rows that stay", ...checkCompact(device)),
    await checkDeployed(device),
  ];
}

async function check(name: string, outputs: readonly Tensor[], expected: readonly ArrayLike<number>[]): Promise<Check> {
  const found = await read(outputs);
  for (const output of outputs) output.dispose();
  const error = Math.max(...expected.map((values, i) => deviation(found[i]!, values)));
  return { name, error, isOk: error <= TOLERANCE };
}

function deviation(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0;
  let worst = 0;
  for (let i = 0; i < expected.length; i++) {
    const distance = Math.abs(found[i]! - expected[i]!);
    if (!(distance < Number.POSITIVE_INFINITY)) return Number.POSITIVE_INFINITY;
    worst = Math.max(worst, distance);
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return worst / (largest || 1);
}

type Checked = [outputs: Tensor[], expected: ArrayLike<number>[]];

function checkMatmul(device: Device): Checked {
  const [m, k, n] = [65, 130, 33];
  const [a, b] = [draw(m * k, 1), draw(k * n, 2)];
  const expected = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let j = 0; j < n; j++) for (let p = 0; p < k; p++) expected[i * n + j]! += a[i * k + p]! * b[p * n + j]!;
  const y = scope(() => tensor(a, { shape: [m, k], device }).matmul(tensor(b, { shape: [k, n], device })));
  return [[y], [expected]];
}

/** A 3x3 convolution of stride 2 on an odd image, forwards and both gradients. */
async function checkConv(device: Device): Promise<readonly Check[]> {
  const [b, side, c, o, out] = [2, 9, 5, 7, 5];
  const [x, w, g] = [draw(b * side * side * c, 3), draw(9 * c * o, 4), draw(b * out * out * o, 5)];
  const [y, dx, dw] = [new Float64Array(g.length), new Float64Array(x.length), new Float64Array(w.length)];
  // Every product of the convolution once: its share of the output and of both gradients.
  for (let i = 0; i < b * out * out * 9 * c * o; i++) {
    const [z, ci, tap, at] = [i % o, Math.floor(i / o) % c, Math.floor(i / (o * c)) % 9, Math.floor(i / (o * c * 9))];
    const [row, column] = [2 * (Math.floor(at / out) % out) + Math.floor(tap / 3) - 1, 2 * (at % out) + (tap % 3) - 1];
    if (row < 0 || column < 0 || row >= side || column >= side) continue;
    const from = ((Math.floor(at / (out * out)) * side + row) * side + column) * c + ci;
    const weight = (tap * c + ci) * o + z;
    y[at * o + z]! += x[from]! * w[weight]!;
    dx[from]! += g[at * o + z]! * w[weight]!;
    dw[weight]! += g[at * o + z]! * x[from]!;
  }
  const outputs = scope(() => {
    const image = tensor(x, { shape: [b, side, side, c], device }).requiresGrad();
    const kernel = tensor(w, { shape: [3, 3, c, o], device }).requiresGrad();
    const result = conv2d(image, kernel, undefined, { stride: 2, padding: 1 });
    result
      .mul(tensor(g, { shape: result.shape, device }))
      .sum()
      .backward();
    return [result.detach(), image.grad.copy(), kernel.grad.copy()] as const;
  });
  return [
    await check("convolution", [outputs[0]], [y]),
    await check("its gradients", [outputs[1], outputs[2]], [dx, dw]),
  ];
}

function checkLoss(device: Device): Checked {
  const [n, c] = [37, 10];
  const z = draw(n * c, 6);
  const labels = Int32Array.from({ length: n }, (_, i) => (7 * i) % c);
  const gradient = new Float64Array(n * c);
  let loss = 0;
  for (let i = 0; i < n; i++) {
    const powers = Array.from(z.subarray(i * c, (i + 1) * c), Math.exp);
    const total = powers.reduce((sum, value) => sum + value, 0);
    for (let j = 0; j < c; j++) gradient[i * c + j] = (powers[j]! / total - Number(j === labels[i])) / n;
    loss -= Math.log(powers[labels[i]!]! / total) / n;
  }
  const outputs = scope(() => {
    const logits = tensor(z, { shape: [n, c], device }).requiresGrad();
    const found = crossEntropy(logits, tensor(labels, { device }));
    found.backward();
    return [found.detach(), logits.grad.copy()];
  });
  return [outputs, [[loss], gradient]];
}

function checkCompact(device: Device): Checked {
  const values = draw(1000, 7);
  const stays = Array.from(values.keys()).filter((i) => values[i]! > 0.5);
  const { indices, count } = scope(() => compact(gt(tensor(values, { device }), 0.5)));
  return [
    [indices, count],
    [stays, [stays.length]],
  ];
}

/**
 * A network of 16, 32 and 64 channels with two exits, deployed: the share of images whose class, exit or score are not
 * those of the same network run whole. Wide enough for several tiles of columns, and batches of which the last is not
 * full.
 */
async function checkDeployed(device: Device): Promise<Check> {
  const [n, classes, side] = [19, 7, 8];
  using net = multiExit(resnet({ depth: 8, classes, input: [side, side, 3], seed: 1, device }), { after: ["stage2"] });
  const images = draw(n * side * side * 3, 8);
  const logits = scope(() => noGrad(() => net.forward(tensor(images, { shape: [n, side, side, 3], device }), EVAL)));
  const values = (await logits.read()) as Float32Array;
  logits.dispose();
  const table = cascade(createTable({ logits: values, labels: new Int32Array(n), shape: [n, 2, classes] }), "maxLogit");
  const threshold = between(Array.from({ length: n }, (_, i) => table.scores[2 * i]!));
  using classifier = await deploy(net, { thresholds: [threshold], score: "maxLogit" }, { batch: 8 });
  const { classes: answers, exits, scores } = await classifier.classify(images);
  const wantedExits = decide(table, threshold);
  const wanted = predictionsAt(table, wantedExits);
  const isWrong = (i: number) => {
    const score = table.scores[2 * i + wantedExits[i]!]!;
    return (
      exits[i] !== wantedExits[i] ||
      answers[i] !== wanted[i] ||
      Math.abs(scores[i]! - score) > TOLERANCE * (1 + Math.abs(score))
    );
  };
  const error = Array.from({ length: n }, (_, i) => Number(isWrong(i))).reduce((sum, wrong) => sum + wrong, 0) / n;
  return { name: "deployed network", error, isOk: error === 0 };
}

/** Between two values in the middle, so that no value is it, however many there are. */
function between(values: readonly number[]): number {
  const half = values.length >> 1;
  const [below = Number.NaN, above = Number.NaN] = values.toSorted((a, b) => a - b).slice(half - 1);
  return (below + above) / 2;
}

/** What the machine does. */
export interface Speed {
  /** 10^9 floating-point operations a second in a product of 512 x 512 matrices. */
  readonly gigaflops: number;
  /** 10^9 bytes a second, read and written, in a sum of 2^22 floats. */
  readonly gigabytes: number;
  /** Microseconds for a small op, queued eagerly. */
  readonly dispatch: number;
}

/** Measures for about a second and a half. */
export async function measureSpeed(device: Device): Promise<Speed> {
  const inputs = scope(() => {
    const square = randn([512, 512], { seed: 1, device });
    const long = randn([2 ** 22], { seed: 2, device });
    return { square, long, small: randn([256], { seed: 3, device }) };
  });
  const { square, long, small } = inputs;
  const seconds = {
    product: await bestSeconds(device, 1, () => square.matmul(square)),
    sum: await bestSeconds(device, 1, () => long.add(long)),
    dispatch: await bestSeconds(device, 200, () => small.add(small)),
  };
  for (const input of Object.values(inputs)) input.dispose();
  return {
    gigaflops: (2 * 512 ** 3) / seconds.product / 1e9,
    gigabytes: (3 * 4 * 2 ** 22) / seconds.sum / 1e9,
    dispatch: 1e6 * seconds.dispatch,
  };
}

/** Seconds per call: the fastest of the rounds that fit into half a second, at least three, after one to warm up. */
async function bestSeconds(device: Device, calls: number, fn: () => Tensor): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  const end = performance.now() + 500;
  for (let round = 0; round < 4 || performance.now() < end; round++) {
    const start = performance.now();
    noGrad(() =>
      scope(() => {
        for (let i = 0; i < calls; i++) fn();
      }),
    );
    await device.sync();
    if (round > 0) best = Math.min(best, (performance.now() - start) / 1000 / calls);
  }
  return best;
}
