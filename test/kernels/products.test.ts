// Every tile of the matrix product and of the three convolution kernels compiles and agrees with float64, whatever the
// adapter would choose: the texts for GPUs are checked on CPU adapters too.

import { type ConvGeometry, conv, convDims, convSpecs } from "../../kernels/conv/conv.ts";
import {
  convInput,
  convInputSpecs,
  convWeight,
  convWeightDims,
  convWeightSpecs,
} from "../../kernels/conv/conv-grad.ts";
import { type Spec, shaderText, specText } from "../../kernels/kernel.ts";
import { type MatmulCall, matmulKernel as matmul, matmulSpecs, splitK, sumParts } from "../../kernels/matmul/matmul.ts";
import type { AdapterTraits } from "../../kernels/shared/adapter.ts";
import { NO_EPILOGUE, type PlainSpec } from "../../kernels/shared/finish.ts";
import { loadUnstaged } from "../../kernels/shared/gemm.ts";
import { conv2d } from "../engine/ops/conv.ts";
import { matmul as product } from "../engine/ops/matmul.ts";
import { ref } from "../engine/ops/row.ts";
import { adapterSuite, device } from "../gpu.ts";
import { assert, suite } from "../harness.ts";
import { close, runKernel, sample } from "./lab.ts";

await loadUnstaged();

/** All specs that any adapter with this one's subgroups would be offered. */
function everywhere<S extends Spec>(specs: (adapter: AdapterTraits) => readonly S[]): readonly S[] {
  const { hasSubgroups, subgroupSize } = device().info;
  const all = [true, false].flatMap((isSoftware) => specs({ hasSubgroups, subgroupSize, isSoftware }));
  return [...new Map(all.map((spec) => [specText(spec), spec])).values()];
}

const dimsOf = ({ m, n, k, batch }: MatmulCall) => ({
  m,
  n,
  k,
  batch,
  middle: 1,
  inner: batch,
  splits: 1,
  k_part: k,
  a_outer: 0,
  a_middle: 0,
  a_inner: m * k,
  b_outer: 0,
  b_middle: 0,
  b_inner: k * n,
  a_first: 0,
  b_first: 0,
  c_first: 0,
});

const call = (m: number, n: number, k: number, batch: number, ta: boolean, tb: boolean): MatmulCall<PlainSpec> => ({
  m,
  n,
  k,
  batch,
  ta,
  tb,
  dtype: "f32",
  epilogue: NO_EPILOGUE,
  isSplit: false,
});

const variants = adapterSuite("product variants", { timeout: 180_000 });
for (const one of [
  call(65, 36, 40, 1, false, false),
  call(33, 18, 21, 3, true, false),
  call(37, 35, 20, 2, false, true),
  call(36, 33, 30, 1, true, true),
]) {
  const { m, n, k, batch, ta, tb } = one;
  variants(
    `matmul ${batch} x [${m}, ${k}] x [${k}, ${n}]${ta ? ", a transposed" : ""}${tb ? ", b transposed" : ""}`,
    async () => {
      const [a, b] = [sample(batch * m * k, 1), sample(batch * k * n, 2)];
      const at = (data: Float32Array, rows: number, columns: number, isSwapped: boolean) =>
        ref([batch, rows, columns], (i) => {
          const [z, row, column] = [Math.floor(i / (rows * columns)), Math.floor(i / columns) % rows, i % columns];
          return data[z * rows * columns + (isSwapped ? column * rows + row : row * columns + column)] as number;
        });
      const want = product(at(a, m, k, ta), at(b, k, n, tb)).data;
      for (const spec of everywhere((adapter) => matmulSpecs(one, adapter))) {
        const { c } = await runKernel(matmul, spec, dimsOf(one), { a, b, c: want.length });
        close(c?.f32 ?? [], want, { rtol: 1e-5, atol: 2e-5, title: specText(spec) });
      }
    },
  );
}

const geometry: ConvGeometry = {
  batch: 2,
  h: 9,
  w: 7,
  c: 8,
  oh: 5,
  ow: 7,
  o: 12,
  kh: 3,
  kw: 3,
  stride: [2, 1],
  dilation: [1, 1],
  top: 1,
  left: 1,
  groups: 1,
};
/** Pieces of five outputs, the last one short; taps reach unevenly over the edges. */
const neighbours: ConvGeometry = {
  ...geometry,
  h: 5,
  w: 10,
  c: 9,
  oh: 4,
  ow: 9,
  o: 10,
  stride: [1, 1],
  top: 0,
  left: 1,
};
/** Two blocks of channels at a time, the last one short. */
const wide: ConvGeometry = { ...neighbours, batch: 1, c: 35, o: 10, h: 3, oh: 2 };
const grouped: ConvGeometry = { ...geometry, c: 6, o: 9, groups: 3, dilation: [2, 1], h: 11, oh: 5 };

for (const [name, g] of [
  ["quads of channels", geometry],
  ["groups of odd width, dilated", grouped],
  ["neighbouring outputs", neighbours],
  ["neighbouring outputs, many channels", wide],
] as const) {
  /** The same, as large that a text of its own is worth it. */
  const many = { ...g, batch: 10_000 };
  const sizes = {
    x: [g.batch, g.h, g.w, g.c],
    weight: [g.kh, g.kw, g.c / g.groups, g.o],
    y: [g.batch, g.oh, g.ow, g.o],
  } as const;
  const count = (shape: readonly number[]): number => shape.reduce((total, extent) => total * extent, 1);
  const [x, weight, dy] = [sample(count(sizes.x), 3), sample(count(sizes.weight), 4), sample(count(sizes.y), 5)];
  const padding = [
    g.top,
    (g.oh - 1) * g.stride[0] + g.dilation[0] * (g.kh - 1) + 1 - g.h - g.top,
    g.left,
    (g.ow - 1) * g.stride[1] + g.dilation[1] * (g.kw - 1) + 1 - g.w - g.left,
  ] as const;
  const forward = (image: ArrayLike<number>, kernel: ArrayLike<number>): Float64Array =>
    conv2d(
      ref(sizes.x, (i) => image[i] as number),
      ref(sizes.weight, (i) => kernel[i] as number),
      {
        x: sizes.x,
        k: [g.kh, g.kw, g.o],
        stride: g.stride,
        dilation: g.dilation,
        padding,
        groups: g.groups,
      },
    ).data;
  /** The gradient of a linear map, entry by entry: the cotangent's product with the map's columns. */
  const transposed = (n: number, column: (unit: Float64Array) => Float64Array): Float64Array =>
    Float64Array.from({ length: n }, (_, i) => {
      const unit = new Float64Array(n);
      unit[i] = 1;
      return column(unit).reduce((sum, y, j) => sum + y * (dy[j] as number), 0);
    });

  variants(`convolution, ${name}: forward`, async () => {
    const want = forward(x, weight);
    for (const spec of everywhere((adapter) =>
      [g, many].flatMap((one) => convSpecs(one, "f32", NO_EPILOGUE, adapter)),
    )) {
      const { y } = await runKernel(conv, spec, convDims(g), { x, weight, y: want.length });
      close(y?.f32 ?? [], want, { rtol: 1e-5, atol: 2e-5, title: specText(spec) });
    }
  });
  variants(`convolution, ${name}: input gradient`, async () => {
    const want = transposed(x.length, (unit) => forward(unit, weight));
    for (const spec of everywhere((adapter) => [g, many].flatMap((one) => convInputSpecs(one, "f32", adapter)))) {
      const { dx } = await runKernel(convInput, spec, convDims(g), { g: dy, weight, dx: want.length });
      close(dx?.f32 ?? [], want, { rtol: 1e-5, atol: 2e-5, title: specText(spec) });
    }
  });
  variants(`convolution, ${name}: weight gradient`, async () => {
    const want = transposed(weight.length, (unit) => forward(x, unit));
    const dims = {
      ...convWeightDims(g, { hasSubgroups: false, subgroupSize: 0, isSoftware: true }),
      share: 3,
      splits: 4,
    };
    for (const spec of everywhere((adapter) =>
      [g, many].flatMap((one) => convWeightSpecs(one, "f32", dims.splits, adapter)),
    )) {
      const { dw } = await runKernel(convWeight, spec, dims, { x, g: dy, dw: dims.splits * want.length });
      const sums = await runKernel(
        sumParts,
        { out: "f32", isVec: false },
        { length: want.length, parts: dims.splits },
        { x: dw?.f32 ?? 0, y: want.length },
      );
      close(sums["y"]?.f32 ?? [], want, { rtol: 1e-5, atol: 2e-5, title: specText(spec) });
    }
  });
}

const large = { ...neighbours, batch: 10_000 };
const choice = suite("choice of tiles");
const gpu: AdapterTraits = { hasSubgroups: true, subgroupSize: 32, isSoftware: false };
const cpu: AdapterTraits = { hasSubgroups: true, subgroupSize: 8, isSoftware: true };
const none: AdapterTraits = { hasSubgroups: false, subgroupSize: 0, isSoftware: true };

choice("the default follows the adapter", () => {
  const first = (adapter: AdapterTraits) => matmulSpecs(call(512, 512, 512, 1, false, false), adapter)[0]?.variant;
  assert.equal([first(gpu), first(cpu), first(none)], ["tile", "subgroup", "plain"]);
});
choice("taps share their inputs where they are neighbours, on CPU adapters with subgroups", () => {
  const first = (g: ConvGeometry, adapter: AdapterTraits) => convSpecs(g, "f32", NO_EPILOGUE, adapter)[0];
  const found = [first(large, cpu), convInputSpecs(large, "f32", cpu)[0], convWeightSpecs(large, "f32", 4, cpu)[0]];
  assert.equal(
    found.map((spec) => [spec?.variant, spec?.rows]),
    [
      ["window", 5],
      ["window", 5],
      ["window", 2],
    ],
  );
  const others = [neighbours, { ...large, ow: 4 }, { ...large, o: 8 }, { ...large, kw: 5 }, { ...large, groups: 3 }];
  const apart: ConvGeometry = { ...large, stride: [1, 2] };
  assert.equal(new Set([...others, apart].map((g) => first(g, cpu)?.variant)), new Set(["subgroup"]));
  assert.equal([first(large, gpu)?.variant, first(large, none)?.variant], ["tile", "plain"]);
});
choice("workgroup memory stays within the 16 KiB that every adapter has", () => {
  for (const [ta, tb] of [
    [false, false],
    [true, true],
  ] as const) {
    for (const spec of matmulSpecs(call(512, 512, 512, 1, ta, tb), gpu)) {
      const arrays = [...shaderText(matmul, spec).matchAll(/var<workgroup> \w+: array<vec4f, (\d+)>/g)];
      assert.ok(arrays.reduce((bytes, [, quads]) => bytes + 16 * Number(quads), 0) <= 16384, specText(spec));
    }
  }
});
choice("shares of k cover it, and an empty k has one", () => {
  for (const k of [0, 1, 255, 256, 1000, 12_345, 1_000_000]) {
    const { splits, part } = splitK(64, 64, k, gpu);
    assert.ok(
      splits >= 1 && splits * part >= k && (splits - 1) * part < Math.max(1, k),
      `k = ${k}: ${splits} x ${part}`,
    );
  }
});
choice("shares of a convolution's outputs cover them, and stay in a CPU's cache", () => {
  const square = { kh: 3, kw: 3, groups: 1, dilation: [1, 1] } as const;
  for (const [w, c, o, step] of [
    [28, 32, 32, 1],
    [14, 64, 128, 2],
    [7, 128, 128, 1],
  ] as const) {
    const out = w / step;
    const g = {
      ...large,
      ...square,
      batch: 128,
      h: w,
      w,
      c,
      oh: out,
      ow: out,
      o,
      stride: [step, step],
    } as ConvGeometry;
    const [lines, bytes] = [128 * out, 4 * (step * w * c + out * o)];
    const { splits, share } = convWeightDims(g, cpu);
    assert.ok(splits * share >= lines && (splits - 1) * share < lines, `${splits} x ${share} of ${lines} lines`);
    assert.ok(splits > 1 && share * bytes <= 400 * 1024, `${share} lines are ${share * bytes} bytes`);
    assert.ok(convWeightDims({ ...g, batch: 1 }, cpu).splits < splits);
  }
});
choice("more workgroups than an axis holds are folded", () => {
  const big = dimsOf(call(1, 1, 4, 5_000_000, false, false));
  const spec = matmulSpecs(call(1, 1, 4, 5_000_000, false, false), cpu)[0]!;
  const grid = matmul.grid(big, spec);
  assert.ok(grid.every((groups) => groups <= 65_535) && grid[0] * grid[1] * grid[2] >= 5_000_000, `${grid}`);
});
variants("texts for other subgroup sizes are valid", async () => {
  for (const subgroupSize of [4, 8, 16, 32]) {
    const adapter = { hasSubgroups: true, subgroupSize, isSoftware: true };
    const texts = [
      ...matmulSpecs(call(512, 512, 512, 1, false, true), adapter).map((spec) => shaderText(matmul, spec)),
      ...convWeightSpecs(geometry, "f32", 1, adapter).map((spec) => shaderText(convWeight, spec)),
      ...convSpecs(large, "f32", NO_EPILOGUE, adapter).map((spec) => shaderText(conv, spec)),
      ...convWeightSpecs({ ...large, c: 40 }, "f32", 4, adapter).map((spec) => shaderText(convWeight, spec)),
    ];
    for (const code of device().info.hasSubgroups ? texts : []) {
      const { messages } = await device().gpu.createShaderModule({ code }).getCompilationInfo();
      assert.equal(
        messages.filter(({ type }) => type === "error").map(({ message }) => message),
        [],
        code,
      );
    }
  }
});
