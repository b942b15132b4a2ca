// What a launch is given by the names of its kernel: a wrong, missing or surplus name is an error of types, wherever it
// comes from; what only the spec decides, whether a binding may be missing, is an error at the call.

import * as s from "../../engine/index.ts";
import { defineKernel, reads, writes } from "../../kernels/index.ts";
import { gpuSuite } from "../gpu.ts";
import { assert } from "../harness.ts";
import { messageOf } from "./messages.ts";

const test = gpuSuite("dispatch");

const kernel = defineKernel({
  name: "scaledSum",
  bindings: ({ hasBias }: { readonly hasBias: boolean }) => ({
    x: reads("array<f32>"),
    bias: hasBias ? reads("array<f32>") : undefined,
    y: writes("array<f32>"),
  }),
  uniforms: { n: "u32", scale: "f32" },
  source: ({ hasBias }) => `
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < u.n) { y[id.x] = u.scale * x[id.x] ${hasBias ? "+ bias[id.x]" : ""}; }
}`,
  grid: ({ n }) => [Math.ceil(n / 64), 1, 1],
});

const N = 130;
const x = s.tensor(Float32Array.from({ length: N }, (_, i) => i));
const y = s.zeros([N]);
const { device } = x;
const dims = { n: N, scale: 2 };

test("a binding that the spec leaves out may be missing, or undefined", async () => {
  s.dispatch(device, "op", kernel, { hasBias: false }, { x, y }, dims);
  assert.equal(
    [...(await y.read())],
    Array.from({ length: N }, (_, i) => 2 * i),
  );
  s.dispatch(device, "op", kernel, { hasBias: true }, { x, bias: x, y }, dims);
  assert.equal(
    [...(await y.read())],
    Array.from({ length: N }, (_, i) => 3 * i),
  );
  s.dispatch(device, "op", kernel, { hasBias: false }, { x, bias: undefined, y }, dims);
});

test("a binding that the spec asks for must be there", () => {
  assert.is(
    messageOf(() => s.dispatch(device, "op", kernel, { hasBias: true }, { x, y }, dims)),
    "ArgumentError: op: kernel scaledSum must get a tensor for bias; got none.",
  );
});

test("wrong, missing and surplus names are errors of types", () => {
  const says = (fn: () => void, what: string): void =>
    assert.is(messageOf(fn), `ArgumentError: op: kernel scaledSum must get a ${what}; got none.`);
  const spec = { hasBias: false };
  // @ts-expect-error y is missing
  says(() => s.dispatch(device, "op", kernel, spec, { x }, dims), "tensor for y");
  // @ts-expect-error y is not z
  says(() => s.dispatch(device, "op", kernel, spec, { x, z: y }, dims), "tensor for y");
  // @ts-expect-error y may not be undefined
  says(() => s.dispatch(device, "op", kernel, spec, { x, y: undefined }, dims), "tensor for y");
  // @ts-expect-error scale is missing
  says(() => s.dispatch(device, "op", kernel, spec, { x, y }, { n: N }), "number for scale");
  // @ts-expect-error scale is not factor
  says(() => s.dispatch(device, "op", kernel, spec, { x, y }, { n: N, factor: 2 }), "number for scale");
  // @ts-expect-error there is no weight
  s.dispatch(device, "op", kernel, spec, { x, y, weight: x }, dims);
  const bound = { x, y, weight: x };
  // @ts-expect-error nor in what stands elsewhere
  s.dispatch(device, "op", kernel, spec, bound, dims);
  // @ts-expect-error nor in what is spread
  s.dispatch(device, "op", kernel, spec, { ...bound }, dims);
  const sizes = { ...dims, rows: 1 };
  // @ts-expect-error there is no uniform rows
  s.dispatch(device, "op", kernel, spec, { x, y }, sizes);
  // @ts-expect-error the spec says whether there is a bias
  s.dispatch(device, "op", kernel, {}, { x, y }, dims);
});

test("in a record too, whose operands and results have names of their own", () => {
  const op = s.defineOp({
    name: "op",
    operands: { x: "f32 N", "bias?": "f32 N" },
    infer: ({ x }) => ({ y: x, other: x }),
    run: ({ inputs, outputs, dispatch }) => {
      const { y, other } = outputs;
      dispatch(kernel, { hasBias: false }, { ...inputs, y }, dims);
      // @ts-expect-error there is no binding other
      dispatch(kernel, { hasBias: false }, { ...inputs, ...outputs }, dims);
      // @ts-expect-error other is not y
      dispatch(kernel, { hasBias: false }, { ...inputs, other }, dims);
    },
  });
  assert.match(
    messageOf(() => op({ x }, {})),
    /must get a tensor for y/,
  );
});

test("a kernel's own functions know its names", () => {
  defineKernel({
    name: "unknown",
    bindings: (_: { readonly wide: boolean }) => ({ y: writes("array<f32>") }),
    uniforms: { n: "u32" },
    // @ts-expect-error the spec has no width
    source: ({ width }) => String(width),
    // @ts-expect-error there is no uniform m
    grid: ({ m }) => [m, 1, 1],
  });
});
