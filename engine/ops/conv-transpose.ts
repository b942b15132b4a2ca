// Convolutions by the ones that are there: over lines, and transposed.

import type { Kinds } from "../../base/index.ts";
import type { ConvGeometry } from "../../kernels/conv/index.ts";
import { ArgumentError, DTypeError, readOptions, ShapeError } from "../errors.ts";
import { describe, formatShape } from "../shape.ts";
import { positional } from "../signature.ts";
import { checkTensors, type Tensor } from "../tensor.ts";
import { allSides, type ConvOptions, conv2d, convInput, geometryOf, type PerAxis, perAxis } from "./conv.ts";
import { add } from "./pointwise.ts";
import { reshape } from "./view.ts";

/** Options of `conv1d`. */
export interface Conv1dOptions extends Pick<ConvOptions, "groups" | "activation"> {
  readonly stride?: number;
  /** Zeros at both ends. */
  readonly padding?: number;
  readonly dilation?: number;
}

const CONV1D: Kinds<Conv1dOptions> = {
  stride: "number",
  padding: "number",
  dilation: "number",
  groups: "number",
  activation: "string",
};

/**
 * Convolution of lines `x` [B, L, C] with `weight` [k, C/groups, O] and an optional bias [O]: [B, OL, O], as `conv2d`
 * of images one pixel high.
 */
export const conv1d = positional(
  "conv1d(x, weight, bias, options)",
  (x: Tensor, weight: Tensor, bias?: Tensor, options: Conv1dOptions = {}): Tensor => {
    const { stride = 1, padding = 0, dilation = 1, ...rest } = readOptions("conv1d", options, CONV1D);
    checkTensors("conv1d", { x, weight });
    if (x.rank !== 3 || weight.rank !== 3) {
      throw new ShapeError(
        `conv1d: x must be [batch, length, channels], the weight [length, in/groups, out]; got ${describe(x)} and ${describe(weight)}.`,
      );
    }
    const [batch, length, channels] = x.shape as readonly [number, number, number];
    const y = conv2d(reshape(x, [batch, 1, length, channels]), reshape(weight, [1, ...weight.shape]), bias, {
      ...rest,
      stride: [1, stride],
      padding: [0, padding],
      dilation: [1, dilation],
    });
    return reshape(y, [batch, y.shape[2]!, y.shape[3]!]);
  },
);

/** Options of `convTranspose2d`, PyTorch's names and defaults. */
export interface ConvTransposeOptions extends Pick<ConvOptions, "stride" | "padding" | "dilation" | "groups"> {
  /** Rows and columns more, below and on the right; less than the stride. */
  readonly outputPadding?: PerAxis;
}

const TRANSPOSE: Kinds<ConvTransposeOptions> = {
  stride: "any",
  padding: "any",
  dilation: "any",
  groups: "number",
  outputPadding: "any",
};

/**
 * The transpose of `conv2d` with the same `weight` [kh, kw, O/groups, C]: `x` [B, H, W, C] to [B, OH, OW, O], with an
 * optional bias [O]. OH = (H - 1) stride - top - bottom + dilation (kh - 1) + outputPadding + 1.
 */
export const convTranspose2d = positional(
  "convTranspose2d(x, weight, bias, options)",
  (x: Tensor, weight: Tensor, bias?: Tensor, options: ConvTransposeOptions = {}): Tensor => {
    const op = "convTranspose2d";
    const { outputPadding = 0, ...conv } = readOptions(op, options, TRANSPOSE);
    checkTensors(op, { x, weight, "bias?": bias });
    if (x.rank !== 4 || weight.rank !== 4 || x.shape[3] !== weight.shape[3]) {
      throw new ShapeError(
        `${op}: x must be [batch, height, width, C], the weight [height, width, out/groups, C]; got ${describe(x)} and ${describe(weight)}.`,
      );
    }
    if (x.dtype !== weight.dtype)
      throw new DTypeError(
        `${op}: x and weight must have one dtype; got ${describe(x)} and ${describe(weight)}. Use cast().`,
      );
    const { stride = 1, dilation = 1, padding = 0, groups = 1 } = conv;
    const [batch, h, w] = x.shape as readonly [number, number, number];
    const [kh, kw, own] = weight.shape as readonly [number, number, number];
    const steps = perAxis(op, "stride", stride, 1);
    const gaps = perAxis(op, "dilation", dilation, 1);
    const more = perAxis(op, "outputPadding", outputPadding, 0);
    const [top, bottom, left, right] = allSides(op, padding);
    if (more.some((n, i) => n >= steps[i]!))
      throw new ArgumentError(
        `${op}: outputPadding must be less than the stride; got ${more.join(", ")} for ${steps.join(", ")}.`,
      );
    const extent = (size: number, k: number, pads: number, i: 0 | 1): number =>
      (size - 1) * steps[i] - pads + gaps[i] * (k - 1) + more[i] + 1;
    const shape = [batch, extent(h, kh, top + bottom, 0), extent(w, kw, left + right, 1), own * groups];
    if (shape.some((n, i) => i > 0 && n < 1)) {
      throw new ShapeError(
        `${op}: the result must have pixels; got ${describe(x)} and ${describe(weight)} for ${formatShape(shape)}.`,
      );
    }
    const b = { shape: [own * groups], dtype: x.dtype };
    if (bias && describe(bias) !== describe(b))
      throw new ShapeError(`${op}: the bias must be ${describe(b)}; got ${describe(bias)}.`);
    const geometry: ConvGeometry = geometryOf(op, { shape, dtype: x.dtype }, weight, conv);
    const y = convInput({ g: x, weight }, { geometry, shape });
    return bias ? add(y, bias) : y;
  },
);
