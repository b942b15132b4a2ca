// Random kernels against the same counters on the CPU.

import {
  chance,
  type RandomKey,
  randomBernoulli,
  randomIntegers,
  randomNormal,
  randomPermutation,
  randomState,
  randomUniform,
  randomWords,
} from "../../engine/random.ts";
import { dropoutKernel as dropout, randomAdvance, randomFill } from "../../kernels/random.ts";
import { adapterSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { close, hasF16, runKernel, sample, type Words } from "./lab.ts";

const test = adapterSuite("random");

const SIZES = [1, 31, 33, 256, 257];
const keys: readonly RandomKey[] = [
  { seed: 1 },
  { seed: 2 ** 53 - 1, stream: 0xffffffff, step: 0xfffffffe, call: 0xdeadbeef },
];
const none = { low: 0, span: 0, threshold: 0 };
const widthOf = (n: number): 1 | 4 => (n % 4 === 0 ? 4 : 1);

async function fill(
  kind: "uniform" | "normal" | "integer" | "bernoulli",
  n: number,
  key: RandomKey,
  dims: object,
): Promise<Words> {
  const all = { ...none, ...dims, n, call: key.call ?? 0 };
  const got = await runKernel(randomFill, { kind, width: widthOf(n) }, all, { state: randomState(key), y: n });
  return got["y"] as Words;
}

for (const key of keys) {
  test(`CPU and GPU draw the same numbers, key ${JSON.stringify(key)}`, async () => {
    for (const n of SIZES) {
      assert.equal((await fill("uniform", n, key, {})).f32, randomUniform(n, key));
      const integers = await fill("integer", n, key, { low: -7, span: 4_000_000_000 });
      assert.equal(integers.i32, randomIntegers(n, -7, 3_999_999_993, key));
      const coins = await fill("bernoulli", n, key, { threshold: chance(0.3) });
      assert.equal(coins.u32, randomBernoulli(n, 0.3, key));
      close((await fill("normal", n, key, {})).f32, randomNormal(n, key), { rtol: 5e-7, atol: 1e-7 });
    }
  });
}

test("normals agree over many blocks, tails included, and have the right moments", async () => {
  const n = 1 << 16;
  const key = { seed: 5 };
  const got = (await fill("normal", n, key, {})).f32;
  close(got, randomNormal(n, key), { rtol: 5e-7, atol: 2e-7 });
  const moment = (k: number): number => got.reduce((sum, z) => sum + z ** k, 0) / n;
  // Four standard errors: 1, sqrt 2, sqrt 15, sqrt 96 over sqrt n.
  const unit = 4 / Math.sqrt(n);
  assert.ok(Math.abs(moment(1)) < unit);
  assert.ok(Math.abs(moment(2) - 1) < Math.sqrt(2) * unit);
  assert.ok(Math.abs(moment(3)) < Math.sqrt(15) * unit);
  assert.ok(Math.abs(moment(4) - 3) < Math.sqrt(96) * unit);
});

test("an empty draw runs nothing", async () => {
  assert.is((await fill("uniform", 0, { seed: 1 }, {})).u32.length, 0);
});

test("dropout keeps where the mask says so, scales, and is its own gradient", async () => {
  const key = { seed: 9, call: 3, step: 2 };
  for (const p of [0, 0.25, 1]) {
    for (const n of SIZES) {
      const x = sample(n);
      const scale = p < 1 ? 1 / (1 - p) : 0;
      const dims = { n, call: 3, threshold: chance(p), scale };
      const got = await runKernel(dropout, { width: widthOf(n), dtype: "f32" }, dims, {
        state: randomState(key),
        x,
        y: n,
      });
      const drops = randomBernoulli(n, p, key);
      const want = x.map((value, i) => (drops[i] ? 0 : value * Math.fround(scale)));
      assert.equal(got["y"]!.f32, want);
    }
  }
});

test("dropout of infinities leaves zeros, not NaN", async () => {
  const x = new Float32Array(64).fill(Infinity);
  const dims = { n: 64, call: 0, threshold: chance(0.5), scale: 2 };
  const got = await runKernel(dropout, { width: 4, dtype: "f32" }, dims, { state: randomState({ seed: 1 }), x, y: 64 });
  const drops = randomBernoulli(64, 0.5, { seed: 1 });
  assert.equal(
    [...got["y"]!.f32],
    Array.from(drops, (drop) => (drop ? 0 : Infinity)),
  );
});

test("dropout in f16 draws the mask of f32", async () => {
  if (!(await hasF16())) return;
  const x = new Uint16Array(64).fill(0x3c00);
  const dims = { n: 64, call: 0, threshold: chance(0.5), scale: 2 };
  const got = await runKernel(dropout, { width: 4, dtype: "f16" }, dims, { state: randomState({ seed: 1 }), x, y: 32 });
  const drops = randomBernoulli(64, 0.5, { seed: 1 });
  assert.equal(
    [...got["y"]!.u16],
    Array.from(drops, (drop) => (drop ? 0 : 0x4000)),
  );
});

test("randomAdvance counts the step up", async () => {
  const got = await runKernel(randomAdvance, {}, {}, { state: Uint32Array.of(1, 2, 3, 4) });
  assert.equal([...got["state"]!.u32], [1, 2, 4, 4]);
});

test("seed, stream, step and call each change every word", () => {
  const base = { seed: 1, stream: 2, step: 3, call: 4 };
  const words = randomWords(8, base);
  for (const name of ["seed", "stream", "step", "call"] as const) {
    const others = randomWords(8, { ...base, [name]: base[name] + 1 });
    assert.ok(
      words.every((word, i) => word !== others[i]),
      name,
    );
  }
  assert.ok(randomWords(8, { seed: 1 }).every((word, i) => word !== randomWords(8, { seed: 1 + 2 ** 32 })[i]));
});

test("a permutation holds every number once, and is the same everywhere", () => {
  for (const n of [0, 1, 31, 257]) {
    const order = randomPermutation(n, { seed: 3 });
    assert.equal(
      [...order].sort((a, b) => a - b),
      Array.from({ length: n }, (_, i) => i),
    );
  }
  assert.equal([...randomPermutation(8, { seed: 3 })], PERMUTATION_OF_8);
  assert.not.equal(randomPermutation(31, { seed: 3 }), randomPermutation(31, { seed: 4 }));
});

const PERMUTATION_OF_8 = [6, 3, 2, 1, 7, 4, 0, 5];
