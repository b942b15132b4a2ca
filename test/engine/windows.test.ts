// Convolutions large enough that a window is worth it on CPU adapters (kernels/shared/gemm-window.ts), as networks call
// them: with what is fused behind them, forward and back, in both storage types. Right is what the variant without
// subgroups says, which products.test.ts holds against float64, as it does windows without an epilogue.

import * as s from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";

const test = gpuSuite("convolutions by windows", { timeout: 120_000 });

/** Lines of two pieces, the last one short; blocks of channels, too. */
const [X, W] = [
  [9, 7, 13, 18],
  [3, 3, 18, 20],
] as const;

type Epilogue = Omit<s.ConvOptions, "residual"> & { readonly hasResidual?: boolean };
const EPILOGUES: readonly Epilogue[] = [
  {},
  { activation: "relu", hasResidual: true },
  { activation: "silu", hasResidual: true, residualAt: "after" },
];

/** The value, and the gradients by x, the weights and the bias, with the candidates that `pick` takes. */
async function outcome(
  dtype: "f32" | "f16",
  { hasResidual, ...options }: Epilogue,
  pick: (variants: readonly { readonly variant?: unknown }[]) => number,
): Promise<readonly ArrayLike<number>[]> {
  const { tuner } = device();
  const choose = tuner.choose;
  tuner.choose = (_key, given) => given[pick(given)]!;
  try {
    const draw = (shape: readonly number[], seed: number) => s.cast(s.randn(shape, { seed }), dtype);
    const [x, w, b] = [draw(X, 1), draw(W, 2), draw([W[3]], 3)].map((tensor) => tensor.requiresGrad());
    const shape = [...X.slice(0, 3), W[3]];
    const residual = hasResidual ? draw(shape, 4) : undefined;
    const y = s.conv2d(x!, w!, b, { padding: 1, ...options, residual });
    s.backward(y, { gradient: draw(shape, 5) });
    return await s.read([y, x!.grad!, w!.grad!, b!.grad!]);
  } finally {
    tuner.choose = choose;
  }
}

for (const dtype of ["f32", "f16"] as const)
  for (const [i, epilogue] of EPILOGUES.entries())
    test(`${dtype}, epilogue ${i}: windows say what threads say that share nothing`, async () => {
      const { info } = device();
      if (dtype === "f16" && !info.hasF16) return console.log("no f16 here");
      const chosen: unknown[] = [];
      const got = await outcome(dtype, epilogue, (variants) => {
        chosen.push(variants[0]!.variant);
        return 0;
      });
      const want = await outcome(dtype, epilogue, (variants) => variants.length - 1);
      // Forward, and both gradients.
      if (info.isSoftware && info.hasSubgroups) assert.is(chosen.filter((one) => one === "window").length, 3);
      const most = dtype === "f32" ? 2e-5 : 2e-2;
      for (const [k, values] of want.entries()) {
        const scale = Math.max(...Array.from(values, Math.abs));
        for (const [at, value] of Array.from(values).entries()) {
          const apart = Math.abs(got[k]![at]! - value) / scale;
          assert.ok(apart <= most, `result ${k} at ${at}: ${got[k]![at]} against ${value}`);
        }
      }
    });
