// 2-D convolution over NHWC activations and HWIO weights, with groups, dilation, strides and any padding, fused with
// bias, residual and activation; its gradients are ops of their own. Depthwise convolutions have kernels of their own.

import type { Kinds } from "../../base/index.ts";
import {
  type ConvGeometry,
  convDims,
  convInput as convInputKernel,
  convInputSpecs,
  conv as convKernel,
  convSpecs,
  convWeightDims,
  convWeight as convWeightKernel,
  convWeightSpecs,
  depthwise,
  depthwiseInput,
  depthwiseSpec,
  depthwiseWeight,
  depthwiseWeightDims,
} from "../../kernels/conv/index.ts";
import { NO_EPILOGUE, sumParts } from "../../kernels/matmul/index.ts";
import { COUNT, checkValue, type Pair, pairOf, WHOLE } from "../checks.ts";
import { readOptions, ShapeError } from "../errors.ts";
import { defineOp, single } from "../op.ts";
import { operandsOf } from "../operands.ts";
import { type Described, describe, formatShape, type Shape } from "../shape.ts";
import { positional } from "../signature.ts";
import type { Tensor } from "../tensor.ts";
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

/** Options of `conv2d`, PyTorch's names and defaults. */
export interface ConvOptions extends FusedOptions {
  readonly stride?: Pair;
  /** Zeros around the image: all sides, [height, width], or [top, bottom, left, right]. */
  readonly padding?: Pair | readonly [top: number, bottom: number, left: number, right: number];
  readonly dilation?: Pair;
  readonly groups?: number;
}

const CONV: Kinds<ConvOptions> = { ...FUSED, stride: "any", padding: "any", dilation: "any", groups: COUNT };

interface ConvAttrs {
  readonly geometry: ConvGeometry;
  /** Shape of the result, where the geometry's extents are not the tensors' (see `asLine`). */
  readonly shape: Shape;
}

/** Key of a tuning choice: the class of the sizes, and all that makes another text. */
function tuningKey(role: string, g: ConvGeometry, dtype: string, rest: readonly unknown[] = []): string {
  const pixels = g.batch * g.oh * g.ow;
  const alignment = [g.c / g.groups, g.o / g.groups].map((n) => (n % 4 === 0 ? 4 : 1)).join("");
  const sizes = sizeClass(pixels, g.c / g.groups, g.o / g.groups, g.groups);
  return [role, sizes, `${g.kh}x${g.kw}`, g.stride.join(""), g.dilation.join(""), alignment, dtype, ...rest].join(":");
}

const isDepthwise = ({ groups, c, o }: ConvGeometry): boolean => groups > 1 && groups === c && groups === o;

/** The convolution that turns the output's gradient into the input's, where the stride is 1. */
const reversed = (g: ConvGeometry): ConvGeometry => ({
  ...g,
  h: g.oh,
  w: g.ow,
  oh: g.h,
  ow: g.w,
  top: g.dilation[0] * (g.kh - 1) - g.top,
  left: g.dilation[1] * (g.kw - 1) - g.left,
});

const PLAIN = { activation: "none", residual: "none", keep: false } as const;

/** What flows back to the input of a convolution; its transpose. @internal */
export const convInput: (inputs: { readonly g: Tensor; readonly weight: Tensor }, attrs: ConvAttrs) => Tensor = single(
  defineOp({
    name: "conv2dInput",
    operands: { g: "float", weight: "float" },
    infer: ({ g }, { shape }: ConvAttrs) => ({ dx: { shape, dtype: g.dtype } }),
    run: ({ device, inputs: { g, weight }, outputs: { dx }, attrs: { geometry }, dispatch, choose }) => {
      const dtype = floatStorage(g);
      if (!isDepthwise(geometry)) {
        const spec = choose(tuningKey("convInput", geometry, dtype), convInputSpecs(geometry, dtype, device.info));
        dispatch(convInputKernel, spec, { g, weight, dx }, convDims(geometry));
      } else if (geometry.stride[0] === 1 && geometry.stride[1] === 1) {
        const spec = { ...depthwiseSpec(geometry, dtype), ...NO_EPILOGUE, isFlipped: true };
        dispatch(depthwise, spec, { x: g, weight, y: dx }, convDims(reversed(geometry)));
      } else {
        dispatch(depthwiseInput, depthwiseSpec(geometry, dtype), { g, weight, dx }, convDims(geometry));
      }
    },
    // Linear in g and in the weight, as the convolution is in x and the weight.
    saves: ["g", "weight"],
    vjp: (h, at) => {
      const { geometry } = at.attrs;
      return {
        g: () =>
          convPlain({ x: h, weight: at.value("weight") }, { ...PLAIN, geometry, shape: at.described("g").shape }),
        weight: () => convWeight({ x: h, g: at.value("g") }, { geometry, shape: at.described("weight").shape }),
      };
    },
  }),
);

const convWeight: (inputs: { readonly x: Tensor; readonly g: Tensor }, attrs: ConvAttrs) => Tensor = single(
  defineOp({
    name: "conv2dWeight",
    operands: { x: "float", g: "float" },
    infer: ({ x }, { shape }: ConvAttrs) => ({ dw: { shape, dtype: x.dtype } }),
    run: ({ device, inputs: { x, g }, outputs: { dw: y }, attrs: { geometry }, dispatch, choose, temporary }) => {
      const dtype = floatStorage(x);
      const isOwn = isDepthwise(geometry);
      const dims = isOwn ? depthwiseWeightDims(geometry, device.info) : convWeightDims(geometry, device.info);
      const { splits } = dims;
      const dw = splits > 1 ? temporary([splits, ...y.shape]) : y;
      if (isOwn) {
        const out = splits > 1 ? "f32" : dtype;
        dispatch(depthwiseWeight, { ...depthwiseSpec(geometry, dtype), out }, { x, g, dw }, dims);
      } else {
        const key = tuningKey("convWeight", geometry, dtype, [splits > 1]);
        const spec = choose(key, convWeightSpecs(geometry, dtype, splits, device.info));
        dispatch(convWeightKernel, spec, { x, g, dw }, dims);
      }
      if (splits === 1) return;
      dispatch(sumParts, { out: dtype, isVec: y.size % 4 === 0 }, { x: dw, y }, { length: y.size, parts: splits });
    },
    saves: ["x", "g"],
    vjp: (h, at) => {
      const { geometry } = at.attrs;
      return {
        x: () => convInput({ g: at.value("g"), weight: h }, { geometry, shape: at.described("x").shape }),
        g: () => convPlain({ x: at.value("x"), weight: h }, { ...PLAIN, geometry, shape: at.described("g").shape }),
      };
    },
  }),
);

type ConvOperands = FusedOperands & { readonly x: Tensor; readonly weight: Tensor };

const convOp = (isActivated: boolean): ((inputs: ConvOperands, attrs: FusedAttrs & ConvAttrs) => Tensor) =>
  single(
    defineOp({
      name: "conv2d",
      operands: { x: "any", weight: "any", "bias?": "any", "residual?": "any" },
      infer: (inputs, { shape, keep }: FusedAttrs & ConvAttrs) => {
        const y = { shape, dtype: inputs.x.dtype };
        checkFused("conv2d", inputs, y);
        return { y, pre: keep ? y : undefined };
      },
      run: ({ device, inputs, outputs, attrs, dispatch, choose }) => {
        const { geometry: g, activation, residual, keep } = attrs;
        const dtype = floatStorage(inputs.x);
        const epilogue = { bias: inputs.bias !== undefined, activation, residual, keep };
        const bindings = { ...inputs, ...outputs };
        if (isDepthwise(g)) {
          const spec = { ...depthwiseSpec(g, dtype), ...epilogue, isFlipped: false };
          dispatch(depthwise, spec, bindings, convDims(g));
          return;
        }
        const key = tuningKey("conv", g, dtype, Object.values(epilogue));
        dispatch(convKernel, choose(key, convSpecs(g, dtype, epilogue, device.info)), bindings, convDims(g));
      },
      saves: isActivated ? ["x", "weight", "y", "pre"] : ["x", "weight"],
      vjp: (g, at) => {
        const { residual, geometry } = at.attrs;
        const inner = throughActivation(g, at);
        return {
          x: () => convInput({ g: inner, weight: at.value("weight") }, { geometry, shape: at.described("x").shape }),
          weight: () => convWeight({ x: at.value("x"), g: inner }, { geometry, shape: at.described("weight").shape }),
          bias: () => sumTo(inner, [geometry.o]),
          residual: residual === "after" ? g : inner,
        };
      },
    }),
  );

const convPlain = convOp(false);
const convActivated = convOp(true);

/** `[top, bottom, left, right]` of padding given as one number, two, or four. @internal */
export function allSides(
  op: string,
  padding: NonNullable<ConvOptions["padding"]>,
): readonly [number, number, number, number] {
  const list: readonly number[] = typeof padding === "number" ? [padding, padding] : padding;
  checkValue(op, "padding", padding, {
    must: "an integer of at least 0, or two or four of them",
    fits: () => Array.isArray(list) && [2, 4].includes(list.length) && list.every(WHOLE.fits),
  });
  const [a = 0, b = 0, c = b, d = b] = list;
  return list.length === 2 ? [a, a, b, b] : [a, b, c, d];
}

/** A convolution of images `x` by a `weight` of four axes, checked. @internal */
export function geometryOf(op: string, x: Described, weight: Described, options: ConvOptions): ConvGeometry {
  const both = `x ${describe(x)} and weight ${describe(weight)}`;
  const { groups = 1 } = options;
  const [batch = 0, h = 0, w = 0, c = 0] = x.shape;
  const [kh = 0, kw = 0, groupC = 0, o = 0] = weight.shape;
  if (groupC * groups !== c) {
    const times = groups === 1 ? "" : ` * ${groups} groups`;
    throw new ShapeError(`${op}: the weight's input channels must be x's; got ${both} (${groupC}${times} != ${c}).`);
  }
  if (o % groups !== 0)
    throw new ShapeError(`${op}: groups must divide the output channels; got ${both} and ${groups} groups.`);
  const stride = pairOf(op, "stride", options.stride ?? 1, COUNT);
  const dilation = pairOf(op, "dilation", options.dilation ?? 1, COUNT);
  const [top, bottom, left, right] = allSides(op, options.padding ?? 0);
  const extent = (size: number, pads: number, k: number, i: 0 | 1): number =>
    Math.floor((size + pads - dilation[i] * (k - 1) - 1) / stride[i]) + 1;
  const [oh, ow] = [extent(h, top + bottom, kh, 0), extent(w, left + right, kw, 1)];
  if (oh < 1 || ow < 1 || kh < 1 || kw < 1) {
    throw new ShapeError(
      `${op}: the kernel must fit into the padded image; got ${both} with padding ${formatShape([top, bottom, left, right])}.`,
    );
  }
  return { batch, h, w, c, oh, ow, o, kh, kw, stride, dilation, top, left, groups };
}

const checkImages = operandsOf({ x: "any batch height width channels", weight: "any rows columns in/groups out" });

/** A 1x1 convolution that skips no pixel sees each image as one line, which leaves no short lines to round up. */
function asLine(g: ConvGeometry): ConvGeometry {
  const isPointwise = g.kh * g.kw * g.stride[0] * g.stride[1] === 1 && g.oh === g.h && g.ow === g.w && !isDepthwise(g);
  return isPointwise ? { ...g, h: 1, oh: 1, w: g.h * g.w, ow: g.h * g.w } : g;
}

/**
 * Convolution (cross-correlation, as PyTorch's) of `x` [B, H, W, C] with `weight` [kh, kw, C/groups, O] to [B, OH, OW,
 * O], with an optional bias [O], residual and activation in the same dispatch. OH = floor((H + top + bottom -
 * dilation*(kh - 1) - 1)/stride) + 1.
 * @throws ShapeError, DTypeError or ArgumentError for operands and options that do not fit.
 *
 * @example
 * ```ts
 * import { conv2d, ones } from "sortie/engine";
 *
 * const images = ones([1, 5, 5, 3]); // [N, H, W, C]
 * const weights = ones([3, 3, 3, 8]); // [H, W, in, out]
 * const y = conv2d(images, weights, undefined, { padding: 1 });
 * console.log(y.shape); // [1, 5, 5, 8]
 * console.log((await y.read())[0]); // 12
 * ```
 */
export const conv2d = positional(
  "conv2d(x, weight, bias, options)",
  (x: Tensor, weight: Tensor, bias?: Tensor, options: ConvOptions = {}): Tensor => {
    readOptions("conv2d", options, CONV);
    checkImages("conv2d", { x, weight });
    const geometry = geometryOf("conv2d", x, weight, options);
    const { batch, oh, ow, o } = geometry;
    const inputs = { x, weight, bias, residual: options.residual };
    const attrs = { ...fusedAttrs("conv2d", inputs, options), geometry: asLine(geometry), shape: [batch, oh, ow, o] };
    return (attrs.activation === "none" ? convPlain : convActivated)(inputs, attrs);
  },
);
