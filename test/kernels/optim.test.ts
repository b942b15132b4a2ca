// Optimisers, norms and clipping of flat buffers against float64.

import {
  clipCoefficient,
  type NormSpec,
  normPartials,
  partialCount,
  scaleByClip,
} from "../../kernels/optim/norm-clip.ts";
import {
  adamKernel,
  BLOCK,
  emaKernel,
  logBeta,
  NOW,
  optimAdvance,
  packHyper,
  rmspropKernel,
  sgdKernel,
} from "../../kernels/optim/optim.ts";
import { adapterSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { close, runByName, runKernel, sample } from "./lab.ts";

const test = adapterSuite("optim");

const SIZES = [1, 31, 33, 256, 257, 1028];
const STEPS = 4;
const widthOf = (n: number): 1 | 4 => (n % 4 === 0 ? 4 : 1);

/** Every other block of parameters is excluded from weight decay, the third one decays doubly. */
const decayOf = (n: number): Float32Array =>
  Float32Array.from({ length: Math.ceil(n / BLOCK) }, (_, k) => [1, 0, 2][k % 3] as number);

/** One parameter's history in float64, by PyTorch's rule: called once a step with its gradient. */
type Rule = (w: number, g: number, lr: number, weightDecay: number, t: number) => number;

interface Check {
  readonly title: string;
  readonly state: readonly string[];
  readonly rule: () => Rule;
  readonly step: (
    width: 1 | 4,
    dims: { n: number; weightDecay: number },
    buffers: Record<string, Float32Array>,
  ) => Promise<Record<string, { f32: Float32Array }>>;
  readonly momentum?: number;
  readonly beta2?: number;
  readonly weightDecay?: number;
  readonly decay: "none" | "all" | "blocks";
  readonly clip?: number;
  readonly dampening?: number;
}

async function check(row: Check, n: number): Promise<void> {
  const { state, rule, step, decay, clip = 1, dampening = 0, momentum = 0, beta2 = 0.5, weightDecay = 0 } = row;
  const buffers: Record<string, Float32Array> = { w: sample(n, 3), decay: decayOf(n), clip: Float32Array.of(9, clip) };
  for (const name of state) buffers[name] = new Float32Array(n);
  const want = Float64Array.from(buffers["w"] as Float32Array);
  const rules = Array.from({ length: n }, rule);
  let steps: Uint32Array = new Uint32Array(1);
  for (let t = 1; t <= STEPS; t++) {
    const lr = 0.1 / t;
    buffers["g"] = sample(n, 10 + t);
    buffers["hyper"] = packHyper(lr, momentum);
    buffers["lr"] = Float32Array.of(lr, momentum);
    const advanced = await runByName(
      optimAdvance,
      {},
      { dampening, logBeta2: logBeta(beta2) },
      { ...buffers, step: steps, now: NOW },
    );
    steps = advanced["step"]!.u32;
    buffers["now"] = advanced["now"]!.f32;
    const got = await step(widthOf(n), { n, weightDecay }, buffers);
    for (const name of ["w", ...state]) buffers[name] = got[name]!.f32;
    for (let i = 0; i < n; i++) {
      const factor =
        decay === "blocks" ? (buffers["decay"]![Math.floor(i / BLOCK)] as number) : decay === "all" ? 1 : 0;
      const g = (buffers["g"][i] as number) * clip;
      want[i] = rules[i]!(want[i] as number, g, lr, weightDecay * factor, t);
    }
    close(buffers["w"]!, want, { rtol: 2e-6, atol: 1e-6, title: `w after step ${t}, n ${n}` });
  }
}

const sgd = (momentum: number, nesterov: boolean, dampening: number) => (): Rule => {
  let m = 0;
  return (w, g, lr, wd, t) => {
    const d = g + wd * w;
    m = t === 1 ? d : momentum * m + (1 - dampening) * d;
    return w - lr * (momentum === 0 ? d : nesterov ? d + momentum * m : m);
  };
};

const adam = (beta1: number, beta2: number, eps: number, decoupled: boolean, amsgrad: boolean) => (): Rule => {
  let [m, v, top] = [0, 0, 0];
  return (w, g, lr, wd, t) => {
    const d = decoupled ? g : g + wd * w;
    const shrunk = decoupled ? w * (1 - lr * wd) : w;
    m = beta1 * m + (1 - beta1) * d;
    v = beta2 * v + (1 - beta2) * d * d;
    top = Math.max(top, v);
    const root = Math.sqrt(amsgrad ? top : v) / Math.sqrt(1 - beta2 ** t);
    return shrunk - ((lr / (1 - beta1 ** t)) * m) / (root + eps);
  };
};

const rmsprop = (alpha: number, eps: number, momentum: number, centered: boolean) => (): Rule => {
  let [v, q, m] = [0, 0, 0];
  return (w, g, lr, wd) => {
    const d = g + wd * w;
    v = alpha * v + (1 - alpha) * d * d;
    q = alpha * q + (1 - alpha) * d;
    m = momentum * m + d / (Math.sqrt(centered ? v - q * q : v) + eps);
    return w - lr * m;
  };
};

const sgdSpec = { decay: "none", clip: false, momentum: false, nesterov: false, dampening: false } as const;
const adamSpec = { decay: "none", clip: false, decoupled: false, amsgrad: false } as const;
const rmsSpec = { decay: "none", clip: false, momentum: false, centered: false } as const;
const rms = { eps: 1e-8, alpha: 0.9, rest: 0.1 };
const betas = (beta2: number) => ({ beta2, rest2: 1 - beta2 });

const checks: readonly Check[] = [
  {
    title: "sgd",
    state: [],
    rule: sgd(0, false, 0),
    step: (width, dims, b) => runByName(sgdKernel, { ...sgdSpec, width }, dims, b),
    decay: "none",
  },
  {
    title: "sgd with momentum, dampening and weight decay",
    state: ["m"],
    rule: sgd(0.9, false, 0.3),
    step: (width, dims, b) =>
      runByName(sgdKernel, { ...sgdSpec, width, momentum: true, dampening: true, decay: "all" }, dims, b),
    momentum: 0.9,
    weightDecay: 0.05,
    decay: "all",
    dampening: 0.3,
  },
  {
    title: "sgd with nesterov, decay by blocks and clipping",
    state: ["m"],
    rule: sgd(0.9, true, 0),
    step: (width, dims, b) =>
      runByName(sgdKernel, { ...sgdSpec, width, momentum: true, nesterov: true, decay: "blocks", clip: true }, dims, b),
    momentum: 0.9,
    weightDecay: 0.05,
    decay: "blocks",
    clip: 0.25,
  },
  {
    title: "adam",
    state: ["m", "v"],
    rule: adam(0.9, 0.999, 1e-8, false, false),
    step: (width, dims, b) => runByName(adamKernel, { ...adamSpec, width }, { ...dims, eps: 1e-8, ...betas(0.999) }, b),
    momentum: 0.9,
    beta2: 0.999,
    decay: "none",
  },
  {
    title: "adam with amsgrad and coupled decay",
    state: ["m", "v", "top"],
    rule: adam(0.8, 0.3, 1e-6, false, true),
    step: (width, dims, b) =>
      runByName(
        adamKernel,
        { ...adamSpec, width, amsgrad: true, decay: "all" },
        { ...dims, eps: 1e-6, ...betas(0.3) },
        b,
      ),
    momentum: 0.8,
    beta2: 0.3,
    weightDecay: 0.1,
    decay: "all",
  },
  {
    title: "adamw with decay by blocks, amsgrad and clipping",
    state: ["m", "v", "top"],
    rule: adam(0.9, 0.999, 1e-8, true, true),
    step: (width, dims, b) =>
      runByName(
        adamKernel,
        { width, decay: "blocks", clip: true, decoupled: true, amsgrad: true },
        { ...dims, eps: 1e-8, ...betas(0.999) },
        b,
      ),
    momentum: 0.9,
    beta2: 0.999,
    weightDecay: 0.1,
    decay: "blocks",
    clip: 0.5,
  },
  {
    title: "rmsprop with decay",
    state: ["v"],
    rule: rmsprop(0.9, 1e-8, 0, false),
    step: (width, dims, b) => runByName(rmspropKernel, { ...rmsSpec, width, decay: "all" }, { ...dims, ...rms }, b),
    weightDecay: 0.1,
    decay: "all",
  },
  {
    title: "rmsprop centered with momentum",
    state: ["v", "m", "q"],
    rule: rmsprop(0.9, 1e-8, 0.9, true),
    step: (width, dims, b) =>
      runByName(rmspropKernel, { ...rmsSpec, width, momentum: true, centered: true }, { ...dims, ...rms }, b),
    momentum: 0.9,
    decay: "none",
  },
];

for (const row of checks) {
  test(row.title, async () => {
    for (const n of SIZES) await check(row, n);
  });
}

test("an empty buffer runs nothing", async () => {
  const none = new Float32Array(0);
  const got = await runByName(
    sgdKernel,
    { ...sgdSpec, width: 4 },
    { n: 0, weightDecay: 0 },
    { w: none, g: none, lr: Float32Array.of(1) },
  );
  assert.is(got["w"]!.f32.length, 0);
});

test("ema", async () => {
  for (const n of SIZES) {
    const s = sample(n, 1);
    const w = sample(n, 2);
    const got = await runKernel(emaKernel, { width: widthOf(n) }, { n }, { s, w, hyper: packHyper(0, 0.999) });
    const want = Array.from(s, (value, i) => 0.999 * value + (1 - 0.999) * (w[i] as number));
    close(got["s"]!.f32, want, { rtol: 1e-6, atol: 1e-9, title: `n ${n}` });
  }
});

test("bias corrections hold their digits at the first, the tenth and the hundred-thousandth step", async () => {
  for (const before of [0, 9, 99, 999, 99_999]) {
    for (const [momentum, beta2] of [
      [0.9, 0.999],
      [0, 0.5],
      [0.99, 0.9999],
    ] as const) {
      const contents = {
        hyper: packHyper(9, momentum),
        lr: Float32Array.of(0.25),
        step: Uint32Array.of(before),
        now: NOW,
      };
      const got = await runByName(optimAdvance, {}, { dampening: 0.5, logBeta2: logBeta(beta2) }, contents);
      const t = before + 1;
      assert.is(got["step"]!.u32[0], t);
      const want = [t, 0.25 / (1 - momentum ** t), Math.sqrt(1 - beta2 ** t), t === 1 ? 1 : 0.5];
      close(got["now"]!.f32, want, { rtol: 1e-6, atol: 0, title: `step ${t}, betas ${momentum}, ${beta2}` });
    }
  }
});

async function clipOf(g: Float32Array, norm: NormSpec["norm"], maxNorm: number): Promise<Float32Array> {
  const spec: NormSpec = { norm, width: widthOf(g.length) };
  const count = partialCount(g.length, spec);
  const first = await runKernel(normPartials, spec, { n: g.length, at: 0 }, { g, partials: count });
  const second = await runKernel(
    clipCoefficient,
    spec,
    { count, maxNorm },
    { partials: first["partials"]!.u32, clip: 2 },
  );
  return second["clip"]!.f32;
}

for (const norm of ["2", "inf"] as const) {
  test(`the ${norm}-norm and its clip coefficient`, async () => {
    for (const n of [...SIZES, 0, 100_000]) {
      const g = sample(n, 5);
      const total = norm === "2" ? Math.sqrt(g.reduce((sum, x) => sum + x * x, 0)) : Math.max(0, ...g.map(Math.abs));
      for (const maxNorm of [0.5, 1000]) {
        const want = [total, Math.min(1, maxNorm / (total + 1e-6))];
        close(await clipOf(g, norm, maxNorm), want, { rtol: 2e-6, atol: 1e-9, title: `n ${n}` });
      }
    }
  });

  test(`the ${norm}-norm of NaN and infinity`, async () => {
    const g = sample(300, 5);
    g[257] = -Infinity;
    close(await clipOf(g, norm, 1), [Infinity, 0]);
    g[31] = Number.NaN;
    close(await clipOf(g, norm, 1), [Number.NaN, Number.NaN]);
  });
}

test("scaleByClip multiplies in place", async () => {
  for (const n of SIZES) {
    const g = sample(n, 6);
    const got = await runKernel(scaleByClip, { width: widthOf(n) }, { n }, { g, clip: Float32Array.of(3, 0.5) });
    close(
      got["g"]!.f32,
      g.map((x) => x / 2),
      { rtol: 0, atol: 0 },
    );
  }
});
