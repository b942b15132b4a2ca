// What ops made of others refuse, at the call and in their own name.

import * as s from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf } from "./messages.ts";

const test = gpuSuite("composed ops, refused");

test("convTranspose2d: a result without pixels, and a bias that is not one number a channel", () => {
  const [x, weight] = [s.ones([1, 2, 2, 2]), s.ones([1, 1, 3, 2])];
  assert.is(
    messageOf(() => s.convTranspose2d(s.ones([1, 1, 1, 2]), weight, undefined, { padding: 1 })),
    "ShapeError: convTranspose2d: the result must have pixels; got f32[1, 1, 1, 2] and f32[1, 1, 3, 2] for [1, -1, -1, 3].",
  );
  for (const shape of [[2], [1], [2, 2, 3]]) {
    assert.is(
      messageOf(() => s.convTranspose2d(x, weight, s.ones(shape))),
      `ShapeError: convTranspose2d: the bias must be f32[3]; got f32[${shape.join(", ")}].`,
    );
  }
});

test("crossEntropy: labels of the host are looked at beside those that do not count", async () => {
  const logits = s.zeros([3, 4]);
  const labels = (...values: number[]) => s.tensor(Int32Array.from(values));
  for (const [stray, values] of [
    [7, [0, 7, -100]],
    [-101, [0, 3, -101]],
    [4, [1, 2, 4]],
  ] as const) {
    assert.is(
      messageOf(() => s.crossEntropy(logits, labels(...values), { ignoreIndex: -100 })),
      `ArgumentError: crossEntropy: labels must be in 0..3; got ${stray} in i32[3].`,
    );
  }
  const loss = s.crossEntropy(logits, labels(3, -100, 0), { ignoreIndex: -100 });
  assert.ok(Math.abs((await loss.item()) - Math.log(4)) < 1e-6);
  assert.is(
    messageOf(() => s.crossEntropy(logits, labels(0, 1, 2), { ignoreIndex: 0.5 })),
    "ArgumentError: crossEntropy: ignoreIndex must be an integer; got 0.5.",
  );
  assert.is(
    messageOf(() => s.crossEntropy(logits, labels(0, 9, 2), { classWeights: s.ones([4]) })),
    "ArgumentError: crossEntropy: labels must be in 0..3; got 9 in i32[3].",
  );
});
