// An op of one's own: first as one expression, then with a kernel in WGSL. Both have gradients, which are checked.
// `npm i sortie webgpu`, then `npx tsx own-op.ts`.

import { createDevice, defineOp, elementwise, gradcheck, mul, randn, single, tensor, unsqueeze } from "sortie/engine";
import { ceilDiv, defineKernel, entry, GROUP, LINEAR_GROUP, linearGrid, reads, writes } from "sortie/kernels";

const device = await createDevice();

// Pointwise: `T` is the vector type of the dtype at hand, `g` the gradient that comes in.
const bump = elementwise({
  name: "bump",
  operands: ["x"],
  y: "exp(-x * x)",
  grads: { x: "g * T(-2.0) * x * exp(-x * x)" },
});
const values = await bump(tensor([-1, 0, 2])).read();
console.log("bump", Array.from(values, (value) => value.toFixed(4)).join(" "));

// The energy of each row, one thread a row: what looks at several elements needs a kernel.
const energyKernel = defineKernel({
  name: "energy",
  uniforms: { rows: "u32", width: "u32" },
  bindings: () => ({ x: reads("array<f32>"), y: writes("array<f32>") }),
  source: () => `
${entry()} {
  let row = ${LINEAR_GROUP} * ${GROUP}u + li;
  if (row >= u.rows) { return; }
  var sum = 0.0;
  for (var i = 0u; i < u.width; i++) { sum += x[row * u.width + i] * x[row * u.width + i]; }
  y[row] = 0.5 * sum;
}`,
  grid: ({ rows }) => linearGrid(ceilDiv(rows, GROUP)),
});
const energy = single(
  defineOp({
    name: "energy",
    operands: { x: "f32 N C" },
    infer: (_, __, { N }) => ({ y: { shape: [N], dtype: "f32" } }),
    run: ({ inputs, outputs, sizes, dispatch }) =>
      dispatch(energyKernel, {}, { x: inputs.x, y: outputs.y }, { rows: sizes.N, width: sizes.C }),
    saves: ["x"],
    vjp: (g, at) => ({ x: mul(at.value("x"), unsqueeze(g, 1)) }),
  }),
);
console.log(
  "energy",
  Array.from(
    await energy(
      {
        x: tensor([
          [3, 4],
          [1, 1],
        ]),
      },
      {},
    ).read(),
  ).join(" "),
);

await gradcheck(bump, [randn([3, 4], { seed: 1 })]);
await gradcheck((x) => energy({ x }, {}), [randn([3, 4], { seed: 2 })]);
console.log("both gradients are right");
device.dispose();
