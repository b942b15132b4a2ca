// Numbers of the host: one check for tensor(), write() and what captures are fed with, 64-bit integers, mixed truth
// values.

import * as s from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf, rejectionOf } from "./messages.ts";

const test = gpuSuite("host data", { timeout: 60_000 });
const never = (value: unknown): never => value as never;

const WRONG: readonly (readonly [data: unknown, message: string])[] = [
  ["ab", 'must be a list of numbers or a typed array; got "ab".'],
  [null, "must be a list of numbers or a typed array; got null."],
  [undefined, "must be a list of numbers or a typed array; got undefined."],
  [3, "must be a list of numbers or a typed array; got 3."],
  [Promise.resolve([1, 2]), "must be a list of numbers or a typed array; got a Promise (is an await missing?)."],
  [new DataView(new ArrayBuffer(8)), "must be a list of numbers or a typed array; got a DataView."],
  [[1, undefined], "must hold numbers alone; got undefined at 1."],
  [Object.assign(new Array(2), { 0: 1 }), "must hold numbers alone; got undefined at 1."],
  [["1", 2], 'must hold numbers alone; got "1" at 0.'],
  [[1, null], "must hold numbers alone; got null at 1."],
  [[[1, 2], 3], "must hold numbers alone; got [1,2] at 0. Flatten it."],
  [{ length: 2, 0: 1, 1: {} }, "must hold numbers alone; got an object with nothing in it at 1."],
];

test("what is no number is refused by write and by captures, and nothing is written", async () => {
  for (const dtype of [
    "f32",
    "i32",
    "u32",
    "bool",
    ...(s.defaultDevice().info.hasF16 ? ["f16" as const] : []),
  ] as const) {
    const x = s.tensor([1, 0], { dtype });
    const step = await s.capture({ inputs: { x: { shape: [2], dtype } } }, ({ x }) => ({ x }));
    const out = step.run({ x });
    for (const [data, message] of WRONG) {
      assert.is(
        messageOf(() => x.write(never(data))),
        `ArgumentError: write: the data ${message}`,
      );
      assert.is(
        messageOf(() => step.run({ x: never(data) })),
        `ArgumentError: capture: input x ${message}`,
      );
    }
    assert.is(
      messageOf(() => x.write(never(s.ones([2])))).startsWith("ArgumentError: write: the data must be a list"),
      true,
    );
    assert.equal([...(await x.read()), ...(await out.x.read())], [1, 0, 1, 0]);
    step.dispose();
  }
});

test("64-bit integers are taken: exactly as i32 and u32, rounded as floats", async () => {
  const [low, high] = [-(2n ** 31n), 2n ** 31n - 1n];
  const i = s.tensor(BigInt64Array.of(low, high));
  assert.equal([i.dtype, ...(await i.read())], ["i32", Number(low), Number(high)]);
  const u = s.tensor(BigUint64Array.of(0n, 2n ** 32n - 1n));
  assert.equal([u.dtype, ...(await u.read())], ["u32", 0, 2 ** 32 - 1]);
  const f = s.tensor(BigInt64Array.of(2n ** 53n + 1n, -3n), { dtype: "f32" });
  assert.equal([...(await f.read())], [2 ** 53, -3]);
  const b = s.tensor(BigInt64Array.of(0n, 2n), { dtype: "bool" });
  assert.equal([...(await b.read())], [0, 1]);
  i.write(BigInt64Array.of(5n, -6n));
  f.write(BigUint64Array.of(7n, 8n));
  const step = await s.capture({ inputs: { i } }, ({ i }) => s.add(i, 1));
  assert.equal([...(await i.read()), ...(await f.read())], [5, -6, 7, 8]);
  assert.equal([...(await step.run({ i: BigInt64Array.of(9n, 10n) }).read())], [10, 11]);
  const wide = BigInt64Array.of(1n, 2n ** 32n);
  const message = "i32 must hold every number; got 4294967296. Use f32.";
  assert.is(
    messageOf(() => s.tensor(wide)),
    `DTypeError: tensor: ${message}`,
  );
  assert.is(
    messageOf(() => i.write(wide)),
    `DTypeError: write: ${message}`,
  );
  assert.is(
    messageOf(() => step.run({ i: wide })),
    `DTypeError: capture: input i: ${message}`,
  );
  const outside = s.tensor(BigInt64Array.of(0n, 3n));
  assert.ok(messageOf(() => s.indexSelect(s.ones([3]), outside)).includes("must be in 0..2; got 3"));
  step.dispose();
});

test("truth values among numbers are numbers, in either order", async () => {
  for (const [data, dtype] of [
    [[true, false], "bool"],
    [[[true], [false]], "bool"],
    [[true, 0.5, 7], "f32"],
    [[2, true], "f32"],
    [[[true], [3]], "f32"],
    [[false, false, 0], "f32"],
  ] as const) {
    const x = s.tensor(data as never);
    assert.is(x.dtype, dtype);
    assert.equal([...(await x.read())], (data as readonly unknown[]).flat().map(Number));
  }
});

test("slips around tensors and captures get a sentence", async () => {
  const x = s.ones([2]);
  assert.is(
    messageOf(() => s.tensor(Object.assign([1, 2, 3], { 1: undefined }) as never)),
    "ArgumentError: tensor: data must be numbers, nested lists of them, or a typed array; got undefined.",
  );
  const holes: number[] = [1, 2, 3];
  delete holes[1];
  assert.ok(messageOf(() => s.tensor(holes)).endsWith("got undefined."));
  assert.is(
    messageOf(() => s.noGrad(never(5))),
    "ArgumentError: noGrad: fn must be a function; got 5.",
  );
  for (const [options, message] of [
    [{ state: x }, "state must be a list; got Tensor f32[2]."],
    [{ state: [5] }, "state[0] must be a tensor, or have some as its state; got 5."],
    [{ state: [null] }, "state[0] must be a tensor, or have some as its state; got null."],
    [{ state: [{ state: [x, 3] }] }, "state[0][1] must be a tensor; got 3. Make one by tensor()."],
    [{ inputs: { x: null } }, "input x must be { shape, dtype } or a tensor; got null."],
    [{ inputs: { x: [2, 3] } }, "input x must be { shape, dtype } or a tensor; got [2,3]."],
    [{ inputs: { x: { shape: [2] } } }, "input x must be { shape, dtype } or a tensor; got an object with shape."],
    [{ inputs: [x] }, "inputs must be an object, by name; got an array of 1."],
    [{ inputs: x }, "inputs must be an object, by name; got Tensor f32[2]."],
    [{ scalars: { k: "abc" } }, 'scalar k must be a number; got "abc".'],
    [{ scalars: 3 }, "scalars must be an object, by name; got 3."],
  ] as const) {
    assert.is(await rejectionOf(s.capture(never(options), () => s.add(x, 1))), `ArgumentError: capture: ${message}`);
  }
  const step = await s.capture({ inputs: { x }, scalars: { k: 1 } }, ({ x }, { k }) => s.mul(x, k));
  for (const [args, message] of [
    [[], "CaptureError: capture: every input must be given; x is missing."],
    [[null], "CaptureError: capture: inputs must be an object, by name; got null."],
    [[{ x: null }], "ArgumentError: capture: input x must be a list of numbers or a typed array; got null."],
    [[{ x }, null], "CaptureError: capture: scalars must be an object, by name; got null."],
    [[{ x }, { k: "0.5" }], 'ArgumentError: capture: scalar k must be a number; got "0.5".'],
    [[{ x }, { k: null }], "ArgumentError: capture: scalar k must be a number; got null."],
    [[{ x }, { k: s.tensor(2) }], "ArgumentError: capture: scalar k must be a number; got Tensor f32[]."],
  ] as const) {
    assert.is(
      messageOf(() => step.run(...(args as unknown as [never]))),
      message,
    );
  }
  assert.equal([...(await step.run({ x }).read())], [1, 1]);
  step.dispose();
  const bare = await s.capture({}, () => s.add(x, 1));
  assert.equal([...(await bare.run().read())], [2, 2]);
  bare.dispose();
});
