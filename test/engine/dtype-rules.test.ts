// The dtype rules of what is no op of two operands (docs/dtypes.md): conditions, bounds, one operand, scalars, lists,
// numbers of the host.

import * as s from "../../engine/index.ts";
import { type DType, SortieError, type Tensor, tensor, trace } from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { DTYPES, dtypes, isFloat, NUMBERS, TENSORS } from "./dtype-table.ts";

const test = gpuSuite("dtype rules of other ops", { timeout: 120_000 });
const refused = (call: () => unknown, label: string): void =>
  assert.throws(call, (error: unknown) => error instanceof SortieError, `${label} is not refused`);
/** Runs checks of dtypes: nothing reaches the GPU, but kernels are made and must be valid. */
const unrun = (checks: () => void): unknown => trace(device(), checks);
const made = (dtype: DType, shape: readonly number[] = [4]): Tensor => s.zeros(shape, { dtype });

test("where: its two choices meet, its condition is bool", async () => {
  const cond = tensor([true, false]);
  unrun(() => {
    for (const [i, a] of DTYPES.entries()) {
      for (const [j, b] of DTYPES.entries())
        assert.is(s.where(cond, made(a, [2]), made(b, [2])).dtype, TENSORS[i]![j], `where(cond, ${a}, ${b})`);
      for (const [number, met] of NUMBERS) {
        if (met[i] === undefined) refused(() => s.where(cond, made(a, [2]), number), `where(cond, ${a}, ${number})`);
        else assert.is(s.where(cond, number, made(a, [2])).dtype, met[i], `where(cond, ${number}, ${a})`);
      }
      if (a !== "bool") refused(() => s.where(made(a, [2]), 1, 0), `where(${a}, 1, 0)`);
    }
  });
  const choices: readonly (readonly [number, number, DType | undefined])[] = [
    [1, -1, "i32"],
    [300, 0, "i32"],
    [16777217, -2147483648, "i32"],
    [3000000000, 0, "u32"],
    [3000000000, -1, undefined],
    [1e10, 0, undefined],
    [1.5, -1, "f32"],
    [Number.NaN, 0, "f32"],
  ];
  for (const [a, b, dtype] of choices) {
    if (dtype === undefined) refused(() => s.where(cond, a, b), `where(cond, ${a}, ${b})`);
    else {
      const y = s.where(cond, a, b);
      assert.is(y.dtype, dtype);
      assert.equal([...(await y.read())], [a, b]);
    }
  }
});

test("clamp: bounds take part like numbers", async () => {
  const x = tensor(Int32Array.of(-5, 16777217, 2147483647));
  assert.equal([...(await s.clamp(x, { min: -1, max: 16777216 }).read())], [-1, 16777216, 16777216]);
  const y = s.clamp(x, { max: 0.5 });
  assert.is(y.dtype, "f32");
  assert.equal([...(await y.read())], [-5, 0.5, 0.5]);
  assert.is(s.clamp(made("bool"), { min: 0 }).dtype, "i32");
  refused(() => s.clamp(x, { min: 2 ** 31 }), "clamp(i32, 2^31)");
});

test("one operand: what becomes of its dtype", async () => {
  const keeps = ["bool", "u32", "i32", "f16", "f32"] as const;
  const widens = ["f32", "f32", "f32", "f16", "f32"] as const;
  const noBools = [undefined, "u32", "i32", "f16", "f32"] as const;
  const floats = [undefined, undefined, undefined, "f16", "f32"] as const;
  const table: readonly (readonly [string, (x: Tensor) => Tensor, readonly (DType | undefined)[]])[] = [
    ["copy", s.copy, keeps],
    ...(["neg", "abs", "relu"] as const).map((op) => [op, s[op], noBools] as const),
    ["square", s.square, ["i32", "u32", "i32", "f16", "f32"]],
    ["sum", s.sum, ["i32", "u32", "i32", "f16", "f32"]],
    ["max", s.max, keeps],
    ["min", s.min, keeps],
    ["argmax", s.argmax, ["i32", "i32", "i32", "i32", "i32"]],
    ["argmin", s.argmin, ["i32", "i32", "i32", "i32", "i32"]],
    ...(
      [
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "sigmoid",
        "tanh",
        "silu",
        "softplus",
        "hardsigmoid",
        "hardswish",
        "erf",
        "gelu",
        "leakyRelu",
      ] as const
    ).map((op) => [op, (x: Tensor) => s[op](x), widens] as const),
    ...(["mean", "variance", "logsumexp", "softmax", "logSoftmax"] as const).map(
      (op) => [op, (x: Tensor) => s[op](x), floats] as const,
    ),
  ];
  unrun(() => {
    for (const [op, call, results] of table) {
      for (const [i, dtype] of dtypes().entries()) {
        if (results[i] === undefined) refused(() => call(made(dtype)), `${op}(${dtype})`);
        else assert.is(call(made(dtype)).dtype, results[i], `${op}(${dtype})`);
      }
    }
  });
  assert.equal([...(await s.square(tensor([true, false])).read())], [1, 0]);
  assert.equal([...(await s.neg(tensor(Uint32Array.of(1))).read())], [4294967295]);
});

test("scalar tensors raise the kind only", () => {
  const kind = (dtype: DType): number => (isFloat(dtype) ? 2 : dtype === "bool" ? 0 : 1);
  unrun(() => {
    for (const a of dtypes()) {
      for (const b of dtypes()) {
        const want = kind(b) > kind(a) ? b : a;
        assert.is(s.add(made(a), made(b, [])).dtype, want, `add(${a}[4], ${b}[])`);
        assert.is(s.maximum(made(b, []), made(a)).dtype, want, `maximum(${b}[], ${a}[4])`);
        const both = TENSORS[DTYPES.indexOf(a)]![DTYPES.indexOf(b)];
        assert.is(s.mul(made(a, []), made(b, [])).dtype, both, `mul(${a}[], ${b}[])`);
      }
    }
  });
});

test("concat and stack meet; their gradients come back in each operand's dtype", async () => {
  unrun(() => {
    for (const [i, a] of DTYPES.entries()) {
      for (const [j, b] of DTYPES.entries()) {
        assert.is(s.concat([made(a), made(b)]).dtype, TENSORS[i]![j], `concat(${a}, ${b})`);
        assert.is(s.stack([made(a), made(b)]).dtype, TENSORS[i]![j], `stack(${a}, ${b})`);
      }
    }
  });
  const y = s.concat([tensor(Int32Array.of(16777217)), tensor([true])]);
  assert.equal([...(await y.read())], [16777217, 1]);
  const [half, single] = [tensor([2], { dtype: "f16" }).requiresGrad(), tensor([3]).requiresGrad()];
  s.backward(s.sum(s.mul(s.concat([half, single]), s.mul(half, single))));
  assert.equal([half.grad.dtype, single.grad.dtype], ["f16", "f32"]);
  assert.equal([await half.grad.item(), await single.grad.item()], [21, 16]);
});

test("operands of products, convolutions and writes must have one dtype", () => {
  for (const a of dtypes()) {
    for (const b of dtypes()) {
      if (a === b && isFloat(a)) continue;
      const label = `(${a}, ${b})`;
      refused(() => s.matmul(made(a, [4, 4]), made(b, [4, 4])), `matmul${label}`);
      refused(() => s.linear(made(a, [4, 4]), made(b, [4, 4])), `linear${label}`);
      refused(() => s.conv2d(made(a, [1, 4, 4, 4]), made(b, [1, 1, 4, 4])), `conv2d${label}`);
      if (a === b) continue;
      refused(() => s.copyInto(made(a), made(b)), `copyInto${label}`);
      refused(() => s.addInto(made(a), made(b)), `addInto${label}`);
    }
  }
});

test("host numbers are exact or refused", async () => {
  const exact: readonly (readonly [string, Tensor, readonly number[]])[] = [
    ["full i32", s.full([2], 16777217, { dtype: "i32" }), [16777217, 16777217]],
    ["full u32", s.full([1], 4294967295, { dtype: "u32" }), [4294967295]],
    ["full cuts", s.full([1], -1.5, { dtype: "i32" }), [-1]],
    ["full bool", s.full([2], 300, { dtype: "bool" }), [1, 1]],
    ["full NaN", s.full([1], Number.NaN), [Number.NaN]],
    ["pad", s.pad(tensor(Int32Array.of(1)), [[1, 0]], { value: 16777217 }), [16777217, 1]],
    ["tensor", tensor([2147483647, -2147483648, 1.5], { dtype: "i32" }), [2147483647, -2147483648, 1]],
    ["arange", s.arange(16777216, 16777219), [16777216, 16777217, 16777218]],
    ["arange of fractions", s.arange(0, 1, 0.25), [0, 0.25, 0.5, 0.75]],
    ["cast", s.cast(tensor([-1.9, 3e9, Number.NaN, -3e9]), "bool"), [1, 1, 1, 1]],
    [
      "cast stops at i32's ends",
      s.cast(tensor([3e9, -3e9, Number.NaN, -1.9, 2147483648, Number.NEGATIVE_INFINITY]), "i32"),
      [2147483647, -2147483648, 0, -1, 2147483647, -2147483648],
    ],
    [
      "cast stops at u32's ends",
      s.cast(tensor([3e9, -3e9, Number.NaN, 1.9, 1e20, Number.POSITIVE_INFINITY, 7, 8]), "u32"),
      [3000000000, 0, 0, 1, 4294967295, 4294967295, 7, 8],
    ],
    ["cast wraps", s.cast(tensor(Int32Array.of(-1)), "u32"), [4294967295]],
  ];
  for (const [label, y, want] of exact) assert.equal([...(await y.read())], want, label);
  assert.is(s.arange(3).dtype, "i32");
  assert.is(s.arange(2.5).dtype, "f32");
  assert.is(s.arange(0.5, 3).dtype, "f32");
  for (const [dtype, value] of [
    ["i32", 2 ** 31],
    ["i32", Number.NaN],
    ["i32", Number.NEGATIVE_INFINITY],
    ["u32", -1],
    ["u32", 2 ** 32],
  ] as const) {
    refused(() => s.full([1], value, { dtype }), `full ${value} as ${dtype}`);
    refused(() => tensor([value], { dtype }), `tensor ${value} as ${dtype}`);
    refused(() => made(dtype).write([0, 0, 0, value]), `write ${value} as ${dtype}`);
    refused(() => s.pad(made(dtype), [[1, 1]], { value }), `pad ${value} as ${dtype}`);
  }
  refused(() => s.arange(2 ** 31, 2 ** 31 + 2), "arange beyond i32");
});

test("powers of integers", async () => {
  const x = tensor(Int32Array.of(3, -2, 0, 1, -1));
  assert.equal([...(await s.pow(x, 13).read())], [1594323, -8192, 0, 1, -1]);
  assert.equal([...(await s.pow(x, 0).read())], [1, 1, 1, 1, 1]);
  assert.equal([...(await s.pow(x, s.cast(tensor([-1, -3, -2, -5, -7]), "i32")).read())], [0, 0, 0, 1, -1]);
  assert.throws(() => s.pow(x, -1), /^pow: integers must have exponents of at least 0; got -1\./);
  assert.is(s.pow(x, 0.5).dtype, "f32");
});

test("what is refused says why", () => {
  const [flags, whole] = [made("bool"), made("i32")];
  assert.throws(() => s.neg(flags), /^neg: the dtype must not be bool; got bool\./);
  assert.throws(() => s.sub(flags, flags), /^sub: the dtype must not be bool; got bool\./);
  assert.throws(
    () => s.add(whole, 3e9),
    /^add: a number among i32 must lie in -2147483648\.\.2147483647; got 3000000000\./,
  );
  assert.throws(() => s.where(whole, 1, 0), /^where: cond must be bool; got i32\[4\]\./);
  assert.throws(() => tensor([-1], { dtype: "u32" }), /^tensor: u32 must hold every number; got -1\./);
});
