// What a record declares of its operands: names and sizes are types, dtypes and axes are checked at the call, in words.

import * as s from "../../engine/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf } from "./messages.ts";

const test = gpuSuite("operands");

const op = s.defineOp({
  name: "score",
  operands: { logits: "float N ... C", labels: "index N", "bias?": "f32 C" },
  infer: ({ logits, bias }, _: { readonly scale: number }, { N, C }) => ({
    y: { shape: [N, C], dtype: logits.dtype },
    extra: bias && { shape: [C], dtype: "f32" },
  }),
  run: ({ inputs: { logits, bias }, outputs: { y, extra }, sizes: { N } }) => {
    assert.is(N, logits.shape[0]);
    s.copyInto(y, s.reshape(logits, y.shape));
    if (extra && bias) s.copyInto(extra, bias);
  },
});
const labels = (n: number): s.Tensor => s.zeros([n], { dtype: "u32" });
const says = (fn: () => unknown, message: string): void => assert.is(messageOf(fn), message);

test("results come by name; what is not described is not there", async () => {
  const logits = s.tensor([[[1, 2]], [[3, 4]], [[5, 6]]]);
  const { y, extra } = op({ logits, labels: labels(3) }, { scale: 1 });
  assert.equal([...(await y.read())], [1, 2, 3, 4, 5, 6]);
  assert.is(extra, undefined);
  const bias = s.tensor([7, 8]);
  const with_ = op({ logits, labels: labels(3), bias }, { scale: 1 });
  assert.equal([...(await with_.extra!.read())], [7, 8]);
});

test("dtypes, axes and sizes are checked at the call, and told with what they were bound by", () => {
  const logits = s.zeros([3, 1, 2]);
  says(
    () => op({ logits: s.zeros([3, 2], { dtype: "i32" }), labels: labels(3) }, { scale: 1 }),
    "DTypeError: score: logits must be f32 or f16; got i32[3, 2]. Use cast().",
  );
  says(
    () => op({ logits: s.zeros([3]), labels: labels(3) }, { scale: 1 }),
    "ShapeError: score: logits must be [N, ..., C]; got f32[3].",
  );
  says(
    () => op({ logits, labels: labels(4) }, { scale: 1 }),
    "ShapeError: score: labels must be [N]; got u32[4] for logits f32[3, 1, 2].",
  );
  says(
    () => op({ logits, labels: labels(3), bias: s.zeros([3]) }, { scale: 1 }),
    "ShapeError: score: bias must be [C]; got f32[3] for logits f32[3, 1, 2].",
  );
});

test("an output that is called like an operand is refused: the tape keeps both by name", () => {
  const same = s.defineOp({
    name: "same",
    operands: { x: "float ..." },
    infer: ({ x }) => ({ x: { shape: x.shape, dtype: x.dtype } }),
  });
  says(
    () => same({ x: s.zeros([2]) }, {}),
    "ArgumentError: same: outputs must have other names than operands; got x for both.",
  );
});

test("a name that is not declared, or missing, is an error of types", () => {
  const logits = s.zeros([3, 2]);
  says(
    // @ts-expect-error labels are missing
    () => op({ logits }, { scale: 1 }),
    "ArgumentError: score: labels must be a tensor; got undefined. Make one by tensor().",
  );
  says(
    // @ts-expect-error weights are not declared
    () => op({ logits, labels: labels(3), weights: logits }, { scale: 1 }),
    "ArgumentError: score: operands must be named logits, labels, bias; got weights.",
  );
  // @ts-expect-error no such result
  assert.is(op({ logits, labels: labels(3) }, { scale: 1 }).loss, undefined);
  s.defineOp({
    name: "wrong",
    operands: { x: "float N" },
    // @ts-expect-error no such size
    infer: ({ x }, _: object, { M }) => ({ y: { shape: [M], dtype: x.dtype } }),
    // @ts-expect-error no such operand
    saves: ["z"],
  });
});
