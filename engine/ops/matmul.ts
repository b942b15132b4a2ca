// Matrix products: `matmul` with torch.matmul's rules, and `linear` with bias, residual and activation on the way out.
// Gradients are products of the same kernel with other transpose flags; nothing is transposed in memory.

import type { Kinds } from "../../base/index.ts";
import {
  type EpilogueSpec,
  linearKernel,
  linearSmall,
  matmulKernel,
  matmulSmall,
  matmulSpecs,
  NO_EPILOGUE,
  SMALL_PRODUCT,
  splitK,
  sumParts,
} from "../../kernels/matmul/index.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError, readOptions, ShapeError } from "../errors.ts";
import { defineOp, type Launcher, single } from "../op.ts";
import {
  broadcastShapes,
  broadcastStrides,
  collapse,
  type Described,
  describe,
  lastOf,
  numel,
  type Shape,
} from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import {
  checkFused,
  FUSED,
  type FusedAttrs,
  type FusedOperands,
  type FusedOptions,
  fusedAttrs,
  throughActivation,
} from "./activation.ts";
import { floatStorage, sizeClass } from "./floats.ts";
import { sumTo } from "./reduce.ts";
import { reshape } from "./view.ts";

/** Options of `matmul`: swap the last two axes of an operand first. A vector has none to swap. */
export interface MatmulOptions {
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

const MATMUL: Kinds<MatmulOptions> = { transposeA: "boolean", transposeB: "boolean" };

interface MatmulAttrs {
  readonly ta: boolean;
  readonly tb: boolean;
}

/** Axes of batch that one launch can step through; of more, there is a launch for each place on the outer ones. */
const MAX_BATCH_AXES = 3;

/** Sizes of a product, with the batch merged into as few axes as the operands' strides allow. */
interface Plan {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Outermost first. */
  readonly batch: readonly number[];
  readonly a: readonly number[];
  readonly b: readonly number[];
}

const matrix = (shape: Shape, isSwapped: boolean): [rows: number, columns: number] => {
  const [rows, columns] = shape.slice(-2) as [number, number];
  return isSwapped ? [columns, rows] : [rows, columns];
};

/** The plan of a product, and the shape of the result. @throws ShapeError unless the batch axes broadcast */
function planMatmul(a: Described, b: Described, { ta, tb }: MatmulAttrs): Plan & { readonly shape: Shape } {
  const [m, k] = matrix(a.shape, ta);
  const n = matrix(b.shape, tb)[1];
  const lead = broadcastShapes("matmul", [a, b], 2);
  const steps = ({ shape }: Described, size: number): number[] =>
    broadcastStrides(shape.slice(0, -2), lead).map((s) => s * size);
  const merged = collapse(lead, [steps(a, m * k), steps(b, n * k)]);
  return { m, n, k, batch: merged.shape, a: merged.strides[0]!, b: merged.strides[1]!, shape: [...lead, m, n] };
}

function checkOperands(a: Described, b: Described): void {
  const pair = `${describe(a)} x ${describe(b)}`;
  if (!isFloat(a.dtype) || a.dtype !== b.dtype) {
    throw new DTypeError(`matmul: both dtypes must be f32, or both f16; got ${pair}. Use cast().`);
  }
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new ShapeError(`matmul: operands must have at least one axis; got ${pair}. Use mul() for scalars.`);
  }
}

/** Message of `matmul` and `linear` for extents that do not meet. */
const innerMessage = (op: string, a: Described, b: Described, ka: number, kb: number, note = ""): string =>
  `${op}: inner dimensions must match; got ${describe(a)} x ${describe(b)}${note} (${ka} != ${kb}).`;

/** What a product reads and writes. */
interface Factors extends FusedOperands {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly c: Tensor;
  readonly pre?: Tensor | undefined;
}

/** The kernels of products that end in one way, and the end. */
interface End {
  readonly large: typeof linearKernel;
  readonly small: typeof linearSmall;
  readonly epilogue: EpilogueSpec;
}

const PLAIN: End = { large: matmulKernel, small: matmulSmall, epilogue: NO_EPILOGUE };

/** Dispatches one batched product into `c`. */
function runMatmul(launcher: Launcher, plan: Plan, attrs: MatmulAttrs, end: End, bindings: Factors): void {
  const { m, n, k, batch, a, b } = plan;
  const split = Math.max(0, batch.length - MAX_BATCH_AXES);
  const inner: Plan = { m, n, k, batch: batch.slice(split), a: a.slice(split), b: b.slice(split) };
  const outer = batch.slice(0, split);
  const each = numel(inner.batch) * m * n;
  for (let place = 0; place < numel(outer); place++) {
    const firsts = { a_first: offset(outer, a, place), b_first: offset(outer, b, place), c_first: place * each };
    runBatches(launcher, inner, firsts, attrs, end, bindings);
  }
}

/** Where the element at a place, counted row by row, lies under strides. */
function offset(shape: Shape, strides: readonly number[], place: number): number {
  let [rest, at] = [place, 0];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const extent = shape[axis]!;
    at += (rest % extent) * strides[axis]!;
    rest = Math.floor(rest / extent);
  }
  return at;
}

/** Where operands and result of a launch begin, in elements. */
type Firsts = Readonly<Record<"a_first" | "b_first" | "c_first", number>>;

/** Dispatches the products of as many axes of batch as one launch can step through. */
function runBatches(
  { device, dispatch, temporary, choose }: Launcher,
  plan: Plan,
  firsts: Firsts,
  attrs: MatmulAttrs,
  { large, small, epilogue }: End,
  bindings: Factors,
): void {
  const { m, n, k } = plan;
  const dtype = floatStorage(bindings.c);
  const steps = { ...batchSteps(plan), ...firsts };
  const { batch } = steps;
  if (m * n * k * batch <= SMALL_PRODUCT) {
    const [a_m, a_k] = attrs.ta ? [1, m] : [k, 1];
    const [b_k, b_n] = attrs.tb ? [1, k] : [n, 1];
    dispatch(small, { ...epilogue, dtype }, bindings, { m, n, k, ...steps, a_m, a_k, b_k, b_n });
    return;
  }
  const isPlain = batch === 1 && epilogue === NO_EPILOGUE;
  const { splits, part } = isPlain ? splitK(m, n, k, device.info) : { splits: 1, part: k };
  const call = { m, n, k, batch: batch * splits, ...attrs, dtype, epilogue, isSplit: splits > 1 };
  const alignment = [m, n, k].map((extent) => (extent % 4 === 0 ? 4 : 1)).join("");
  const flags = [attrs.ta, attrs.tb, splits > 1, ...Object.values(epilogue)].join();
  const spec = choose(
    `matmul:${sizeClass(m, n, k, batch)}:${alignment}:${dtype}:${flags}`,
    matmulSpecs(call, device.info),
  );
  const dims = { m, n, k, ...steps, splits, k_part: part };
  if (splits === 1) {
    dispatch(large, spec, bindings, dims);
    return;
  }
  const parts = temporary([splits, m, n]);
  dispatch(large, spec, { ...bindings, c: parts }, dims);
  dispatch(
    sumParts,
    { out: dtype, isVec: (m * n) % 4 === 0 },
    { x: parts, y: bindings.c },
    { length: m * n, parts: splits },
  );
}

/** The batch as (outer, middle, inner), and each operand's element strides along them. */
function batchSteps({ batch, a, b }: Plan) {
  const last = (list: readonly number[], i: number, missing: number): number => list.at(-i) ?? missing;
  const [inner, middle, outer] = [last(batch, 1, 1), last(batch, 2, 1), last(batch, 3, 1)];
  return {
    batch: outer * middle * inner,
    middle,
    inner,
    a_outer: last(a, 3, 0),
    a_middle: last(a, 2, 0),
    a_inner: last(a, 1, 0),
    b_outer: last(b, 3, 0),
    b_middle: last(b, 2, 0),
    b_inner: last(b, 1, 0),
  };
}

const matmulOp = single(
  defineOp({
    name: "matmul",
    operands: { a: "float ... H V", b: "float ... R S" },
    infer: ({ a, b }, attrs: MatmulAttrs) => ({ c: { shape: planMatmul(a, b, attrs).shape, dtype: a.dtype } }),
    run: (run) => {
      const { a, b } = run.inputs;
      runMatmul(run, planMatmul(a, b, run.attrs), run.attrs, PLAIN, { a, b, c: run.outputs.c });
    },
    saves: ["a", "b"],
    vjp: (g, at) => {
      const { ta, tb } = at.attrs;
      const [a, b] = [() => at.value("a"), () => at.value("b")];
      return {
        a: () => (ta ? product(b(), g, tb, true) : product(g, b(), false, !tb)),
        b: () => (tb ? product(g, a(), true, ta) : product(a(), g, !ta, false)),
      };
    },
  }),
);

/** A product of operands that have at least two axes each. */
const product = (a: Tensor, b: Tensor, ta: boolean, tb: boolean): Tensor => matmulOp({ a, b }, { ta, tb });

/**
 * Matrix product by torch.matmul's rules: [.., m, k] x [.., k, n] -> [.., m, n] with broadcast batches; a vector is a
 * row on the left and a column on the right, and its axis is dropped. @throws ShapeError where extents do not meet,
 * DTypeError for integers.
 *
 * @example
 * ```ts
 * import { matmul, tensor } from "sortie/engine";
 *
 * const x = tensor([[1, 2], [3, 4]]);
 * console.log(await matmul(x, x).read()); // Float32Array(4) [7, 10, 15, 22]
 * console.log(await matmul(x, x, { transposeB: true }).read()); // Float32Array(4) [5, 11, 11, 25]
 * ```
 */
export const matmul = positional(
  "matmul(a, b, options)",
  (a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor => {
    checkTensors("matmul", { a, b });
    const { transposeA = false, transposeB = false } = readOptions("matmul", options, MATMUL);
    checkOperands(a, b);
    const [ta, tb] = [transposeA && a.rank > 1, transposeB && b.rank > 1];
    const left = a.rank === 1 ? reshape(a, [1, a.size]) : a;
    const right = b.rank === 1 ? reshape(b, [b.size, 1]) : b;
    const [ka, kb] = [matrix(left.shape, ta)[1], matrix(right.shape, tb)[0]];
    if (ka !== kb) {
      const swapped = [ta ? "a" : "", tb ? "b" : ""].filter(Boolean).join(" and ");
      throw new ShapeError(innerMessage("matmul", a, b, ka, kb, swapped && ` with ${swapped} transposed`));
    }
    // A matrix on the right multiplies all rows alike: one product, and its gradient comes summed.
    const isFlat = !ta && left.rank > 2 && right.rank === 2;
    const rows = isFlat ? reshape(left, [numel(left.shape.slice(0, -1)), ka]) : left;
    const y = product(rows, right, ta, tb);
    const shape = isFlat ? [...left.shape.slice(0, -1), y.shape[1]!] : y.shape;
    const dropped = [
      ...shape.slice(0, -2),
      ...(a.rank > 1 ? shape.slice(-2, -1) : []),
      ...(b.rank > 1 ? shape.slice(-1) : []),
    ];
    return isFlat || dropped.length < y.rank ? reshape(y, dropped) : y;
  },
);

const linearOp = (isActivated: boolean) =>
  single(
    defineOp({
      name: "linear",
      operands: { x: "any ... K", weight: "any K N", "bias?": "any", "residual?": "any" },
      infer: ({ x, weight, bias, residual }, { keep }: FusedAttrs, { N }) => {
        const y = { shape: [...x.shape.slice(0, -1), N], dtype: x.dtype };
        checkFused("linear", { x, weight, bias, residual }, y);
        return { y, pre: keep ? y : undefined };
      },
      run: (run) => {
        const { x, weight, bias, residual } = run.inputs;
        const { K: k, N: n } = run.sizes;
        const epilogue = { bias: bias !== undefined, ...run.attrs };
        const isPlain = !epilogue.bias && epilogue.activation === "none" && epilogue.residual === "none";
        const plan = { m: numel(x.shape.slice(0, -1)), n, k, batch: [], a: [], b: [] };
        const bindings = { a: x, b: weight, c: run.outputs.y, bias, residual, pre: run.outputs.pre };
        runMatmul(
          run,
          plan,
          { ta: false, tb: false },
          isPlain ? PLAIN : { large: linearKernel, small: linearSmall, epilogue },
          bindings,
        );
      },
      saves: isActivated ? ["x", "weight", "y", "pre"] : ["x", "weight"],
      vjp: (g, at) => {
        const { residual } = at.attrs;
        const inner = throughActivation(g, at);
        const { shape } = at.described("x");
        const flat = reshape(inner, [numel(shape.slice(0, -1)), lastOf(inner.shape)]);
        return {
          x: () => reshape(product(flat, at.value("weight"), false, true), shape),
          weight: () => product(reshape(at.value("x"), [flat.shape[0]!, lastOf(shape)]), flat, true, false),
          bias: () => sumTo(flat, [flat.shape[1]!]),
          residual: residual === "after" ? g : inner,
        };
      },
    }),
  );

const linearPlain = linearOp(false);
const linearActivated = linearOp(true);

/**
 * `x [.., in] * weight [in, out] + bias [out]`, with an optional residual and activation in the same dispatch.
 * @throws ShapeError where extents do not meet, DTypeError where dtypes differ.
 */
export const linear = positional(
  "linear(x, weight, bias, options)",
  (x: Tensor, weight: Tensor, bias?: Tensor, options: FusedOptions = {}): Tensor => {
    readOptions("linear", options, FUSED);
    checkTensors("linear", { x, weight });
    if (x.rank === 0 || weight.rank !== 2) {
      throw new ShapeError(`linear: operands must be [.., in] x [in, out]; got ${describe(x)} x ${describe(weight)}.`);
    }
    const [ka, kb] = [lastOf(x.shape), weight.shape[0]!];
    if (ka !== kb) throw new ShapeError(innerMessage("linear", x, weight, ka, kb));
    const inputs = { x, weight, bias, residual: options.residual };
    const attrs = fusedAttrs("linear", inputs, options);
    return (attrs.activation === "none" ? linearPlain : linearActivated)(inputs, attrs);
  },
);
