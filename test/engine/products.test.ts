// What matmul, linear and conv2d say of operands that do not fit, and cases of theirs that the op table has no room
// for.

import * as s from "../../engine/index.ts";
import { device, gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf } from "./messages.ts";

const test = gpuSuite("products");

test("matmul names both operands and the extents", () => {
  const [a, b] = [s.zeros([32, 784]), s.zeros([768, 10])];
  assert.is(
    messageOf(() => s.matmul(a, b)),
    "ShapeError: matmul: inner dimensions must match; got f32[32, 784] x f32[768, 10] (784 != 768).",
  );
  assert.is(
    messageOf(() => s.matmul(a, b, { transposeA: true })),
    "ShapeError: matmul: inner dimensions must match; got f32[32, 784] x f32[768, 10] with a transposed (32 != 768).",
  );
  assert.is(
    messageOf(() => s.matmul(a, s.zeros([]))),
    "ShapeError: matmul: operands must have at least one axis; got f32[32, 784] x f32[]. Use mul() for scalars.",
  );
  assert.is(
    messageOf(() => s.matmul(s.zeros([2, 3, 4]), s.zeros([5, 4, 3]))),
    "ShapeError: matmul: batch axes must broadcast; got f32[2, 3, 4] x f32[5, 4, 3] (axis -3: 2 != 5).",
  );
  assert.is(
    messageOf(() => s.matmul(a, s.zeros([784, 10], { dtype: "i32" }))),
    "DTypeError: matmul: both dtypes must be f32, or both f16; got f32[32, 784] x i32[784, 10]. Use cast().",
  );
});

test("linear checks weight, bias, residual and activation", () => {
  const [x, w] = [s.zeros([2, 8]), s.zeros([8, 4])];
  assert.is(
    messageOf(() => s.linear(x, s.zeros([4, 8]))),
    "ShapeError: linear: inner dimensions must match; got f32[2, 8] x f32[4, 8] (8 != 4).",
  );
  assert.is(
    messageOf(() => s.linear(x, s.zeros([8]))),
    "ShapeError: linear: operands must be [.., in] x [in, out]; got f32[2, 8] x f32[8].",
  );
  assert.is(
    messageOf(() => s.linear(x, w, s.zeros([8]))),
    "ShapeError: linear: the bias must be f32[4]; got f32[8].",
  );
  assert.is(
    messageOf(() => s.linear(x, w, undefined, { residual: x })),
    "ShapeError: linear: the residual must be f32[2, 4]; got f32[2, 8].",
  );
});

test("conv2d checks operands and options", () => {
  const [x, w] = [s.zeros([1, 8, 8, 3]), s.zeros([3, 3, 4, 8])];
  const fits = s.zeros([3, 3, 3, 8]);
  assert.is(
    messageOf(() => s.conv2d(s.zeros([8, 8, 3]), w)),
    "ShapeError: conv2d: x must be [batch, height, width, channels]; got f32[8, 8, 3].",
  );
  assert.is(
    messageOf(() => s.conv2d(x, w)),
    "ShapeError: conv2d: the weight's input channels must be x's; got x f32[1, 8, 8, 3] and weight f32[3, 3, 4, 8] (4 != 3).",
  );
  assert.is(
    messageOf(() => s.conv2d(s.zeros([1, 8, 8, 9]), fits, undefined, { groups: 3 })),
    "ShapeError: conv2d: groups must divide the output channels; got x f32[1, 8, 8, 9] and weight f32[3, 3, 3, 8] and 3 groups.",
  );
  assert.is(
    messageOf(() => s.conv2d(x, s.zeros([9, 3, 3, 8]))),
    "ShapeError: conv2d: the kernel must fit into the padded image; got x f32[1, 8, 8, 3] and weight f32[9, 3, 3, 8] with padding [0, 0, 0, 0].",
  );
  assert.is(
    messageOf(() => s.conv2d(x, fits, s.zeros([3]))),
    "ShapeError: conv2d: the bias must be f32[8]; got f32[3].",
  );
  assert.is(
    messageOf(() => s.conv2d(x, fits, undefined, { stride: 0 })),
    "ArgumentError: conv2d: stride must be an integer of at least 1, or two of them; got 0.",
  );
  assert.is(
    messageOf(() => s.conv2d(x, fits, undefined, { padding: [1, 2, 3] as unknown as number })),
    "ArgumentError: conv2d: padding must be an integer of at least 0, or two or four of them; got [1,2,3].",
  );
});

test("a product keeps NaN and infinities apart from neighbouring rows and columns", async () => {
  const a = s.tensor([
    [Number.NaN, 1],
    [1, 2],
    [Number.POSITIVE_INFINITY, 1],
  ]);
  const b = s.tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  assert.equal(
    [...(await s.matmul(a, b).read())],
    [Number.NaN, Number.NaN, Number.NaN, 9, 12, 15, ...new Array(3).fill(Number.POSITIVE_INFINITY)],
  );
});

test("rows past the end of k never reach the sum", async () => {
  // The buffers come back from the pool with NaN behind the elements that count.
  s.scope(() => s.full([16, 16], Number.NaN));
  const x = s.ones([3, 5]);
  assert.equal([...(await s.matmul(x, s.ones([5, 2])).read())], new Array(6).fill(5));
});

test("more than three alternating batch axes are launched one after the other", async () => {
  const before = device().stream.counters.dispatches;
  const y = s.matmul(s.ones([2, 1, 2, 1, 2, 3, 4]), s.ones([1, 3, 1, 2, 1, 4, 5]));
  assert.equal(y.shape, [2, 3, 2, 2, 2, 3, 5]);
  assert.ok((await y.read()).every((value) => value === 4));
  // Two that were filled with ones, and 2 x 3 places on the outer two axes.
  assert.is(device().stream.counters.dispatches - before, 8);
});
