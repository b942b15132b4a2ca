// Convolutions by the ones that are there: over lines, and transposed.

import type { Kinds } from "../../base/index.ts";
import type { ConvGeometry } from "../../kernels/conv/index.ts";
import { COUNT, checkIs, checkOneDType, type Pair, pairOf, WHOLE } from "../checks.ts";
import { ArgumentError, readOptions, ShapeError } from "../errors.ts";
import { operandsOf } from "../operands.ts";
import { describe, formatShape } from "../shape.ts";
import { positional } from "../signature.ts";
import type { Tensor } from "../tensor.ts";
import { allSides, type ConvOptions, conv2d, convInput, geometryOf } from "./conv.ts";
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

const checkLines = operandsOf({ x: "any batch length channels", weight: "any taps in/groups out" });

/**
 * Convolution of lines `x` [B, L, C] with `weight` [k, C/groups, O] and an optional bias [O]: [B, OL, O], as `conv2d`
 * of images one pixel high.
 */
export const conv1d = positional(
  "conv1d(x, weight, bias, options)",
  (x: Tensor, weight: Tensor, bias?: Tensor, options: Conv1dOptions = {}): Tensor => {
    const { stride = 1, padding = 0, dilation = 1, ...rest } = readOptions("conv1d", options, CONV1D);
    const { batch, length, channels } = checkLines("conv1d", { x, weight });
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
  readonly outputPadding?: Pair;
}

const TRANSPOSE: Kinds<ConvTransposeOptions> = {
  stride: "any",
  padding: "any",
  dilation: "any",
  groups: COUNT,
  outputPadding: "any",
};

const checkTransposed = operandsOf({
  x: "any batch height width C",
  weight: "any rows columns out/groups C",
  "bias?": "any",
});

/**
 * The transpose of `conv2d` with the same `weight` [kh, kw, O/groups, C]: `x` [B, H, W, C] to [B, OH, OW, O], with an
 * optional bias [O]. OH = (H - 1) stride - top - bottom + dilation (kh - 1) + outputPadding + 1.
 */
export const convTranspose2d = positional(
  "convTranspose2d(x, weight, bias, options)",
  (x: Tensor, weight: Tensor, bias?: Tensor, options: ConvTransposeOptions = {}): Tensor => {
    const op = "convTranspose2d";
    const { outputPadding = 0, ...conv } = readOptions(op, options, TRANSPOSE);
    const { batch, height, width, rows, columns, "out/groups": own } = checkTransposed(op, { x, weight, bias });
    checkOneDType(op, { x, weight });
    const { stride = 1, dilation = 1, padding = 0, groups = 1 } = conv;
    const steps = pairOf(op, "stride", stride, COUNT);
    const gaps = pairOf(op, "dilation", dilation, COUNT);
    const more = pairOf(op, "outputPadding", outputPadding, WHOLE);
    const [top, bottom, left, right] = allSides(op, padding);
    if (more.some((n, i) => n >= steps[i]!))
      throw new ArgumentError(
        `${op}: outputPadding must be less than the stride; got ${more.join(", ")} for ${steps.join(", ")}.`,
      );
    const extent = (size: number, k: number, pads: number, i: 0 | 1): number =>
      (size - 1) * steps[i] - pads + gaps[i] * (k - 1) + more[i] + 1;
    const shape = [batch, extent(height, rows, top + bottom, 0), extent(width, columns, left + right, 1), own * groups];
    if (shape.some((n, i) => i > 0 && n < 1)) {
      throw new ShapeError(
        `${op}: the result must have pixels; got ${describe(x)} and ${describe(weight)} for ${formatShape(shape)}.`,
      );
    }
    checkIs(op, "the bias", bias, { shape: [own * groups], dtype: x.dtype });
    const geometry: ConvGeometry = geometryOf(op, { shape, dtype: x.dtype }, weight, conv);
    const y = convInput({ g: x, weight }, { geometry, shape });
    return bias ? add(y, bias) : y;
  },
);
