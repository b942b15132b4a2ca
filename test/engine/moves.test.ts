// Reductions, moves, gathers and compaction beyond the op table: messages word for word, f16, repeatability, live rows.

import * as s from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert, failsWith } from "../harness.ts";

const test = gpuSuite("reductions and moves");

const f32 = (shape: readonly number[]) => s.zeros(shape);

test("reductions refuse what has no result", async () => {
  await failsWith(
    () => s.max(f32([2, 0]), { dim: 1 }),
    "ShapeError",
    "max: reduced axes must not be empty; got f32[2, 0] over axes [1].",
  );
  await failsWith(
    () => s.argmax(f32([0])),
    "ShapeError",
    "argmax: reduced axes must not be empty; got f32[0] over axes [0].",
  );
  await failsWith(
    () => s.mean(s.arange(3)),
    "DTypeError",
    "mean: the dtype must be f32 or f16; got i32[3]. Use cast().",
  );
  await failsWith(() => s.sum(f32([2, 3]), { dim: 2 }), "ShapeError", "sum: axis must be in -2..1; got 2.");
  await failsWith(
    () => s.sum(f32([2, 3]), { dim: [1, -1] }),
    "ShapeError",
    "sum: axes must be distinct; got [1, -1] (axis 1 twice).",
  );
  const alternating = Array.from({ length: 10 }, () => 2);
  await failsWith(
    () => s.sum(f32(alternating), { dim: [0, 2, 4, 6, 8] }),
    "ShapeError",
    `sum: kept and reduced axes must form at most 8 alternating groups; got f32[${alternating.join(", ")}] over axes [0, 2, 4, 6, 8]. Permute first.`,
  );
});

test("moves refuse what does not fit", async () => {
  await failsWith(
    () => s.permute(f32([2, 3]), [0, 0]),
    "ShapeError",
    "permute: dims must name each of the 2 axes once; got [0, 0] for f32[2, 3].",
  );
  await failsWith(
    () => s.slice(f32([4]), { steps: [-1] }),
    "ArgumentError",
    "slice: steps must be positive; got -1 for axis 0 of f32[4]. Use flip().",
  );
  await failsWith(
    () => s.slice(f32([4]), { starts: [0, 1] }),
    "ArgumentError",
    "slice: starts must hold at most 1 integers for f32[4]; got [0, 1].",
  );
  await failsWith(
    () => s.expand(f32([2, 3]), [2, 4]),
    "ShapeError",
    "expand: extents must be kept, or grow from 1; got f32[2, 3] -> [2, 4].",
  );
  await failsWith(
    () => s.pad(f32([2, 3]), [[1, 1]]),
    "ShapeError",
    "pad: padding must hold [before, after] for each axis and leave no extent below 0; got [[1, 1]] for f32[2, 3].",
  );
  await failsWith(
    () => s.concat([f32([2, 3]), f32([2, 4])]),
    "ShapeError",
    "concat: shapes must agree but along axis 0; got f32[2, 3] and f32[2, 4].",
  );
  await failsWith(() => s.concat([]), "ArgumentError", "concat: at least one tensor must be given; got an empty list.");
  await failsWith(
    () => s.stack([f32([2]), f32([3])]),
    "ShapeError",
    "stack: shapes must agree; got f32[2] and f32[3].",
  );
});

test("gathers refuse what cannot be an index", async () => {
  const x = f32([4, 2]);
  await failsWith(
    () => s.indexSelect(x, f32([3])),
    "DTypeError",
    "indexSelect: index must be i32 or u32; got f32[3]. Use cast().",
  );
  await failsWith(
    () => s.indexSelect(x, s.reshape(s.arange(2), [1, 2])),
    "ShapeError",
    "indexSelect: index must be [N]; got i32[1, 2].",
  );
  await failsWith(
    () => s.gather(x, s.reshape(s.arange(3), [1, 3])),
    "ShapeError",
    "gather: the index must have the rank of x (at most 8), and no larger extent but along axis 0; got f32[4, 2] by i32[1, 3].",
  );
  await failsWith(
    () => s.embedding(f32([4]), s.arange(2)),
    "ShapeError",
    "embedding: weight must be [V, D]; got f32[4].",
  );
  await failsWith(
    () => s.oneHot(s.arange(2), { numClasses: -1 }),
    "ArgumentError",
    "oneHot: numClasses must be an integer of at least 0; got -1.",
  );
  await failsWith(
    () => s.scatterRows(x, s.arange(3), f32([2, 2])),
    "ShapeError",
    "scatterRows: x must be f32[3, 2]; got f32[2, 2].",
  );
  await failsWith(
    () => s.compact(f32([3])),
    "DTypeError",
    "compact: mask must be bool or u32 or i32; got f32[3]. Use cast().",
  );
});

const noise = (n: number, seed: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(i * 12.9898 + seed) * 3);

test("large sums take two dispatches and are equal bit for bit from run to run", async () => {
  const x = s.tensor(noise(1 << 20, 1));
  await device().sync();
  const before = device().stream.counters.dispatches;
  const first = s.sum(x);
  await device().sync();
  assert.ok(device().stream.counters.dispatches - before <= 2);
  const [a, b] = await s.read([first, s.sum(x)]);
  assert.equal(a, b);
});

test("gradients of repeated indices are equal bit for bit from run to run", async () => {
  const index = s.tensor(Int32Array.from({ length: 6000 }, (_, i) => (i * i) % 701));
  const g = s.tensor(noise(6000 * 4, 2), { shape: [6000, 4] });
  const gradient = () => {
    const weight = f32([2000, 4]).requiresGrad();
    s.backward(s.embedding(weight, index), { gradient: g });
    return s.copy(weight.grad);
  };
  const [a, b] = await s.read([gradient(), gradient()]);
  assert.equal(a, b);
});

test("reductions know the former name of dim, but not both at once", async () => {
  const x = s.tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  assert.equal([...(await s.mean(x, { dims: [0] }).read())], [2.5, 3.5, 4.5]);
  assert.equal(
    [...(await s.variance(x, { dims: -1, unbiased: false }).read())].map((v) => v.toFixed(4)),
    ["0.6667", "0.6667"],
  );
  await failsWith(
    () => s.sum(x, { dim: 0, dims: 1 }),
    "ArgumentError",
    "sum: axes must be given once; got both dim and dims, its former name.",
  );
});

test("f16 is stored as such, and summed in f32", async () => {
  if (!device().info.hasF16) return;
  const dtype = "f16";
  const x = s.tensor(
    Float32Array.from({ length: 4096 }, () => 1),
    { dtype },
  );
  const square = s.tensor(
    Float32Array.from({ length: 64 }, (_, i) => i),
    { shape: [8, 8], dtype },
  );
  const places = s.add(s.tensor(Int32Array.of(7, 9)), 0); // made on the GPU, where nobody can refuse the 9
  const picked = s.indexSelect(square, places);
  const [total, mean, flipped, rows, padded, joined] = await s.read([
    ...[s.sum(x), s.mean(s.mul(x, 0.1)), s.permute(square, [1, 0]), picked],
    ...[
      s.pad(s.slice(x, { ends: [1] }), [[1, 1]], { value: 0.5 }),
      s.concat([s.slice(x, { ends: [1] }), s.slice(x, { ends: [2] })]),
    ],
  ]);
  assert.equal(Array.from(total as Float32Array), [4096]);
  assert.ok(Math.abs((mean?.[0] as number) - 0.1) < 1e-4);
  assert.equal(Array.from(flipped as Float32Array).slice(0, 3), [0, 8, 16]);
  assert.equal(Array.from(rows as Float32Array).slice(6, 10), [62, 63, Number.NaN, Number.NaN]);
  assert.equal(Array.from(padded as Float32Array), [0.5, 1, 0.5]);
  assert.equal(Array.from(joined as Float32Array), [1, 1, 1]);
});

/** Ops that treat rows apart: each row of the result comes from the same row of x. */
const ROWWISE: Readonly<Record<string, (x: s.Tensor) => s.Tensor>> = {
  sum: (x) => s.sum(x, { dim: [1, 2] }),
  "scattered axes": (x) => s.variance(s.reshape(x, [70, 2, 3, -1]), { dim: [1, 3] }),
  argmax: (x) => s.cast(s.argmax(x, { dim: 1 }), "f32"),
  permute: (x) => s.permute(x, [0, 2, 1]),
  slice: (x) => s.slice(x, { starts: [0, 1], steps: [1, 2] }),
  pad: (x) =>
    s.pad(x, [
      [0, 0],
      [1, 1],
      [0, 2],
    ]),
  flip: (x) => s.flip(x, 1),
  concat: (x) => s.concat([x, s.mul(x, 2)], { dim: -1 }),
  gather: (x) => s.gather(x, s.cast(s.abs(s.slice(x, { ends: [70, 1] })), "i32"), { dim: 1 }),
};

test("captured row by row, ops cover the live rows only, and agree with eager ones", async () => {
  const capacity = 70;
  const data = noise(capacity * 24, 3);
  const x = s.tensor(data, { shape: [capacity, 6, 4] });
  const names = Object.keys(ROWWISE);
  const wants = await s.read(names.map((name) => (ROWWISE[name] as (x: s.Tensor) => s.Tensor)(x)));
  const rows = s.tensor(Uint32Array.of(capacity));
  const input = { x: { shape: x.shape, dtype: "f32" } } as const;
  using step = await s.capture({ inputs: input, rows }, (t) =>
    names.map((name) => (ROWWISE[name] as (x: s.Tensor) => s.Tensor)(t.x)),
  );
  for (const live of [0, 1, 33, capacity]) {
    rows.write([live]);
    const got = await s.read(step.run({ x }));
    names.forEach((name, k) => {
      const [want, have] = [wants[k] as Float32Array, got[k] as Float32Array];
      const length = (want.length / capacity) * live;
      assert.equal(have.slice(0, length), want.slice(0, length), `${name}, ${live} rows`);
    });
  }
});

test("captured row by row, the last rows are not touched when only the first is live", async () => {
  const shape = [70, 6, 64];
  const x = s.tensor(noise(70 * 6 * 64, 4), { shape });
  const rows = s.tensor(Uint32Array.of(70));
  const names = Object.keys(ROWWISE).filter((name) => name !== "gather");
  using step = await s.capture({ inputs: { x: { shape, dtype: "f32" } }, rows }, (t) =>
    names.map((name) => (ROWWISE[name] as (x: s.Tensor) => s.Tensor)(t.x)),
  );
  const full = await s.read(step.run({ x }));
  rows.write([1]);
  const one = await s.read(step.run({ x: s.zeros(shape) }));
  names.forEach((name, k) => {
    const [before, after] = [full[k] as Float32Array, one[k] as Float32Array];
    const width = before.length / 70;
    assert.equal(after.slice(-width), before.slice(-width), `${name}, last row`);
    assert.ok(
      after.slice(0, width).every((value) => value === 0),
      `${name}, first row`,
    );
  });
});

test("captured row by row, ops that mix rows are refused", async () => {
  const mixing: Readonly<Record<string, (x: s.Tensor) => s.Tensor>> = {
    sum: (x) => s.sum(x, { dim: 0 }),
    max: (x) => s.max(x, { dim: [0, 2] }),
    permute: (x) => s.permute(x, [1, 0, 2]),
    slice: (x) => s.slice(x, { ends: [32] }),
    pad: (x) =>
      s.pad(x, [
        [0, 64],
        [0, 0],
        [0, 0],
      ]),
    flip: (x) => s.flip(x, 0),
    concat: (x) => s.concat([x, x]),
  };
  const rows = s.tensor(Uint32Array.of(64));
  for (const [op, call] of Object.entries(mixing)) {
    await failsWith(
      () => s.capture({ inputs: { x: { shape: [64, 6, 4], dtype: "f32" } }, rows }, ({ x }) => call(x)),
      "CaptureError",
      `capture: with live rows every op must treat rows independently; ${op} mixes them.`,
    );
  }
});
